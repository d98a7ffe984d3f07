//! An entry: one document (or the proof that there is none) with what proves it current.

use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::clock::DbTime;
use crate::key::NamespaceName;
use crate::version::{Stamp, Version};

/// Whether the product exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// There is a document.
    Present,
    /// There is none: cached with its version like a document, and never holds bytes.
    Absent,
}

/// A parent of an entry (its namespace) with the version of the parent's last bump at the time of the read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parent {
    /// A hash of the parent's name, the same in every process.
    pub name_hash: u64,
    /// The version of the parent's last bump.
    pub version: Version,
}

impl Parent {
    /// A namespace as the parent of its entries.
    pub fn namespace(name: &NamespaceName, version: Version) -> Self {
        Parent {
            name_hash: xxh3_64(name.as_str().as_bytes()),
            version,
        }
    }
}

/// The parents of an entry, at most [`Parents::MAX`]; shared between the entries of one fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parents(Arc<[Parent]>);

impl Parents {
    /// Most parents that an entry can have.
    pub const MAX: usize = 8;

    /// Takes a list of parents; `None` when it is too long.
    pub fn new(parents: &[Parent]) -> Option<Self> {
        (parents.len() <= Self::MAX).then(|| Parents(parents.into()))
    }

    /// The parents, in a fixed order.
    pub fn as_slice(&self) -> &[Parent] {
        &self.0
    }
}

impl Default for Parents {
    fn default() -> Self {
        Parents(Arc::new([]))
    }
}

/// How a document's bytes are encoded (RFC 9110 section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Encoding {
    /// As it came from the origin.
    Identity,
    /// RFC 8878.
    Zstd,
    /// RFC 1952.
    Gzip,
}

impl Encoding {
    /// The content coding's name in HTTP.
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::Identity => "identity",
            Encoding::Zstd => "zstd",
            Encoding::Gzip => "gzip",
        }
    }
}

/// A document's bytes, with the compressed form beside them when a tier held it compressed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// The document as the origin gave it.
    pub identity: Bytes,
    /// The same compressed with zstd, when it came that way; kept so that it is not compressed again.
    pub zstd: Option<Bytes>,
}

/// How a copy came to be, for people who ask; nothing is decided by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FillFacts {
    /// The number of the node that fetched it.
    pub node: u32,
    /// How long the origin took, in microseconds.
    pub fetch_us: u32,
}

/// A document with what proves it current. Immutable; a tier holds it as [`crate::envelope`] bytes.
///
/// Invariant: an `Absent` entry has an empty body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    kind: Kind,
    body: Body,
    /// Timeline, version and position; compared by every tier.
    pub stamp: Stamp,
    /// When the origin gave these bytes, on the database's clock; TTLs count from it. A revalidation does not move it.
    pub fetched_at: DbTime,
    /// The moment at which the document changes by time alone; no tier serves it as fresh from then on.
    pub valid_until: Option<DbTime>,
    /// The namespace (and later tags), each with the version of its last bump.
    pub parents: Parents,
    /// How it was filled.
    pub facts: FillFacts,
}

impl Entry {
    /// An entry for a product that exists.
    pub fn present(body: Body, stamp: Stamp, fetched_at: DbTime) -> Self {
        Self::new(Kind::Present, body, stamp, fetched_at)
    }

    /// An entry for a product that does not exist, or no longer.
    pub fn absent(stamp: Stamp, fetched_at: DbTime) -> Self {
        Self::new(Kind::Absent, Body::default(), stamp, fetched_at)
    }

    fn new(kind: Kind, body: Body, stamp: Stamp, fetched_at: DbTime) -> Self {
        let (parents, facts) = (Parents::default(), FillFacts::default());
        Entry {
            kind,
            body,
            stamp,
            fetched_at,
            valid_until: None,
            parents,
            facts,
        }
    }

    /// Whether the product exists.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The document; empty when absent.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// Takes the document out.
    pub fn into_body(self) -> Body {
        self.body
    }
}
