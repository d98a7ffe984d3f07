//! The last seconds of a key, in slots of 100 ms.

use crate::poisson::{Sum, Window};

/// Slots of the longest window that decides about a promotion.
pub(crate) const WINDOW_SLOTS: u64 = 20;

/// Counts of the last `N` slots, at least 20. What was never counted, or is further back, is 0.
///
/// It begins empty: a key is judged by what was counted since, never by an estimate of what was before.
#[derive(Clone, Debug)]
pub(crate) struct Ring<const N: usize> {
    newest: u64,
    counts: [f32; N],
    /// What sampling added to the variance, of the last 20 slots.
    variances: [f32; 20],
}

impl<const N: usize> Ring<N> {
    pub(crate) fn new(newest: u64) -> Self {
        Ring {
            newest,
            counts: [0.0; N],
            variances: [0.0; 20],
        }
    }

    /// Adds to a slot, unless it is too far back.
    pub(crate) fn add(&mut self, slot: u64, count: f32, variance: f32) {
        if slot > self.newest {
            self.advance(slot);
        }
        let back = self.newest - slot;
        if back < Self::SLOTS {
            self.counts[index(slot, N)] += count;
        }
        if back < WINDOW_SLOTS {
            self.variances[index(slot, 20)] += variance;
        }
    }

    const SLOTS: u64 = N as u64;

    fn advance(&mut self, slot: u64) {
        let first = self.newest + 1;
        for passed in first.max(slot.saturating_sub(Self::SLOTS - 1))..=slot {
            self.counts[index(passed, N)] = 0.0;
        }
        for passed in first.max(slot.saturating_sub(WINDOW_SLOTS - 1))..=slot {
            self.variances[index(passed, 20)] = 0.0;
        }
        self.newest = slot;
    }

    /// The count of one slot.
    pub(crate) fn at(&self, slot: u64) -> f64 {
        if slot > self.newest || self.newest - slot >= Self::SLOTS {
            return 0.0;
        }
        f64::from(self.counts[index(slot, N)])
    }

    /// The counts of so many slots up to and with `end`.
    pub(crate) fn sum(&self, end: u64, slots: u64) -> f64 {
        let start = (end + 1).saturating_sub(slots);
        (start..=end).map(|slot| self.at(slot)).sum()
    }

    /// The windows that end with a slot.
    pub(crate) fn windows(&self, end: u64) -> [Sum; 4] {
        let mut sums = [Sum::default(); 4];
        let mut sum = Sum::default();
        let mut back = 0;
        for (window, slot) in Window::ALL.into_iter().zip(&mut sums) {
            while back < u64::from(window.slots()) && back <= end {
                sum.count += self.at(end - back);
                sum.variance += self.variance(end - back);
                back += 1;
            }
            *slot = sum;
        }
        sums
    }

    fn variance(&self, slot: u64) -> f64 {
        if slot > self.newest || self.newest - slot >= WINDOW_SLOTS {
            return 0.0;
        }
        f64::from(self.variances[index(slot, 20)])
    }
}

fn index(slot: u64, slots: usize) -> usize {
    usize::try_from(slot % slots as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_ring_is_a_map_of_its_last_slots(adds in prop::collection::vec((0_u64..400, 1_u8..9), 0..200), end in 0_u64..450) {
            let mut ring = Ring::<100>::new(0);
            let mut map = BTreeMap::new();
            let mut newest = 0;
            for (slot, count) in adds {
                newest = newest.max(slot);
                ring.add(slot, f32::from(count), 1.0);
                if slot + 100 > newest {
                    *map.entry(slot).or_insert(0.0) += f64::from(count);
                }
            }
            map.retain(|slot, _| slot + 100 > newest);
            let expected = |slots: u64| map.range((end + 1).saturating_sub(slots)..=end).map(|(_, count)| count).sum::<f64>();
            prop_assert_eq!(ring.sum(end, 100), expected(100));
            for (window, sum) in Window::ALL.into_iter().zip(ring.windows(end)) {
                prop_assert_eq!(sum.count, expected(u64::from(window.slots())));
            }
        }
    }
}
