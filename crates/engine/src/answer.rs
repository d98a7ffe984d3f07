//! What a read gives back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_coherence::{Held, HitContext, stale_age};
use hotshelf_model::{Boot, Encoding, Kind, ReadOutcome, Shape, TierName, Version};

use crate::flight::Landed;
use crate::slot::Slot;

/// How fresh an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Proved current within the staleness bound.
    Fresh {
        /// How long the copy will stay fresh by age.
        ttl: Duration,
    },
    /// Served because nothing better can be had at the moment.
    Stale {
        /// Nothing that was committed longer ago than this is missing from it.
        by: Duration,
    },
}

/// A document, or the knowledge that there is none, with its version and freshness. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(crate) slot: Arc<Slot>,
    pub(crate) tier: TierName,
    pub(crate) freshness: Freshness,
    pub(crate) age: Duration,
}

impl Answer {
    /// What was found, with how fresh it is; `proved_at` is the last moment at which it was proved current.
    #[inline]
    pub(crate) fn new(landed: Landed, held: &Held, proved_at: Boot, context: &HitContext) -> Self {
        let freshness = if landed.stale {
            Freshness::Stale {
                by: stale_age(held, proved_at, context),
            }
        } else {
            let by_age = held.hard_at.since(context.now);
            let by_time = held.valid_until.map(|until| until.since(context.db_now));
            Freshness::Fresh {
                ttl: by_time.map_or(by_age, |by_time| by_time.min(by_age)),
            }
        };
        Answer {
            slot: landed.slot,
            tier: landed.tier,
            freshness,
            age: context.now.since(proved_at),
        }
    }

    /// Whether the product exists.
    pub fn kind(&self) -> Kind {
        self.slot.kind()
    }

    /// What it is counted and logged as.
    pub fn outcome(&self) -> ReadOutcome {
        match (self.freshness, self.kind()) {
            (Freshness::Stale { .. }, _) => ReadOutcome::Stale,
            (Freshness::Fresh { .. }, Kind::Present) => ReadOutcome::Hit,
            (Freshness::Fresh { .. }, Kind::Absent) => ReadOutcome::Absent,
        }
    }

    /// The tier that gave the answer.
    pub fn tier(&self) -> TierName {
        self.tier
    }

    /// The version of the document; of the deletion, when it is absent.
    pub fn version(&self) -> Version {
        self.slot.version()
    }

    /// The shape of the document.
    pub fn shape(&self) -> Shape {
        self.slot.shape()
    }

    /// A hash of the document's bytes, taken once: tells documents apart that have one version and changed by time alone.
    pub fn document_hash(&self) -> u32 {
        self.slot.document_hash()
    }

    /// The document's bytes; empty when absent.
    pub fn document(&self) -> &Bytes {
        self.slot.document()
    }

    /// The document in a content coding, made once and kept with the entry; `None` when it, and the other one
    /// if that was asked for before, would take more than half of the document's bytes.
    ///
    /// The first call for a coding compresses on the caller's thread.
    pub fn encoded(&self, encoding: Encoding) -> Option<&Bytes> {
        self.slot.encoded(encoding)
    }

    /// Whether [`Answer::encoded`] has its result already and compresses nothing.
    pub fn is_encoded(&self, encoding: Encoding) -> bool {
        self.slot.is_encoded(encoding)
    }

    /// How fresh it is.
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// Time since the answer was last proved current.
    pub fn age(&self) -> Duration {
        self.age
    }
}
