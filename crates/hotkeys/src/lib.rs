//! The pure core of hot keys: what a node counts and sends, and how a detector decides which keys every node holds.
//!
//! No I/O, no async, and no clock: time is handed in. The same calls give the same answers, so that a standby which hears what the
//! leading detector hears decides what it decides.
//!
//! **A node** counts each read by the key's [`KeyHash`], and each 100 ms closes the slice, sends it and looks at it itself:
//!
//! ```
//! # use std::time::Duration;
//! # use hotshelf_hotkeys::{Alone, Framer, KeyHash, Provisional, Rules, Sender, Slices};
//! # use hotshelf_model::Boot;
//! # let (now, seed, rules) = (Boot(0), 7, Rules::default());
//! let mut slices = Slices::new(now, seed);
//! let mut framer = Framer::new(Sender { node: 1, incarnation: 99 }, seed);
//! let mut provisional = Provisional::default();
//! slices.count(KeyHash::of("products//A-1", seed), 1);
//!
//! # let now = now.plus(Duration::from_millis(100));
//! if let Some(slice) = slices.close(now) {
//!     let framed = framer.frame(&slice); // `framed.bytes` go to the detectors.
//!     let alone = Alone { nodes: 4, is_silent: false };
//!     let found = provisional.slice(&slice, now, alone, &rules, |_hash| None);
//!     assert!(found.is_empty());
//!     slices.reuse(slice);
//! }
//! ```
//!
//! **A detector** takes every node's frames as they arrive, and ticks each 100 ms:
//!
//! ```
//! # use hotshelf_hotkeys::{Decision, Detector, Frame, Limits, Rules};
//! # use hotshelf_model::Boot;
//! # let (now, bytes) = (Boot(0), Vec::new());
//! let mut detector = Detector::new(Rules::default(), Limits::default(), now);
//! if let Ok(frame) = Frame::decode(&bytes) {
//!     detector.frame(&frame, now);
//! }
//! detector.tick(now);
//! for hash in detector.questions() {
//!     // Nodes that know the key answer: `detector.name(hash, &key, bytes, now)`.
//! }
//! for decision in detector.decisions() {
//!     match decision {
//!         Decision::Promote(_) | Decision::Demote(_) => {} // A standby drops them.
//!     }
//! }
//! // Now and then to the nodes, for `Slices::watch`: what they count exactly however many keys there are.
//! let watched: Vec<_> = detector.watched().collect();
//! # assert!(watched.is_empty());
//! ```
//!
//! Reading order: [`slices`], [`frame`], [`rules`], [`detector`], [`provisional`]; [`message`] is what nodes tell each other beside frames; [`replay`] is all of it over a log.
#![warn(missing_docs)]

pub mod cursor;
pub mod detector;
pub mod frame;
pub mod hash;
pub mod message;
pub mod provisional;
pub mod replay;
pub mod rules;
pub mod slices;

mod dice;
mod poisson;
mod ring;
mod spread;
mod table;

pub use cursor::{HotCursor, NoCursor};
pub use detector::{
    Decision, Demotion, DemotionReason, Detector, Health, HotKey, Limits, Promotion,
    PromotionReason, Refused, Status, Tallies,
};
pub use frame::{Entry, Frame, Framed, Framer, Sender};
pub use hash::{KeyHash, KeyMap};
pub use message::HotMessage;
pub use poisson::Window;
pub use provisional::{Alone, Found, Provisional};
pub use replay::{Replay, Replayed};
pub use rules::{Action, RuleText, Rules};
pub use slices::{Counted, SLICE, Slice, Slices};
