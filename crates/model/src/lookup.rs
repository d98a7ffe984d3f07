//! What a tier answers. Outcomes are values: a miss or an open breaker is not an error.

use crate::entry::{Entry, Kind};

/// A place that answers reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TierName {
    /// In this process.
    L1,
    /// Redis, shared by the nodes.
    L2,
    /// RocksDB on this machine's disk.
    L3,
    /// The database or service that owns the documents.
    Origin,
}

impl TierName {
    /// Every name, in the order of a read.
    pub const ALL: [TierName; 4] = [TierName::L1, TierName::L2, TierName::L3, TierName::Origin];

    /// The word in metrics, headers and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            TierName::L1 => "l1",
            TierName::L2 => "l2",
            TierName::L3 => "l3",
            TierName::Origin => "origin",
        }
    }
}

/// What a reader was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReadOutcome {
    /// A fresh document.
    Hit,
    /// The fresh knowledge that there is none.
    Absent,
    /// Either of them with the label of staleness.
    Stale,
    /// Nothing.
    Failed,
}

impl ReadOutcome {
    /// Every outcome, in the order of their numbers.
    pub const ALL: [ReadOutcome; 4] = [
        ReadOutcome::Hit,
        ReadOutcome::Absent,
        ReadOutcome::Stale,
        ReadOutcome::Failed,
    ];

    /// The word in metrics and in the access log.
    pub fn as_str(self) -> &'static str {
        match self {
            ReadOutcome::Hit => "hit",
            ReadOutcome::Absent => "absent",
            ReadOutcome::Stale => "stale",
            ReadOutcome::Failed => "failed",
        }
    }
}

/// Why a tier has no copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MissReason {
    /// It holds nothing for the key.
    NotFound,
    /// It holds bytes that fail a check.
    Damaged,
    /// It holds bytes of a format that this program does not know.
    UnknownFormat,
    /// It holds the bytes of another key.
    WrongKey,
}

impl MissReason {
    /// Every reason.
    pub const ALL: [MissReason; 4] = [
        MissReason::NotFound,
        MissReason::Damaged,
        MissReason::UnknownFormat,
        MissReason::WrongKey,
    ];

    /// The word in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            MissReason::NotFound => "not_found",
            MissReason::Damaged => "damaged",
            MissReason::UnknownFormat => "unknown_format",
            MissReason::WrongKey => "wrong_key",
        }
    }
}

/// Why a tier could not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnavailableReason {
    /// Its breaker is open.
    Open,
    /// It did not answer before its deadline.
    Deadline,
    /// It answered with a failure, or not at all.
    Failed,
    /// Its queue is full.
    Busy,
}

impl UnavailableReason {
    /// Every reason.
    pub const ALL: [UnavailableReason; 4] = [
        UnavailableReason::Open,
        UnavailableReason::Deadline,
        UnavailableReason::Failed,
        UnavailableReason::Busy,
    ];

    /// The word in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            UnavailableReason::Open => "open",
            UnavailableReason::Deadline => "deadline",
            UnavailableReason::Failed => "failed",
            UnavailableReason::Busy => "busy",
        }
    }
}

/// What a tier outside the process answers for one key. The entry is not yet admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// A document.
    Hit(Entry),
    /// The proof that there is none.
    Absent(Entry),
    /// Nothing that can be used.
    Miss(MissReason),
    /// The tier could not be asked.
    Unavailable(UnavailableReason),
}

impl Lookup {
    /// The outcome for an entry that was found.
    pub fn found(entry: Entry) -> Self {
        match entry.kind() {
            Kind::Present => Lookup::Hit(entry),
            Kind::Absent => Lookup::Absent(entry),
        }
    }

    /// The entry, when there is one.
    pub fn into_entry(self) -> Option<Entry> {
        match self {
            Lookup::Hit(entry) | Lookup::Absent(entry) => Some(entry),
            Lookup::Miss(_) | Lookup::Unavailable(_) => None,
        }
    }

    /// The word in metrics and logs: `hit`, `absent`, `miss` or `unavailable`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Lookup::Hit(_) => "hit",
            Lookup::Absent(_) => "absent",
            Lookup::Miss(_) => "miss",
            Lookup::Unavailable(_) => "unavailable",
        }
    }
}

/// What became of a write to a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PutOutcome {
    /// The tier holds the entry now.
    Stored,
    /// The tier holds a copy that is as new or newer, and kept it.
    Fenced,
    /// The tier's admission policy wants to see the key again first, or the entry is too large for it.
    Declined,
    /// The tier could not be asked.
    Unavailable(UnavailableReason),
}

impl PutOutcome {
    /// The word in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            PutOutcome::Stored => "stored",
            PutOutcome::Fenced => "fenced",
            PutOutcome::Declined => "declined",
            PutOutcome::Unavailable(_) => "unavailable",
        }
    }
}
