//! Follows the change log: polls its head, keeps what the node knows and when it was last proved, and measures the database's clock.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use hotshelf_coherence::{Generation, Held, HitContext, Knowledge, PollChange};
use hotshelf_model::{Boot, ChangeLog, Clock, DbTime, Error, ErrorKind, Poll, Version};
use hotshelf_telemetry::{Counter, Gauge, metric};
use parking_lot::RwLock;
use tokio::sync::{Notify, watch};

use crate::counters::gauge;
use crate::settings::EngineSettings;

/// Proofs of so many former generations are remembered, for honest labels on copies from before.
const GENERATIONS_MAX: usize = 64;
/// A clock sample with a wider bound is taken all the same after so many polls, because clocks drift.
const CLOCK_SAMPLES: u32 = 16;
/// Between two polls there is this much at least, however often somebody asks for one.
const POLL_PAUSE: Duration = Duration::from_millis(5);

/// The database's clock as seen from here. Unknown until the first poll.
#[derive(Debug, Default)]
struct DbClock {
    /// The most that the database's milliseconds can be ahead of boot milliseconds. One number, so that no reader sees the offset of
    /// one sample with the bound of another.
    ahead_ms: AtomicI64,
    /// How much that may be too much, in each direction from the middle.
    bound_ms: AtomicU64,
    age: AtomicU32,
}

fn millis(at: Boot) -> u64 {
    at.0 / 1_000_000
}

impl DbClock {
    /// The answer was made between `sent` and `received`; so the offset is known to half the time between.
    fn sample(&self, db_now: DbTime, sent: Boot, received: Boot) {
        let bound = received.since(sent).as_millis() / 2 + 1;
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        let middle = millis(sent) / 2 + millis(received) / 2;
        let offset = db_now.0.cast_signed() - middle.cast_signed();
        let age = self.age.fetch_add(1, Ordering::Relaxed);
        let is_worse = bound > self.bound_ms.load(Ordering::Relaxed);
        if age != 0 && age < CLOCK_SAMPLES && is_worse && !self.is_contradicted_by(offset, bound) {
            return;
        }
        let ahead = offset.saturating_add_unsigned(bound);
        self.ahead_ms.store(ahead, Ordering::Relaxed);
        self.bound_ms.store(bound, Ordering::Relaxed);
        self.age.store(1, Ordering::Relaxed);
    }

    /// Whether both samples cannot be of one clock: it was set, or another server has taken over.
    fn is_contradicted_by(&self, offset: i64, bound: u64) -> bool {
        let known_bound = self.bound_ms.load(Ordering::Relaxed);
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        let known_offset = ahead.saturating_sub_unsigned(known_bound);
        offset.abs_diff(known_offset) > bound.saturating_add(known_bound)
    }

    /// The latest time that the database's clock can show at `now`.
    #[inline]
    fn latest(&self, now: Boot) -> DbTime {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        let latest = millis(now).cast_signed().saturating_add(ahead).max(0);
        DbTime(latest.cast_unsigned())
    }

    /// The earliest moment on this machine's clock at which the database's clock can have shown `at`, not before boot.
    fn boot(&self, at: DbTime) -> Boot {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        let ms = at.0.cast_signed().saturating_sub(ahead).max(0);
        Boot(ms.cast_unsigned().saturating_mul(1_000_000))
    }
}

#[derive(Debug)]
struct Gauges {
    position: Gauge,
    proof_age: Gauge,
    clock_bound: Gauge,
    settled: Counter,
    unsettled: Counter,
    failed: Counter,
}

/// What this node knows of the change log, and how it learns it.
#[derive(Debug)]
pub(crate) struct Follower {
    log: Arc<dyn ChangeLog>,
    clock: Arc<dyn Clock>,
    poll_interval: Duration,
    poll_timeout: Duration,
    staleness_bound: Duration,
    knowledge: RwLock<Option<Knowledge>>,
    /// Beside `knowledge`, for the hot path.
    generation: AtomicU32,
    proof: AtomicU64,
    /// Copies of earlier generations belong to another history: they are neither served nor revalidated.
    dead_before: AtomicU32,
    db_clock: DbClock,
    former_proofs: RwLock<VecDeque<(Generation, Boot)>>,
    version_max: AtomicU64,
    proved_once: AtomicBool,
    started: Boot,
    polls_begun: AtomicU64,
    polls_done: watch::Sender<u64>,
    nudge: Notify,
    gauges: Gauges,
}

impl Follower {
    pub(crate) fn new(
        log: Arc<dyn ChangeLog>,
        clock: Arc<dyn Clock>,
        settings: &EngineSettings,
    ) -> Arc<Self> {
        let polls = |outcome: &'static str| metric::LOG_POLLS.counter(&[("outcome", outcome)]);
        let gauges = Gauges {
            position: metric::LOG_POSITION.gauge(&[]),
            proof_age: metric::PROOF_AGE.gauge(&[]),
            clock_bound: metric::DATABASE_CLOCK_BOUND.gauge(&[]),
            settled: polls("settled"),
            unsettled: polls("unsettled"),
            failed: polls("failed"),
        };
        Arc::new(Follower {
            log,
            started: clock.now(),
            clock,
            poll_interval: settings.poll_interval,
            poll_timeout: settings.poll_timeout,
            staleness_bound: settings.staleness_bound,
            knowledge: RwLock::new(None),
            generation: AtomicU32::new(0),
            proof: AtomicU64::new(0),
            dead_before: AtomicU32::new(0),
            db_clock: DbClock::default(),
            former_proofs: RwLock::default(),
            version_max: AtomicU64::new(0),
            proved_once: AtomicBool::new(false),
            polls_begun: AtomicU64::new(0),
            polls_done: watch::Sender::new(0),
            nudge: Notify::new(),
            gauges,
        })
    }

    /// Polls until the task is aborted.
    pub(crate) async fn run(self: Arc<Self>) {
        let pause = POLL_PAUSE.min(self.poll_interval);
        loop {
            self.poll().await;
            tokio::time::sleep(pause).await;
            // Woken early by `nudge`; a time-out is the ordinary case.
            tokio::time::timeout(self.poll_interval - pause, self.nudge.notified())
                .await
                .ok();
        }
    }

    async fn poll(&self) {
        let number = self.polls_begun.fetch_add(1, Ordering::AcqRel) + 1;
        let sent = self.clock.now();
        match self.ask().await {
            Ok(poll) => {
                self.learn(&poll, sent, self.clock.now());
                self.polls_done.send_replace(number);
            }
            Err(error) => self.missed(&error),
        }
        let proof_age = self
            .clock
            .now()
            .since(Boot(self.proof.load(Ordering::Relaxed)));
        self.gauges.proof_age.set(proof_age.as_secs_f64());
    }

    /// One poll in its time. A panic in it is one failed poll, and not the end of all proofs.
    async fn ask(&self) -> Result<Poll, Error> {
        let asked = AssertUnwindSafe(async { self.log.poll().await }).catch_unwind();
        let late = |_| Error::new(ErrorKind::OriginTimeout, "polling the change log");
        let panicked = |_| Error::new(ErrorKind::OriginFailed, "polling the change log panicked");
        tokio::time::timeout(self.poll_timeout, asked)
            .await
            .map_err(late)?
            .map_err(panicked)?
    }

    fn missed(&self, error: &Error) {
        self.gauges.failed.increment(1);
        tracing::debug!(?error, "a poll of the change log failed");
    }

    fn learn(&self, poll: &Poll, sent: Boot, received: Boot) {
        self.db_clock.sample(poll.head.now, sent, received);
        self.gauges.clock_bound.set(
            Duration::from_millis(self.db_clock.bound_ms.load(Ordering::Relaxed)).as_secs_f64(),
        );
        let mut knowledge = self.knowledge.write();
        let (after, change) = match *knowledge {
            None => (Knowledge::first(poll), PollChange::Moved),
            Some(before) => before.after(poll),
        };
        if change != PollChange::Unmoved {
            self.remember_proof();
            tracing::debug!(?change, position = after.low.0, "the change log has moved");
        }
        if change == PollChange::OtherHistory {
            tracing::warn!(hist = %after.hist, "the database has another history: every copy of the former one is dead");
            self.forget_history(&after);
        }
        self.version_max
            .fetch_max(poll.version_max.0, Ordering::Relaxed);
        *knowledge = Some(after);
        // Release, and in this order: who sees the new proof also sees the new generation.
        self.generation.store(after.generation.0, Ordering::Release);
        if after.is_proved_by(poll) {
            self.proof.fetch_max(sent.0, Ordering::Release);
            self.proved_once.store(true, Ordering::Release);
            self.gauges.settled.increment(1);
        } else {
            self.gauges.unsettled.increment(1);
        }
        drop(knowledge);
        self.gauges.position.set(gauge(after.low.0));
    }

    /// What was proved of one history, and what versions it gave out, says nothing of the next.
    fn forget_history(&self, after: &Knowledge) {
        self.dead_before
            .store(after.generation.unproved().0, Ordering::Release);
        self.proof.store(0, Ordering::Release);
        self.version_max.store(0, Ordering::Relaxed);
    }

    fn remember_proof(&self) {
        let mut former = self.former_proofs.write();
        if former.len() == GENERATIONS_MAX {
            former.pop_front();
        }
        former.push_back((self.generation(), Boot(self.proof.load(Ordering::Relaxed))));
    }

    /// What the node knows; `None` before the first poll.
    pub(crate) fn knowledge(&self) -> Option<Knowledge> {
        *self.knowledge.read()
    }

    /// What the node knows, with the last proof that is of this knowledge or of what it knew before.
    pub(crate) fn proved_knowledge(&self) -> Option<(Knowledge, Boot)> {
        // A poll that has something to say says all of it under this lock.
        let knowledge = self.knowledge.read();
        let proof = Boot(self.proof.load(Ordering::Acquire));
        knowledge.map(|knowledge| (knowledge, proof))
    }

    /// What a hit needs to know. Two loads and one reading of the clock, and one more load for documents that change by time.
    #[inline]
    pub(crate) fn context(&self) -> HitContext {
        let now = self.clock.now();
        // Acquire on the proof first: a proof is only as good as the generation that it belongs to.
        let proof = Boot(self.proof.load(Ordering::Acquire));
        HitContext {
            generation: self.generation(),
            proof,
            now,
            db_now: self.db_clock.latest(now),
            staleness_bound: self.staleness_bound,
        }
    }

    /// The current generation.
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Acquire))
    }

    /// The last moment at which a copy was proved current: by itself, or by the proofs of its generation.
    pub(crate) fn proved_at(&self, held: &Held, context: &HitContext) -> Boot {
        if !held.tracked {
            return held.as_of;
        }
        if held.generation == context.generation {
            return held.as_of.max(context.proof);
        }
        let former = self.former_proofs.read();
        // In order, because generations are remembered as they end.
        let found = former.binary_search_by_key(&held.generation, |&(generation, _)| generation);
        found.map_or(held.as_of, |at| held.as_of.max(former[at].1))
    }

    /// Whether a copy belongs to a history that has ended. Only a database has one.
    pub(crate) fn is_dead(&self, held: &Held) -> bool {
        held.tracked && self.is_over(held.generation)
    }

    /// Whether a generation belongs to a history that has ended.
    pub(crate) fn is_over(&self, generation: Generation) -> bool {
        generation.0 < self.dead_before.load(Ordering::Acquire)
    }

    /// The latest time that the database's clock can show.
    pub(crate) fn db_now(&self) -> Option<DbTime> {
        self.is_clock_known()
            .then(|| self.db_clock.latest(self.clock.now()))
    }

    fn is_clock_known(&self) -> bool {
        self.db_clock.age.load(Ordering::Relaxed) != 0
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
        let mut done = self.polls_done.subscribe();
        self.nudge();
        let later = async {
            while *done.borrow_and_update() <= begun {
                self.nudge();
                if done.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(patience, later).await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests;
