//! The record of a run: one clock, one history, and the numbers of its writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hotshelf_engine::{Answer, Freshness};
use hotshelf_model::{Boot, Clock, Error, ErrorKind, Kind, Version};
use hotshelf_sim::history::{Failure, OriginAnswer};
use hotshelf_sim::{Fetch, Flag, History, Moment, Read, Seen};
use hotshelf_testkit::ManualClock;
use parking_lot::Mutex;

use crate::document;

/// What readers and writers do; each counts as a branch.
pub(crate) const ACTIONS: [&str; 12] = [
    "read",
    "read with a version",
    "batch",
    "eviction",
    "promotion",
    "demotion",
    "ban",
    "creation",
    "change",
    "deletion",
    "bump",
    "scheduled change",
];

/// What was asked, for the record of what came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) product: u32,
    pub(crate) variant: u32,
    pub(crate) node: u32,
    pub(crate) session: Option<u32>,
    pub(crate) min_version: Option<Version>,
    pub(crate) begun: Moment,
}

#[derive(Debug)]
pub(crate) struct Record {
    clock: Arc<ManualClock>,
    begun: Boot,
    numbers: AtomicU64,
    writing_is_over: AtomicBool,
    reading_is_over: AtomicBool,
    pub(crate) history: Mutex<History>,
    /// How often each branch was taken, by lives that are over.
    pub(crate) branches: Mutex<BTreeMap<&'static str, u64>>,
    /// Why reads failed, counted.
    pub(crate) reasons: Mutex<BTreeMap<String, u64>>,
}

impl Record {
    pub(crate) fn new(clock: Arc<ManualClock>, nodes: u32) -> Self {
        let history = History {
            nodes,
            ..History::default()
        };
        Record {
            begun: clock.now(),
            clock,
            numbers: AtomicU64::new(0),
            writing_is_over: AtomicBool::new(false),
            reading_is_over: AtomicBool::new(false),
            history: Mutex::new(history),
            branches: Mutex::default(),
            reasons: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        self.clock.now().since(self.begun)
    }

    /// The number of the next write.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn end_writing(&self) {
        self.writing_is_over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn writes_go_on(&self) -> bool {
        !self.writing_is_over.load(Ordering::Relaxed)
    }

    pub(crate) fn end_reading(&self) {
        self.reading_is_over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn reads_go_on(&self) -> bool {
        !self.reading_is_over.load(Ordering::Relaxed)
    }

    pub(crate) fn did(&self, action: &'static str) {
        debug_assert!(ACTIONS.contains(&action));
        *self.branches.lock().entry(action).or_default() += 1;
    }

    pub(crate) fn fetched(&self, fetch: Fetch) {
        self.history.lock().fetches.push(fetch);
    }

    /// Records that the database answered a node about a product.
    pub(crate) fn answered(&self, node: u32, product: u32) {
        let at = self.now();
        let answer = OriginAnswer { product, node, at };
        self.history.lock().origin_answers.push(answer);
    }

    /// Records what came of a read.
    pub(crate) fn outcome(&self, asked: Asked, outcome: Result<Answer, Error>) -> Option<Read> {
        match outcome {
            Ok(answer) => {
                let read = self.read(asked, &answer);
                self.history.lock().reads.push(read);
                Some(read)
            }
            Err(error) => {
                self.failed(asked, error.kind(), &error.to_string());
                None
            }
        }
    }

    /// What an answer says.
    pub(crate) fn read(&self, asked: Asked, answer: &Answer) -> Read {
        Read {
            product: asked.product,
            node: asked.node,
            session: asked.session,
            begun: asked.begun,
            ended: self.now(),
            version: answer.version(),
            seen: match answer.kind() {
                Kind::Present => document::seen(answer.document(), asked.variant),
                Kind::Absent => Seen::Absent,
            },
            flag: match answer.freshness() {
                Freshness::Fresh { .. } => Flag::Fresh,
                Freshness::Stale { by } => Flag::Stale(by),
            },
            min_version: asked.min_version,
        }
    }

    /// Records a read that nobody answered.
    pub(crate) fn failed(&self, asked: Asked, kind: ErrorKind, reason: &str) {
        let reason = format!("{kind:?}: {reason}");
        *self.reasons.lock().entry(reason).or_default() += 1;
        let failure = Failure {
            node: asked.node,
            begun: asked.begun,
            ended: self.now(),
        };
        self.history.lock().failures.push(failure);
    }
}
