//! What tests are made of: real servers, a slow network, fakes of every seam, and the suites that each adapter passes.
//!
//! [`servers`] starts Redis, PostgreSQL and NATS in folders of their own; [`proxy`] stands between a client and a server and
//! slows or cuts the line; [`fakes`] stand in for tiers, origins, leases, the bus and the clock, and do what a test tells them;
//! [`conformance`] holds the suites that every tier, origin and bus passes, the fakes included; [`wait`] waits for a state.
//! Everything that is started ends with the test process, also when that process is killed.

pub mod conformance;
pub mod fakes;
pub mod names;
pub mod proxy;
pub mod servers;
pub mod wait;

pub use fakes::{
    BusFaultCounts, BusFaults, FakeBus, FakeHub, FakeLeases, FakeNodes, FakeOrigin, FakeSettings,
    FakeTier, FakeWriter, Gate, ManualClock,
};
pub use proxy::TcpProxy;
pub use servers::{NatsCluster, NatsServer, PostgresServer, RedisCluster, RedisServer, free_port};
pub use wait::{wait_until, wait_until_async};
