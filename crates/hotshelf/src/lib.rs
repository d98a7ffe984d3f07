//! hotshelf as a crate: the engine, the nouns, and the adapters that a service chooses by feature.
//!
//! A service that embeds the engine builds a [`Cache`] from a change log, one or more namespaces with their origins, and the tiers
//! that it wants; `examples/embedded.rs` is a whole one. L1 is always there. Features: `sql` (default), `http`, `redis`, `rocksdb`, `nats`,
//! `access-log`, `hot-keys` (which brings `access-log`).

pub use hotshelf_engine::{
    Answer, BudgetSettings, Builder, Cache, Class, EngineSettings, EngineStatus, Freshness, HotKey,
    HotReason, HotReasons, HotSettings, ProcessBus, PromotionOutcome, ReadOptions,
};
pub use hotshelf_model as model;

/// The access log, for [`Builder::observer`].
#[cfg(feature = "access-log")]
pub use hotshelf_access_log as access_log;

/// Finding and holding hot keys; what counts them is for [`access_log::Recording`].
#[cfg(feature = "hot-keys")]
pub use hotshelf_promotion as promotion;

/// PostgreSQL and SQLite as origin and change log.
#[cfg(feature = "sql")]
pub use hotshelf_origin_sql as sql;

/// A service that assembles documents, as origin.
#[cfg(feature = "http")]
pub use hotshelf_origin_http as http;

/// L2 over Redis and Redis Cluster.
#[cfg(feature = "redis")]
pub use hotshelf_tier_redis as redis;

/// L3 over RocksDB.
#[cfg(feature = "rocksdb")]
pub use hotshelf_tier_rocksdb as rocksdb;

/// The bus between nodes over NATS.
#[cfg(feature = "nats")]
pub use hotshelf_bus_nats as nats;
