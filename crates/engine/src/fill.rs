//! A fill: finds the documents of one or more flights, lands the flights, and writes the tiers.
//!
//! The order is: suspect copies of L1 by version; L2, with L3 beside it when L2 is slow; suspect copies found there by version; then
//! the origin, under a lease and the budget. Each copy from outside the process is admitted before it lands. A flight that no step
//! could land gets the best copy that is still within the stale cap, labelled, or else the error.
//!
//! Each step takes the flights that are still open and gives back those that remain so.

mod look_up;
mod origin;

use std::sync::Arc;
use std::time::Duration;

use hotshelf_coherence::{
    Admission, Candidate, Generation, Knowledge, Refusal, Verdict, admit, judge, stale_age,
};
use hotshelf_model::{
    Boot, DbTime, Entry, Error, Id, Kind, LeaseToken, TierKey, TierName, Variant, Version,
};

use crate::cache::{Engine, Source};
use crate::flight::{FlightGuard, Landed};
use crate::revalidate::{CheckOutcome, Checked};
use crate::settings::Class;
use crate::slot::{Lifetime, Slot};
use crate::write_back::Put;

/// No copy of this generation is ever judged fresh: real generations start at 1.
const NEVER: Generation = Generation(0);

/// A flight that has not landed yet, with the copies that could serve if all else fails.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) guard: FlightGuard,
    pub(crate) id: Id,
    /// The least version that a copy from a tier must have.
    pub(crate) floor: Version,
    /// What L1 holds.
    pub(crate) held: Option<Arc<Slot>>,
    /// What a tier holds, if it could not be admitted.
    pub(crate) stale: Option<(Entry, TierName)>,
    pub(crate) lease: Option<LeaseToken>,
}

/// A fill of one namespace and variant.
#[derive(Debug)]
pub(crate) struct Fill {
    pub(crate) engine: Arc<Engine>,
    pub(crate) source: Arc<Source>,
    pub(crate) variant: Variant,
    pub(crate) class: Class,
    /// When the fill gives up.
    pub(crate) until: Boot,
}

impl Fill {
    pub(crate) async fn run(self, pending: Vec<Pending>) {
        let pending = self.revalidate_held(pending).await;
        let pending = self.look_up(pending).await;
        self.fetch(pending).await;
    }

    fn left(&self) -> Duration {
        self.until.since(self.engine.clock.now())
    }

    fn is_refresh(&self) -> bool {
        self.class == Class::Refresh
    }

    fn tier_key(&self, knowledge: &Knowledge, pending: &Pending) -> TierKey {
        self.source
            .namespace
            .tier_key(knowledge.hist, pending.guard.key())
    }

    /// Copies of L1 that are only suspect need no document, only their version.
    async fn revalidate_held(&self, pending: Vec<Pending>) -> Vec<Pending> {
        let context = self.engine.follower.context();
        let is_suspect = |pending: &Pending| {
            pending.held.as_ref().is_some_and(|slot| {
                slot.stamp().version >= pending.floor
                    && judge(&slot.held(), &context) == Verdict::Suspect
            })
        };
        let (suspects, mut open): (Vec<_>, Vec<_>) = pending.into_iter().partition(is_suspect);
        let checks = self
            .source
            .revalidator
            .check(suspects.iter().map(|suspect| &suspect.id));
        for (mut suspect, check) in suspects.into_iter().zip(checks) {
            match self.checked(check.await.ok(), suspect.held.as_deref()) {
                Some((checked, stamp)) => {
                    let Some(slot) = &suspect.held else { continue };
                    let slot = slot.revalidated(stamp, self.generation_of(&checked), checked.as_of);
                    if judge(&slot.held(), &self.engine.follower.context()) == Verdict::Expired {
                        open.push(suspect);
                        continue;
                    }
                    self.land(suspect, slot, TierName::L1);
                }
                None => {
                    suspect.stale = None;
                    open.push(suspect);
                }
            }
        }
        open
    }

    /// The outcome of a check, if it says that the copy is unchanged; counted.
    fn checked(
        &self,
        outcome: Option<CheckOutcome>,
        slot: Option<&Slot>,
    ) -> Option<(Checked, hotshelf_model::Stamp)> {
        let slot = slot?;
        self.unchanged(outcome, |checked| {
            checked.restamp(slot.stamp(), slot.parents())
        })
    }

    fn unchanged(
        &self,
        outcome: Option<CheckOutcome>,
        restamp: impl FnOnce(&Checked) -> Option<hotshelf_model::Stamp>,
    ) -> Option<(Checked, hotshelf_model::Stamp)> {
        let revalidator = &self.source.revalidator;
        let checked = match outcome {
            Some(Ok(checked)) => checked?,
            Some(Err(_)) | None => {
                revalidator.failed.increment(1);
                return None;
            }
        };
        let same_history = self
            .engine
            .follower
            .knowledge()
            .is_none_or(|knowledge| knowledge.hist == checked.head().hist);
        let Some(stamp) = restamp(&checked).filter(|_| same_history) else {
            revalidator.changed.increment(1);
            return None;
        };
        revalidator.same.increment(1);
        Some((checked, stamp))
    }

    /// The generation that a proof in the head's snapshot belongs to: the current one, unless the head has moved on meanwhile.
    fn generation_of(&self, checked: &Checked) -> Generation {
        let head = checked.head();
        match self.engine.follower.knowledge() {
            Some(knowledge)
                if head.timeline == knowledge.timeline && head.position >= knowledge.low =>
            {
                knowledge.generation
            }
            Some(_) | None => NEVER,
        }
    }

    /// Puts a copy to L1 and lands its flight.
    fn land(&self, pending: Pending, slot: Slot, tier: TierName) {
        let slot = Arc::new(slot);
        self.engine.l1.put(pending.guard.key(), Arc::clone(&slot));
        pending.guard.land(Ok(Landed {
            slot,
            tier,
            stale: false,
        }));
    }

    /// Admits a copy, and lands its flight if it is fresh. Gives the flight and the verdict back if it is not.
    fn admit_and_land(
        &self,
        pending: Pending,
        entry: &Entry,
        tier: TierName,
        as_of: Boot,
    ) -> Option<(Pending, Admission)> {
        let Some(knowledge) = self.engine.follower.knowledge() else {
            // Before the first poll only the origin is asked. What it says is served, and is suspect once there is a poll.
            let slot = self.slot(&pending, entry, NEVER, as_of);
            self.land(pending, slot, tier);
            return None;
        };
        // Without the database's clock there is no first poll, so this is only the type's other case.
        let now = self.engine.follower.db_now().unwrap_or_default();
        let expires_at = entry.fetched_at.plus(self.ttl_hard(entry.kind()));
        let tracked = self.source.namespace.tracked;
        let floor = if tier == TierName::Origin {
            Version::NONE
        } else {
            pending.floor
        };
        let admission = admit(
            &knowledge,
            &Candidate {
                entry,
                hist: knowledge.hist,
                expires_at,
                floor,
                tracked,
            },
            now,
        );
        self.engine.counters.admission(tier, admission);
        if admission != Admission::Fresh {
            return Some((pending, admission));
        }
        let slot = self.slot(&pending, entry, knowledge.generation, as_of);
        self.land(pending, slot, tier);
        None
    }

    fn ttl_hard(&self, kind: Kind) -> Duration {
        let policy = &self.source.namespace.policy;
        match kind {
            Kind::Present => policy.ttl_hard,
            Kind::Absent => policy.ttl_absent.min(policy.ttl_hard),
        }
    }

    fn slot(&self, pending: &Pending, entry: &Entry, generation: Generation, as_of: Boot) -> Slot {
        let now = self.engine.clock.now();
        let lifetime = self.lifetime(pending, entry, as_of, now);
        Slot::new(entry, &self.source.namespace, generation, lifetime)
    }

    /// The TTLs left, shortened by a share that differs from key to key and from fetch to fetch.
    fn lifetime(&self, pending: &Pending, entry: &Entry, as_of: Boot, now: Boot) -> Lifetime {
        let policy = &self.source.namespace.policy;
        let hard = self.ttl_hard(entry.kind());
        let random =
            pending.guard.key().hash_u64() ^ entry.fetched_at.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let per_mille = random % (u64::from(policy.jitter_percent) * 10 + 1);
        let keep = 1000 - u32::try_from(per_mille.min(999)).unwrap_or_default();
        let age = self
            .engine
            .follower
            .db_now()
            .map_or(Duration::ZERO, |db_now| db_now.since(entry.fetched_at));
        let left = |ttl: Duration| (ttl * keep / 1000).saturating_sub(age);
        Lifetime {
            as_of,
            soft_at: now.plus(left(policy.ttl_soft.min(hard))),
            hard_at: now.plus(left(hard)),
        }
    }

    /// Lands a flight that got no fresh copy: stale within the cap, or the error.
    fn land_without_origin(&self, pending: Pending, error: Error) {
        let engine = &self.engine;
        let now = engine.clock.now();
        let Some((slot, tier)) = self.best_stale(&pending) else {
            pending.guard.land(Err(error));
            return;
        };
        let context = engine.follower.context();
        let held = slot.held();
        let verdict = judge(&held, &context);
        let fresh = matches!(verdict, Verdict::Fresh | Verdict::RefreshDue);
        let age = stale_age(&held, engine.follower.proved_at(&held, &context), &context);
        if !fresh && age > self.source.namespace.policy.stale_cap {
            pending.guard.land(Err(error));
            return;
        }
        tracing::debug!(key = %pending.guard.key(), ?error, "serving what is held, because the origin has no answer");
        slot.keep_quiet(now.plus(engine.settings.retry_after));
        if tier != TierName::L1 {
            engine.l1.put(pending.guard.key(), Arc::clone(&slot));
        }
        pending.guard.land(Ok(Landed {
            slot,
            tier,
            stale: !fresh,
        }));
    }

    fn best_stale(&self, pending: &Pending) -> Option<(Arc<Slot>, TierName)> {
        let held = pending
            .held
            .as_ref()
            .filter(|slot| slot.stamp().version >= pending.floor);
        let stale = pending
            .stale
            .as_ref()
            .filter(|(entry, _)| entry.stamp.version >= pending.floor);
        match (held, stale) {
            (Some(held), Some((entry, _))) if held.stamp() >= entry.stamp => {
                Some((Arc::clone(held), TierName::L1))
            }
            (Some(held), None) => Some((Arc::clone(held), TierName::L1)),
            (_, Some((entry, tier))) => {
                // It was current when its bytes were fetched; nothing later is known of it.
                let as_of = self.engine.follower.boot_of(entry.fetched_at);
                Some((Arc::new(self.slot(pending, entry, NEVER, as_of)), *tier))
            }
            (None, None) => None,
        }
    }

    /// Keeps a copy that could not be admitted, in case nothing better is found.
    fn keep_stale(pending: &mut Pending, entry: Entry, tier: TierName, admission: Admission) {
        if admission == Admission::Refused(Refusal::Dead) {
            return;
        }
        if pending
            .stale
            .as_ref()
            .is_none_or(|(kept, _)| kept.stamp < entry.stamp)
        {
            pending.stale = Some((entry, tier));
        }
    }

    /// When the bytes of a fetch were made, on the database's clock.
    fn fetched_at(&self, head: Option<&hotshelf_model::Head>) -> DbTime {
        head.map(|head| head.now)
            .or_else(|| self.engine.follower.db_now())
            .unwrap_or_default()
    }

    /// Writes what was found to the tiers, in a task of its own.
    fn write_back(&self, puts: Vec<Put>) {
        if puts.is_empty() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.engine.write_backs).try_acquire_owned() else {
            return;
        };
        let engine = Arc::clone(&self.engine);
        self.engine.runtime.spawn(async move {
            engine.write_l2(&puts).await;
            engine.write_l3(&puts).await;
            drop(permit);
        });
    }
}
