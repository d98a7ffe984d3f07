//! Which keys are hot in the whole cluster, from the frames of all its nodes.
//!
//! Every key that is read has a decaying count (`gate`). One that may come to a tenth of the least threshold becomes a
//! *candidate*: its counts are kept exactly from there on, in slots of 100 ms (`ring`), the nodes are asked for its name, and
//! the rules say what its threshold is. It is *promoted* when a window of 0.2 to 2 s holds more than the threshold allows by chance
//! (`poisson`), and *demoted* when it was read at less than six tenths of the threshold over ten seconds, for three seconds.
//!
//! - A slice counts for the time when it was counted, on the detector's own clock (`source`); clocks of two machines are never compared.
//! - A frame that comes late, twice or out of order is counted once or not at all.
//! - What is missing never demotes: while a node is silent, or more than half its frames are lost, keys stay.
//! - The same frames at the same times lead to the same decisions; at other times, to the same hot keys.
//! - Everything is bounded: candidates by [`TRACKED_MAX`], live keys by [`LIVE_MAX`] in each half of the gate, nodes by [`NODES_MAX`].
//!
//! Deliberately absent: a clock, a sketch (a slice is small enough to be counted), and any memory of a key longer than five minutes.

use std::collections::BTreeMap;

use hotshelf_model::{Boot, Key};

use crate::frame::Frame;
use crate::hash::{KeyHash, KeyMap};
use crate::ring::Ring;
use crate::rules::{Rules, Verdict};
use crate::slices::{WATCHED_MAX, number};
use crate::spread::Spread;

mod decision;
mod demote;
mod gate;
mod hot;
mod merge;
mod promote;
mod source;
mod status;
mod tracked;

pub use decision::{
    Decision, Demotion, DemotionReason, HotKey, Promotion, PromotionReason, Refused,
};
use gate::Gate;
use hot::Hot;
pub use hot::Limits;
use source::Source;
pub use status::{FROZEN, GONE, Health, LATE, Status, Tallies};
use tracked::Tracked;

/// Candidates and hot keys together; nodes watch no more.
pub const TRACKED_MAX: usize = WATCHED_MAX;

/// Keys in each of the gate's two halves; 22 to 43 bytes each, so 64 MiB at most.
pub const LIVE_MAX: usize = 1 << 20;

/// Nodes whose frames are taken.
pub const NODES_MAX: usize = 1024;

/// A candidate may come to this part of the least threshold.
const GATE_SHARE: f64 = 0.1;

/// The gate's share when there are too many candidates is at most this: above it, keys would be missed.
const GATE_SHARE_MAX: f64 = 0.8;

/// Finds hot keys. One thread owns it; nothing in it waits.
#[derive(Debug)]
pub struct Detector {
    rules: Rules,
    limits: Limits,
    gate: Gate,
    /// What part of the least threshold makes a candidate.
    gate_share: f64,
    /// When that was raised last.
    narrowed: Boot,
    tracked: KeyMap<Tracked>,
    hot: Hot,
    sources: BTreeMap<u32, Source>,
    /// Reads of all keys.
    reads: Ring<100>,
    /// The newest slot in which something was counted.
    newest: u64,
    /// The latest moment that was handed in.
    now: Boot,
    /// When a frame was last counted.
    heard: Boot,
    health: Health,
    is_frozen: bool,
    /// The slot of the last tick.
    ticked: u64,
    /// Whether a candidate found no room since the last tick.
    is_crowded: bool,
    decisions: Vec<Decision>,
    questions: Vec<KeyHash>,
    tallies: Tallies,
}

impl Detector {
    /// Knows of nothing yet. `now` is of the detector's own boot clock, here and everywhere.
    pub fn new(rules: Rules, limits: Limits, now: Boot) -> Self {
        Detector {
            gate: Gate::new(number(now)),
            gate_share: GATE_SHARE,
            narrowed: now,
            tracked: KeyMap::default(),
            hot: Hot::default(),
            sources: BTreeMap::new(),
            reads: Ring::new(number(now)),
            newest: number(now),
            now,
            heard: now,
            health: Health::Live,
            is_frozen: false,
            ticked: number(now),
            is_crowded: false,
            decisions: Vec::new(),
            questions: Vec::new(),
            tallies: Tallies::default(),
            rules,
            limits,
        }
    }

    /// Puts other rules in force. What was counted stays, so that a key which is hot by both is never let go between them.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
        for tracked in self.tracked.values_mut() {
            tracked.judge_by(&self.rules);
        }
        let never =
            self.hot_where(|tracked, rules| matches!(tracked.verdict(rules), Some(Verdict::Never)));
        for hash in never {
            self.demote(hash, DemotionReason::Rule);
        }
    }

    /// Whether the hot set is to stay as it is, from the next tick on. Reads are counted all the same.
    pub fn freeze(&mut self, is_frozen: bool) {
        self.is_frozen = is_frozen;
    }

    /// Sets how much may be hot. When that is less than what is, the next tick demotes the least read.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes a node's frame as it arrives.
    ///
    /// # Errors
    /// Says why the frame counts for nothing. That is ordinary (the bus repeats and delays), counted, and nothing to log.
    pub fn frame(&mut self, frame: &Frame, arrived: Boot) -> Result<(), Refused> {
        self.now = self.now.max(arrived);
        let placed = self.place(frame, arrived);
        let offset = placed.inspect_err(|refused| self.tallies.refuse(*refused))?;
        self.heard = self.now;
        self.tallies.frames += 1;
        self.tallies.entries += frame.entries.len() as u64;
        let dropped = self.tallies.dropped_reads.saturating_add(frame.dropped);
        self.tallies.dropped_reads = dropped;
        let spread = Spread::new(frame.opened_ms, u64::from(frame.length_ms), 100);
        self.merge(frame, &spread, offset);
        Ok(())
    }

    /// Answers a question: the key of a hash, and how many bytes its entry takes. May be answered by every node that knows; the first
    /// counts. An answer that nobody waits for is passed over.
    pub fn name(&mut self, hash: KeyHash, key: &Key, bytes: u32, now: Boot) {
        self.now = self.now.max(now);
        let Some(tracked) = self.tracked.get_mut(&hash) else {
            return;
        };
        if tracked.name(key, bytes, &self.rules) {
            self.consider(hash, self.newest);
        }
    }

    /// Lets time pass: demotes, makes room, forgets what has gone. Call it each 100 ms; when it is called late, nothing is lost.
    pub fn tick(&mut self, now: Boot) {
        let slot = number(now);
        if slot <= self.ticked {
            return;
        }
        let turns = slot / 20 > self.ticked / 20;
        let asks_again = slot / 10 > self.ticked / 10;
        self.ticked = slot;
        self.now = self.now.max(now);
        self.forget_silent(now);
        self.health = self.measure(now);
        if turns {
            self.gate.turn();
        }
        if self.tracked.len() >= TRACKED_MAX {
            self.narrow(slot);
        }
        if asks_again {
            self.sweep(slot);
            self.ask_again();
        }
        self.cool(slot);
        self.make_room(slot);
    }

    /// Takes a node off, because it has left the cluster or will not come back. Until then, for 30 s, its silence keeps keys hot.
    pub fn leave(&mut self, node: u32) {
        self.sources.remove(&node);
    }

    /// Makes a key hot without counts, from a snapshot of before a start. Demoted as any other, if it is not read as it was.
    pub fn hold(&mut self, hash: KeyHash, key: &Key, bytes: u32, now: Boot) {
        if self.tracked.len() >= TRACKED_MAX && !self.tracked.contains_key(&hash) {
            self.tallies.candidates_refused += 1;
            return;
        }
        self.now = self.now.max(now);
        let slot = number(now);
        let tracked = self.tracked.entry(hash);
        let tracked = tracked.or_insert_with(|| Tracked::new(slot));
        tracked.name(key, bytes, &self.rules);
        self.promote_for(hash, slot, PromotionReason::Snapshot);
    }

    /// What was decided since the last call, in the order in which it was. Only the leading detector's are carried out.
    pub fn decisions(&mut self) -> Vec<Decision> {
        std::mem::take(&mut self.decisions)
    }

    /// Hashes whose keys are to be asked of the nodes: at once when they become candidates, and each second again until answered.
    pub fn questions(&mut self) -> Vec<KeyHash> {
        std::mem::take(&mut self.questions)
    }

    /// The keys that nodes are to count exactly, in no order: at most [`TRACKED_MAX`].
    pub fn watched(&self) -> impl Iterator<Item = KeyHash> {
        self.tracked.keys().copied()
    }
}

#[cfg(test)]
mod tests;
