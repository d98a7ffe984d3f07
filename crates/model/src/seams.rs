//! The seams: what the engine asks of tiers, leases, origins and the change log. Everything behind them may fail.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use crate::clock::DbTime;
use crate::entry::{Entry, Parents};
use crate::error::Error;
use crate::key::{Id, NamespaceName, TierKey};
use crate::log::{LogRead, LogRow};
use crate::lookup::{Lookup, PutOutcome, TierName};
use crate::variant::Variant;
use crate::version::{Hist, Position, Timeline, Version};

/// A boxed future, as the seams return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A tier outside the process: L2 or L3.
///
/// Both methods answer in the order of their arguments, one outcome for each, within the tier's own deadline. They never
/// fail as a whole: a tier that is down answers `Unavailable`, at once when its breaker is open. Dropping a future may or
/// may not stop the work; a put that was begun is either whole or not there.
pub trait Tier: Send + Sync + Debug {
    /// Which tier it is.
    fn name(&self) -> TierName;

    /// Looks keys up. The entries are not admitted yet: that is the engine's to do.
    fn get_many<'a>(&'a self, keys: &'a [TierKey]) -> BoxFuture<'a, Vec<Lookup>>;

    /// Writes entries, each fenced: a copy with a greater [`crate::Stamp`] is kept, one with an equal stamp is replaced.
    fn put_many<'a>(&'a self, entries: &'a [(TierKey, Entry)]) -> BoxFuture<'a, Vec<PutOutcome>>;

    /// The same for a caller who knows that the entries will be read: no policy waits to see a key again before it is worth its room.
    fn warm_many<'a>(&'a self, entries: &'a [(TierKey, Entry)]) -> BoxFuture<'a, Vec<PutOutcome>> {
        self.put_many(entries)
    }

    /// How much the tier may hold, and holds, as far as it can tell; asked by people, not by reads.
    fn room(&self) -> BoxFuture<'_, TierRoom> {
        Box::pin(async { TierRoom::default() })
    }

    /// About how many bytes of the tier's room an entry takes; at least those of its document.
    fn weigh(&self, _key: &TierKey, entry: &Entry) -> u64 {
        u64::try_from(entry.body().identity.len()).unwrap_or(u64::MAX)
    }

    /// Removes copies from this tier only; best effort.
    fn remove_many<'a>(&'a self, keys: &'a [TierKey]) -> BoxFuture<'a, ()>;

    /// The tier's state, for metrics and operators.
    fn status(&self) -> TierStatus;
}

/// A circuit breaker's state; a later one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// One call tries whether the tier is back.
    HalfOpen,
    /// Calls are answered `Unavailable` without being made.
    Open,
}

impl BreakerState {
    /// The number in metrics: 0 closed, 1 half open, 2 open.
    pub fn number(self) -> u8 {
        match self {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        }
    }

    /// The word in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            BreakerState::Closed => "closed",
            BreakerState::HalfOpen => "half_open",
            BreakerState::Open => "open",
        }
    }
}

/// A tier's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierStatus {
    /// The worst of its breakers.
    pub breaker: BreakerState,
    /// Bytes held, when the tier can tell cheaply.
    pub bytes: Option<u64>,
    /// Entries held, when the tier can tell cheaply.
    pub entries: Option<u64>,
}

/// How much a tier may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierRoom {
    /// Bytes that it holds at most; `None` when it has no bound, or cannot tell.
    pub bytes_max: Option<u64>,
    /// Bytes that it holds.
    pub bytes: Option<u64>,
}

/// Proof of who holds a lease: random, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseToken(pub u64);

/// What became of an attempt to get a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// This node may fetch; it renews the lease while it does, and releases it after the put to L2.
    Acquired(LeaseToken),
    /// Another node holds it and was alive less than the lease's time ago.
    Held,
    /// The table of leases cannot be asked: fetch without one.
    Unavailable,
}

/// Leases across nodes: one node fetches a key, the others wait for its copy in L2.
pub trait Leases: Send + Sync + Debug {
    /// Tries to get a lease on each key, in order.
    fn acquire_many<'a>(&'a self, keys: &'a [TierKey]) -> BoxFuture<'a, Vec<LeaseOutcome>>;

    /// Extends leases that this node still holds; one that expired meanwhile is not taken again.
    fn renew_many<'a>(&'a self, leases: &'a [(TierKey, LeaseToken)]) -> BoxFuture<'a, ()>;

    /// Gives leases up; one that has passed to another holder is left alone.
    fn release_many<'a>(&'a self, leases: &'a [(TierKey, LeaseToken)]) -> BoxFuture<'a, ()>;

    /// How long a lease lasts without being renewed.
    fn ttl(&self) -> std::time::Duration;
}

/// Leases on the work of the whole cluster, kept by the database and on its clock: who sequences the change log, who runs a job.
pub trait ClusterLeases: Send + Sync + Debug {
    /// Tries to get the lease `name` for `ttl`; `None` while somebody else holds it.
    ///
    /// # Errors
    /// `OriginFailed` or `OriginTimeout` when the database cannot say; the lease may have been given nevertheless, and then expires.
    fn acquire<'a>(
        &'a self,
        name: &'a str,
        ttl: std::time::Duration,
    ) -> BoxFuture<'a, Result<Option<LeaseToken>, Error>>;

    /// Makes a lease that is still held last `ttl` from now; `false` when it expired, even if nobody else took it.
    ///
    /// # Errors
    /// As [`ClusterLeases::acquire`].
    fn renew<'a>(
        &'a self,
        name: &'a str,
        token: LeaseToken,
        ttl: std::time::Duration,
    ) -> BoxFuture<'a, Result<bool, Error>>;

    /// Gives a lease up; one that has passed to another holder is left alone.
    ///
    /// # Errors
    /// As [`ClusterLeases::acquire`].
    fn release<'a>(&'a self, name: &'a str, token: LeaseToken) -> BoxFuture<'a, Result<(), Error>>;
}

/// The change log's head, and what else one snapshot of the database says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The database's history.
    pub hist: Hist,
    /// The timeline of the log's last row.
    pub timeline: Timeline,
    /// The position of the log's last row.
    pub position: Position,
    /// The database's clock.
    pub now: DbTime,
    /// Whether the answer came from a primary, so that it was current when the statement was sent.
    pub primary: bool,
}

/// What to fetch: documents of one namespace and one variant.
#[derive(Clone, Copy, Debug)]
pub struct FetchRequest<'a> {
    /// The namespace.
    pub namespace: &'a NamespaceName,
    /// The variant of every id.
    pub variant: &'a Variant,
    /// The ids, without duplicates.
    pub ids: &'a [Id],
    /// The earliest time to answer for: the origin uses the later of its own clock and this.
    pub as_of: Option<DbTime>,
}

/// One fetched document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedDocument {
    /// The key's version; [`Version::NONE`] if it never existed.
    pub version: Version,
    /// The document's bytes; `None` when the product is absent.
    pub body: Option<Bytes>,
    /// The moment at which the document changes by time alone.
    pub valid_until: Option<DbTime>,
}

/// What an origin answered: everything from one snapshot.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// The log's head in that snapshot; `None` from an origin that has no change log (HTTP).
    pub head: Option<Head>,
    /// The namespace's parents with their versions.
    pub parents: Parents,
    /// One result for each id, in the order of the request: a document, or why this id has none (too large, not JSON).
    pub documents: Vec<Result<FetchedDocument, Error>>,
}

/// Versions without documents, for revalidation: everything from one snapshot.
#[derive(Clone, Debug)]
pub struct Versions {
    /// The log's head in that snapshot.
    pub head: Head,
    /// The namespace's parents with their versions.
    pub parents: Parents,
    /// One version for each id, in the order of the request; [`Version::NONE`] if it never existed.
    pub versions: Vec<Version>,
}

/// Where documents come from.
///
/// Dropping a future abandons the statement; nothing is left behind.
pub trait Origin: Send + Sync + Debug {
    /// Reads documents, versions and the log's head in one statement and one snapshot.
    ///
    /// # Errors
    /// `OriginFailed`, `OriginTimeout`; `UnknownNamespace` for one that this origin does not serve.
    fn fetch_many<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Fetch, Error>>;

    /// Reads only versions, for at most 512 ids: in a namespace that is not tracked, those that the change log has recorded. `None` from
    /// an origin that cannot say a version without its document.
    ///
    /// # Errors
    /// As [`Origin::fetch_many`].
    fn versions<'a>(
        &'a self,
        namespace: &'a NamespaceName,
        ids: &'a [Id],
    ) -> BoxFuture<'a, Result<Option<Versions>, Error>>;
}

/// What a poll of the change log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poll {
    /// The log's head.
    pub head: Head,
    /// The nonce of the log's last row.
    pub head_nonce: u64,
    /// The nonce of the row at the position that the poll was asked about; `None` when there is no such row.
    pub known_nonce: Option<u64>,
    /// The position of the oldest row that the log still holds.
    pub oldest: Position,
    /// The greatest version that the database has given out.
    pub version_max: Version,
    /// Whether every change committed before this poll was sent has its position at or below the head, on a primary whose own
    /// timeline is the log's.
    pub settled: bool,
    /// The first and the last of the positions that this very poll gave to changes, when there were any without.
    pub sequenced: Option<(Position, Position)>,
}

/// One poll after the other, for a log that cannot answer many at once.
///
/// # Errors
/// As [`ChangeLog::poll`].
pub async fn poll_each<L: ChangeLog + ?Sized>(
    log: &L,
    known: &[Position],
) -> Result<Vec<Poll>, Error> {
    let mut polls = Vec::with_capacity(known.len());
    for &position in known {
        polls.push(log.poll(position).await?);
    }
    Ok(polls)
}

/// The change log of the database.
pub trait ChangeLog: Send + Sync + Debug {
    /// Gives positions to changes that have none yet, then reads the head, from a primary. `known` is the position that the
    /// caller has followed the log to.
    ///
    /// # Errors
    /// `OriginFailed` or `OriginTimeout` when the database cannot say.
    fn poll(&self, known: Position) -> BoxFuture<'_, Result<Poll, Error>>;

    /// Polls once for each of `known`, which is what the caller and others have followed the log to; with one reading where the log can.
    ///
    /// # Errors
    /// As [`ChangeLog::poll`].
    fn poll_many<'a>(&'a self, known: &'a [Position]) -> BoxFuture<'a, Result<Vec<Poll>, Error>> {
        Box::pin(poll_each(self, known))
    }

    /// Gives positions to changes that have none yet, and returns the rows of the log that this made, in order. It proves nothing, and may leave out
    /// a change that committed late; the next poll does not. Cheap when there is nothing to do: for the node that leads sequencing, every
    /// few milliseconds. A log whose changes get their positions as they commit has nothing to do.
    ///
    /// # Errors
    /// As [`ChangeLog::poll`].
    fn sequence(&self) -> BoxFuture<'_, Result<Vec<LogRow>, Error>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Reads at most `rows_max` rows after `position`, in order.
    ///
    /// # Errors
    /// As [`ChangeLog::poll`].
    fn read(&self, position: Position, rows_max: usize) -> BoxFuture<'_, Result<LogRead, Error>>;

    /// Begins another history, if the present one is still `known`: what a restore forgot to do.
    ///
    /// # Errors
    /// As [`ChangeLog::poll`]; also when this node has no right to do it.
    fn renew_hist(&self, known: Hist) -> BoxFuture<'_, Result<(), Error>>;
}
