//! What a warm-up asks of a node: to fill tiers with many documents at once, and to say what they hold.
//!
//! A warm-up reads in the class that gives way to everybody else, takes no leases, and decides of no copy by rules of its own: L1 is filled
//! by flights like any reader's, L2 and L3 by [`crate::Cache::warm`], whose entries are admitted by whoever reads them.

mod coverage;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hotshelf_coherence::{Verdict, judge};
use hotshelf_model::{
    Error, ErrorKind, Id, Key, Kind, NamespaceName, Tier, TierName, TierRoom, Variant, Version,
    WarmCounts, WarmTiers,
};

use crate::cache::{Cache, Engine};
use crate::fetch::Fetcher;
use crate::fill::Fill;
use crate::flight::{Begun, Outcome};
use crate::l1::weight_of;
use crate::settings::Class;
use crate::slot::document_bytes;

/// What became of some keys of a warm-up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WarmBatch {
    /// What became of those that are done.
    pub counts: WarmCounts,
    /// Ids that are to be tried again later: the origin or a tier has no room, or does not answer.
    pub later: Vec<Id>,
    /// Why some are not filled, in words.
    pub trouble: Option<String>,
}

impl WarmBatch {
    pub(crate) fn later(ids: &[Id], trouble: &str) -> Self {
        WarmBatch {
            later: ids.to_vec(),
            trouble: Some(trouble.to_owned()),
            ..WarmBatch::default()
        }
    }

    pub(crate) fn tell(&mut self, trouble: &str) {
        self.trouble.get_or_insert_with(|| trouble.to_owned());
    }
}

/// What a tier holds of the keys that it was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierCoverage {
    /// Which tier.
    pub tier: TierName,
    /// Copies of the version that the database has recorded, which a reader would be given.
    pub current: u64,
    /// Copies that are too old, or of another version.
    pub outdated: u64,
    /// Keys without a copy.
    pub missing: u64,
    /// Keys about which the tier could not be asked.
    pub unavailable: u64,
}

/// What a tier would need for the documents of a sample, and what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierWeight {
    /// Which tier.
    pub tier: TierName,
    /// Bytes of all documents of the sample together.
    pub bytes: u64,
    /// Its room.
    pub room: TierRoom,
}

/// Some documents as they were fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Documents that are there.
    pub documents: u64,
    /// Ids without a document.
    pub absent: u64,
    /// Ids whose document could not be had.
    pub failed: u64,
    /// How long the statement took.
    pub took: Duration,
    /// Each tier of this node.
    pub tiers: Vec<TierWeight>,
}

impl Engine {
    fn warm_fill(
        self: &Arc<Self>,
        namespace: &NamespaceName,
        variant: &Variant,
        patience: Duration,
    ) -> Result<Fill, Error> {
        let unknown = || {
            let context = format!("there is no namespace `{namespace}`");
            Error::new(ErrorKind::UnknownNamespace, context)
        };
        let source = self.source_of(namespace.as_str()).ok_or_else(unknown)?;
        source.variants.note(variant.as_str());
        Ok(Fill {
            engine: Arc::clone(self),
            source: Arc::clone(source),
            variant: variant.clone(),
            class: Class::Warm,
            until: self.clock.now().plus(patience),
        })
    }

    /// Whether L1 holds a copy that stays good for a while.
    fn holds(&self, key: &Key) -> bool {
        let context = self.follower.context();
        let living = self.living(key, &context);
        living.is_some_and(|slot| judge(&slot.held(), &context) == Verdict::Fresh)
    }

    async fn warm_l1(self: &Arc<Self>, fill: &Fill, ids: &[Id]) -> WarmBatch {
        let mut batch = WarmBatch::default();
        let (mut flights, mut open) = (Vec::new(), Vec::new());
        for id in ids {
            let key = Key::new(&fill.source.namespace.name, id, &fill.variant);
            if self.holds(&key) {
                batch.counts.held += 1;
                continue;
            }
            match self.take_off(&fill.source, &key, Version::NONE, Class::Warm) {
                Begun::Joined(flight) => flights.push((id, key, flight)),
                Begun::Full => {
                    batch.later.push(id.clone());
                    batch.tell("too many fills are under way");
                }
                Begun::Leader(guard) => {
                    if let Some(pending) = self.pending(guard, Version::NONE) {
                        flights.push((id, key, pending.guard.flight()));
                        open.push(pending);
                    }
                }
            }
        }
        if !open.is_empty()
            && let Err(error) = self.fly(&fill.source, open, Class::Warm)
        {
            batch.tell(&error.to_string());
        }
        let outcomes = join_all(flights.iter().map(|(_, _, flight)| flight.wait())).await;
        for ((id, key, _), outcome) in flights.iter().zip(outcomes) {
            self.take_l1(&mut batch, id, key, outcome);
        }
        batch
    }

    fn take_l1(&self, batch: &mut WarmBatch, id: &Id, key: &Key, outcome: Outcome) {
        match outcome {
            Ok(landed) if landed.stale => {
                batch.later.push(id.clone());
                batch.tell("the origin does not answer");
            }
            Ok(landed) => {
                batch.counts.fetched += u64::from(landed.tier == TierName::Origin);
                match landed.slot.kind() {
                    Kind::Absent => batch.counts.absent += 1,
                    Kind::Present if self.l1.peek(key).is_some() => batch.counts.filled += 1,
                    Kind::Present => {
                        batch.counts.failed += 1;
                        batch.tell("l1 has no room for it");
                    }
                }
            }
            Err(error) => {
                let is_own = matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Invalid);
                if is_own {
                    batch.counts.failed += 1;
                } else {
                    batch.later.push(id.clone());
                }
                batch.tell(&error.to_string());
            }
        }
    }
}

impl Cache {
    /// Fills L2 and L3, those of them that `tiers` names and this node has, with the documents of these ids: at most some hundred. A tier
    /// that holds a copy which is good for a while keeps it; what another tier holds is taken from there; the rest is fetched in the
    /// warm class, within the budget's share.
    ///
    /// # Errors
    /// `UnknownNamespace`.
    ///
    /// # Cancel safety
    /// What was put stays.
    pub async fn warm(
        &self,
        namespace: &NamespaceName,
        variant: &Variant,
        ids: &[Id],
        tiers: WarmTiers,
        patience: Duration,
    ) -> Result<WarmBatch, Error> {
        let fill = self.engine.warm_fill(namespace, variant, patience)?;
        Ok(fill.warm(ids, tiers).await)
    }

    /// The same for L1 of this node: by flights like those of readers, in the warm class. What another tier holds is taken from there.
    ///
    /// # Errors
    /// `UnknownNamespace`.
    ///
    /// # Cancel safety
    /// The fills go on, and their results are kept.
    pub async fn warm_l1(
        &self,
        namespace: &NamespaceName,
        variant: &Variant,
        ids: &[Id],
    ) -> Result<WarmBatch, Error> {
        let patience = self.engine.settings.fill_timeout;
        let fill = self.engine.warm_fill(namespace, variant, patience)?;
        Ok(self.engine.warm_l1(&fill, ids).await)
    }

    /// Whether a warm-up is to slow down: within the last second the origin was slow, or readers took what a warm-up could have had.
    pub fn is_pressed(&self) -> bool {
        self.engine.budget.is_pressed()
    }

    /// The tiers that this node has, in the order of a read.
    pub fn tiers(&self) -> WarmTiers {
        WarmTiers {
            l1: true,
            l2: self.engine.l2.is_some(),
            l3: self.engine.l3.is_some(),
        }
    }

    /// Says what each tier of this node holds of these ids, at most some hundred, with the versions compared with the database's. It is no
    /// read and changes nothing.
    ///
    /// # Errors
    /// `UnknownNamespace`; `OriginFailed` and `OriginTimeout` when the database does not say the versions within `patience`.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn coverage(
        &self,
        namespace: &NamespaceName,
        variant: &Variant,
        ids: &[Id],
        patience: Duration,
    ) -> Result<Vec<TierCoverage>, Error> {
        let fill = self.engine.warm_fill(namespace, variant, patience)?;
        coverage::look(&fill, ids, patience).await
    }

    /// Fetches the documents of some ids in one go, in the warm class, and says what they would weigh in each tier. They are kept nowhere.
    ///
    /// # Errors
    /// `UnknownNamespace`; the first document's error when there is none that could be had.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn sample(
        &self,
        namespace: &NamespaceName,
        variant: &Variant,
        ids: &[Id],
        patience: Duration,
    ) -> Result<Sample, Error> {
        let fill = self.engine.warm_fill(namespace, variant, patience)?;
        self.engine.sample(&fill, ids, patience).await
    }
}

impl Engine {
    async fn sample(&self, fill: &Fill, ids: &[Id], patience: Duration) -> Result<Sample, Error> {
        let (namespace, started) = (&fill.source.namespace, self.clock.now());
        let group = Fetcher::group(namespace, &fill.variant, Class::Warm, None);
        let as_of = self.follower.db_now();
        let receivers = fill.source.fetcher.fetch(&group, ids, as_of, patience);
        let outcomes = join_all(receivers).await;
        let hist = self.follower.knowledge().map(|known| known.hist);
        let outside: Vec<&Arc<dyn Tier>> = [&self.l2, &self.l3].into_iter().flatten().collect();
        let mut bytes = vec![0; outside.len() + 1];
        let (mut absent, mut failed, mut first) = (0, 0, None);
        for (id, outcome) in ids.iter().zip(outcomes) {
            let key = Key::new(&namespace.name, id, &fill.variant);
            let lost = |_| Err(Error::new(ErrorKind::OriginFailed, "the origin panicked"));
            let entry = outcome.unwrap_or_else(lost);
            let entry = entry.and_then(|fetched| fill.fetched_entry(&key, &fetched));
            match entry {
                Err(error) => {
                    failed += 1;
                    first.get_or_insert(error);
                }
                Ok(entry) if entry.kind() == Kind::Absent => absent += 1,
                Ok(entry) => {
                    bytes[0] += weight_of(&key, document_bytes(&entry.body().identity));
                    let key = namespace.tier_key(hist.unwrap_or_default(), &key);
                    for (sum, tier) in bytes[1..].iter_mut().zip(&outside) {
                        *sum += tier.weigh(&key, &entry);
                    }
                }
            }
        }
        let documents = ids.len() as u64 - absent - failed;
        if let Some(error) = first.filter(|_| failed == ids.len() as u64) {
            return Err(error);
        }
        let l1 = TierRoom {
            bytes_max: Some(self.settings.l1_bytes_max),
            bytes: Some(self.l1.usage()[0].1),
        };
        let mut tiers = vec![TierWeight {
            tier: TierName::L1,
            bytes: bytes[0],
            room: l1,
        }];
        for (bytes, tier) in bytes[1..].iter().zip(outside) {
            tiers.push(TierWeight {
                tier: tier.name(),
                bytes: *bytes,
                room: tier.room().await,
            });
        }
        Ok(Sample {
            documents,
            absent,
            failed,
            took: self.clock.now().since(started),
            tiers,
        })
    }
}
