//! What a restarted node goes on from: the checkpoint of its knowledge and its floors, in a file beside L3.
//!
//! ```text
//!  0  magic      u32  `HSck`
//!  4  format     u32  1
//!  8  hist       u64
//! 16  timeline   u64
//! 24  cursor     u64 position, u64 nonce
//! 40  low        u64
//! 48  keys       u64 count
//! 56  parents    u64 count
//! 64  floors     of keys, then of parents: u128 key, u64 version, u64 position
//!  …  check      u64  XXH3 of all bytes before it
//! ```
//!
//! Numbers are big-endian. The file is replaced as a whole, so it is an old one or a new one. An old one is as right as a new one, it
//! only leaves more of the log to be read; so is none at all: then every copy is checked by its version. A file that is damaged, or of
//! another format, is none.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hotshelf_coherence::{Checkpoint, Cursor, Floor, FloorKey};
use hotshelf_model::sealed::{CHECK_BYTES, seal, unsealed};
use hotshelf_model::{Clock, Hist, Position, Timeline, Version};
use hotshelf_telemetry::{Counter, Gauge, metric};
use tokio::sync::Mutex;

use crate::follow::Follower;
use crate::ledger::{Ledger, SavedFloors};

/// How often it is written at least; more seldom when writing takes more than a twentieth of the time.
const INTERVAL: Duration = Duration::from_secs(5);
const SHARE_OF_TIME: u32 = 20;

const MAGIC: u32 = u32::from_be_bytes(*b"HSck");
const FORMAT: u32 = 1;
const HEAD_BYTES: usize = 64;
const FLOOR_BYTES: usize = 32;
/// A larger file is none of ours: 33 million floors.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// A checkpoint with its floors.
pub(crate) type Saved = (Checkpoint, SavedFloors);

/// Where the file is read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Io {
    /// On a thread that may wait for the disk.
    Blocking,
    /// On the thread that asks.
    Inline,
}

impl Io {
    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        match self {
            Io::Blocking => tokio::task::spawn_blocking(work)
                .await
                .unwrap_or_else(|panic| Err(io::Error::other(panic))),
            Io::Inline => work(),
        }
    }
}

/// The file of a node's checkpoint.
#[derive(Debug)]
pub(crate) struct CheckpointFile {
    path: PathBuf,
    io: Io,
    clock: Arc<dyn Clock>,
    /// What was written last; held while a checkpoint is written.
    last: Mutex<Option<Checkpoint>>,
    written: Counter,
    failed: Counter,
    bytes: Gauge,
}

impl CheckpointFile {
    pub(crate) fn new(path: PathBuf, io: Io, clock: Arc<dyn Clock>) -> Arc<Self> {
        let outcome = |outcome: &'static str| metric::CHECKPOINTS.counter(&[("outcome", outcome)]);
        Arc::new(CheckpointFile {
            path,
            io,
            clock,
            last: Mutex::default(),
            written: outcome("written"),
            failed: outcome("failed"),
            bytes: metric::CHECKPOINT_BYTES.gauge(&[]),
        })
    }

    /// What the file says, if there is one and it is whole.
    pub(crate) async fn read(&self) -> Option<Saved> {
        let path = self.path.clone();
        match self.io.run(move || read_file(&path)).await {
            Ok(saved) => saved,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error,
                    "the checkpoint is of no use: copies in L3 are checked by version before they are served");
                None
            }
        }
    }

    /// Writes a checkpoint from time to time until the task is aborted.
    pub(crate) async fn keep_writing(self: Arc<Self>, follower: Arc<Follower>) {
        let mut pause = INTERVAL;
        loop {
            tokio::time::sleep(pause).await;
            let begun = self.clock.now();
            self.write(&follower).await;
            let took = self.clock.now().since(begun);
            pause = INTERVAL.max(took * SHARE_OF_TIME);
        }
    }

    /// Writes a checkpoint if there is something new to remember.
    pub(crate) async fn write(&self, follower: &Arc<Follower>) {
        let mut last = self.last.lock().await;
        let known = follower
            .ledger
            .knowledge()
            .map(|knowledge| knowledge.checkpoint());
        if known.is_none() || known == *last {
            return;
        }
        let (path, follower) = (self.path.clone(), Arc::clone(follower));
        let write = move || write_file(&path, &follower.ledger);
        match self.io.run(write).await {
            Ok(Some((checkpoint, bytes))) => {
                *last = Some(checkpoint);
                self.written.increment(1);
                self.bytes.set(crate::counters::gauge(bytes as u64));
            }
            // A resync came in between; the next one will do.
            Ok(None) => {}
            Err(error) => {
                self.failed.increment(1);
                tracing::warn!(path = %self.path.display(), %error, "the checkpoint was not written; the last one stays");
            }
        }
    }
}

fn read_file(path: &Path) -> io::Result<Option<Saved>> {
    let bytes = match fs::metadata(path) {
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            return Err(io::Error::other("it is larger than a checkpoint can be"));
        }
        Ok(_) => fs::read(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let damaged = || io::Error::other("it is damaged, or of another format");
    decode(&bytes).map(Some).ok_or_else(damaged)
}

fn write_file(path: &Path, ledger: &Ledger) -> io::Result<Option<(Checkpoint, usize)>> {
    let Some(saved) = ledger.save() else {
        return Ok(None);
    };
    let bytes = encode(&saved);
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&beside, path)?;
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        File::open(folder)?.sync_all()?;
    }
    Ok(Some((saved.0, bytes.len())))
}

/// The bytes of a checkpoint.
fn encode((checkpoint, floors): &Saved) -> Vec<u8> {
    let count = floors.keys.len() + floors.parents.len();
    let mut bytes = Vec::with_capacity(HEAD_BYTES + count * FLOOR_BYTES + CHECK_BYTES);
    for number in [MAGIC, FORMAT] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    let head = [
        checkpoint.hist.0,
        u64::from(checkpoint.timeline.0),
        checkpoint.cursor.position.0,
        checkpoint.cursor.nonce,
        checkpoint.low.0,
        floors.keys.len() as u64,
        floors.parents.len() as u64,
    ];
    for number in head {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    for (key, floor) in floors.keys.iter().chain(&floors.parents) {
        bytes.extend_from_slice(&key.0.to_be_bytes());
        bytes.extend_from_slice(&floor.version.0.to_be_bytes());
        bytes.extend_from_slice(&floor.position.0.to_be_bytes());
    }
    seal(&mut bytes);
    bytes
}

/// Reads a checkpoint; `None` when the bytes are not one. Any bytes are allowed.
fn decode(bytes: &[u8]) -> Option<Saved> {
    let (head, floors) = unsealed(bytes)?.split_at_checked(HEAD_BYTES)?;
    let head: Vec<u64> = head
        .as_chunks::<8>()
        .0
        .iter()
        .map(|chunk| u64::from_be_bytes(*chunk))
        .collect();
    let &[magic, hist, timeline, position, nonce, low, keys, parents] = head.as_slice() else {
        return None;
    };
    let (floors, rest) = floors.as_chunks::<FLOOR_BYTES>();
    let is_whole = rest.is_empty() && keys.checked_add(parents) == Some(floors.len() as u64);
    if magic != u64::from(MAGIC) << 32 | u64::from(FORMAT) || !is_whole {
        return None;
    }
    let (keys, parents) = floors.split_at_checked(usize::try_from(keys).ok()?)?;
    let checkpoint = Checkpoint {
        hist: Hist(hist),
        timeline: Timeline(u32::try_from(timeline).ok()?),
        cursor: Cursor {
            position: Position(position),
            nonce,
        },
        low: Position(low),
    };
    let floors = SavedFloors {
        keys: keys.iter().map(decode_floor).collect(),
        parents: parents.iter().map(decode_floor).collect(),
    };
    Some((checkpoint, floors))
}

fn decode_floor(bytes: &[u8; FLOOR_BYTES]) -> (FloorKey, Floor) {
    let number = u128::from_be_bytes;
    let (key, floor) = bytes.split_at(16);
    let key = number(key.try_into().unwrap_or_default());
    let floor = number(floor.try_into().unwrap_or_default());
    let half =
        |shift: u32| u64::try_from(floor >> shift & u128::from(u64::MAX)).unwrap_or_default();
    let floor = Floor {
        version: Version(half(64)),
        position: Position(half(0)),
    };
    (FloorKey(key), floor)
}

#[cfg(test)]
mod tests;
