//! Remembers which keys were put lately, in bounded memory, so that a key's first put can be declined.
//!
//! Two generations of a Bloom filter: a key is looked for in both and noted in the younger. When the younger one is full or has
//! lasted a window, it becomes the older one and the older is emptied. A false positive (about 1 in 400 at the limit) writes a key
//! one put too early, which costs a little disk and nothing else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hotshelf_model::Boot;
use parking_lot::RwLock;

const PROBES: u32 = 4;
/// With 4 probes this gives the rate of false positives above.
const BITS_PER_KEY: usize = 16;

#[derive(Debug)]
pub(crate) struct SeenKeys {
    window: Duration,
    keys_max: u64,
    generations: RwLock<Generations>,
}

#[derive(Debug)]
struct Generations {
    young: Bitmap,
    old: Bitmap,
    young_since: Boot,
}

impl SeenKeys {
    pub(crate) fn new(keys_max: usize, window: Duration, now: Boot) -> Self {
        let generations = Generations {
            young: Bitmap::new(keys_max),
            old: Bitmap::new(keys_max),
            young_since: now,
        };
        SeenKeys {
            window,
            keys_max: keys_max as u64,
            generations: RwLock::new(generations),
        }
    }

    /// Notes a key by its hash; says whether it was noted before, within the last one to two windows.
    pub(crate) fn note(&self, hash: u64, now: Boot) -> bool {
        self.rotate_if_due(now);
        let generations = self.generations.read();
        let seen = !generations.young.add(hash);
        seen || generations.old.holds(hash)
    }

    fn rotate_if_due(&self, now: Boot) {
        if !self.is_due(&self.generations.read(), now) {
            return;
        }
        let mut generations = self.generations.write();
        if !self.is_due(&generations, now) {
            return;
        }
        let generations = &mut *generations;
        let lasted = now.since(generations.young_since);
        std::mem::swap(&mut generations.young, &mut generations.old);
        generations.young.clear();
        if lasted >= self.window * 2 {
            generations.old.clear();
        }
        generations.young_since = now;
    }

    fn is_due(&self, generations: &Generations, now: Boot) -> bool {
        now.since(generations.young_since) >= self.window
            || generations.young.added() >= self.keys_max
    }
}

/// One generation. Its words are atomic, so that noting a key needs only shared access; a bit lost to nobody, an order to nobody,
/// hence every access is relaxed.
#[derive(Debug)]
struct Bitmap {
    words: Box<[AtomicU64]>,
    added: AtomicU64,
}

impl Bitmap {
    fn new(keys_max: usize) -> Self {
        let words = (keys_max * BITS_PER_KEY).div_ceil(64).next_power_of_two();
        Bitmap {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
            added: AtomicU64::new(0),
        }
    }

    fn added(&self) -> u64 {
        self.added.load(Ordering::Relaxed)
    }

    /// Adds a key; says whether it was new.
    fn add(&self, hash: u64) -> bool {
        let mut new = false;
        for (word, bit) in self.probes(hash) {
            new |= word.fetch_or(bit, Ordering::Relaxed) & bit == 0;
        }
        if new {
            self.added.fetch_add(1, Ordering::Relaxed);
        }
        new
    }

    fn holds(&self, hash: u64) -> bool {
        self.probes(hash)
            .all(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Double hashing over the two halves of the hash.
    fn probes(&self, hash: u64) -> impl Iterator<Item = (&AtomicU64, u64)> {
        let step = hash.rotate_left(32) | 1;
        (0..PROBES).map(move |probe| {
            let place = hash.wrapping_add(step.wrapping_mul(u64::from(probe)));
            let word = usize::try_from(place >> 6).unwrap_or_default() & (self.words.len() - 1);
            (&self.words[word], 1 << (place & 63))
        })
    }

    fn clear(&mut self) {
        for word in &mut self.words {
            *word.get_mut() = 0;
        }
        *self.added.get_mut() = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn hash(number: u64) -> u64 {
        let mixed = (number ^ (number >> 31))
            .wrapping_add(1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29))
            .wrapping_mul(0xbf58_476d_1ce4_e5b9)
            .rotate_left(17)
    }

    fn at(seconds: u64) -> Boot {
        Boot::default().plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_key_is_new_once_within_a_window() {
        let seen = SeenKeys::new(1024, WINDOW, at(0));
        assert!(!seen.note(hash(1), at(0)));
        assert!(seen.note(hash(1), at(1)));
        assert!(!seen.note(hash(2), at(2)));
    }

    #[test]
    fn a_key_is_remembered_across_one_rotation_and_forgotten_after_two() {
        let seen = SeenKeys::new(1024, WINDOW, at(0));
        assert!(!seen.note(hash(1), at(59)));
        assert!(!seen.note(hash(2), at(61)));
        assert!(seen.note(hash(1), at(62)));
        assert!(!seen.note(hash(3), at(100)));
        assert!(!seen.note(hash(3), at(100 + 3 * 60)));
    }

    #[test]
    fn more_keys_than_the_limit_neither_grow_it_nor_fill_it_up() {
        let seen = SeenKeys::new(1024, WINDOW, at(0));
        let early = (0..200_000)
            .filter(|&number| seen.note(hash(number), at(0)))
            .count();
        assert!(early < 2_000, "{early} of 200,000 keys were taken for seen");
        assert!(seen.generations.read().young.added() <= 1025);
    }
}
