//! Black-box tests over HTTP: real nodes on real databases, Redis and disks.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod parts;

mod faults;
mod limits;
mod read;
mod scheduled;
mod stale;
mod tiers;
