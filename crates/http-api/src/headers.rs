//! The headers of a document: its entity tag, its freshness, and the choice of its content coding.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use hotshelf_engine::{Answer, Freshness};
use hotshelf_model::{Encoding, Shape, TierName, Version};
use http::header::{AGE, CACHE_CONTROL, CACHE_STATUS, CONTENT_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const HOTSHELF_VERSION: HeaderName = HeaderName::from_static("hotshelf-version");
pub(crate) const HOTSHELF_STALE: HeaderName = HeaderName::from_static("hotshelf-stale");
pub(crate) const HOTSHELF_CLASS: HeaderName = HeaderName::from_static("hotshelf-class");
pub(crate) const HOTSHELF_IF_VERSION: HeaderName = HeaderName::from_static("hotshelf-if-version");
pub(crate) const HOTSHELF_REASON: HeaderName = HeaderName::from_static("hotshelf-reason");
pub(crate) const HOTSHELF_CALLER: HeaderName = HeaderName::from_static("hotshelf-caller");
pub(crate) const HOTSHELF_MIN_VERSION: HeaderName = HeaderName::from_static("hotshelf-min-version");

/// Headers of a document's answer, those that hyper adds included, so that the map is allocated once.
const HEADERS_ROOM: usize = 16;
/// Room for the longest tag.
const TAG_BYTES: usize = 57;
/// Room for every value of one answer but a request's id; the longest `Cache-Status` has 55 bytes.
const VALUES_BYTES: usize = 192;

/// Where the headers of an answer are put: the map of one that hyper writes, or the text of one that is written here.
pub(crate) trait HeaderSink {
    /// What values are written to.
    type Text: BufMut;

    fn put(&mut self, name: &HeaderName, value: &'static str);

    /// Puts a header whose value `write` appends.
    fn put_written(&mut self, name: &HeaderName, write: impl FnOnce(&mut Self::Text));
}

/// A map, and the bytes that its values share.
#[derive(Debug)]
pub(crate) struct MapSink {
    pub(crate) headers: HeaderMap,
    text: BytesMut,
}

impl MapSink {
    pub(crate) fn new() -> Self {
        MapSink {
            headers: HeaderMap::with_capacity(HEADERS_ROOM),
            text: BytesMut::with_capacity(VALUES_BYTES),
        }
    }
}

impl HeaderSink for MapSink {
    type Text = BytesMut;

    fn put(&mut self, name: &HeaderName, value: &'static str) {
        self.headers.insert(name, HeaderValue::from_static(value));
    }

    fn put_written(&mut self, name: &HeaderName, write: impl FnOnce(&mut BytesMut)) {
        write(&mut self.text);
        // What follows is written behind it in the same allocation.
        let bytes: Bytes = self.text.split().freeze();
        debug_assert!(bytes.iter().all(u8::is_ascii), "header values are ASCII");
        let value = HeaderValue::from_maybe_shared(bytes).unwrap_or(HeaderValue::from_static(""));
        self.headers.insert(name, value);
    }
}

/// The facts of an answer that its headers state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    tier: TierName,
    version: Version,
    freshness: Freshness,
    age_seconds: u64,
}

impl Facts {
    pub(crate) fn of(answer: &Answer) -> Self {
        Facts {
            tier: answer.tier(),
            version: answer.version(),
            freshness: answer.freshness(),
            age_seconds: answer.age().as_secs(),
        }
    }

    /// By how many seconds the answer is stale, rounded up; `None` when it is fresh.
    pub(crate) fn stale_seconds(&self) -> Option<u64> {
        match self.freshness {
            Freshness::Fresh { .. } => None,
            Freshness::Stale { by } => Some(seconds_up(by)),
        }
    }

    /// Puts `Age`, `Cache-Control`, `Cache-Status`, `Hotshelf-Version` and, when stale, `Hotshelf-Stale`.
    pub(crate) fn put(&self, sink: &mut impl HeaderSink) {
        sink.put_written(&AGE, |text| put_decimal(text, self.age_seconds));
        sink.put_written(&HOTSHELF_VERSION, |text| put_version(text, self.version));
        sink.put_written(&CACHE_STATUS, |text| self.put_cache_status(text));
        let Some(seconds) = self.stale_seconds() else {
            sink.put(&CACHE_CONTROL, "no-cache");
            return;
        };
        sink.put_written(&HOTSHELF_STALE, |text| put_decimal(text, seconds));
        sink.put(&CACHE_CONTROL, "no-store");
    }

    /// RFC 9211: a hit with the time it stays fresh (negative when stale), or a miss that went to the origin.
    fn put_cache_status(&self, text: &mut impl BufMut) {
        if self.tier == TierName::Origin {
            text.put_slice(b"hotshelf; fwd=miss; detail=origin");
            return;
        }
        text.put_slice(b"hotshelf; hit; ttl=");
        match self.freshness {
            Freshness::Fresh { ttl } => put_decimal(text, ttl.as_secs()),
            Freshness::Stale { by } => {
                text.put_u8(b'-');
                put_decimal(text, seconds_up(by));
            }
        }
        text.put_slice(b"; detail=");
        text.put_slice(self.tier.as_str().as_bytes());
    }
}

/// Whole seconds, rounded up, and never 0: a stale answer is not called 0 seconds stale.
fn seconds_up(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

/// What an entity tag is made of: the version, the shape, and a hash of the document.
///
/// The version alone would not do: a document that changes at `valid_until`, or in a namespace without a change log, keeps its
/// version, and a client that holds the old bytes must not be told that they are current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    version: Version,
    shape: Shape,
    hash: u32,
}

impl Tag {
    pub(crate) fn of(answer: &Answer) -> Self {
        Tag {
            version: answer.version(),
            shape: answer.shape(),
            hash: answer.document_hash(),
        }
    }

    /// Writes the tag of one encoding, quotes included: `"3-18447-1a2b3c4d-5e6f7a8b-zstd"`.
    pub(crate) fn put(self, text: &mut impl BufMut, encoding: Encoding) {
        text.put_u8(b'"');
        self.put_bare(text);
        if encoding != Encoding::Identity {
            text.put_u8(b'-');
            text.put_slice(encoding.as_str().as_bytes());
        }
        text.put_u8(b'"');
    }

    /// The tag of one encoding.
    pub(crate) fn text(self, encoding: Encoding) -> BytesMut {
        let mut text = BytesMut::with_capacity(TAG_BYTES);
        self.put(&mut text, encoding);
        text
    }

    /// Writes the tag of the document as it is, without quotes, as it stands in a batch.
    pub(crate) fn put_bare(self, text: &mut impl BufMut) {
        put_version(text, self.version);
        text.put_u8(b'-');
        put_hex(text, self.shape.0);
        text.put_u8(b'-');
        put_hex(text, self.hash);
    }
}

/// The value of `Content-Encoding`; identity has none.
pub(crate) fn put_content_encoding(sink: &mut impl HeaderSink, encoding: Encoding) {
    if encoding != Encoding::Identity {
        sink.put(&CONTENT_ENCODING, encoding.as_str());
    }
}

pub(crate) fn put_version(text: &mut impl BufMut, version: Version) {
    put_decimal(text, version.timeline());
    text.put_u8(b'-');
    put_decimal(text, version.sequence());
}

/// Writes a number without `fmt`, which would cost more than everything else in these headers.
pub(crate) fn put_decimal(text: &mut impl BufMut, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            break;
        }
    }
    text.put_slice(&digits[start..]);
}

fn put_hex(text: &mut impl BufMut, number: u32) {
    let digit = |nibble: u32| b"0123456789abcdef"[usize::try_from(nibble & 15).unwrap_or_default()];
    text.put_slice(&std::array::from_fn::<u8, 8, _>(|index| {
        digit(number >> (28 - 4 * index))
    }));
}

/// Whether a list of entity tags holds `tag` (with its quotes), compared weakly (RFC 9110 section 13.1.2). Reading stops at the first
/// malformed member.
pub(crate) fn names_tag(mut list: &[u8], tag: &[u8]) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    loop {
        while let [b' ' | b'\t' | b',', rest @ ..] = list {
            list = rest;
        }
        list = list.strip_prefix(b"W/").unwrap_or(list);
        let [b'"', inner @ ..] = list else {
            return false;
        };
        let Some(length) = inner.iter().position(|&byte| byte == b'"') else {
            return false;
        };
        let (member, rest) = list.split_at(length + 2);
        if member == tag {
            return true;
        }
        list = rest;
    }
}

/// The weights that a client gave to encodings, in thousandths (RFC 9110 section 12.5.3).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wishes {
    zstd: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

impl Wishes {
    /// Notes the value of one `Accept-Encoding`.
    pub(crate) fn note_list(&mut self, list: &[u8]) {
        let list = std::str::from_utf8(list).unwrap_or_default();
        list.split(',').for_each(|member| self.note(member));
    }

    fn note(&mut self, member: &str) {
        let (name, weight) = match member.split_once(';') {
            None => (member.trim_ascii(), Some(1000)),
            Some((name, parameter)) => (name.trim_ascii(), weight(parameter.trim_ascii())),
        };
        let wish = if name.eq_ignore_ascii_case("zstd") {
            &mut self.zstd
        } else if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            &mut self.gzip
        } else if name.eq_ignore_ascii_case("identity") {
            &mut self.identity
        } else if name == "*" {
            &mut self.any
        } else {
            return;
        };
        *wish = weight.or(*wish);
    }

    /// The encoding that the client would like best of those that documents are kept in.
    ///
    /// Identity is always possible: small documents have no other form, and a client that forbids it is served all the same,
    /// because an error helps nobody.
    pub(crate) fn best(&self) -> Encoding {
        let zstd = self.zstd.or(self.any).unwrap_or(0);
        let gzip = self.gzip.or(self.any).unwrap_or(0);
        let (best, encoding) = if zstd >= gzip {
            (zstd, Encoding::Zstd)
        } else {
            (gzip, Encoding::Gzip)
        };
        if best == 0 || self.identity.is_some_and(|identity| identity > best) {
            return Encoding::Identity;
        }
        encoding
    }
}

/// `q=0.75` in thousandths; `None` when it is malformed, and then the member does not count.
fn weight(parameter: &str) -> Option<u16> {
    let number = parameter
        .strip_prefix("q=")
        .or_else(|| parameter.strip_prefix("Q="))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    let thousandths = digits.fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
