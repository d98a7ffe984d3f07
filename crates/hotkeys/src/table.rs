//! A hash table from key hashes to small values: linear probing from the place that the hash's upper bits name.
//!
//! A frame is sorted by hash, so that merging it walks a table from one end to the other.

use std::hint::black_box;

use crate::hash::KeyHash;

const SLOTS_MIN: usize = 1024;

/// Keys whose places are brought into the processor's caches together: as many as it can wait for at once.
pub(crate) const BATCH: usize = 16;

#[derive(Clone, Copy, Debug, Default)]
struct Slot<V> {
    /// 0 in a free slot.
    hash: u64,
    value: V,
}

/// Grows as needed, and loses nothing but by [`Table::clear`]; how many keys it takes is its owner's to bound.
#[derive(Clone, Debug)]
pub(crate) struct Table<V> {
    /// A power of two of them, at most three quarters taken.
    slots: Vec<Slot<V>>,
    shift: u32,
    len: usize,
}

impl<V: Copy + Default> Table<V> {
    pub(crate) fn with_room(keys: usize) -> Self {
        let slots = (keys + keys / 3 + 1).next_power_of_two().max(SLOTS_MIN);
        Table {
            slots: vec![Slot::default(); slots],
            shift: u64::BITS - slots.ilog2(),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where a key is, or where it would be put.
    #[inline]
    pub(crate) fn find(&self, key: KeyHash) -> Result<usize, usize> {
        let mask = self.slots.len() - 1;
        let mut at = self.home(key);
        loop {
            let held = self.slots[at].hash;
            if held == key.get() {
                return Ok(at);
            }
            if held == 0 {
                return Err(at);
            }
            at = (at + 1) & mask;
        }
    }

    #[inline]
    fn home(&self, key: KeyHash) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the shift leaves no more bits than the slots have"
        )]
        let home = (key.get() >> self.shift) as usize;
        home
    }

    /// Brings the places of some keys into the processor's caches: without branches between them, so that it waits for all at once.
    #[inline]
    pub(crate) fn touch(&self, keys: impl Iterator<Item = KeyHash>) {
        let touched = keys.map(|key| self.slots[self.home(key)].hash);
        black_box(touched.fold(0, |all, hash| all | hash));
    }

    /// The value at a place where [`Table::find`] has found a key.
    #[inline]
    pub(crate) fn at(&mut self, place: usize) -> &mut V {
        &mut self.slots[place].value
    }

    /// Puts a key where [`Table::find`] has just said that it would be.
    pub(crate) fn put(&mut self, free: usize, key: KeyHash, value: V) {
        debug_assert_eq!(self.slots[free].hash, 0, "the place is free");
        self.slots[free] = Slot {
            hash: key.get(),
            value,
        };
        self.len += 1;
        if self.len > self.slots.len() / 4 * 3 {
            self.grow();
        }
    }

    fn grow(&mut self) {
        let mut larger = Table::with_room(self.slots.len());
        for (key, value) in self.iter() {
            if let Err(free) = larger.find(key) {
                larger.put(free, key, value);
            }
        }
        *self = larger;
    }

    /// In the order of the slots, which is nearly that of the hashes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (KeyHash, V)> {
        let taken = self.slots.iter().filter(|slot| slot.hash != 0);
        taken.map(|slot| (KeyHash::new(slot.hash), slot.value))
    }

    /// Forgets all. Gives memory back when `keys`, the most to be expected next, need an eighth of it.
    pub(crate) fn clear(&mut self, keys: usize) {
        if keys.saturating_mul(8) < self.slots.len() && self.slots.len() > SLOTS_MIN {
            *self = Table::with_room(keys.saturating_mul(2));
        } else if self.len > 0 {
            self.slots.fill(Slot::default());
            self.len = 0;
        }
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot<V>>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_table_is_a_map(keys in prop::collection::vec(prop_oneof![any::<u64>(), 0_u64..50, (u64::MAX - 50)..=u64::MAX], 0..3000)) {
            let mut table = Table::with_room(0);
            let mut map = BTreeMap::new();
            for key in keys.into_iter().map(KeyHash::new) {
                *map.entry(key).or_insert(0_u32) += 1;
                match table.find(key) {
                    Ok(place) => *table.at(place) += 1,
                    Err(free) => table.put(free, key, 1_u32),
                }
            }
            prop_assert_eq!(table.len(), map.len());
            prop_assert_eq!(table.iter().collect::<BTreeMap<_, _>>(), map);
        }
    }

    #[test]
    fn a_table_that_was_large_becomes_small() {
        let mut table = Table::with_room(100_000);
        let large = table.heap_bytes();
        table.clear(100_000);
        assert_eq!(table.heap_bytes(), large);
        table.clear(10);
        assert_eq!(
            table.heap_bytes(),
            SLOTS_MIN * 16,
            "{:?}",
            Table::<u32>::with_room(0).len()
        );
        assert!(table.find(KeyHash::new(1)).is_err());
        table.put(0, KeyHash::new(1), 1_u32);
    }
}
