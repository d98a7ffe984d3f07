//! Random numbers of a run: one seed, and a stream of its own for each actor.

use std::time::Duration;

/// A generator (SplitMix64); the same seed and stream give the same numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of one stream of a seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut random = Random(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below the bound, which is at least 1.
    pub fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.next() % u64::from(bound)).unwrap_or_default()
    }

    /// True so many times of a hundred.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// One of some, of which there is at least one.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(index(from.len())) as usize]
    }

    /// So many milliseconds, at most `most` and at least `least`.
    pub fn millis(&mut self, least: u32, most: u32) -> Duration {
        Duration::from_millis(u64::from(least + self.below(most - least + 1)))
    }

    /// A number below the bound by the cube of a uniform one: half of the picks go to an eighth of the numbers.
    pub fn skewed(&mut self, bound: u32) -> u32 {
        let uniform = u128::from(self.below(1 << 20));
        u32::try_from((uniform.pow(3) * u128::from(bound)) >> 60).unwrap_or_default()
    }

    /// Puts items into another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(index(last + 1)) as usize;
            items.swap(last, other);
        }
    }
}

fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
