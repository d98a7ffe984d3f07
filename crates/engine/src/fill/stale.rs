//! The part of a fill that lands flights without a proof: labelled when the origin has no answer, or as long as they prove themselves.

use std::sync::Arc;

use hotshelf_coherence::{Admission, Generation, HitContext, Refusal, Verdict, judge, over_age};
use hotshelf_model::{Error, ErrorKind, TierName};

use super::{BEFORE_POLLS, Fill, Found, Pending};
use crate::flight::Landed;
use crate::ledger::Sight;
use crate::settings::Class;
use crate::slot::Slot;

impl Fill {
    /// Lands flights that the origin has no answer for: stale within the cap, or the error. Before an error, tiers that could not be
    /// asked are asked again.
    pub(super) async fn land_without_origin(&self, failed: Vec<Pending>) {
        let without_copy = failed
            .into_iter()
            .filter_map(|pending| self.land_stale(pending));
        let (unasked, hopeless): (Vec<_>, Vec<_>) =
            without_copy.partition(|pending| pending.is_unasked);
        hopeless.into_iter().for_each(land_failed);
        let left = self.look_up(unasked).await;
        left.into_iter()
            .filter_map(|pending| self.land_stale(pending))
            .for_each(land_failed);
    }

    /// Lands a flight with the best copy that is within the stale cap; gives it back if there is none.
    fn land_stale(&self, pending: Pending) -> Option<Pending> {
        let engine = &self.engine;
        // Before the look at L1.
        let context = self.context();
        let sight = self.ledger().sight(pending.floor_key);
        let Some((slot, tier)) = self.best_stale(&sight, &pending, &context) else {
            drop(sight);
            return Some(pending);
        };
        let held = slot.held();
        let fresh = matches!(judge(&held, &context), Verdict::Fresh | Verdict::RefreshDue);
        let age = over_age(&held, self.ledger().proved_at(&slot, &context), &context);
        if !fresh && age > engine.stale_cap(&self.source) {
            drop(sight);
            return Some(pending);
        }
        let failure = pending.failure.as_ref();
        tracing::debug!(key = %pending.guard.key(), ?failure, "serving what is held, because the origin has no answer");
        let is_shed = failure.is_some_and(|error| error.kind() == ErrorKind::Shed);
        if self.class == Class::Interactive || !is_shed {
            slot.keep_quiet(context.now.plus(engine.settings.retry_after));
        }
        if tier != TierName::L1 {
            engine
                .l1
                .put(&sight, pending.guard.key(), Arc::clone(&slot));
        }
        drop(sight);
        pending.guard.land(Ok(Landed {
            slot,
            tier,
            stale: !fresh,
        }));
        None
    }

    /// The best copy that is not known to be outdated.
    fn best_stale(
        &self,
        sight: &Sight<'_>,
        pending: &Pending,
        context: &HitContext,
    ) -> Option<(Arc<Slot>, TierName)> {
        let floor = sight.floor().max(pending.floor);
        let held = pending
            .held
            .as_ref()
            .filter(|slot| slot.version() >= floor && self.ledger().is_living(slot, context));
        let found = pending.stale.as_ref().filter(|found| {
            let known = sight.known();
            known.is_none_or(|(known, _)| known.hist == found.hist)
                && sight.parents_live(&found.entry.parents)
                && found.entry.stamp.version >= floor
        });
        let generation = sight
            .known()
            .map_or(BEFORE_POLLS, |(knowledge, _)| knowledge.generation);
        match (held, found) {
            (Some(held), found) if found.is_none_or(|found| held.rank() >= found.rank()) => {
                let slot = self.still_held(pending, held, generation);
                Some((slot, TierName::L1))
            }
            (_, Some(found)) => {
                let slot = self.unproved(pending, found, generation);
                Some((Arc::new(slot), found.tier))
            }
            (_, None) => None,
        }
    }

    /// What L1 held when the flight began. The node's proofs speak for it only if L1 still does; otherwise it stands for itself.
    fn still_held(&self, pending: &Pending, slot: &Arc<Slot>, generation: Generation) -> Arc<Slot> {
        let in_l1 = self.engine.l1.peek(pending.guard.key());
        if !slot.is_tracked() || in_l1.is_some_and(|in_l1| Arc::ptr_eq(&in_l1, slot)) {
            return Arc::clone(slot);
        }
        let (timeline, as_of) = (slot.timeline(), slot.held().as_of);
        let commons = &self.source.commons;
        Arc::new(slot.revalidated(commons, timeline, generation.unproved(), as_of))
    }

    /// A copy that nothing which is known in `generation` proves.
    fn unproved(&self, pending: &Pending, found: &Found, generation: Generation) -> Slot {
        // It was current when its bytes were fetched; nothing later is known of it.
        let fetched_at = self.engine.follower.boot_of(found.entry.fetched_at);
        let as_of = found.as_of.max(fetched_at);
        self.slot(
            pending.floor_key,
            &found.entry,
            generation.unproved(),
            as_of,
        )
    }

    /// Lands a document that was read from the primary a moment ago and is not proved by what the node knows: fresh for its readers,
    /// suspect for those who come later, and not kept at all when the node knows of a newer one.
    pub(super) fn land_unproved(&self, pending: Pending, found: &Found, generation: Generation) {
        let sight = self.ledger().sight(pending.floor_key);
        let slot = self.unproved(&pending, found, generation);
        let is_outdated = slot.version() < sight.floor() || !sight.parents_live(slot.parents());
        if is_outdated {
            drop(sight);
            pending.guard.land(Ok(Landed {
                slot: Arc::new(slot),
                tier: found.tier,
                stale: false,
            }));
        } else {
            self.land(sight, pending, slot, found.tier);
        }
    }

    /// Keeps a copy that could not be admitted, in case nothing better is found.
    pub(super) fn keep_stale(pending: &mut Pending, found: Found, admission: Admission) {
        if admission == Admission::Refused(Refusal::Dead) {
            return;
        }
        let kept = pending.stale.as_ref();
        if kept.is_none_or(|kept| kept.rank() <= found.rank()) {
            pending.stale = Some(found);
        }
    }
}

fn land_failed(mut pending: Pending) {
    let failure = pending.failure.take();
    let unknown = || Error::new(ErrorKind::Internal, "the fill failed without a reason");
    pending.guard.land(Err(failure.unwrap_or_else(unknown)));
}
