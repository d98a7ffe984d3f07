//! What the tiers of a node hold of many keys, with the versions compared with the database's. Nothing is changed by it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hotshelf_coherence::{FloorKey, judge};
use hotshelf_model::{Error, ErrorKind, Id, Key, Lookup, Tier, TierName};

use super::TierCoverage;
use crate::cache::Source;
use crate::explain::Standing;
use crate::fill::Fill;
use crate::revalidate::Checked;

/// What each tier holds of some ids.
pub(super) async fn look(
    fill: &Fill,
    ids: &[Id],
    patience: Duration,
) -> Result<Vec<TierCoverage>, Error> {
    let checked = checked(&fill.source, ids, patience).await?;
    let look = Look {
        fill,
        ids,
        checked: &checked,
    };
    let mut coverage = vec![look.l1()];
    let engine = &fill.engine;
    for tier in [&engine.l2, &engine.l3].into_iter().flatten() {
        coverage.push(look.outside(tier).await);
    }
    Ok(coverage)
}

/// What the database has recorded of each id.
async fn checked(source: &Source, ids: &[Id], patience: Duration) -> Result<Vec<Checked>, Error> {
    let checks = source.revalidator.check(ids.iter());
    let late = |_| Error::new(ErrorKind::OriginTimeout, "reading versions");
    let outcomes = tokio::time::timeout(patience, join_all(checks));
    let silent = || Error::new(ErrorKind::OriginFailed, "the origin does not say versions");
    let outcomes = outcomes.await.map_err(late)?.into_iter();
    let checked = outcomes.map(|outcome| outcome.map_err(|_| silent())??.ok_or_else(silent));
    checked.collect()
}

/// A look at what is held of some ids.
struct Look<'a> {
    fill: &'a Fill,
    ids: &'a [Id],
    checked: &'a [Checked],
}

impl Look<'_> {
    fn keys(&self) -> impl Iterator<Item = (Key, &Checked)> {
        let key = |id| Key::new(&self.fill.source.namespace.name, id, &self.fill.variant);
        self.ids.iter().map(key).zip(self.checked)
    }

    fn l1(&self) -> TierCoverage {
        let mut coverage = TierCoverage::new(TierName::L1);
        let engine = &self.fill.engine;
        let tracked = self.fill.source.namespace.tracked;
        for (key, checked) in self.keys() {
            let context = engine.follower.context();
            let Some(slot) = engine.l1.peek(&key) else {
                coverage.missing += 1;
                continue;
            };
            let floor_key = FloorKey::of(key.namespace(), key.id());
            let ledger = &engine.follower.ledger;
            let is_living =
                ledger.is_living(&slot, &context) && !ledger.is_superseded(floor_key, &slot);
            let is_unchanged = checked
                .restamp(tracked, slot.version(), slot.parents())
                .is_some();
            let standing = Standing::of(judge(&slot.held(), &context));
            coverage.count(is_living && is_unchanged, standing);
        }
        coverage
    }

    async fn outside(&self, tier: &Arc<dyn Tier>) -> TierCoverage {
        let mut coverage = TierCoverage::new(tier.name());
        let engine = &self.fill.engine;
        let namespace = &self.fill.source.namespace;
        let Some(known) = engine.follower.knowledge() else {
            coverage.unavailable = self.ids.len() as u64;
            return coverage;
        };
        let keys: Vec<_> = self
            .keys()
            .map(|(key, _)| namespace.tier_key(known.hist, &key))
            .collect();
        let lookups = tier.get_many(&keys).await;
        for ((key, checked), lookup) in self.keys().zip(lookups) {
            let entry = match lookup {
                Lookup::Hit(entry) | Lookup::Absent(entry) => entry,
                Lookup::Miss(_) => {
                    coverage.missing += 1;
                    continue;
                }
                Lookup::Unavailable(_) => {
                    coverage.unavailable += 1;
                    continue;
                }
            };
            let context = engine.follower.context();
            let (version, parents) = (entry.stamp.version, entry.parents.clone());
            let found = self.fill.found_in_tier(entry, tier.name(), &known);
            let floor_key = FloorKey::of(key.namespace(), key.id());
            let (standing, _) = self.fill.standing(floor_key, &found, &context);
            let is_unchanged = checked
                .restamp(namespace.tracked, version, &parents)
                .is_some();
            coverage.count(is_unchanged, standing);
        }
        coverage
    }
}

impl TierCoverage {
    fn new(tier: TierName) -> Self {
        TierCoverage {
            tier,
            current: 0,
            outdated: 0,
            missing: 0,
            unavailable: 0,
        }
    }

    /// A suspect copy of the recorded version is served after the check that was just made.
    fn count(&mut self, is_unchanged: bool, standing: Standing) {
        match standing {
            Standing::Current | Standing::Suspect if is_unchanged => self.current += 1,
            _ => self.outdated += 1,
        }
    }
}
