//! What a listener counts; the handles are taken once.

use std::time::Duration;

use hotshelf_telemetry::{Counter, Gauge, Histogram, metric};
use http::StatusCode;

/// Statuses that are counted one by one; any other is counted as `other`.
const STATUSES: [(u16, &str); 20] = [
    (200, "200"),
    (304, "304"),
    (404, "404"),
    (201, "201"),
    (202, "202"),
    (204, "204"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (405, "405"),
    (408, "408"),
    (412, "412"),
    (413, "413"),
    (414, "414"),
    (415, "415"),
    (429, "429"),
    (500, "500"),
    (502, "502"),
    (503, "503"),
    (504, "504"),
];

#[derive(Debug)]
pub(crate) struct Counters {
    answers: Vec<(u16, Counter)>,
    others: Counter,
    seconds: Histogram,
    pub(crate) connections: Gauge,
    pub(crate) refused: Counter,
    /// Connections that were closed for taking too long, by what they were slow at.
    pub(crate) slow: [Counter; Slow::ALL.len()],
}

/// What a client was too slow at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slow {
    /// Sending a request's head.
    Head,
    /// Reading answers.
    Reading,
    /// A request took too long as a whole.
    Request,
    /// Nothing came for the idle time; an orderly end.
    Idle,
}

impl Slow {
    pub(crate) const ALL: [Slow; 4] = [Slow::Head, Slow::Reading, Slow::Request, Slow::Idle];

    fn as_str(self) -> &'static str {
        match self {
            Slow::Head => "head",
            Slow::Reading => "reading",
            Slow::Request => "request",
            Slow::Idle => "idle",
        }
    }
}

impl Counters {
    pub(crate) fn new(listener: &'static str) -> Self {
        let labels = [("listener", listener)];
        let answer =
            |status| metric::HTTP_REQUESTS.counter(&[("listener", listener), ("status", status)]);
        let slow = |slow: Slow| {
            metric::HTTP_CONNECTIONS_SLOW
                .counter(&[("listener", listener), ("reason", slow.as_str())])
        };
        Counters {
            answers: STATUSES
                .iter()
                .map(|&(code, label)| (code, answer(label)))
                .collect(),
            others: answer("other"),
            seconds: metric::HTTP_SECONDS.histogram(&labels),
            connections: metric::HTTP_CONNECTIONS.gauge(&labels),
            refused: metric::HTTP_CONNECTIONS_REFUSED.counter(&labels),
            slow: Slow::ALL.map(slow),
        }
    }

    pub(crate) fn answered(&self, status: StatusCode, duration: Option<Duration>) {
        // The first three are nearly all answers, so this ends at once.
        let counter = self
            .answers
            .iter()
            .find(|(code, _)| *code == status.as_u16());
        counter
            .map_or(&self.others, |(_, counter)| counter)
            .increment(1);
        if let Some(duration) = duration {
            self.seconds.record(duration);
        }
    }

    pub(crate) fn closed_for(&self, slow: Slow) {
        let index = Slow::ALL.iter().position(|&other| other == slow);
        if let Some(counter) = index.and_then(|index| self.slow.get(index)) {
            counter.increment(1);
        }
    }
}
