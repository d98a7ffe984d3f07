//! Hot keys among real nodes: how soon every node holds what a crowd begins to read, and what that buys.
//!
//! Four nodes, their PostgreSQL, Redis and NATS and the crowd share the processors of one machine.

mod cluster;
mod crowd;
mod failures;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use hotshelf_benches::args::Args;
use hotshelf_benches::table;
use hotshelf_benches::time::Stopwatch;

use crate::cluster::{Cluster, NODES, Shape};
use crate::crowd::{Crowd, Reads, rest};

/// The default of a node, in reads per second over all nodes.
const THRESHOLD: u32 = 500;
const SURGE: u32 = 5;
/// A surge that is not found after this is a defect and no measurement.
const PATIENCE: Duration = Duration::from_secs(10);
/// Promotions of keys by decisions of the cluster.
const PROMOTED: &str = "hotshelf_hot_decisions_total{decision=\"promoted\"}";
/// Products of which the larger part has no room in the small L1.
const PRODUCTS: usize = 5_000;
const L1_BYTES: usize = 1 << 20;
/// Reads per second over all nodes in the part about what it buys.
const RATE: u32 = 2_000;

fn main() -> anyhow::Result<()> {
    let args = Args::read()?;
    let program = args.hotshelf_program()?;
    if args.wants("surges") {
        surges(&program, args.size(40, 3))?;
    }
    if args.wants("leader") {
        failures::leader(&program, args.size(20, 2))?;
    }
    if args.wants("alone") {
        failures::alone(&program, args.size(20, 2))?;
    }
    if args.wants("buys") {
        let time = Duration::from_secs(args.size(20, 3));
        buys(&program, time, args.size(3, 1))?;
    }
    Ok(())
}

/// Each surge is of another product, at a time of its own.
fn surges(program: &Path, surges: usize) -> anyhow::Result<()> {
    let shape = Shape {
        products: surges,
        l1_bytes: 64 << 20,
        promotes: true,
    };
    let cluster = Cluster::start(program, shape)?;
    let (mut first, mut last) = (Histogram::<u64>::new(3)?, Histogram::<u64>::new(3)?);
    for product in 0..surges {
        let before = promoted(&cluster)?;
        let watch = Stopwatch::start();
        let crowd = Crowd::gather(&cluster, THRESHOLD * SURGE, Reads::Only(product));
        let mut found: [Option<Duration>; NODES] = [None; NODES];
        while found.iter().any(Option::is_none) {
            ensure!(watch.elapsed() < PATIENCE, "surge {product} was not found");
            for (at, node) in cluster.nodes.iter().enumerate() {
                if found[at].is_none() && node.metric(PROMOTED)? > before[at] {
                    found[at] = Some(watch.elapsed());
                }
            }
        }
        crowd.leave()?;
        let times = found.iter().flatten().copied();
        record(&mut first, times.clone().min().context("no node")?)?;
        record(&mut last, times.max().context("no node")?)?;
        rest(Duration::from_millis(500 + 37 * (product as u64 % 10)));
    }
    table::heading("from the first read of a surge until nodes hold its product as hot");
    table::say(format!(
        "{SURGE} x the threshold of {THRESHOLD} reads/s, over {NODES} nodes; each node is asked for its counters in turn, which is part of the times"
    ));
    times(&[("the first node", &first), ("every node", &last)]);
    table::target("onset to every node, ms at 0.99", ms(&last, 0.99), 300.0);
    Ok(())
}

/// A row for each of these times, in nanoseconds.
fn times(named: &[(&str, &Histogram<u64>)]) {
    let row = |(name, times): &(&str, &Histogram<u64>)| {
        let quantiles = [0.5, 0.9, 0.99, 1.0];
        let mut row = vec![(*name).to_owned(), times.len().to_string()];
        row.extend(quantiles.map(|at| table::nanos(times.value_at_quantile(at) as f64)));
        row
    };
    let rows: Vec<_> = named.iter().map(row).collect();
    table::rows(&["", "times", "p50", "p90", "p99", "max"], &rows);
}

fn ms(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1e6
}

fn record(times: &mut Histogram<u64>, time: Duration) -> anyhow::Result<()> {
    Ok(times.record(u64::try_from(time.as_nanos())?)?)
}

fn promoted(cluster: &Cluster) -> anyhow::Result<Vec<f64>> {
    let nodes = cluster.nodes.iter();
    nodes.map(|node| node.metric(PROMOTED)).collect()
}

/// What one run cost.
struct Cost {
    origin: f64,
    l2: f64,
    cpu_ns: f64,
    all: Histogram<u64>,
    star: Histogram<u64>,
}

fn buys(program: &Path, time: Duration, rounds: usize) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for _ in 0..rounds {
        for (name, promotes) in [("promotion on", true), ("promotion off", false)] {
            let shape = Shape {
                products: PRODUCTS,
                l1_bytes: L1_BYTES,
                promotes,
            };
            let cost = crowded(&Cluster::start(program, shape)?, time)?;
            let reads = cost.all.len() as f64;
            let ms = |times: &Histogram<u64>| table::nanos(times.value_at_quantile(0.99) as f64);
            rows.push(vec![
                name.to_owned(),
                format!("{reads:.0}"),
                format!("{:.0}", cost.origin),
                format!("{:.0}", cost.l2),
                ms(&cost.all),
                ms(&cost.star),
                table::nanos(cost.cpu_ns / reads),
            ]);
        }
    }
    table::heading("a flash crowd: a fifth of all reads on one product, which changes each second");
    table::say(format!(
        "{RATE} reads/s over {NODES} nodes, the others of {PRODUCTS} products alike; L1 of {} MiB; {} s",
        L1_BYTES >> 20,
        time.as_secs()
    ));
    let columns = [
        "",
        "reads",
        "origin reads",
        "L2 lookups",
        "p99",
        "p99 of the one",
        "cpu/read",
    ];
    table::rows(&columns, &rows);
    Ok(())
}

fn crowded(cluster: &Cluster, time: Duration) -> anyhow::Result<Cost> {
    let star = 0;
    let reads = || Reads::Fifth(star, PRODUCTS);
    // What is read most is held, and found hot, before anything is counted.
    let warm = Crowd::gather(cluster, RATE, reads());
    rest(time / 3);
    warm.leave()?;
    let counters = || -> anyhow::Result<[f64; 3]> {
        Ok([
            cluster.sum("hotshelf_origin_documents_total")?,
            cluster.sum("hotshelf_lookups_total{tier=\"l2\"")?,
            cluster.cpu_nanos()?,
        ])
    };
    let before = counters()?;
    let crowd = Crowd::gather(cluster, RATE, reads());
    let watch = Stopwatch::start();
    for second in 1.. {
        let due = Duration::from_secs(second);
        if due > time {
            break;
        }
        rest(due.saturating_sub(watch.elapsed()));
        cluster.change(star, &format!("Price {second}"))?;
    }
    let (all, star) = crowd.leave()?;
    let after = counters()?;
    let [origin, l2, cpu_ns] = [0, 1, 2].map(|at| after[at] - before[at]);
    Ok(Cost {
        origin,
        l2,
        cpu_ns,
        all,
        star,
    })
}
