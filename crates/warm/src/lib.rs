//! Warm-ups on a node: which documents, whether they fit, the jobs that fill tiers with them, and how far the tiers are covered.
//!
//! Reading order: [`warmer`] (the handle), [`wish`], [`plan`], `run`, `round`, [`coverage`].
#![warn(missing_docs)]

pub mod coverage;
pub mod plan;
pub mod warmer;
pub mod wish;

mod round;
mod run;
#[cfg(test)]
mod tests;

pub use coverage::{Coverage, CoverageAsked};
pub use plan::{TierPlan, WarmPlan};
pub use warmer::{WarmParts, WarmSettings, Warmer};
pub use wish::{WarmSource, WarmWish};
