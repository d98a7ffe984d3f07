//! What operators decide while the cluster runs: pins and switches.
//!
//! Decisions are documents in the cluster's settings ([`pins`], [`switches`]), each entry with who decided it, why, and until when. What is
//! in force on a node is a pure function of the documents, the node's name and the database's time ([`effective()`]), so nothing is restored
//! when an entry ends: a crash, a restart and a clock that was set leave nothing behind. [`watcher`] reads what has changed, [`decisions`]
//! puts it in force and changes it.
//!
//! **Invariant:** a document that cannot be read changes nothing; the last one that could be read stays in force.
#![warn(missing_docs)]

pub mod decisions;
pub mod document;
pub mod effective;
pub mod pins;
pub mod switches;
pub mod watcher;

pub use decisions::{CarryOut, Changed, Decider, Decisions, Known, Weighed};
pub use document::{Act, Document};
pub use effective::{Effective, effective};
pub use pins::{NoRoom, Pin, Pins, Room};
pub use switches::{Switch, SwitchEntries, SwitchEntry, SwitchValue};
pub use watcher::{Follows, Watcher};
