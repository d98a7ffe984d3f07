//! Black-box tests over HTTP: real nodes on real databases, Redis and disks.

mod faults;
mod limits;
mod read;
mod scheduled;
mod stale;
mod tiers;
