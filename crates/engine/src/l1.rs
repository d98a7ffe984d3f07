//! L1: two bounded maps in the process, one for documents and one for absent entries, so that a flood of unknown ids evicts nothing.
//!
//! Copies of hot keys are pinned: they count, and are never evicted.
//!
//! `quick_cache` bounds the size and chooses whom to evict; whether a copy may be served is never asked of it.

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use equivalent::Equivalent;
use hotshelf_model::{Key, KeyRef, Kind, Version};
use hotshelf_telemetry::{Counter, metric};
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use crate::hot_set::HotSet;
use crate::ledger::Sight;
use crate::settings::EngineSettings;
use crate::slot::Slot;

/// What the map keeps for an entry beyond key and value: measured by `benches/memory`, rounded up.
const BOOKKEEPING_BYTES: usize = 96;
/// What a document's entry weighs when nothing is known yet; only the policy's memory of what it has evicted is sized by it.
const PRESENT_BYTES_USUAL: u64 = 2048;
/// The same of an absent entry.
const ABSENT_BYTES_USUAL: u64 = 384;
/// A shard is no smaller than this, because an entry that does not fit its shard is not kept.
const SHARD_BYTES_MIN: u64 = 16 << 20;
/// More shards than this keep nobody from waiting.
const SHARDS_MAX: u64 = 256;

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

/// An entry weighs what it holds in memory.
#[derive(Clone, Copy, Debug)]
struct Bytes;

impl Weighter<Key, Arc<Slot>> for Bytes {
    fn weight(&self, key: &Key, slot: &Arc<Slot>) -> u64 {
        weight(key, slot)
    }
}

fn weight(key: &Key, slot: &Slot) -> u64 {
    weight_of(key, slot.bytes())
}

/// What an entry weighs whose slot has so many bytes.
pub(crate) fn weight_of(key: &Key, slot_bytes: usize) -> u64 {
    let bytes = key.heap_bytes() + size_of::<Key>() + slot_bytes + BOOKKEEPING_BYTES;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Counts evictions, spares what is hot, and has what was evicted dropped after the shard's lock is.
#[derive(Clone, Debug)]
struct Evictions {
    counter: Counter,
    hot: Arc<HotSet>,
}

impl Lifecycle<Key, Arc<Slot>> for Evictions {
    type RequestState = Vec<(Key, Arc<Slot>)>;

    fn is_pinned(&self, key: &Key, _slot: &Arc<Slot>) -> bool {
        self.hot.stays(key)
    }

    fn before_evict(&self, _state: &mut Self::RequestState, _key: &Key, _slot: &mut Arc<Slot>) {
        self.counter.increment(1);
    }

    fn on_evict(&self, state: &mut Self::RequestState, key: Key, slot: Arc<Slot>) {
        state.push((key, slot));
    }
}

type Map = Cache<Key, Arc<Slot>, Bytes, BuildHasherDefault<KeyHasher>, Evictions>;

#[derive(Debug)]
pub(crate) struct L1 {
    pub(crate) hot: Arc<HotSet>,
    present: Map,
    absent: Map,
}

#[expect(
    clippy::expect_used,
    reason = "the options lack nothing that is required"
)]
fn map(bytes_max: u64, bytes_usual: u64, tier: &'static str, hot: &Arc<HotSet>) -> Map {
    let shards = (bytes_max / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
    // Shards are made in powers of two.
    let shards = 1 << shards.ilog2();
    let entries = usize::try_from(bytes_max / bytes_usual).unwrap_or(usize::MAX);
    let options = OptionsBuilder::new()
        .shards(shards)
        .estimated_items_capacity(entries)
        .weight_capacity(bytes_max)
        .build()
        .expect("both capacities are given");
    let evictions = Evictions {
        counter: metric::EVICTIONS.counter(&[("tier", tier)]),
        hot: Arc::clone(hot),
    };
    Cache::with_options(options, Bytes, BuildHasherDefault::default(), evictions)
}

impl L1 {
    pub(crate) fn new(settings: &EngineSettings) -> Self {
        let (bytes_max, absent_bytes_max) = (settings.l1_bytes_max, settings.absent_bytes_max);
        let hot = Arc::new(HotSet::new(settings.hot, bytes_max));
        L1 {
            present: map(bytes_max, PRESENT_BYTES_USUAL, "l1", &hot),
            absent: map(absent_bytes_max, ABSENT_BYTES_USUAL, "l1_absent", &hot),
            hot,
        }
    }

    #[inline]
    pub(crate) fn get<'k>(&self, key: impl Into<KeyRef<'k>>) -> Option<Arc<Slot>> {
        let key = Sought(key.into());
        self.present.get(&key).or_else(|| self.absent.get(&key))
    }

    /// What a get would give. It does not count as an access.
    pub(crate) fn peek<'k>(&self, key: impl Into<KeyRef<'k>>) -> Option<Arc<Slot>> {
        let key = Sought(key.into());
        self.present.peek(&key).or_else(|| self.absent.peek(&key))
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
        // Before, because what makes room for it must not be the copy itself.
        self.hot.weigh(key, weight(key, &slot));
        map.insert(key.clone(), slot);
        other.remove(key);
        true
    }

    /// Removes a copy that is older than `version`.
    pub(crate) fn remove_older(&self, key: &Key, version: Version) {
        for map in [&self.present, &self.absent] {
            map.remove_if(key, |slot| slot.version() < version);
        }
    }

    /// Removes a copy; a hot key gets another one.
    pub(crate) fn remove(&self, key: &Key) {
        self.present.remove(key);
        self.absent.remove(key);
        self.hot.changed(key);
    }

    /// Reserves the room for a copy of a key that was not hot when the copy was put, or had no room then.
    pub(crate) fn weigh(&self, key: &Key) {
        if let Some(slot) = self.peek(key) {
            self.hot.weigh(key, weight(key, &slot));
        }
    }

    /// (entries, bytes) of documents and of absent entries.
    pub(crate) fn usage(&self) -> [(u64, u64); 2] {
        [&self.present, &self.absent].map(|map| {
            let entries = u64::try_from(map.len()).unwrap_or(u64::MAX);
            (entries, map.weight())
        })
    }
}
