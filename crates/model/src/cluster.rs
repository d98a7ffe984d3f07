//! Nodes as they find each other: each says now and then that it is there.

use std::fmt::Debug;
use std::time::Duration;

use crate::clock::DbTime;
use crate::error::Error;
use crate::seams::BoxFuture;

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    /// What it is called; two nodes of one name are told apart by `admin`.
    pub name: String,
    /// The number that it writes into the entries that it fills.
    pub number: u32,
    /// The URL of its admin listener, as others reach it.
    pub admin: String,
    /// The version of its program.
    pub version: String,
}

/// A node as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownNode {
    /// What it said of itself.
    pub facts: NodeFacts,
    /// When its process started, on the database's clock.
    pub started: DbTime,
    /// How long ago it was last seen, by the database's clock.
    pub seen: Duration,
}

/// Where nodes say that they are there.
pub trait ClusterNodes: Send + Sync + Debug {
    /// Says that a node is there, whose process has run for `uptime`; and forgets nodes that were not seen for a day.
    ///
    /// # Errors
    /// `OriginFailed` or `OriginTimeout`.
    fn beat<'a>(
        &'a self,
        node: &'a NodeFacts,
        uptime: Duration,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Says that a node stops; it is forgotten.
    ///
    /// # Errors
    /// As [`ClusterNodes::beat`].
    fn leave<'a>(&'a self, node: &'a NodeFacts) -> BoxFuture<'a, Result<(), Error>>;

    /// Every node that was seen within a day, by name and then by address; those that are there no longer, too.
    ///
    /// # Errors
    /// As [`ClusterNodes::beat`].
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<KnownNode>, Error>>;
}
