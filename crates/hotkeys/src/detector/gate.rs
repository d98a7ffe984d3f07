//! A decaying count of every key that is read, to find the few that are worth an exact one.

use crate::hash::KeyHash;
use crate::table::Table;

use super::LIVE_MAX;

/// The time in which a count decays to 1/e, in slots of 100 ms.
const DECAY_SLOTS: f32 = 5.0;

/// The decayed count of a steady rate of one read per second.
pub(super) const COUNT_PER_RATE: f64 = 0.5;

/// Two halves: counts move from the older to the younger as their keys are read, and what is left in the older at a turn is forgotten.
/// After two to four seconds a count has decayed to a fiftieth, so nothing is lost by that.
///
/// A flood of keys that come once turns the halves early: the gate then remembers less, never counts wrong.
#[derive(Debug)]
pub(super) struct Gate {
    young: Table<Cell>,
    old: Table<Cell>,
    /// The share of a count that is left after so many slots.
    left: [f32; 64],
    /// Slots are told from this one, so that they fit in 16 bits between two turns.
    start: u64,
    pub(super) early_turns: u64,
}

/// Reads of a key, by whether they were all in one slot.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reads {
    OfSlot(u32),
    OfMany(u32),
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    /// What was counted before `slot`, decayed.
    mass: f32,
    slot: u16,
    /// What was counted in `slot`, exactly.
    count: u16,
}

impl Gate {
    pub(super) fn new(start: u64) -> Self {
        let mut left = [0.0; 64];
        let step = (-1.0 / DECAY_SLOTS).exp();
        let mut share = 1.0;
        for slot in &mut left {
            *slot = share;
            share *= step;
        }
        Gate {
            young: Table::with_room(0),
            old: Table::with_room(0),
            left,
            start,
            early_turns: 0,
        }
    }

    /// Live keys, some of them twice.
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.young.heap_bytes() + self.old.heap_bytes()
    }

    /// Brings keys that are about to be counted into the processor's caches.
    #[inline]
    pub(super) fn touch(&self, keys: impl Iterator<Item = KeyHash>) {
        self.young.touch(keys);
    }

    /// Counts reads, of which all or none were in this slot. When the key's decayed count comes to `level`, says what was counted of it
    /// in this slot: that much is exact, and the rest is an estimate on which no window must be built.
    #[inline]
    pub(super) fn add(&mut self, key: KeyHash, slot: u64, reads: Reads, level: f32) -> Option<u16> {
        let slot = u16::try_from((slot.wrapping_sub(self.start)) & 0xffff).unwrap_or_default();
        let place = match self.young.find(key) {
            Ok(place) => place,
            Err(free) => self.bring(key, slot, free),
        };
        let cell = self.young.at(place);
        let ahead = slot.wrapping_sub(cell.slot).cast_signed();
        if ahead > 0 {
            let left = self.left.get(usize::from(ahead.unsigned_abs()));
            cell.mass = (cell.mass + f32::from(cell.count)) * left.copied().unwrap_or(0.0);
            (cell.slot, cell.count) = (slot, 0);
        }
        match reads {
            Reads::OfSlot(count) if ahead >= 0 => {
                let count = u16::try_from(count).unwrap_or(u16::MAX);
                cell.count = cell.count.saturating_add(count);
            }
            Reads::OfSlot(count) | Reads::OfMany(count) => cell.mass += count as f32,
        }
        // A count that does not fit is above any level that would matter.
        let is_full = cell.count == u16::MAX;
        (is_full || cell.mass + f32::from(cell.count) >= level).then_some(cell.count)
    }

    /// Takes a key over from the older half, or begins it.
    #[cold]
    fn bring(&mut self, key: KeyHash, slot: u16, mut free: usize) -> usize {
        let cell = match self.old.find(key) {
            Ok(place) => *self.old.at(place),
            Err(_) => Cell {
                slot,
                ..Cell::default()
            },
        };
        if self.young.len() >= LIVE_MAX {
            self.early_turns += 1;
            self.turn();
            free = self.young.find(key).unwrap_or_else(|free| free);
        }
        self.young.put(free, key, cell);
        // Putting may have moved everything.
        self.young.find(key).unwrap_or(free)
    }

    /// Makes the younger half the older one; each two seconds.
    pub(super) fn turn(&mut self) {
        let expected = self.young.len();
        std::mem::swap(&mut self.young, &mut self.old);
        self.young.clear(expected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> KeyHash {
        KeyHash::new(1)
    }

    #[test]
    fn a_steady_rate_comes_to_half_of_it_and_no_further() {
        let mut gate = Gate::new(0);
        let counts = |gate: &mut Gate, level| {
            (0..50).any(|slot| gate.add(key(), slot, Reads::OfSlot(10), level).is_some())
        };
        // A hundred reads per second, in steps: 55 after a slot's reads, 45 before them.
        assert!(counts(&mut Gate::new(0), 52.0));
        assert!(!counts(&mut gate, 60.0));
    }

    #[test]
    fn only_what_was_counted_in_the_slot_itself_is_given_on() {
        let mut gate = Gate::new(0);
        assert_eq!(gate.add(key(), 100, Reads::OfSlot(30), 100.0), None);
        assert_eq!(gate.add(key(), 101, Reads::OfSlot(30), 100.0), None);
        assert_eq!(gate.add(key(), 102, Reads::OfSlot(20), 100.0), None);
        assert_eq!(
            gate.add(key(), 101, Reads::OfSlot(25), 200.0),
            None,
            "a frame of a slot before"
        );
        assert_eq!(gate.add(key(), 102, Reads::OfSlot(40), 100.0), Some(60));
    }

    #[test]
    fn a_key_that_is_read_outlives_turns_and_one_that_is_not_does_not() {
        let mut gate = Gate::new(0);
        let other = KeyHash::new(9);
        gate.add(other, 0, Reads::OfSlot(30), 1e9);
        for slot in 0..20 {
            gate.add(key(), slot, Reads::OfSlot(10), 1e9);
        }
        gate.turn();
        assert!(gate.add(key(), 20, Reads::OfSlot(10), 50.0).is_some());
        gate.turn();
        gate.turn();
        assert_eq!(gate.len(), 0);
    }

    #[test]
    fn a_flood_of_keys_is_bounded_and_hides_nothing() {
        let mut gate = Gate::new(0);
        let mut found = None;
        for number in 0..3 * LIVE_MAX as u64 {
            let flood = KeyHash::new(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            gate.add(flood, number / 500_000, Reads::OfSlot(1), 1e9);
            if number % 20_000 == 0 {
                found =
                    found.or(gate.add(KeyHash::new(8), number / 500_000, Reads::OfSlot(2), 60.0));
            }
        }
        assert!(gate.early_turns >= 1);
        assert!(gate.heap_bytes() <= 64 << 20, "{}", gate.heap_bytes());
        assert!(found.is_some());
    }
}
