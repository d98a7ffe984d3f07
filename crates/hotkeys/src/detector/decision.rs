//! What a detector says.

use hotshelf_model::{Boot, Key};

use crate::hash::KeyHash;
use crate::poisson::Window;

/// A change of the hot set.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// A key is to be held by every node.
    Promote(Promotion),
    /// A key is a key like others again.
    Demote(Demotion),
}

/// Why and since when a key is hot.
#[derive(Clone, Debug, PartialEq)]
pub struct Promotion {
    /// Its hash.
    pub hash: KeyHash,
    /// The key.
    pub key: Key,
    /// What its entry takes, as the node said that named it.
    pub bytes: u32,
    /// Reads per second over all nodes, in the window that decided.
    pub rate: f64,
    /// Its part of all reads in that window, 0 to 1.
    pub share: f64,
    /// When it began to be read at half of the threshold or more, on the detector's clock and to 100 ms; at most ten seconds ago.
    pub onset: Boot,
    /// What decided.
    pub why: PromotionReason,
}

/// What made a key hot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PromotionReason {
    /// It was read more than its threshold allows by chance.
    Surge {
        /// Over this window.
        window: Window,
        /// By so many standard deviations.
        sigmas: f64,
    },
    /// A rule wants it hot, and it is read.
    Rule,
    /// It was hot before a start.
    Snapshot,
}

impl PromotionReason {
    /// The word in metrics and events.
    pub fn as_str(self) -> &'static str {
        match self {
            PromotionReason::Surge { .. } => "surge",
            PromotionReason::Rule => "rule",
            PromotionReason::Snapshot => "snapshot",
        }
    }
}

/// Why a key is no longer hot.
#[derive(Clone, Debug, PartialEq)]
pub struct Demotion {
    /// Its hash.
    pub hash: KeyHash,
    /// The key.
    pub key: Key,
    /// Reads per second over all nodes, in the last ten seconds.
    pub rate: f64,
    /// What decided.
    pub why: DemotionReason,
}

/// What made a key ordinary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DemotionReason {
    /// It was read at less than six tenths of its threshold for long enough.
    Cooled,
    /// A rule says that it is never hot.
    Rule,
    /// There was no room for it: others are read more.
    Room,
    /// Nothing was heard of any node for 30 s.
    Blind,
}

impl DemotionReason {
    /// The word in metrics and events.
    pub fn as_str(self) -> &'static str {
        match self {
            DemotionReason::Cooled => "cooled",
            DemotionReason::Rule => "rule",
            DemotionReason::Room => "room",
            DemotionReason::Blind => "blind",
        }
    }
}

/// A key that is hot now.
#[derive(Clone, Debug, PartialEq)]
pub struct HotKey {
    /// How it became so.
    pub promotion: Promotion,
    /// When that was, on the detector's clock.
    pub since: Boot,
    /// Reads per second over all nodes, in the last second.
    pub rate: f64,
}

/// Why a frame counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// It was counted before.
    Doubled,
    /// It is of more than ten seconds ago.
    Late,
    /// It is of a process that has been replaced.
    Former,
    /// The first frames of its node came late, so that their time was taken for later than it was; this one's time is taken already.
    Realigned,
    /// There are too many nodes.
    NodesMax,
}

impl Refused {
    /// All of them.
    pub const ALL: [Refused; 5] = [
        Refused::Doubled,
        Refused::Late,
        Refused::Former,
        Refused::Realigned,
        Refused::NodesMax,
    ];

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Refused::Doubled => "doubled",
            Refused::Late => "late",
            Refused::Former => "former",
            Refused::Realigned => "realigned",
            Refused::NodesMax => "nodes_max",
        }
    }
}
