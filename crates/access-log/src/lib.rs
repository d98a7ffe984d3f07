//! The access log: structured records of reads, their way from the threads that read to the disk, and the logs of others.
//!
//! Ours, in the order in which a record passes: [`held`] is a read as the engine tells it; [`recorder`] takes it off the request path,
//! counts it and samples it; [`block`] and [`json`] give it bytes; [`writer`] keeps the files within their bounds. Anybody's: [`follow`]
//! and [`lines`] give the lines of a file, [`parse`] tells when which key was read, [`events`] does so for whole files, ours included,
//! and [`report`] counts.
//!
//! **Invariant:** what is counted is what could be logged: every record goes to whoever counts, whatever the log's mode or state.
#![warn(missing_docs)]

pub mod block;
pub mod events;
pub mod follow;
pub mod held;
pub mod json;
pub mod lines;
pub mod parse;
pub mod record;
pub mod recorder;
pub mod report;
pub mod writer;

mod input;

#[cfg(test)]
mod samples;

pub use block::{BlockBuilder, BlockReader, Skipped};
pub use events::{Events, InTime, Problem, Tally};
pub use follow::{Follow, FollowTally};
pub use held::HeldRead;
pub use parse::{Event, Format, KeyPattern, Parser};
pub use record::{AccessRecord, TEXT_BYTES_MAX};
pub use recorder::{Clocks, Counting, LogMode, Recorder, RecorderSettings, Recording};
pub use report::{Peaks, Report, utc};
pub use writer::{LogFormat, Writer, WriterSettings};
