//! Hot keys on a node: what the cluster holds, for those who ask.
//!
//! Reading order: [`event`] is what was decided; [`board`] takes messages and knows the cluster's hot set; [`handle`] is what others use.
#![warn(missing_docs)]

pub mod board;
pub mod event;
pub mod handle;

pub use board::{Board, Changed, HotKeyView, HotView};
pub use event::{HotEvent, Promoted};
pub use handle::{HotDecisions, HotKeys};
pub use hotshelf_hotkeys::{DemotionReason, Health, HotCursor, PromotionReason, Rules};
