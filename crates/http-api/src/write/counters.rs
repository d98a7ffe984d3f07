//! What writes count; the handles are taken once.

use std::time::Duration;

use hotshelf_model::{Error, ErrorKind, ProductChange, WriteOutcome};
use hotshelf_telemetry::{Counter, Histogram, metric};
use http::{Method, StatusCode};

use crate::problem::Problem;

const METHODS: [&str; 3] = ["put", "patch", "delete"];
const OUTCOMES: [&str; 11] = [
    "created",
    "updated",
    "unchanged",
    "deleted",
    "mismatch",
    "absent",
    "invalid",
    "denied",
    "shed",
    "failed",
    "unknown",
];

/// Counters of writes, by method and outcome.
#[derive(Debug)]
pub(crate) struct WriteCounters {
    outcomes: Vec<(&'static str, &'static str, Counter)>,
    seconds: Vec<(&'static str, Histogram)>,
}

impl WriteCounters {
    pub(crate) fn new() -> Self {
        let counter = |method, outcome| {
            let labels = [("method", method), ("outcome", outcome)];
            (method, outcome, metric::WRITES.counter(&labels))
        };
        let seconds = |method| {
            let labels = [("method", method)];
            (method, metric::WRITE_SECONDS.histogram(&labels))
        };
        let of_method = |method| OUTCOMES.map(|outcome| counter(method, outcome));
        WriteCounters {
            outcomes: METHODS.into_iter().flat_map(of_method).collect(),
            seconds: METHODS.map(seconds).into(),
        }
    }

    /// Counts a write that the database was asked for.
    pub(super) fn done(
        &self,
        change: &ProductChange,
        outcome: &Result<WriteOutcome, Error>,
        taken: Duration,
    ) {
        let word = match outcome {
            Ok(WriteOutcome::Written { effect, .. }) => effect.as_str(),
            Ok(WriteOutcome::VersionMismatch { .. }) => "mismatch",
            Ok(WriteOutcome::NotFound { .. }) => "absent",
            Ok(WriteOutcome::TooLarge { .. }) => "invalid",
            Err(error) => match error.kind() {
                ErrorKind::Invalid => "invalid",
                ErrorKind::WriteUnknown => "unknown",
                _ => "failed",
            },
        };
        self.count(change.as_str(), word);
        let mut seconds = self.seconds.iter();
        if let Some((_, seconds)) = seconds.find(|(method, _)| *method == change.as_str()) {
            seconds.record(taken);
        }
    }

    /// Counts a write that the database was not asked for. The answers to those that it was asked for are counted by [`Self::done`].
    pub(super) fn refused(&self, method: &Method, problem: &Problem) {
        let word = match (problem.code(), problem.status()) {
            ("shed", _) => "shed",
            ("invalid" | "body_too_large" | "body_too_slow" | "unsupported_media_type", _) => {
                "invalid"
            }
            (
                _,
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED,
            ) => "denied",
            _ => return,
        };
        self.count(&method.as_str().to_ascii_lowercase(), word);
    }

    fn count(&self, method: &str, outcome: &str) {
        let mut counters = self.outcomes.iter();
        let found = counters.find(|(one, other, _)| *one == method && *other == outcome);
        debug_assert!(found.is_some(), "{method} {outcome} is in no list");
        if let Some((_, _, counter)) = found {
            counter.increment(1);
        }
    }
}
