//! The record of a run: one clock, one history, and the numbers of its writes.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hotshelf_model::{Version, VersionToken};
use hotshelf_sim::history::Failure;
use hotshelf_sim::{Flag, History, Moment, Read, Seen, Write};
use parking_lot::Mutex;
use serde_json::Value;

use super::document;
use crate::client::Reply;
use crate::time::{Stopwatch, pause, stopwatch};

/// What was asked, for the record of what came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) product: u32,
    pub(super) node: usize,
    pub(super) session: Option<u32>,
    pub(super) min_version: Option<Version>,
    pub(super) begun: Moment,
}

/// How long the old version of a product was shown after a commit, and when the new one was seen on every node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    /// Through the write API, and not by SQL.
    pub(super) by_api: bool,
    /// When the commit was acknowledged.
    pub(super) acknowledged: Moment,
    /// From then to the last end of a read, on any node, that showed the old version.
    pub(super) old_shown: Duration,
    /// From then to the end of the first read of the last node that showed the new one.
    pub(super) new_shown: Duration,
}

/// What actors write into, each from a thread of its own.
#[derive(Debug)]
pub(super) struct Record {
    watch: Stopwatch,
    numbers: AtomicU64,
    over: AtomicBool,
    writing_is_over: AtomicBool,
    pub(super) history: Mutex<History>,
    pub(super) sights: Mutex<Vec<Sight>>,
    /// Why reads and writes failed, counted.
    pub(super) reasons: Mutex<BTreeMap<String, u64>>,
    /// The last value of each branch's counter, by node, its life, and branch.
    pub(super) branches: Mutex<BTreeMap<(usize, u32, &'static str), u64>>,
    /// How often something that the run is meant to do was done.
    pub(super) done: Mutex<BTreeMap<&'static str, u64>>,
    /// What the run itself did not get done, such as a node that did not come back.
    pub(super) troubles: Mutex<Vec<String>>,
    /// Which tier gave how many of the answers.
    pub(super) tiers: Mutex<BTreeMap<String, u64>>,
    /// What a new primary held when it took over, and when.
    pub(super) takeover: Mutex<Option<(Moment, HashMap<u32, Version>)>>,
}

impl Record {
    pub(super) fn new(nodes: usize) -> Self {
        let history = History {
            nodes: u32::try_from(nodes).unwrap(),
            ..History::default()
        };
        Record {
            watch: stopwatch(),
            numbers: AtomicU64::new(0),
            over: AtomicBool::new(false),
            writing_is_over: AtomicBool::new(false),
            history: Mutex::new(history),
            sights: Mutex::default(),
            reasons: Mutex::default(),
            branches: Mutex::default(),
            done: Mutex::default(),
            troubles: Mutex::default(),
            tiers: Mutex::default(),
            takeover: Mutex::default(),
        }
    }

    pub(super) fn now(&self) -> Moment {
        self.watch.elapsed()
    }

    /// The number of the next write.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn end_writing(&self) {
        self.writing_is_over.store(true, Ordering::Relaxed);
    }

    pub(super) fn writes_go_on(&self) -> bool {
        !self.writing_is_over.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(super) fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    /// Lets time pass in small steps, as long as the run goes on.
    pub(super) fn pass(&self, time: Duration) {
        let until = self.now() + time;
        while self.goes_on() && self.now() < until {
            pause(Duration::from_millis(20).min(until.saturating_sub(self.now())));
        }
    }

    pub(super) fn write(&self, write: Write) {
        self.history.lock().writes.push(write);
    }

    pub(super) fn failed(&self, what: &str, reason: &str) {
        let mut reasons = self.reasons.lock();
        *reasons.entry(format!("{what}: {reason}")).or_default() += 1;
    }

    pub(super) fn did(&self, what: &'static str) {
        *self.done.lock().entry(what).or_default() += 1;
    }

    pub(super) fn trouble(&self, what: impl Into<String>) {
        self.troubles.lock().push(what.into());
    }

    /// Records a read that a node did not answer, for this reason.
    pub(super) fn unanswered(&self, asked: Asked, reason: &str) {
        let what = match asked.min_version {
            Some(_) => "read with a version",
            None => "read",
        };
        self.failed(what, reason);
        let failure = Failure {
            node: u32::try_from(asked.node).unwrap(),
            begun: asked.begun,
            ended: self.now(),
        };
        self.history.lock().failures.push(failure);
    }

    /// Records the answer to a read of one product.
    ///
    /// # Errors
    /// The reason for which it is none.
    pub(super) fn answer(&self, asked: Asked, reply: &Reply) -> Result<Read, String> {
        let seen = match reply.status {
            200 => {
                serde_json::from_slice(&reply.body).map_or(Seen::Torn, |json| document::seen(&json))
            }
            404 => Seen::Absent,
            status => return Err(format!("{status} {}", code(reply))),
        };
        let version = version(reply).ok_or("an answer without a version")?;
        *self
            .tiers
            .lock()
            .entry(reply.tier().to_owned())
            .or_default() += 1;
        let stale = reply
            .header("hotshelf-stale")
            .and_then(|age| age.parse().ok());
        Ok(self.read(asked, version, seen, stale))
    }

    /// Records one result of a batch.
    ///
    /// # Errors
    /// The reason for which it is none.
    pub(super) fn result(&self, asked: Asked, result: &Value) -> Result<Read, String> {
        let seen = match result["status"].as_str() {
            Some("present") => document::seen(&result["document"]),
            Some("absent") => Seen::Absent,
            _ => return Err(result["error"]["code"].to_string()),
        };
        let version = result["version"].as_str().and_then(parse_version);
        let version = version.ok_or("a result without a version")?;
        let stale = result["stale_s"].as_u64().filter(|&age| age > 0);
        Ok(self.read(asked, version, seen, stale))
    }

    fn read(&self, asked: Asked, version: Version, seen: Seen, stale: Option<u64>) -> Read {
        let read = Read {
            product: asked.product,
            node: u32::try_from(asked.node).unwrap(),
            session: asked.session,
            begun: asked.begun,
            ended: self.now(),
            version,
            seen,
            flag: stale.map_or(Flag::Fresh, |age| Flag::Stale(Duration::from_secs(age))),
            min_version: asked.min_version,
        };
        self.history.lock().reads.push(read);
        read
    }
}

/// The version that an answer names.
pub(super) fn version(reply: &Reply) -> Option<Version> {
    parse_version(reply.header("hotshelf-version")?)
}

fn parse_version(token: &str) -> Option<Version> {
    let token: VersionToken = token.parse().ok()?;
    Some(token.version())
}

/// The code of a problem, if the answer is one.
pub(super) fn code(reply: &Reply) -> String {
    let problem: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    problem["code"]
        .as_str()
        .unwrap_or("without a code")
        .to_owned()
}
