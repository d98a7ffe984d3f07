//! Numbers in as few bytes as they need (LEB128), and texts with their length.

/// Appends a number: seven bits in each byte, the lowest first.
pub(super) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(low_byte(number) | 0x80);
        number >>= 7;
    }
    bytes.push(low_byte(number));
}

#[expect(clippy::cast_possible_truncation, reason = "the other bits follow")]
fn low_byte(number: u64) -> u8 {
    number as u8
}

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
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(bytes)?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
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
