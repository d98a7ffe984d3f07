//! The thread that empties the rings, and the one that writes.

use std::io;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use hotshelf_model::Boot;
use hotshelf_telemetry::metric::{ACCESS_PANICS, ACCESS_RECORDS, ACCESS_RINGS};
use hotshelf_telemetry::{Counter, Gauge};

use super::ring::Consumer;
use super::rings::Rings;
use super::{Clocks, Counting, LogMode, RecorderSettings};
use crate::block::{BlockBuilder, frame};
use crate::held::HeldRead;
use crate::json::push_line;
use crate::record::AccessRecord;
use crate::writer::{LogFormat, Writer};

/// Chunks that wait for the disk, each of some 128 KiB.
const CHUNKS_MAX: usize = 16;
/// JSON lines are handed over at this size.
const LINES_BYTES: usize = 128 * 1024;
/// The wall clock is compared with the boot clock so often: it may be set while the node runs.
const WALL_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Drainer<C> {
    rings: Arc<Rings>,
    taken: Vec<Consumer>,
    /// The record that was taken last; its memory is used for all.
    held: HeldRead,
    /// Records that were taken in this pass.
    records: u64,
    clocks: Clocks,
    log: Option<Log>,
    counting: C,
    counted: Counter,
    dropped: Counter,
    panics: Counter,
    ring_gauge: Gauge,
}

impl<C: Counting> Drainer<C> {
    pub(super) fn new(rings: Arc<Rings>, clocks: Clocks, log: Option<Log>, counting: C) -> Self {
        let records = |outcome| ACCESS_RECORDS.counter(&[("outcome", outcome)]);
        Drainer {
            rings,
            taken: Vec::new(),
            held: HeldRead::new(),
            records: 0,
            clocks,
            log,
            counting,
            counted: records("counted"),
            dropped: records("dropped"),
            panics: ACCESS_PANICS.counter(&[]),
            ring_gauge: ACCESS_RINGS.gauge(&[]),
        }
    }

    /// Drains until the other end of `stopped` is gone, and once more then.
    pub(super) fn run(mut self, stopped: &Receiver<()>, interval: Duration) {
        loop {
            let outcome = stopped.recv_timeout(interval);
            self.pass();
            if !matches!(outcome, Err(RecvTimeoutError::Timeout)) {
                break;
            }
        }
        if let Some(log) = self.log {
            log.end(self.clocks.boot.now());
        }
    }

    /// Takes what is in the rings now.
    fn pass(&mut self) {
        let now = self.clocks.boot.now();
        self.rings.take_new(&mut self.taken);
        if let Some(log) = &mut self.log {
            log.wall.look(now, &self.clocks);
        }
        for at in 0..self.taken.len() {
            // What a ring gets from now on is left for the next pass, so that one busy thread does not keep the others waiting.
            let end = self.taken[at].end();
            let mut is_done = false;
            while !is_done {
                self.guarded(|drainer| {
                    drainer.drain(at, end);
                    is_done = true;
                });
            }
        }
        self.counted.increment(std::mem::take(&mut self.records));
        self.free_rings();
        let dropped = self.rings.take_dropped();
        self.dropped.increment(dropped);
        self.guarded(|drainer| drainer.counting.passed(now, dropped));
        if let Some(log) = &mut self.log {
            log.flush_if_due(now);
        }
    }

    /// Whoever counts may panic; that does not end the recording.
    fn guarded(&mut self, work: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.panics.increment(1);
        }
    }

    fn drain(&mut self, at: usize, end: usize) {
        while self.taken[at].take(end, |words| self.held.take(words)) {
            self.records += 1;
            self.counting.count(&self.held);
            if let Some(log) = &mut self.log {
                log.take(&self.held);
            }
        }
    }

    /// Frees the rings of threads that have ended.
    fn free_rings(&mut self) {
        let before = self.taken.len();
        self.taken.retain_mut(|ring| !ring.is_finished());
        self.rings.freed(before - self.taken.len());
        #[expect(clippy::cast_precision_loss, reason = "a gauge needs no more")]
        self.ring_gauge.set(self.taken.len() as f64);
    }
}

/// What this machine's wall clock says of moments of its boot clock.
#[derive(Debug, Default)]
struct Wall {
    looked: Option<Boot>,
    ms: u64,
}

impl Wall {
    fn look(&mut self, now: Boot, clocks: &Clocks) {
        let is_due = |looked: Boot| now.since(looked) >= WALL_INTERVAL;
        if self.looked.is_none_or(is_due) {
            (self.looked, self.ms) = (Some(now), (clocks.wall_ms)());
        }
    }

    fn ms_of(&self, at: Boot) -> u64 {
        let looked = self.looked.unwrap_or(at);
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let after = self.ms.saturating_add(ms(at.since(looked)));
        after.saturating_sub(ms(looked.since(at)))
    }
}

/// Records that are gathered for the log.
pub(super) struct Log {
    mode: LogMode,
    random: u64,
    wall: Wall,
    gathered: Gathered,
    records: u32,
    /// When the oldest of them came.
    since: Option<Boot>,
    flush_interval: Duration,
    chunks: SyncSender<Chunk>,
    writer: JoinHandle<()>,
    unsampled: Counter,
    lost: Counter,
}

enum Gathered {
    Block(BlockBuilder),
    Lines(Vec<u8>),
}

/// What the writing thread is handed.
struct Chunk {
    content: Vec<u8>,
    records: u32,
    at: Boot,
}

impl Log {
    pub(super) fn start(
        writer: Writer,
        mode: LogMode,
        settings: &RecorderSettings,
        clocks: &Clocks,
    ) -> io::Result<Self> {
        let format = writer.format();
        let (chunks, received) = sync_channel(CHUNKS_MAX);
        let writer = Builder::new()
            .name("access-write".to_owned())
            .spawn(move || write(writer, &received))?;
        Ok(Log {
            mode,
            // The seed needs no secrecy: nobody gains by knowing which reads are logged.
            random: (clocks.wall_ms)() | 1,
            wall: Wall::default(),
            gathered: match format {
                LogFormat::Blocks => Gathered::Block(BlockBuilder::new()),
                LogFormat::Json => Gathered::Lines(Vec::new()),
            },
            records: 0,
            since: None,
            flush_interval: settings.flush_interval,
            chunks,
            writer,
            unsampled: ACCESS_RECORDS.counter(&[("outcome", "unsampled")]),
            lost: ACCESS_RECORDS.counter(&[("outcome", "lost")]),
        })
    }

    fn take(&mut self, read: &HeldRead) {
        let mode = self.mode;
        let reads = match mode {
            LogMode::Full => 1,
            LogMode::Sampled(one_in) if self.is_chosen(one_in) => one_in.get(),
            LogMode::Sampled(_) => return self.unsampled.increment(1),
        };
        let at = read.at();
        let record = AccessRecord {
            reads,
            ..read.record(self.wall.ms_of(at))
        };
        let is_full = match &mut self.gathered {
            Gathered::Block(block) => {
                block.push(&record);
                block.is_full()
            }
            Gathered::Lines(lines) => {
                push_line(&record, lines);
                lines.len() >= LINES_BYTES
            }
        };
        self.records += 1;
        if is_full {
            self.flush(at);
        }
    }

    /// Each record for itself: every Nth one would miss what comes every Nth time.
    fn is_chosen(&mut self, one_in: NonZeroU32) -> bool {
        // Xorshift, after Marsaglia.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32).is_multiple_of(u64::from(one_in.get()))
    }

    fn flush_if_due(&mut self, now: Boot) {
        if self.records == 0 {
            self.since = None;
            return;
        }
        let since = *self.since.get_or_insert(now);
        if now.since(since) >= self.flush_interval {
            self.flush(now);
        }
    }

    /// Hands over what is gathered; gives it up when the disk is too slow.
    fn flush(&mut self, now: Boot) {
        let chunk = self.chunk(now);
        if let Err(error) = self.chunks.try_send(chunk) {
            let (std::sync::mpsc::TrySendError::Full(chunk)
            | std::sync::mpsc::TrySendError::Disconnected(chunk)) = error;
            self.lost.increment(u64::from(chunk.records));
        }
    }

    fn chunk(&mut self, now: Boot) -> Chunk {
        let content = match &mut self.gathered {
            Gathered::Block(block) => block.take_content(),
            Gathered::Lines(lines) => std::mem::take(lines),
        };
        self.since = None;
        Chunk {
            content,
            records: std::mem::take(&mut self.records),
            at: now,
        }
    }

    /// Writes what is gathered and waits until all is on its way to the disk.
    fn end(mut self, now: Boot) {
        if self.records > 0 {
            let chunk = self.chunk(now);
            // Waits for room: nobody records any more.
            self.chunks.send(chunk).ok();
        }
        drop(self.chunks);
        self.writer.join().ok();
    }
}

/// Writes chunks until no more can come.
fn write(mut writer: Writer, chunks: &Receiver<Chunk>) {
    let outcome = |outcome| ACCESS_RECORDS.counter(&[("outcome", outcome)]);
    let (written, lost) = (outcome("written"), outcome("lost"));
    let mut failing = false;
    for chunk in chunks {
        let result = match writer.format() {
            LogFormat::Blocks => {
                frame(&chunk.content).and_then(|block| writer.write(&block, chunk.at))
            }
            LogFormat::Json => writer.write(&chunk.content, chunk.at),
        };
        let counter = if result.is_ok() { &written } else { &lost };
        counter.increment(u64::from(chunk.records));
        match result {
            // Once, and not for every chunk: the counters tell how long it lasts.
            Err(error) if !failing => {
                tracing::warn!(%error, "the access log cannot be written; its records are lost meanwhile");
                failing = true;
            }
            Ok(()) if failing => {
                tracing::info!("the access log is written again");
                failing = false;
            }
            Ok(()) | Err(_) => {}
        }
    }
}
