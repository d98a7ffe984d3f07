//! A read: the synchronous hit in L1, and the wait for a flight.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hotshelf_coherence::{Held, HitContext, Verdict, judge, stale_age};
use hotshelf_model::{Boot, Error, ErrorKind, Id, Key, TierName, Variant, Version, VersionToken};

use crate::answer::{Answer, Freshness};
use crate::cache::{Engine, ReadOptions, Source};
use crate::fill::{Fill, Pending};
use crate::flight::{Begun, Flight, FlightGuard, Landed, Outcome};
use crate::slot::Slot;

/// The origin is asked so often for a version that a client has seen; a primary that does not have it will not get it.
const VERSION_ATTEMPTS: u32 = 3;
const VERSION_PAUSE: Duration = Duration::from_millis(25);

impl Engine {
    /// The answer that L1 can give now.
    #[inline]
    pub(crate) fn try_get(self: &Arc<Self>, key: &Key) -> Option<Answer> {
        let slot = self.l1.get(key)?;
        let context = self.follower.context();
        let held = slot.held();
        let stale = match judge(&held, &context) {
            Verdict::Fresh => false,
            Verdict::RefreshDue => {
                self.start_refresh(key, &slot, context.now);
                false
            }
            verdict => {
                self.may_serve_stale_now(key, &slot, &held, &context, verdict)?;
                true
            }
        };
        let is_sample = self.counters.l1_hit(slot.kind(), stale);
        let answer = self.answer(
            Landed {
                slot,
                tier: TierName::L1,
                stale,
            },
            &held,
            &context,
        );
        if is_sample {
            self.counters
                .l1_seconds(self.clock.now().since(context.now));
        }
        Some(answer)
    }

    /// A copy that is not fresh is served at once when the origin is known not to answer; the refresh class keeps trying.
    #[cold]
    fn may_serve_stale_now(
        self: &Arc<Self>,
        key: &Key,
        slot: &Arc<Slot>,
        held: &Held,
        context: &HitContext,
        verdict: Verdict,
    ) -> Option<()> {
        let node_is_unproven =
            held.tracked && context.now.since(context.proof) > context.staleness_bound;
        let origin_is_silent =
            verdict == Verdict::Unproven || node_is_unproven || slot.is_quiet(context.now);
        if self.follower.is_dead(held.generation)
            || !origin_is_silent
            || !self.is_within_cap(key, held, context)
        {
            return None;
        }
        if verdict != Verdict::Unproven && !slot.is_quiet(context.now) {
            self.start_refresh(key, slot, context.now);
        }
        Some(())
    }

    fn is_within_cap(&self, key: &Key, held: &Held, context: &HitContext) -> bool {
        let cap = self
            .source(key)
            .map_or(Duration::ZERO, |source| source.namespace.policy.stale_cap);
        stale_age(held, self.follower.proved_at(held, context), context) <= cap
    }

    #[inline]
    fn answer(&self, landed: Landed, held: &Held, context: &HitContext) -> Answer {
        let proved_at = if held.tracked && held.generation == context.generation {
            held.as_of.max(context.proof)
        } else {
            self.follower.proved_at(held, context)
        };
        let freshness = if landed.stale {
            Freshness::Stale {
                by: stale_age(held, proved_at, context),
            }
        } else {
            let by_age = held.hard_at.since(context.now);
            let by_time = held.valid_until.map(|until| until.since(context.db_now));
            Freshness::Fresh {
                ttl: by_time.map_or(by_age, |by_time| by_time.min(by_age)),
            }
        };
        Answer {
            slot: landed.slot,
            tier: landed.tier,
            freshness,
            age: context.now.since(proved_at),
        }
    }

    fn landed_answer(&self, landed: Landed) -> Answer {
        let held = landed.slot.held();
        self.answer(landed, &held, &self.follower.context())
    }

    /// A read that L1 could not answer.
    pub(crate) async fn read(
        self: &Arc<Self>,
        key: &Key,
        options: ReadOptions,
    ) -> Result<Answer, Error> {
        self.counters.l1_miss();
        let started = self.clock.now();
        let outcome = match options.min_version {
            None => self.read_once(key, Version::NONE, options, started).await,
            Some(token) => self.read_version(key, token, options, started).await,
        };
        self.count(outcome.as_ref(), started);
        outcome
    }

    fn count(&self, outcome: Result<&Answer, &Error>, started: Boot) {
        match outcome {
            Ok(answer) => {
                let took = self.clock.now().since(started);
                self.counters
                    .read(answer.tier, answer.kind(), answer.freshness, took);
            }
            Err(_) => self.counters.read_failed(),
        }
    }

    async fn read_version(
        self: &Arc<Self>,
        key: &Key,
        token: VersionToken,
        options: ReadOptions,
        started: Boot,
    ) -> Result<Answer, Error> {
        if let Some(answer) = self.try_get(key).filter(|answer| satisfies(answer, token)) {
            return Ok(answer);
        }
        if self.source(key)?.namespace.tracked && token.version() > self.follower.version_max() {
            // A write of a moment ago, on another node, may be newer than the last poll.
            self.follower.poll_now(self.left(options, started)).await;
            if token.version() > self.follower.version_max() {
                let context = format!("the version {token} of {key} was never given out");
                return Err(Error::new(ErrorKind::VersionUnknown, context));
            }
        }
        for attempt in 0..VERSION_ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(VERSION_PAUSE).await;
            }
            let answer = self
                .read_once(key, token.version(), options, started)
                .await?;
            if satisfies(&answer, token) {
                return Ok(answer);
            }
        }
        Err(Error::new(
            ErrorKind::VersionTimeout,
            format!("{key} did not reach version {token}"),
        ))
    }

    fn left(&self, options: ReadOptions, started: Boot) -> Duration {
        options
            .deadline
            .saturating_sub(self.clock.now().since(started))
    }

    async fn read_once(
        self: &Arc<Self>,
        key: &Key,
        floor: Version,
        options: ReadOptions,
        started: Boot,
    ) -> Result<Answer, Error> {
        let source = Arc::clone(self.source(key)?);
        let flight = match self.join_or_begin(key, floor) {
            Step::Answered(answer) => return Ok(answer),
            Step::Joined(flight) => flight,
            Step::Full => return self.stale_or(key, floor, too_many_flights()),
            Step::Begun(pending) => {
                let flight = pending.guard.flight();
                self.fly(&source, vec![pending], options)?;
                flight
            }
        };
        let outcome = self
            .wait(key, floor, &flight, self.left(options, started))
            .await;
        outcome.map(|landed| self.landed_answer(landed))
    }

    /// Reads in one pass per tier: what L1 lacks is filled together.
    pub(crate) async fn read_many(
        self: &Arc<Self>,
        keys: &[Key],
        options: ReadOptions,
    ) -> Vec<Result<Answer, Error>> {
        let mut distinct: HashMap<&Key, usize> = HashMap::with_capacity(keys.len());
        let mut reads = Vec::with_capacity(keys.len());
        let mut fills: HashMap<(&str, &str), Vec<Pending>> = HashMap::new();
        for key in keys {
            if distinct.contains_key(key) {
                continue;
            }
            distinct.insert(key, reads.len());
            reads.push(self.begin_read(key, options, &mut fills));
        }
        for pending in fills.into_values() {
            let Some(source) = pending
                .first()
                .and_then(|first| self.source(first.guard.key()).ok())
            else {
                continue;
            };
            // What cannot take off lands by the drop of its guard, with its reason.
            self.fly(&Arc::clone(source), pending, options).ok();
        }
        let outcomes = join_all(
            reads
                .into_iter()
                .map(|read| self.finish_read(read, options)),
        )
        .await;
        keys.iter()
            .map(|key| outcomes[distinct[key]].clone())
            .collect()
    }

    fn begin_read<'k>(
        self: &Arc<Self>,
        key: &'k Key,
        options: ReadOptions,
        fills: &mut HashMap<(&'k str, &'k str), Vec<Pending>>,
    ) -> Reading<'k> {
        if options.min_version.is_some() {
            return Reading::Alone(key);
        }
        if let Some(answer) = self.try_get(key) {
            return Reading::Done(Ok(answer));
        }
        if let Err(error) = self.source(key) {
            return Reading::Done(Err(error));
        }
        self.counters.l1_miss();
        let started = self.clock.now();
        match self.join_or_begin(key, Version::NONE) {
            Step::Answered(answer) => Reading::Done(Ok(answer)),
            Step::Joined(flight) => Reading::Waiting(key, flight, started),
            Step::Full => Reading::Done(self.stale_or(key, Version::NONE, too_many_flights())),
            Step::Begun(pending) => {
                let flight = pending.guard.flight();
                fills
                    .entry((key.namespace(), key.variant()))
                    .or_default()
                    .push(pending);
                Reading::Waiting(key, flight, started)
            }
        }
    }

    async fn finish_read(
        self: &Arc<Self>,
        read: Reading<'_>,
        options: ReadOptions,
    ) -> Result<Answer, Error> {
        match read {
            Reading::Done(outcome) => outcome,
            Reading::Alone(key) => self.read(key, options).await,
            Reading::Waiting(key, flight, started) => {
                let left = self.left(options, started);
                let outcome = self.wait(key, Version::NONE, &flight, left).await;
                let outcome = outcome.map(|landed| self.landed_answer(landed));
                self.count(outcome.as_ref(), started);
                outcome
            }
        }
    }

    fn join_or_begin(self: &Arc<Self>, key: &Key, floor: Version) -> Step {
        let guard = match self.flights.begin(key, floor) {
            Begun::Joined(flight) => return Step::Joined(flight),
            Begun::Full => return Step::Full,
            Begun::Leader(guard) => guard,
        };
        // Another flight may have landed between this read's look at L1 and its own beginning.
        if floor == Version::NONE
            && let Some(answer) = self.try_get(key)
        {
            let stale = matches!(answer.freshness, Freshness::Stale { .. });
            guard.land(Ok(Landed {
                slot: Arc::clone(&answer.slot),
                tier: answer.tier,
                stale,
            }));
            return Step::Answered(answer);
        }
        match self.pending(guard, floor) {
            Some(pending) => Step::Begun(pending),
            None => Step::Full,
        }
    }

    /// What L1 holds of the present history.
    fn living(&self, key: &Key) -> Option<Arc<Slot>> {
        self.l1
            .get(key)
            .filter(|slot| !self.follower.is_dead(slot.held().generation))
    }

    pub(crate) fn pending(&self, guard: FlightGuard, floor: Version) -> Option<Pending> {
        let id = Id::new(guard.key().id()).ok()?;
        let held = self.living(guard.key());
        Some(Pending {
            guard,
            id,
            floor,
            held,
            stale: None,
            lease: None,
        })
    }

    /// Starts the fill of one namespace and variant in a task of its own.
    pub(crate) fn fly(
        self: &Arc<Self>,
        source: &Arc<Source>,
        pending: Vec<Pending>,
        options: ReadOptions,
    ) -> Result<(), Error> {
        let variant = pending
            .first()
            .and_then(|first| Variant::parse(first.guard.key().variant()));
        let Some(variant) = variant else {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the key's variant is malformed",
            ));
        };
        let until = self.clock.now().plus(self.settings.fill_timeout);
        let class = options.class;
        let fill = Fill {
            engine: Arc::clone(self),
            source: Arc::clone(source),
            variant,
            class,
            until,
        };
        self.runtime.spawn(fill.run(pending));
        Ok(())
    }

    /// Waits for a flight: shorter when there is a copy that can be served stale, which then answers.
    async fn wait(&self, key: &Key, floor: Version, flight: &Flight, left: Duration) -> Outcome {
        let patience = match self.stale_from_l1(key, floor) {
            Some(_) => left.min(self.settings.stale_after),
            None => left,
        };
        match tokio::time::timeout(patience, flight.wait()).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let late = || Error::new(ErrorKind::OriginTimeout, format!("reading {key}"));
                self.stale_from_l1(key, floor).ok_or_else(late)
            }
        }
    }

    fn stale_or(&self, key: &Key, floor: Version, error: Error) -> Result<Answer, Error> {
        self.stale_from_l1(key, floor)
            .map(|landed| self.landed_answer(landed))
            .ok_or(error)
    }

    fn stale_from_l1(&self, key: &Key, floor: Version) -> Option<Landed> {
        let slot = self
            .l1
            .get(key)
            .filter(|slot| slot.stamp().version >= floor)?;
        let context = self.follower.context();
        let held = slot.held();
        let stale = !matches!(judge(&held, &context), Verdict::Fresh | Verdict::RefreshDue);
        let servable = !stale || self.is_within_cap(key, &held, &context);
        servable.then_some(Landed {
            slot,
            tier: TierName::L1,
            stale,
        })
    }
}

/// One key of a batch on its way.
enum Reading<'k> {
    Done(Result<Answer, Error>),
    Alone(&'k Key),
    Waiting(&'k Key, Arc<Flight>, Boot),
}

/// How a read goes on after L1.
enum Step {
    Answered(Answer),
    Joined(Arc<Flight>),
    Begun(Pending),
    Full,
}

fn too_many_flights() -> Error {
    Error::new(ErrorKind::Shed, "too many fills are under way")
}

/// Whether the client that saw `token` may get `answer`: it is that version or a newer one, or a proved answer of a newer timeline,
/// on which the version may never have existed.
fn satisfies(answer: &Answer, token: VersionToken) -> bool {
    let stamp = answer.slot.stamp();
    let newer_timeline = u64::from(stamp.timeline.0) > token.version().timeline();
    stamp.version >= token.version()
        || (newer_timeline && matches!(answer.freshness, Freshness::Fresh { .. }))
}
