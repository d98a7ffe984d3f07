//! What a person may write about the tiers, and about what is held in them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ValueKind::{Bool, Choice, Path, Text, Urls};
use super::{DAY_S, GIB, KIB, MIB, REDIS_SCHEMES, SIZE_MAX, count, toml_text};
use crate::config::Admission;
use crate::key::{Key, Section};
use crate::secret::SecretUrl;

section! {
    /// The tier in this process's memory.
    RawL1 "l1"
    /// The size of all entries together.
    bytes_max: usize = 256 * MIB, count(MIB as u64, SIZE_MAX);
    /// The same for entries of absent products, so that a flood of unknown ids evicts nothing else.
    absent_bytes_max: usize = 16 * MIB, count(64 * KIB as u64, SIZE_MAX);
}

section! {
    /// The tier that nodes share: Redis, or Redis Cluster.
    RawL2 "l2"
    /// Where Redis is: one URL, or several nodes of a cluster. Empty: there is no L2.
    urls: Vec<SecretUrl> = Vec::new(), Urls(REDIS_SCHEMES);
    /// Whether the URLs belong to a Redis Cluster.
    cluster: bool = false, Bool;
    /// What every key in Redis begins with. Shops that share a Redis choose different ones.
    prefix: String = "hs".into(), Text;
    /// Connections to each Redis; each carries many requests at once.
    connections: usize = 4, count(1, 64);
    /// How long a read may wait for L2 before it goes on to L3 and the origin.
    deadline_ms: u64 = 50, count(1, 10_000);
    /// How long a put may take.
    put_deadline_ms: u64 = 200, count(1, 10_000);
    /// L3 is asked as well when L2 has not answered within this.
    hedge_after_ms: u64 = 5, count(1, 10_000);
    /// How long connecting may take.
    connect_timeout_ms: u64 = 1000, count(1, 60_000);
    /// How long Redis keeps an entry at most.
    ttl_s: u64 = DAY_S, count(1, 30 * DAY_S);
    /// The same for absent products; shorter, because anybody can ask for ids that never existed.
    ttl_absent_s: u64 = 600, count(1, 30 * DAY_S);
    /// Documents below this size are kept uncompressed: to unpack a small one takes as long as to fetch it. Less saves memory of Redis.
    compress_bytes_min: usize = 4 * KIB, count(0, 64 * MIB as u64);
    /// The largest stored value; larger ones are not put.
    value_bytes_max: usize = 2 * MIB, count(KIB as u64, 64 * MIB as u64);
    /// Most operations waiting for Redis at once; further ones are answered `unavailable`.
    ops_max: usize = 4096, count(1, 1_000_000);
    /// How long another node's lease on a fetch holds without being renewed.
    lease_ttl_ms: u64 = 1000, count(100, 60_000);
    /// Failures in a row after which a Redis is left alone for a while.
    breaker_failures_max: u16 = 3, count(1, 1000);
    /// How long it is left alone the first time before one call tries again; doubled each time it is still down.
    breaker_open_min_ms: u64 = 500, count(1, 600_000);
    /// How long it is left alone at most.
    breaker_open_max_ms: u64 = 5000, count(1, 600_000);
}

section! {
    /// The tier on this machine's disk: RocksDB.
    RawL3 "l3"
    /// Whether there is one.
    enabled: bool = true, Bool;
    /// Its folder.
    path: PathBuf, Path, unset "`<node.data_dir>/l3`", example "\"/var/lib/hotshelf/l3\"";
    /// The size of all files together; the oldest entries go first.
    bytes_max: u64 = 16 * GIB as u64, count(64 * MIB as u64, SIZE_MAX);
    /// How much is collected in memory before it is written out; up to four times as much is held.
    memtable_bytes: usize = 64 * MIB, count(MIB as u64, GIB as u64);
    /// Memory for blocks that were read.
    block_cache_bytes: usize = 128 * MIB, count(MIB as u64, SIZE_MAX);
    /// Threads that read; each waits for one read of the disk at a time.
    threads: usize = 16, count(1, 256);
    /// Most operations waiting for a thread; further ones are answered `unavailable`.
    queue_max: usize = 1024, count(1, 1_000_000);
    /// How long a read may wait for L3 before it goes on to the origin.
    deadline_ms: u64 = 5, count(1, 10_000);
    /// How long a put may take.
    put_deadline_ms: u64 = 1000, count(1, 60_000);
    /// How long L3 keeps an entry at most.
    ttl_s: u64 = DAY_S, count(1, 30 * DAY_S);
    /// Whether reads go past the operating system's page cache.
    direct_io: bool = true, Bool;
    /// Which entries are put: those filled twice within a window, or all.
    admission: Admission = Admission::SecondHit, Choice(Admission::WORDS);
    /// How long a first fill is remembered, for `second_hit`.
    admission_window_s: u64 = 3600, count(1, 7 * DAY_S);
    /// Documents below this size are kept uncompressed.
    compress_bytes_min: usize = KIB, count(0, 64 * MIB as u64);
    /// Most bytes written in a second, so that reads keep their share of the disk.
    write_bytes_per_second_max: u32 = 100 << 20, count(MIB as u64, 4095 * MIB as u64);
    /// Nothing is put while the disk has less free space than this.
    free_bytes_min: u64 = GIB as u64, count(0, SIZE_MAX);
    /// Failures in a row after which L3 is left alone for a while.
    breaker_failures_max: u16 = 32, count(1, 1000);
    /// How long it is left alone the first time before one call tries again; doubled each time it still fails.
    breaker_open_min_ms: u64 = 500, count(1, 600_000);
    /// How long it is left alone at most.
    breaker_open_max_ms: u64 = 5000, count(1, 600_000);
}
