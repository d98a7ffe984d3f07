//! A frame's counts go to the keys that are counted exactly, or to the gate.

use std::time::Duration;

use hotshelf_model::Boot;

use crate::frame::{Entry, Frame};
use crate::hash::KeyHash;
use crate::ring::WINDOW_SLOTS;
use crate::spread::Spread;
use crate::table::BATCH;

use super::decision::Refused;
use super::gate::{COUNT_PER_RATE, Reads};
use super::{Detector, GATE_SHARE, GATE_SHARE_MAX, NODES_MAX, Source, TRACKED_MAX, Tracked};

/// How much more than those that were let go a key must be read to become a candidate.
const NARROW_BY: f64 = 1.25;

/// How long the gate is narrowed, at least.
const NARROW_FOR: Duration = Duration::from_secs(10);

impl Detector {
    /// What to add to the slots of a frame.
    pub(super) fn place(&mut self, frame: &Frame, arrived: Boot) -> Result<i64, Refused> {
        let node = frame.sender.node;
        if !self.sources.contains_key(&node) {
            if self.sources.len() >= NODES_MAX {
                return Err(Refused::NodesMax);
            }
            self.sources.insert(node, Source::new(frame, arrived, None));
        }
        let source = self.sources.get_mut(&node).ok_or(Refused::NodesMax)?;
        source.take(frame, arrived)
    }

    pub(super) fn merge(&mut self, frame: &Frame, spread: &Spread, offset: i64) {
        let slot = spread.last().saturating_add_signed(offset);
        self.newest = self.newest.max(slot);
        spread.add(&mut self.reads, offset, frame.reads as f32, 0.0);
        let level = self.level();
        for batch in frame.entries.chunks(BATCH) {
            self.gate.touch(batch.iter().map(|entry| entry.key));
            for entry in batch {
                let Some(tracked) = self.tracked.get_mut(&entry.key) else {
                    self.sift(entry, spread, offset, level);
                    continue;
                };
                tracked.add(entry, spread, offset);
                if tracked.hot.is_none() && tracked.is_named() {
                    self.consider(entry.key, slot);
                }
            }
        }
    }

    /// Counts a key that is not tracked, and tracks it when it comes through the gate.
    fn sift(&mut self, entry: &Entry, spread: &Spread, offset: i64, level: f32) {
        let slot = spread.last().saturating_add_signed(offset);
        // What is not known to be of this slot, or not exactly, helps a key through the gate and no further.
        let is_exact = spread.is_whole() && entry.unit == 0;
        let reads = match is_exact {
            true => Reads::OfSlot(entry.count),
            false => Reads::OfMany(entry.count),
        };
        let Some(count) = self.gate.add(entry.key, slot, reads, level) else {
            return;
        };
        if self.tracked.len() >= TRACKED_MAX {
            self.tallies.candidates_refused += 1;
            return;
        }
        let mut tracked = Tracked::new(slot);
        tracked.ring.add(slot, f32::from(count), 0.0);
        if !is_exact {
            tracked.add(entry, spread, offset);
        }
        self.tracked.insert(entry.key, tracked);
        self.questions.push(entry.key);
    }

    /// The decayed count that makes a candidate.
    #[expect(clippy::cast_possible_truncation, reason = "a level need not be exact")]
    fn level(&self) -> f32 {
        (self.rules.threshold_min() * self.gate_share * COUNT_PER_RATE) as f32
    }

    /// Lets candidates go that are read too little, and opens the gate again some time after it was narrowed.
    pub(super) fn sweep(&mut self, slot: u64) {
        let now = self.now;
        let has_room = self.tracked.len() < TRACKED_MAX / 4;
        if has_room && now.since(self.narrowed) >= NARROW_FOR {
            self.gate_share = GATE_SHARE;
        }
        let least = self.rules.threshold_min() * self.gate_share / 2.0;
        let lags = self.lag(now) > super::status::LATE;
        self.tracked.retain(|_, tracked| {
            let is_new = slot < tracked.since + WINDOW_SLOTS;
            is_new || lags || tracked.mean_rate(slot) >= least || !tracked.may_go(now)
        });
    }

    /// Keeps the better half of too many candidates, and lets only the like of them in for a while.
    pub(super) fn narrow(&mut self, slot: u64) {
        let candidates = self
            .tracked
            .values()
            .filter(|tracked| tracked.hot.is_none());
        let mut rates: Vec<f64> = candidates.map(|tracked| tracked.mean_rate(slot)).collect();
        let middle = rates.len() / 2;
        if rates.is_empty() {
            return;
        }
        let bar = *rates.select_nth_unstable_by(middle, f64::total_cmp).1;
        let share = bar * NARROW_BY / self.rules.threshold_min();
        self.gate_share = share.clamp(GATE_SHARE, GATE_SHARE_MAX);
        self.narrowed = self.now;
        self.tracked
            .retain(|_, tracked| tracked.hot.is_some() || tracked.mean_rate(slot) > bar);
    }

    pub(super) fn ask_again(&mut self) {
        let nameless = self
            .tracked
            .iter()
            .filter(|(_, tracked)| !tracked.is_named());
        let mut hashes: Vec<KeyHash> = nameless.map(|(hash, _)| *hash).collect();
        hashes.sort_unstable();
        self.questions.extend(hashes);
        self.questions.dedup();
    }
}
