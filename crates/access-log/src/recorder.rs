//! Records on their way from the threads that read to whoever counts and logs them.
//!
//! Each thread pushes into a ring of its own, made when it records for the first time: a push waits for nobody and allocates nothing,
//! and into a full ring it pushes nothing and counts that. The drainer, one thread, takes from all rings a hundred times a second, hands
//! each record to whoever counts, and gathers those that are to be logged into chunks. A second thread compresses and writes
//! them, so that a slow disk costs records of the log and never the counts. When a thread ends, the drainer takes what is left in its
//! ring and frees it.

mod drainer;
pub(crate) mod ring;
mod rings;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use hotshelf_model::{Boot, Clock, Error, ErrorKind, Read, ReadObserver};

use crate::held::{self, HeldRead};
use crate::writer::Writer;
use drainer::{Drainer, Log};
use rings::Rings;

/// Counts what was read. It is called on one thread, between other work, and must not wait, because the rings fill up meanwhile. A panic
/// costs what the call was about.
///
/// A closure that takes a record is one that counts and does nothing else.
pub trait Counting: Send + 'static {
    /// Counts one record. Those of a thread come in their order.
    fn count(&mut self, read: &HeldRead);

    /// A pass over all rings has ended, as it does a hundred times a second: what was recorded before the moment `_now` has been
    /// counted, apart from the `_dropped` records since the last pass for which there was no room.
    fn passed(&mut self, _now: Boot, _dropped: u64) {}
}

impl<F: FnMut(&HeldRead) + Send + 'static> Counting for F {
    fn count(&mut self, read: &HeldRead) {
        self(read);
    }
}

/// Which records are logged. All are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogMode {
    /// One in so many, chosen at random; a record says how many reads it stands for.
    Sampled(NonZeroU32),
    /// Every one.
    Full,
}

/// Bounds of what is under way.
#[derive(Clone, Copy, Debug)]
pub struct RecorderSettings {
    /// Records that a thread's ring has room for, of one cache line each (64 bytes), as reads of short keys by nobody in particular need
    /// it; rounded up to a power of two. A record that needs more takes the room of several.
    pub ring_records: usize,
    /// Rings at the same time; a further thread's records are dropped and counted.
    pub rings_max: usize,
    /// The longest time that a record waits in a ring.
    pub drain_interval: Duration,
    /// The longest time that a record waits for others before they are written.
    pub flush_interval: Duration,
}

impl Default for RecorderSettings {
    fn default() -> Self {
        RecorderSettings {
            ring_records: 8192,
            rings_max: 256,
            drain_interval: Duration::from_millis(10),
            flush_interval: Duration::from_secs(1),
        }
    }
}

/// The clocks of this machine.
#[derive(Clone, Debug)]
pub struct Clocks {
    /// The one that records carry.
    pub boot: Arc<dyn Clock>,
    /// Milliseconds since 1970, for the log.
    pub wall_ms: fn() -> u64,
}

/// Records every read that it is told of, on any thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    rings: Arc<Rings>,
}

impl ReadObserver for Recorder {
    /// Pushes a record into this thread's ring, or drops and counts it when that is full. Never waits.
    #[inline]
    fn read(&self, read: &Read<'_>) {
        self.rings.push(|ring| held::push(ring, read));
    }
}

/// The threads behind a [`Recorder`]. Dropping it ends them too, without waiting until they have ended.
#[derive(Debug)]
pub struct Recording {
    stop: Option<Sender<()>>,
    drainer: Option<JoinHandle<()>>,
}

impl Recording {
    /// Starts to take records: each is handed to `counting`, and to the writer, if there is one, as the mode says.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        settings: RecorderSettings,
        clocks: Clocks,
        log: Option<(Writer, LogMode)>,
        counting: impl Counting,
    ) -> Result<(Recorder, Recording), Error> {
        let failed = |error: std::io::Error| {
            Error::new(
                ErrorKind::Unavailable,
                "starting a thread for the access log",
            )
            .with_source(error)
        };
        let rings = Arc::new(Rings::new(settings.ring_records, settings.rings_max));
        let log = log.map(|(writer, mode)| Log::start(writer, mode, &settings, &clocks));
        let log = log.transpose().map_err(failed)?;
        let (stop, stopped) = channel();
        let drainer = Drainer::new(Arc::clone(&rings), clocks, log, counting);
        let drainer = Builder::new()
            .name("access-drain".to_owned())
            .spawn(move || drainer.run(&stopped, settings.drain_interval))
            .map_err(failed)?;
        let recording = Recording {
            stop: Some(stop),
            drainer: Some(drainer),
        };
        Ok((Recorder { rings }, recording))
    }

    /// Takes what the rings hold, writes it, and ends the threads. Blocks until that is done; what is recorded later is dropped
    /// when the rings are full.
    pub fn stop(mut self) {
        self.stop = None;
        if let Some(drainer) = self.drainer.take()
            && drainer.join().is_err()
        {
            tracing::error!("the drainer of the access log panicked");
        }
    }
}

#[cfg(test)]
mod tests;
