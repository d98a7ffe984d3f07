//! The metric handles of the follower, taken once.

use hotshelf_coherence::ResyncReason;
use hotshelf_model::MessageError;
use hotshelf_telemetry::{Counter, Gauge, Histogram, metric};

use crate::follow::Lane;
use crate::ledger::HintOutcome;

/// What the change log is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogCall {
    Poll,
    Read,
    Sequence,
}

impl LogCall {
    /// The word in metrics and logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            LogCall::Poll => "poll",
            LogCall::Read => "read",
            LogCall::Sequence => "sequence",
        }
    }
}

#[derive(Debug)]
pub(crate) struct FollowCounters {
    pub(crate) position: Gauge,
    /// How far the low mark lies behind the cursor.
    pub(crate) reach: Gauge,
    pub(crate) floors: Gauge,
    pub(crate) leads: Gauge,
    pub(crate) proof_age: Gauge,
    pub(crate) clock_bound: Gauge,
    pub(crate) settled: Counter,
    pub(crate) unsettled: Counter,
    /// Polls that another node made for this one.
    pub(crate) polled_for: Counter,
    /// Polls that this node made for others.
    pub(crate) answered: Counter,
    pub(crate) gaps: Counter,
    pub(crate) hints_expired: Counter,
    pub(crate) bus_hears: Gauge,
    pub(crate) bus_seconds: Histogram,
    pub(crate) other_history: Counter,
    pub(crate) lost_history: Counter,
    applied: [Counter; 2],
    records: [Counter; 2],
    hints: [Counter; 3],
    unreadable: [Counter; 2],
    failures: [Counter; 3],
    panics: [Counter; 3],
    resyncs: [Counter; 3],
}

impl FollowCounters {
    pub(crate) fn new() -> Self {
        let polls = |outcome: &'static str| metric::LOG_POLLS.counter(&[("outcome", outcome)]);
        let hint = |outcome: &'static str| metric::HINTS.counter(&[("outcome", outcome)]);
        let resync = |reason: &'static str| metric::RESYNCS.counter(&[("reason", reason)]);
        let failure = |call: LogCall| metric::LOG_FAILURES.counter(&[("call", call.as_str())]);
        let sources = ["log", "bus"];
        FollowCounters {
            position: metric::LOG_POSITION.gauge(&[]),
            reach: metric::LOG_REACH.gauge(&[]),
            floors: metric::FLOORS.gauge(&[]),
            leads: metric::SEQUENCER_LEADS.gauge(&[]),
            proof_age: metric::PROOF_AGE.gauge(&[]),
            clock_bound: metric::DATABASE_CLOCK_BOUND.gauge(&[]),
            settled: polls("settled"),
            unsettled: polls("unsettled"),
            polled_for: metric::LOG_POLLS_SHARED.counter(&[("side", "asked")]),
            answered: metric::LOG_POLLS_SHARED.counter(&[("side", "answered")]),
            gaps: metric::LOG_GAPS.counter(&[]),
            hints_expired: hint("expired"),
            bus_hears: metric::BUS_HEARS.gauge(&[]),
            bus_seconds: metric::BUS_SECONDS.histogram(&[]),
            other_history: resync("other_history"),
            lost_history: resync("lost_history"),
            applied: sources.map(|source| metric::LOG_ROWS.counter(&[("source", source)])),
            records: sources.map(|source| metric::LOG_RECORDS.counter(&[("source", source)])),
            hints: ["news", "known", "foreign"].map(hint),
            unreadable: [MessageError::Undecodable, MessageError::UnknownFormat]
                .map(|error| metric::BUS_UNREADABLE.counter(&[("reason", error.as_str())])),
            failures: [
                polls("failed"),
                failure(LogCall::Read),
                failure(LogCall::Sequence),
            ],
            panics: Lane::ALL
                .map(|lane| metric::FOLLOWER_PANICS.counter(&[("lane", lane.as_str())])),
            resyncs: [
                ResyncReason::Start,
                ResyncReason::Timeline,
                ResyncReason::Pruned,
            ]
            .map(|reason| resync(reason.as_str())),
        }
    }

    /// Counts a row that was applied, by where it came from.
    pub(crate) fn applied(&self, by_bus: bool, records: usize) {
        self.applied[usize::from(by_bus)].increment(1);
        self.records[usize::from(by_bus)].increment(records as u64);
    }

    pub(crate) fn hint(&self, outcome: HintOutcome) {
        self.hints[outcome as usize].increment(1);
    }

    /// Counts a call of the change log that failed.
    pub(crate) fn failed(&self, call: LogCall) {
        self.failures[call as usize].increment(1);
    }

    pub(crate) fn panicked(&self, lane: Lane) {
        self.panics[lane as usize].increment(1);
    }

    pub(crate) fn unreadable(&self, error: MessageError) {
        let at = match error {
            MessageError::Undecodable => 0,
            MessageError::UnknownFormat => 1,
        };
        self.unreadable[at].increment(1);
    }

    pub(crate) fn resynced(&self, reason: ResyncReason) {
        let at = match reason {
            ResyncReason::Start => 0,
            ResyncReason::Timeline => 1,
            ResyncReason::Pruned => 2,
        };
        self.resyncs[at].increment(1);
    }
}
