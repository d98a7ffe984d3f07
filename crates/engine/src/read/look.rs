//! The looks of a read at L1: the synchronous hit, and what L1 has for those that no fill could answer.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_coherence::{FloorKey, Held, HitContext, Verdict, has_flipped, judge, over_age};
use hotshelf_model::{Key, KeyRef, TierName, Version};

use crate::answer::Answer;
use crate::cache::Engine;
use crate::flight::Landed;
use crate::settings::{Class, ReadOptions};
use crate::slot::Slot;

use super::observe::Timing;

impl Engine {
    /// The answer that L1 can give now, if it is of the version that is asked for or of a newer one, and `takes` takes it. One that is
    /// not taken was no read: whoever asked goes on to look for a better one.
    #[inline]
    pub(crate) fn try_get(
        self: &Arc<Self>,
        key: KeyRef<'_>,
        options: &ReadOptions<'_>,
        takes: impl FnOnce(&Answer) -> bool,
    ) -> Option<Answer> {
        let context = self.follower.context();
        // What nobody waits for keeps nothing from being evicted.
        let slot = match options.class {
            Class::Background => self.l1.peek(key),
            Class::Interactive | Class::Refresh | Class::Warm => self.l1.get(key),
        };
        let (landed, held) = self.look(slot?, key, &context)?;
        let is_wanted = |token| landed.slot.satisfies(landed.stale, token);
        if !options.min_version.is_none_or(is_wanted) {
            return None;
        }
        let answer = self.l1_answer(landed, &held, &context);
        if !takes(&answer) {
            return None;
        }
        let latency = self.counters.l1_hit(&answer).then(|| {
            let took = self.clock.now().since(context.now);
            self.counters.l1_seconds(took);
            took
        });
        let timing = Timing {
            at: context.now,
            latency,
        };
        self.observe(key, Some(&answer), timing, options);
        Some(answer)
    }

    /// What L1 holds, if it may be served now. `context` was taken before it was looked up.
    #[inline]
    fn look(
        self: &Arc<Self>,
        slot: Arc<Slot>,
        key: KeyRef<'_>,
        context: &HitContext,
    ) -> Option<(Landed, Held)> {
        if !self.follower.ledger.is_living(&slot, context) {
            return None;
        }
        let held = slot.held();
        let stale = match judge(&held, context) {
            Verdict::Fresh => false,
            Verdict::RefreshDue => {
                self.start_refresh(key, &slot, context.now);
                false
            }
            verdict => {
                if let Some(next) = self.turn(key, &slot, &held, context) {
                    return self.look(next, key, context);
                }
                self.may_serve_stale_now(key, &slot, &held, context, verdict)?;
                true
            }
        };
        let landed = Landed {
            slot,
            tier: TierName::L1,
            stale,
        };
        Some((landed, held))
    }

    /// Puts the document that was fetched ahead in the place of one that has changed by time alone; returns what L1 holds then. Nothing
    /// when there is none, or when its moment has not come.
    #[cold]
    pub(crate) fn turn(
        &self,
        key: KeyRef<'_>,
        slot: &Arc<Slot>,
        held: &Held,
        context: &HitContext,
    ) -> Option<Arc<Slot>> {
        let next = slot.next().filter(|_| has_flipped(held, context))?;
        let key = key.to_key();
        let sight = self
            .follower
            .ledger
            .sight(FloorKey::of(key.namespace(), key.id()));
        let in_l1 = self.l1.peek(&key)?;
        if !Arc::ptr_eq(&in_l1, slot) {
            return Some(in_l1);
        }
        self.l1.put(&sight, &key, Arc::clone(next));
        self.counters.flips.increment(1);
        Some(Arc::clone(next))
    }

    /// What L1 holds, if it may be served now, for a read that has looked before.
    pub(super) fn look_again(self: &Arc<Self>, key: &Key) -> Option<Landed> {
        let context = self.follower.context();
        let slot = self.l1.peek(key)?;
        let (landed, _) = self.look(slot, key.into(), &context)?;
        Some(landed)
    }

    /// A hit in L1 as the answer to a read.
    #[inline]
    fn l1_answer(&self, landed: Landed, held: &Held, context: &HitContext) -> Answer {
        let proved_at = if held.tracked && held.generation == context.generation {
            held.as_of.max(context.proof)
        } else {
            self.follower.proved_at(&landed.slot, context)
        };
        Answer::new(landed, held, proved_at, context)
    }

    /// A copy that is not fresh is served at once when the origin is known not to answer; the refresh class keeps trying.
    #[cold]
    fn may_serve_stale_now(
        self: &Arc<Self>,
        key: KeyRef<'_>,
        slot: &Arc<Slot>,
        held: &Held,
        context: &HitContext,
        verdict: Verdict,
    ) -> Option<()> {
        let node_is_unproven =
            held.tracked && context.now.since(context.proof) > context.staleness_bound;
        let origin_is_silent =
            verdict == Verdict::Unproven || node_is_unproven || slot.is_quiet(context.now);
        if !origin_is_silent || !self.is_within_cap(key, slot, held, context) {
            return None;
        }
        if verdict != Verdict::Unproven && !slot.is_quiet(context.now) {
            self.start_refresh(key, slot, context.now);
        }
        Some(())
    }

    /// Whether a copy that L1 holds is not held too long beyond what was promised.
    fn is_within_cap(
        &self,
        key: KeyRef<'_>,
        slot: &Slot,
        held: &Held,
        context: &HitContext,
    ) -> bool {
        let cap = self
            .source(key)
            .map_or(Duration::ZERO, |source| self.stale_cap(source));
        over_age(held, self.follower.proved_at(slot, context), context) <= cap
    }

    /// What L1 holds and may be served, fresh or not.
    pub(crate) fn living(&self, key: &Key, context: &HitContext) -> Option<Arc<Slot>> {
        self.l1
            .peek(key)
            .filter(|slot| self.follower.ledger.is_living(slot, context))
    }

    pub(super) fn stale_from_l1(&self, key: &Key, floor: Version) -> Option<Landed> {
        let context = self.follower.context();
        let slot = self
            .living(key, &context)
            .filter(|slot| slot.version() >= floor)?;
        let held = slot.held();
        let stale = !matches!(judge(&held, &context), Verdict::Fresh | Verdict::RefreshDue);
        let servable = !stale || self.is_within_cap(key.into(), &slot, &held, &context);
        servable.then_some(Landed {
            slot,
            tier: TierName::L1,
            stale,
        })
    }
}
