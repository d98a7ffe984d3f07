//! What a node counts, on the thread of the access log's drainer: slices, frames, and what it finds hot by itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hotshelf_access_log::{Counting, HeldRead};
use hotshelf_hotkeys::message::{HASHES_MAX, Name};
use hotshelf_hotkeys::{
    Alone, Found, Framer, HotMessage, KeyHash, Provisional, Sender, Slice, Slices,
};
use hotshelf_model::{Boot, Bus, Channel, Hist, Key, Published};
use hotshelf_telemetry::metric::{HOT_FRAMES, HOT_NAMES, HOT_TAU};
use hotshelf_telemetry::{Counter as Metric, Gauge};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::handle::HotKeys;
use crate::names::Names;

/// Nodes that know a key answer within so many milliseconds for each of them, so that seldom two do.
const ANSWER_SPREAD_MS: u64 = 2;
/// The longest time by which an answer is spread.
const ANSWER_SPREAD_MAX_MS: u64 = 40;
/// Of a key that has this part of its share of the threshold in one slice, a node wants to know the name before it is alone.
const NAMED_SHARE: f64 = 0.5;
/// Names that it wants of one slice.
const NAMED_MAX: usize = 256;

/// What the counter is told by the task that hears the bus.
#[derive(Debug, Default)]
pub(crate) struct ForCounter {
    pub(crate) watched: Option<Vec<KeyHash>>,
    pub(crate) questions: Vec<KeyHash>,
    pub(crate) told: Vec<KeyHash>,
}

impl ForCounter {
    pub(crate) fn ask(&mut self, hashes: &[KeyHash]) {
        let room = HASHES_MAX.saturating_sub(self.questions.len());
        self.questions.extend(hashes.iter().take(room));
    }

    pub(crate) fn tell(&mut self, hashes: impl Iterator<Item = KeyHash>) {
        let room = HASHES_MAX.saturating_sub(self.told.len());
        self.told.extend(hashes.take(room));
    }
}

/// Counts what a node reads; for [`hotshelf_access_log::Recording::start`].
#[derive(Debug)]
pub struct Counter {
    hot_keys: HotKeys,
    bus: Arc<dyn Bus>,
    messages: Arc<Mutex<ForCounter>>,
    found: mpsc::Sender<Found>,
    hist: Option<Hist>,
    slices: Slices,
    framer: Framer,
    provisional: Provisional,
    names: Names,
    metrics: Metrics,
}

#[derive(Debug)]
struct Metrics {
    published: [Metric; 3],
    names: Metric,
    tau: Gauge,
}

impl Counter {
    pub(crate) fn new(
        hot_keys: HotKeys,
        bus: Arc<dyn Bus>,
        own: Sender,
        frame_bytes_max: usize,
        messages: Arc<Mutex<ForCounter>>,
        found: mpsc::Sender<Found>,
    ) -> Self {
        let mut framer = Framer::new(own, rand::random());
        framer.set_budget(frame_bytes_max);
        let outcomes = [Published::Sent, Published::Dropped, Published::TooLarge];
        Counter {
            slices: Slices::new(hot_keys.shared.clock.now(), rand::random()),
            hot_keys,
            bus,
            messages,
            found,
            hist: None,
            framer,
            provisional: Provisional::default(),
            names: Names::default(),
            metrics: Metrics {
                published: outcomes
                    .map(|outcome| HOT_FRAMES.counter(&[("outcome", outcome.as_str())])),
                names: HOT_NAMES.counter(&[]),
                tau: HOT_TAU.gauge(&[]),
            },
        }
    }

    /// Counts a read of a key by its whole text; `name` makes the key and says what its entry takes.
    #[inline]
    pub fn read(&mut self, text: &str, now: Boot, name: impl FnOnce() -> (Key, u32)) {
        // Before the history is known, no hash would be the cluster's.
        let Some(hist) = self.hist else {
            return;
        };
        let hash = KeyHash::of(text, hist.0);
        self.slices.count(hash, 1);
        if self.names.is_wanted(hash) {
            let (key, bytes) = name();
            self.names.learn(hash, Name { key, bytes }, now);
        }
    }

    /// Lets time pass: call it a hundred times a second, with the reads that were lost since.
    pub fn pass(&mut self, now: Boot, dropped: u64) {
        self.slices.dropped(dropped);
        let hist = self.hot_keys.shared.board.lock().hist();
        if hist != self.hist {
            self.hist = hist;
            self.slices = Slices::new(now, rand::random());
            self.provisional = Provisional::default();
            self.names = Names::default();
        }
        let Some(hist) = hist else {
            return;
        };
        let messages = std::mem::take(&mut *self.messages.lock());
        self.listen(messages, now);
        if let Some(slice) = self.slices.close(now) {
            self.closed(&slice, now);
            self.slices.reuse(slice);
        }
        let names = self.names.due(now);
        if !names.is_empty() {
            self.metrics.names.increment(names.len() as u64);
            let message = HotMessage::Names(names).encode(hist);
            self.bus.publish(Channel::Hot, message);
        }
    }

    fn alone(&self, now: Boot) -> Alone {
        self.hot_keys.shared.board.lock().alone(now)
    }

    fn listen(&mut self, messages: ForCounter, now: Boot) {
        if let Some(watched) = messages.watched {
            self.slices.watch(watched);
        }
        if !messages.questions.is_empty() {
            let spread = u64::from(self.alone(now).nodes) * ANSWER_SPREAD_MS;
            let spread = spread.min(ANSWER_SPREAD_MAX_MS);
            for hash in messages.questions {
                let wait = rand::random_range(0..=spread);
                let answer_at = now.plus(Duration::from_millis(wait));
                self.names.ask(hash, now, answer_at);
            }
        }
        if !messages.told.is_empty() {
            self.names.told(&messages.told);
        }
    }

    fn closed(&mut self, slice: &Slice, now: Boot) {
        let framed = self.framer.frame(slice);
        let outcome = self.bus.publish(Channel::Frames, framed.bytes);
        self.metrics.published[outcome as usize].increment(1);
        self.metrics.tau.set(f64::from(framed.tau));
        let shared = &self.hot_keys.shared;
        shared.tau.store(framed.tau, Ordering::Relaxed);
        let (alone, rules) = (self.alone(now), self.hot_keys.rules());
        let share = rules.threshold_min() / f64::from(alone.nodes);
        let least = share * slice.length().as_secs_f64() * NAMED_SHARE;
        let much_read = slice
            .counted()
            .filter(|counted| f64::from(counted.count) >= least);
        for counted in much_read.take(NAMED_MAX) {
            self.names.want(counted.key, now);
        }
        let (provisional, names) = (&mut self.provisional, &self.names);
        let found = provisional.slice(slice, now, alone, &rules, |hash| names.key(hash));
        for found in found {
            // What finds no room is found again.
            self.found.try_send(found).ok();
        }
    }
}

impl Counting for Counter {
    fn count(&mut self, read: &HeldRead) {
        if read.is_interactive() {
            self.read(read.key_text(), read.at(), || {
                let bytes = u32::try_from(read.record(0).bytes);
                (read.key().to_key(), bytes.unwrap_or(u32::MAX))
            });
        }
    }

    fn passed(&mut self, now: Boot, dropped: u64) {
        self.pass(now, dropped);
    }
}

#[cfg(test)]
mod tests;
