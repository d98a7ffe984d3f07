//! The part of a fill that asks L2 and L3.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::{Either, join, select};
use hotshelf_coherence::{Admission, Knowledge};
use hotshelf_model::{
    Boot, Entry, Key, Lookup, MissReason, Tier, TierKey, TierName, UnavailableReason,
};

use super::{Fill, Found, Pending};
use crate::revalidate::CheckOutcome;
use crate::write_back::Put;

/// What a step of a fill gathers on its way.
#[derive(Default)]
pub(super) struct Gathered {
    /// Copies whose version has to be asked for.
    pub(super) suspects: Vec<(Pending, Found)>,
    pub(super) puts: Vec<Put>,
}

impl Fill {
    /// Asks L2 and L3, and revalidates what is suspect there.
    pub(super) async fn look_up(&self, pending: Vec<Pending>) -> Vec<Pending> {
        let Some(knowledge) = self.engine.follower.knowledge() else {
            return pending;
        };
        if pending.is_empty() {
            return pending;
        }
        let mut gathered = Gathered::default();
        let mut open = self.ask_tiers(&knowledge, pending, &mut gathered).await;
        open.extend(self.revalidate_found(&mut gathered).await);
        self.write_back(gathered.puts);
        open
    }

    /// Asks L2 alone, for copies that another node is fetching.
    pub(super) async fn look_up_l2(&self, pending: Vec<Pending>) -> Vec<Pending> {
        let (Some(knowledge), Some(l2)) =
            (self.engine.follower.knowledge(), self.engine.l2_in_use())
        else {
            return pending;
        };
        let mut gathered = Gathered::default();
        let mut open = self.ask_one(l2, &knowledge, pending, &mut gathered).await;
        open.extend(self.revalidate_found(&mut gathered).await);
        self.write_back(gathered.puts);
        open
    }

    async fn ask_tiers(
        &self,
        knowledge: &Knowledge,
        pending: Vec<Pending>,
        gathered: &mut Gathered,
    ) -> Vec<Pending> {
        let engine = &self.engine;
        let replaces = pending.iter().all(|pending| self.replaces(pending));
        let l3 = engine.l3_in_use().filter(|_| !replaces);
        let Some(l2) = engine.l2_in_use() else {
            return match l3 {
                Some(l3) => self.ask_one(l3, knowledge, pending, gathered).await,
                None => pending,
            };
        };
        let Some(l3) = l3 else {
            return self.ask_one(l2, knowledge, pending, gathered).await;
        };
        let keys = self.tier_keys(knowledge, &pending);
        let asked_l2 = Box::pin(self.ask(l2, &keys));
        let hedge = Box::pin(tokio::time::sleep(engine.settings.hedge_after));
        match select(asked_l2, hedge).await {
            Either::Left((lookups, _)) => {
                let open = self.take(lookups, pending, TierName::L2, knowledge, gathered);
                self.ask_one(l3, knowledge, open, gathered).await
            }
            Either::Right(((), asked_l2)) => {
                let asked_l3 = Box::pin(self.ask(l3, &keys));
                let (fast, slow, tiers) = match select(asked_l2, asked_l3).await {
                    Either::Left((lookups, l3)) => (lookups, l3, [TierName::L2, TierName::L3]),
                    Either::Right((lookups, l2)) => (lookups, l2, [TierName::L3, TierName::L2]),
                };
                let open = self.take(fast, pending, tiers[0], knowledge, gathered);
                self.take_slower(open, &keys, slow, tiers[1], knowledge, gathered)
                    .await
            }
        }
    }

    /// Takes the answers of the slower tier for what the faster one left open. They are waited for even when that is nothing, after the
    /// flights have landed, so that a tier which is always the slower one is counted, and known to its breaker.
    async fn take_slower(
        &self,
        mut open: Vec<Pending>,
        keys: &[TierKey],
        slow: impl Future<Output = Vec<Lookup>>,
        tier: TierName,
        knowledge: &Knowledge,
        gathered: &mut Gathered,
    ) -> Vec<Pending> {
        let (changed, lookups) = join(self.revalidate_found(gathered), slow).await;
        open.extend(changed);
        let keys = keys.iter().map(|key| &key.key);
        let mut found: HashMap<&Key, Lookup> = keys.zip(lookups).collect();
        let lookup = |pending: &Pending| found.remove(pending.guard.key());
        let missed = || Lookup::Miss(MissReason::NotFound);
        let lookups: Vec<Lookup> = open
            .iter()
            .map(lookup)
            .map(|lookup| lookup.unwrap_or_else(missed))
            .collect();
        self.take(lookups, open, tier, knowledge, gathered)
    }

    async fn ask_one(
        &self,
        tier: &Arc<dyn Tier>,
        knowledge: &Knowledge,
        pending: Vec<Pending>,
        gathered: &mut Gathered,
    ) -> Vec<Pending> {
        if pending.is_empty() {
            return pending;
        }
        let lookups = self.ask(tier, &self.tier_keys(knowledge, &pending)).await;
        self.take(lookups, pending, tier.name(), knowledge, gathered)
    }

    pub(super) fn tier_keys(&self, knowledge: &Knowledge, pending: &[Pending]) -> Vec<TierKey> {
        pending
            .iter()
            .map(|pending| self.tier_key(knowledge, pending))
            .collect()
    }

    /// One answer for each key, whatever the tier does.
    pub(super) async fn ask(&self, tier: &Arc<dyn Tier>, keys: &[TierKey]) -> Vec<Lookup> {
        let clock = &self.engine.clock;
        let started = clock.now();
        let mut lookups = tier.get_many(keys).await;
        debug_assert_eq!(
            lookups.len(),
            keys.len(),
            "{} answers each key",
            tier.name().as_str()
        );
        lookups.resize(keys.len(), Lookup::Unavailable(UnavailableReason::Failed));
        let counters = &self.engine.counters;
        counters.lookup_seconds(tier.name(), clock.now().since(started));
        for lookup in &lookups {
            counters.lookup(tier.name(), lookup);
        }
        lookups
    }

    fn take(
        &self,
        lookups: Vec<Lookup>,
        pending: Vec<Pending>,
        tier: TierName,
        knowledge: &Knowledge,
        gathered: &mut Gathered,
    ) -> Vec<Pending> {
        let mut open = Vec::new();
        for (mut pending, lookup) in pending.into_iter().zip(lookups) {
            pending.is_unasked |= matches!(lookup, Lookup::Unavailable(_));
            match lookup.into_entry() {
                Some(entry) => {
                    open.extend(self.take_entry(pending, entry, tier, knowledge, gathered))
                }
                None => open.push(pending),
            }
        }
        open
    }

    fn take_entry(
        &self,
        pending: Pending,
        entry: Entry,
        tier: TierName,
        knowledge: &Knowledge,
        gathered: &mut Gathered,
    ) -> Option<Pending> {
        if self.replaces(&pending) && !self.is_younger_than_due(&entry) {
            return Some(pending);
        }
        let key = self.tier_key(knowledge, &pending);
        let found = self.found_in_tier(entry, tier, knowledge);
        let refused = match self.admit_and_land(pending, found) {
            Ok(entry) => {
                gathered.puts.push(Put {
                    key,
                    entry,
                    except: Some(tier),
                });
                return None;
            }
            Err(refused) => *refused,
        };
        if refused.admission == Admission::Suspect {
            gathered.suspects.push((refused.pending, refused.found));
            return None;
        }
        let mut pending = refused.pending;
        Self::keep_stale(&mut pending, refused.found, refused.admission);
        Some(pending)
    }

    /// A copy that was looked for in the present history. It carries no proof of its own moment; its position and the node's proofs speak
    /// for it.
    pub(crate) fn found_in_tier(
        &self,
        entry: Entry,
        tier: TierName,
        knowledge: &Knowledge,
    ) -> Found {
        let as_of = if self.source.namespace.tracked {
            Boot::default()
        } else {
            self.engine.follower.boot_of(entry.fetched_at)
        };
        Found {
            entry,
            tier,
            hist: knowledge.hist,
            as_of,
        }
    }

    /// Whether another node has fetched it lately enough that a refresh from the origin can be spared.
    fn is_younger_than_due(&self, entry: &Entry) -> bool {
        let policy = &self.source.namespace.policy;
        let soft = policy.ttl_soft.min(self.ttl_hard(entry.kind()));
        let due = soft / 100 * u32::from(100 - policy.jitter_percent.min(100));
        self.engine
            .follower
            .db_now()
            .is_some_and(|now| now.since(entry.fetched_at) < due)
    }

    /// Asks for the versions of what is suspect; gives back what is not proved by them.
    pub(super) async fn revalidate_found(&self, gathered: &mut Gathered) -> Vec<Pending> {
        let suspects = std::mem::take(&mut gathered.suspects);
        let checks = self
            .source
            .revalidator
            .check(suspects.iter().map(|(pending, _)| &pending.id));
        let mut open = Vec::new();
        for ((pending, found), check) in suspects.into_iter().zip(checks) {
            let outcome = self.in_time(check).await;
            open.extend(self.land_revalidated(pending, found, outcome, gathered));
        }
        open
    }

    fn land_revalidated(
        &self,
        mut pending: Pending,
        mut found: Found,
        outcome: Option<CheckOutcome>,
        gathered: &mut Gathered,
    ) -> Option<Pending> {
        let (version, parents) = (found.entry.stamp.version, &found.entry.parents);
        let unchanged = self.unchanged(outcome, version, parents);
        let same_history = unchanged.filter(|(checked, _)| checked.head().hist == found.hist);
        let sight = self.ledger().sight(pending.floor_key);
        let proof = same_history.and_then(|(checked, stamp)| {
            let former = std::mem::replace(&mut found.entry.stamp, stamp);
            let proof = self.proof_of(&sight, &found.entry, &checked, found.as_of);
            if proof.is_none() {
                found.entry.stamp = former;
            }
            proof
        });
        let Some((generation, as_of)) = proof else {
            drop(sight);
            Self::keep_stale(&mut pending, found, Admission::Suspect);
            return Some(pending);
        };
        gathered.puts.push(Put {
            key: self
                .source
                .namespace
                .tier_key(found.hist, pending.guard.key()),
            entry: found.entry.clone(),
            except: None,
        });
        let slot = self.slot(pending.floor_key, &found.entry, generation, as_of);
        self.land(sight, pending, slot, found.tier);
        None
    }
}
