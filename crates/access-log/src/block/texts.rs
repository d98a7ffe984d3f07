//! Texts with their length, and differences, in as few bytes as they need.

use hotshelf_model::varint::{put, take};

/// Appends a text and, before it, its length.
pub(super) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

/// A difference of either sign, modulo 2^64, as a number that is small when the difference is.
pub(super) fn zigzag(difference: u64) -> u64 {
    let sign = 0_u64.wrapping_sub(difference >> 63);
    (difference << 1) ^ sign
}

/// The difference that [`zigzag`] was given.
pub(super) fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ 0_u64.wrapping_sub(number & 1)
}

/// Takes numbers and texts off the front of bytes; `None` when there are too few, or a number has more than 64 bits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    pub(super) at: usize,
}

impl Cursor {
    pub(super) fn byte(&mut self, bytes: &[u8]) -> Option<u8> {
        let byte = *bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    pub(super) fn number(&mut self, bytes: &[u8]) -> Option<u64> {
        let mut rest = bytes.get(self.at..)?;
        let number = take(&mut rest)?;
        self.at = bytes.len() - rest.len();
        Some(number)
    }

    pub(super) fn size(&mut self, bytes: &[u8]) -> Option<usize> {
        usize::try_from(self.number(bytes)?).ok()
    }

    /// Where a text lies; it is UTF-8.
    pub(super) fn text(&mut self, bytes: &[u8]) -> Option<(usize, usize)> {
        let length = self.size(bytes)?;
        let start = self.at;
        let end = start.checked_add(length)?;
        str::from_utf8(bytes.get(start..end)?).ok()?;
        self.at = end;
        Some((start, end))
    }
}
