//! A fill: finds the documents of one or more flights, lands the flights, and writes the tiers.
//!
//! The order is: suspect copies of L1 by version; L2, with L3 beside it when L2 is slow; suspect copies found there by version; then
//! the origin, under a lease and the budget. Each copy from outside the process is admitted before it lands. A flight that no step
//! could land gets the best copy that is still within the stale cap, labelled, or else the error.
//!
//! Each step takes the flights that are still open and gives back those that remain so.

mod explain;
mod lease;
mod look_up;
mod origin;
mod stage;
mod stale;
mod warm;

use std::sync::Arc;
use std::time::Duration;

use hotshelf_coherence::{
    Admission, Candidate, FloorKey, Generation, Held, HitContext, Knowledge, Refusal, Verdict,
    admit, is_expired, judge, over_age,
};
use hotshelf_model::{
    Boot, DbTime, Entry, Error, Hist, Id, Kind, LeaseToken, Parents, Stamp, TierKey, TierName,
    Timeline, Variant, Version,
};
use tokio::sync::oneshot;

use crate::cache::{Engine, Source};
use crate::flight::{FlightGuard, Landed};
use crate::ledger::{Ledger, Sight};
use crate::revalidate::{CheckOutcome, Checked};
use crate::settings::Class;
use crate::slot::{Lifetime, Slot, TICK};
use crate::write_back::Put;

/// The node's own generation until its first poll. What is fetched then is served as it came, and suspect from the poll on.
const BEFORE_POLLS: Generation = Generation(0);

/// A flight that has not landed yet, with the copies that could serve if all else fails.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) guard: FlightGuard,
    pub(crate) id: Id,
    pub(crate) floor_key: FloorKey,
    /// The least version that the readers ask for.
    pub(crate) floor: Version,
    /// What L1 holds.
    pub(crate) held: Option<Arc<Slot>>,
    /// What a tier or the origin gave, if it could not be admitted.
    pub(crate) stale: Option<Found>,
    pub(crate) lease: Option<(TierKey, LeaseToken)>,
    /// Whether a tier could not be asked; what it holds may be found yet.
    pub(crate) is_unasked: bool,
    /// Why the origin has no answer.
    pub(crate) failure: Option<Error>,
}

/// A copy from outside the process.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) entry: Entry,
    pub(crate) tier: TierName,
    /// The history that it was looked for in, or that its fetch named.
    pub(crate) hist: Hist,
    /// The moment before the statement that read it from a primary; zero for any other copy.
    pub(crate) as_of: Boot,
}

impl Found {
    /// The order of versions of one key.
    fn rank(&self) -> (Timeline, Version) {
        (self.entry.stamp.timeline, self.entry.stamp.version)
    }
}

/// Whether what a primary said since `as_of` is worth more than what the node knows.
fn speaks_for_itself(as_of: Boot, timeline: Timeline, knowledge: &Knowledge) -> bool {
    as_of != Boot::default() && timeline >= knowledge.timeline
}

/// A flight that goes on, because what was found for it is not fresh.
#[derive(Debug)]
pub(crate) struct NotAdmitted {
    pending: Pending,
    found: Found,
    admission: Admission,
}

impl NotAdmitted {
    fn new(pending: Pending, found: Found, admission: Admission) -> Box<Self> {
        Box::new(NotAdmitted {
            pending,
            found,
            admission,
        })
    }
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

    /// Whether a flight is to replace a copy that is still good, so that one which is as old is of no use.
    fn replaces(&self, pending: &Pending) -> bool {
        self.class == Class::Refresh && pending.held.is_some()
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
                let held = slot.held();
                slot.version() >= pending.floor
                    && judge(&held, &context) == Verdict::Suspect
                    && !is_expired(&held, &context)
            })
        };
        let (suspects, mut open): (Vec<_>, Vec<_>) = pending.into_iter().partition(is_suspect);
        let checks = self
            .source
            .revalidator
            .check(suspects.iter().map(|suspect| &suspect.id));
        for (suspect, check) in suspects.into_iter().zip(checks) {
            let outcome = self.in_time(check).await;
            open.extend(self.land_reproved(suspect, outcome));
        }
        open
    }

    /// The outcome of a check, if it comes before the fill gives up.
    async fn in_time(&self, check: oneshot::Receiver<CheckOutcome>) -> Option<CheckOutcome> {
        tokio::time::timeout(self.left(), check).await.ok()?.ok()
    }

    /// Lands what L1 held, if its version is unchanged; gives the flight back otherwise.
    fn land_reproved(&self, suspect: Pending, outcome: Option<CheckOutcome>) -> Option<Pending> {
        let Some(slot) = suspect.held.clone() else {
            return Some(suspect);
        };
        let unchanged = self.unchanged(outcome, slot.version(), slot.parents());
        let (checked, stamp) = match unchanged {
            Some(unchanged) if !is_expired(&slot.held(), &self.context()) => unchanged,
            Some(_) | None => return Some(suspect),
        };
        let sight = self.ledger().sight(suspect.floor_key);
        let proof = self.proof_of(&sight, &slot.header(stamp), &checked, slot.held().as_of);
        // The check may speak of a history that has begun meanwhile.
        let is_over = self.ledger().is_over(slot.generation());
        let Some((generation, as_of)) = proof.filter(|_| !is_over) else {
            drop(sight);
            return Some(suspect);
        };
        let slot = slot.revalidated(&self.source.commons, stamp.timeline, generation, as_of);
        self.land(sight, suspect, slot, TierName::L1);
        None
    }

    /// The outcome of a check, if it says that the copy is unchanged; counted.
    fn unchanged(
        &self,
        outcome: Option<CheckOutcome>,
        version: Version,
        parents: &Parents,
    ) -> Option<(Checked, Stamp)> {
        let revalidator = &self.source.revalidator;
        let checked = match outcome {
            Some(Ok(checked)) => checked?,
            Some(Err(_)) | None => {
                revalidator.failed.increment(1);
                return None;
            }
        };
        let tracked = self.source.namespace.tracked;
        let Some(stamp) = checked.restamp(tracked, version, parents) else {
            revalidator.changed.increment(1);
            return None;
        };
        revalidator.same.increment(1);
        Some((checked, stamp))
    }

    /// What a check proves of a copy that has its new stamp: the generation that it now belongs to, and the moment from which on it
    /// was current: `made_at` for an untracked one, of which the check says only that nothing newer was posted. Nothing in another
    /// history; and on a standby nothing that the node's own proofs do not.
    fn proof_of(
        &self,
        sight: &Sight<'_>,
        header: &Entry,
        checked: &Checked,
        made_at: Boot,
    ) -> Option<(Generation, Boot)> {
        let (knowledge, proof) = sight.known()?;
        let tracked = self.source.namespace.tracked;
        let as_of = checked.as_of();
        let candidate = Candidate {
            entry: header,
            hist: checked.head().hist,
            expires_at: DbTime(u64::MAX),
            floor: sight.floor(),
            parents_live: sight.parents_live(&header.parents),
        };
        match admit(&knowledge, &candidate, self.db_now()) {
            Admission::Fresh if !tracked => Some((knowledge.generation, made_at)),
            Admission::Fresh => Some((knowledge.generation, as_of.max(proof))),
            // The low mark has risen meanwhile, or the node has not learnt of a failover.
            Admission::Suspect if speaks_for_itself(as_of, header.stamp.timeline, &knowledge) => {
                let as_of = if tracked { as_of } else { made_at };
                Some((knowledge.generation.unproved(), as_of))
            }
            Admission::Suspect | Admission::Refused(_) => None,
        }
    }

    fn ledger(&self) -> &Ledger {
        &self.engine.follower.ledger
    }

    fn context(&self) -> HitContext {
        self.engine.follower.context()
    }

    /// The latest time that the database's clock can show. Without that clock there is no first poll, so the default is only the
    /// type's other case.
    fn db_now(&self) -> DbTime {
        self.engine.follower.db_now().unwrap_or_default()
    }

    /// Puts a copy to L1 and lands its flight. What a caller in the background has fetched only replaces what is there.
    fn land(&self, sight: Sight<'_>, pending: Pending, slot: Slot, tier: TierName) {
        let slot = Arc::new(slot);
        let (l1, key) = (&self.engine.l1, pending.guard.key());
        if self.class != Class::Background || l1.peek(key).is_some() {
            l1.put(&sight, key, Arc::clone(&slot));
        }
        drop(sight);
        pending.guard.land(Ok(Landed {
            slot,
            tier,
            stale: false,
        }));
    }

    /// Admits a copy, and lands its flight if it is fresh.
    pub(crate) fn admit_and_land(
        &self,
        pending: Pending,
        found: Found,
    ) -> Result<Entry, Box<NotAdmitted>> {
        let tier = found.tier;
        let outcome = self.try_land(pending, found);
        let admission = outcome
            .as_ref()
            .map_or_else(|refused| refused.admission, |_| Admission::Fresh);
        self.engine.counters.admission(tier, admission);
        outcome
    }

    fn try_land(&self, pending: Pending, found: Found) -> Result<Entry, Box<NotAdmitted>> {
        let sight = self.ledger().sight(pending.floor_key);
        let Some((knowledge, proof)) = sight.known() else {
            // Before the first poll only the origin is asked, and a write of this node is all that can speak against its answer.
            if found.entry.stamp.version < sight.floor() {
                drop(sight);
                let dead = Admission::Refused(Refusal::Dead);
                return Err(NotAdmitted::new(pending, found, dead));
            }
            let slot = self.slot(pending.floor_key, &found.entry, BEFORE_POLLS, found.as_of);
            self.land(sight, pending, slot, found.tier);
            return Ok(found.entry);
        };
        let parent_generation = sight.parent_generation();
        let candidate = self.candidate(&sight, (pending.floor_key, pending.floor), &found);
        let admission = admit(&knowledge, &candidate, self.db_now());
        if admission != Admission::Fresh {
            drop(sight);
            return Err(NotAdmitted::new(pending, found, admission));
        }
        let as_of = if self.source.namespace.tracked {
            found.as_of.max(proof)
        } else {
            self.untracked_as_of(&found)
        };
        let slot = self.slot(pending.floor_key, &found.entry, knowledge.generation, as_of);
        let tracked = self.source.namespace.tracked;
        // Before the first proof nobody knows how old it is; its version says.
        let is_unproved = tracked && proof == Boot::default();
        if found.tier != TierName::Origin && (is_unproved || self.is_beyond_cap(&slot)) {
            drop(sight);
            return Err(NotAdmitted::new(pending, found, Admission::Suspect));
        }
        slot.set_parents_checked(parent_generation);
        self.land(sight, pending, slot, found.tier);
        Ok(found.entry)
    }

    fn candidate<'a>(
        &self,
        sight: &Sight<'_>,
        (floor_key, wanted): (FloorKey, Version),
        found: &'a Found,
    ) -> Candidate<'a> {
        let entry = &found.entry;
        let floor = sight.floor();
        let (floor, expires_at) = if found.tier == TierName::Origin {
            // What the readers ask for is of no use here: there is nothing newer to be had. No copy is younger either, and a short TTL
            // only means that it is not kept for long.
            (floor, DbTime(u64::MAX))
        } else {
            let ttl = self.jittered(floor_key, entry, self.ttl_hard(entry.kind()));
            // L1 counts in ticks: what it would not keep for one is not worth finding again and again.
            let ttl = ttl.saturating_sub(TICK);
            (floor.max(wanted), entry.fetched_at.plus(ttl))
        };
        Candidate {
            entry,
            hist: found.hist,
            expires_at,
            floor,
            parents_live: sight.parents_live(&entry.parents),
        }
    }

    /// Whether the node's proof is so late that a copy may not be served without a check, not even labelled.
    fn is_beyond_cap(&self, slot: &Slot) -> bool {
        let context = self.engine.follower.context();
        let proved_at = self.ledger().proved_at(slot, &context);
        self.is_too_old(&slot.held(), proved_at, &context)
    }

    fn is_too_old(&self, held: &Held, proved_at: Boot, context: &HitContext) -> bool {
        judge(held, context) == Verdict::Unproven
            && over_age(held, proved_at, context) > self.engine.stale_cap(&self.source)
    }

    fn ttl_hard(&self, kind: Kind) -> Duration {
        let policy = &self.source.namespace.policy;
        match kind {
            Kind::Present => policy.ttl_hard,
            Kind::Absent => policy.ttl_absent.min(policy.ttl_hard),
        }
    }

    fn slot(
        &self,
        floor_key: FloorKey,
        entry: &Entry,
        generation: Generation,
        as_of: Boot,
    ) -> Slot {
        let now = self.engine.clock.now();
        let lifetime = self.lifetime(floor_key, entry, as_of, now);
        Slot::new(entry, &self.source.commons, generation, lifetime)
    }

    /// A TTL shortened by a share that differs from key to key and from fetch to fetch, and is the same for all who hold the copy.
    fn jittered(&self, floor_key: FloorKey, entry: &Entry, ttl: Duration) -> Duration {
        // Not the key's own hash, which differs from process to process.
        let key = u64::try_from(floor_key.0 >> 64).unwrap_or_default();
        let random = key ^ entry.fetched_at.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let jitter_percent = self.source.namespace.policy.jitter_percent.min(99);
        let per_mille = random % (u64::from(jitter_percent) * 10 + 1);
        let keep = 1000 - u32::try_from(per_mille).unwrap_or_default();
        ttl.checked_mul(keep).unwrap_or(Duration::MAX) / 1000
    }

    /// When an untracked copy was current: when its bytes were made, as its TTL counts, unless a standby made them, which may lag.
    fn untracked_as_of(&self, found: &Found) -> Boot {
        let made_at = self.engine.follower.boot_of(found.entry.fetched_at);
        match found.as_of {
            Boot(0) => Boot(0),
            asked => asked.max(made_at),
        }
    }

    fn lifetime(&self, floor_key: FloorKey, entry: &Entry, as_of: Boot, now: Boot) -> Lifetime {
        let hard = self.ttl_hard(entry.kind());
        let soft = self.source.namespace.policy.ttl_soft.min(hard);
        // Before the first poll only the origin is asked, and the moment of asking is all that is known of the copy's age.
        let since_asked = || match as_of {
            Boot(0) => Duration::ZERO,
            asked => now.since(asked),
        };
        let db_now = self.engine.follower.db_now();
        let age = db_now.map_or_else(since_asked, |db_now| db_now.since(entry.fetched_at));
        // In the past for a copy that is over: the stale cap counts from there, however often the copy is found.
        let end = |ttl| now.plus(self.jittered(floor_key, entry, ttl)).minus(age);
        Lifetime {
            as_of,
            soft_at: end(soft),
            hard_at: end(hard),
        }
    }

    /// Writes what was found to the tiers, in a task of its own.
    fn write_back(&self, puts: Vec<Put>) {
        if puts.is_empty() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.engine.write_backs).try_acquire_owned() else {
            self.engine.decline(&puts);
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
