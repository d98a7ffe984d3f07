//! Which slots of 100 ms a slice's reads belong to.

use crate::ring::Ring;

const SLOT_MS: u64 = 100;

/// A slice that is this near its slot is taken for it: the reads in the tenth belong to a neighbour, and moving them would cost two
/// places where one does.
const NEAR_MS: u64 = 10;

/// The slots that a slice covers, on the clock of the node that counted it, and the part of its reads that falls to each.
///
/// A slice that was closed late is longer than its slot. Its reads in one slot would look like a surge.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The slot in which the slice was opened; counts from there on.
    first: u64,
    shares: Shares,
}

#[derive(Clone, Debug, PartialEq)]
enum Shares {
    Whole,
    Parts(Vec<f32>),
}

impl Spread {
    /// Of a slice that is longer than `slots_max`, only the last so many slots are kept.
    pub(crate) fn new(opened_ms: u64, length_ms: u64, slots_max: u64) -> Self {
        let number = opened_ms / SLOT_MS;
        if opened_ms % SLOT_MS <= NEAR_MS && length_ms <= SLOT_MS + NEAR_MS {
            return Spread {
                first: number,
                shares: Shares::Whole,
            };
        }
        let end_ms = opened_ms + length_ms.max(1);
        let last = (end_ms - 1) / SLOT_MS;
        let first = number.max((last + 1).saturating_sub(slots_max));
        let share = |slot: u64| {
            let from = opened_ms.max(slot * SLOT_MS);
            let to = end_ms.min((slot + 1) * SLOT_MS);
            (to - from) as f32 / length_ms.max(1) as f32
        };
        Spread {
            first,
            shares: Shares::Parts((first..=last).map(share).collect()),
        }
    }

    /// Whether it counts as exactly one slot.
    pub(crate) fn is_whole(&self) -> bool {
        self.shares == Shares::Whole
    }

    /// The last slot.
    pub(crate) fn last(&self) -> u64 {
        match &self.shares {
            Shares::Whole => self.first,
            Shares::Parts(parts) => self.first + parts.len() as u64 - 1,
        }
    }

    /// Adds reads to a ring whose slots are `offset` from the node's.
    #[inline]
    pub(crate) fn add<const N: usize>(
        &self,
        ring: &mut Ring<N>,
        offset: i64,
        count: f32,
        variance: f32,
    ) {
        match &self.shares {
            Shares::Whole => ring.add(self.first.saturating_add_signed(offset), count, variance),
            Shares::Parts(parts) => {
                for (slot, share) in (self.first..).zip(parts) {
                    let slot = slot.saturating_add_signed(offset);
                    ring.add(slot, count * share, variance * share);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(opened_ms: u64, length_ms: u64) -> Vec<(u64, f64)> {
        let spread = Spread::new(opened_ms, length_ms, 100);
        let mut ring = Ring::<100>::new(0);
        spread.add(&mut ring, 0, 1000.0, 0.0);
        let all = (0..=spread.last()).map(|slot| (slot, ring.at(slot)));
        all.filter(|(_, count)| *count > 0.0).collect()
    }

    #[test]
    fn reads_fall_to_the_slots_in_which_they_were() {
        assert_eq!(placed(500, 100), [(5, 1000.0)]);
        assert_eq!(placed(507, 102), [(5, 1000.0)]);
        assert_eq!(placed(540, 60), [(5, 1000.0)]);
        assert_eq!(placed(500, 200), [(5, 500.0), (6, 500.0)]);
        assert_eq!(placed(560, 160), [(5, 250.0), (6, 625.0), (7, 125.0)]);
        assert_eq!(placed(599, 0), [(5, 1000.0)]);
    }

    #[test]
    fn a_slice_of_an_hour_is_no_surge_and_no_burden() {
        let spread = Spread::new(0, 3_600_000, 100);
        assert_eq!((spread.first, spread.last()), (35_900, 35_999));
        let hour = placed(0, 3_600_000);
        assert!(hour.iter().all(|(_, count)| *count < 0.03));
    }
}
