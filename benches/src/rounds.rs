//! Contenders that take turns, so that what disturbs the machine disturbs all of them alike.

use crate::cpu;
use crate::time::Stopwatch;

/// What one round of one contender cost for each operation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Nanoseconds that went by.
    pub wall_ns: f64,
    /// Nanoseconds of processor time.
    pub cpu_ns: f64,
}

impl Sample {
    /// Runs `work`, which answers how many operations it did in this process.
    pub fn of(work: impl FnOnce() -> usize) -> Self {
        let (stopwatch, used) = (Stopwatch::start(), cpu::own_nanos());
        let operations = work();
        let wall = stopwatch.nanos();
        Sample::over(operations, wall, cpu::own_nanos() - used)
    }

    /// Shares costs between operations.
    pub fn over(operations: usize, wall_ns: f64, cpu_ns: f64) -> Self {
        let operations = operations.max(1) as f64;
        Sample {
            wall_ns: wall_ns / operations,
            cpu_ns: cpu_ns / operations,
        }
    }
}

/// Somebody who does the operation that is measured.
pub struct Contender<'a> {
    name: String,
    round: Box<dyn FnMut() -> Sample + 'a>,
}

impl std::fmt::Debug for Contender<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contender")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<'a> Contender<'a> {
    /// `round` does some thousands of operations and says what each cost.
    pub fn new(name: impl Into<String>, round: impl FnMut() -> Sample + 'a) -> Self {
        Contender {
            name: name.into(),
            round: Box::new(round),
        }
    }
}

/// A contender's rounds.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The contender.
    pub name: String,
    /// One sample for each round.
    pub samples: Vec<Sample>,
}

impl Measured {
    /// The median of a figure.
    pub fn median(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(figure))
    }

    /// The least and the greatest of a figure.
    pub fn range(&self, figure: impl Fn(&Sample) -> f64) -> (f64, f64) {
        let sorted = sorted(self.samples.iter().map(figure));
        match (sorted.first(), sorted.last()) {
            (Some(&least), Some(&greatest)) => (least, greatest),
            _ => (f64::NAN, f64::NAN),
        }
    }

    /// The median over the rounds of what this contender's figure is more than the other's in the same round.
    pub fn added_to(&self, other: &Measured, figure: impl Fn(&Sample) -> f64) -> f64 {
        let rounds = self.samples.iter().zip(&other.samples);
        median(rounds.map(|(ours, theirs)| figure(ours) - figure(theirs)))
    }

    /// The median over the rounds of this contender's figure divided by the other's in the same round.
    pub fn ratio_to(&self, other: &Measured, figure: impl Fn(&Sample) -> f64) -> f64 {
        let rounds = self.samples.iter().zip(&other.samples);
        median(rounds.map(|(ours, theirs)| figure(ours) / figure(theirs)))
    }
}

/// Runs every contender once without counting, and then `rounds` times in turn, every other round in the opposite order.
pub fn compare(rounds: usize, contenders: &mut [Contender<'_>]) -> Vec<Measured> {
    let mut measured: Vec<Measured> = contenders
        .iter_mut()
        .map(|contender| {
            (contender.round)();
            Measured {
                name: contender.name.clone(),
                samples: Vec::with_capacity(rounds),
            }
        })
        .collect();
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let sample = (contenders[at].round)();
            measured[at].samples.push(sample);
        }
    }
    measured
}

/// The value in the middle.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let sorted = sorted(values);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(walls: &[f64]) -> Measured {
        let sample = |&wall_ns: &f64| Sample {
            wall_ns,
            cpu_ns: 0.0,
        };
        Measured {
            name: String::new(),
            samples: walls.iter().map(sample).collect(),
        }
    }

    #[test]
    fn a_ratio_is_taken_within_rounds_so_that_a_slow_round_cancels_out() {
        let (base, double) = (
            measured(&[10.0, 100.0, 10.0]),
            measured(&[20.0, 200.0, 21.0]),
        );
        assert!((double.ratio_to(&base, |sample| sample.wall_ns) - 2.0).abs() < 1e-9);
        assert!((double.added_to(&base, |sample| sample.wall_ns) - 11.0).abs() < 1e-9);
        assert!((median([4.0, 1.0, 3.0, 2.0].into_iter()) - 2.5).abs() < 1e-9);
    }

    #[test]
    fn contenders_take_turns_and_the_first_run_does_not_count() {
        let log = std::cell::RefCell::new(Vec::new());
        let contender = |name: &'static str| {
            let log = &log;
            Contender::new(name, move || {
                log.borrow_mut().push(name);
                Sample::default()
            })
        };
        let measured = compare(2, &mut [contender("a"), contender("b")]);
        assert_eq!(measured[0].samples.len(), 2);
        assert_eq!(*log.borrow(), ["a", "b", "a", "b", "b", "a"]);
    }
}
