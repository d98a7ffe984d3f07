//! Real traces of a shop through a node with a small L1: hit ratio of each tier and reads of the origin, beside plain LRU, moka
//! alone and the optimum, all with room for the same number of entries.

use std::sync::Arc;

use anyhow::{Context, ensure};
use bytes::Bytes;
use hotshelf_benches::shelf::{self, Shelf};
use hotshelf_benches::time::Stopwatch;
use hotshelf_benches::trace::Trace;
use hotshelf_benches::{args::Args, install_metrics, policy, table};
use hotshelf_engine::{Cache, EngineSettings, ReadOptions};
use hotshelf_model::{Key, Tier, TierName};
use hotshelf_telemetry::Recorder;
use hotshelf_testkit::FakeTier;

const TRACES: [&str; 2] = ["cache2k_web07", "cache2k_orm-busy"];
const REQUESTS_MAX: usize = 1_000_000;
const DOCUMENT_BYTES: usize = 1024;
const PERCENTS: [usize; 3] = [1, 5, 20];
/// A bench's loop must let the node's own tasks run: they share one thread here.
const YIELD_EVERY: usize = 64;
/// Entries from which the weight of one is taken.
const WEIGHED: usize = 1000;

/// What became of a trace's requests in a node.
#[derive(Debug, Default)]
struct Replayed {
    /// Answers by tier, in the order of [`TierName::ALL`].
    answers: [usize; 4],
    origin_reads: u64,
    seconds: f64,
}

struct Node {
    shelf: Arc<Shelf>,
    cache: Cache,
}

impl Node {
    /// A node with an L2 that holds everything, as a Redis that is large enough does.
    fn start(keys: usize, l1_bytes_max: u64) -> Self {
        let document = shelf::document(0, DOCUMENT_BYTES);
        let shelf = Shelf::new(keys, |_| document.clone());
        let settings = EngineSettings {
            l1_bytes_max,
            ..EngineSettings::default()
        };
        let l2: Arc<dyn Tier> = Arc::new(FakeTier::new(TierName::L2));
        let cache = shelf.cache(settings).l2(l2).start();
        Node { shelf, cache }
    }

    async fn replay(&self, requests: &[u32], keys: &[Key]) -> anyhow::Result<Replayed> {
        while !self.cache.is_ready() {
            tokio::task::yield_now().await;
        }
        let stopwatch = Stopwatch::start();
        let mut replayed = Replayed::default();
        for (at, &number) in requests.iter().enumerate() {
            let key = &keys[number as usize];
            let answer = self.cache.get(key, ReadOptions::default()).await?;
            let tier = TierName::ALL.iter().position(|tier| *tier == answer.tier());
            replayed.answers[tier.unwrap_or_default()] += 1;
            if at % YIELD_EVERY == 0 {
                tokio::task::yield_now().await;
            }
        }
        replayed.seconds = stopwatch.elapsed().as_secs_f64();
        replayed.origin_reads = self.shelf.fetched();
        Ok(replayed)
    }
}

/// What one of this bench's entries weighs in L1, from the node's own gauges.
async fn weight(recorder: &Recorder) -> anyhow::Result<u64> {
    let node = Node::start(WEIGHED, 1 << 30);
    shelf::fill(&node.cache, &shelf::keys(WEIGHED)).await?;
    let gauge = |name: &str| -> anyhow::Result<f64> {
        let text = recorder.render();
        let line = text.lines().find_map(|line| {
            line.strip_prefix(name)?
                .strip_prefix("{tier=\"l1\"} ")
                .map(str::to_owned)
        });
        Ok(line.unwrap_or_default().parse().unwrap_or_default())
    };
    let seen = async {
        while gauge("hotshelf_tier_entries")? < WEIGHED as f64 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        gauge("hotshelf_tier_bytes")
    };
    let limit = std::time::Duration::from_secs(10);
    let bytes = tokio::time::timeout(limit, seen)
        .await
        .context("the node shows no size of L1")??;
    let weight = (bytes / WEIGHED as f64).round();
    ensure!(weight > 1.0, "the node shows no bytes in L1");
    Ok(format!("{weight:.0}").parse()?)
}

fn moka_alone(requests: &[u32], keys: &[Key], entries: usize) -> usize {
    let cache: moka::sync::Cache<Arc<str>, Bytes> = moka::sync::Cache::new(entries as u64);
    let document = Bytes::from_static(b"{}");
    let hit = |number: &&u32| {
        let text = keys[**number as usize].as_str();
        let hit = cache.get(text).is_some();
        if !hit {
            cache.insert(text.into(), document.clone());
        }
        hit
    };
    requests.iter().filter(hit).count()
}

fn quick_cache_alone(requests: &[u32], keys: &[Key], entries: usize) -> usize {
    let cache: quick_cache::sync::Cache<Arc<str>, Bytes> = quick_cache::sync::Cache::new(entries);
    let document = Bytes::from_static(b"{}");
    let hit = |number: &&u32| {
        let text = keys[**number as usize].as_str();
        let hit = cache.get(text).is_some();
        if !hit {
            cache.insert(text.into(), document.clone());
        }
        hit
    };
    requests.iter().filter(hit).count()
}

fn percent(part: usize, whole: usize) -> String {
    format!("{:.2} %", part as f64 * 100.0 / whole as f64)
}

async fn show(trace: &Trace, weight: u64) -> anyhow::Result<()> {
    let (requests, keys) = (&trace.requests, shelf::keys(trace.keys));
    let count = requests.len();
    table::heading(&format!(
        "{}: {count} requests, {} keys",
        trace.name, trace.keys
    ));
    let columns = [
        "L1",
        "entries",
        "LRU",
        "moka",
        "quick_cache",
        "optimum",
        "L1 hits",
        "L2 hits",
        "origin reads",
        "time",
    ];
    let mut rows = Vec::new();
    for share in PERCENTS {
        let entries = (trace.keys * share / 100).max(1);
        let node = Node::start(trace.keys, weight * entries as u64);
        let replayed = node.replay(requests, &keys).await?;
        let [l1, l2, ..] = replayed.answers;
        rows.push(vec![
            format!("{share} %"),
            entries.to_string(),
            percent(policy::lru_hits(requests, trace.keys, entries), count),
            percent(moka_alone(requests, &keys, entries), count),
            percent(quick_cache_alone(requests, &keys, entries), count),
            percent(policy::optimal_hits(requests, trace.keys, entries), count),
            percent(l1, count),
            percent(l2, count),
            replayed.origin_reads.to_string(),
            format!("{:.1} s", replayed.seconds),
        ]);
    }
    table::rows(&columns, &rows);
    Ok(())
}

fn traces(args: &Args) -> Vec<Trace> {
    let most = if args.full { usize::MAX } else { REQUESTS_MAX };
    let most = args.size(most, 5000);
    let mut traces = Vec::new();
    for name in TRACES {
        if !args.wants(name) {
            continue;
        }
        match Trace::read(name, most) {
            Ok(trace) => traces.push(trace),
            Err(error) => table::say(format!("skipped: {error:#}; set HOTSHELF_DATA")),
        }
    }
    if traces.is_empty() {
        let (keys, requests) = args.size((50_000, 500_000), (500, 5000));
        traces.push(Trace::generated(keys, requests));
    }
    traces
}

fn main() -> anyhow::Result<()> {
    let args = Args::read()?;
    let recorder = install_metrics()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let traces = traces(&args);
    runtime.block_on(async {
        let weight = weight(&recorder).await?;
        table::say(format!(
            "documents of {DOCUMENT_BYTES} bytes; an entry weighs {weight} bytes in L1; L2 in memory, unbounded; one request after another"
        ));
        for trace in &traces {
            show(trace, weight).await?;
        }
        anyhow::Ok(())
    })
}
