//! Follows the change log: polls its head, applies its rows in order, and keeps when the node last knew every change.
//!
//! One task owns the cursor. It asks for the head, reads the rows up to it from the database and applies them; rows that the bus
//! brings meanwhile are applied as they come. The cursor moves over a row only when it has moved over all before it, so a row that
//! comes early is applied at once and read again in its turn, and a bus that loses, repeats or reorders costs nothing but time.
//!
//! A poll that was sent at some moment, and that found no change without a position, is a *claim*: once the cursor has reached the
//! head that it saw, the node is proved to have known at that moment every change committed before it.

mod lanes;
mod lead;
mod learn;
mod listen;
mod prover;

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use hotshelf_coherence::{Claim, Cursor, HitContext, Knowledge, Place, PollStep};
use hotshelf_model::{
    Boot, Bus, ChangeLog, Clock, ClusterLeases, DbTime, Error, ErrorKind, LogRead, LogRow,
    Position, Version,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::changes::RecentChanges;
use crate::checkpoint::{CheckpointFile, Saved};
use crate::counters::gauge;
use crate::db_clock::DbClock;
use crate::follow_counters::{FollowCounters, LogCall};
use crate::ledger::{Copies, Ledger};
use crate::settings::EngineSettings;
use crate::slot::Slot;

/// Between two polls there is this much at least, however often somebody asks for one.
const POLL_PAUSE: Duration = Duration::from_millis(5);
/// Rows of one reading.
const ROWS_MAX: usize = 256;
/// Polls whose heads are still to be reached. Each poll is followed by a reading up to its head, so more than one is an exception.
const CLAIMS_MAX: usize = 8;
/// How often hints that nobody confirmed are dropped.
const TIDY_INTERVAL: Duration = Duration::from_secs(5);

pub(crate) use lanes::Lane;

/// Where a row came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowSource {
    Log,
    Bus,
}

/// What this node knows of the change log, and how it learns it.
#[derive(Debug)]
pub(crate) struct Follower {
    log: Arc<dyn ChangeLog>,
    bus: Option<Arc<dyn Bus>>,
    leases: Option<Arc<dyn ClusterLeases>>,
    clock: Arc<dyn Clock>,
    pub(crate) ledger: Ledger,
    poll_interval: Duration,
    sequence_interval: Duration,
    poll_timeout: Duration,
    staleness_bound: Duration,
    node: u32,
    checkpoint: Option<Arc<CheckpointFile>>,
    /// What a former process remembered, until the first poll says whether it is of use.
    saved: Mutex<Option<Saved>>,
    claims: Mutex<VecDeque<(Claim, Boot)>>,
    /// Rows that this node has given positions and not published yet.
    unpublished: Mutex<Option<(Position, Position)>>,
    leadership: Mutex<lead::Leadership>,
    prover: prover::Prover,
    /// The furthest row that the bus brought while there were gaps before it.
    ahead: AtomicU64,
    rows_are_lost: AtomicBool,
    /// Whether the row at the cursor is not the one in the log, as the last poll saw it: then what follows in the log does not follow what
    /// this node has applied, and to move the cursor over it would hide that.
    is_astray: AtomicBool,
    tidied: AtomicU64,
    db_clock: DbClock,
    version_max: AtomicU64,
    proved_once: AtomicBool,
    started: Boot,
    polls_begun: AtomicU64,
    polls_done: AtomicU64,
    /// Told after each poll. Wakes in the order of coming, which a `watch` does not.
    polled: Notify,
    pub(crate) changes: Arc<RecentChanges>,
    nudge: Notify,
    counters: FollowCounters,
}

/// What a follower needs to begin.
#[derive(Debug)]
pub(crate) struct Following {
    pub(crate) log: Arc<dyn ChangeLog>,
    pub(crate) bus: Option<Arc<dyn Bus>>,
    /// Where this node asks whether it leads the sequencing; without it, it never does.
    pub(crate) leases: Option<Arc<dyn ClusterLeases>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) copies: Copies,
    pub(crate) checkpoint: Option<Arc<CheckpointFile>>,
}

impl Follower {
    pub(crate) fn new(following: Following, settings: &EngineSettings) -> Arc<Self> {
        let Following {
            log,
            bus,
            leases,
            clock,
            copies,
            checkpoint,
        } = following;
        Arc::new(Follower {
            log,
            bus,
            leases,
            started: clock.now(),
            clock,
            ledger: Ledger::new(copies, settings.floors_max),
            poll_interval: settings.poll_interval,
            sequence_interval: settings.sequence_interval,
            poll_timeout: settings.poll_timeout,
            staleness_bound: settings.staleness_bound,
            node: settings.node,
            checkpoint,
            saved: Mutex::default(),
            claims: Mutex::default(),
            unpublished: Mutex::default(),
            leadership: Mutex::default(),
            prover: prover::Prover::new(),
            ahead: AtomicU64::new(0),
            rows_are_lost: AtomicBool::new(false),
            is_astray: AtomicBool::new(false),
            tidied: AtomicU64::new(0),
            db_clock: DbClock::default(),
            version_max: AtomicU64::new(0),
            proved_once: AtomicBool::new(false),
            polls_begun: AtomicU64::new(0),
            polls_done: AtomicU64::new(0),
            polled: Notify::new(),
            changes: Arc::new(RecentChanges::new(settings.changes_max)),
            nudge: Notify::new(),
            counters: FollowCounters::new(),
        })
    }

    /// Follows until the task is aborted.
    pub(crate) async fn run(self: Arc<Self>) {
        if let Some(checkpoint) = &self.checkpoint {
            *self.saved.lock() = checkpoint.read().await;
        }
        self.run_lanes().await;
    }

    async fn keep_polling(&self) {
        let pause = POLL_PAUSE.min(self.poll_interval);
        let mut is_wanted = true;
        loop {
            if is_wanted || !self.is_polled_for() {
                self.poll().await;
            }
            self.note_proof_age();
            self.ask();
            self.tidy();
            tokio::time::sleep(pause).await;
            let nudged = tokio::time::timeout(self.poll_interval - pause, self.nudge.notified());
            is_wanted = nudged.await.is_ok();
        }
    }

    async fn poll(&self) {
        let number = self.polls_begun.fetch_add(1, Ordering::AcqRel) + 1;
        let asked = self.cursor();
        let sent = self.clock.now();
        let asks = self.begin_own_poll(sent);
        let mut known = vec![asked.position];
        known.extend(asks.iter().map(|ask| ask.known));
        let polls = self.guarded(async { self.log.poll_many(&known).await });
        let polls = polls.await.and_then(|polls| {
            let context = "a poll of the change log answers too little";
            (polls.len() == known.len())
                .then_some(polls)
                .ok_or_else(|| Error::new(ErrorKind::OriginFailed, context))
        });
        match polls.as_deref() {
            Ok([poll, others @ ..]) => {
                self.note_clock(poll, sent);
                let step = self.learn(asked, poll, sent);
                self.answer(&asks, others);
                if step == PollStep::LostHistory {
                    self.renew_history(poll).await;
                }
                if !self.is_astray.load(Ordering::Relaxed) {
                    self.catch_up(poll.head.position).await;
                }
                self.polls_done.store(number, Ordering::Release);
                self.polled.notify_waiters();
            }
            Ok([]) => {}
            Err(error) => self.missed(LogCall::Poll, error),
        }
    }

    fn note_proof_age(&self) {
        let proof_age = self.clock.now().since(self.ledger.proof());
        self.counters.proof_age.set(proof_age.as_secs_f64());
    }

    /// The cursor that a poll is asked about: of this process, or else of the one before.
    fn cursor(&self) -> Cursor {
        let knowledge = self.ledger.knowledge();
        knowledge.map_or_else(
            || {
                let saved = self.saved.lock();
                saved
                    .as_ref()
                    .map_or_else(Cursor::default, |(checkpoint, _)| checkpoint.cursor)
            },
            |knowledge| knowledge.cursor,
        )
    }

    /// One call of the change log in its time. A panic in it is one failed call, and not the end of all proofs.
    async fn guarded<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let late = |_| Error::new(ErrorKind::OriginTimeout, "asking the change log");
        let panicked = |_| Error::new(ErrorKind::OriginFailed, "asking the change log panicked");
        tokio::time::timeout(self.poll_timeout, AssertUnwindSafe(call).catch_unwind())
            .await
            .map_err(late)?
            .map_err(panicked)?
    }

    fn missed(&self, call: LogCall, error: &Error) {
        self.counters.failed(call);
        tracing::debug!(call = call.as_str(), ?error, "asking the change log failed");
    }

    /// Reads and applies rows up to `head`, and leaves the rest to the next poll when that is not to be had.
    async fn catch_up(&self, head: Position) {
        loop {
            let before = self.cursor().position;
            if before >= head {
                return;
            }
            match self
                .guarded(async { self.log.read(before, ROWS_MAX).await })
                .await
            {
                Ok(LogRead::Rows(rows)) => self.take_rows(rows).await,
                Ok(LogRead::Pruned) => {
                    self.rows_are_lost.store(true, Ordering::Relaxed);
                    self.nudge();
                    return;
                }
                Err(error) => return self.missed(LogCall::Read, &error),
            }
            if self.cursor().position == before {
                return;
            }
        }
    }

    async fn take_rows(&self, rows: Vec<LogRow>) {
        for row in rows {
            if matches!(
                self.take_row(row, RowSource::Log),
                Place::Foreign | Place::NewTimeline
            ) {
                return self.nudge();
            }
            // One row has at most 512 records: a bulk change of a million rows holds nobody up.
            tokio::task::yield_now().await;
        }
    }

    /// Applies a row, and moves the cursor over it if it is the next. Never waits, so rows of the log and of the bus do not mix.
    pub(crate) fn take_row(&self, row: LogRow, source: RowSource) -> Place {
        let Some(knowledge) = self.ledger.knowledge() else {
            return Place::Foreign;
        };
        let place = match knowledge.place(row.hist, row.timeline, row.position) {
            Place::Next if self.is_astray.load(Ordering::Relaxed) => Place::Ahead,
            place => place,
        };
        if source == RowSource::Log {
            self.publish_own(&row);
        }
        if !matches!(place, Place::Next | Place::Ahead) {
            return place;
        }
        for record in &row.records {
            self.ledger.apply(record, row.position);
        }
        self.counters
            .applied(source == RowSource::Bus, row.records.len());
        if place == Place::Ahead {
            self.ahead.fetch_max(row.position.0, Ordering::Relaxed);
            return place;
        }
        if source == RowSource::Log && row.position.0 < self.ahead.load(Ordering::Relaxed) {
            self.counters.gaps.increment(1);
        }
        if let Some(knowledge) = self.ledger.advance(Cursor::of(&row)) {
            self.changes.push(row);
            self.moved(&knowledge);
        }
        place
    }

    fn tidy(&self) {
        let now = self.clock.now();
        if now.since(Boot(self.tidied.load(Ordering::Relaxed))) < TIDY_INTERVAL {
            return;
        }
        self.tidied.store(now.0, Ordering::Relaxed);
        let expired = self.ledger.tidy(now);
        self.counters.hints_expired.increment(expired as u64);
        self.counters.floors.set(gauge(self.ledger.floors() as u64));
        if let Some(knowledge) = self.ledger.knowledge() {
            let lag = knowledge.cursor.position.0.saturating_sub(knowledge.low.0);
            self.counters.reach.set(gauge(lag));
        }
    }

    /// For a node that is about to stop: another may lead, and what a restart needs is written.
    pub(crate) async fn stop(self: &Arc<Self>) {
        self.resign().await;
        if let Some(checkpoint) = &self.checkpoint {
            checkpoint.write(self).await;
        }
    }

    /// What a hit needs to know: three loads and one reading of the clock.
    #[inline]
    pub(crate) fn context(&self) -> HitContext {
        let now = self.clock.now();
        // The proof first: it is only as good as the generation, and the state of L1, that were there before it.
        let proof = self.ledger.proof();
        HitContext {
            generation: self.ledger.generation(),
            proof,
            now,
            db_now: self.db_clock.latest(now),
            staleness_bound: self.staleness_bound,
        }
    }

    /// What the node knows; `None` before the first poll.
    pub(crate) fn knowledge(&self) -> Option<Knowledge> {
        self.ledger.knowledge()
    }

    /// The last moment at which a copy that L1 holds was proved current.
    pub(crate) fn proved_at(&self, slot: &Slot, context: &HitContext) -> Boot {
        self.ledger.proved_at(slot, context)
    }

    /// The latest time that the database's clock can show.
    pub(crate) fn db_now(&self) -> Option<DbTime> {
        self.db_clock
            .is_known()
            .then(|| self.db_clock.latest(self.clock.now()))
    }

    /// A moment of the database's clock on this machine's clock, the earliest that it can be.
    pub(crate) fn boot_of(&self, at: DbTime) -> Boot {
        self.db_clock.boot(at)
    }

    /// The greatest version known to have been given out.
    pub(crate) fn version_max(&self) -> Version {
        Version(self.version_max.load(Ordering::Relaxed))
    }

    pub(crate) fn is_proved_once(&self) -> bool {
        self.proved_once.load(Ordering::Acquire)
    }

    /// Whether `patience` has passed since the start.
    pub(crate) fn has_waited(&self, patience: Duration) -> bool {
        self.clock.now().since(self.started) >= patience
    }

    /// Asks for a poll soon.
    pub(crate) fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Waits for a poll that was begun after this call. Returns whether there was one within `patience`.
    pub(crate) async fn poll_now(&self, patience: Duration) -> bool {
        let begun = self.polls_begun.load(Ordering::Acquire);
        let is_done = || self.polls_done.load(Ordering::Acquire) > begun;
        self.poll_until(is_done, patience).await
    }

    /// Waits until the node is proved by a poll that was sent after `moment`. Returns whether that was within `patience`.
    pub(crate) async fn proved_since(&self, moment: Boot, patience: Duration) -> bool {
        let is_proved = || self.ledger.proof() > moment;
        self.poll_until(is_proved, patience).await
    }

    /// Polls as often as it may until `is_done`. Returns whether that was within `patience`.
    async fn poll_until(&self, is_done: impl Fn() -> bool, patience: Duration) -> bool {
        let done = async {
            loop {
                // Before the look, so that no poll ends unnoticed in between.
                let polled = self.polled.notified();
                if is_done() {
                    return;
                }
                self.nudge();
                polled.await;
            }
        };
        tokio::time::timeout(patience, done).await.is_ok()
    }
}
