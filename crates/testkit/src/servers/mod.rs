//! Real servers for tests: each in a folder and on a port of its own, gone when dropped or when the test process ends.
//!
//! The servers are Debian's. A program that is not installed is an error that names the line that installs it. A pause
//! (`SIGSTOP`) leaves connections open and silent, as a hung machine does; a kill closes them.

mod folder;
mod nats;
mod nats_cluster;
mod port;
mod postgres;
mod process;
mod redis;

pub use nats::NatsServer;
pub use nats_cluster::NatsCluster;
pub use port::free_port;
pub use postgres::PostgresServer;
pub use redis::{RedisCluster, RedisServer};
