//! Which key is due when, at a steady rate, and the crowd that comes on top.

use std::io::{self, BufRead};
use std::time::Duration;

use hotshelf_model::{FieldProblem, Id, Key, NamespaceName};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// So many ids are taken from a list.
pub const IDS_MAX: usize = 10_000_000;
/// So many problems of a list are told with their lines.
const PROBLEMS_TOLD: usize = 3;

/// A request that will be due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When, from the beginning of the run. Never before the arrival that comes ahead of it.
    pub due: Duration,
    /// What is read.
    pub key: Key,
}

/// The keys of a list of ids, at least one.
#[derive(Clone, Debug)]
pub struct Ids(Vec<Key>);

impl Ids {
    /// Takes ids as they are.
    ///
    /// # Errors
    /// When there is none, or one breaks the rules of ids.
    pub fn new<'a>(
        ids: impl IntoIterator<Item = &'a str>,
        namespace: &NamespaceName,
    ) -> Result<Self, FieldProblem> {
        let keys = ids.into_iter().map(|id| key(id, namespace));
        Self::of(keys.collect::<Result<_, _>>()?)
    }

    /// Reads ids, one on a line; empty lines are left out.
    ///
    /// # Errors
    /// When reading fails, when there are no ids or more than [`IDS_MAX`], and when lines are not ids: then with the first of them.
    pub fn read(mut lines: impl BufRead, namespace: &NamespaceName) -> Result<Self, FieldProblem> {
        let (mut keys, mut bad, mut told) = (Vec::new(), 0_u64, Vec::new());
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            if read_line(&mut lines, &mut line).map_err(|error| problem(error.to_string()))? == 0 {
                break;
            }
            let outcome = match std::str::from_utf8(&line) {
                Ok(text) if text.trim_end().is_empty() => continue,
                Ok(text) => key(text.trim_end_matches(['\n', '\r']), namespace),
                Err(_) => Err(problem("is not UTF-8".to_owned())),
            };
            match outcome {
                Ok(key) => keys.push(key),
                Err(problem) => {
                    bad += 1;
                    if told.len() < PROBLEMS_TOLD {
                        told.push(format!("line {number} {}", problem.reason));
                    }
                }
            }
            if keys.len() > IDS_MAX {
                return Err(problem(format!("has more than {IDS_MAX} ids")));
            }
        }
        match bad {
            0 => Self::of(keys),
            bad => Err(problem(format!(
                "{bad} of its lines are not ids: {}",
                told.join("; ")
            ))),
        }
    }

    fn of(keys: Vec<Key>) -> Result<Self, FieldProblem> {
        match keys.is_empty() {
            true => Err(problem("holds no ids".to_owned())),
            false => Ok(Ids(keys)),
        }
    }
}

fn problem(reason: String) -> FieldProblem {
    FieldProblem::new("ids", reason)
}

/// Reads a line with its end; of one that is longer than any id only so much that it is seen to be.
fn read_line(lines: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    const ROOM: u64 = 4 * Id::BYTES_MAX as u64;
    let mut read = io::Read::take(&mut *lines, ROOM).read_until(b'\n', line)?;
    if line.len() as u64 == ROOM && line.last() != Some(&b'\n') {
        read += lines.skip_until(b'\n')?;
    }
    Ok(read)
}

/// The key of an id in a namespace, without a variant.
///
/// # Errors
/// When the id breaks the rules of ids.
pub fn key(id: &str, namespace: &NamespaceName) -> Result<Key, FieldProblem> {
    Id::new(id)?;
    Key::parse(&format!("{namespace}//{id}")).ok_or_else(|| problem("is not an id".to_owned()))
}

/// In which order keys of a list are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// As they stand, and again from the beginning.
    AsListed,
    /// At random; the key at place n of the list as often as n to the power of minus this exponent says. 0 reads all alike.
    Zipf(f64),
}

/// Draws keys.
#[derive(Debug)]
struct Draw {
    keys: Vec<Key>,
    /// The sum of the weights up to each key; none in the order of the list.
    bounds: Vec<f64>,
    random: StdRng,
    next: usize,
}

impl Draw {
    fn new(Ids(keys): Ids, order: Order, seed: u64) -> Self {
        let bounds = match order {
            Order::AsListed => Vec::new(),
            Order::Zipf(exponent) => {
                let mut sum = 0.0;
                let weight = |rank: usize| {
                    sum += (rank as f64).powf(-exponent);
                    sum
                };
                (1..=keys.len()).map(weight).collect()
            }
        };
        Draw {
            keys,
            bounds,
            random: StdRng::seed_from_u64(seed),
            next: 0,
        }
    }

    fn key(&mut self) -> Key {
        let at = match self.bounds.last() {
            None => {
                let after = (self.next + 1) % self.keys.len();
                std::mem::replace(&mut self.next, after)
            }
            Some(sum) => {
                let point = self.random.random::<f64>() * sum;
                self.bounds.partition_point(|&bound| bound <= point)
            }
        };
        self.keys[at.min(self.keys.len() - 1)].clone()
    }
}

/// One arrival after the other at a steady rate, without end.
#[derive(Debug)]
pub struct Steady {
    draw: Draw,
    rate: f64,
    count: u64,
}

impl Steady {
    /// `rate` is in requests per second and above zero; what is drawn is the same for a seed.
    pub fn new(ids: Ids, order: Order, rate: f64, seed: u64) -> Self {
        Steady {
            draw: Draw::new(ids, order, seed),
            rate,
            count: 0,
        }
    }
}

impl Iterator for Steady {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        // Counted and not added up, so that no rounding grows.
        let due = Duration::try_from_secs_f64(self.count as f64 / self.rate).ok()?;
        self.count += 1;
        let key = self.draw.key();
        Some(Arrival { due, key })
    }
}

/// A crowd that wants one key: for a while it takes the place of a share of all arrivals.
#[derive(Debug)]
pub struct Crowd<A> {
    arrivals: A,
    key: Key,
    share: f64,
    from: Duration,
    until: Duration,
    random: StdRng,
}

impl<A: Iterator<Item = Arrival>> Crowd<A> {
    /// `share` is between 0 and 1; the crowd comes `after` the beginning and stays `lasting`.
    pub fn new(
        arrivals: A,
        key: Key,
        share: f64,
        [after, lasting]: [Duration; 2],
        seed: u64,
    ) -> Self {
        Crowd {
            arrivals,
            key,
            share,
            from: after,
            until: after.saturating_add(lasting),
            // Not the numbers that the keys are drawn by.
            random: StdRng::seed_from_u64(!seed),
        }
    }
}

impl<A: Iterator<Item = Arrival>> Iterator for Crowd<A> {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let mut arrival = self.arrivals.next()?;
        let is_there = (self.from..self.until).contains(&arrival.due);
        if is_there && self.random.random::<f64>() < self.share {
            arrival.key = self.key.clone();
        }
        Some(arrival)
    }
}

#[cfg(test)]
mod tests;
