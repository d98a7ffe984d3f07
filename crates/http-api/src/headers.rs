//! The headers of a document: its entity tag, its freshness, and the choice of its content coding.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use hotshelf_engine::{Answer, Freshness};
use hotshelf_model::{Encoding, Shape, TierName, Version};
use http::header::{
    ACCEPT_ENCODING, AGE, CACHE_CONTROL, CACHE_STATUS, CONTENT_ENCODING, ETAG, IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const HOTSHELF_VERSION: HeaderName = HeaderName::from_static("hotshelf-version");
pub(crate) const HOTSHELF_STALE: HeaderName = HeaderName::from_static("hotshelf-stale");
pub(crate) const HOTSHELF_MIN_VERSION: HeaderName = HeaderName::from_static("hotshelf-min-version");

const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// Room for every value of one answer; the longest tag has 57 bytes, the longest `Cache-Status` 55.
const VALUES_BYTES: usize = 192;

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
    pub(crate) fn put(&self, headers: &mut HeaderMap, text: &mut BytesMut) {
        put_decimal(text, self.age_seconds);
        headers.insert(AGE, value(text));
        put_version(text, self.version);
        headers.insert(HOTSHELF_VERSION, value(text));
        self.put_cache_status(text);
        headers.insert(CACHE_STATUS, value(text));
        let Some(seconds) = self.stale_seconds() else {
            headers.insert(CACHE_CONTROL, NO_CACHE);
            return;
        };
        put_decimal(text, seconds);
        headers.insert(HOTSHELF_STALE, value(text));
        headers.insert(CACHE_CONTROL, NO_STORE);
    }

    /// RFC 9211: a hit with the time it stays fresh (negative when stale), or a miss that went to the origin.
    fn put_cache_status(&self, text: &mut BytesMut) {
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
    fn put(self, text: &mut BytesMut, encoding: Encoding) {
        text.put_u8(b'"');
        self.put_bare(text);
        if encoding != Encoding::Identity {
            text.put_u8(b'-');
            text.put_slice(encoding.as_str().as_bytes());
        }
        text.put_u8(b'"');
    }

    /// Writes the tag of the document as it is, without quotes, as it stands in a batch.
    pub(crate) fn put_bare(self, text: &mut BytesMut) {
        put_version(text, self.version);
        text.put_u8(b'-');
        put_hex(text, self.shape.0);
        text.put_u8(b'-');
        put_hex(text, self.hash);
    }
}

/// The headers of a document in one encoding, ready to be sent with it or with a 304.
pub(crate) fn put_document_headers(headers: &mut HeaderMap, answer: &Answer, encoding: Encoding) {
    let mut text = BytesMut::with_capacity(VALUES_BYTES);
    Tag::of(answer).put(&mut text, encoding);
    headers.insert(ETAG, value(&mut text));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    Facts::of(answer).put(headers, &mut text);
}

/// The headers of an absent product: what is known of it, without a document's.
pub(crate) fn put_absent_headers(headers: &mut HeaderMap, answer: &Answer) {
    Facts::of(answer).put(headers, &mut BytesMut::with_capacity(VALUES_BYTES));
}

/// The value of `Content-Encoding`; identity has none.
pub(crate) fn put_content_encoding(headers: &mut HeaderMap, encoding: Encoding) {
    let value = match encoding {
        Encoding::Identity => return,
        Encoding::Zstd => HeaderValue::from_static("zstd"),
        Encoding::Gzip => HeaderValue::from_static("gzip"),
    };
    headers.insert(CONTENT_ENCODING, value);
}

/// Takes what was written as a header's value; what follows is written behind it in the same allocation.
fn value(text: &mut BytesMut) -> HeaderValue {
    let bytes: Bytes = text.split().freeze();
    debug_assert!(bytes.iter().all(u8::is_ascii), "header values are ASCII");
    HeaderValue::from_maybe_shared(bytes).unwrap_or(HeaderValue::from_static(""))
}

pub(crate) fn put_version(text: &mut BytesMut, version: Version) {
    put_decimal(text, version.timeline());
    text.put_u8(b'-');
    put_decimal(text, version.sequence());
}

/// Writes a number without `fmt`, which would cost more than everything else in these headers.
pub(crate) fn put_decimal(text: &mut BytesMut, mut number: u64) {
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

fn put_hex(text: &mut BytesMut, number: u32) {
    let digit = |nibble: u32| b"0123456789abcdef"[usize::try_from(nibble & 15).unwrap_or_default()];
    text.put_slice(&std::array::from_fn::<u8, 8, _>(|index| {
        digit(number >> (28 - 4 * index))
    }));
}

/// Whether `If-None-Match` names the tag that stands in `headers` under `ETag`, compared weakly (RFC 9110 section 13.1.2).
pub(crate) fn none_match_fails(request: &HeaderMap, answer: &HeaderMap) -> bool {
    let Some(tag) = answer.get(ETAG) else {
        return false;
    };
    request
        .get_all(IF_NONE_MATCH)
        .iter()
        .any(|list| names_tag(list.as_bytes(), tag.as_bytes()))
}

/// Whether a list of entity tags holds `tag` (with its quotes). Reading stops at the first malformed member.
fn names_tag(mut list: &[u8], tag: &[u8]) -> bool {
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

/// The encoding that a client would like best of those that documents are kept in (RFC 9110 section 12.5.3).
///
/// Identity is always possible: small documents have no other form, and a client that forbids it is served all the same,
/// because an error helps nobody.
pub(crate) fn preferred_encoding(request: &HeaderMap) -> Encoding {
    let mut wishes = Wishes::default();
    for list in request.get_all(ACCEPT_ENCODING) {
        let Ok(list) = list.to_str() else { continue };
        list.split(',').for_each(|member| wishes.note(member));
    }
    wishes.best()
}

/// The weights that a client gave, in thousandths.
#[derive(Debug, Default)]
struct Wishes {
    zstd: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

impl Wishes {
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

    fn best(&self) -> Encoding {
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
    let thousandths = format!("{fraction:0<3}").parse::<u16>().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
