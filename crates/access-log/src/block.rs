//! Blocks of records: the compact format of the access log.
//!
//! ```text
//!  0  magic   u32  `HSal`
//!  4  format  u16  1
//!  6  length  u32  of the body, in bytes
//! 10  body         in format 1: one zstd frame
//!  …  check   u64  XXH3 of all bytes before it
//! ```
//!
//! The fixed numbers are big-endian. Magic, length and check stay where they are in every format, so that a block of a newer format is
//! stepped over and not taken for damage. A file is blocks, one after another, and nothing else: what a crash tore off or a disk
//! garbled ends where the next good block begins.
//!
//! The frame holds, each number as a varint (LEB128):
//!
//! ```text
//! reads    that each record stands for
//! records
//! at_ms    of the first record
//! texts    how many; each with its length: keys (`namespace/variant/id`) and callers
//! then each record:
//!   milliseconds since the record before, zigzag; 0 in the first
//!   kind: tier + 4 × outcome
//!   key, as the number of a text
//!   version
//!   latency in nanoseconds + 1; 0 when it was not measured
//!   bytes
//!   caller, as the number of a text + 1; 0 when not known
//!   request id, with its length
//! ```
//!
//! A changed layout gets a new format number; golden bytes of every format lie in `tests/golden/`.

mod read;
mod texts;

use std::io::{self, Read};
use std::path::Path;

use hashbrown::HashTable;
use hotshelf_model::varint::put;
use hotshelf_model::{ReadOutcome, TierName};
use memchr::memmem;
use xxhash_rust::xxh3::xxh3_64;

pub use read::{BlockReader, Skipped};

use crate::input;
use crate::record::{AccessRecord, kept};
use texts::{put_text, zigzag};

/// The first bytes of a block, and so of a file of blocks.
pub const MAGIC: [u8; 4] = *b"HSal";
/// The most bytes that the content of a block has before it is compressed, and that its body has.
pub const BLOCK_BYTES_MAX: usize = 256 * 1024;

const FORMAT: u16 = 1;
const HEADER_BYTES: usize = 10;
const CHECK_BYTES: usize = 8;
/// A block is full at this size: larger ones compress no better, and smaller ones lose less when one is damaged.
const FULL_BYTES: usize = 128 * 1024;
/// The fastest level: twice the time for the next ones gains a few percent.
const ZSTD_LEVEL: i32 = 1;

/// Gathers records to a block.
#[derive(Debug, Default)]
pub struct BlockBuilder {
    records: u32,
    reads: u32,
    first_ms: u64,
    last_ms: u64,
    texts: Vec<u8>,
    /// Where each text lies in `texts`.
    places: Vec<(usize, usize)>,
    /// Numbers of texts by their hash.
    numbers: HashTable<u32>,
    rows: Vec<u8>,
}

impl BlockBuilder {
    /// A block without records.
    pub fn new() -> Self {
        BlockBuilder::default()
    }

    /// How many records it holds.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// Adds a record. All records of a block stand for as many reads as its first.
    pub fn push(&mut self, record: &AccessRecord<'_>) {
        if self.records == 0 {
            self.reads = record.reads;
            (self.first_ms, self.last_ms) = (record.at_ms, record.at_ms);
        }
        self.records += 1;
        let key = self.number(record.key.as_str());
        let caller = match kept(record.caller) {
            "" => 0,
            caller => u64::from(self.number(caller)) + 1,
        };
        let rows = &mut self.rows;
        put(rows, zigzag(record.at_ms.wrapping_sub(self.last_ms)));
        rows.push(kind(record.tier, record.outcome));
        put(rows, u64::from(key));
        put(rows, record.version.0);
        put(rows, record.latency_ns.map_or(0, |ns| ns.saturating_add(1)));
        put(rows, record.bytes);
        put(rows, caller);
        put_text(rows, kept(record.request_id));
        self.last_ms = record.at_ms;
    }

    /// Whether it is to be finished before another record is added.
    pub fn is_full(&self) -> bool {
        self.texts.len() + self.rows.len() >= FULL_BYTES
    }

    /// The bytes before compression. The builder holds no record afterwards, and keeps its memory.
    pub fn take_content(&mut self) -> Vec<u8> {
        let mut content = Vec::with_capacity(self.texts.len() + self.rows.len() + 32);
        put(&mut content, u64::from(self.reads));
        put(&mut content, u64::from(self.records));
        put(&mut content, self.first_ms);
        put(&mut content, self.places.len() as u64);
        content.extend_from_slice(&self.texts);
        content.extend_from_slice(&self.rows);
        self.records = 0;
        self.texts.clear();
        self.places.clear();
        self.numbers.clear();
        self.rows.clear();
        content
    }

    fn number(&mut self, text: &str) -> u32 {
        let (texts, places) = (&self.texts, &self.places);
        let held = |number: &u32| {
            let (start, end) = places[*number as usize];
            &texts[start..end]
        };
        let hash = xxh3_64(text.as_bytes());
        let found = self
            .numbers
            .find(hash, |number| held(number) == text.as_bytes());
        if let Some(number) = found {
            return *number;
        }
        let number = u32::try_from(places.len()).unwrap_or(u32::MAX);
        self.numbers
            .insert_unique(hash, number, |number| xxh3_64(held(number)));
        put_text(&mut self.texts, text);
        let end = self.texts.len();
        self.places.push((end - text.len(), end));
        number
    }
}

/// Tier and outcome in one byte.
pub(crate) fn kind(tier: TierName, outcome: ReadOutcome) -> u8 {
    let tier = match tier {
        TierName::L1 => 0,
        TierName::L2 => 1,
        TierName::L3 => 2,
        TierName::Origin => 3,
    };
    let outcome = match outcome {
        ReadOutcome::Hit => 0,
        ReadOutcome::Absent => 1,
        ReadOutcome::Stale => 2,
        ReadOutcome::Failed => 3,
    };
    tier + 4 * outcome
}

/// What [`kind`] made a byte of.
pub(crate) fn of_kind(kind: u8) -> Option<(TierName, ReadOutcome)> {
    let (tier, outcome) = (usize::from(kind % 4), usize::from(kind / 4));
    Some((TierName::ALL[tier], *ReadOutcome::ALL.get(outcome)?))
}

/// Compresses and frames the content of a block.
///
/// # Errors
/// When zstd has no memory.
pub fn frame(content: &[u8]) -> io::Result<Vec<u8>> {
    debug_assert!(
        content.len() <= BLOCK_BYTES_MAX,
        "a full block takes no more"
    );
    let body = zstd::bulk::compress(content, ZSTD_LEVEL)?;
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut block = Vec::with_capacity(HEADER_BYTES + body.len() + CHECK_BYTES);
    block.extend(MAGIC);
    block.extend(FORMAT.to_be_bytes());
    block.extend(length.to_be_bytes());
    block.extend(body);
    block.extend(xxh3_64(&block).to_be_bytes());
    Ok(block)
}

/// Whether there is a block's beginning in these bytes. In a text it cannot be: no text has the zero byte that follows the magic.
pub(crate) fn is_in(bytes: &[u8]) -> bool {
    memmem::find(bytes, &[&MAGIC[..], &[0]].concat()).is_some()
}

/// Reads the blocks of a file, plain or gzip.
///
/// # Errors
/// When the file's beginning cannot be read.
pub fn open(path: &Path) -> io::Result<BlockReader<Box<dyn Read + Send>>> {
    Ok(BlockReader::new(input::open(path)?.reader))
}

#[cfg(test)]
mod tests;
