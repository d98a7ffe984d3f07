//! What L3 does beside the calls: flushes old memtables, watches the free space, and remembers its sizes for whoever asks.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use hotshelf_model::{Boot, Clock, Error, ErrorKind};
use hotshelf_telemetry::Gauge;
use hotshelf_telemetry::metric::L3_PUTS_STOPPED;
use parking_lot::{Condvar, Mutex};

use crate::disk::Disk;
use crate::settings::RocksSettings;

/// How often the free space and the sizes are looked at.
const TICK: Duration = Duration::from_secs(1);

/// What upkeep found last. Each value stands alone, hence every access is relaxed.
#[derive(Debug, Default)]
pub(crate) struct Health {
    bytes: AtomicU64,
    entries: AtomicU64,
    puts_stopped: AtomicBool,
}

impl Health {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Whether the filesystem has less free space than the reserve.
    pub(crate) fn puts_stopped(&self) -> bool {
        self.puts_stopped.load(Ordering::Relaxed)
    }
}

/// The thread that does it.
#[derive(Debug)]
pub(crate) struct Upkeep {
    control: Arc<Control>,
}

#[derive(Debug)]
struct Control {
    phase: Mutex<Phase>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Leave at once; RocksDB flushes while it is closed, on the last thread that lets it go.
    Stopping,
    /// Flush, then leave.
    Flushing,
    Ended {
        flushed: bool,
    },
}

impl Upkeep {
    pub(crate) fn start(work: Work) -> Result<Self, Error> {
        let control = Arc::new(Control {
            phase: Mutex::new(Phase::Running),
            changed: Condvar::new(),
        });
        let on_thread = Arc::clone(&control);
        thread::Builder::new()
            .name("l3-upkeep".to_owned())
            .spawn(move || on_thread.run(work))
            .map_err(|error| {
                Error::new(ErrorKind::Unavailable, "starting l3's upkeep").with_source(error)
            })?;
        Ok(Upkeep { control })
    }

    /// Flushes and ends; says whether both were done within the limit.
    pub(crate) fn flush_and_end(&self, limit: Duration) -> bool {
        self.control.leave(Phase::Flushing);
        let mut phase = self.control.phase.lock();
        let ended = |phase: &Phase| matches!(phase, Phase::Ended { .. });
        self.control
            .changed
            .wait_while_for(&mut phase, |phase| !ended(phase), limit);
        *phase == Phase::Ended { flushed: true }
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.control.leave(Phase::Stopping);
    }
}

impl Control {
    fn leave(&self, how: Phase) {
        let mut phase = self.phase.lock();
        if *phase == Phase::Running {
            *phase = how;
        }
        self.changed.notify_all();
    }

    fn run(&self, mut work: Work) {
        let mut phase = self.phase.lock();
        while *phase == Phase::Running {
            self.changed.wait_for(&mut phase, TICK);
            parking_lot::MutexGuard::unlocked(&mut phase, || work.tick());
        }
        let flush = *phase == Phase::Flushing;
        drop(phase);
        let flushed = flush && work.flush();
        // Everything is closed before the end is told.
        drop(work);
        *self.phase.lock() = Phase::Ended { flushed };
        self.changed.notify_all();
    }
}

/// What is done at each tick.
#[derive(Debug)]
pub(crate) struct Work {
    disk: Arc<Disk>,
    health: Arc<Health>,
    clock: Arc<dyn Clock>,
    folder: PathBuf,
    free_bytes_min: u64,
    memtable_age_max: Duration,
    flushed_at: Boot,
    background_errors: u64,
    puts_stopped: Gauge,
}

impl Work {
    pub(crate) fn new(
        disk: &Arc<Disk>,
        health: &Arc<Health>,
        settings: &RocksSettings,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        Work {
            disk: Arc::clone(disk),
            health: Arc::clone(health),
            clock: Arc::clone(clock),
            folder: settings.folder.clone(),
            free_bytes_min: settings.free_bytes_min,
            memtable_age_max: settings.memtable_age_max,
            flushed_at: clock.now(),
            background_errors: 0,
            puts_stopped: L3_PUTS_STOPPED.gauge(&[]),
        }
    }

    pub(crate) fn tick(&mut self) {
        self.watch_free_space();
        let sizes = self.disk.sizes();
        self.health.bytes.store(sizes.bytes, Ordering::Relaxed);
        self.health.entries.store(sizes.entries, Ordering::Relaxed);
        self.report_background_errors(sizes.background_errors);
        self.flush_when_old(sizes.memtable_entries);
    }

    fn watch_free_space(&mut self) {
        let stopped = match rustix::fs::statvfs(&self.folder) {
            Ok(space) => space.f_bavail.saturating_mul(space.f_frsize) < self.free_bytes_min,
            // A filesystem that can't be asked will fail the puts by itself.
            Err(_) => false,
        };
        let before = self.health.puts_stopped.swap(stopped, Ordering::Relaxed);
        if stopped == before {
            return;
        }
        let (folder, free_bytes_min) = (self.folder.display(), self.free_bytes_min);
        if stopped {
            tracing::warn!(%folder, free_bytes_min, "l3 declines puts: its filesystem is nearly full");
        } else {
            tracing::info!(%folder, "l3 takes puts again: its filesystem has space");
        }
        self.puts_stopped.set(if stopped { 1.0 } else { 0.0 });
    }

    fn report_background_errors(&mut self, background_errors: u64) {
        if background_errors > self.background_errors {
            let folder = self.folder.display();
            tracing::warn!(%folder, background_errors, "a flush or compaction of l3 failed; puts fail until it recovers");
        }
        self.background_errors = background_errors;
    }

    fn flush_when_old(&mut self, memtable_entries: u64) {
        let now = self.clock.now();
        if now.since(self.flushed_at) < self.memtable_age_max {
            return;
        }
        self.flushed_at = now;
        if memtable_entries == 0 {
            return;
        }
        if let Err(error) = self.disk.flush(false) {
            tracing::warn!(%error, "flushing l3's memtable failed");
        }
    }

    fn flush(&self) -> bool {
        let flushed = self.disk.flush(true);
        flushed
            .inspect_err(|error| tracing::warn!(%error, "flushing l3 before closing it failed"))
            .is_ok()
    }
}
