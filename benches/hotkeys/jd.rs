//! The rule of JD-hotkey, by its documents and sources: nodes send counts each 500 ms, and a worker keeps a sliding window for each key.
//!
//! A rule of two seconds has slices of 400 ms; a key is hot when the last five of them hold as many reads as the rule says. Not the
//! program itself: no network, no queue, no garbage collector, so it is at its best here.

use std::collections::HashMap;

use crate::nodes::STEP_MS;

const SLICE_MS: u64 = 400;
const SLICES: usize = 5;
const RING: usize = 2 * SLICES;

/// Seconds over which the rule's threshold is meant.
pub(crate) const INTERVAL_S: f64 = 2.0;

/// What a node has counted since it last sent.
#[derive(Debug, Default)]
pub(crate) struct Sdk {
    counts: HashMap<u32, u32>,
    /// The step of the first batch.
    phase: u64,
}

impl Sdk {
    pub(crate) fn new(phase: u64) -> Self {
        Sdk {
            counts: HashMap::new(),
            phase,
        }
    }

    pub(crate) fn count(&mut self, key: u32) {
        *self.counts.entry(key).or_default() += 1;
    }

    /// The batch that is sent with a step, if one is.
    pub(crate) fn send(&mut self, step: u64, batch_ms: u64) -> Option<HashMap<u32, u32>> {
        let is_due = (step + self.phase).is_multiple_of(batch_ms / STEP_MS);
        is_due.then(|| std::mem::take(&mut self.counts))
    }
}

#[derive(Debug, Default)]
struct Window {
    slices: [u32; RING],
    begin_ms: u64,
    last_ms: u64,
}

impl Window {
    /// Adds a count and answers the sum of the window.
    fn add(&mut self, now_ms: u64, count: u32) -> u32 {
        if now_ms - self.last_ms > SLICE_MS * SLICES as u64 {
            self.slices = [0; RING];
            self.begin_ms = now_ms;
        }
        self.last_ms = now_ms;
        let slice = (now_ms - self.begin_ms) / SLICE_MS;
        let at = usize::try_from(slice % RING as u64).unwrap_or_default();
        for ahead in 1..=SLICES {
            self.slices[(at + ahead) % RING] = 0;
        }
        self.slices[at] += count;
        (0..SLICES)
            .map(|back| self.slices[(at + RING - back) % RING])
            .sum()
    }
}

/// The worker. It is asked for one promotion of each key; how it lets go is not compared.
#[derive(Debug)]
pub(crate) struct Worker {
    windows: HashMap<u32, Window>,
    threshold: f64,
}

impl Worker {
    /// `threshold` in reads per second.
    pub(crate) fn new(threshold: f64) -> Self {
        Worker {
            windows: HashMap::new(),
            threshold: threshold * INTERVAL_S,
        }
    }

    /// Takes a batch; answers the keys that are hot.
    pub(crate) fn take(&mut self, now_ms: u64, batch: &HashMap<u32, u32>) -> Vec<u32> {
        let mut hot = Vec::new();
        for (&key, &count) in batch {
            let window = self.windows.entry(key).or_insert_with(|| Window {
                begin_ms: now_ms,
                last_ms: now_ms,
                ..Window::default()
            });
            if f64::from(window.add(now_ms, count)) >= self.threshold {
                hot.push(key);
            }
        }
        hot
    }
}
