//! Bytes with a check at their end, by which damage is found: messages, frames of hot keys, checkpoints.

use xxhash_rust::xxh3::xxh3_64;

use crate::message::MessageError;

/// The check: XXH3 of all bytes before it, big-endian.
pub const CHECK_BYTES: usize = 8;

const FORMAT_AT: usize = 4;

/// Appends the check.
pub fn seal(bytes: &mut Vec<u8>) {
    bytes.extend(xxh3_64(bytes).to_be_bytes());
}

/// What stands before the check; `None` when they do not belong together.
pub fn unsealed(bytes: &[u8]) -> Option<&[u8]> {
    let (checked, check) = bytes.split_last_chunk::<CHECK_BYTES>()?;
    (u64::from_be_bytes(*check) == xxh3_64(checked)).then_some(checked)
}

/// What stands before the check of at most `bytes_max` bytes that begin with `magic` and, as two bytes, `format`: these and the check stay
/// where they are in every format. Any bytes are allowed.
///
/// # Errors
/// Says whether the bytes are damaged or of a newer format.
pub fn opened(
    bytes: &[u8],
    magic: [u8; 4],
    format: u16,
    bytes_max: usize,
) -> Result<&[u8], MessageError> {
    const DAMAGED: MessageError = MessageError::Undecodable;
    if bytes.len() > bytes_max || !bytes.starts_with(&magic) {
        return Err(DAMAGED);
    }
    // The check comes before the format: a damaged format must not look like a newer one.
    let checked = unsealed(bytes).ok_or(DAMAGED)?;
    match number(checked, FORMAT_AT).map(u16::from_be_bytes) {
        None => Err(DAMAGED),
        Some(known) if known == format => Ok(checked),
        Some(_) => Err(MessageError::UnknownFormat),
    }
}

/// So many bytes from a place on: of a number.
pub fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
