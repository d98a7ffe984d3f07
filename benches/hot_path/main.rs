//! A hit in L1 of the engine beside a bare `get` of moka and of quick_cache, on one Zipf-like sequence of reads.

mod judged;
mod passing;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use hotshelf_benches::rounds::{Contender, Sample, compare};
use hotshelf_benches::time::Stopwatch;
use hotshelf_benches::{allocations, args::Args, cpu, install_metrics, shelf, table, zipf};
use hotshelf_engine::{Cache, EngineSettings, ReadOptions};
use hotshelf_model::Key;
use hotshelf_telemetry::Recorder;
use quick_cache::UnitWeighter;

use crate::judged::Judged;
use crate::passing::PassingHasher;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

const DOCUMENT_BYTES: usize = 2048;
/// How often a node folds its histograms.
const FOLD_INTERVAL: Duration = Duration::from_secs(5);
const TARGET: f64 = 1.3;
/// Nanoseconds that the freshness check may add to finding a copy.
const CHECK_TARGET: f64 = 25.0;

/// Everybody who holds the documents, all of them in full.
struct Stage {
    reads: Vec<u32>,
    keys: Vec<Key>,
    texts: Vec<Arc<str>>,
    cache: Cache,
    moka: moka::sync::Cache<Arc<str>, Bytes>,
    moka_by_key: moka::sync::Cache<Key, Bytes, PassingHasher>,
    quick: quick_cache::sync::Cache<Arc<str>, Bytes>,
    /// As L1 is: the key brings its hash, and what is held is shared.
    quick_by_key: quick_cache::sync::Cache<Key, Arc<Bytes>, UnitWeighter, PassingHasher>,
    judged: Judged,
}

impl Stage {
    async fn new(count: usize, reads: usize) -> anyhow::Result<Self> {
        let documents = shelf::Shelf::new(count, |number| shelf::document(number, DOCUMENT_BYTES));
        let keys = shelf::keys(count);
        let texts: Vec<Arc<str>> = keys.iter().map(|key| key.as_str().into()).collect();
        // A fifth more room than is needed: nobody evicts, and everybody counts reads as a full cache does.
        let room = count as u64 * 6 / 5;
        let settings = EngineSettings {
            l1_bytes_max: room * (DOCUMENT_BYTES as u64 * 3 / 2 + 512),
            ..EngineSettings::default()
        };
        let stage = Stage {
            reads: zipf::sequence(count, reads, 1),
            cache: documents.cache(settings).start(),
            moka: moka::sync::Cache::new(room),
            moka_by_key: moka::sync::Cache::builder()
                .max_capacity(room)
                .build_with_hasher(PassingHasher),
            quick: quick_cache::sync::Cache::new(count * 6 / 5),
            quick_by_key: quick_cache::sync::Cache::with(
                count * 6 / 5,
                room,
                UnitWeighter,
                PassingHasher,
                quick_cache::sync::DefaultLifecycle::default(),
            ),
            judged: Judged::new(count * 6 / 5),
            keys,
            texts,
        };
        shelf::fill(&stage.cache, &stage.keys).await?;
        let held = stage
            .keys
            .iter()
            .zip(&stage.texts)
            .zip(documents.documents());
        for ((key, text), document) in held {
            stage.moka.insert(Arc::clone(text), document.clone());
            stage.moka_by_key.insert(key.clone(), document.clone());
            stage.quick.insert(Arc::clone(text), document.clone());
            stage
                .quick_by_key
                .insert(key.clone(), Arc::new(document.clone()));
            stage.judged.insert(key.clone(), document.clone());
        }
        Ok(stage)
    }

    fn choose(&self, number: u32) -> bool {
        black_box(&self.keys[number as usize]).hash_u64() != 0
    }

    fn moka(&self, number: u32) -> bool {
        is_hit(self.moka.get(&*self.texts[number as usize]))
    }

    fn moka_by_key(&self, number: u32) -> bool {
        is_hit(self.moka_by_key.get(&self.keys[number as usize]))
    }

    fn quick(&self, number: u32) -> bool {
        is_hit(self.quick.get(&*self.texts[number as usize]))
    }

    fn quick_by_key(&self, number: u32) -> bool {
        let value = self.quick_by_key.get(&self.keys[number as usize]);
        value.is_some_and(|value| !black_box(&*value).is_empty())
    }

    fn try_get(&self, number: u32) -> bool {
        let answer = self.cache.try_get(&self.keys[number as usize]);
        answer.is_some_and(|answer| !black_box(answer.document()).is_empty())
    }

    fn get(&self, number: u32) -> bool {
        let key = &self.keys[number as usize];
        let answer = self.cache.get(key, ReadOptions::default()).now_or_never();
        let answer = answer.and_then(Result::ok);
        answer.is_some_and(|answer| !black_box(answer.document()).is_empty())
    }
}

fn is_hit(value: Option<Bytes>) -> bool {
    value.is_some_and(|value| !black_box(&value).is_empty())
}

/// Reads the whole sequence on each thread, each from another place on.
fn round(reads: &[u32], threads: usize, hit: impl Fn(u32) -> bool + Sync) -> Sample {
    let pass = |thread: usize| {
        let (late, early) = reads.split_at(reads.len() * thread / threads);
        let hits = early
            .iter()
            .chain(late)
            .filter(|&&number| hit(number))
            .count();
        black_box(hits);
    };
    let (stopwatch, used) = (Stopwatch::start(), cpu::own_nanos());
    if threads == 1 {
        pass(0);
    } else {
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let pass = &pass;
                scope.spawn(move || pass(thread));
            }
        });
    }
    let (wall, used) = (stopwatch.nanos(), cpu::own_nanos() - used);
    Sample::over(reads.len(), wall, used / threads as f64)
}

/// Each contender under its name.
type Hit<'a> = (&'static str, Box<dyn Fn(u32) -> bool + Sync + 'a>);

const BASE: usize = 1;
const MAP: usize = 4;
const OURS: usize = 5;

fn time(stage: &Stage, threads: usize, rounds: usize) {
    // Spelled out for each contender, so that each loop is compiled around its own hit.
    let reads = &stage.reads;
    let mut contenders = [
        Contender::new("choice of the key alone", || {
            round(reads, threads, |number| stage.choose(number))
        }),
        Contender::new("moka get", || {
            round(reads, threads, |number| stage.moka(number))
        }),
        Contender::new("moka get, our key and hash", || {
            round(reads, threads, |number| stage.moka_by_key(number))
        }),
        Contender::new("quick_cache get", || {
            round(reads, threads, |number| stage.quick(number))
        }),
        Contender::new("quick_cache get, our key and hash", || {
            round(reads, threads, |number| stage.quick_by_key(number))
        }),
        Contender::new("Cache::try_get", || {
            round(reads, threads, |number| stage.try_get(number))
        }),
        Contender::new("Cache::get, ready at once", || {
            round(reads, threads, |number| stage.get(number))
        }),
    ];
    let measured = compare(rounds, &mut contenders);
    table::heading(&format!("{threads} thread(s), time of one hit on each"));
    table::comparison("hit", &measured, BASE);
    let ratio = measured[OURS].ratio_to(&measured[BASE], |sample| sample.wall_ns);
    table::target("Cache::try_get / moka get", ratio, TARGET);
    let wall = |at: usize| measured[at].median(|sample| sample.wall_ns);
    table::say(format!(
        "freshness, counting and the answer add {:.0} ns to the map's get, with what they miss in the processor's caches",
        wall(OURS) - wall(MAP)
    ));
}

/// Reads the whole sequence; each read waits for the length that the one before has brought, as a thread's requests wait for each other.
fn chain(stage: &Stage, hit: impl Fn(&Key) -> usize) -> Sample {
    let (stopwatch, used) = (Stopwatch::start(), cpu::own_nanos());
    let mut carried = 0;
    for &number in &stage.reads {
        carried = hit(&stage.keys[number as usize + carried]) >> 32;
    }
    black_box(carried);
    let (wall, used) = (stopwatch.nanos(), cpu::own_nanos() - used);
    Sample::over(stage.reads.len(), wall, used)
}

fn check(stage: &Stage, rounds: usize) {
    let map = &stage.judged;
    let mut contenders = [
        Contender::new("get of the map", || chain(stage, |key| map.get(key))),
        Contender::new("the same, and the clock", || {
            chain(stage, |key| map.get_timed(key))
        }),
        Contender::new("the same, and the freshness check", || {
            chain(stage, |key| map.get_judged(key))
        }),
        Contender::new("Cache::try_get", || {
            chain(stage, |key| {
                let answer = stage.cache.try_get(key);
                answer.map_or(0, |answer| answer.document().len())
            })
        }),
    ];
    let measured = compare(rounds, &mut contenders);
    table::heading("one hit after the other");
    table::comparison("hit", &measured, 0);
    let added = |at: usize| {
        let wall = |at: usize| measured[at].median(|sample| sample.wall_ns);
        wall(at) - wall(0)
    };
    table::target(
        "ns that the freshness check adds to a hit",
        added(2),
        CHECK_TARGET,
    );
    table::say(format!("ns that reading the clock adds: {:.0}", added(1)));
}

fn count(stage: &Stage) -> anyhow::Result<()> {
    let contenders: [Hit<'_>; 6] = [
        ("moka get", Box::new(|number| stage.moka(number))),
        (
            "moka get, our key and hash",
            Box::new(|number| stage.moka_by_key(number)),
        ),
        ("quick_cache get", Box::new(|number| stage.quick(number))),
        (
            "quick_cache get, our key and hash",
            Box::new(|number| stage.quick_by_key(number)),
        ),
        ("Cache::try_get", Box::new(|number| stage.try_get(number))),
        (
            "Cache::get, ready at once",
            Box::new(|number| stage.get(number)),
        ),
    ];
    let mut rows = Vec::new();
    for (name, hit) in contenders {
        let before = allocations::of_this_thread();
        let hits = stage.reads.iter().filter(|&&number| hit(number)).count();
        let allocated = allocations::of_this_thread() - before;
        shelf::check_hits(hits as u64, stage.reads.len() as u64)?;
        let each = allocated as f64 / stage.reads.len() as f64;
        rows.push(vec![
            name.to_owned(),
            format!("{each:.5}"),
            hits.to_string(),
        ]);
    }
    table::heading("allocations, counted on the reading thread");
    table::rows(&["", "allocations/hit", "hits"], &rows);
    Ok(())
}

async fn fold(recorder: Recorder) {
    loop {
        tokio::time::sleep(FOLD_INTERVAL).await;
        recorder.fold();
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::read()?;
    let recorder = install_metrics()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.spawn(fold(recorder));
    let (keys, reads) = args.size((100_000, 1 << 20), (1000, 1 << 12));
    let stage = runtime.block_on(Stage::new(keys, reads))?;
    table::say(format!(
        "{keys} keys, documents of {DOCUMENT_BYTES} bytes, {reads} reads a round, Zipf {}; metrics on, allocator mimalloc",
        zipf::EXPONENT
    ));
    count(&stage)?;
    for threads in [1, 2] {
        time(&stage, threads, args.size(15, 1));
    }
    check(&stage, args.size(15, 1));
    Ok(())
}
