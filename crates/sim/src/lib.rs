//! Judges what several nodes did while things failed: the history of a run, and the checker of its promises.
//!
//! A run, simulated or of real processes, records what was written, read, fetched and broken ([`history`]). The checker ([`mod@check`])
//! then says which promise was not kept, by whom and when. It needs no search, because every document tells which write it is: so a
//! history is checked in the time that sorting it takes.
#![warn(missing_docs)]

pub mod check;
pub mod history;
pub mod random;

pub use check::{Bounds, Rule, Violation, check};
pub use history::{
    Expected, FaultKind, Fetch, Flag, History, Moment, Probe, ProbeOutcome, Progress, Read, Seen,
    Write,
};
pub use random::Random;
