//! What a run is: its seed decides everything else.

use std::time::Duration;

use hotshelf_engine::{EngineSettings, HotSettings};
use hotshelf_model::FreshnessPolicy;
use hotshelf_sim::Random;

/// Nodes of every run.
pub(crate) const NODES: u32 = 3;
/// Products that are written and read.
pub(crate) const PRODUCTS: u32 = 40;

/// Where floors are few there are so many; each of the ledger's shards has its part of them. A write of a node that has no position yet
/// needs one, so there are as many in each as there are products.
const FLOORS: usize = 64 * 2;

/// A rule that the world keeps, or breaks so that the checker has something to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A reading of the log brings every record.
    EveryRecordIsRead,
    /// A poll says so when changes have no position yet.
    UnsequencedIsUnsettled,
    /// A node's clock runs on while the node sleeps.
    ClockRunsInSleep,
    /// A tier finds nothing of another history.
    HistoriesAreApart,
}

/// What to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// How long there are writes and faults, in the run's own time.
    pub(crate) time: Duration,
    /// Whether anything fails; without, nothing is evicted, bumped or out of date either.
    pub(crate) faults: bool,
    pub(crate) broken: Option<Rule>,
}

impl Plan {
    /// A run in which everything fails.
    pub(crate) fn of(seed: u64) -> Self {
        Plan {
            seed,
            time: Duration::from_secs(30),
            faults: true,
            broken: None,
        }
    }

    /// A run in which nothing does.
    pub(crate) fn calm(seed: u64) -> Self {
        Plan {
            faults: false,
            time: Duration::from_secs(10),
            ..Plan::of(seed)
        }
    }

    /// The numbers of one actor.
    pub(crate) fn random(&self, stream: u64) -> Random {
        Random::new(self.seed, stream)
    }

    /// Some runs have room for so few floors that they are given up all the time.
    pub(crate) fn settings(&self) -> EngineSettings {
        let few = self.faults && self.random(1).chance(50);
        EngineSettings {
            floors_max: if few { FLOORS } else { 1_000_000 },
            changes_max: 64,
            hot: HotSettings {
                lead: Duration::from_millis(1_500),
                ..HotSettings::default()
            },
            ..EngineSettings::default()
        }
    }

    /// TTLs that are over several times within a run.
    pub(crate) fn policy(&self) -> FreshnessPolicy {
        if !self.faults {
            return FreshnessPolicy::default();
        }
        let mut random = self.random(2);
        FreshnessPolicy {
            ttl_soft: random.millis(4_000, 10_000),
            ttl_hard: random.millis(10_000, 15_000),
            stale_cap: random.millis(3_000, 10_000),
            ttl_absent: random.millis(1_000, 5_000),
            jitter_percent: 10,
        }
    }
}
