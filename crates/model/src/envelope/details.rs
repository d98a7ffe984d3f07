//! The bincode part: what is not compared by anybody. The only place where bincode is named.

use bincode::config::{BigEndian, Configuration, Limit, Varint};

use crate::entry::{Encoding, Entry, FillFacts};
use crate::key::Key;

/// Longer details are damage; a key has at most some 700 bytes.
const DETAILS_BYTES_MAX: usize = 2048;
const CONFIG: Configuration<BigEndian, Varint, Limit<DETAILS_BYTES_MAX>> =
    bincode::config::standard().with_big_endian().with_limit();

#[derive(Debug, PartialEq, Eq, bincode::Encode, bincode::BorrowDecode)]
pub(super) struct Details<'a> {
    pub(super) key: &'a str,
    encoding: u8,
    pub(super) document_bytes: u64,
    node: u32,
    fetch_us: u32,
}

impl<'a> Details<'a> {
    pub(super) fn new(key: &'a Key, encoding: Encoding, entry: &Entry) -> Self {
        Details {
            key: key.as_str(),
            encoding: encoding_number(encoding),
            document_bytes: entry.body().identity.len() as u64,
            node: entry.facts.node,
            fetch_us: entry.facts.fetch_us,
        }
    }

    #[expect(
        clippy::expect_used,
        reason = "writing plain fields to a growing buffer cannot fail"
    )]
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        bincode::encode_to_vec(self, CONFIG)
            .expect("details fit their limit, because keys are bounded")
    }

    /// Reads details; also says where they end.
    pub(super) fn read(bytes: &'a [u8]) -> Option<(Self, usize)> {
        bincode::borrow_decode_from_slice(bytes, CONFIG).ok()
    }

    pub(super) fn encoding(&self) -> Option<Encoding> {
        [Encoding::Identity, Encoding::Zstd]
            .into_iter()
            .find(|&encoding| encoding_number(encoding) == self.encoding)
    }

    pub(super) fn facts(&self) -> FillFacts {
        FillFacts {
            node: self.node,
            fetch_us: self.fetch_us,
        }
    }
}

fn encoding_number(encoding: Encoding) -> u8 {
    match encoding {
        Encoding::Identity => 0,
        Encoding::Zstd => 1,
        Encoding::Gzip => 2,
    }
}
