//! What a record of the access log costs the thread that reads, the drainer and the disk, and how fast the logs of others are read.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hotshelf_access_log::lines::{Line, Lines};
use hotshelf_access_log::parse::OWN_PATHS;
use hotshelf_access_log::{
    Access, AccessRecord, BlockBuilder, Clocks, Format, HeldRead, KeyPattern, LogFormat, LogMode,
    Parser, ReadRecorder, Recorder, RecorderSettings, Recording, Writer, WriterSettings, block,
    json,
};
use hotshelf_benches::rounds::{Contender, Measured, Sample, compare};
use hotshelf_benches::time::Stopwatch;
use hotshelf_benches::{allocations, args::Args, cpu, install_metrics, shelf, table, zipf};
use hotshelf_engine::{Cache, EngineSettings};
use hotshelf_model::{
    Boot, BootClock, Clock, Key, KeyRef, NamespaceName, ReadOutcome, TierName, Version,
};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// Pushes of one round; they fit into a ring.
const PUSHES: usize = 4096;
/// Keys of the cache whose hits are recorded; the reads that fill it fit into a ring, too.
const HIT_KEYS: usize = 2000;
const PUSH_TARGET_NS: f64 = 20.0;
const LINES_TARGET: f64 = 30.0;

/// What the cache holds of a document, as far as a record needs it.
#[derive(Debug)]
struct Held {
    key: Key,
    bytes: u64,
}

/// A record as the request path makes it: a reference to what is held, and the texts of the request by value.
struct Read {
    held: Arc<Held>,
    at: Boot,
    latency_ns: u64,
    request_id: [u8; 32],
}

impl Access for Read {
    fn at(&self) -> Boot {
        self.at
    }

    fn record(&self, at_ms: u64) -> AccessRecord<'_> {
        AccessRecord {
            at_ms,
            reads: 1,
            key: KeyRef::from(&self.held.key),
            tier: TierName::L1,
            outcome: ReadOutcome::Hit,
            version: Version(1 << 40 | 7),
            latency_ns: Some(self.latency_ns),
            bytes: self.held.bytes,
            request_id: str::from_utf8(&self.request_id).unwrap_or_default(),
            caller: "product-page",
        }
    }
}

fn access(held: &Arc<Held>) -> Read {
    Read {
        held: Arc::clone(held),
        at: Boot(1),
        latency_ns: 300,
        request_id: [b'7'; 32],
    }
}

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

/// A recorder, and how many records its drainer has counted.
struct Ring {
    recorder: Recorder<Read>,
    counted: Arc<AtomicU64>,
    pushed: u64,
    _recording: Recording,
    _folder: tempfile::TempDir,
}

impl Ring {
    fn new(mode: Option<LogMode>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let counted = Arc::new(AtomicU64::new(0));
        let count = {
            let counted = Arc::clone(&counted);
            move |read: &Read| {
                black_box(read.held.key.hash_u64());
                counted.fetch_add(1, Ordering::Release);
            }
        };
        let boot: Arc<dyn Clock> = Arc::new(BootClock);
        let wall_ms = || 1_700_000_000_000;
        let clocks = Clocks { boot, wall_ms };
        let log = mode.map(|mode| Ok::<_, anyhow::Error>((writer(folder.path())?, mode)));
        let (recorder, recording) =
            Recording::start(RecorderSettings::default(), clocks, log.transpose()?, count)?;
        Ok(Ring {
            recorder,
            counted,
            pushed: 0,
            _recording: recording,
            _folder: folder,
        })
    }

    /// Pushes a ring half full; the time is of the pushes alone, the processor time of all until the ring is empty again.
    fn round(&mut self, held: &[Arc<Held>]) -> Sample {
        let (used, stopwatch) = (cpu::own_nanos(), Stopwatch::start());
        for at in 0..PUSHES {
            self.recorder.record(access(&held[at % held.len()]));
        }
        let wall = stopwatch.nanos();
        self.pushed += PUSHES as u64;
        while self.counted.load(Ordering::Acquire) < self.pushed {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        Sample::over(PUSHES, wall, cpu::own_nanos() - used)
    }
}

fn push(rounds: usize) -> anyhow::Result<()> {
    let held: Vec<Arc<Held>> = shelf::keys(1000)
        .into_iter()
        .map(|key| Arc::new(Held { key, bytes: 2048 }))
        .collect();
    let mut counted = Ring::new(None)?;
    let one_in = NonZeroU32::new(100).unwrap_or(NonZeroU32::MIN);
    let mut sampled = Ring::new(Some(LogMode::Sampled(one_in)))?;
    let mut full = Ring::new(Some(LogMode::Full))?;
    counted.round(&held);
    let before = allocations::of_this_thread();
    for at in 0..PUSHES {
        counted.recorder.record(access(&held[at % held.len()]));
    }
    let allocated = allocations::of_this_thread() - before;
    counted.pushed += PUSHES as u64;
    let made = || {
        let (used, stopwatch) = (cpu::own_nanos(), Stopwatch::start());
        for at in 0..PUSHES {
            black_box(access(&held[at % held.len()]));
        }
        Sample::over(PUSHES, stopwatch.nanos(), cpu::own_nanos() - used)
    };
    let measured = compare(
        rounds,
        &mut [
            Contender::new("the record made and dropped", made),
            Contender::new("recorded and counted", || counted.round(&held)),
            Contender::new("and one in 100 logged", || sampled.round(&held)),
            Contender::new("and all logged", || full.round(&held)),
        ],
    );
    table::heading("a record: time on the reading thread, and processor time of all threads");
    table::comparison("record", &measured, 0);
    table::say(format!("allocations of {PUSHES} pushes: {allocated}"));
    let wall = |at: usize| measured[at].median(|sample| sample.wall_ns);
    table::target(
        "ns of a record on the reading thread",
        wall(1),
        PUSH_TARGET_NS,
    );
    Ok(())
}

/// A cache with all documents in L1 whose reads are told to a recorder, and what its drainer has counted.
struct Recorded {
    cache: Cache,
    counted: Arc<AtomicU64>,
    read: u64,
    _recording: Recording,
    _folder: tempfile::TempDir,
}

impl Recorded {
    async fn new(
        documents: &Arc<shelf::Shelf>,
        keys: &[Key],
        mode: Option<LogMode>,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let counted = Arc::new(AtomicU64::new(0));
        let count = {
            let counted = Arc::clone(&counted);
            move |read: &HeldRead| {
                black_box(read.key_text());
                counted.fetch_add(1, Ordering::Release);
            }
        };
        let clocks = Clocks {
            boot: Arc::new(BootClock),
            wall_ms: || 1_700_000_000_000,
        };
        let log = mode.map(|mode| Ok::<_, anyhow::Error>((writer(folder.path())?, mode)));
        let (recorder, recording) =
            Recording::start(RecorderSettings::default(), clocks, log.transpose()?, count)?;
        let observer = ReadRecorder::new(recorder);
        let cache = documents.cache(hit_settings(keys.len()));
        let cache = cache.observer(Arc::new(observer)).start();
        shelf::fill(&cache, keys).await?;
        let mut recorded = Recorded {
            cache,
            counted,
            read: keys.len() as u64,
            _recording: recording,
            _folder: folder,
        };
        recorded.settle();
        Ok(recorded)
    }

    /// Waits until the ring is empty.
    fn settle(&mut self) {
        while self.counted.load(Ordering::Acquire) < self.read {
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    fn round(&mut self, reads: &[u32], keys: &[Key]) -> Sample {
        let (used, stopwatch) = (cpu::own_nanos(), Stopwatch::start());
        hits(&self.cache, reads, keys);
        let wall = stopwatch.nanos();
        self.read += reads.len() as u64;
        self.settle();
        Sample::over(reads.len(), wall, cpu::own_nanos() - used)
    }
}

fn hit_settings(count: usize) -> EngineSettings {
    EngineSettings {
        l1_bytes_max: count as u64 * 6 / 5 * (2048 * 3 / 2 + 512),
        ..EngineSettings::default()
    }
}

fn hits(cache: &Cache, reads: &[u32], keys: &[Key]) {
    for number in reads {
        black_box(cache.try_get(&keys[*number as usize]));
    }
}

/// The same hits in L1 with and without a record of each.
fn hit(rounds: usize) -> anyhow::Result<()> {
    let count = HIT_KEYS;
    let (keys, reads) = (shelf::keys(count), &zipf::sequence(count, PUSHES, 1));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let documents = shelf::Shelf::new(count, |number| shelf::document(number, 2048));
    let one_in = LogMode::Sampled(NonZeroU32::new(100).unwrap_or(NonZeroU32::MIN));
    let (plain, mut recorded) = runtime.block_on(async {
        let plain = documents.cache(hit_settings(count)).start();
        shelf::fill(&plain, &keys).await?;
        let mut recorded = Vec::new();
        for mode in [None, Some(one_in), Some(LogMode::Full)] {
            recorded.push(Recorded::new(&documents, &keys, mode).await?);
        }
        anyhow::Ok((plain, recorded))
    })?;
    for one in &mut recorded {
        one.round(reads, &keys);
    }
    let allocated = |cache: &Cache| {
        let before = allocations::of_this_thread();
        hits(cache, reads, &keys);
        allocations::of_this_thread() - before
    };
    let without = allocated(&plain);
    let mut with = Vec::new();
    for one in &mut recorded {
        with.push(allocated(&one.cache));
        one.read += reads.len() as u64;
        one.settle();
    }
    let [counted, sampled, full] = &mut recorded[..] else {
        anyhow::bail!("three caches are recorded");
    };
    let read_plain = || {
        Sample::of(|| {
            hits(&plain, reads, &keys);
            reads.len()
        })
    };
    let measured = compare(
        rounds,
        &mut [
            Contender::new("a hit without a record", read_plain),
            Contender::new("recorded and counted", || counted.round(reads, &keys)),
            Contender::new("and one in 100 logged", || sampled.round(reads, &keys)),
            Contender::new("and all logged", || full.round(reads, &keys)),
        ],
    );
    table::heading("a hit in L1: time on the reading thread, and processor time of all threads");
    table::comparison("hit", &measured, 0);
    table::say(format!(
        "allocations of {} hits: {without} without, {with:?} with a record",
        reads.len()
    ));
    let wall = |at: usize| measured[at].median(|sample| sample.wall_ns);
    for (at, name) in ["counted", "counted and sampled", "counted and logged"]
        .into_iter()
        .enumerate()
    {
        let added = wall(at + 1) - wall(0);
        let name = format!("ns that a record adds to a hit, {name}");
        table::target(&name, added, PUSH_TARGET_NS);
    }
    Ok(())
}

fn write(rounds: usize, reads: &[u32], keys: &[Key]) -> anyhow::Result<()> {
    let ids: Vec<String> = (0..reads.len())
        .map(|at| format!("{:016x}", (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    let record = |at: usize| AccessRecord {
        at_ms: 1_700_000_000_000 + at as u64 / 50,
        reads: 1,
        key: KeyRef::from(&keys[reads[at] as usize]),
        tier: TierName::L1,
        outcome: ReadOutcome::Hit,
        version: Version(1 << 40 | u64::from(reads[at])),
        latency_ns: Some(300 + (at as u64 * 7919) % 200),
        bytes: 2048,
        request_id: &ids[at],
        caller: "product-page",
    };
    let bytes = [AtomicU64::new(0), AtomicU64::new(0)];
    let blocks = || {
        let (mut builder, mut written) = (BlockBuilder::new(), 0);
        let mut cut = |builder: &mut BlockBuilder| {
            let block = block::frame(&builder.take_content());
            written += block.map_or(0, |block| block.len());
        };
        for at in 0..reads.len() {
            builder.push(&record(at));
            if builder.is_full() {
                cut(&mut builder);
            }
        }
        cut(&mut builder);
        bytes[0].store(written as u64, Ordering::Relaxed);
        reads.len()
    };
    let lines = || {
        let (mut text, mut written) = (Vec::new(), 0);
        for at in 0..reads.len() {
            text.clear();
            json::push_line(&record(at), &mut text);
            written += black_box(&text).len();
        }
        bytes[1].store(written as u64, Ordering::Relaxed);
        reads.len()
    };
    let measured = compare(
        rounds,
        &mut [
            Contender::new("JSON lines", || Sample::of(lines)),
            Contender::new("blocks, compressed", || Sample::of(blocks)),
        ],
    );
    table::heading("writing a record, to memory");
    table::comparison("record", &measured, 0);
    let each = |at: usize| bytes[at].load(Ordering::Relaxed) as f64 / reads.len() as f64;
    table::say(format!(
        "bytes of a record: JSON lines {:.1}, blocks {:.1}",
        each(1),
        each(0)
    ));
    Ok(())
}

/// A log of each format with the same reads.
fn log(format: Format, reads: &[u32], keys: &[Key]) -> String {
    let mut text = String::new();
    for (at, number) in reads.iter().enumerate() {
        let (id, second) = (keys[*number as usize].id(), at / 5000 % 60);
        text += &match format {
            Format::NginxJson | Format::EnvoyJson => format!(
                "{{\"start_time\":\"2026-11-21T15:39:{second:02}.{:03}Z\",\"method\":\"GET\",\"path\":\"/v1/products/{id}\",\"protocol\":\"HTTP/2\",\"response_code\":200,\"bytes_sent\":2048,\"duration\":1,\"user_agent\":\"okhttp/4.12\"}}\n",
                at % 1000
            ),
            Format::Nginx | Format::Envoy | Format::Hotshelf => format!(
                "203.0.113.{} - - [21/Nov/2026:15:39:{second:02} +0000] \"GET /v1/products/{id} HTTP/1.1\" 200 2048 \"https://shop.example/search?q=lamp&page=2\" \"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\"\n",
                at % 256
            ),
        };
    }
    text
}

/// Reads a whole log; answers how many lines it has.
fn parse(format: Format, text: &str, pattern: &KeyPattern) -> usize {
    let mut parser = Parser::new(format, pattern.clone());
    let mut lines = Lines::new(text.as_bytes());
    let mut events = 0;
    while let Ok(Some(line)) = lines.next() {
        let Line::Whole(line) = line else { continue };
        events += usize::from(matches!(black_box(parser.parse(line)), Ok(Some(_))));
    }
    events
}

fn read(rounds: usize, reads: &[u32], keys: &[Key]) -> anyhow::Result<()> {
    let pattern = KeyPattern::new(OWN_PATHS, &NamespaceName::new("products")?)?;
    let nginx = log(Format::Nginx, reads, keys);
    let envoy = log(Format::EnvoyJson, reads, keys);
    let ends = || memchr::memchr_iter(b'\n', nginx.as_bytes()).count();
    let measured = compare(
        rounds,
        &mut [
            Contender::new("line ends alone", || Sample::of(ends)),
            Contender::new("nginx combined to events", || {
                Sample::of(|| parse(Format::Nginx, &nginx, &pattern))
            }),
            Contender::new("Envoy JSON to events", || {
                Sample::of(|| parse(Format::EnvoyJson, &envoy, &pattern))
            }),
        ],
    );
    table::heading(&format!(
        "reading the logs of others, from memory; a line of nginx has {} bytes, of Envoy {}",
        nginx.len() / reads.len(),
        envoy.len() / reads.len()
    ));
    table::comparison("line", &measured, 0);
    let millions = |measured: &Measured| 1000.0 / measured.median(|sample| sample.cpu_ns);
    table::target_at_least(
        "million lines of nginx's combined a second and core",
        millions(&measured[1]),
        LINES_TARGET,
    );
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let args = Args::read()?;
    install_metrics()?;
    let (keys, reads) = args.size((50_000, 500_000), (500, 5000));
    let (keys, reads) = (shelf::keys(keys), zipf::sequence(keys, reads, 1));
    let rounds = args.size(15, 1);
    table::say(format!(
        "{} reads of {} keys, Zipf {}; metrics on, allocator mimalloc",
        reads.len(),
        keys.len(),
        zipf::EXPONENT
    ));
    if args.wants("push") {
        push(rounds * 4)?;
    }
    if args.wants("hit") {
        hit(rounds * 4)?;
    }
    if args.wants("write") {
        write(rounds, &reads, &keys)?;
    }
    if args.wants("read") {
        read(rounds, &reads, &keys)?;
    }
    Ok(())
}
