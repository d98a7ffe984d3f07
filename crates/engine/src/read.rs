//! A read: a look at L1, and the wait for a flight.

mod look;
mod many;
mod observe;

use std::sync::Arc;
use std::time::Duration;

use hotshelf_coherence::{FloorKey, Verdict, judge, proves_itself};
use hotshelf_model::{Boot, Error, ErrorKind, Id, Key, Variant, Version, VersionToken};

use crate::answer::{Answer, Freshness};
use crate::cache::{Engine, Source};
use crate::fill::{Fill, Pending};
use crate::flight::{Begun, Flight, FlightGuard, Landed, Outcome, Wanted, too_many_flights};
use crate::settings::{Class, ReadOptions};
use observe::Timing;

/// The origin is asked so often for a version that a client has seen; a primary that does not have it will not get it.
const VERSION_ATTEMPTS: u32 = 3;
const VERSION_PAUSE: Duration = Duration::from_millis(25);

impl Engine {
    /// What a flight brought, judged now: since it landed the log may have moved and the proofs may have stopped.
    ///
    /// The node's proofs speak for a copy only as long as L1 holds it, because a record that speaks against it removes it there. Of a
    /// copy that is gone, or that was never kept, no more is known than when it was itself proved.
    fn landed_answer(&self, key: &Key, landed: Landed) -> Answer {
        let held = landed.slot.held();
        // Before the look at L1.
        let context = self.follower.context();
        let in_l1 = self.l1.peek(key);
        let is_proved = !held.tracked
            || in_l1.is_some_and(|slot| Arc::ptr_eq(&slot, &landed.slot))
                && self.follower.ledger.is_living(&landed.slot, &context);
        let proved_at = if is_proved {
            self.follower.proved_at(&landed.slot, &context)
        } else {
            held.as_of
        };
        let is_fresh = is_proved
            && matches!(judge(&held, &context), Verdict::Fresh | Verdict::RefreshDue)
            || proves_itself(&held, &context);
        let stale = landed.stale || !is_fresh;
        Answer::new(Landed { stale, ..landed }, &held, proved_at, &context)
    }

    pub(crate) async fn get(
        self: &Arc<Self>,
        key: &Key,
        options: ReadOptions<'_>,
    ) -> Result<Answer, Error> {
        match self.try_get(key.into(), &options, |_| true) {
            Some(answer) => Ok(answer),
            None => self.read(key, options).await,
        }
    }

    /// A read that L1 could not answer.
    async fn read(self: &Arc<Self>, key: &Key, options: ReadOptions<'_>) -> Result<Answer, Error> {
        self.counters.l1_miss();
        let started = self.clock.now();
        let outcome = match options.min_version {
            None => self.read_once(key, Version::NONE, options, started).await,
            Some(token) => self.read_version(key, token, options, started).await,
        };
        self.count(key, outcome.as_ref(), started, &options);
        outcome
    }

    /// Counts a read that L1 could not answer, and tells the observer.
    fn count(
        &self,
        key: &Key,
        outcome: Result<&Answer, &Error>,
        started: Boot,
        options: &ReadOptions<'_>,
    ) {
        let at = self.clock.now();
        let latency = at.since(started);
        match outcome {
            Ok(answer) => self.counters.read(answer, latency),
            Err(_) => self.counters.read_failed(),
        }
        let timing = Timing {
            at,
            latency: Some(latency),
        };
        self.observe(key.into(), outcome.ok(), timing, options);
    }

    async fn read_version(
        self: &Arc<Self>,
        key: &Key,
        token: VersionToken,
        options: ReadOptions<'_>,
        started: Boot,
    ) -> Result<Answer, Error> {
        if self.source(key)?.namespace.tracked && token.version() > self.follower.version_max() {
            // A write of a moment ago, on another node, may be newer than the last poll.
            let polled = self.follower.poll_now(self.left(options, started)).await;
            if token.version() > self.follower.version_max() {
                return Err(if polled {
                    let context = format!("the version {token} of {key} was never given out");
                    Error::new(ErrorKind::VersionUnknown, context)
                } else {
                    let context =
                        format!("the database did not say whether {token} of {key} exists");
                    Error::new(ErrorKind::VersionTimeout, context)
                });
            }
        }
        for attempt in 0..VERSION_ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(VERSION_PAUSE).await;
            }
            let answer = self
                .read_once(key, token.version(), options, started)
                .await?;
            let stale = matches!(answer.freshness, Freshness::Stale { .. });
            if answer.slot.satisfies(stale, token) {
                return Ok(answer);
            }
        }
        Err(Error::new(
            ErrorKind::VersionTimeout,
            format!("{key} did not reach version {token}"),
        ))
    }

    fn left(&self, options: ReadOptions<'_>, started: Boot) -> Duration {
        options
            .deadline
            .saturating_sub(self.clock.now().since(started))
    }

    async fn read_once(
        self: &Arc<Self>,
        key: &Key,
        floor: Version,
        options: ReadOptions<'_>,
        started: Boot,
    ) -> Result<Answer, Error> {
        let source = Arc::clone(self.source(key)?);
        let mut is_again = false;
        loop {
            let (flight, joined) = match self.join_or_begin(&source, key, floor, options.class) {
                Step::Landed(landed) => return Ok(self.landed_answer(key, landed)),
                Step::Full => return self.stale_or(key, floor, too_many_flights()),
                Step::Joined(flight) => (flight, true),
                Step::Begun(pending) => {
                    let flight = pending.guard.flight();
                    self.fly(&source, vec![*pending], options.class)?;
                    (flight, false)
                }
            };
            let left = self.left(options, started);
            let outcome = self.wait(key, floor, &flight, left).await;
            if joined && !is_again && self.is_for_others(key, &outcome, &flight, options.class) {
                is_again = true;
                continue;
            }
            return outcome.map(|landed| self.landed_answer(key, landed));
        }
    }

    /// Whether a flight that was joined brought what only those may take who came before: the product has changed since it landed, or
    /// everything is suspect, or it had to give way to readers as urgent as this one.
    fn is_for_others(&self, key: &Key, outcome: &Outcome, flight: &Flight, class: Class) -> bool {
        let landed = match outcome {
            Ok(landed) if !landed.stale => landed,
            Ok(_) | Err(_) => return flight.class() > class,
        };
        let (slot, ledger) = (&landed.slot, &self.follower.ledger);
        slot.generation() != ledger.generation()
            || ledger.is_superseded(FloorKey::of(key.namespace(), key.id()), slot)
    }

    /// Joins or begins the key's flight.
    pub(crate) fn take_off(
        &self,
        source: &Source,
        key: &Key,
        floor: Version,
        class: Class,
    ) -> Begun {
        source.variants.note(key.variant());
        let now = self.clock.now();
        let wanted = Wanted {
            floor,
            class,
            generation: self.follower.ledger.generation(),
            parent_generation: self.follower.ledger.parent_generation(),
            now,
            until: now.plus(self.settings.fill_timeout),
        };
        self.flights.begin(key, wanted)
    }

    pub(crate) fn join_or_begin(
        self: &Arc<Self>,
        source: &Source,
        key: &Key,
        floor: Version,
        class: Class,
    ) -> Step {
        let guard = match self.take_off(source, key, floor, class) {
            Begun::Joined(flight) => return Step::Joined(flight),
            Begun::Full => return Step::Full,
            Begun::Leader(guard) => guard,
        };
        // Another flight may have landed between this read's look at L1 and its own beginning.
        if floor == Version::NONE
            && let Some(landed) = self.look_again(key)
        {
            guard.land(Ok(landed.clone()));
            return Step::Landed(landed);
        }
        let pending = self.pending(guard, floor).map(Box::new);
        pending.map_or(Step::Full, Step::Begun)
    }

    pub(crate) fn pending(&self, guard: FlightGuard, floor: Version) -> Option<Pending> {
        let id = Id::new(guard.key().id()).ok()?;
        let held = self.living(guard.key(), &self.follower.context());
        Some(Pending {
            floor_key: FloorKey::of(guard.key().namespace(), guard.key().id()),
            guard,
            id,
            floor,
            held,
            stale: None,
            lease: None,
            is_unasked: false,
            failure: None,
        })
    }

    /// Starts the fill of one namespace and variant in a task of its own.
    pub(crate) fn fly(
        self: &Arc<Self>,
        source: &Arc<Source>,
        pending: Vec<Pending>,
        class: Class,
    ) -> Result<(), Error> {
        let first = pending.first().map(|first| &first.guard);
        let parsed = first.and_then(|first| {
            let variant = Variant::parse(first.key().variant())?;
            Some((variant, first.until()))
        });
        let Some((variant, until)) = parsed else {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the key's variant is malformed",
            ));
        };
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
            .map(|landed| self.landed_answer(key, landed))
            .ok_or(error)
    }
}

/// How a read goes on after L1.
pub(crate) enum Step {
    Landed(Landed),
    Joined(Arc<Flight>),
    Begun(Box<Pending>),
    Full,
}
