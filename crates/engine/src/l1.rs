//! L1: two bounded maps in the process, one for documents and one for absent entries, so that a flood of unknown ids evicts nothing.
//!
//! moka bounds the size and chooses whom to evict; whether a copy may be served is never asked of it.

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use equivalent::Equivalent;
use hotshelf_model::{Key, KeyRef, Kind, Version};
use hotshelf_telemetry::metric;
use moka::notification::RemovalCause;
use moka::sync::Cache;

use crate::ledger::Sight;
use crate::slot::Slot;

/// What moka keeps for an entry beyond key and value: measured by `benches/hot_path`, rounded up.
const BOOKKEEPING_BYTES: usize = 256;

/// A key brings its own seeded hash.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.is_empty(), "a key writes its hash as one number");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// A key that is looked for; hashed and compared as a [`Key`] is.
struct Sought<'a>(KeyRef<'a>);

impl Hash for Sought<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash_u64());
    }
}

impl Equivalent<Key> for Sought<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.0 == *key
    }
}

type Map = Cache<Key, Arc<Slot>, BuildHasherDefault<KeyHasher>>;

#[derive(Debug)]
pub(crate) struct L1 {
    present: Map,
    absent: Map,
}

fn map(bytes_max: u64, tier: &'static str) -> Map {
    let evictions = metric::EVICTIONS.counter(&[("tier", tier)]);
    Cache::builder()
        .max_capacity(bytes_max)
        // Takes no lock of ours: it may run inside a put.
        .eviction_listener(move |_, _, cause| {
            if cause == RemovalCause::Size {
                evictions.increment(1);
            }
        })
        .weigher(|key: &Key, slot: &Arc<Slot>| {
            let bytes = key.heap_bytes() + size_of::<Key>() + slot.bytes() + BOOKKEEPING_BYTES;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        })
        .build_with_hasher(BuildHasherDefault::default())
}

impl L1 {
    pub(crate) fn new(bytes_max: u64, absent_bytes_max: u64) -> Self {
        L1 {
            present: map(bytes_max, "l1"),
            absent: map(absent_bytes_max, "l1_absent"),
        }
    }

    #[inline]
    pub(crate) fn get<'k>(&self, key: impl Into<KeyRef<'k>>) -> Option<Arc<Slot>> {
        let key = Sought(key.into());
        self.present.get(&key).or_else(|| self.absent.get(&key))
    }

    /// As [`L1::get`], for every look of a read after its first: moka counts a miss as well, and a newcomer that is counted six times
    /// gets in before every resident. Only a copy that is there is counted.
    pub(crate) fn peek<'k>(&self, key: impl Into<KeyRef<'k>>) -> Option<Arc<Slot>> {
        let key = Sought(key.into());
        let maps = [&self.present, &self.absent].into_iter();
        let mut holding = maps.filter(|map| map.contains_key(&key));
        holding.find_map(|map| map.get(&key))
    }

    /// Puts a copy, unless a newer one is there. Returns whether it did.
    ///
    /// `_sight` is the right to do so: no record of the key is applied, and no other copy is put, before it is dropped.
    pub(crate) fn put(&self, _sight: &Sight<'_>, key: &Key, slot: Arc<Slot>) -> bool {
        if self.peek(key).is_some_and(|held| held.outranks(&slot)) {
            return false;
        }
        let (map, other) = match slot.kind() {
            Kind::Present => (&self.present, &self.absent),
            Kind::Absent => (&self.absent, &self.present),
        };
        map.insert(key.clone(), slot);
        other.invalidate(key);
        true
    }

    /// Removes a copy that is older than `version`.
    pub(crate) fn remove_older(&self, key: &Key, version: Version) {
        if self.peek(key).is_some_and(|slot| slot.version() < version) {
            self.remove(key);
        }
    }

    pub(crate) fn remove(&self, key: &Key) {
        self.present.invalidate(key);
        self.absent.invalidate(key);
    }

    /// (entries, bytes) of documents and of absent entries.
    pub(crate) fn usage(&self) -> [(u64, u64); 2] {
        [&self.present, &self.absent].map(|map| {
            map.run_pending_tasks();
            (map.entry_count(), map.weighted_size())
        })
    }
}
