//! What an exploration consists of: how many nodes, keys, changes and faults, and which of them are possible.

/// Most keys of an exploration.
pub(crate) const KEYS_MAX: usize = 2;

/// What a change is about: a key, or a namespace as the parent of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Key(usize),
    Parent(usize),
}

/// What may happen besides commits, sequencing, rows, polls, fetches and reads from L2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    /// Fetches, checks and polls answered by replicas that lag.
    Replicas,
    /// A replica of the branch that was lost goes on answering.
    LostBranch,
    /// A standby takes over, and the tail that it has not got is lost. One fault, at most once.
    Failover,
    /// After a failover, commits come before the row that opens the new timeline.
    LateOpening,
    /// A backup is restored by the procedure, which renews the history. One fault, at most once.
    Restore,
    /// A backup is restored and nobody tells: only for what the safety net covers. One fault, at most once.
    SilentRestore,
    /// Rows are pruned. One fault each.
    Pruning,
    /// A node stops and starts. One fault each.
    Restarts,
    /// What a node knows is remembered across a restart.
    Checkpoints,
    /// A tier on disk, which may come back older than it was.
    L3,
    /// L2 loses a copy, or goes back to the one before. One fault each.
    L2Faults,
    /// Suspect copies are checked by version.
    Revalidation,
    /// Hints run ahead of the log, are late, and time out.
    Hints,
    /// Nodes write themselves.
    OwnWrites,
    /// The answer to a poll takes its time.
    SlowPolls,
    /// Readers join flights under way.
    Joins,
    /// A flight's last attempt is given to its readers although it is suspect, if it was read from a primary.
    LastAttempts,
    /// Both keys are fetched in one snapshot.
    Batches,
    /// Puts to L2 are late.
    LatePuts,
    /// Each row has a second record, of a key that nobody reads.
    WideRows,
    /// No tiers beside L1.
    NoTiers,
}

/// The bounds of an exploration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub(crate) name: &'static str,
    pub(crate) nodes: usize,
    /// Keys that are written.
    pub(crate) keys: usize,
    /// Keys that are read; the others are only there to need floors.
    pub(crate) read: usize,
    /// Namespaces: one for both keys, or one for each.
    pub(crate) parents: usize,
    pub(crate) writes: u8,
    pub(crate) bumps: u8,
    pub(crate) faults: u8,
    /// How many floors of keys, and how many of parents, a node keeps.
    pub(crate) floors_max: usize,
    pub(crate) features: &'static [Feature],
}

impl Scope {
    /// One node, one key, nothing that changes.
    pub(crate) const SMALLEST: Scope = Scope {
        name: "",
        nodes: 1,
        keys: 1,
        read: 1,
        parents: 1,
        writes: 0,
        bumps: 0,
        faults: 0,
        floors_max: 16,
        features: &[],
    };

    pub(crate) fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    pub(crate) fn parent_of(&self, key: usize) -> usize {
        key % self.parents
    }
}
