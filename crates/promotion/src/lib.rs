//! Hot keys on a node: counts what it reads, finds with the others what is hot in the cluster, and holds it.
//!
//! On the drainer's thread of the access log a [`Counter`] counts each read, sends a frame ten times a second, and finds hot keys by
//! itself while no detector speaks. A task hears the bus: it carries out the numbered decisions of the node that leads, and where this
//! node has one of the three *seats*, it runs a detector on everybody's frames. What was decided is told to who follows it
//! ([`HotKeys::decisions`]).
//!
//! Reading order: [`event`] is what was decided; [`board`] takes messages and knows the cluster's hot set; [`handle`] is what others use;
//! [`live_rules`] keeps the rules as the cluster's operators decided them;
//! [`counting`] and `names` are the counting side, `detecting` and `seats` the detecting one; [`promoter`] joins them.
//!
//! **Invariant:** a hot set is changed by decisions in their order, or by a whole snapshot; what is missing demotes nothing.
//! **Invariant:** times of two machines are never compared: messages carry ages.
//! **Invariant:** everything that waits, is remembered or is told has a bound.
#![warn(missing_docs)]

pub mod board;
pub mod counting;
pub mod event;
pub mod handle;
pub mod live_rules;
pub mod promoter;

mod detecting;
mod metrics;
mod names;
mod saved;
mod seats;
#[cfg(test)]
mod testing;

pub use board::{Board, Changed, HotKeyView, HotView};
pub use counting::Counter;
pub use event::{HotEvent, Promoted};
pub use handle::{HotDecisions, HotKeys};
pub use hotshelf_hotkeys::{
    Action, DemotionReason, Health, HotCursor, Limits, PromotionReason, RuleText, Rules,
};
pub use live_rules::{Decider, LiveRules, RulesKnown, RulesSet};
pub use promoter::{Cluster, Prepared, Promoter, PromoterSettings};
