//! The keeper: sees to it that L1 has a fresh copy of each hot key, whether anybody reads it or not.
//!
//! It looks at a key at once when something has happened to its copy, and at all of them in rounds. What a key lacks it fetches by a flight
//! like any reader's, in the refresh class, so a reader who comes meanwhile waits for that flight. Few fills at once, of each namespace
//! apart: an origin that does not answer holds up its own hot keys and nothing else. A key for which it was in vain rests for a while.
//!
//! Of a document that will change by time alone, the keeper fetches the one of that moment ahead (`fill::stage`).

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use hotshelf_coherence::{HitContext, Verdict, judge};
use hotshelf_model::{DbTime, Key, Variant, Version};
use tokio::time::{Instant, sleep};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::answer::Answer;
use crate::cache::{Cache, Engine, Source};
use crate::fill::Fill;
use crate::flight::{Begun, Landed};
use crate::hot_set::{HotKey, HotReason, HotSet, Listed, PromotionOutcome};
use crate::l1::weight_of;
use crate::settings::Class;
use crate::switches::Part;

/// How often every hot key is looked at.
const ROUND: Duration = Duration::from_millis(250);
/// Nodes that are told of a promotion at the same moment begin to fetch within this time of each other.
const JITTER_MAX_US: u64 = 20_000;
/// Fills at once of one namespace.
pub(crate) const FILLS_MAX: usize = 2;

/// What a hot key lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lack {
    /// A copy that is fresh and will be for a while.
    Copy,
    /// The document of the moment at which that of the copy changes by time alone.
    Next(DbTime),
}

/// Keeps until the engine is gone.
pub(crate) async fn keep(engine: Weak<Engine>) {
    let Some(hot) = engine.upgrade().map(|engine| Arc::clone(&engine.l1.hot)) else {
        return;
    };
    let mut round = Instant::now() + ROUND;
    loop {
        let (keys, is_round) = hot.due(round).await;
        let Some(engine) = engine.upgrade() else {
            return;
        };
        if is_round {
            round = Instant::now() + ROUND;
        }
        engine.keep(&keys);
    }
}

/// The keys of an attempt, which ends with it.
struct Attempt {
    hot: Arc<HotSet>,
    keys: Vec<Key>,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        for key in &self.keys {
            self.hot.tried(key, false);
        }
    }
}

impl Engine {
    /// Begins to fetch what these keys lack, unless refreshes are switched off.
    fn keep(self: &Arc<Self>, keys: &[Key]) {
        if self.switches.is_off(Part::Refresh) {
            return;
        }
        let context = self.follower.context();
        let again_at = context.now.plus(self.settings.retry_after);
        // In order, so that the same keys are always fetched in the same order.
        let mut lacking: BTreeMap<(&str, &str, Lack), Vec<Key>> = BTreeMap::new();
        for key in keys {
            let Some(lack) = self.lack(key, &context) else {
                continue;
            };
            if self.l1.hot.try_for(key, context.now, again_at) {
                let group = (key.namespace(), key.variant(), lack);
                lacking.entry(group).or_default().push(key.clone());
            }
        }
        let at_once = self.settings.budget.documents_per_fetch_max.max(1);
        for ((_, _, lack), keys) in lacking {
            for keys in keys.chunks(at_once) {
                let attempt = Attempt {
                    hot: Arc::clone(&self.l1.hot),
                    keys: keys.to_vec(),
                };
                self.runtime.spawn(Arc::clone(self).mend(attempt, lack));
            }
        }
    }

    fn lack(&self, key: &Key, context: &HitContext) -> Option<Lack> {
        let Some(slot) = self.living(key, context) else {
            return Some(Lack::Copy);
        };
        let slot = self
            .turn(key.into(), &slot, &slot.held(), context)
            .unwrap_or(slot);
        if !self.l1.hot.stays(key) {
            self.l1.weigh(key);
        }
        let held = slot.held();
        match judge(&held, context) {
            Verdict::RefreshDue | Verdict::Suspect | Verdict::Expired => Some(Lack::Copy),
            Verdict::Unproven => None,
            Verdict::Fresh => {
                // A service that is not tracked may not look at the time that it is asked for.
                let until = held
                    .valid_until
                    .filter(|_| held.tracked && slot.next().is_none())?;
                let due = context.db_now.plus(self.l1.hot.lead(key)) >= until;
                due.then_some(Lack::Next(until))
            }
        }
    }

    /// Fetches what keys of one namespace and variant lack.
    async fn mend(self: Arc<Self>, mut attempt: Attempt, lack: Lack) {
        let first = attempt.keys.first();
        let named = first.and_then(|first| {
            let source = self.source(first).ok()?;
            Some((Arc::clone(source), Variant::parse(first.variant())?))
        });
        let Some((source, variant)) = named else {
            return;
        };
        // Never closed, so always a turn.
        let _turn = source.keeping.acquire().await;
        match lack {
            Lack::Copy => self.fetch_copies(&source, &attempt.keys).await,
            Lack::Next(until) => {
                let fill = Fill {
                    engine: Arc::clone(&self),
                    source: Arc::clone(&source),
                    variant,
                    class: Class::Refresh,
                    until: self.clock.now().plus(self.settings.fill_timeout),
                };
                fill.stage(&attempt.keys, until).await;
            }
        }
        let context = self.follower.context();
        let [kept, failed] = &self.counters.kept[usize::from(lack != Lack::Copy)];
        for key in std::mem::take(&mut attempt.keys) {
            let is_mended = self.lack(&key, &context) != Some(lack);
            if is_mended { kept } else { failed }.increment(1);
            self.l1.hot.tried(&key, is_mended);
        }
    }

    /// Begins or joins a flight for each key, and waits for all.
    async fn fetch_copies(self: &Arc<Self>, source: &Arc<Source>, keys: &[Key]) {
        let (mut flights, mut open) = (Vec::new(), Vec::new());
        for key in keys {
            match self.take_off(source, key, Version::NONE, Class::Refresh) {
                Begun::Joined(flight) => flights.push(flight),
                Begun::Full => {}
                Begun::Leader(guard) => {
                    // Another flight may have landed since the key was found to lack a copy.
                    let context = self.follower.context();
                    if self.lack(key, &context) != Some(Lack::Copy)
                        && let Some(slot) = self.l1.peek(key)
                    {
                        guard.land(Ok(Landed {
                            slot,
                            tier: hotshelf_model::TierName::L1,
                            stale: false,
                        }));
                    } else if let Some(pending) = self.pending(guard, Version::NONE) {
                        flights.push(pending.guard.flight());
                        open.push(pending);
                    }
                }
            }
        }
        if !open.is_empty() && self.fly(source, open, Class::Refresh).is_err() {
            return;
        }
        // What came of them is in L1, or was logged by the fill.
        join_all(flights.iter().map(|flight| flight.wait())).await;
    }

    pub(crate) fn is_held(&self, listed: &Listed) -> bool {
        listed.has_room && self.l1.peek(&listed.key).is_some()
    }
}

impl Cache {
    /// Promotes keys for a reason: from now on this node holds each of them, and fetches what it has no copy of within some 20 ms. A key
    /// that has several reasons stays hot until each is taken back. Returns what became of each, in order.
    ///
    /// A pin takes the place of the last promoted key that is not pinned when there is no room for another.
    pub fn promote(&self, keys: &[Key], reason: HotReason) -> Vec<PromotionOutcome> {
        let engine = &self.engine;
        let (hot, now) = (&engine.l1.hot, engine.clock.now());
        let mut fresh = Vec::new();
        let mut promote = |key: &Key| {
            if engine.source(key).is_err() {
                hot.count(PromotionOutcome::Unknown);
                return PromotionOutcome::Unknown;
            }
            let outcome = hot.promote(key, reason, now);
            if outcome == PromotionOutcome::Promoted {
                engine.l1.weigh(key);
                fresh.push(key.clone());
            }
            outcome
        };
        let outcomes = keys.iter().map(&mut promote).collect();
        self.fetch_soon(fresh);
        outcomes
    }

    fn fetch_soon(&self, keys: Vec<Key>) {
        let Some(first) = keys.first() else {
            return;
        };
        let random = xxh3_64_with_seed(
            first.as_str().as_bytes(),
            u64::from(self.engine.settings.node),
        );
        let jitter = Duration::from_micros(random % JITTER_MAX_US);
        let attempt = Attempt {
            hot: Arc::clone(&self.engine.l1.hot),
            keys,
        };
        let engine = Arc::downgrade(&self.engine);
        self.engine.runtime.spawn(async move {
            sleep(jitter).await;
            let keys = attempt.keys.clone();
            drop(attempt);
            if let Some(engine) = engine.upgrade() {
                engine.keep(&keys);
            }
        });
    }

    /// Takes a reason away from keys. One that has no other is hot no longer; its copy stays in L1 like any other.
    pub fn demote(&self, keys: &[Key], reason: HotReason) {
        for key in keys {
            self.engine.l1.hot.demote(key, reason);
        }
    }

    /// From now on exactly these keys are banned: they are not hot, and no reason makes them hot.
    pub fn ban(&self, keys: impl IntoIterator<Item = Key>) {
        self.engine.l1.hot.ban(keys);
    }

    /// How many keys, and how many bytes of their copies, this node can hold hot.
    pub fn hot_room(&self) -> (usize, u64) {
        self.engine.l1.hot.room()
    }

    /// What the copy of an answer takes of that room.
    pub fn weight(key: &Key, answer: &Answer) -> u64 {
        weight_of(key, answer.slot.bytes())
    }

    /// The hot keys, those that have been hot for longest first.
    pub fn hot_keys(&self) -> Vec<HotKey> {
        let engine = &self.engine;
        let now = engine.clock.now();
        let hot_key = |listed: Listed| HotKey {
            held: engine.is_held(&listed),
            version: engine.l1.peek(&listed.key).map(|slot| slot.version()),
            reasons: listed.reasons,
            age: now.since(listed.since),
            bytes: listed.bytes,
            key: listed.key,
        };
        engine.l1.hot.list().into_iter().map(hot_key).collect()
    }
}
