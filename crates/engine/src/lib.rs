//! The cache: reads through the tiers, one flight per key, fills under a budget, answers that say how fresh they are.
//!
//! Reading order: [`cache`] (the public face), [`settings`], `read`, `l1`, `slot`, `flight`, `fill`, `fetch`, `budget`,
//! `revalidate`, `refresh`, [`switches`], [`warm`], [`explain`]; for hot keys [`hot_set`] and `keeper`; and for what is known of changes: `ledger`, `follow`, `checkpoint`, [`changes`], [`process_bus`].
#![warn(missing_docs)]

pub mod answer;
pub mod cache;
pub mod changes;
pub mod explain;
pub mod hot_set;
pub mod process_bus;
pub mod settings;
pub mod switches;
pub mod warm;

mod budget;
mod checkpoint;
mod counters;
mod db_clock;
mod fetch;
mod fill;
mod flight;
mod follow;
mod follow_counters;
mod gauges;
mod keeper;
mod l1;
mod ledger;
mod read;
mod refresh;
mod revalidate;
mod slot;
mod sync;
mod variants;
mod write_back;

#[cfg(test)]
#[cfg(feature = "interleavings")]
mod interleavings;

pub use answer::{Answer, Freshness};
pub use cache::{Builder, Cache, EngineStatus};
pub use changes::{Change, Changes};
pub use explain::{
    CopyExplanation, Explanation, HotExplanation, NextCopy, Recorded, Standing, TierCopy,
};
pub use hot_set::{HotKey, HotReason, HotReasons, PromotionOutcome};
pub use hotshelf_coherence::Cursor;
pub use process_bus::ProcessBus;
pub use settings::{BudgetSettings, Class, EngineSettings, HotSettings, ReadOptions};
pub use switches::{Part, Switches};
pub use warm::{Sample, TierCoverage, TierWeight, WarmBatch};
