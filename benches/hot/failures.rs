//! What is lost while the node that decides what is hot, or the bus, is gone.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use hotshelf_benches::table;
use hotshelf_benches::time::Stopwatch;

use crate::cluster::{Cluster, NODES, Shape};
use crate::crowd::{Crowd, Reads, rest};
use crate::{PATIENCE, SURGE, THRESHOLD, ms, record, times};

const DEMOTED: &str = "hotshelf_hot_decisions_total{decision=\"demoted\"}";
const IN_CLUSTER: &str = "hotshelf_hot_cluster_keys";
const FOUND_ALONE: &str = "hotshelf_hot_provisional_total";

/// The node that leads is killed while a key is hot, again and again; its place is taken by a new one each time.
pub(crate) fn leader(program: &Path, rounds: usize) -> anyhow::Result<()> {
    let mut cluster = Cluster::start(program, shape(1))?;
    let (mut led, mut demoted) = (Histogram::<u64>::new(3)?, 0.0);
    for _ in 0..rounds {
        let crowd = Crowd::gather(&cluster, THRESHOLD * SURGE, Reads::Only(0));
        wait("every node knows the hot key", || {
            Ok(cluster.sum(IN_CLUSTER)? == NODES as f64)
        })?;
        crowd.leave()?;
        let leader = (0..NODES).find(|&at| cluster.nodes[at].leads().unwrap_or_default());
        let leader = leader.context("nobody leads")?;
        let before = cluster.sum(DEMOTED)? - cluster.nodes[leader].metric(DEMOTED)?;
        let killed = Stopwatch::start();
        cluster.nodes[leader].kill()?;
        let others = || (0..NODES).filter(|&at| at != leader);
        wait("another node leads", || {
            Ok(others().any(|at| cluster.nodes[at].leads().unwrap_or_default()))
        })?;
        record(&mut led, killed.elapsed())?;
        let after = others().map(|at| cluster.nodes[at].metric(DEMOTED));
        demoted += after.sum::<anyhow::Result<f64>>()? - before;
        cluster.replace(leader)?;
        cluster.wait_for_seats();
    }
    table::heading("from the end of the node that leads until another leads");
    times(&[("kill -9", &led)]);
    table::target("ms at 0.99", ms(&led, 0.99), 2000.0);
    table::target("keys demoted meanwhile", demoted, 0.0);
    Ok(())
}

/// The bus is gone, and surges come.
pub(crate) fn alone(program: &Path, surges: usize) -> anyhow::Result<()> {
    let cluster = Cluster::start(program, shape(surges))?;
    cluster.nats.kill();
    // By then every node has noticed.
    rest(Duration::from_secs(2));
    let mut found = Histogram::<u64>::new(3)?;
    for product in 0..surges {
        let nodes = cluster.nodes.iter();
        let before: Vec<f64> = nodes
            .map(|node| node.metric(FOUND_ALONE))
            .collect::<anyhow::Result<_>>()?;
        let surge = Stopwatch::start();
        let crowd = Crowd::gather(&cluster, THRESHOLD * SURGE, Reads::Only(product));
        wait("every node finds the surge alone", || {
            let mut nodes = cluster.nodes.iter().zip(&before);
            nodes.try_fold(true, |all, (node, before)| {
                Ok(all && node.metric(FOUND_ALONE)? > *before)
            })
        })?;
        record(&mut found, surge.elapsed())?;
        crowd.leave()?;
        rest(Duration::from_millis(500 + 37 * (product as u64 % 10)));
    }
    table::heading(
        "without the bus: from the first read of a surge until every node holds its product by itself",
    );
    table::say(format!(
        "{SURGE} x the threshold, spread over {NODES} nodes"
    ));
    times(&[("every node", &found)]);
    table::target("ms at 0.99", ms(&found, 0.99), 500.0);
    Ok(())
}

fn shape(products: usize) -> Shape {
    Shape {
        products,
        l1_bytes: 64 << 20,
        promotes: true,
    }
}

/// Looks until it is so.
fn wait(what: &str, is_so: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    while !is_so()? {
        ensure!(watch.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}");
        rest(Duration::from_millis(2));
    }
    Ok(())
}
