//! The hot set: keys that this node holds whatever comes, as the part of L1 that is not evicted.
//!
//! It is a list of keys and no second place for copies: a hot key's copy lies in L1 and is judged, removed and replaced there like any
//! other, so nothing hot is ever staler than anything else. L1 asks here, when it looks for somebody to evict, whether a key stays; a hit
//! asks nothing. `keeper` sees to it that there is a copy.
//!
//! A key has one or more reasons, and is hot as long as it has one. Room is reserved for what its last copy weighed, also while there is
//! none. Beyond the share of L1 a hot key's copy is held like any other: as long as there is room.

mod state;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hotshelf_coherence::FloorKey;
use hotshelf_model::{Boot, Key, Version};
use hotshelf_telemetry::{Counter, metric};
use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::settings::HotSettings;
use state::State;

pub(crate) use state::Room;

/// Why a key is hot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HotReason {
    /// The cluster's detector found it.
    Detected,
    /// This node found it alone.
    Provisional,
    /// An operator or a campaign wants it held.
    Pinned,
}

impl HotReason {
    /// Every reason.
    pub const ALL: [HotReason; 3] = [
        HotReason::Detected,
        HotReason::Provisional,
        HotReason::Pinned,
    ];

    /// The word in answers and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            HotReason::Detected => "detected",
            HotReason::Provisional => "provisional",
            HotReason::Pinned => "pinned",
        }
    }

    fn bit(self) -> u8 {
        match self {
            HotReason::Detected => 1,
            HotReason::Provisional => 2,
            HotReason::Pinned => 4,
        }
    }
}

/// The reasons of one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HotReasons(u8);

impl HotReasons {
    /// Whether `reason` is one of them.
    pub fn contains(self, reason: HotReason) -> bool {
        self.0 & reason.bit() != 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = HotReason> {
        let reasons = HotReason::ALL.into_iter();
        reasons.filter(move |&reason| self.contains(reason))
    }

    fn with(self, reason: HotReason) -> Self {
        HotReasons(self.0 | reason.bit())
    }

    fn without(self, reason: HotReason) -> Self {
        HotReasons(self.0 & !reason.bit())
    }
}

/// What became of an attempt to promote a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromotionOutcome {
    /// It is hot from now on.
    Promoted,
    /// It was hot already, and now has this reason too.
    Known,
    /// It is banned.
    Banned,
    /// There are as many hot keys as there may be.
    Full,
    /// There is no such namespace.
    Unknown,
}

impl PromotionOutcome {
    const ALL: [PromotionOutcome; 5] = [
        PromotionOutcome::Promoted,
        PromotionOutcome::Known,
        PromotionOutcome::Banned,
        PromotionOutcome::Full,
        PromotionOutcome::Unknown,
    ];

    /// The word in metrics and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            PromotionOutcome::Promoted => "promoted",
            PromotionOutcome::Known => "known",
            PromotionOutcome::Banned => "banned",
            PromotionOutcome::Full => "full",
            PromotionOutcome::Unknown => "unknown",
        }
    }
}

/// A hot key, for people and for those who follow the hot set.
#[derive(Clone, Debug)]
pub struct HotKey {
    /// The key.
    pub key: Key,
    /// Why it is hot.
    pub reasons: HotReasons,
    /// How long it has been hot on this node.
    pub age: Duration,
    /// Whether a copy is in L1 now and is not evicted.
    pub held: bool,
    /// The version of the copy in L1, held or not; `None` while there is none.
    pub version: Option<Version>,
    /// Bytes of L1 that its last copy took, the document to come included; 0 before there was one.
    pub bytes: u64,
}

/// What of a hot key the hot set itself knows.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) key: Key,
    pub(crate) reasons: HotReasons,
    pub(crate) since: Boot,
    pub(crate) has_room: bool,
    pub(crate) bytes: u64,
}

#[derive(Debug)]
struct HotCounters {
    promotions: [Counter; 5],
    demoted: Counter,
    banned: Counter,
    displaced: Counter,
    overflows: Counter,
}

/// The keys that are hot on this node.
#[derive(Debug)]
pub(crate) struct HotSet {
    settings: HotSettings,
    state: RwLock<State>,
    /// How many there are, so that a cache without any takes no lock.
    count: AtomicUsize,
    /// Told when a key is wanted.
    wanted: Notify,
    counters: HotCounters,
}

impl HotSet {
    /// An empty one beside an L1 of `l1_bytes_max`.
    pub(crate) fn new(settings: HotSettings, l1_bytes_max: u64) -> Self {
        let bytes_max = l1_bytes_max / 100 * u64::from(settings.l1_share_percent.min(100));
        let demotions = |cause: &'static str| metric::DEMOTIONS.counter(&[("cause", cause)]);
        let promotions = |outcome: PromotionOutcome| {
            metric::PROMOTIONS.counter(&[("outcome", outcome.as_str())])
        };
        HotSet {
            state: RwLock::new(State::new(settings.keys_max, bytes_max)),
            settings,
            count: AtomicUsize::new(0),
            wanted: Notify::new(),
            counters: HotCounters {
                promotions: PromotionOutcome::ALL.map(promotions),
                demoted: demotions("demoted"),
                banned: demotions("banned"),
                displaced: demotions("displaced"),
                overflows: metric::HOT_OVERFLOWS.counter(&[]),
            },
        }
    }

    fn is_empty(&self) -> bool {
        // Relaxed: who promotes does not count on being seen at once; the keeper looks at each key later.
        self.count.load(Ordering::Relaxed) == 0
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.write();
        let outcome = change(&mut state);
        self.count.store(state.len(), Ordering::Relaxed);
        outcome
    }

    pub(crate) fn contains(&self, key: &Key) -> bool {
        !self.is_empty() && self.state.read().contains(key)
    }

    /// Whether L1 is not to evict the key's copy.
    pub(crate) fn stays(&self, key: &Key) -> bool {
        !self.is_empty() && self.state.read().has_room(key)
    }

    /// Gives a key a reason. One that was not hot is not tried for until [`HotSet::tried`]: its copy is fetched a little later.
    pub(crate) fn promote(&self, key: &Key, reason: HotReason, now: Boot) -> PromotionOutcome {
        let (outcome, displaced) = self.change(|state| state.promote(key, reason, now));
        self.counters.displaced.increment(u64::from(displaced));
        if outcome == PromotionOutcome::Promoted {
            // A keeper without any keys sleeps.
            self.wanted.notify_one();
        }
        self.count(outcome);
        outcome
    }

    pub(crate) fn count(&self, outcome: PromotionOutcome) {
        let at = PromotionOutcome::ALL
            .iter()
            .position(|&known| known == outcome);
        self.counters.promotions[at.unwrap_or_default()].increment(1);
    }

    /// Takes a reason away from a key; without any it is hot no longer.
    pub(crate) fn demote(&self, key: &Key, reason: HotReason) {
        let is_gone = self.change(|state| state.demote(key, reason));
        self.counters.demoted.increment(u64::from(is_gone));
    }

    /// Bans exactly these keys from now on.
    pub(crate) fn ban(&self, keys: impl IntoIterator<Item = Key>) {
        let gone = self.change(|state| state.ban(keys.into_iter().collect()));
        self.counters.banned.increment(gone as u64);
    }

    /// Reserves the room for a copy that is, or is to be, in L1.
    pub(crate) fn weigh(&self, key: &Key, bytes: u64) {
        if !self.contains(key) {
            return;
        }
        let room = self.state.write().weigh(key, bytes);
        self.counters
            .overflows
            .increment(u64::from(room == Room::Refused));
    }

    /// Whether a hot key's copy may take so many bytes more and stay.
    pub(crate) fn may_grow(&self, key: &Key, bytes: u64) -> bool {
        self.state.read().may_grow(key, bytes)
    }

    /// The keeper is to look at the key at once: something has happened to its copy.
    pub(crate) fn changed(&self, key: &Key) {
        if self.contains(key) && self.state.write().changed(key) {
            self.wanted.notify_one();
        }
    }

    /// Whether the keeper may try to mend what a key lacks. Then nobody else may, until [`HotSet::tried`].
    pub(crate) fn try_for(&self, key: &Key, now: Boot, again_at: Boot) -> bool {
        self.state.write().try_for(key, now, again_at)
    }

    /// Ends an attempt for a key; if it did what it should, the next one need not wait.
    pub(crate) fn tried(&self, key: &Key, is_mended: bool) {
        if self.state.write().tried(key, is_mended) {
            self.wanted.notify_one();
        }
    }

    /// Waits until keys are wanted or `round` has come; without hot keys it never comes. Returns the wanted ones, or all.
    pub(crate) async fn due(&self, round: Instant) -> (Vec<Key>, bool) {
        loop {
            let is_round = !self.is_empty() && Instant::now() >= round;
            if is_round {
                return (self.state.read().keys(), true);
            }
            let wanted = self.state.write().take_wanted();
            if !wanted.is_empty() {
                return (wanted, false);
            }
            if self.is_empty() {
                self.wanted.notified().await;
            } else {
                // Which of the two it was shows in the next turn.
                tokio::time::timeout_at(round, self.wanted.notified())
                    .await
                    .ok();
            }
        }
    }

    /// How long before its moment a document to come is fetched, spread over the keys so that nothing else gives way to them.
    pub(crate) fn lead(&self, key: &Key) -> Duration {
        let spread = FloorKey::of(key.namespace(), key.id()).0 % 512;
        let half = self.settings.lead / 2;
        half + half * u32::try_from(spread).unwrap_or_default() / 512
    }

    /// Keys and bytes that it holds at most.
    pub(crate) fn room(&self) -> (usize, u64) {
        self.state.read().room()
    }

    /// What is known of one key, if it is hot.
    pub(crate) fn find(&self, key: &Key) -> Option<Listed> {
        self.state.read().find(key)
    }

    /// Whether no reason makes the key hot.
    pub(crate) fn is_banned(&self, key: &Key) -> bool {
        self.state.read().is_banned(key)
    }

    /// What is hot, the oldest first.
    pub(crate) fn list(&self) -> Vec<Listed> {
        self.state.read().list()
    }
}

#[cfg(test)]
#[cfg(not(feature = "interleavings"))]
mod tests;
