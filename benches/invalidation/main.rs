//! How soon after a commit no node serves the old version any more: three engines in one process over a real PostgreSQL and a real NATS.
//!
//! A change is timed from the commit's acknowledgement until the last of the nodes refuses the copy that it holds in L1. A node is looked at
//! whenever it has taken in a message of the bus, by itself, so that looking adds no wait; what does not come over the bus is seen by a thread
//! that looks some ten thousand times a second.

mod lookout;
mod nodes;

use std::time::Duration;

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use hotshelf_benches::args::Args;
use hotshelf_benches::{install_metrics, table};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::nodes::{Nodes, Watch, Writer};

/// Between two looks.
const LOOK: Duration = Duration::from_micros(50);
/// A change that takes longer than this is a defect and no measurement.
const PATIENCE: Duration = Duration::from_secs(10);
/// Changes come at any time of a polling or sequencing interval.
const PAUSE_MAX_US: u64 = 20_000;

fn row(name: &str, delays: &Histogram<u64>) -> Vec<String> {
    let quantiles = [0.5, 0.9, 0.99, 1.0];
    let times = quantiles.map(|quantile| table::nanos(delays.value_at_quantile(quantile) as f64));
    let mut row = vec![name.to_owned(), delays.len().to_string()];
    row.extend(times);
    row
}

fn measure(nodes: &Nodes, writer: Writer, changes: usize) -> anyhow::Result<Histogram<u64>> {
    let mut random = SmallRng::seed_from_u64(7400);
    let mut delays = Histogram::new(3)?;
    for change in 0..changes {
        let held = nodes.hold()?;
        rest(Duration::from_micros(random.random_range(0..PAUSE_MAX_US)));
        let watch = nodes.watch(held);
        ensure!(!watch.saw_any_refuse(), "a node lost its copy by itself");
        let acknowledged = nodes.write(writer, change)?;
        let refused = until_refused(&watch);
        let refused = refused.with_context(|| format!("change {change}"))?;
        delays.record(nanos(refused.saturating_sub(acknowledged))?)?;
    }
    Ok(delays)
}

/// When the last node refused.
fn until_refused(watch: &Watch<'_>) -> anyhow::Result<Duration> {
    let begun = watch.clock.elapsed();
    loop {
        if let Some(refused) = watch.all_refused() {
            return Ok(refused);
        }
        ensure!(
            watch.clock.elapsed() - begun < PATIENCE,
            "a node serves the old version after {PATIENCE:?}"
        );
        rest(LOOK);
    }
}

fn nanos(time: Duration) -> anyhow::Result<u64> {
    Ok(u64::try_from(time.as_nanos())?)
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is measured happens meanwhile"
)]
fn rest(time: Duration) {
    std::thread::sleep(time);
}

/// A name, who writes, over which bus, how many changes, and the most milliseconds of p50 and p99.
type Part = (&'static str, Writer, bool, usize, f64, f64);

fn main() -> anyhow::Result<()> {
    let args = Args::read()?;
    install_metrics()?;
    let usual = args.size(1000, 5);
    let parts: [Part; 3] = [
        ("api", Writer::Api, true, usual, 0.5, 3.0),
        ("sql", Writer::Sql, true, usual, 3.0, 8.0),
        (
            "polling",
            Writer::Sql,
            false,
            args.size(200, 3),
            350.0,
            350.0,
        ),
    ];
    let wanted: Vec<_> = parts
        .into_iter()
        .filter(|(name, ..)| args.wants(name))
        .collect();
    let mut rows = Vec::new();
    let mut targets = Vec::new();
    for (name, writer, has_bus, changes, p50, p99) in wanted {
        let nodes = Nodes::open(has_bus)?;
        let delays = measure(&nodes, writer, changes)?;
        rows.push(row(name, &delays));
        for (quantile, at_most) in [(0.5, p50), (0.99, p99)] {
            let ms = delays.value_at_quantile(quantile) as f64 / 1e6;
            targets.push((format!("{name}, ms at {quantile}"), ms, at_most));
        }
    }
    table::heading("from a commit's acknowledgement until each of 3 nodes refuses the old version");
    table::say(
        "api: written through a node; sql: by another program, with NATS; polling: the same without a bus; all on the same processors",
    );
    table::say(
        "a node looks at its copy itself when it has taken a message in, so looking is no part of the times; polling: up to a tenth of a millisecond",
    );
    table::rows(
        &["written by", "changes", "p50", "p90", "p99", "max"],
        &rows,
    );
    for (what, measured, at_most) in targets {
        table::target(&what, measured, at_most);
    }
    Ok(())
}
