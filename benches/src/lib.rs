//! What the benches share: arguments, rounds that alternate, counted allocations, Zipf sequences, traces and an origin in memory.
//!
//! A bench is a program that prints ratios measured in one run, on one machine, in alternating rounds, with medians; a target stands
//! beside its figure. A bench never fails because something was slow, and says so when it could not measure something.

pub mod allocations;
pub mod args;
pub mod cpu;
pub mod policy;
pub mod rounds;
pub mod shelf;
pub mod table;
pub mod time;
pub mod trace;
pub mod zipf;

/// The common start of each bench: what a node has in its process too.
///
/// # Errors
/// When metrics are installed already.
pub fn install_metrics() -> anyhow::Result<hotshelf_telemetry::Recorder> {
    hotshelf_telemetry::Recorder::install()
}
