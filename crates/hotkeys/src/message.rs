//! The bytes of what nodes tell each other of hot keys, besides their frames.
//!
//! ```text
//!  0  magic   u32  `HShm`
//!  4  format  u16  1
//!  6  kind    u16  1 decided, 2 state, 3 snapshot, 4 want, 5 questions, 6 names, 7 rates, 8 watched, 9 held
//!  8  hist    u64  the database's history, by which hashes are seeded
//! 16  body         numbers as varints, texts with their length before them
//!  …  check   u64  XXH3 of all bytes before it
//! ```
//!
//! The fixed numbers are big-endian. The magic, the format and the check stay where they are in every format; a changed layout or a new
//! kind gets a new format number. Golden bytes lie in `tests/golden/`. Moments are told as ages, because no clocks are compared; sets of
//! hashes ascend and are told by their differences. Rates are in tenths of a read per second, shares in millionths.

use std::time::Duration;

use bytes::Bytes;
use hotshelf_model::sealed::{CHECK_BYTES, number, opened, seal};
use hotshelf_model::{Hist, Key, MessageError};

use crate::cursor::HotCursor;
use crate::detector::{DemotionReason, Health, PromotionReason};
use crate::frame::Sender;
use crate::hash::KeyHash;
use crate::slices::WATCHED_MAX;

mod read;
mod write;

use read::Reader;
use write::Writer;

/// The longest message, in bytes; no bus carries a longer one.
pub const HOT_MESSAGE_BYTES_MAX: usize = hotshelf_model::message::MESSAGE_BYTES_MAX;
/// Keys that one message names.
pub const KEYS_MAX: usize = 64;
/// Hashes in one message.
pub const HASHES_MAX: usize = WATCHED_MAX;
/// Parts of a snapshot: as many as [`HASHES_MAX`] keys take.
pub const PARTS_MAX: u32 = 128;

const MAGIC: [u8; 4] = *b"HShm";
const FORMAT: u16 = 1;
const KIND_AT: usize = 6;
const HIST_AT: usize = 8;
const BODY_AT: usize = 16;

/// What nodes tell each other of hot keys.
#[derive(Clone, Debug, PartialEq)]
pub enum HotMessage {
    /// The leader has decided.
    Decided(Decided),
    /// The holder of a seat says that it is there.
    State(State),
    /// A part of the hot set.
    Snapshot(Snapshot),
    /// A node wants the hot set, because it has missed a decision or has just come.
    Want(Sender),
    /// Whose keys are these hashes? At most [`HASHES_MAX`], ascending.
    Questions(Vec<KeyHash>),
    /// Keys whose hashes were asked about; at most [`KEYS_MAX`].
    Names(Vec<Name>),
    /// Reads per second of the hot keys over all nodes, by ascending hash; at most [`HASHES_MAX`].
    Rates(Vec<(KeyHash, f64)>),
    /// What nodes are to count exactly; at most [`HASHES_MAX`], ascending.
    Watched(Vec<KeyHash>),
    /// What a node makes of the hot set.
    Held(Held),
}

/// Decisions that follow each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// Where the first of them stands.
    pub first: HotCursor,
    /// At most [`KEYS_MAX`].
    pub decisions: Vec<Announced>,
}

/// A decision, as it is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Announced {
    /// A key is to be held by every node.
    Promoted(Told),
    /// A key is a key like others again.
    Demoted(Key, DemotionReason),
}

/// A hot key, as it is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// The key.
    pub key: Key,
    /// What its entry takes.
    pub bytes: u32,
    /// Reads per second over all nodes when it was decided.
    pub rate: f64,
    /// Its part of all reads, 0 to 1.
    pub share: f64,
    /// How long ago it began to be read so much, in milliseconds.
    pub onset_ms: u64,
    /// How long ago it was decided, in milliseconds.
    pub decided_ms: u64,
    /// What decided.
    pub why: PromotionReason,
}

/// Which of the places at the detectors' table: 0 leads, the others stand by.
pub const SEATS: usize = 3;

/// The holder of a seat, and how it fares.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Who.
    pub from: Sender,
    /// Its seat, below [`SEATS`]; 0 leads.
    pub seat: usize,
    /// The last decision that it made, or knows of.
    pub cursor: Option<HotCursor>,
    /// What its decisions are worth.
    pub health: Health,
    /// How far it lags behind the nodes, to the millisecond.
    pub lag: Duration,
    /// Nodes that it hears.
    pub nodes: u32,
}

/// A part of the hot set as of a decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The last decision in it.
    pub cursor: HotCursor,
    /// Which part this is, from 0.
    pub part: u32,
    /// How many there are; 1 to [`PARTS_MAX`].
    pub parts: u32,
    /// At most [`KEYS_MAX`].
    pub keys: Vec<Told>,
}

/// The key of a hash.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// The key.
    pub key: Key,
    /// What its entry takes.
    pub bytes: u32,
}

/// What a node makes of the hot set.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Who.
    pub from: Sender,
    /// The last decision that it has carried out.
    pub cursor: HotCursor,
    /// Hot keys that it holds no copy of now, ascending; at most [`HASHES_MAX`].
    pub missing: Vec<KeyHash>,
}

impl HotMessage {
    /// The bytes of a message.
    ///
    /// # Panics
    /// When it is longer than its bounds allow.
    pub fn encode(&self, hist: Hist) -> Bytes {
        let mut writer = Writer::new(MAGIC, FORMAT, self.kind(), hist);
        writer.message(self);
        let mut bytes = writer.bytes;
        seal(&mut bytes);
        assert!(
            bytes.len() <= HOT_MESSAGE_BYTES_MAX,
            "a message is bounded by its keys and hashes"
        );
        bytes.into()
    }

    /// Reads a message and the history that it is of. Any bytes are allowed.
    ///
    /// # Errors
    /// Says why the bytes are no message.
    pub fn decode(bytes: &[u8]) -> Result<(Hist, Self), MessageError> {
        let checked = opened(bytes, MAGIC, FORMAT, HOT_MESSAGE_BYTES_MAX)?;
        let read = || {
            let kind = number(checked, KIND_AT).map(u16::from_be_bytes)?;
            let hist = number(checked, HIST_AT).map(u64::from_be_bytes)?;
            let mut reader = Reader(checked.get(BODY_AT..)?);
            let message = reader.message(kind)?;
            reader.0.is_empty().then_some((Hist(hist), message))
        };
        read().ok_or(MessageError::Undecodable)
    }

    fn kind(&self) -> u16 {
        match self {
            HotMessage::Decided(_) => 1,
            HotMessage::State(_) => 2,
            HotMessage::Snapshot(_) => 3,
            HotMessage::Want(_) => 4,
            HotMessage::Questions(_) => 5,
            HotMessage::Names(_) => 6,
            HotMessage::Rates(_) => 7,
            HotMessage::Watched(_) => 8,
            HotMessage::Held(_) => 9,
        }
    }
}

impl Snapshot {
    /// The parts of a whole hot set; more keys than [`HASHES_MAX`] are left out.
    pub fn parts_of(cursor: HotCursor, keys: &[Told]) -> Vec<Snapshot> {
        let keys = &keys[..keys.len().min(HASHES_MAX)];
        let parts = keys.len().div_ceil(KEYS_MAX).max(1);
        let parts = u32::try_from(parts).unwrap_or(PARTS_MAX);
        let part_of = |part: u32| {
            let start = usize::try_from(part).unwrap_or_default() * KEYS_MAX;
            let end = (start + KEYS_MAX).min(keys.len());
            Snapshot {
                cursor,
                part,
                parts,
                keys: keys[start..end].to_vec(),
            }
        };
        (0..parts).map(part_of).collect()
    }
}

#[cfg(test)]
mod tests;
