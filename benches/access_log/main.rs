//! What a record of the access log costs the thread that reads, the drainer and the disk, and how fast the logs of others are read.

mod recording;

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use hotshelf_access_log::lines::{Line, Lines};
use hotshelf_access_log::parse::OWN_PATHS;
use hotshelf_access_log::{AccessRecord, BlockBuilder, Format, KeyPattern, Parser, block, json};
use hotshelf_benches::rounds::{Contender, Measured, Sample, compare};
use hotshelf_benches::{allocations, args::Args, install_metrics, shelf, table, zipf};
use hotshelf_model::{Key, KeyRef, NamespaceName, ReadOutcome, TierName, Version};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

const LINES_TARGET: f64 = 30.0;

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
        recording::push(rounds * 4, &keys[..500])?;
    }
    if args.wants("hit") {
        recording::warm(rounds * 12, &keys)?;
        recording::cold(rounds * 12, &keys)?;
    }
    if args.wants("write") {
        write(rounds, &reads, &keys)?;
    }
    if args.wants("read") {
        read(rounds, &reads, &keys)?;
    }
    Ok(())
}
