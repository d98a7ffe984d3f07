//! The access log.
#![warn(missing_docs)]

pub mod block;
pub mod events;
pub mod follow;
pub mod json;
pub mod lines;
pub mod parse;
pub mod record;
pub mod recorder;
pub mod writer;

mod input;

#[cfg(test)]
mod samples;

pub use block::{BlockBuilder, BlockReader, Skipped};
pub use events::{Events, Problem, Tally};
pub use follow::{Follow, FollowTally};
pub use parse::{Event, Format, KeyPattern, Parser};
pub use record::{AccessRecord, TEXT_BYTES_MAX};
pub use recorder::{Access, Clocks, LogMode, Recorder, RecorderSettings, Recording};
pub use writer::{LogFormat, Writer, WriterSettings};
