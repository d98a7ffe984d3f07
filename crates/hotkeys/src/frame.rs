//! What a node sends of a closed slice.
//!
//! ```text
//!  0  magic        u32  `HShk`
//!  4  format       u16  1
//!  6  zero         u16
//!  8  node         u32
//! 12  incarnation  u64  drawn when the node starts
//! 20  opened_ms    u64  on the node's boot clock
//! 28  length_ms    u32
//! 32  tau          u32  counts below it are sampled
//! 36  reads        u64  of all keys
//! 44  dropped      u64  reads whose keys were lost
//! 52  entries      u32
//! 56  body              by ascending hash: the difference to the hash before, then the count, as varints
//!  …  check        u64  XXH3 of all bytes before it
//! ```
//!
//! The fixed numbers are big-endian; varints hold seven bits in a byte, the low ones first. A count is 0 for one that sampling set to
//! `tau`; 2c for c reads, exactly; 2c + 1 for an estimate, followed by its unit. The magic, the format and the check stay where they
//! are in every format. Golden bytes lie in `tests/golden/`. There is no text in a frame: detectors ask for the keys of the few hashes
//! that matter.

use bytes::{BufMut, Bytes};
use hotshelf_model::sealed::{CHECK_BYTES, number, opened, seal};
use hotshelf_model::{MessageError, varint};

use crate::hash::KeyHash;
use crate::slices::Slice;

mod budget;

pub use budget::FRAME_BUDGET_MAX;
use budget::Sampler;

/// The longest frame, in bytes: 8192 watched keys and what the greatest budget holds are shorter.
pub const FRAME_BYTES_MAX: usize = hotshelf_model::message::MESSAGE_BYTES_MAX;

/// What a frame may take for keys that are not watched, by default: about 900 of them.
pub const FRAME_BUDGET: usize = 8 * 1024;

const MAGIC: [u8; 4] = *b"HShk";
const FORMAT: u16 = 1;
const BODY_AT: usize = 56;
/// An entry has a byte of difference and one of count, at least.
const ENTRY_BYTES_MIN: usize = 2;
/// 139 years after boot; times below it can be added without thought.
const OPENED_MS_MAX: u64 = 1 << 42;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sender {
    /// The node.
    pub node: u32,
    /// A random number drawn when the process starts, which tells its slices from those of the one before.
    pub incarnation: u64,
}

/// A slice as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Who counted.
    pub sender: Sender,
    /// When the slice was opened, in milliseconds of the sender's boot clock, which is compared with no other.
    pub opened_ms: u64,
    /// How long it was open, in milliseconds.
    pub length_ms: u32,
    /// Counts below it were sampled: sent as `tau` with a chance of count in `tau`. 1 when everything was sent.
    pub tau: u32,
    /// Reads of all keys, sent or not.
    pub reads: u64,
    /// Reads whose keys were lost before they could be counted.
    pub dropped: u64,
    /// By ascending hash, none twice.
    pub entries: Vec<Entry>,
}

/// A key's reads in a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: KeyHash,
    /// How often it was read, or an unbiased estimate; not 0.
    pub count: u32,
    /// 0 when the count is exact; otherwise how far chance has moved it, as a standard deviation at most.
    pub unit: u32,
}

/// What a [`Framer`] made.
#[derive(Clone, Debug)]
pub struct Framed {
    /// The frame's bytes, at most [`FRAME_BYTES_MAX`].
    pub bytes: Bytes,
    /// Keys in it.
    pub entries: usize,
    /// Counts below it were sampled; 1 when there was room for all.
    pub tau: u32,
}

/// Makes frames of a node's slices.
#[derive(Debug)]
pub struct Framer {
    sender: Sender,
    sampler: Sampler,
}

impl Framer {
    /// Frames of [`FRAME_BUDGET`]. `seed` is random.
    pub fn new(sender: Sender, seed: u64) -> Self {
        Framer {
            sender,
            sampler: Sampler::new(FRAME_BUDGET, seed),
        }
    }

    /// Sets what a frame may take in bytes, from 256 to [`FRAME_BUDGET_MAX`]. Watched keys come on top of it when they
    /// take more than three quarters.
    pub fn set_budget(&mut self, bytes: usize) {
        self.sampler.set_budget(bytes);
    }

    /// The frame of a closed slice. Above the budget, counts below some `tau` are sampled, so that every key keeps its expected count;
    /// nothing is cut off.
    pub fn frame(&mut self, slice: &Slice) -> Framed {
        let (tau, entries) = self.sampler.sample(slice.counted());
        let head = Head {
            sender: self.sender,
            opened_ms: (slice.opened().0 / 1_000_000).min(OPENED_MS_MAX),
            length_ms: u32::try_from(slice.length().as_millis()).unwrap_or(u32::MAX),
            tau,
            reads: slice.reads(),
            dropped: slice.dropped_reads(),
        };
        Framed {
            bytes: write(&head, entries),
            entries: entries.len(),
            tau,
        }
    }
}

impl Frame {
    /// Reads a frame. Any bytes are allowed.
    ///
    /// # Errors
    /// Says why the bytes are no frame.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let checked = opened(bytes, MAGIC, FORMAT, FRAME_BYTES_MAX)?;
        read(checked).ok_or(MessageError::Undecodable)
    }

    /// The bytes of a frame.
    ///
    /// # Panics
    /// When its entries are not what [`Frame::entries`] says.
    pub fn encode(&self) -> Bytes {
        let head = Head {
            sender: self.sender,
            opened_ms: self.opened_ms,
            length_ms: self.length_ms,
            tau: self.tau,
            reads: self.reads,
            dropped: self.dropped,
        };
        write(&head, &self.entries)
    }

    /// Which 100 ms of the sender's clock the slice was opened in.
    pub fn number(&self) -> u64 {
        self.opened_ms / 100
    }

    /// When the slice was closed, in milliseconds of the sender's clock.
    pub(crate) fn closed_ms(&self) -> u64 {
        self.opened_ms + u64::from(self.length_ms)
    }
}

struct Head {
    sender: Sender,
    opened_ms: u64,
    length_ms: u32,
    tau: u32,
    reads: u64,
    dropped: u64,
}

fn write(head: &Head, entries: &[Entry]) -> Bytes {
    let mut bytes = Vec::with_capacity(BODY_AT + entries.len() * 10 + CHECK_BYTES);
    bytes.put_slice(&MAGIC);
    bytes.put_u16(FORMAT);
    bytes.put_u16(0);
    bytes.put_u32(head.sender.node);
    bytes.put_u64(head.sender.incarnation);
    bytes.put_u64(head.opened_ms);
    bytes.put_u32(head.length_ms);
    bytes.put_u32(head.tau);
    bytes.put_u64(head.reads);
    bytes.put_u64(head.dropped);
    bytes.put_u32(u32::try_from(entries.len()).unwrap_or(u32::MAX));
    let mut before = 0;
    for entry in entries {
        let hash = entry.key.get();
        assert!(
            hash > before && entry.count > 0,
            "entries ascend and were read"
        );
        varint::put(&mut bytes, hash - before);
        before = hash;
        let count = u64::from(entry.count) << 1;
        match entry.unit {
            0 => varint::put(&mut bytes, count),
            unit if unit == head.tau && entry.count == unit => bytes.put_u8(0),
            unit => {
                varint::put(&mut bytes, count | 1);
                varint::put(&mut bytes, u64::from(unit));
            }
        }
    }
    seal(&mut bytes);
    debug_assert!(bytes.len() <= FRAME_BYTES_MAX, "the budget is bounded");
    bytes.into()
}

/// Reads what the check has found to be whole.
fn read(checked: &[u8]) -> Option<Frame> {
    let body = checked.get(BODY_AT..)?;
    let long = |at| number(checked, at).map(u64::from_be_bytes);
    let short = |at| number(checked, at).map(u32::from_be_bytes);
    let frame = Frame {
        sender: Sender {
            node: short(8)?,
            incarnation: long(12)?,
        },
        opened_ms: long(20).filter(|&opened| opened <= OPENED_MS_MAX)?,
        length_ms: short(28)?,
        tau: short(32).filter(|&tau| tau > 0)?,
        reads: long(36)?,
        dropped: long(44)?,
        entries: Vec::new(),
    };
    let count = usize::try_from(short(52)?).ok()?;
    if number(checked, 6) != Some([0, 0]) || count > body.len() / ENTRY_BYTES_MIN {
        return None;
    }
    let entries = read_entries(body, count, frame.tau)?;
    Some(Frame { entries, ..frame })
}

fn read_entries(mut body: &[u8], count: usize, tau: u32) -> Option<Vec<Entry>> {
    let mut entries = Vec::with_capacity(count);
    let mut hash: u64 = 0;
    for _ in 0..count {
        let more = varint::take(&mut body).filter(|&more| more > 0)?;
        hash = hash.checked_add(more)?;
        let coded = varint::take(&mut body)?;
        let (count, unit) = match coded {
            0 => (tau, tau),
            exact if exact & 1 == 0 => (u32::try_from(exact >> 1).ok()?, 0),
            estimate => {
                let unit = u32::try_from(varint::take(&mut body)?).ok()?;
                (u32::try_from(estimate >> 1).ok()?, unit)
            }
        };
        // An estimate is made of at least one read that was let in and stands for `unit`.
        if count == 0 || unit > count || (coded & 1 == 1 && unit == 0) {
            return None;
        }
        let key = KeyHash::new(hash);
        entries.push(Entry { key, count, unit });
    }
    body.is_empty().then_some(entries)
}

#[cfg(test)]
mod tests;
