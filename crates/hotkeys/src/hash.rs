//! What nodes call a key when they count it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZeroU64;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A hash of a key's text that is the same on every node of a cluster.
///
/// Not [`hotshelf_model::Key::hash_u64`], which differs in each process. Two keys that shared a hash would be counted as one; among
/// ten million keys that happens once in 370,000 clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(NonZeroU64);

impl KeyHash {
    /// The hash of a key's whole text. `seed` is the cluster's, and unknown outside it (the database's history will do), so that
    /// nobody can make keys that share a hash.
    pub fn of(key: &str, seed: u64) -> Self {
        Self::new(xxh3_64_with_seed(key.as_bytes(), seed))
    }

    /// A hash by its number; 0 is taken for 1.
    pub fn new(hash: u64) -> Self {
        KeyHash(NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN))
    }

    /// Its number, never 0.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

/// A map by key hashes, which need no more hashing. Walked in an order that depends only on what was done to it.
pub type KeyMap<V> = HashMap<KeyHash, V, BuildHasherDefault<AsItIs>>;

/// Takes a hash for its own hash.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_key_is_the_same_in_every_version() {
        let hash = KeyHash::of("products//A-1", 42);
        assert_eq!(hash.get(), xxh3_64_with_seed(b"products//A-1", 42));
        assert_ne!(hash, KeyHash::of("products//A-1", 43));
        assert_eq!(KeyHash::new(0), KeyHash::new(1));
    }
}
