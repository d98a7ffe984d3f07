//! The cache: reads through the tiers, one flight per key, fills under a budget, answers that say how fresh they are.
//!
//! Reading order: [`cache`] (the public face), [`settings`], `read`, `l1`, `slot`, `flight`, `fill`, `fetch`, `budget`,
//! `revalidate`, `refresh`, `follow`, [`process_bus`].
#![warn(missing_docs)]

pub mod answer;
pub mod cache;
pub mod process_bus;
pub mod settings;

mod budget;
mod counters;
mod fetch;
mod fill;
mod flight;
mod follow;
mod l1;
mod read;
mod refresh;
mod revalidate;
mod slot;
mod write_back;

pub use answer::{Answer, Freshness};
pub use cache::{Builder, Cache, EngineStatus, ReadOptions};
pub use process_bus::ProcessBus;
pub use settings::{BudgetSettings, Class, EngineSettings};
