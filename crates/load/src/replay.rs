//! The reads of access logs, at the times that the logs tell.
//!
//! Logs are written when an answer has ended and by several machines, so they are a little out of order: a second is sent when the
//! logs have gone on for two more. A log that tells whole seconds says nothing of their parts; its reads are spread over each second
//! evenly, in their order. A record that stands for many reads, as of a sampled log, is that many requests, spread over its second.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hotshelf_access_log::{Event, InTime};
use hotshelf_model::Key;
use parking_lot::Mutex;

use crate::arrivals::Arrival;

const SECONDS_HELD: u64 = 2;
const SECOND_US: u64 = 1_000_000;
/// One record makes so many requests at most, so that a damaged one does not make a load of its own.
pub const READS_OF_RECORD_MAX: u32 = 10_000;

/// What became of the logs so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayTally {
    /// Requests that the logs gave.
    pub reads: u64,
    /// Lines of other requests.
    pub other: u64,
    /// Lines that could not be read.
    pub skipped: u64,
    /// The first of them: line and reason.
    pub problem: Option<String>,
    /// Requests that stood more than two seconds too late in the logs, and are sent later than they were.
    pub out_of_order: u64,
    /// Requests beyond [`READS_OF_RECORD_MAX`] of one record, which are not sent.
    pub left_out: u64,
}

/// Replays logs.
#[derive(Debug)]
pub struct Replay {
    events: InTime,
    speed: f64,
    seconds: BTreeMap<u64, Vec<Event>>,
    /// The second that is sent next, at least; `None` before the first.
    next: Option<u64>,
    /// Of the second that is being sent: microseconds since 1970, and the key.
    ready: VecDeque<(u64, Key)>,
    begin_us: Option<u64>,
    tally: Arc<Mutex<ReplayTally>>,
}

impl Replay {
    /// Sends what took a second in the logs in a second divided by `speed`, which is above zero.
    pub fn new(events: InTime, speed: f64) -> Self {
        Replay {
            events,
            speed,
            seconds: BTreeMap::new(),
            next: None,
            ready: VecDeque::new(),
            begin_us: None,
            tally: Arc::default(),
        }
    }

    /// What became of the logs, also while another thread reads them.
    pub fn tally(&self) -> Arc<Mutex<ReplayTally>> {
        Arc::clone(&self.tally)
    }

    /// Takes events until a second is whole, and makes it ready; says whether there was one.
    fn advance(&mut self) -> bool {
        let mut newest = self.seconds.last_key_value().map(|(second, _)| *second);
        while !self.is_whole(newest) {
            let Some(event) = self.events.next() else {
                break;
            };
            let second = event.at_ms / 1000;
            newest = newest.max(Some(second));
            self.hold(second, event);
        }
        self.take_over();
        let Some((second, events)) = self.seconds.pop_first() else {
            return false;
        };
        self.next = Some(second + 1);
        self.ready = spread(events, second).into();
        self.tally.lock().reads += self.ready.len() as u64;
        true
    }

    /// Whether the earliest second that is held will get no more reads.
    fn is_whole(&self, newest: Option<u64>) -> bool {
        let earliest = self.seconds.first_key_value();
        earliest.is_some_and(|(second, _)| newest > Some(second + SECONDS_HELD))
    }

    fn hold(&mut self, second: u64, mut event: Event) {
        let mut tally = self.tally.lock();
        let left_out = event.reads.saturating_sub(READS_OF_RECORD_MAX);
        event.reads -= left_out;
        tally.left_out += u64::from(left_out);
        let next = self.next.unwrap_or_default();
        if second < next {
            tally.out_of_order += u64::from(event.reads);
            event.at_ms = next * 1000;
        }
        let second = second.max(next);
        self.seconds.entry(second).or_default().push(event);
    }

    /// Takes over what the files say of their lines.
    fn take_over(&self) {
        let mut tally = self.tally.lock();
        (tally.other, tally.skipped) = (0, 0);
        for file in self.events.tallies() {
            tally.other += file.other;
            tally.skipped += file.skipped;
            if let (None, Some(problem)) = (&tally.problem, file.problems.first()) {
                let line = problem.line.map(|line| format!("line {line}: "));
                tally.problem = Some(line.unwrap_or_default() + &problem.reason);
            }
        }
    }
}

/// The requests of a second, in the order of time.
fn spread(events: Vec<Event>, second: u64) -> Vec<(u64, Key)> {
    let has_parts = events.iter().any(|event| event.at_ms % 1000 != 0);
    let count = events.len() as u64;
    let mut requests = Vec::with_capacity(events.len());
    for (at, event) in (0..).zip(events) {
        let begin = match has_parts {
            true => event.at_ms % 1000 * 1000,
            false => at * SECOND_US / count,
        };
        let reads = u64::from(event.reads);
        for number in 0..reads {
            let within = (begin + number * SECOND_US / reads) % SECOND_US;
            requests.push((second * SECOND_US + within, event.key.clone()));
        }
    }
    requests.sort_by_key(|(at_us, _)| *at_us);
    requests
}

impl Iterator for Replay {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            if let Some((at_us, key)) = self.ready.pop_front() {
                let begin_us = *self.begin_us.get_or_insert(at_us);
                let passed = Duration::from_micros(at_us.saturating_sub(begin_us));
                let due = Duration::try_from_secs_f64(passed.as_secs_f64() / self.speed).ok()?;
                return Some(Arrival { due, key });
            }
            if !self.advance() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests;
