//! Bytes whose layout nobody compares, written by bincode; the only file where it is named.
//!
//! What derives [`Encode`] and [`BorrowDecode`] has golden bytes in `tests/golden/`.

use bincode::config::{BigEndian, Configuration, Limit, Varint};

pub(crate) use bincode::{BorrowDecode, Encode};

/// Big-endian, small numbers short. Reading more than `BYTES_MAX`, or a length that claims more, is damage.
const fn config<const BYTES_MAX: usize>() -> Configuration<BigEndian, Varint, Limit<BYTES_MAX>> {
    bincode::config::standard().with_big_endian().with_limit()
}

#[expect(
    clippy::expect_used,
    reason = "writing plain fields to a growing buffer cannot fail"
)]
pub(crate) fn to_bytes(value: &impl Encode) -> Vec<u8> {
    bincode::encode_to_vec(value, config::<{ usize::MAX }>()).expect("plain fields can be written")
}

/// Reads a value off the front; also says where it ends.
pub(crate) fn read<'a, T: BorrowDecode<'a, ()>, const BYTES_MAX: usize>(
    bytes: &'a [u8],
) -> Option<(T, usize)> {
    bincode::borrow_decode_from_slice(bytes, config::<BYTES_MAX>()).ok()
}

/// Reads a value that takes all the bytes.
pub(crate) fn read_all<'a, T: BorrowDecode<'a, ()>, const BYTES_MAX: usize>(
    bytes: &'a [u8],
) -> Option<T> {
    let (value, end) = read::<T, BYTES_MAX>(bytes)?;
    (end == bytes.len()).then_some(value)
}
