//! Reading blocks back, past whatever is damaged.

use std::io::{self, Read};

use hotshelf_model::{Key, KeyRef, ReadOutcome, TierName, Version};
use memchr::memmem;
use xxhash_rust::xxh3::xxh3_64;
use zstd::bulk::Decompressor;

use super::texts::{Cursor, unzigzag};
use super::{BLOCK_BYTES_MAX, CHECK_BYTES, FORMAT, HEADER_BYTES, MAGIC, of_kind};
use crate::record::AccessRecord;

const READ_BYTES: usize = 64 * 1024;
const WHOLE_BYTES_MAX: usize = HEADER_BYTES + BLOCK_BYTES_MAX + CHECK_BYTES;

/// What could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Places where bytes were no good block: a torn or damaged one, or several in a row.
    pub damaged: u64,
    /// The bytes of these places.
    pub damaged_bytes: u64,
    /// Blocks of a format that a newer hotshelf writes.
    pub newer: u64,
}

/// Reads records one after another. Holds one block at a time, at most [`BLOCK_BYTES_MAX`] bytes of it and as many of its content.
#[derive(Debug)]
pub struct BlockReader<R> {
    input: R,
    ended: bool,
    buffer: Vec<u8>,
    start: usize,
    skipped: Skipped,
    /// Whether the bytes before `start` were skipped, so that those after them belong to the same place.
    in_damage: bool,
    content: Content,
}

/// What lies at the beginning of the buffer.
enum Found {
    Block { body_bytes: usize, format: u16 },
    NeedsMore(usize),
    Nothing,
}

impl<R: Read> BlockReader<R> {
    /// Reads what `input` holds.
    pub fn new(input: R) -> Self {
        BlockReader {
            input,
            ended: false,
            buffer: Vec::new(),
            start: 0,
            skipped: Skipped::default(),
            in_damage: false,
            content: Content::default(),
        }
    }

    /// The next record, until the input ends.
    ///
    /// # Errors
    /// When the input cannot be read further. Bytes that are no records are skipped, and are no error.
    #[expect(
        clippy::should_implement_trait,
        reason = "what it gives is borrowed from the reader, which an iterator cannot say"
    )]
    pub fn next(&mut self) -> io::Result<Option<AccessRecord<'_>>> {
        let row = loop {
            match self.content.row() {
                Some(Ok(row)) => break row,
                Some(Err(Malformed)) => self.give_up_block(),
                None => {}
            }
            if !self.next_block()? {
                return Ok(None);
            }
        };
        Ok(self.content.record(&row))
    }

    /// What was skipped so far.
    pub fn skipped(&self) -> Skipped {
        self.skipped
    }

    fn next_block(&mut self) -> io::Result<bool> {
        loop {
            match look(&self.buffer[self.start..]) {
                Found::NeedsMore(bytes) if !self.ended => self.read_to(bytes)?,
                Found::NeedsMore(_) if self.start == self.buffer.len() => return Ok(false),
                Found::NeedsMore(_) | Found::Nothing => self.skip(),
                Found::Block { body_bytes, format } => {
                    let body = self.start + HEADER_BYTES;
                    self.start = body + body_bytes + CHECK_BYTES;
                    self.in_damage = false;
                    if format != FORMAT {
                        self.skipped.newer += 1;
                        continue;
                    }
                    let body = &self.buffer[body..body + body_bytes];
                    if self.content.take(body).is_some() {
                        return Ok(true);
                    }
                    self.give_up_block();
                }
            }
        }
    }

    /// The check of a block was right and its content was not: a fault of whoever wrote it.
    fn give_up_block(&mut self) {
        self.content.left = 0;
        self.skipped.damaged += 1;
    }

    /// Goes on to the next place that may be a block.
    fn skip(&mut self) {
        self.skipped.damaged += u64::from(!self.in_damage);
        self.in_damage = true;
        let rest = &self.buffer[self.start + 1..];
        // The last three bytes may be the beginning of a magic.
        let most = rest.len().saturating_sub(MAGIC.len() - 1);
        let step = match memmem::find(rest, &MAGIC) {
            Some(at) => at,
            None if self.ended => rest.len(),
            None => most,
        };
        self.start += step + 1;
        self.skipped.damaged_bytes += step as u64 + 1;
    }

    /// Reads until there are so many bytes after `start`, or no more.
    fn read_to(&mut self, bytes: usize) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let want = bytes.clamp(READ_BYTES, WHOLE_BYTES_MAX);
        while self.buffer.len() < bytes && !self.ended {
            let held = self.buffer.len();
            self.buffer.resize(want, 0);
            let read = self.input.read(&mut self.buffer[held..]);
            let count = match &read {
                Ok(count) => *count,
                Err(_) => 0,
            };
            self.buffer.truncate(held + count);
            match read {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn look(bytes: &[u8]) -> Found {
    if bytes.len() < HEADER_BYTES {
        let may_be = bytes.iter().zip(&MAGIC).all(|(byte, of)| byte == of);
        return match may_be {
            true => Found::NeedsMore(HEADER_BYTES),
            false => Found::Nothing,
        };
    }
    if !bytes.starts_with(&MAGIC) {
        return Found::Nothing;
    }
    let format = u16::from_be_bytes([bytes[4], bytes[5]]);
    let length = u32::from_be_bytes([bytes[6], bytes[7], bytes[8], bytes[9]]);
    let body_bytes = usize::try_from(length).unwrap_or(usize::MAX);
    if body_bytes > BLOCK_BYTES_MAX {
        return Found::Nothing;
    }
    let checked = HEADER_BYTES + body_bytes;
    let Some(check) = bytes.get(checked..checked + CHECK_BYTES) else {
        return Found::NeedsMore(checked + CHECK_BYTES);
    };
    if xxh3_64(&bytes[..checked]).to_be_bytes() != *check {
        return Found::Nothing;
    }
    Found::Block { body_bytes, format }
}

/// The check was right, and what it stands for is malformed all the same.
#[derive(Debug)]
struct Malformed;

/// A decompressed block, and how far it was read.
#[derive(Default)]
struct Content {
    decompressor: Option<Decompressor<'static>>,
    bytes: Vec<u8>,
    cursor: Cursor,
    left: u64,
    at_ms: u64,
    reads: u32,
    texts: Vec<(usize, usize)>,
    /// The texts that were asked for as keys.
    keys: Vec<Option<Key>>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

/// A record whose texts are numbers and places.
struct Row {
    at_ms: u64,
    tier: TierName,
    outcome: ReadOutcome,
    key: usize,
    version: u64,
    latency: u64,
    bytes: u64,
    caller: Option<(usize, usize)>,
    request_id: (usize, usize),
}

impl Content {
    /// Decompresses a body and reads what comes before the records.
    fn take(&mut self, body: &[u8]) -> Option<()> {
        if self.decompressor.is_none() {
            self.decompressor = Decompressor::new().ok();
        }
        self.bytes.clear();
        self.bytes.reserve(BLOCK_BYTES_MAX);
        let decompressor = self.decompressor.as_mut()?;
        let decompressed = decompressor.decompress_to_buffer(body, &mut self.bytes);
        if decompressed.is_err() {
            self.bytes.clear();
            return None;
        }
        self.cursor = Cursor::default();
        self.reads = u32::try_from(self.cursor.number(&self.bytes)?).ok()?;
        let left = self.cursor.number(&self.bytes)?;
        self.at_ms = self.cursor.number(&self.bytes)?;
        let texts = self.cursor.size(&self.bytes)?;
        self.texts.clear();
        for _ in 0..texts {
            self.texts.push(self.cursor.text(&self.bytes)?);
        }
        self.keys.clear();
        self.keys.resize(texts, None);
        self.left = left;
        Some(())
    }

    fn row(&mut self) -> Option<Result<Row, Malformed>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        Some(self.read_row().ok_or(Malformed))
    }

    fn read_row(&mut self) -> Option<Row> {
        let (bytes, cursor) = (&self.bytes, &mut self.cursor);
        self.at_ms = self.at_ms.wrapping_add(unzigzag(cursor.number(bytes)?));
        let (tier, outcome) = of_kind(cursor.byte(bytes)?)?;
        let row = Row {
            at_ms: self.at_ms,
            tier,
            outcome,
            key: cursor.size(bytes)?,
            version: cursor.number(bytes)?,
            latency: cursor.number(bytes)?,
            bytes: cursor.number(bytes)?,
            caller: match cursor.size(bytes)? {
                0 => None,
                number => Some(*self.texts.get(number - 1)?),
            },
            request_id: cursor.text(bytes)?,
        };
        let key = self.keys.get_mut(row.key)?;
        if key.is_none() {
            let (start, end) = self.texts[row.key];
            *key = Key::parse(str::from_utf8(&self.bytes[start..end]).ok()?);
        }
        key.is_some().then_some(row)
    }

    fn record(&self, row: &Row) -> Option<AccessRecord<'_>> {
        let text = |(start, end): (usize, usize)| str::from_utf8(&self.bytes[start..end]).ok();
        Some(AccessRecord {
            at_ms: row.at_ms,
            reads: self.reads,
            key: KeyRef::from(self.keys[row.key].as_ref()?),
            tier: row.tier,
            outcome: row.outcome,
            version: Version(row.version),
            latency_ns: row.latency.checked_sub(1),
            bytes: row.bytes,
            request_id: text(row.request_id)?,
            caller: row.caller.map_or(Some(""), text)?,
        })
    }
}
