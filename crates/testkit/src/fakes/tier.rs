//! A tier in memory that holds real envelope bytes.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hotshelf_model::envelope::{self, EncodeOptions};
use hotshelf_model::{
    BoxFuture, BreakerState, Entry, Lookup, MissReason, PutOutcome, Tier, TierKey, TierName,
    TierRoom, TierStatus, UnavailableReason,
};
use parking_lot::Mutex;

use super::Gate;

const DOCUMENT_BYTES_MAX: usize = 16 << 20;

/// What a test has told the tier to do.
#[derive(Clone, Copy, Debug, Default)]
struct Knobs {
    unavailable: Option<UnavailableReason>,
    delay: Duration,
    second_hit: bool,
    bytes_max: Option<u64>,
}

/// A fake of L2 or L3. Share it between engines to make them nodes that share a tier.
#[derive(Debug)]
pub struct FakeTier {
    /// Holds lookups, after their keys were looked up and before they are answered.
    pub lookups: Gate,
    /// Holds puts, before they are written.
    pub puts: Gate,
    name: TierName,
    held: Mutex<HashMap<TierKey, Bytes>>,
    seen: Mutex<HashSet<TierKey>>,
    knobs: Mutex<Knobs>,
    keys_looked_up: AtomicU64,
    get_calls: AtomicU64,
    keys_put: AtomicU64,
    keys_removed: AtomicU64,
}

impl FakeTier {
    /// An empty tier that works.
    pub fn new(name: TierName) -> Self {
        FakeTier {
            lookups: Gate::default(),
            puts: Gate::default(),
            name,
            held: Mutex::default(),
            seen: Mutex::default(),
            knobs: Mutex::default(),
            keys_looked_up: AtomicU64::new(0),
            get_calls: AtomicU64::new(0),
            keys_put: AtomicU64::new(0),
            keys_removed: AtomicU64::new(0),
        }
    }

    /// Answers `Unavailable` from now on, until [`FakeTier::recover`]. What is held stays.
    pub fn fail(&self, reason: UnavailableReason) {
        self.knobs.lock().unavailable = Some(reason);
    }

    /// Works again, without delay.
    pub fn recover(&self) {
        let mut knobs = self.knobs.lock();
        knobs.unavailable = None;
        knobs.delay = Duration::ZERO;
    }

    /// Every call takes this long from now on.
    pub fn delay(&self, delay: Duration) {
        self.knobs.lock().delay = delay;
    }

    /// Declines the first put of each key from now on, as L3 does.
    pub fn admit_on_second_put(&self) {
        self.knobs.lock().second_hit = true;
    }

    /// Says from now on that it has room for so many bytes. Nothing is evicted.
    pub fn bound(&self, bytes_max: u64) {
        self.knobs.lock().bytes_max = Some(bytes_max);
    }

    /// Flips a bit of a copy; says whether there is one.
    pub fn damage(&self, key: &TierKey) -> bool {
        let mut held = self.held.lock();
        let Some(bytes) = held.get_mut(key) else {
            return false;
        };
        let mut damaged = bytes.to_vec();
        if let Some(last) = damaged.last_mut() {
            *last ^= 1;
        }
        *bytes = damaged.into();
        true
    }

    /// Forgets everything, as a Redis that was restarted.
    pub fn clear(&self) {
        self.held.lock().clear();
    }

    /// All that it holds, to be put back later.
    pub fn copies(&self) -> HashMap<TierKey, Bytes> {
        self.held.lock().clone()
    }

    /// Holds what it did when the copies were taken, and nothing else.
    pub fn put_back(&self, copies: HashMap<TierKey, Bytes>) {
        *self.held.lock() = copies;
    }

    /// How many copies it holds.
    pub fn len(&self) -> usize {
        self.held.lock().len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy, without counting as a lookup.
    pub fn entry(&self, key: &TierKey) -> Option<Entry> {
        self.look_up(key).into_entry()
    }

    /// How many keys were looked up.
    pub fn keys_looked_up(&self) -> u64 {
        self.keys_looked_up.load(Ordering::SeqCst)
    }

    /// How many calls looked keys up.
    pub fn get_calls(&self) -> u64 {
        self.get_calls.load(Ordering::SeqCst)
    }

    /// How many entries were offered.
    pub fn keys_put(&self) -> u64 {
        self.keys_put.load(Ordering::SeqCst)
    }

    /// How many keys were to be removed.
    pub fn keys_removed(&self) -> u64 {
        self.keys_removed.load(Ordering::SeqCst)
    }

    fn look_up(&self, key: &TierKey) -> Lookup {
        let Some(bytes) = self.held.lock().get(key).cloned() else {
            return Lookup::Miss(MissReason::NotFound);
        };
        match envelope::decode(&bytes, &key.key, DOCUMENT_BYTES_MAX) {
            Ok(entry) => Lookup::found(entry),
            Err(reason) => Lookup::Miss(reason),
        }
    }

    fn put(&self, key: &TierKey, entry: &Entry) -> PutOutcome {
        if self.knobs.lock().second_hit && self.seen.lock().insert(key.clone()) {
            return PutOutcome::Declined;
        }
        let mut held = self.held.lock();
        let newest = held.get(key).and_then(|bytes| envelope::stamp(bytes).ok());
        if newest.is_some_and(|newest| newest > entry.stamp) {
            return PutOutcome::Fenced;
        }
        let bytes = envelope::encode(&key.key, entry, EncodeOptions::PLAIN);
        held.insert(key.clone(), bytes);
        PutOutcome::Stored
    }

    /// Takes the time that a test asked for; then says whether the tier can be asked.
    async fn work(&self) -> Option<UnavailableReason> {
        let delay = self.knobs.lock().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.knobs.lock().unavailable
    }
}

impl Tier for FakeTier {
    fn name(&self) -> TierName {
        self.name
    }

    fn get_many<'a>(&'a self, keys: &'a [TierKey]) -> BoxFuture<'a, Vec<Lookup>> {
        Box::pin(async move {
            self.get_calls.fetch_add(1, Ordering::SeqCst);
            self.keys_looked_up
                .fetch_add(keys.len() as u64, Ordering::SeqCst);
            if let Some(reason) = self.work().await {
                return vec![Lookup::Unavailable(reason); keys.len()];
            }
            let answers = keys.iter().map(|key| self.look_up(key)).collect();
            self.lookups.pass().await;
            answers
        })
    }

    fn put_many<'a>(&'a self, entries: &'a [(TierKey, Entry)]) -> BoxFuture<'a, Vec<PutOutcome>> {
        Box::pin(async move {
            self.keys_put
                .fetch_add(entries.len() as u64, Ordering::SeqCst);
            self.puts.pass().await;
            if let Some(reason) = self.work().await {
                return vec![PutOutcome::Unavailable(reason); entries.len()];
            }
            entries
                .iter()
                .map(|(key, entry)| self.put(key, entry))
                .collect()
        })
    }

    fn warm_many<'a>(&'a self, entries: &'a [(TierKey, Entry)]) -> BoxFuture<'a, Vec<PutOutcome>> {
        let mut seen = self.seen.lock();
        seen.extend(entries.iter().map(|(key, _)| key.clone()));
        drop(seen);
        self.put_many(entries)
    }

    fn room(&self) -> BoxFuture<'_, TierRoom> {
        let bytes_max = self.knobs.lock().bytes_max;
        let bytes = self.status().bytes;
        let room = TierRoom { bytes_max, bytes };
        Box::pin(async move { room })
    }

    fn weigh(&self, key: &TierKey, entry: &Entry) -> u64 {
        envelope::encode(&key.key, entry, EncodeOptions::PLAIN).len() as u64
    }

    fn remove_many<'a>(&'a self, keys: &'a [TierKey]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.keys_removed
                .fetch_add(keys.len() as u64, Ordering::SeqCst);
            if self.work().await.is_some() {
                return;
            }
            let mut held = self.held.lock();
            for key in keys {
                held.remove(key);
            }
        })
    }

    fn status(&self) -> TierStatus {
        let open = self.knobs.lock().unavailable == Some(UnavailableReason::Open);
        let held = self.held.lock();
        TierStatus {
            breaker: if open {
                BreakerState::Open
            } else {
                BreakerState::Closed
            },
            bytes: Some(held.values().map(|bytes| bytes.len() as u64).sum()),
            entries: Some(held.len() as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use hotshelf_model::{DbTime, Stamp};

    use super::*;
    use crate::names::{fresh_hist, tier_key};

    #[tokio::test(start_paused = true)]
    async fn a_fake_tier_fails_slows_and_damages_as_told() {
        let tier = FakeTier::new(TierName::L2);
        let keys = [tier_key(fresh_hist(), "A-1")];
        let entry = Entry::absent(Stamp::default(), DbTime(1));
        assert!(!tier.damage(&keys[0]));
        tier.put_many(&[(keys[0].clone(), entry.clone())]).await;
        assert_eq!(tier.entry(&keys[0]), Some(entry));

        tier.fail(UnavailableReason::Open);
        let open = Lookup::Unavailable(UnavailableReason::Open);
        assert_eq!(tier.get_many(&keys).await, [open]);
        assert_eq!(tier.status().breaker, BreakerState::Open);
        tier.recover();

        tier.delay(Duration::from_secs(3));
        let begun = tokio::time::Instant::now();
        tier.remove_many(&[]).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
        tier.recover();

        assert!(tier.damage(&keys[0]));
        assert_eq!(
            tier.get_many(&keys).await,
            [Lookup::Miss(MissReason::Damaged)]
        );
        assert_eq!(
            (tier.keys_looked_up(), tier.get_calls(), tier.keys_put()),
            (2, 2, 1)
        );
        tier.clear();
        assert!(tier.is_empty());
    }
}
