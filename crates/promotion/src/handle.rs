//! The handle by which the rest of a node asks for hot keys.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use hotshelf_engine::{Cache, HotReason};
use hotshelf_hotkeys::{HotCursor, HotMessage, Rules};
use hotshelf_model::{Clock, Hist};
use hotshelf_telemetry::metric::HOT_DECISIONS;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::board::{Board, Changed, HotView};
use crate::event::HotEvent;

/// What a node knows of the hot keys, and the rules by which they are found. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HotKeys {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) board: Mutex<Board>,
    /// Told when there is a decision more.
    moved: watch::Sender<()>,
    /// What holds the keys, from its start on.
    cache: OnceLock<Cache>,
    rules: Mutex<Arc<Rules>>,
    frozen: AtomicBool,
    pub(crate) leads: AtomicBool,
    pub(crate) tau: AtomicU32,
}

impl HotKeys {
    /// Knows nothing yet. [`crate::Promoter`] makes one that hears of the cluster; by itself it is of use in tests, which feed it.
    pub fn new(clock: Arc<dyn Clock>, rules: Rules) -> Self {
        let shared = Shared {
            clock,
            board: Mutex::new(Board::new()),
            moved: watch::Sender::new(()),
            cache: OnceLock::new(),
            rules: Mutex::new(Arc::new(rules)),
            frozen: AtomicBool::new(false),
            leads: AtomicBool::new(false),
            tau: AtomicU32::new(1),
        };
        HotKeys {
            shared: Arc::new(shared),
        }
    }

    /// What this node knows of the cluster's hot set now.
    pub fn view(&self) -> HotView {
        let shared = &self.shared;
        let local = shared.cache.get().map(Cache::hot_keys);
        let board = shared.board.lock();
        // Relaxed: each is a word about itself.
        HotView {
            leads: shared.leads.load(Ordering::Relaxed),
            sampled_tau: shared.tau.load(Ordering::Relaxed),
            ..board.view(shared.clock.now(), local.unwrap_or_default())
        }
    }

    /// The decisions as this node learns them, after `since`; the whole hot set first where those after it are not remembered.
    pub fn decisions(&self, since: Option<HotCursor>) -> HotDecisions {
        HotDecisions {
            shared: Arc::clone(&self.shared),
            moved: self.shared.moved.subscribe(),
            since,
        }
    }

    /// The rules in force.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.shared.rules.lock())
    }

    /// Puts other rules in force on this node, within 100 ms. What is hot by both stays hot.
    pub fn set_rules(&self, rules: Rules) {
        *self.shared.rules.lock() = Arc::new(rules);
    }

    /// Whether this node, where it detects, leaves the hot set as it is; it then holds nothing by its own judgement either.
    pub fn freeze(&self, is_frozen: bool) {
        // Relaxed: a word about itself.
        self.shared.frozen.store(is_frozen, Ordering::Relaxed);
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.shared.frozen.load(Ordering::Relaxed)
    }

    /// From now on keys are held in `cache`.
    pub fn hold_in(&self, cache: Cache) {
        // A second one changes nothing: there is one for each handle.
        self.shared.cache.set(cache).ok();
    }

    /// The history of the database, by which hashes are seeded. Another one than before begins everything anew.
    pub fn set_hist(&self, hist: Hist) {
        self.change(|board| board.set_hist(hist));
    }

    /// Takes what a node tells, and carries out what follows from it.
    pub fn take(&self, hist: Hist, message: &HotMessage) {
        let now = self.shared.clock.now();
        self.change(|board| board.take(hist, message, now));
    }

    fn change(&self, change: impl FnOnce(&mut Board) -> Changed) {
        let mut board = self.shared.board.lock();
        let before = board.cursor();
        let changed = change(&mut board);
        if let Some(cache) = self.shared.cache.get().filter(|_| !changed.is_empty()) {
            // Under the board's lock, so that what is carried out has the order of the decisions.
            cache.demote(&changed.demoted, HotReason::Detected);
            cache.promote(&changed.promoted, HotReason::Detected);
        }
        let count = |decision, keys: usize| {
            if keys > 0 {
                let counter = HOT_DECISIONS.counter(&[("decision", decision)]);
                counter.increment(keys as u64);
            }
        };
        count("promoted", changed.promoted.len());
        count("demoted", changed.demoted.len());
        let is_moved = board.cursor() != before;
        drop(board);
        if is_moved {
            self.shared.moved.send_replace(());
        }
    }
}

/// The decisions as a node learns them, from some place on.
#[derive(Debug)]
pub struct HotDecisions {
    shared: Arc<Shared>,
    moved: watch::Receiver<()>,
    since: Option<HotCursor>,
}

impl HotDecisions {
    /// Waits for what comes next. Who takes too slowly gets the whole hot set.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> HotEvent {
        loop {
            self.moved.borrow_and_update();
            if let Some(event) = self.try_next() {
                return event;
            }
            if self.moved.changed().await.is_err() {
                // The sender lives as long as `shared` does.
                std::future::pending::<()>().await;
            }
        }
    }

    /// What comes next, if it is there.
    pub fn try_next(&mut self) -> Option<HotEvent> {
        let event = self.shared.board.lock().after(self.since)?;
        self.since = Some(event.cursor());
        Some(event)
    }
}

#[cfg(test)]
mod tests;
