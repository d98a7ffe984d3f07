//! Settings of L3, and what is wrong with them.

use std::path::PathBuf;
use std::time::Duration;

use hotshelf_model::{BreakerSettings, FieldProblem};

/// Which puts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutAdmission {
    /// The second put of a key within [`RocksSettings::admission_window`], and any put of a key that is held already: a key that is
    /// asked for once would only wear the disk.
    SecondHit,
    /// Every put.
    Always,
}

/// Settings of L3. The defaults are right for a production node with a local SSD, but for the folder.
#[derive(Clone, Debug)]
pub struct RocksSettings {
    /// The folder. It must be absent, empty or made by hotshelf; what RocksDB keeps in it is removed when it is damaged.
    pub folder: PathBuf,
    /// Limit on the bytes of all table files; the oldest file goes first. At least four times `memtable_bytes`.
    pub bytes_max: u64,
    /// Files whose newest entry is older than this go. At least one second.
    pub ttl: Duration,
    /// Size of a memtable, 1 MiB to 1 GiB; up to four of them are held in memory.
    pub memtable_bytes: usize,
    /// A memtable is written out when it is as old as this, so that a crash loses no more.
    pub memtable_age_max: Duration,
    /// Size of the cache of blocks, filters and indexes in memory.
    pub block_cache_bytes: usize,
    /// Bypasses the page cache (`O_DIRECT`). A filesystem that refuses is used through the page cache, with a warning.
    pub direct_io: bool,
    /// Limit on the bytes written by flushes and compactions in a second.
    pub write_bytes_per_second_max: u32,
    /// Larger documents are neither written nor read back.
    pub document_bytes_max: usize,
    /// Documents of at least this many bytes are compressed with zstd.
    pub compress_bytes_min: usize,
    /// The zstd level, 1 to 19.
    pub zstd_level: i32,
    /// Threads for lookups, 1 to 256. Each waits for one read of the disk at a time.
    pub threads: usize,
    /// Threads for puts and removals, 1 to 64.
    pub put_threads: usize,
    /// Lookups that may wait for a thread, and as many writes; one more is answered `Busy`.
    pub queue_max: usize,
    /// A lookup that takes longer is answered `Deadline`, waiting in the queue included.
    pub deadline: Duration,
    /// A put or removal that takes longer is answered `Deadline`; it may still take place.
    pub put_deadline: Duration,
    /// Which puts are written.
    pub admission: PutAdmission,
    /// How long a first put is remembered at least; it is forgotten within twice this time.
    pub admission_window: Duration,
    /// First puts that are remembered in a window, at least 1024; above it, windows become shorter. Costs 4 bytes each.
    pub admission_keys_max: usize,
    /// Puts are declined while the filesystem has less free space than this.
    pub free_bytes_min: u64,
    /// The breakers, one for lookups and one for writes. One stall of the disk fails every call that is under way, so that they
    /// should open after more failures than that.
    pub breaker: BreakerSettings,
    /// How long closing waits for what is in memory to be written.
    pub close_deadline: Duration,
}

impl Default for RocksSettings {
    fn default() -> Self {
        RocksSettings {
            folder: PathBuf::from("l3"),
            bytes_max: 16 << 30,
            ttl: Duration::from_secs(24 * 3600),
            memtable_bytes: 64 << 20,
            memtable_age_max: Duration::from_secs(60),
            block_cache_bytes: 128 << 20,
            direct_io: true,
            write_bytes_per_second_max: 100 << 20,
            document_bytes_max: 1 << 20,
            compress_bytes_min: 1024,
            zstd_level: 1,
            threads: 16,
            put_threads: 2,
            queue_max: 1024,
            deadline: Duration::from_millis(5),
            put_deadline: Duration::from_secs(1),
            admission: PutAdmission::SecondHit,
            admission_window: Duration::from_secs(3600),
            admission_keys_max: 1_000_000,
            free_bytes_min: 1 << 30,
            breaker: BreakerSettings {
                failures_max: 32,
                ..BreakerSettings::default()
            },
            close_deadline: Duration::from_secs(10),
        }
    }
}

const MIB: u64 = 1 << 20;

/// Whether a setting is good, its name, and what it must be.
type Check = (bool, &'static str, &'static str);

impl RocksSettings {
    /// Everything that is wrong with these settings, each with the way out.
    pub fn problems(&self) -> Vec<FieldProblem> {
        let checks = self.size_checks().into_iter().chain(self.call_checks());
        checks
            .filter(|(good, ..)| !good)
            .map(|(_, field, reason)| FieldProblem::new(field, reason))
            .collect()
    }

    fn size_checks(&self) -> [Check; 7] {
        let memtable = self.memtable_bytes as u64;
        let folder = !self.folder.as_os_str().is_empty();
        let memtable_fits = self.bytes_max / 4 >= memtable;
        let second = Duration::from_secs(1);
        let write_rate = u64::from(self.write_bytes_per_second_max);
        let keys = (1024..=1 << 28).contains(&self.admission_keys_max);
        let memtable = (MIB..=1024 * MIB).contains(&memtable);
        let cache = self.block_cache_bytes >= 1 << 20;
        [
            (folder, "folder", "must not be empty"),
            (memtable, "memtable_bytes", "must be 1 MiB to 1 GiB"),
            (
                memtable_fits,
                "bytes_max",
                "must be at least four times memtable_bytes",
            ),
            (self.ttl >= second, "ttl", "must be at least 1 s"),
            (cache, "block_cache_bytes", "must be at least 1 MiB"),
            (
                write_rate >= MIB,
                "write_bytes_per_second_max",
                "must be at least 1 MiB",
            ),
            (keys, "admission_keys_max", "must be 1024 to 268435456"),
        ]
    }

    fn call_checks(&self) -> [Check; 6] {
        let level = (1..=19).contains(&self.zstd_level);
        let threads = (1..=256).contains(&self.threads);
        let put_threads = (1..=64).contains(&self.put_threads);
        let (deadline, put_deadline) = (!self.deadline.is_zero(), !self.put_deadline.is_zero());
        [
            (level, "zstd_level", "must be 1 to 19"),
            (threads, "threads", "must be 1 to 256"),
            (put_threads, "put_threads", "must be 1 to 64"),
            (self.queue_max > 0, "queue_max", "must be at least 1"),
            (deadline, "deadline", "must be more than zero"),
            (put_deadline, "put_deadline", "must be more than zero"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_problem() {
        assert_eq!(RocksSettings::default().problems(), []);
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let settings = RocksSettings {
            bytes_max: 1 << 20,
            threads: 0,
            zstd_level: 40,
            ..RocksSettings::default()
        };
        let fields: Vec<String> = settings
            .problems()
            .into_iter()
            .map(|problem| problem.field)
            .collect();
        assert_eq!(fields, ["bytes_max", "zstd_level", "threads"]);
    }
}
