//! Threshold sampling: fewer entries, and no key's expected count changed.
//!
//! A count of at least τ is sent as it is. A lower count c is sent as τ with a chance of c in τ, and otherwise not at all: its
//! expected value is c, and its variance at most τ·c. Sending only the greatest counts would be smaller as well, and would lose every
//! key that is spread evenly over many nodes.

use hotshelf_model::varint;

use super::Entry;
use crate::dice::Dice;
use crate::slices::Counted;

/// The greatest budget of a frame, in bytes: with it and all keys that may be watched, a frame is one that every bus carries.
pub const FRAME_BUDGET_MAX: usize = 24 * 1024;

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
    let shape = Shape::of(counted);
    let fits = |tau: u32| shape.fits(tau, budget);
    let (mut low, mut high) = (1, shape.greatest.max(1));
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

/// How many keys have which counts: what a frame's size depends on.
struct Shape {
    watched: usize,
    /// Keys of each small count.
    few: [u32; 256],
    /// The other counts, and the bytes that writing them takes.
    many: Vec<(u32, usize)>,
    greatest: u32,
}

impl Shape {
    fn of(counted: &[Counted]) -> Self {
        let mut shape = Shape {
            watched: 0,
            few: [0; 256],
            many: Vec::new(),
            greatest: 0,
        };
        for counted in counted {
            let few = usize::try_from(counted.count).ok();
            let few = few.and_then(|count| shape.few.get_mut(count));
            match (counted.is_watched, counted.unit, few) {
                (true, ..) => shape.watched += 1,
                (false, 0, Some(keys)) => *keys += 1,
                (false, unit, _) => {
                    let of_unit = if unit > 0 {
                        varint::length(unit.into())
                    } else {
                        0
                    };
                    shape
                        .many
                        .push((counted.count, length(counted.count) + of_unit));
                }
            }
            shape.greatest = shape.greatest.max(counted.count);
        }
        shape
    }

    fn fits(&self, tau: u32, budget: usize) -> bool {
        let (mut entries, mut bytes) = (0.0, 0.0);
        let mut add = |count: u32, length: usize, keys: u32| {
            let expected = (f64::from(count) / f64::from(tau)).min(1.0) * f64::from(keys);
            entries += expected;
            // A sampled count takes a byte.
            bytes += expected * if count < tau { 1.0 } else { length as f64 };
        };
        for (count, &keys) in (0..).zip(&self.few) {
            add(count, length(count), keys);
        }
        for &(count, length) in &self.many {
            add(count, length, 1);
        }
        // Hashes are even, so that differences are 2^64 / entries on average.
        let all = entries + self.watched as f64;
        let bits = 64.0 - all.max(1.0).log2();
        let each = (bits / 7.0).floor() + 1.2;
        let of_watched = self.watched as f64 * (each + 1.0);
        let left = (budget as f64 - of_watched).max(budget as f64 / 4.0);
        entries * each + bytes <= left
    }
}

/// The bytes of an exact count.
fn length(count: u32) -> usize {
    varint::length(u64::from(count) << 1)
}
