//! What the task counts, and its events.

use hotshelf_hotkeys::message::{Announced, HotMessage};
use hotshelf_hotkeys::{Refused, Status};
use hotshelf_model::MessageError;
use hotshelf_telemetry::metric::{
    HOT_CLUSTER_KEYS, HOT_FRAMES, HOT_LAG, HOT_LEADS, HOT_PROVISIONAL, HOT_QUESTIONS,
    HOT_SNAPSHOTS, HOT_STANDS_BY, HOT_TRACKED, HOT_UNREADABLE,
};
use hotshelf_telemetry::{Counter, Gauge};

use crate::board::Board;

#[derive(Debug)]
pub(crate) struct Metrics {
    counted: Counter,
    refused: [Counter; 5],
    unreadable_frames: Counter,
    provisional: Counter,
    questions: Counter,
    snapshots_wanted: Counter,
    snapshots_told: Counter,
    cluster_keys: Gauge,
    leads: Gauge,
    stands_by: Gauge,
    lag: Gauge,
    tracked: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let frames = |outcome| HOT_FRAMES.counter(&[("outcome", outcome)]);
        Metrics {
            counted: frames("counted"),
            refused: Refused::ALL.map(|refused| frames(refused.as_str())),
            unreadable_frames: frames("unreadable"),
            provisional: HOT_PROVISIONAL.counter(&[]),
            questions: HOT_QUESTIONS.counter(&[]),
            snapshots_wanted: HOT_SNAPSHOTS.counter(&[("direction", "in")]),
            snapshots_told: HOT_SNAPSHOTS.counter(&[("direction", "out")]),
            cluster_keys: HOT_CLUSTER_KEYS.gauge(&[]),
            leads: HOT_LEADS.gauge(&[]),
            stands_by: HOT_STANDS_BY.gauge(&[]),
            lag: HOT_LAG.gauge(&[]),
            tracked: HOT_TRACKED.gauge(&[]),
        }
    }

    pub(crate) fn frame(&self, outcome: Result<(), Refused>) {
        let counter = match outcome {
            Ok(()) => &self.counted,
            Err(refused) => &self.refused[refused as usize],
        };
        counter.increment(1);
    }

    pub(crate) fn unreadable_frame(&self) {
        self.unreadable_frames.increment(1);
    }

    pub(crate) fn unreadable(&self, error: MessageError) {
        HOT_UNREADABLE
            .counter(&[("reason", error.as_str())])
            .increment(1);
    }

    pub(crate) fn provisional(&self) {
        self.provisional.increment(1);
    }

    pub(crate) fn wanted(&self) {
        self.snapshots_wanted.increment(1);
    }

    /// Counts what is published; of each decision, the leader says so in its log.
    pub(crate) fn published(&self, message: &HotMessage) {
        match message {
            HotMessage::Questions(hashes) => self.questions.increment(hashes.len() as u64),
            HotMessage::Snapshot(snapshot) if snapshot.part == 0 => {
                self.snapshots_told.increment(1);
            }
            HotMessage::Decided(decided) => {
                let mut decision = decided.first;
                for announced in &decided.decisions {
                    log(announced, &decision.to_string());
                    decision = decision.next();
                }
            }
            _ => {}
        }
    }

    /// As of now.
    pub(crate) fn look(&self, board: &Board, status: Option<&Status>, leads: bool) {
        let flag = |is_so: bool| f64::from(u8::from(is_so));
        self.cluster_keys.set(board.len() as f64);
        self.leads.set(flag(leads));
        self.stands_by.set(flag(status.is_some() && !leads));
        self.lag
            .set(status.map_or(0.0, |status| status.lag.as_secs_f64()));
        self.tracked
            .set(status.map_or(0.0, |status| status.tracked as f64));
    }
}

fn log(announced: &Announced, decision: &str) {
    match announced {
        Announced::Promoted(told) => tracing::info!(
            decision,
            key = told.key.as_str(),
            rate = told.rate.round(),
            share = told.share,
            onset_ms = told.onset_ms,
            why = told.why.as_str(),
            "a key is hot"
        ),
        Announced::Demoted(key, why) => tracing::info!(
            decision,
            key = key.as_str(),
            why = why.as_str(),
            "a key is no longer hot"
        ),
    }
}
