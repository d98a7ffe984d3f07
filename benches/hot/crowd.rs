//! Those who read: threads with a connection each, as many for each node, at a fixed rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::anyhow;
use hdrhistogram::Histogram;
use hotshelf_benches::time::Stopwatch;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::cluster::{Cluster, Connection, NODES, id};

/// So that a read that is slow keeps few others waiting.
const READERS_PER_NODE: usize = 4;

/// What is read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reads {
    /// One product.
    Only(usize),
    /// One product a fifth of the time, and otherwise any of so many.
    Fifth(usize, usize),
}

/// Latencies of all reads, and of those of the one product.
type Latencies = (Histogram<u64>, Histogram<u64>);

/// Readers at work.
pub(crate) struct Crowd {
    stop: Arc<AtomicBool>,
    readers: Vec<JoinHandle<anyhow::Result<Latencies>>>,
}

impl Crowd {
    /// Begins to read, `rate` times a second over all nodes.
    pub(crate) fn gather(cluster: &Cluster, rate: u32, reads: Reads) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let all = NODES * READERS_PER_NODE;
        let interval = Duration::from_secs(1) * u32::try_from(all).unwrap_or(1) / rate;
        let readers = (0..all).map(|number| {
            let port = cluster.nodes[number % NODES].port;
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || read(port, number as u64, reads, interval, &stop))
        });
        Crowd {
            readers: readers.collect(),
            stop,
        }
    }

    /// Ends all reading; says how long answers took.
    pub(crate) fn leave(self) -> anyhow::Result<Latencies> {
        self.stop.store(true, Ordering::Relaxed);
        let mut both: Latencies = (Histogram::new(3)?, Histogram::new(3)?);
        for reader in self.readers {
            let (all, one) = reader
                .join()
                .map_err(|_panic| anyhow!("a reader ended"))??;
            both.0.add(all)?;
            both.1.add(one)?;
        }
        Ok(both)
    }
}

/// A read that is sent late has been waiting since it was due.
fn read(
    port: u16,
    seed: u64,
    reads: Reads,
    interval: Duration,
    stop: &AtomicBool,
) -> anyhow::Result<Latencies> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut connection = Connection::open(port)?;
    let mut both: Latencies = (Histogram::new(3)?, Histogram::new(3)?);
    let watch = Stopwatch::start();
    let mut due = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        rest(due.saturating_sub(watch.elapsed()));
        let (product, is_one) = match reads {
            Reads::Only(one) => (one, true),
            Reads::Fifth(one, _) if random.random_range(0..5) == 0 => (one, true),
            Reads::Fifth(_, products) => (random.random_range(0..products), false),
        };
        connection.get(&format!("/v1/products/{}", id(product)))?;
        let took = u64::try_from((watch.elapsed() - due).as_nanos())?;
        both.0.record(took)?;
        if is_one {
            both.1.record(took)?;
        }
        due += interval;
    }
    Ok(both)
}

#[expect(clippy::disallowed_methods, reason = "a crowd keeps its pace")]
pub(crate) fn rest(time: Duration) {
    std::thread::sleep(time);
}
