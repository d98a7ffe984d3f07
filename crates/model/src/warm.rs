//! Warm-ups: jobs of the whole cluster that fill tiers before anybody reads, kept by the database so that they survive who runs them.

use std::fmt::Debug;
use std::time::Duration;

use crate::clock::DbTime;
use crate::error::Error;
use crate::key::{Id, NamespaceName};
use crate::lookup::TierName;
use crate::seams::BoxFuture;

/// The number of a job; a later job has a greater one.
pub type WarmJobId = u64;

/// The tiers that a warm-up fills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WarmTiers {
    /// Each process.
    pub l1: bool,
    /// What the nodes share.
    pub l2: bool,
    /// Each machine's disk.
    pub l3: bool,
}

impl WarmTiers {
    /// Whether a tier is among them.
    pub fn has(self, tier: TierName) -> bool {
        match tier {
            TierName::L1 => self.l1,
            TierName::L2 => self.l2,
            TierName::L3 => self.l3,
            TierName::Origin => false,
        }
    }

    /// The same with one more; `false` if there is no such tier to fill.
    pub fn add(&mut self, word: &str) -> bool {
        let known = [
            ("l1", &mut self.l1),
            ("l2", &mut self.l2),
            ("l3", &mut self.l3),
        ];
        let tier = known.into_iter().find(|(name, _)| *name == word);
        tier.map(|(_, tier)| *tier = true).is_some()
    }

    /// Whether each node has something to do by itself.
    pub fn on_nodes(self) -> bool {
        self.l1 || self.l3
    }

    /// Their words, in the order of a read.
    pub fn words(self) -> Vec<&'static str> {
        let tiers = TierName::ALL.into_iter().filter(|tier| self.has(*tier));
        tiers.map(TierName::as_str).collect()
    }
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmState {
    /// Being worked on.
    Running,
    /// Stopped by somebody, and to be resumed.
    Paused,
    /// Stopped for good.
    Cancelled,
    /// Everything was tried.
    Done,
}

impl WarmState {
    /// Every state.
    pub const ALL: [WarmState; 4] = [
        WarmState::Running,
        WarmState::Paused,
        WarmState::Cancelled,
        WarmState::Done,
    ];

    /// The word in the database and in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            WarmState::Running => "running",
            WarmState::Paused => "paused",
            WarmState::Cancelled => "cancelled",
            WarmState::Done => "done",
        }
    }

    /// Whether it may still go on.
    pub fn is_open(self) -> bool {
        matches!(self, WarmState::Running | WarmState::Paused)
    }
}

/// A job as somebody asks for it.
#[derive(Clone, Debug)]
pub struct NewWarmJob {
    /// The namespace of its ids.
    pub namespace: NamespaceName,
    /// The variants of each id, as a key writes them; at least one.
    pub variants: Vec<String>,
    /// What is filled.
    pub tiers: WarmTiers,
    /// The names of the nodes whose L1 and L3 are filled; all when empty.
    pub nodes: Vec<String>,
    /// The ids, in the order in which they are warmed, without duplicates.
    pub ids: Vec<Id>,
    /// Where the ids came from, in words.
    pub source: String,
    /// Who asks.
    pub who: String,
}

/// What became of keys so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WarmCounts {
    /// A tier had no current copy and got one.
    pub filled: u64,
    /// Every tier held a current copy already.
    pub held: u64,
    /// There is no such product.
    pub absent: u64,
    /// Not filled: too large, malformed, or declined by a tier.
    pub failed: u64,
    /// Documents read from the origin.
    pub fetched: u64,
}

impl WarmCounts {
    /// Adds what became of further keys.
    pub fn add(&mut self, other: WarmCounts) {
        self.filled += other.filled;
        self.held += other.held;
        self.absent += other.absent;
        self.failed += other.failed;
        self.fetched += other.fetched;
    }
}

/// A part of a job: what the nodes share, done once by whoever runs the job, or what one node does for itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WarmPart {
    /// The node's name; empty for the part that the nodes share.
    pub node: String,
    /// How many of the ids, in their order, are done.
    pub cursor: u64,
    /// What became of their keys.
    pub counts: WarmCounts,
    /// Keys per second lately.
    pub rate: f64,
    /// Whether it works slower than it could, because readers or the database need the room.
    pub yielding: bool,
    /// Why it does not get on; empty when it does.
    pub trouble: String,
    /// Who works on it: a process of a node.
    pub runner: String,
    /// How long ago it was last written, by the database's clock.
    pub seen: Duration,
}

/// A job as the database holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct WarmJob {
    /// Its number.
    pub id: WarmJobId,
    /// The namespace of its ids.
    pub namespace: NamespaceName,
    /// The variants of each id.
    pub variants: Vec<String>,
    /// What is filled.
    pub tiers: WarmTiers,
    /// The nodes whose own tiers are filled; all when empty.
    pub nodes: Vec<String>,
    /// How many ids it has.
    pub ids: u64,
    /// Where they came from.
    pub source: String,
    /// How far it is.
    pub state: WarmState,
    /// Who asked for it.
    pub who: String,
    /// When.
    pub created: DbTime,
    /// When its state last changed.
    pub changed: DbTime,
    /// Who changed it.
    pub changed_by: String,
    /// Its parts that somebody has begun, the shared one first.
    pub parts: Vec<WarmPart>,
}

/// What became of a wish to pause, resume or cancel a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmChange {
    /// It is so now.
    Changed,
    /// There is no such job.
    NotFound,
    /// The job is over, and how.
    Over(WarmState),
}

/// Where jobs are kept.
pub trait WarmJobs: Send + Sync + Debug {
    /// Keeps a job, durably and whole or not at all, and gives its number. The oldest that are over are forgotten beyond fifty.
    ///
    /// # Errors
    /// `OriginFailed` and `OriginTimeout`; a job may have been kept if the connection was lost.
    fn create<'a>(&'a self, job: &'a NewWarmJob) -> BoxFuture<'a, Result<WarmJobId, Error>>;

    /// The jobs, the newest first; with `open` only those that are not over.
    ///
    /// # Errors
    /// `OriginFailed` and `OriginTimeout`.
    fn jobs(&self, open: bool) -> BoxFuture<'_, Result<Vec<WarmJob>, Error>>;

    /// The ids from `cursor` on to the end of the piece in which they are kept: at least one, at most a thousand; none at the end.
    ///
    /// # Errors
    /// As [`WarmJobs::jobs`].
    fn ids(&self, job: WarmJobId, cursor: u64) -> BoxFuture<'_, Result<Vec<Id>, Error>>;

    /// Brings a job into another state, unless it is over.
    ///
    /// # Errors
    /// As [`WarmJobs::jobs`].
    fn change<'a>(
        &'a self,
        job: WarmJobId,
        state: WarmState,
        who: &'a str,
    ) -> BoxFuture<'a, Result<WarmChange, Error>>;

    /// Writes how far a part is and gives the job's state; `None` when the job was forgotten. A part that is further already stays, unless it
    /// is a node's own and another runner begins it anew.
    ///
    /// # Errors
    /// As [`WarmJobs::jobs`].
    fn advance<'a>(
        &'a self,
        job: WarmJobId,
        part: &'a WarmPart,
    ) -> BoxFuture<'a, Result<Option<WarmState>, Error>>;
}

/// Which products of hotshelf's own tables; hidden ones are never among them.
#[derive(Clone, Copy, Debug)]
pub enum Selection<'a> {
    /// All of them.
    Everything,
    /// Those in a category or below it: the names from the top down.
    Category(&'a [String]),
    /// Those for which a condition on the columns of `product` holds, in the database's SQL.
    Where(&'a str),
}

/// Finds products in hotshelf's own tables.
pub trait ProductFinder: Send + Sync + Debug {
    /// At most `ids_max` ids in their own order, read page by page without a right to write.
    ///
    /// # Errors
    /// `Invalid` with the database's words for a condition that it does not take; `OriginFailed` and `OriginTimeout`.
    fn select<'a>(
        &'a self,
        selection: Selection<'a>,
        ids_max: usize,
    ) -> BoxFuture<'a, Result<Vec<Id>, Error>>;

    /// Whether there is a product of each id, in order.
    ///
    /// # Errors
    /// `OriginFailed` and `OriginTimeout`.
    fn exist<'a>(&'a self, ids: &'a [Id]) -> BoxFuture<'a, Result<Vec<bool>, Error>>;
}
