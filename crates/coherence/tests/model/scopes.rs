//! The explorations: those that every run ends, and larger ones for long runs.

use crate::scope::Feature::{
    Batches, Checkpoints, Failover, Hints, Joins, L2Faults, L3, LastAttempts, LateOpening,
    LatePuts, LostBranch, NoTiers, OwnWrites, Pruning, Replicas, Restarts, Restore, Revalidation,
    SilentRestore, SlowPolls, WideRows,
};
use crate::scope::Scope;

const ONE: Scope = Scope::SMALLEST;

/// Explored to the end in every run.
pub(crate) const EVERY_RUN: &[Scope] = &[
    Scope {
        name: "changes",
        writes: 1,
        bumps: 1,
        ..ONE
    },
    Scope {
        name: "two writes",
        writes: 2,
        features: &[LatePuts],
        ..ONE
    },
    Scope {
        name: "failover, write",
        writes: 1,
        faults: 1,
        features: &[Failover, LateOpening, Revalidation],
        ..ONE
    },
    Scope {
        name: "failover, bump",
        bumps: 1,
        faults: 1,
        features: &[Failover, LateOpening, Revalidation],
        ..ONE
    },
    Scope {
        name: "failover, two writes",
        writes: 2,
        faults: 1,
        features: &[Failover, LateOpening, Revalidation, NoTiers],
        ..ONE
    },
    Scope {
        name: "failover, slow polls",
        writes: 1,
        faults: 1,
        features: &[SlowPolls, Failover, LateOpening, NoTiers],
        ..ONE
    },
    Scope {
        name: "failover, replicas",
        writes: 1,
        faults: 1,
        features: &[Failover, LateOpening, Revalidation, Replicas, LostBranch],
        ..ONE
    },
    Scope {
        name: "failover, hints",
        writes: 1,
        faults: 1,
        features: &[Failover, LateOpening, Hints],
        ..ONE
    },
    Scope {
        name: "failover, restart",
        writes: 1,
        faults: 2,
        features: &[Failover, Restarts, Checkpoints],
        ..ONE
    },
    Scope {
        name: "restart, replicas",
        writes: 1,
        faults: 2,
        features: &[
            Failover,
            Restarts,
            Checkpoints,
            Replicas,
            LostBranch,
            Revalidation,
        ],
        ..ONE
    },
    Scope {
        name: "restart, write",
        writes: 1,
        faults: 2,
        features: &[Pruning, Restarts, Checkpoints, L3, Revalidation],
        ..ONE
    },
    Scope {
        name: "restart, bump",
        bumps: 1,
        faults: 1,
        features: &[Pruning, Restarts, Checkpoints, L3, Revalidation],
        ..ONE
    },
    Scope {
        name: "restart, two keys",
        keys: 2,
        writes: 2,
        faults: 2,
        features: &[Restarts, Revalidation],
        ..ONE
    },
    Scope {
        name: "restore",
        writes: 1,
        bumps: 1,
        faults: 1,
        features: &[Restore, NoTiers],
        ..ONE
    },
    Scope {
        name: "restore, L2",
        writes: 1,
        faults: 1,
        features: &[Restore],
        ..ONE
    },
    Scope {
        name: "restore, lost branch",
        writes: 1,
        faults: 1,
        features: &[Restore, Revalidation, Replicas, LostBranch],
        ..ONE
    },
    Scope {
        name: "restore, restart",
        writes: 1,
        faults: 2,
        features: &[Restore, Restarts, Checkpoints],
        ..ONE
    },
    Scope {
        name: "silent restore",
        writes: 2,
        faults: 1,
        features: &[SilentRestore, NoTiers],
        ..ONE
    },
    Scope {
        name: "own writes, pruning",
        writes: 2,
        faults: 1,
        features: &[OwnWrites, Pruning, NoTiers],
        ..ONE
    },
    Scope {
        name: "own writes, failover",
        writes: 1,
        faults: 1,
        features: &[OwnWrites, Failover, LateOpening, Replicas],
        ..ONE
    },
    Scope {
        name: "own writes, hints",
        writes: 2,
        features: &[OwnWrites, Hints, NoTiers],
        ..ONE
    },
    Scope {
        name: "floors of keys",
        keys: 2,
        writes: 2,
        floors_max: 1,
        features: &[Revalidation],
        ..ONE
    },
    Scope {
        name: "floors of keys, wide rows",
        writes: 2,
        floors_max: 1,
        features: &[Revalidation, WideRows],
        ..ONE
    },
    Scope {
        name: "floors of parents",
        keys: 2,
        parents: 2,
        bumps: 2,
        floors_max: 1,
        features: &[Revalidation],
        ..ONE
    },
    Scope {
        name: "two keys, batches",
        keys: 2,
        read: 2,
        writes: 1,
        faults: 1,
        features: &[Batches, Restarts],
        ..ONE
    },
    Scope {
        name: "two keys, bumps",
        keys: 2,
        read: 2,
        parents: 2,
        bumps: 1,
        ..ONE
    },
    Scope {
        name: "joins",
        writes: 2,
        features: &[Joins, NoTiers],
        ..ONE
    },
    Scope {
        name: "joins, floors",
        keys: 2,
        writes: 2,
        floors_max: 1,
        features: &[Joins, LastAttempts, NoTiers],
        ..ONE
    },
    Scope {
        name: "joins, pruning",
        writes: 1,
        faults: 1,
        features: &[Joins, LastAttempts, Pruning, NoTiers],
        ..ONE
    },
    Scope {
        name: "two nodes",
        nodes: 2,
        writes: 1,
        features: &[NoTiers],
        ..ONE
    },
    Scope {
        name: "two nodes, L2",
        nodes: 2,
        writes: 1,
        ..ONE
    },
    Scope {
        name: "two keys, floors",
        keys: 2,
        read: 2,
        writes: 2,
        floors_max: 1,
        features: &[Revalidation, NoTiers],
        ..ONE
    },
    Scope {
        name: "L2 faults",
        writes: 1,
        faults: 2,
        features: &[L2Faults, LatePuts],
        ..ONE
    },
];

/// Explored in long runs, up to a number of steps.
pub(crate) const LONG_RUNS: &[Scope] = &[
    Scope {
        name: "long: failover",
        writes: 1,
        bumps: 1,
        faults: 1,
        features: &[Failover, LateOpening, Revalidation, LatePuts],
        ..ONE
    },
    Scope {
        name: "long: failover, replicas",
        writes: 2,
        faults: 2,
        features: &[
            Failover,
            LateOpening,
            Revalidation,
            Replicas,
            LostBranch,
            Restarts,
            Checkpoints,
            L3,
        ],
        ..ONE
    },
    Scope {
        name: "long: restart",
        writes: 1,
        bumps: 1,
        faults: 2,
        features: &[Pruning, Restarts, Checkpoints, L3, Revalidation],
        ..ONE
    },
    Scope {
        name: "long: hints",
        writes: 2,
        faults: 1,
        features: &[Failover, LateOpening, Hints, OwnWrites],
        ..ONE
    },
    Scope {
        name: "long: restore",
        writes: 2,
        bumps: 1,
        faults: 2,
        features: &[
            Restore,
            Revalidation,
            Replicas,
            LostBranch,
            Restarts,
            Checkpoints,
        ],
        ..ONE
    },
    Scope {
        name: "long: two keys",
        keys: 2,
        read: 2,
        writes: 2,
        bumps: 1,
        floors_max: 1,
        features: &[Batches, Revalidation],
        ..ONE
    },
    Scope {
        name: "long: two keys, two parents",
        keys: 2,
        read: 2,
        parents: 2,
        writes: 1,
        bumps: 1,
        features: &[NoTiers],
        ..ONE
    },
    Scope {
        name: "long: joins",
        keys: 2,
        writes: 2,
        bumps: 1,
        faults: 1,
        floors_max: 1,
        features: &[Joins, LastAttempts, Failover, LateOpening, Pruning, NoTiers],
        ..ONE
    },
    Scope {
        name: "long: two nodes",
        nodes: 2,
        writes: 1,
        bumps: 1,
        faults: 1,
        features: &[L2Faults, LatePuts, OwnWrites, Hints],
        ..ONE
    },
    Scope {
        name: "long: two nodes, failover",
        nodes: 2,
        writes: 1,
        faults: 1,
        features: &[Failover, LateOpening, Revalidation],
        ..ONE
    },
];

/// The exploration of a name.
pub(crate) fn scope(name: &str) -> Scope {
    let mut all = EVERY_RUN.iter().chain(LONG_RUNS);
    *all.find(|scope| scope.name == name)
        .unwrap_or_else(|| panic!("no scope is called {name:?}"))
}
