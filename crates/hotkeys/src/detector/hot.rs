//! How much is hot, and how much may be.

use std::collections::BTreeSet;

use crate::hash::KeyHash;

use super::TRACKED_MAX;

/// How much may be hot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Keys; at most half of [`TRACKED_MAX`], so that there are candidates beside them.
    pub keys_max: usize,
    /// Bytes of their entries, on each node.
    pub bytes_max: u64,
}

impl Default for Limits {
    /// 1,000 keys and 64 MiB: ten times what a shop of 50,000 reads per second has at the default threshold, in documents of 64 KiB.
    fn default() -> Self {
        Limits {
            keys_max: 1000,
            bytes_max: 64 << 20,
        }
    }
}

impl Limits {
    pub(super) fn fit(self, keys: usize, bytes: u64) -> bool {
        keys <= self.keys_max.min(TRACKED_MAX / 2) && bytes <= self.bytes_max
    }
}

/// The hashes of the hot keys, in their order, and the bytes of their entries.
#[derive(Debug, Default)]
pub(super) struct Hot {
    hashes: BTreeSet<KeyHash>,
    bytes: u64,
}

impl Hot {
    pub(super) fn keys(&self) -> usize {
        self.hashes.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = KeyHash> {
        self.hashes.iter().copied()
    }

    pub(super) fn has_room(&self, bytes: u32, limits: Limits) -> bool {
        limits.fit(self.keys() + 1, self.bytes + u64::from(bytes))
    }

    pub(super) fn put(&mut self, hash: KeyHash, bytes: u32) {
        if self.hashes.insert(hash) {
            self.bytes += u64::from(bytes);
        }
    }

    pub(super) fn take(&mut self, hash: KeyHash, bytes: u32) {
        if self.hashes.remove(&hash) {
            self.bytes -= u64::from(bytes);
        }
    }
}
