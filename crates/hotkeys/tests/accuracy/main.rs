//! Accuracy: streams of reads through the nodes' counters, an unreliable bus and a detector, judged by an exact count of the same stream.
//!
//! Time is simulated, in steps of 10 ms; what is asserted of it does not depend on the machine.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests, which clippy does not see as such"
)]

mod adversarial;
mod chance;
mod cluster;
mod oracle;
mod surges;
mod traces;
