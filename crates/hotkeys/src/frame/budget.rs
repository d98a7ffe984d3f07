//! Threshold sampling: fewer entries, and no key's expected count changed.
//!
//! A count of at least τ is sent as it is. A lower count c is sent as τ with a chance of c in τ, and otherwise not at all: its
//! expected value is c, and its variance at most τ·c. Sending only the greatest counts would be smaller as well, and would lose every
//! key that is spread evenly over many nodes.

use super::{Entry, varint};
use crate::dice::Dice;
use crate::slices::Counted;

/// The greatest budget of a frame, in bytes.
pub const FRAME_BUDGET_MAX: usize = 64 * 1024;

const BUDGET_MIN: usize = 256;

/// Chooses τ and samples.
#[derive(Debug)]
pub(super) struct Sampler {
    budget: usize,
    dice: Dice,
    /// Kept for their memory.
    counted: Vec<Counted>,
    entries: Vec<Entry>,
}

impl Sampler {
    pub(super) fn new(budget: usize, seed: u64) -> Self {
        Sampler {
            budget,
            dice: Dice::new(seed),
            counted: Vec::new(),
            entries: Vec::new(),
        }
    }

    pub(super) fn set_budget(&mut self, bytes: usize) {
        self.budget = bytes.clamp(BUDGET_MIN, FRAME_BUDGET_MAX);
    }

    /// τ and the entries to send, by ascending hash.
    pub(super) fn sample(&mut self, counted: impl Iterator<Item = Counted>) -> (u32, &[Entry]) {
        self.counted.clear();
        self.counted.extend(counted);
        self.counted.sort_unstable_by_key(|counted| counted.key);
        let tau = tau(&self.counted, self.budget);
        self.entries.clear();
        for counted in &self.counted {
            let kept = keep(counted, tau, &mut self.dice);
            self.entries.extend(kept);
        }
        (tau, &self.entries)
    }
}

fn keep(counted: &Counted, tau: u32, dice: &mut Dice) -> Option<Entry> {
    let &Counted {
        key, count, unit, ..
    } = counted;
    if counted.is_watched || count >= tau {
        return Some(Entry { key, count, unit });
    }
    // An estimate below τ is sampled as well. Its own variance is at most count², which with that of sampling is at most τ² again.
    let sampled = Entry {
        key,
        count: tau,
        unit: tau,
    };
    (dice.below(tau) < count).then_some(sampled)
}

/// The least τ with which a frame is expected to keep to its budget. Watched keys may take three quarters of it, and more only on top.
fn tau(counted: &[Counted], budget: usize) -> u32 {
    let watched = counted.iter().filter(|counted| counted.is_watched).count();
    let of_entry = |entries: usize| {
        // Hashes are even: differences are 2^64 / entries on average.
        let apart = u64::MAX / entries.max(1) as u64;
        varint::length(apart) as f64 + 0.2
    };
    let fits = |tau: u32| {
        let (mut entries, mut bytes) = (0.0, 0.0);
        for counted in counted.iter().filter(|counted| !counted.is_watched) {
            let chance = (f64::from(counted.count) / f64::from(tau)).min(1.0);
            let (count, unit) = (u64::from(counted.count) << 1, u64::from(counted.unit));
            let length = match (chance < 1.0, counted.unit) {
                (true, _) => 1,
                (false, 0) => varint::length(count),
                (false, _) => varint::length(count) + varint::length(unit),
            };
            entries += chance;
            bytes += chance * length as f64;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most as many as were counted"
        )]
        let each = of_entry(entries as usize + watched);
        let of_watched = watched as f64 * (each + 1.0);
        let left = (budget as f64 - of_watched).max(budget as f64 / 4.0);
        entries * each + bytes <= left
    };
    let greatest = counted.iter().map(|counted| counted.count).max();
    let (mut low, mut high) = (1, greatest.unwrap_or(1).max(1));
    if fits(low) {
        return low;
    }
    // Many keys of large counts may not fit whatever their counts.
    while !fits(high) && high < u32::MAX / 2 {
        high *= 2;
    }
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if fits(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}
