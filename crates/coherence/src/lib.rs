//! The pure core of the consistency protocol: what a node knows of the change log, and what may be served because of it.
//!
//! No I/O, no clock, no async: the engine hands in what it read and when. The model test explores the same functions.
//!
//! - [`knowledge`]: what the node knows, and how polls and rows change it.
//! - [`floors`]: the least versions that the applied records leave.
//! - [`mod@admit`]: whether a copy from outside the process may be served.
//! - [`mod@judge`]: whether a copy held in L1 may be served, on the hot path.
#![warn(missing_docs)]

pub mod admit;
pub mod floors;
pub mod judge;
pub mod knowledge;

pub use admit::{Admission, Candidate, Refusal, admit, follows, parents_live, reflects, unchanged};
pub use floors::{Floor, FloorKey, Floors, Hinted};
pub use judge::{
    Held, HitContext, Verdict, has_flipped, is_expired, judge, over_age, proves_itself, stale_age,
};
pub use knowledge::{
    Checkpoint, Claim, Cursor, Generation, Knowledge, Place, PollStep, ResyncReason,
};
