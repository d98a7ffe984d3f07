//! A read on its way from the thread that reads to the drainer: words in a ring, and what they say.
//!
//! Nothing of it is shared with the thread that reads. A counted reference to the key would take fewer bytes, but its count lies beside
//! what every reader of a hot key touches, and the drainer would take that cache line from them once for each record.
//!
//! ```text
//! 0  when it was answered
//! 1  the version
//! 2  bytes of the document (32 bits) | of the key (16) | tier and outcome (8) | flags (8)
//! 3  when flagged: nanoseconds (48 bits) | bytes of the request's id (8) | of the caller (8)
//!    then the key, the request's id and the caller, each filled up to whole words
//! ```
//!
//! So a hit of a key of up to 40 bytes, for nobody in particular, takes one cache line, and most others take two.

use std::time::Duration;

use hotshelf_model::{Boot, KeyRef, Read, ReadOutcome, TierName, Version};

use crate::block::{kind, of_kind};
use crate::record::{AccessRecord, kept};
use crate::recorder::ring::{Producer, Words};

/// Words that every record has, before its texts.
const HEAD_WORDS: usize = 3;
/// Flag: somebody waited for it.
const INTERACTIVE: u64 = 1;
/// Flag: there is a fourth word.
const MORE: u64 = 2;
/// The 48 bits of a latency, which are three days; all set when none was measured.
const UNMEASURED: u64 = (1 << 48) - 1;

/// What most reads lack.
struct More<'a> {
    latency: Option<Duration>,
    request_id: &'a str,
    caller: &'a str,
}

impl<'a> More<'a> {
    #[inline]
    fn of(read: &Read<'a>) -> Option<Self> {
        let asker = read.asker;
        if read.latency.is_none() && asker.request_id.is_empty() && asker.caller.is_empty() {
            return None;
        }
        Some(More {
            latency: read.latency,
            request_id: kept(asker.request_id),
            caller: kept(asker.caller),
        })
    }
}

/// Pushes what a record needs of a read. Says whether there was room. Allocates nothing.
#[inline]
pub(crate) fn push(producer: &mut Producer, read: &Read<'_>) -> bool {
    if let Some(more) = More::of(read) {
        return push_more(producer, read, &more);
    }
    let key = read.key.as_str();
    producer.push(HEAD_WORDS + words_of(key.len()), |words| {
        put_head(words, read, 0);
        put_text(words, HEAD_WORDS, key);
    })
}

/// Apart from the above, which is so short that a hit in L1 hardly notices it.
#[inline(never)]
fn push_more(producer: &mut Producer, read: &Read<'_>, more: &More<'_>) -> bool {
    let texts = [read.key.as_str(), more.request_id, more.caller];
    let text_words: usize = texts.iter().map(|text| words_of(text.len())).sum();
    let latency = more.latency.map_or(UNMEASURED, |latency| {
        u64::try_from(latency.as_nanos()).map_or(UNMEASURED - 1, |ns| ns.min(UNMEASURED - 1))
    });
    // What is kept of a text has at most 128 bytes.
    let lens = (more.request_id.len() as u64) << 8 | more.caller.len() as u64;
    producer.push(HEAD_WORDS + 1 + text_words, |words| {
        put_head(words, read, MORE);
        words.put(HEAD_WORDS, latency << 16 | lens);
        let mut at = HEAD_WORDS + 1;
        for text in texts {
            put_text(words, at, text);
            at += words_of(text.len());
        }
    })
}

#[inline]
fn put_head(words: &Words<'_>, read: &Read<'_>, flags: u64) {
    let bytes = u64::from(u32::try_from(read.bytes).unwrap_or(u32::MAX));
    // A key has some 700 bytes at most.
    let key = read.key.as_str().len() as u64;
    let kind = u64::from(kind(read.tier, read.outcome));
    let flags = flags | if read.is_interactive { INTERACTIVE } else { 0 };
    words.put(0, read.at.0);
    words.put(1, read.version.0);
    words.put(2, bytes << 32 | key << 16 | kind << 8 | flags);
}

#[inline]
fn words_of(bytes: usize) -> usize {
    bytes.div_ceil(size_of::<u64>())
}

#[inline]
fn put_text(words: &Words<'_>, at: usize, text: &str) {
    let (whole, rest) = text.as_bytes().as_chunks();
    for (n, bytes) in whole.iter().enumerate() {
        words.put(at + n, u64::from_le_bytes(*bytes));
    }
    if rest.is_empty() {
        return;
    }
    let last = match text.as_bytes().last_chunk() {
        // The bytes before are in it, too, and are shifted out.
        Some(bytes) => u64::from_le_bytes(*bytes) >> (64 - 8 * rest.len()),
        None => (rest.iter().rev()).fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    words.put(at + whole.len(), last);
}

/// What was told of a read.
#[derive(Debug)]
pub struct HeldRead {
    at: Boot,
    version: Version,
    latency_ns: Option<u64>,
    bytes: u64,
    tier: TierName,
    outcome: ReadOutcome,
    is_interactive: bool,
    key: String,
    request_id: String,
    caller: String,
}

impl HeldRead {
    /// One that has not taken anything yet.
    pub(crate) fn new() -> Self {
        HeldRead {
            at: Boot(0),
            version: Version::NONE,
            latency_ns: None,
            bytes: 0,
            tier: TierName::L1,
            outcome: ReadOutcome::Hit,
            is_interactive: false,
            key: String::new(),
            request_id: String::new(),
            caller: String::new(),
        }
    }

    /// Becomes what the words say; answers how many there are. Keeps its texts' memory.
    pub(crate) fn take(&mut self, words: &Words<'_>) -> usize {
        let (head, more) = (words.get(2), words.get(HEAD_WORDS));
        let [.., key, rest_of_key, kind, flags] = head.to_be_bytes();
        let is_flagged = |flag| u64::from(flags) & flag != 0;
        self.at = Boot(words.get(0));
        self.version = Version(words.get(1));
        self.bytes = head >> 32;
        (self.tier, self.outcome) =
            of_kind(kind).unwrap_or((TierName::Origin, ReadOutcome::Failed));
        self.is_interactive = is_flagged(INTERACTIVE);
        let mut at = HEAD_WORDS;
        let mut lens = [u16::from_be_bytes([key, rest_of_key]), 0, 0];
        self.latency_ns = None;
        if is_flagged(MORE) {
            at += 1;
            let [.., request_id, caller] = more.to_be_bytes();
            (lens[1], lens[2]) = (request_id.into(), caller.into());
            self.latency_ns = Some(more >> 16).filter(|latency| *latency != UNMEASURED);
        }
        let texts = [&mut self.key, &mut self.request_id, &mut self.caller];
        for (text, len) in texts.into_iter().zip(lens) {
            let end = at + words_of(len.into());
            take_text(text, (at..end).map(|at| words.get(at)), len.into());
            at = end;
        }
        at
    }

    /// The whole key as text: what is counted.
    pub fn key_text(&self) -> &str {
        &self.key
    }

    /// What was read.
    pub fn key(&self) -> KeyRef<'_> {
        KeyRef::known(&self.key)
    }

    /// Whether it counts for hot keys.
    pub fn is_interactive(&self) -> bool {
        self.is_interactive
    }

    /// When it was answered.
    pub fn at(&self) -> Boot {
        self.at
    }

    /// The record that the log gets; `at_ms` is [`HeldRead::at`] on the wall clock.
    pub fn record(&self, at_ms: u64) -> AccessRecord<'_> {
        AccessRecord {
            at_ms,
            reads: 1,
            key: self.key(),
            tier: self.tier,
            outcome: self.outcome,
            version: self.version,
            latency_ns: self.latency_ns,
            bytes: self.bytes,
            request_id: &self.request_id,
            caller: &self.caller,
        }
    }
}

fn take_text(text: &mut String, words: impl Iterator<Item = u64>, len: usize) {
    let mut bytes = std::mem::take(text).into_bytes();
    bytes.clear();
    words.for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
    bytes.truncate(len);
    // It was a text when it came.
    *text = String::from_utf8(bytes).unwrap_or_default();
}

#[cfg(test)]
mod tests;
