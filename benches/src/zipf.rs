//! Sequences of reads in which few keys are read often.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

/// The exponent of product traffic as benches of caches have it since YCSB.
pub const EXPONENT: f64 = 0.99;

/// `length` reads of `keys` keys, Zipf-like with [`EXPONENT`]; which keys are the frequent ones is random, and the same for a seed.
pub fn sequence(keys: usize, length: usize, seed: u64) -> Vec<u32> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut sum = 0.0;
    let bounds: Vec<f64> = (1..=keys)
        .map(|rank| {
            sum += (rank as f64).powf(-EXPONENT);
            sum
        })
        .collect();
    let mut names: Vec<u32> = (0..).take(keys).collect();
    names.shuffle(&mut random);
    let read = |_| {
        let point = random.random::<f64>() * sum;
        let rank = bounds.partition_point(|&bound| bound < point);
        names[rank.min(keys - 1)]
    };
    (0..length).map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_key_has_the_share_that_the_law_says() {
        let reads = sequence(1000, 100_000, 7);
        let mut counts = vec![0_u32; 1000];
        reads.iter().for_each(|&key| counts[key as usize] += 1);
        let most = f64::from(counts.iter().copied().max().unwrap()) / 100_000.0;
        let harmonic: f64 = (1..=1000).map(|rank| f64::from(rank).powf(-EXPONENT)).sum();
        assert!((most - 1.0 / harmonic).abs() < 0.01, "{most}");
        assert_eq!(sequence(1000, 100_000, 7), reads);
    }
}
