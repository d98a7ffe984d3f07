//! The pure core of the consistency protocol: what a node knows of the change log, and what may be served because of it.
//!
//! No I/O, no clock, no async: the engine hands in what it read and when. In this edition a node polls the log's head and follows
//! no records: a head that has moved makes every copy suspect, and a suspect copy is served again once its version is found
//! unchanged. That is the protocol's resync, taken at each move.
//!
//! - [`knowledge`]: what the node knows, and how a poll changes it.
//! - [`mod@admit`]: whether a copy from outside the process may be served.
//! - [`mod@judge`]: whether a copy held in L1 may be served, on the hot path.
#![warn(missing_docs)]

pub mod admit;
pub mod judge;
pub mod knowledge;

pub use admit::{Admission, Candidate, Refusal, admit, unchanged};
pub use judge::{Held, HitContext, Verdict, is_expired, judge, over_age, proves_itself, stale_age};
pub use knowledge::{Generation, Knowledge, PollChange};
