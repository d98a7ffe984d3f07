//! What a record costs the thread that reads and the drainer: alone, and beside a hit in L1.

use std::cell::Cell;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use hotshelf_access_log::{
    Clocks, Counting, HeldRead, LogFormat, LogMode, Recorder, RecorderSettings, Recording, Writer,
    WriterSettings,
};
use hotshelf_benches::rounds::{Contender, Sample, compare};
use hotshelf_benches::time::Stopwatch;
use hotshelf_benches::{allocations, cpu, shelf, table, zipf};
use hotshelf_engine::{Cache, EngineSettings};
use hotshelf_model::{
    Asker, Boot, BootClock, Key, KeyRef, Read, ReadObserver, ReadOutcome, TierName, Version,
};

/// Reads of one round; they fit into a ring.
const READS: usize = 4096;
/// Keys whose copies stay in the processor's caches from one read of all to the next.
const WARM_KEYS: usize = 2000;
const TARGET_NS: f64 = 20.0;

fn writer(folder: &Path) -> anyhow::Result<Writer> {
    let settings = WriterSettings {
        folder: folder.to_owned(),
        format: LogFormat::Blocks,
        file_bytes_max: 64 << 20,
        file_age_max: Duration::from_secs(3600),
        bytes_max: 256 << 20,
    };
    Ok(Writer::open(settings)?)
}

/// Counts as the counter of hot keys does, apart from what it does with a key.
#[derive(Clone, Default)]
struct Passes {
    ended: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
}

impl Counting for Passes {
    fn count(&mut self, read: &HeldRead) {
        black_box(read.key_text());
    }

    fn passed(&mut self, _now: Boot, dropped: u64) {
        self.dropped.fetch_add(dropped, Ordering::Relaxed);
        self.ended.fetch_add(1, Ordering::Release);
    }
}

/// A recorder, and how far its drainer is.
struct Recorded {
    name: &'static str,
    recorder: Recorder,
    passes: Passes,
    _recording: Recording,
    _folder: tempfile::TempDir,
}

impl Recorded {
    fn new(name: &'static str, mode: Option<LogMode>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let passes = Passes::default();
        let clocks = Clocks {
            boot: Arc::new(BootClock),
            wall_ms: || 1_700_000_000_000,
        };
        let log = mode.map(|mode| Ok::<_, anyhow::Error>((writer(folder.path())?, mode)));
        let settings = RecorderSettings::default();
        let (recorder, recording) =
            Recording::start(settings, clocks, log.transpose()?, passes.clone())?;
        Ok(Recorded {
            name,
            recorder,
            passes,
            _recording: recording,
            _folder: folder,
        })
    }

    /// Nothing recorded, and all that may be. Of the first only the drainer runs, so that every round waits alike.
    fn all(nothing: &'static str) -> anyhow::Result<Vec<Self>> {
        let one_in = NonZeroU32::new(100).unwrap_or(NonZeroU32::MIN);
        let modes = [
            (nothing, None),
            ("counted", None),
            ("counted, one in 100 logged", Some(LogMode::Sampled(one_in))),
            ("counted, all logged", Some(LogMode::Full)),
        ];
        let all = modes.map(|(name, mode)| Recorded::new(name, mode));
        all.into_iter().collect()
    }

    /// Does a round's reads in `work`, which answers its time, and waits until all are taken from the ring.
    ///
    /// The thread spins: one that slept would find the processor slow afterwards, which a thread that reads all the time does not.
    fn round(&self, work: impl FnOnce() -> f64) -> Sample {
        let used = cpu::others_nanos();
        let wall = work();
        // The next pass may be under way.
        let enough = self.passes.ended.load(Ordering::Acquire) + 2;
        while self.passes.ended.load(Ordering::Acquire) < enough {
            std::hint::spin_loop();
        }
        Sample::over(READS, wall, wall + cpu::others_nanos() - used)
    }

    /// Allocations of a round on this thread. The round before makes the ring.
    fn allocated(&self, work: impl Fn() -> f64) -> u64 {
        self.round(&work);
        let before = allocations::of_this_thread();
        work();
        let allocated = allocations::of_this_thread() - before;
        self.round(|| 0.0);
        allocated
    }
}

/// Compares rounds of `work`, which is told whose round it is, with the first.
fn compared(
    rounds: usize,
    operation: &str,
    all: &[Recorded],
    work: impl Fn(usize) -> f64,
) -> anyhow::Result<()> {
    let work = &work;
    let allocated: Vec<u64> = (0..all.len())
        .map(|at| all[at].allocated(|| work(at)))
        .collect();
    let mut contenders = Vec::new();
    for (at, one) in all.iter().enumerate() {
        contenders.push(Contender::new(one.name, move || one.round(|| work(at))));
    }
    let measured = compare(rounds, &mut contenders);
    table::comparison(operation, &measured, 0);
    table::say(format!("allocations of {READS}: {allocated:?}"));
    for one in &measured[1..] {
        let added = one.added_to(&measured[0], |sample| sample.wall_ns);
        table::target(&format!("ns that it adds, {}", one.name), added, TARGET_NS);
    }
    let dropped = all.iter().map(|one| &one.passes.dropped);
    let dropped: u64 = dropped.map(|dropped| dropped.load(Ordering::Relaxed)).sum();
    ensure!(dropped == 0, "{dropped} records had no room in a ring");
    Ok(())
}

/// A hit of L1, as the engine tells it.
fn read(key: &Key) -> Read<'_> {
    Read {
        key: KeyRef::from(key),
        at: Boot(1),
        latency: None,
        tier: TierName::L1,
        outcome: ReadOutcome::Hit,
        version: Version(1 << 40 | 7),
        bytes: 2048,
        is_interactive: true,
        asker: Asker::default(),
    }
}

/// Takes nothing of a read.
#[derive(Debug)]
struct Deaf;

impl ReadObserver for Deaf {
    fn read(&self, read: &Read<'_>) {
        black_box(read.key.as_str().len());
    }
}

/// Records alone.
pub(crate) fn push(rounds: usize, keys: &[Key]) -> anyhow::Result<()> {
    table::heading("a record: time on the reading thread, and processor time of all threads");
    let all = Recorded::all("told to nobody")?;
    compared(rounds, "record", &all, |at| {
        let observer: &dyn ReadObserver = if at == 0 { &Deaf } else { &all[at].recorder };
        let stopwatch = Stopwatch::start();
        for at in 0..READS {
            observer.read(&read(&keys[at % keys.len()]));
        }
        stopwatch.nanos()
    })
}

/// Tells one of several recorders, or nobody as number 0: what is read lies at the same places then, whoever is told.
#[derive(Debug)]
struct Chosen {
    at: AtomicUsize,
    recorders: Vec<Recorder>,
}

impl ReadObserver for Chosen {
    #[inline]
    fn read(&self, read: &Read<'_>) {
        match self.at.load(Ordering::Relaxed) {
            0 => {}
            at => self.recorders[at].read(read),
        }
    }
}

/// Hits in L1 of the documents of `keys`.
struct Hits<'a> {
    keys: &'a [Key],
    /// A round takes the next of them, and begins again at the end.
    reads: Vec<u32>,
    next: Cell<usize>,
    /// Whether a round's copies are in the processor's caches when it begins.
    is_warm: bool,
}

impl Hits<'_> {
    fn read(&self, cache: &Cache) -> f64 {
        let stopwatch = Stopwatch::start();
        for number in &self.reads[self.next.get()..][..READS] {
            black_box(cache.try_get(&self.keys[*number as usize]));
        }
        stopwatch.nanos()
    }
}

/// Hits with and without a record of each, all of whose copies are in the processor's caches.
pub(crate) fn warm(rounds: usize, keys: &[Key]) -> anyhow::Result<()> {
    let keys = &keys[..keys.len().min(WARM_KEYS)];
    table::heading("a hit in L1: time on the reading thread, and processor time of all threads");
    hit(
        rounds,
        &Hits {
            keys,
            reads: zipf::sequence(keys.len(), READS, 1),
            next: Cell::new(0),
            is_warm: true,
        },
    )
}

/// The same of so many documents that most of a round's copies are not there.
pub(crate) fn cold(rounds: usize, keys: &[Key]) -> anyhow::Result<()> {
    table::heading("the same, of documents that are often not in the processor's caches");
    hit(
        rounds,
        &Hits {
            keys,
            reads: zipf::sequence(keys.len(), 256 * READS, 1),
            next: Cell::new(0),
            is_warm: false,
        },
    )
}

fn hit(rounds: usize, hits: &Hits<'_>) -> anyhow::Result<()> {
    let all = Recorded::all(if hits.is_warm {
        "not observed"
    } else {
        "told to nobody"
    })?;
    let chosen = &Arc::new(Chosen {
        at: AtomicUsize::new(0),
        recorders: all.iter().map(|one| one.recorder.clone()).collect(),
    });
    let documents = shelf::Shelf::new(hits.keys.len(), |number| shelf::document(number, 2048));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let settings = EngineSettings {
        l1_bytes_max: hits.keys.len() as u64 * 6 / 5 * (2048 * 3 / 2 + 512),
        ..EngineSettings::default()
    };
    let (bare, observed) = &runtime.block_on(async {
        let observer = Arc::<Chosen>::clone(chosen);
        let bare = documents.cache(settings).start();
        let observed = documents.cache(settings).observer(observer).start();
        shelf::fill(&bare, hits.keys).await?;
        shelf::fill(&observed, hits.keys).await?;
        anyhow::Ok((bare, observed))
    })?;
    compared(rounds, "hit", &all, |at| {
        // A cache of its own would be colder than the one that all others read.
        let cache = if at == 0 && hits.is_warm {
            bare
        } else {
            observed
        };
        if hits.is_warm {
            hits.read(cache);
        }
        chosen.at.store(at, Ordering::Relaxed);
        let wall = hits.read(cache);
        chosen.at.store(0, Ordering::Relaxed);
        hits.next.set((hits.next.get() + READS) % hits.reads.len());
        wall
    })
}
