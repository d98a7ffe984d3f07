//! The part of a fill that fetches documents ahead of the moment at which those that L1 holds change by time alone.
//!
//! No flight is begun, because nobody is to wait for a document whose time has not come, and no tier outside the process is told.

use std::sync::Arc;

use futures_util::future::join_all;
use hotshelf_coherence::{Admission, Candidate, FloorKey, admit, follows};
use hotshelf_model::{DbTime, Id, Key};

use super::{Fill, Found};
use crate::fetch::{FetchOutcome, Fetcher};

impl Fill {
    /// Fetches documents as of `until`, and holds each beside the copy that is valid until then.
    pub(crate) async fn stage(&self, keys: &[Key], until: DbTime) {
        let ids = keys.iter().filter_map(|key| Id::new(key.id()).ok());
        let ids: Vec<Id> = ids.collect();
        let namespace = &self.source.namespace;
        let group = Fetcher::group(namespace, &self.variant, self.class, Some(until));
        let asked = self.asked();
        let fetcher = &self.source.fetcher;
        let fetches = fetcher.fetch(&group, &ids, Some(until), self.left());
        let outcomes: Vec<_> = join_all(fetches).await;
        for (key, outcome) in keys.iter().zip(outcomes) {
            let Ok(outcome) = outcome else { continue };
            let fetched = |outcome: FetchOutcome| self.found(key, &outcome?, &asked);
            match fetched(outcome) {
                Ok(found) => self.hold_next(key, &found, until),
                Err(error) => tracing::debug!(%key, ?error, "fetching ahead failed"),
            }
        }
    }

    /// Holds what was fetched beside the copy in L1, if it is what that copy becomes.
    fn hold_next(&self, key: &Key, found: &Found, until: DbTime) {
        let floor_key = FloorKey::of(key.namespace(), key.id());
        let sight = self.ledger().sight(floor_key);
        let (Some((knowledge, proof)), Some(slot)) = (sight.known(), self.engine.l1.peek(key))
        else {
            return;
        };
        let candidate = Candidate {
            entry: &found.entry,
            hist: found.hist,
            expires_at: DbTime(u64::MAX),
            floor: sight.floor(),
            parents_live: sight.parents_live(&found.entry.parents),
        };
        let is_next = admit(&knowledge, &candidate, self.db_now()) == Admission::Fresh
            && slot.generation() == knowledge.generation
            && slot.held().valid_until == Some(until)
            && follows(slot.version(), slot.parents(), until, &found.entry);
        if !is_next {
            return;
        }
        let as_of = found.as_of.max(proof);
        let next = self.slot(floor_key, &found.entry, knowledge.generation, as_of);
        let bytes = u64::try_from(next.bytes()).unwrap_or(u64::MAX);
        if self.engine.l1.hot.may_grow(key, bytes) {
            let slot = slot.with_next(Some(Arc::new(next)));
            self.engine.l1.put(&sight, key, Arc::new(slot));
        }
    }
}
