//! Writes to the tiers outside the process, after the readers have their answer.

use std::sync::Arc;

use hotshelf_model::{Entry, Id, Key, Kind, NamespaceName, PutOutcome, Tier, TierKey, TierName};

use crate::cache::Engine;

/// An entry that a fill found, and the tier that need not be told.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) key: TierKey,
    pub(crate) entry: Entry,
    /// The tier that holds exactly this already.
    pub(crate) except: Option<TierName>,
}

impl Put {
    /// Whether a tier is to hold it. Absent entries are not worth a disk's endurance: a flood of unknown ids would fill it.
    fn is_for(&self, tier: TierName) -> bool {
        self.except != Some(tier) && (tier != TierName::L3 || self.entry.kind() == Kind::Present)
    }
}

impl Engine {
    /// Puts entries to L2.
    pub(crate) async fn write_l2(&self, puts: &[Put]) {
        if let Some(l2) = self.l2_in_use() {
            self.write(l2, puts).await;
        }
    }

    /// Puts documents to L3.
    pub(crate) async fn write_l3(&self, puts: &[Put]) {
        if let Some(l3) = self.l3_in_use() {
            self.write(l3, puts).await;
        }
    }

    /// Removes a product's copies from L2, best effort: they are refused anyway, and only cost who finds them a lookup.
    pub(crate) fn remove_from_l2(self: &Arc<Self>, namespace: &NamespaceName, id: &Id) {
        let (Some(l2), Some(source), Some(knowledge)) = (
            self.l2_in_use().cloned(),
            self.source_of(namespace.as_str()),
            self.follower.knowledge(),
        ) else {
            return;
        };
        let Ok(permit) = Arc::clone(&self.write_backs).try_acquire_owned() else {
            return;
        };
        let variants = source.variants.in_use();
        let key = |variant| Key::new(namespace, id, variant);
        let keys = variants.iter().map(key);
        let keys: Vec<TierKey> = keys
            .map(|key| source.namespace.tier_key(knowledge.hist, &key))
            .collect();
        self.runtime.spawn(async move {
            l2.remove_many(&keys).await;
            drop(permit);
        });
    }

    async fn write(&self, tier: &Arc<dyn Tier>, puts: &[Put]) {
        let name = tier.name();
        let wanted = puts.iter().filter(|put| put.is_for(name));
        let entries: Vec<(TierKey, Entry)> = wanted
            .map(|put| (put.key.clone(), put.entry.clone()))
            .collect();
        if entries.is_empty() {
            return;
        }
        for outcome in tier.put_many(&entries).await {
            self.counters.put(name, outcome);
        }
    }

    /// Counts what is not written, because too many writes are under way.
    pub(crate) fn decline(&self, puts: &[Put]) {
        for tier in [self.l2_in_use(), self.l3_in_use()].into_iter().flatten() {
            let name = tier.name();
            for _ in puts.iter().filter(|put| put.is_for(name)) {
                self.counters.put(name, PutOutcome::Declined);
            }
        }
    }
}
