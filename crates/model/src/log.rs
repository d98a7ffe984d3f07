//! The change log as nodes read it: rows of records, and hints that run ahead of them.

use crate::key::{Id, NamespaceName};
use crate::version::{Hist, Position, Timeline, Version};

/// Most records of one row.
pub const RECORDS_MAX: usize = 512;

/// One change of one key or of one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// A product was written or deleted.
    Key {
        /// Its namespace.
        namespace: NamespaceName,
        /// Its id.
        id: Id,
        /// The version that the change gave it.
        version: Version,
    },
    /// Every document of a namespace was made dead.
    Parent {
        /// The namespace.
        namespace: NamespaceName,
        /// The bump's version.
        version: Version,
    },
}

/// One row of the change log: immutable, at a position of its own, without gaps between positions.
///
/// A row that opens a timeline holds no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// The database's history.
    pub hist: Hist,
    /// The timeline on which it was written.
    pub timeline: Timeline,
    /// Its position.
    pub position: Position,
    /// A random number: two rows at one position, of two branches of a history, differ in it.
    pub nonce: u64,
    /// What changed, at most [`RECORDS_MAX`]; records that no key of ours can name are left out.
    pub records: Vec<Record>,
}

/// What a writer says at once, before its change has a position: best effort, and never proof of anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The database's history.
    pub hist: Hist,
    /// The namespace of the product that was written.
    pub namespace: NamespaceName,
    /// Its id.
    pub id: Id,
    /// The version that the write gave it.
    pub version: Version,
}

/// What reading the change log gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogRead {
    /// The rows after the position that was named, in order and without gaps; none when it is the head.
    Rows(Vec<LogRow>),
    /// Rows after that position have been pruned.
    Pruned,
}
