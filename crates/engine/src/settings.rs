//! What an operator decides about the engine, and a caller about a read.

use std::time::Duration;

use hotshelf_model::{Asker, VersionToken};

/// Why the origin is asked; the budget serves the classes in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Somebody waits for the answer.
    #[default]
    Interactive,
    /// A copy that is still served gets old.
    Refresh,
    /// A warm-up.
    Warm,
    /// A caller in the background, such as a bot or a batch job: what only such callers read is not kept in L1.
    Background,
}

impl Class {
    /// Every class, the most urgent first.
    pub const ALL: [Class; Class::COUNT] = [
        Class::Interactive,
        Class::Refresh,
        Class::Warm,
        Class::Background,
    ];
    pub(crate) const COUNT: usize = 4;

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Interactive => "interactive",
            Class::Refresh => "refresh",
            Class::Warm => "warm",
            Class::Background => "background",
        }
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Class::Interactive => 0,
            Class::Refresh => 1,
            Class::Warm => 2,
            Class::Background => 3,
        }
    }

    /// Whether it gives way to everybody, so that nobody more urgent may have to wait for it.
    pub(crate) fn gives_way(self) -> bool {
        self >= Class::Warm
    }
}

/// How to read.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions<'a> {
    /// How long the caller waits.
    pub deadline: Duration,
    /// Answer with this version or a newer one.
    pub min_version: Option<VersionToken>,
    /// How urgent it is.
    pub class: Class,
    /// Who asks, for the observer.
    pub asker: Asker<'a>,
}

impl Default for ReadOptions<'_> {
    fn default() -> Self {
        ReadOptions {
            deadline: Duration::from_secs(5),
            min_version: None,
            class: Class::Interactive,
            asker: Asker::default(),
        }
    }
}

/// How many fetches the origin gets at once.
#[derive(Clone, Copy, Debug)]
pub struct BudgetSettings {
    /// The limit never falls below this many fetches at once, 1 at least.
    pub concurrency_min: usize,
    /// The limit never rises above this; the origin's pool should have as many connections.
    pub concurrency_max: usize,
    /// Fetches that may wait, over all classes; for one more, the last of the least urgent is shed.
    pub queue_max: usize,
    /// Share of the limit that refreshes may use, in percent (1 to 100).
    pub refresh_share_percent: u8,
    /// Share of the limit that warm-ups and callers in the background may use together, in percent (1 to 100).
    pub warm_share_percent: u8,
    /// Documents asked for in one statement, 1 at least.
    pub documents_per_fetch_max: usize,
}

impl Default for BudgetSettings {
    fn default() -> Self {
        BudgetSettings {
            concurrency_min: 2,
            concurrency_max: 16,
            queue_max: 4096,
            refresh_share_percent: 50,
            warm_share_percent: 25,
            documents_per_fetch_max: 200,
        }
    }
}

/// What the node holds of hot keys.
#[derive(Clone, Copy, Debug)]
pub struct HotSettings {
    /// Hot keys at most.
    pub keys_max: usize,
    /// Share of L1's bytes that copies of hot keys may take and never be evicted, in percent (0 to 50).
    pub l1_share_percent: u8,
    /// A document that changes by time alone is fetched ahead of its moment by between half of this and all of it.
    pub lead: Duration,
}

impl Default for HotSettings {
    fn default() -> Self {
        HotSettings {
            keys_max: 1000,
            l1_share_percent: 25,
            lead: Duration::from_secs(30),
        }
    }
}

/// What an operator decides about the engine.
#[derive(Clone, Copy, Debug)]
pub struct EngineSettings {
    /// Bytes that L1 holds at most, keys and bookkeeping included; absent entries have their own room.
    pub l1_bytes_max: u64,
    /// Bytes of absent entries that L1 holds at most.
    pub absent_bytes_max: u64,
    /// How often the change log's head is read.
    pub poll_interval: Duration,
    /// How often the node that leads the sequencing gives changes their positions.
    pub sequence_interval: Duration,
    /// How long one poll may take.
    pub poll_timeout: Duration,
    /// How long after its last proof a node calls answers fresh; at least twice the poll interval.
    pub staleness_bound: Duration,
    /// How long the node waits for its first poll before it calls itself ready all the same.
    pub catch_up_timeout: Duration,
    /// Keys whose least version is remembered from the change log, so that copies elsewhere need no check; at least 1. Each costs about
    /// 100 bytes.
    pub floors_max: usize,
    /// Records of the change log that are kept for [`crate::Cache::changes`].
    pub changes_max: usize,
    /// How long a fill looks for a document before it gives up. It may land a little later: by the deadline of a tier that it asks at the end;
    /// and by as much again when its statement was joined by fills that began later. Nobody joins it after this time.
    pub fill_timeout: Duration,
    /// How long a read that could be answered stale waits for a fill before it is.
    pub stale_after: Duration,
    /// How long a key whose fetch failed is served stale before the origin is asked for it again.
    pub retry_after: Duration,
    /// Fills under way at most, one for each key; a read that would start one more is shed.
    pub flights_max: usize,
    /// Background refreshes under way at most; further ones wait for the next read.
    pub refreshes_max: usize,
    /// Fills whose writes to L2 and L3 are under way at most; further ones are not written.
    pub write_backs_max: usize,
    /// L3 is asked beside L2 when L2 has not answered within this.
    pub hedge_after: Duration,
    /// The origin budget.
    pub budget: BudgetSettings,
    /// The hot set.
    pub hot: HotSettings,
    /// The number of this node, written into entries for people who ask who filled them.
    pub node: u32,
}

impl Default for EngineSettings {
    fn default() -> Self {
        EngineSettings {
            l1_bytes_max: 256 << 20,
            absent_bytes_max: 16 << 20,
            poll_interval: Duration::from_millis(250),
            sequence_interval: Duration::from_millis(1),
            poll_timeout: Duration::from_secs(1),
            staleness_bound: Duration::from_secs(2),
            catch_up_timeout: Duration::from_secs(30),
            floors_max: 1_000_000,
            changes_max: 65_536,
            fill_timeout: Duration::from_secs(2),
            stale_after: Duration::from_millis(500),
            retry_after: Duration::from_secs(1),
            flights_max: 65_536,
            refreshes_max: 256,
            write_backs_max: 4096,
            hedge_after: Duration::from_millis(5),
            budget: BudgetSettings::default(),
            hot: HotSettings::default(),
            node: 0,
        }
    }
}
