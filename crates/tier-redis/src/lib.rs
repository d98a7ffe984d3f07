//! L2: entries in Redis or Redis Cluster, shared by the nodes, and the leases across nodes.
//!
//! A single Redis is one shard; a cluster has one for each primary. Every shard has a few connections that all lookups
//! share (checking one out of a pool would cost a round trip), each kept alive by a task of its own, and its own breaker:
//! a shard that hangs costs its first lookups the deadline and then nothing, while the others go on. Keys are routed here and
//! not by `redis::cluster_async`, because that holds up the commands for every shard while one of them is being reconnected.
//!
//! **Invariant:** an answer never waits for a connection to be made.
//! **Invariant:** nothing depends on what Redis holds or on how long it holds it: copies are fenced, checked and admitted.

mod call;
mod exchange;
mod gather;
mod leases;
mod link;
mod room;
mod settings;
mod shard;
mod shard_map;
mod slot;
mod tier;

pub use settings::RedisSettings;
pub use tier::RedisTier;

#[cfg(test)]
mod tests;
