//! Reads that follow a seed.

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Chance(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.next()) * bound as u128;
        usize::try_from(wide >> 64).unwrap()
    }

    /// In [0, 1).
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// How many of a Poisson process come when `mean` are expected.
    pub(crate) fn poisson(&mut self, mean: f64) -> u32 {
        let (mut count, mut left) = (0, mean);
        while left > 0.0 {
            let limit = (-left.min(20.0)).exp();
            left -= 20.0;
            let mut product = self.share();
            while product > limit {
                count += 1;
                product *= self.share();
            }
        }
        count
    }
}

/// Keys of which the nth is asked for in proportion to n^-0.9.
#[derive(Clone, Debug)]
pub(crate) struct Zipf(Vec<f64>);

impl Zipf {
    pub(crate) fn new(keys: u32) -> Self {
        let mut sum = 0.0;
        let bounds = (1..=keys).map(|rank| {
            sum += f64::from(rank).powf(-0.9);
            sum
        });
        Zipf(bounds.collect())
    }

    pub(crate) fn draw(&self, chance: &mut Chance) -> u32 {
        let point = chance.share() * self.0.last().unwrap();
        u32::try_from(self.0.partition_point(|bound| *bound < point)).unwrap()
    }
}
