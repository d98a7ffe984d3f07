//! What a node promotes by itself while no detector speaks.
//!
//! A key that is read on this node at three times its share of the threshold (threshold ÷ nodes) is hot here for three seconds, and
//! again as long as that goes on. Counts are kept all the time, so that a node which is suddenly alone knows the last second.

use std::time::Duration;

use hotshelf_model::{Boot, Key};

use crate::hash::{KeyHash, KeyMap};
use crate::poisson::{Sum, Window, is_above};
use crate::ring::Ring;
use crate::rules::{Rules, Verdict};
use crate::slices::{SLICE, Slice};
use crate::spread::Spread;

/// A node is alone when the leading detector said nothing for so long, or says that it is [`crate::Health::Late`] or worse.
pub const SILENT_AFTER: Duration = Duration::from_millis(500);

/// How long a provisional promotion lasts.
pub const PROVISIONAL_TTL: Duration = Duration::from_secs(3);

/// It is renewed when less than this is left, so that it is said again once a second and not with each slice.
const RENEWED_AT: Duration = Duration::from_secs(2);

/// A key must be read at so many times its share: load is never spread quite evenly.
const SHARE_FACTOR: f64 = 3.0;

/// Keys whose last seconds are kept.
const TRACKED_MAX: usize = 1024;

/// A key is kept from this part of the least rate on that would promote it.
const GATE_SHARE: f64 = 0.1;

/// How alone the node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alone {
    /// Nodes that share the reads, this one among them; at least 1.
    pub nodes: u32,
    /// Whether no detector speaks ([`SILENT_AFTER`]).
    pub is_silent: bool,
}

/// A key that the node holds for a while by its own judgement.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its hash.
    pub hash: KeyHash,
    /// The key.
    pub key: Key,
    /// Reads per second on this node.
    pub rate: f64,
    /// When it ends, unless it is found again.
    pub until: Boot,
}

/// The node's own judgement. At most 300 KiB.
#[derive(Debug, Default)]
pub struct Provisional {
    tracked: KeyMap<Local>,
}

#[derive(Debug)]
struct Local {
    ring: Ring<20>,
    until: Boot,
}

impl Local {
    fn new(slot: u64) -> Self {
        Local {
            ring: Ring::new(slot),
            until: Boot(0),
        }
    }
}

impl Provisional {
    /// Takes a slice that was just closed, and says which keys this node holds by itself from now on, or longer than it said before.
    /// `key_of` finds the key of a hash on this node; it is asked about few.
    pub fn slice(
        &mut self,
        slice: &Slice,
        now: Boot,
        alone: Alone,
        rules: &Rules,
        key_of: impl Fn(KeyHash) -> Option<Key>,
    ) -> Vec<Found> {
        let factor = SHARE_FACTOR / f64::from(alone.nodes.max(1));
        let gate = rules.threshold_min() * factor * GATE_SHARE;
        let last = self.count(slice, gate);
        if !alone.is_silent {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (&hash, local) in &mut self.tracked {
            let sums = local.ring.windows(last);
            let is_held = now.plus(RENEWED_AT) < local.until;
            if is_held || rate(&sums, rules.threshold_min() * factor).is_none() {
                continue;
            }
            let Some(key) = key_of(hash) else {
                continue;
            };
            let threshold = match rules.at(rules.find(&key)) {
                Verdict::Never => continue,
                // What is to be hot always needs no detector; here it is a key like others.
                Verdict::Always => rules.threshold_min() * factor,
                Verdict::Threshold(triggers) => triggers.threshold * factor,
            };
            if let Some(rate) = rate(&sums, threshold) {
                local.until = now.plus(PROVISIONAL_TTL);
                let until = local.until;
                found.push(Found {
                    hash,
                    key,
                    rate,
                    until,
                });
            }
        }
        found.sort_unstable_by_key(|found| found.hash);
        found
    }

    /// Adds a slice to what is kept, and gives up what is read too little for it. Answers the slice's last slot.
    fn count(&mut self, slice: &Slice, gate: f64) -> u64 {
        let opened_ms = slice.opened().0 / 1_000_000;
        let length_ms = u64::try_from(slice.length().as_millis()).unwrap_or(u64::MAX);
        let spread = Spread::new(opened_ms, length_ms, 20);
        let last = spread.last();
        self.tracked.retain(|_, local| {
            let seconds = local.ring.sum(last, 10);
            seconds >= gate / 2.0
        });
        let least = gate * slice.length().max(SLICE).as_secs_f64();
        for counted in slice.counted() {
            if let Some(local) = self.tracked.get_mut(&counted.key) {
                let unit = counted.unit as f32;
                spread.add(&mut local.ring, 0, counted.count as f32, unit * unit);
            } else if f64::from(counted.count) >= least && self.tracked.len() < TRACKED_MAX {
                let mut local = Local::new(last);
                let unit = counted.unit as f32;
                spread.add(&mut local.ring, 0, counted.count as f32, unit * unit);
                self.tracked.insert(counted.key, local);
            }
        }
        last
    }
}

/// Reads per second in the shortest window of up to a second that is beyond doubt above the threshold.
fn rate(sums: &[Sum; 4], threshold: f64) -> Option<f64> {
    let windows = Window::ALL.into_iter().zip(sums).take(3);
    windows
        .filter(|(window, sum)| is_above(*window, **sum, threshold))
        .map(|(window, sum)| sum.count / window.seconds())
        .next()
}

#[cfg(test)]
mod tests;
