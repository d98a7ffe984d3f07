//! Black-box tests over HTTP: real nodes on real databases, Redis and disks.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod parts;
mod program;

mod access_logs;
mod catalogue;
mod cluster;
mod command_line;
mod decided;
mod faults;
mod hot_keys;
mod http_origin;
mod limits;
mod load;
mod migrate;
mod own_tables;
mod read;
mod scheduled;
mod stale;
mod tiers;
mod warm;
mod write;
