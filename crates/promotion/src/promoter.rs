//! The task that hears the bus, detects where this node has a seat, and carries out what was decided.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hotshelf_engine::{Cache, ProcessBus};
use hotshelf_hotkeys::frame::FRAME_BUDGET;
use hotshelf_hotkeys::{Found, Limits, Rules, Sender};
use hotshelf_model::{Bus, Channel, Clock, ClusterLeases};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::counting::{Counter, ForCounter};
use crate::detecting::snapshot;
use crate::handle::HotKeys;
use crate::saved::HotSetFile;
use crate::seats::Seats;

mod task;

use task::Task;

/// The mailbox of a node that has its bus for itself.
const OWN_BUS_BYTES: usize = 1 << 20;
/// Keys that the counter has found and the task has not taken.
const FOUND_MAX: usize = 1024;

/// How hot keys are found and held.
#[derive(Clone, Debug)]
pub struct PromoterSettings {
    /// The node's number, in what nodes tell each other.
    pub node: u32,
    /// The rules that hold at the start.
    pub rules: Rules,
    /// How much the cluster may hold.
    pub limits: Limits,
    /// What a frame may take in bytes, ten times a second.
    pub frame_bytes_max: usize,
    /// The file in which the hot set is kept for the start of a whole cluster.
    pub snapshot: Option<PathBuf>,
}

impl Default for PromoterSettings {
    fn default() -> Self {
        PromoterSettings {
            node: 0,
            rules: Rules::default(),
            limits: Limits::default(),
            frame_bytes_max: FRAME_BUDGET,
            snapshot: None,
        }
    }
}

/// What the nodes of a cluster share.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// On which they tell each other.
    pub bus: Arc<dyn Bus>,
    /// Which say who detects.
    pub leases: Arc<dyn ClusterLeases>,
}

/// A promoter before there is a cache: what counts has to be there first.
#[derive(Debug)]
pub struct Prepared {
    settings: PromoterSettings,
    hot_keys: HotKeys,
    own: Sender,
    bus: Arc<dyn Bus>,
    leases: Option<Arc<dyn ClusterLeases>>,
    messages: Arc<Mutex<ForCounter>>,
    found: mpsc::Receiver<Found>,
}

/// Finds hot keys and holds them, as long as it lives.
#[derive(Debug)]
pub struct Promoter {
    hot_keys: HotKeys,
    bus: Arc<dyn Bus>,
    seats: Option<Arc<Seats>>,
    file: Option<Arc<HotSetFile>>,
    task: AbortHandle,
}

impl Promoter {
    /// Makes what counts, and what is to be started when there is a cache. Without a cluster the node works on its own reads alone.
    pub fn prepare(
        settings: PromoterSettings,
        clock: Arc<dyn Clock>,
        cluster: Option<Cluster>,
    ) -> (Prepared, Counter) {
        let hot_keys = HotKeys::new(clock, settings.rules.clone());
        let own = Sender {
            node: settings.node,
            incarnation: rand::random(),
        };
        let (bus, leases): (Arc<dyn Bus>, _) = match cluster {
            Some(cluster) => (cluster.bus, Some(cluster.leases)),
            None => (ProcessBus::new(OWN_BUS_BYTES), None),
        };
        let messages: Arc<Mutex<ForCounter>> = Arc::default();
        let (finds, found) = mpsc::channel(FOUND_MAX);
        let counter = Counter::new(
            hot_keys.clone(),
            Arc::clone(&bus),
            own,
            settings.frame_bytes_max,
            Arc::clone(&messages),
            finds,
        );
        let prepared = Prepared {
            settings,
            hot_keys,
            own,
            bus,
            leases,
            messages,
            found,
        };
        (prepared, counter)
    }

    /// The handle for the rest of the node.
    pub fn hot_keys(&self) -> &HotKeys {
        &self.hot_keys
    }

    /// For a node that is about to stop: gives its seat up, so that another leads at once, and writes the file of the hot set. What is
    /// hot stays so in the cache.
    ///
    /// # Cancel safety
    /// The seat is then free within 1.5 s; the file is replaced or stays as it was.
    pub async fn stop(self) {
        self.task.abort();
        self.bus.hear(Channel::Hot, false);
        self.bus.hear(Channel::Frames, false);
        if let Some(seats) = &self.seats {
            seats.give_up().await;
        }
        self.hot_keys.shared.leads.store(false, Ordering::Relaxed);
        if let Some(file) = self.file.clone() {
            save(self.hot_keys.clone(), file).await;
        }
    }
}

impl Drop for Promoter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Prepared {
    /// The handle for the rest of the node; it knows nothing before the start.
    pub fn hot_keys(&self) -> &HotKeys {
        &self.hot_keys
    }

    /// Starts to find what is hot, and to hold it in `cache`.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(self, cache: Cache) -> Promoter {
        let hot_keys = self.hot_keys;
        hot_keys.hold_in(cache.clone());
        self.bus.hear(Channel::Hot, true);
        let seats = self
            .leases
            .map(|leases| Seats::new(leases, Arc::clone(&self.bus), hot_keys.clone()));
        let file = self.settings.snapshot.map(HotSetFile::new).map(Arc::new);
        let task = Task::new(task::Parts {
            limits: self.settings.limits,
            file: file.clone(),
            hot_keys: hot_keys.clone(),
            own: self.own,
            bus: Arc::clone(&self.bus),
            seats: seats.clone(),
            messages: self.messages,
            found: self.found,
            cache,
        });
        let keeping = seats.clone();
        // As one task: who detects no more must not keep a seat.
        let both = tokio::spawn(async move {
            let keep = async {
                if let Some(seats) = keeping {
                    seats.keep().await;
                }
            };
            tokio::join!(task.run(), keep);
        });
        let task = both.abort_handle();
        tokio::spawn(async move {
            if both.await.is_err_and(|ended| ended.is_panic()) {
                tracing::error!(
                    "finding hot keys panicked; this node finds none until it is started again"
                );
            }
        });
        Promoter {
            hot_keys,
            bus: self.bus,
            seats,
            file,
            task,
        }
    }
}

/// Between two writings of the file.
const SAVE_INTERVAL: Duration = Duration::from_secs(10);

/// Writes the hot set to its file, on a thread that may wait for the disk.
async fn save(hot_keys: HotKeys, file: Arc<HotSetFile>) {
    let (hist, parts) = {
        let board = hot_keys.shared.board.lock();
        (board.hist(), snapshot(&board, hot_keys.shared.clock.now()))
    };
    let Some(hist) = hist.filter(|_| !parts.is_empty()) else {
        return;
    };
    let written = tokio::task::spawn_blocking(move || file.write(hist, &parts)).await;
    if let Ok(Err(error)) = written {
        tracing::warn!(%error, "the hot set cannot be written; a start of the whole cluster begins without it");
    }
}
