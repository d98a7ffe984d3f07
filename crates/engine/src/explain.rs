//! What this node holds of a key, tier by tier, for people who ask: [`Cache::explain`].
//!
//! A look like this changes nothing: it is no read, nothing is promoted, filled, put or counted for it, and L1 does not take it for an
//! access. The copies are judged by the same functions as those of a read.

mod look;

use std::time::Duration;

use hotshelf_coherence::Verdict;
use hotshelf_model::{
    DbTime, Encoding, Error, FillFacts, Key, Kind, MissReason, Parents, Position, TierName,
    Timeline, UnavailableReason, Version,
};

use crate::cache::Cache;
use crate::hot_set::HotReasons;
use crate::revalidate::Checked;
use crate::settings::Class;

/// What this node would do with a copy if it were read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Served as fresh.
    Current,
    /// Served only after the database has said that its version is unchanged.
    Suspect,
    /// Not fresh: its time is over, or the node's proof is late. Served, labelled, when nothing better is to be had.
    Stale,
    /// Never served: the node knows of a newer version, or of a bump.
    Refused,
    /// Never served: it belongs to another history of the database.
    OtherHistory,
}

impl Standing {
    /// The word in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Current => "current",
            Standing::Suspect => "suspect",
            Standing::Stale => "stale",
            Standing::Refused => "refused",
            Standing::OtherHistory => "other_history",
        }
    }

    /// What a judgement comes to.
    pub(crate) fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Fresh | Verdict::RefreshDue => Standing::Current,
            Verdict::Suspect => Standing::Suspect,
            Verdict::Unproven | Verdict::Expired => Standing::Stale,
        }
    }
}

/// The document that a copy becomes at its `valid_until`, fetched ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextCopy {
    /// Its version: that of the copy.
    pub version: Version,
    /// Bytes of its document.
    pub document_bytes: u64,
    /// When it changes in its turn by time alone.
    pub valid_until: Option<DbTime>,
}

/// One copy in one tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyExplanation {
    /// What the node would do with it.
    pub standing: Standing,
    /// Whether the product exists.
    pub kind: Kind,
    /// Its version.
    pub version: Version,
    /// The timeline that it was read on.
    pub timeline: Timeline,
    /// The head of the change log when it was read. Not kept in L1.
    pub position: Option<Position>,
    /// Time since the origin gave its bytes. Not kept in L1.
    pub age: Option<Duration>,
    /// Time since it was last proved current; `None` if nothing that this node knows proves it.
    pub proof_age: Option<Duration>,
    /// Time until a refresh is due; zero when it is.
    pub soft_ttl: Duration,
    /// Time until it is no longer fresh by age; zero from then on.
    pub hard_ttl: Duration,
    /// The moment at which its document changes by time alone.
    pub valid_until: Option<DbTime>,
    /// Bytes of the document.
    pub document_bytes: u64,
    /// Bytes that the tier holds of it: in L1 all that the copy accounts for, in others the document as it is encoded there.
    pub bytes: u64,
    /// The encodings of the document that are there.
    pub encodings: Vec<Encoding>,
    /// Who fetched it and how long that took. Not kept in L1.
    pub facts: Option<FillFacts>,
    /// What it becomes, if that was fetched ahead. Only in L1.
    pub next: Option<NextCopy>,
    /// Whether it is of the version that the database has recorded, and of that of every parent; `None` if the database did not say.
    pub unchanged: Option<bool>,
}

/// What a tier said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TierCopy {
    /// It holds a copy.
    Held(Box<CopyExplanation>),
    /// It holds none that can be used.
    Missed(MissReason),
    /// It could not be asked.
    Unavailable(UnavailableReason),
    /// It was not asked: before its first poll the node does not know of which history it would have to be.
    Unasked,
}

/// Why and for how long a key is hot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotExplanation {
    /// Why.
    pub reasons: HotReasons,
    /// For how long on this node.
    pub age: Duration,
    /// Whether its copy is kept from being evicted; otherwise there is no room for it.
    pub has_room: bool,
}

/// What the database says of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The version; [`Version::NONE`] of what it has never recorded.
    pub version: Version,
    /// The namespace's last bump, and other parents.
    pub parents: Parents,
    /// The head of the change log in the same snapshot.
    pub position: Position,
    /// The database's clock then.
    pub now: DbTime,
}

impl Recorded {
    fn of(checked: &Checked) -> Self {
        let (version, parents) = checked.versions();
        Recorded {
            version,
            parents: parents.clone(),
            position: checked.head().position,
            now: checked.head().now,
        }
    }
}

/// What a node holds of a key.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The number of the node.
    pub node: u32,
    /// The position up to which the node has applied the change log; `None` before its first poll.
    pub position: Option<Position>,
    /// The timeline of that position.
    pub timeline: Option<Timeline>,
    /// The low mark: a copy that was read at a position below it is suspect.
    pub low: Option<Position>,
    /// Time since the node last proved that it knows every change; `None` before the first proof.
    pub proof_age: Option<Duration>,
    /// The least version that the node serves; [`Version::NONE`] if it knows of no change.
    pub floor: Version,
    /// The version of the namespace's last bump that the node knows.
    pub bump: Version,
    /// Whether the key is hot, and why.
    pub hot: Option<HotExplanation>,
    /// Whether the key may not become hot.
    pub banned: bool,
    /// The class of the fill of the key that is under way.
    pub flight: Option<Class>,
    /// Each tier of this node, in the order of a read.
    pub tiers: Vec<(TierName, TierCopy)>,
    /// What the database has recorded; `None` when it did not answer in time.
    pub recorded: Option<Recorded>,
}

impl Cache {
    /// Says what this node holds of a key, tier by tier, what it would do with each copy, and what the database says beside it. It is no
    /// read and changes nothing. Tiers answer within their own deadlines; the database is asked for the version only, together with
    /// what else is being checked, and waited for no longer than `patience`.
    ///
    /// # Errors
    /// `UnknownNamespace`.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn explain(&self, key: &Key, patience: Duration) -> Result<Explanation, Error> {
        self.engine.explain(key, patience).await
    }
}
