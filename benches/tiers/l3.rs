//! A lookup in L3 beside a bare get of RocksDB on the same files, with a block cache far smaller than the data and direct reads.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use hotshelf_benches::rounds::{Contender, Sample, compare};
use hotshelf_benches::{args::Args, shelf, table};
use hotshelf_model::{BootClock, TierKey, envelope};
use hotshelf_tier_rocksdb::{PutAdmission, RocksSettings, RocksTier};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rocksdb::{BlockBasedOptions, Cache, DB, DBCompactionStyle, Options};
use tokio::runtime::Runtime;

use crate::{is_hit, put_all, read_all, tier_keys};

const DOCUMENT_BYTES: usize = 2048;
const BLOCK_CACHE_BYTES: usize = 8 << 20;
const TARGET: f64 = 1.2;
/// This bench measures cost and not patience.
const DEADLINE: Duration = Duration::from_secs(5);

fn settings(folder: &Path) -> RocksSettings {
    RocksSettings {
        folder: folder.to_owned(),
        block_cache_bytes: BLOCK_CACHE_BYTES,
        memtable_bytes: 16 << 20,
        write_bytes_per_second_max: 1 << 30,
        admission: PutAdmission::Always,
        deadline: DEADLINE,
        put_deadline: DEADLINE,
        close_deadline: Duration::from_secs(60),
        ..RocksSettings::default()
    }
}

fn open(folder: &Path) -> anyhow::Result<Arc<RocksTier>> {
    let tier = RocksTier::open(&settings(folder), Arc::new(BootClock));
    Ok(Arc::new(tier?))
}

/// The tier's files once more, for reading, with the tier's options as far as reading goes.
fn open_bare(folder: &Path) -> anyhow::Result<DB> {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&Cache::new_hyper_clock_cache(BLOCK_CACHE_BYTES, 0));
    blocks.set_bloom_filter(18.0, false);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    options.set_compaction_style(DBCompactionStyle::Fifo);
    options.set_max_open_files(-1);
    options.set_use_direct_reads(true);
    options.set_block_based_table_factory(&blocks);
    DB::open_for_read_only(&options, folder, false).context("opening the files of L3 for reading")
}

/// Bytes that this process has had read from the disk.
fn disk_bytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("read_bytes: "));
    line.and_then(|bytes| bytes.parse().ok())
        .unwrap_or(f64::NAN)
}

struct Bare {
    db: DB,
    keys: Vec<TierKey>,
    texts: Vec<String>,
}

impl Bare {
    fn get(&self, number: u32) -> Option<Vec<u8>> {
        self.db.get(&self.texts[number as usize]).ok().flatten()
    }

    fn get_and_decode(&self, number: u32) -> bool {
        let key = &self.keys[number as usize].key;
        self.get(number)
            .is_some_and(|bytes| envelope::decode(&Bytes::from(bytes), key, 1 << 20).is_ok())
    }

    /// Every read, by `depth` threads; answers how many were hits.
    fn read_all(&self, depth: usize, reads: &[u32], read: impl Fn(u32) -> bool + Sync) -> usize {
        let hits = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for caller in 0..depth {
                let (hits, read) = (&hits, &read);
                scope.spawn(move || {
                    let reads = reads.iter().skip(caller).step_by(depth);
                    let found = reads.filter(|number| read(**number)).count();
                    hits.fetch_add(found, Ordering::Relaxed);
                });
            }
        });
        hits.into_inner()
    }
}

pub(crate) fn run(args: &Args, runtime: &Runtime) -> anyhow::Result<()> {
    let (count, reads) = args.size((200_000_u32, 20_000), (1000, 200));
    let folder = tempfile::tempdir().context("creating a folder for L3")?;
    // The second half is not put: misses.
    let keys = tier_keys(2 * count as usize);
    {
        let tier = open(folder.path())?;
        runtime.block_on(put_all(&*tier, &keys[..count as usize], DOCUMENT_BYTES));
        tier.close()?;
    }
    let tier = open(folder.path())?;
    let bare = Arc::new(Bare {
        db: open_bare(folder.path())?,
        texts: keys.iter().map(TierKey::to_string).collect(),
        keys,
    });
    let stored = bare.get(0).unwrap_or_default().len();
    let mut random = StdRng::seed_from_u64(3);
    let reads: Vec<u32> = (0..reads).map(|_| random.random_range(0..count)).collect();
    let reads = Arc::new(reads);
    for depth in [1, 16] {
        table::heading(&format!(
            "L3: {count} documents of {DOCUMENT_BYTES} bytes (stored in {stored}), block cache {} MiB, direct reads, {depth} at once",
            BLOCK_CACHE_BYTES >> 20
        ));
        compare_reads(args, runtime, depth, &reads, &tier, &bare)?;
    }
    let misses = Arc::new(reads.iter().map(|number| number + count).collect());
    table::heading("L3: keys that it does not hold, 1 at once");
    compare_misses(args, runtime, &misses, &tier, &bare)
}

fn compare_reads(
    args: &Args,
    runtime: &Runtime,
    depth: usize,
    reads: &Arc<Vec<u32>>,
    tier: &Arc<RocksTier>,
    bare: &Arc<Bare>,
) -> anyhow::Result<()> {
    let rounds = args.size(9, 1);
    let hits = std::cell::Cell::new(0);
    let counted = |found: usize| {
        hits.set(hits.get() + found as u64);
        reads.len()
    };
    let from_disk = disk_bytes();
    let measured = {
        let mut contenders = [
            Contender::new("RocksDB get", || {
                Sample::of(|| {
                    counted(bare.read_all(depth, reads, |number| bare.get(number).is_some()))
                })
            }),
            Contender::new("RocksDB get and decode", || {
                Sample::of(|| {
                    counted(bare.read_all(depth, reads, |number| bare.get_and_decode(number)))
                })
            }),
            Contender::new("RocksTier::get_many of 1", || {
                let (tier, bare) = (Arc::clone(tier), Arc::clone(bare));
                Sample::of(|| {
                    counted(read_all(runtime, depth, reads, move |number| {
                        let (tier, bare) = (Arc::clone(&tier), Arc::clone(&bare));
                        async move { is_hit(&*tier, &bare.keys[number as usize]).await }
                    }))
                })
            }),
        ];
        compare(rounds, &mut contenders)
    };
    let total = (reads.len() * 3 * (rounds + 1)) as u64;
    shelf::check_hits(hits.get(), total)?;
    table::comparison("read", &measured, 0);
    let each = (disk_bytes() - from_disk) / total as f64;
    table::say(format!(
        "read from the disk: {:.1} KiB a read",
        each / 1024.0
    ));
    let ratio = measured[2].ratio_to(&measured[0], |sample| sample.wall_ns);
    table::target("RocksTier / RocksDB get, time", ratio, TARGET);
    Ok(())
}

fn compare_misses(
    args: &Args,
    runtime: &Runtime,
    misses: &Arc<Vec<u32>>,
    tier: &Arc<RocksTier>,
    bare: &Arc<Bare>,
) -> anyhow::Result<()> {
    let rounds = args.size(9, 1);
    let missed = std::cell::Cell::new(0);
    let counted = |found: usize| {
        missed.set(missed.get() + found as u64);
        misses.len()
    };
    let measured = {
        let mut contenders = [
            Contender::new("RocksDB get", || {
                Sample::of(|| {
                    counted(bare.read_all(1, misses, |number| bare.get(number).is_none()))
                })
            }),
            Contender::new("RocksTier::get_many of 1", || {
                let (tier, bare) = (Arc::clone(tier), Arc::clone(bare));
                Sample::of(|| {
                    counted(read_all(runtime, 1, misses, move |number| {
                        let (tier, bare) = (Arc::clone(&tier), Arc::clone(&bare));
                        async move { !is_hit(&*tier, &bare.keys[number as usize]).await }
                    }))
                })
            }),
        ];
        compare(rounds, &mut contenders)
    };
    shelf::check_hits(missed.get(), (misses.len() * 2 * (rounds + 1)) as u64)?;
    table::comparison("read", &measured, 0);
    Ok(())
}
