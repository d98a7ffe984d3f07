//! A namespace: a kind of document with one query, one shape, one freshness policy.

use std::time::Duration;

use crate::key::{Id, Key, NamespaceName, TierKey};
use crate::variant::{Variant, VariantSchema};
use crate::version::{Hist, Shape};

/// How long copies of a namespace's documents live. All durations count from the fetch of the bytes, not from a revalidation,
/// so that they also bound what no trigger saw.
///
/// Invariant (checked by `config`): `ttl_soft <= ttl_hard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreshnessPolicy {
    /// After this a read starts a refresh in the background.
    pub ttl_soft: Duration,
    /// After this a copy is no longer fresh, whatever else is known of it.
    pub ttl_hard: Duration,
    /// How stale a labelled answer may be at most.
    pub stale_cap: Duration,
    /// Absent entries live at most this long.
    pub ttl_absent: Duration,
    /// Each copy's soft and hard TTL are shortened by a random share of up to this many percent (0 to 50).
    pub jitter_percent: u8,
}

impl Default for FreshnessPolicy {
    fn default() -> Self {
        FreshnessPolicy {
            ttl_soft: Duration::from_secs(600),
            ttl_hard: Duration::from_secs(3600),
            stale_cap: Duration::from_secs(3600),
            ttl_absent: Duration::from_secs(60),
            jitter_percent: 10,
        }
    }
}

/// A namespace as the engine knows it; the query belongs to the origin.
#[derive(Clone, Debug)]
pub struct Namespace {
    /// Its name, the first part of every key.
    pub name: NamespaceName,
    /// The dimensions of its documents.
    pub variants: VariantSchema,
    /// The shape of its documents.
    pub shape: Shape,
    /// How long its copies live.
    pub policy: FreshnessPolicy,
    /// Whether every change of its documents has a record in the change log. If not, what is recorded, because somebody posted it, is
    /// obeyed all the same, and of the rest only the TTLs bound staleness.
    pub tracked: bool,
    /// The largest document that is accepted from the origin, in bytes.
    pub document_bytes_max: usize,
}

impl Namespace {
    /// A key in this namespace.
    pub fn key(&self, id: &Id, variant: &Variant) -> Key {
        Key::new(&self.name, id, variant)
    }

    /// The key as the tiers outside the process store it.
    pub fn tier_key(&self, hist: Hist, key: &Key) -> TierKey {
        TierKey {
            hist,
            shape: self.shape,
            key: key.clone(),
        }
    }
}
