//! Chances that follow a seed, so that the same calls come out the same.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Numbers that nobody guesses without the seed.
#[derive(Clone, Debug)]
pub(crate) struct Dice {
    seed: u64,
    thrown: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice { seed, thrown: 0 }
    }

    fn next(&mut self) -> u64 {
        self.thrown = self.thrown.wrapping_add(1);
        xxh3_64_with_seed(&self.thrown.to_le_bytes(), self.seed)
    }

    /// One of `0..bound`.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        let wide = (self.next() >> 32) * u64::from(bound);
        u32::try_from(wide >> 32).unwrap_or_default()
    }

    /// How many chances of `1 / 2^log2` each fail before one comes off.
    pub(crate) fn failures(&mut self, log2: u32) -> u64 {
        let chance = f64::from(log2).exp2().recip();
        // In (0, 1], so that its logarithm is finite.
        let drawn = ((self.next() >> 11) + 1) as f64
            * (f64::from(1_u32 << 31) * f64::from(1_u32 << 22)).recip();
        let failures = drawn.ln() / (-chance).ln_1p();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "both logarithms are negative, and a conversion that saturates is meant"
        )]
        let failures = failures as u64;
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_the_mean_of_their_chance() {
        let mut dice = Dice::new(3);
        for log2 in [1, 4, 10] {
            let sum: u64 = (0..100_000).map(|_| dice.failures(log2)).sum();
            let expected = f64::from((1_u32 << log2) - 1);
            let mean = sum as f64 / 100_000.0;
            assert!((mean / expected - 1.0).abs() < 0.02, "{log2}: {mean}");
        }
    }

    #[test]
    fn one_of_many_is_each_as_often() {
        let mut dice = Dice::new(4);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[usize::try_from(dice.below(7)).unwrap()] += 1;
        }
        assert!(
            counts.iter().all(|count| (9_600..10_400).contains(count)),
            "{counts:?}"
        );
    }
}
