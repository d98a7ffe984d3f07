//! Load for rehearsals: an open-loop generator of reads against any HTTP server, and the report of what they met.
//!
//! In the order in which a request passes: [`arrivals`] and [`replay`] say which key is due when; [`target`] makes a request of it;
//! [`generator`] sends it over one of a fixed number of connections; [`tally`] counts what became of it and how long it took, and
//! [`report`] tells.
//!
//! **Invariant:** a request that was due is counted, whatever became of it: answered, failed, given up, not sent in time, or abandoned because
//! the run was ended.
#![warn(missing_docs)]

pub mod arrivals;
pub mod generator;
pub mod replay;
pub mod report;
pub mod tally;
pub mod target;

mod connection;
mod pace;

pub use arrivals::{Arrival, Crowd, Ids, Order, Steady};
pub use generator::{Generator, Progress, Stops};
pub use replay::{Replay, ReplayTally};
pub use report::Report;
pub use tally::Tally;
pub use target::{Base, Template};
