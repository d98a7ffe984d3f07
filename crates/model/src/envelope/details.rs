//! The described part: what is not compared by anybody.

use crate::bincoded::{self, BorrowDecode, Encode};
use crate::entry::{Encoding, Entry, FillFacts};
use crate::key::Key;

/// Longer details are damage; a key has at most some 700 bytes.
const DETAILS_BYTES_MAX: usize = 2048;

#[derive(Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub(super) struct Details {
    pub(super) key: String,
    encoding: u8,
    pub(super) document_bytes: u64,
    node: u32,
    fetch_us: u32,
}

impl Details {
    pub(super) fn new(key: &Key, encoding: Encoding, entry: &Entry) -> Self {
        Details {
            key: key.as_str().to_owned(),
            encoding: encoding_number(encoding),
            document_bytes: entry.body().identity.len() as u64,
            node: entry.facts.node,
            fetch_us: entry.facts.fetch_us,
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        bincoded::to_bytes(self)
    }

    /// Reads details; also says where they end.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        bincoded::read::<_, DETAILS_BYTES_MAX>(bytes)
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
