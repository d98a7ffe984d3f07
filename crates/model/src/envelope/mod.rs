//! The bytes of an entry in L2 and L3: a fixed prefix that Lua can compare, the parents, then a described body.
//!
//! ```text
//!  0  format      u32   1
//!  4  kind        u32   1 present, 2 absent
//!  8  timeline    u32 ┐
//! 12  version     u64 │ the stamp: compared field by field as numbers (`struct.unpack('>I4I4I4I4I4', ...)` from byte 8)
//! 20  position    u64 ┘
//! 28  fetched_at   u64   milliseconds on the database's clock
//! 36  valid_until u64   the same, 0 for never
//! 44  body check  u64   XXH3 of everything after the parents
//! 52  parents     u32   how many, at most 8
//! 56  parents           each: name hash u64, version u64
//!  …  header check u64  XXH3 of all bytes before it
//!  …  details           bincode: key, encoding, lengths, fill facts
//!  …  body              the document, perhaps compressed
//! ```
//!
//! All numbers are big-endian. There are two checks, so that a revalidation rewrites the header only ([`restamp`]). Bytes that fail
//! any check are a miss with a reason, never an error and never a panic. A changed layout gets a new format number; golden bytes
//! of every format lie in `tests/golden/`.

mod details;
mod header;

use std::borrow::Cow;
use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use xxhash_rust::xxh3::xxh3_64;
use zstd::bulk::Decompressor;

use crate::entry::{Body, Encoding, Entry, Kind};
use crate::key::Key;
use crate::lookup::MissReason;
use crate::version::Stamp;

use details::Details;
use header::Header;
pub use header::PREFIX_BYTES;

/// How an entry is written.
#[derive(Clone, Copy, Debug)]
pub struct EncodeOptions {
    /// Documents of at least this many bytes are compressed with zstd, if that makes them smaller.
    pub compress_bytes_min: usize,
    /// The zstd level, 1 to 19.
    pub zstd_level: i32,
}

impl EncodeOptions {
    /// Writes every document as it is.
    pub const PLAIN: EncodeOptions = EncodeOptions {
        compress_bytes_min: usize::MAX,
        zstd_level: 1,
    };
}

/// The bytes of `entry`, stored under `key`.
pub fn encode(key: &Key, entry: &Entry, options: EncodeOptions) -> Bytes {
    let (encoding, body) = encoded_body(entry.body(), options);
    let details = Details::new(key, encoding, entry).to_bytes();
    let mut tail = BytesMut::with_capacity(details.len() + body.len());
    tail.extend_from_slice(&details);
    tail.extend_from_slice(&body);
    let header = Header::of(entry, xxh3_64(&tail)).to_bytes();
    let mut bytes = BytesMut::with_capacity(header.len() + tail.len());
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(&tail);
    bytes.freeze()
}

fn encoded_body(body: &Body, options: EncodeOptions) -> (Encoding, Cow<'_, [u8]>) {
    if body.identity.len() < options.compress_bytes_min {
        return (Encoding::Identity, Cow::Borrowed(&body.identity));
    }
    let zstd = match &body.zstd {
        Some(zstd) => Some(Cow::Borrowed(&zstd[..])),
        None => zstd::bulk::compress(&body.identity, options.zstd_level)
            .ok()
            .map(Cow::Owned),
    };
    match zstd {
        Some(zstd) if zstd.len() < body.identity.len() => (Encoding::Zstd, zstd),
        Some(_) | None => (Encoding::Identity, Cow::Borrowed(&body.identity)),
    }
}

/// Reads an entry back and checks that it is `key`'s. A document larger than `document_bytes_max` counts as damaged.
///
/// # Errors
/// Says why the bytes are a miss.
pub fn decode(bytes: &Bytes, key: &Key, document_bytes_max: usize) -> Result<Entry, MissReason> {
    let (header, header_len) = Header::read(bytes)?;
    let tail = bytes.slice(header_len..);
    if xxh3_64(&tail) != header.body_check {
        return Err(MissReason::Damaged);
    }
    let (details, details_len) = Details::read(&tail).ok_or(MissReason::Damaged)?;
    if details.key != key.as_str() {
        return Err(MissReason::WrongKey);
    }
    let body = decoded_body(&details, tail.slice(details_len..), document_bytes_max)
        .ok_or(MissReason::Damaged)?;
    let mut entry = match header.kind {
        Kind::Present => Entry::present(body, header.stamp, header.fetched_at),
        Kind::Absent if body.identity.is_empty() => Entry::absent(header.stamp, header.fetched_at),
        Kind::Absent => return Err(MissReason::Damaged),
    };
    entry.valid_until = header.valid_until;
    entry.parents = header.parents;
    entry.facts = details.facts();
    Ok(entry)
}

fn decoded_body(details: &Details<'_>, stored: Bytes, document_bytes_max: usize) -> Option<Body> {
    let len = usize::try_from(details.document_bytes)
        .ok()
        .filter(|&len| len <= document_bytes_max)?;
    let body = match details.encoding()? {
        Encoding::Identity => Body {
            identity: stored,
            zstd: None,
        },
        Encoding::Zstd => Body {
            identity: decompress(&stored, len)?,
            zstd: Some(stored),
        },
        Encoding::Gzip => return None,
    };
    (body.identity.len() == len).then_some(body)
}

thread_local! {
    /// A context holds some 100 KB; making one takes longer than to decompress a small document with it.
    static DECOMPRESSOR: RefCell<Decompressor<'static>> = RefCell::default();
}

/// Writes at most the declared bytes, so that damaged bytes cannot ask for memory without bound.
fn decompress(stored: &[u8], len: usize) -> Option<Bytes> {
    let mut document = Vec::with_capacity(len);
    let decompressed = DECOMPRESSOR
        .with_borrow_mut(|decompressor| decompressor.decompress_to_buffer(stored, &mut document));
    decompressed.ok()?;
    Some(document.into())
}

/// The stamp of stored bytes, without reading the rest; what a fenced write compares.
///
/// # Errors
/// Says why the bytes are a miss.
pub fn stamp(bytes: &[u8]) -> Result<Stamp, MissReason> {
    Header::read(bytes).map(|(header, _)| header.stamp)
}

/// The same bytes with a new stamp; the details and the body are not touched.
///
/// # Errors
/// Says why the bytes are a miss.
pub fn restamp(bytes: &[u8], stamp: Stamp) -> Result<Bytes, MissReason> {
    let (header, header_len) = Header::read(bytes)?;
    let header = Header { stamp, ..header };
    let mut restamped = BytesMut::with_capacity(bytes.len());
    restamped.extend_from_slice(&header.to_bytes());
    restamped.extend_from_slice(&bytes[header_len..]);
    Ok(restamped.freeze())
}

#[cfg(test)]
mod tests;
