//! What became of the requests, and how long they took.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Longer latencies count as this.
const LATENCY_MAX_NS: u64 = 3_600_000_000_000;
/// Latencies are kept to so many decimal digits.
const DIGITS: u8 = 3;
/// A request that was sent so long after it was due was sent late.
pub const LATE: Duration = Duration::from_millis(1);
/// So many names of tiers are told apart; a server that invents more is not counted further.
const TIERS_MAX: usize = 32;
const OTHER_TIERS: &str = "other";

/// An answer, as far as it is counted.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) tier: Option<String>,
    pub(crate) is_stale: bool,
    pub(crate) bytes: u64,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answered(Answer),
    Refused(String),
    Broken(String),
    TimedOut,
}

/// When a request was due, began to be sent, and ended, from the beginning of the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) due: Duration,
    pub(crate) begun: Duration,
    pub(crate) ended: Duration,
}

/// Counts and latencies of a run.
///
/// Every request that was due is in exactly one of [`answers`](Self::answers), `refused`, `broken`, `timed_out`, `unsent` and `abandoned`
/// when the run has ended.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Requests that were due.
    pub due: u64,
    /// Requests that were sent, or for which a connection was asked.
    pub sent: u64,
    /// Those of them that were sent more than [`LATE`] after they were due, because all connections were busy or the generator was.
    pub late: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Answers by the `detail` of their `Cache-Status`, as far as they have one.
    pub tiers: BTreeMap<String, u64>,
    /// Answers labelled `Hotshelf-Stale`.
    pub stale: u64,
    /// Bytes of the answers' bodies, as they were sent.
    pub bytes: u64,
    /// No connection could be made.
    pub refused: u64,
    /// The connection ended before the answer was whole.
    pub broken: u64,
    /// Not answered in time; the time is counted from when it was due.
    pub timed_out: u64,
    /// Not sent before its time had run out.
    pub unsent: u64,
    /// Due, and neither sent nor given up when the run was ended early; no errors.
    pub abandoned: u64,
    /// The first request that failed, and why.
    pub first_failure: Option<String>,
    /// Nanoseconds from sending to the end of the answer.
    pub service: Histogram<u64>,
    /// Nanoseconds from the moment at which a request was due to the end of its answer; what timed out or was not sent counts with the time that
    /// it had waited.
    pub from_due: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Tally {
            due: 0,
            sent: 0,
            late: 0,
            statuses: BTreeMap::new(),
            tiers: BTreeMap::new(),
            stale: 0,
            bytes: 0,
            refused: 0,
            broken: 0,
            timed_out: 0,
            unsent: 0,
            abandoned: 0,
            first_failure: None,
            service: histogram(),
            from_due: histogram(),
        }
    }
}

impl Tally {
    /// All answers.
    pub fn answers(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Answers that are errors: all but 2xx, 304, and 404, which is the right answer to an id that is no more.
    pub fn bad_answers(&self) -> u64 {
        let bad = self.statuses.iter().filter(|(status, _)| is_bad(**status));
        bad.map(|(_, count)| count).sum()
    }

    /// Requests that failed: bad answers, and all without an answer but the abandoned ones.
    pub fn errors(&self) -> u64 {
        self.bad_answers() + self.refused + self.broken + self.timed_out + self.unsent
    }

    /// The share of errors in all that has ended, between 0 and 1.
    pub fn error_rate(&self) -> f64 {
        let ended = self.answers() + self.refused + self.broken + self.timed_out + self.unsent;
        self.errors() as f64 / ended.max(1) as f64
    }

    /// A quantile of the latency from due, such as 0.99; `None` when there is none at all.
    pub fn latency(&self, quantile: f64) -> Option<Duration> {
        let ns = self.from_due.value_at_quantile(quantile);
        (!self.from_due.is_empty()).then(|| Duration::from_nanos(ns))
    }

    /// A request begins to be sent.
    pub(crate) fn begin(&mut self, due: Duration, begun: Duration) {
        self.sent += 1;
        self.late += u64::from(begun.saturating_sub(due) > LATE);
    }

    /// A request that was sent has ended.
    pub(crate) fn end(&mut self, id: &str, times: Times, outcome: Outcome) {
        let failure = match outcome {
            Outcome::Answered(answer) => self.answered(&answer, times),
            Outcome::Refused(why) => {
                self.refused += 1;
                Some(format!("no connection: {why}"))
            }
            Outcome::Broken(why) => {
                self.broken += 1;
                Some(format!("no whole answer: {why}"))
            }
            Outcome::TimedOut => {
                self.timed_out += 1;
                record(&mut self.from_due, times.ended.saturating_sub(times.due));
                Some("not answered in time".to_owned())
            }
        };
        if let (None, Some(failure)) = (&self.first_failure, failure) {
            self.first_failure = Some(format!("{id}: {failure}"));
        }
    }

    fn answered(&mut self, answer: &Answer, times: Times) -> Option<String> {
        record(&mut self.service, times.ended.saturating_sub(times.begun));
        record(&mut self.from_due, times.ended.saturating_sub(times.due));
        *self.statuses.entry(answer.status).or_default() += 1;
        self.stale += u64::from(answer.is_stale);
        self.bytes += answer.bytes;
        if let Some(tier) = &answer.tier {
            self.count_tier(tier);
        }
        is_bad(answer.status).then(|| format!("answered {}", answer.status))
    }

    fn count_tier(&mut self, tier: &str) {
        if let Some(count) = self.tiers.get_mut(tier) {
            *count += 1;
            return;
        }
        let name = if self.tiers.len() < TIERS_MAX {
            tier
        } else {
            OTHER_TIERS
        };
        *self.tiers.entry(name.to_owned()).or_default() += 1;
    }

    /// A request was due that was not sent in its time.
    pub(crate) fn add_unsent(&mut self, waited: Duration) {
        self.unsent += 1;
        record(&mut self.from_due, waited);
    }

    /// Counts what is left when the run has ended.
    pub(crate) fn close(&mut self) {
        let ended = self.answers() + self.refused + self.broken + self.timed_out + self.unsent;
        self.abandoned = self.due - ended;
    }
}

fn is_bad(status: u16) -> bool {
    !matches!(status, 200..=299 | 304 | 404)
}

fn histogram() -> Histogram<u64> {
    #[expect(
        clippy::expect_used,
        reason = "the bounds are constants, and a test makes one"
    )]
    Histogram::new_with_bounds(1, LATENCY_MAX_NS, DIGITS).expect("constant bounds are good")
}

fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, tier: &str) -> Outcome {
        Outcome::Answered(Answer {
            status,
            tier: Some(tier.to_owned()),
            is_stale: tier == "l3",
            bytes: 10,
        })
    }

    fn times(due: u64, begun: u64, ended: u64) -> Times {
        let ms = Duration::from_millis;
        Times {
            due: ms(due),
            begun: ms(begun),
            ended: ms(ended),
        }
    }

    #[test]
    fn each_request_is_counted_once_and_errors_are_what_failed() {
        let mut tally = Tally {
            due: 12,
            ..Tally::default()
        };
        let mut add = |id: &str, times: Times, outcome| {
            tally.begin(times.due, times.begun);
            tally.end(id, times, outcome);
        };
        for status in [200, 206, 304, 404, 400, 429, 503] {
            add("a", times(0, 0, 1), answer(status, "l1"));
        }
        add("b", times(0, 2, 5), answer(200, "l3"));
        add("c", times(0, 0, 1), Outcome::Refused("x".to_owned()));
        add("c", times(0, 0, 1), Outcome::Broken("y".to_owned()));
        add("c", times(0, 0, 1000), Outcome::TimedOut);
        tally.add_unsent(Duration::from_millis(1000));
        tally.close();
        assert_eq!(
            (tally.answers(), tally.bad_answers(), tally.errors()),
            (8, 3, 7)
        );
        assert_eq!((tally.sent, tally.late, tally.abandoned), (11, 1, 0));
        assert_eq!((tally.stale, tally.bytes), (1, 80));
        assert_eq!(
            tally.tiers,
            BTreeMap::from([("l1".to_owned(), 7), ("l3".to_owned(), 1)])
        );
        assert!((tally.error_rate() - 7.0 / 12.0).abs() < 1e-9);
        assert_eq!(tally.first_failure.as_deref(), Some("a: answered 400"));
        // Answers are in both; what waited in vain is in the one that is told.
        assert_eq!((tally.service.len(), tally.from_due.len()), (8, 10));
        assert!(tally.latency(1.0).unwrap() >= Duration::from_secs(1));
    }

    #[test]
    fn a_server_that_invents_tiers_fills_no_memory() {
        let mut tally = Tally::default();
        for number in 0..1000 {
            tally.end("a", times(0, 0, 1), answer(200, &number.to_string()));
        }
        assert!(tally.tiers.len() <= TIERS_MAX + 1);
        assert_eq!(tally.tiers.values().sum::<u64>(), 1000);
        assert_eq!(Tally::default().latency(0.99), None);
    }
}
