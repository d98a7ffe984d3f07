//! Writes to the tiers outside the process, after the readers have their answer.

use hotshelf_model::{Entry, Kind, TierKey, TierName};

use crate::cache::Engine;

/// An entry that a fill found, and the tier that need not be told.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) key: TierKey,
    pub(crate) entry: Entry,
    /// The tier that holds exactly this already.
    pub(crate) except: Option<TierName>,
}

impl Engine {
    /// Puts entries to L2.
    pub(crate) async fn write_l2(&self, puts: &[Put]) {
        let Some(l2) = &self.l2 else { return };
        let wanted = puts.iter().filter(|put| put.except != Some(TierName::L2));
        let entries: Vec<(TierKey, Entry)> = wanted
            .map(|put| (put.key.clone(), put.entry.clone()))
            .collect();
        if entries.is_empty() {
            return;
        }
        for outcome in l2.put_many(&entries).await {
            self.counters.put(TierName::L2, outcome);
        }
    }

    /// Puts documents to L3. Absent entries are not worth a disk's endurance: a flood of unknown ids would fill it.
    pub(crate) async fn write_l3(&self, puts: &[Put]) {
        let Some(l3) = &self.l3 else { return };
        let wanted = puts
            .iter()
            .filter(|put| put.except != Some(TierName::L3) && put.entry.kind() == Kind::Present);
        let entries: Vec<(TierKey, Entry)> = wanted
            .map(|put| (put.key.clone(), put.entry.clone()))
            .collect();
        if entries.is_empty() {
            return;
        }
        for outcome in l3.put_many(&entries).await {
            self.counters.put(TierName::L3, outcome);
        }
    }
}
