//! What a read gives back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_model::{Encoding, Kind, Shape, TierName, Version};

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
    /// Whether the product exists.
    pub fn kind(&self) -> Kind {
        self.slot.kind()
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

    /// The document in a content coding, made once and kept with the entry; `None` when it would not be smaller.
    ///
    /// The first call for a coding compresses on the caller's thread.
    pub fn encoded(&self, encoding: Encoding) -> Option<Bytes> {
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
