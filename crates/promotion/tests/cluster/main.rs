//! Nodes with a promoter each, in one process and on a clock that the test moves.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod harness;
mod leaders;
mod surges;
