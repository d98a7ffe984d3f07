//! Writes a batch's answer: small parts around documents that are copied as they are.

use std::io::Write;

use bytes::{BufMut, Bytes, BytesMut};
use hotshelf_engine::Answer;
use hotshelf_model::{Kind, TierName};
use http::header::{CACHE_CONTROL, CACHE_STATUS, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use utoipa::ToSchema;

use super::Outcome;
use super::request::Item;
use crate::headers::{Facts, HOTSHELF_STALE, Tag, put_decimal, put_version};
use crate::problem::{clip, public_detail, status_and_code};

/// Bytes of one result beside its document: an id and a reason of 256 characters, in the worst case escaped, and the rest.
const RESULT_BYTES_MAX: usize = 4096;
/// Bytes that a result without a long id or reason takes; only a first guess at the answer's size.
const RESULT_BYTES_USUAL: usize = 192;

/// A batch's answer.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the fields only describe the answer")]
pub(crate) struct BatchAnswer {
    /// One result for each id, in the order of the request.
    results: Vec<BatchResult>,
}

/// One id's result.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the fields only describe the answer")]
pub(crate) struct BatchResult {
    /// The id as it was sent; at most 256 characters of one that is none.
    id: String,
    /// `present`, `absent`, `unchanged` or `unavailable`.
    status: Status,
    /// The version; not when unavailable.
    version: Option<String>,
    /// What to send as `if_version` so that also a change by time alone is noticed; only when present or unchanged.
    etag: Option<String>,
    /// The tier that answered: `l1`, `l2`, `l3` or `origin`; not when unavailable.
    tier: Option<String>,
    /// By how many seconds the answer may be stale, 0 when it is fresh; not when unavailable.
    stale_s: Option<u64>,
    /// The document; only when present.
    #[schema(value_type = Option<serde_json::Value>)]
    document: Option<()>,
    /// Only when unavailable.
    error: Option<BatchError>,
}

/// What became of an id.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "the variants only describe the answer")]
pub(crate) enum Status {
    Present,
    Absent,
    Unchanged,
    Unavailable,
}

/// Why an id has no answer.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the fields only describe the answer")]
pub(crate) struct BatchError {
    /// The code that a single read's problem would have, or `answer_too_large`: ask for this id in a further batch.
    code: String,
    /// What was attempted, or which rule the id breaks.
    reason: String,
}

/// The whole answer, at most `bytes_max` bytes long; room for what surrounds the documents is kept from the start.
pub(super) fn render(
    items: &[Item],
    outcomes: &[Outcome],
    bytes_max: usize,
) -> http::Response<Bytes> {
    let results_max = items.len().saturating_mul(RESULT_BYTES_MAX);
    let mut writer = Writer::new(outcomes, bytes_max.saturating_sub(results_max));
    for (item, outcome) in items.iter().zip(outcomes) {
        writer.put_result(item, outcome);
    }
    writer.finish()
}

/// What an answer usually takes, with at most so many bytes of documents.
pub(super) fn usual_bytes(outcomes: &[Outcome], documents_bytes_max: usize) -> usize {
    let length = |outcome: &Outcome| match outcome {
        Outcome::Read(Ok(answer)) => answer.document().len(),
        Outcome::Read(Err(_)) | Outcome::BadId(_) => 0,
    };
    let documents: usize = outcomes.iter().map(length).sum();
    documents.min(documents_bytes_max) + outcomes.len() * RESULT_BYTES_USUAL
}

struct Writer {
    text: BytesMut,
    documents_bytes_left: usize,
    any_missed: bool,
    stale_seconds: u64,
}

impl Writer {
    fn new(outcomes: &[Outcome], documents_bytes_max: usize) -> Self {
        let mut text = BytesMut::with_capacity(usual_bytes(outcomes, documents_bytes_max));
        text.put_slice(b"{\"results\":[");
        Writer {
            text,
            documents_bytes_left: documents_bytes_max,
            any_missed: false,
            stale_seconds: 0,
        }
    }

    fn put_result(&mut self, item: &Item, outcome: &Outcome) {
        if self.text.last() == Some(&b'}') {
            self.text.put_u8(b',');
        }
        self.text.put_slice(b"{\"id\":");
        let id = if item.id.is_ok() {
            &item.sent
        } else {
            clip(&item.sent)
        };
        self.put_string(id);
        match outcome {
            Outcome::Read(Ok(answer)) => self.put_answer(answer, item.if_version.as_deref()),
            Outcome::Read(Err(error)) => {
                self.put_unavailable(status_and_code(error.kind()).1, &public_detail(error))
            }
            Outcome::BadId(problem) => self.put_unavailable("invalid", &problem.reason),
        }
        self.text.put_u8(b'}');
    }

    fn put_answer(&mut self, answer: &Answer, if_version: Option<&str>) {
        if answer.kind() == Kind::Absent {
            self.put_facts(b"absent", answer);
            return;
        }
        let tag = Tag::of(answer);
        if if_version.is_some_and(|held| is_current(answer, tag, held)) {
            self.put_facts(b"unchanged", answer);
            self.put_etag(tag);
            return;
        }
        let Some(left) = self
            .documents_bytes_left
            .checked_sub(answer.document().len())
        else {
            self.put_unavailable(
                "answer_too_large",
                "the answer is full; ask for this id in a further batch",
            );
            return;
        };
        self.documents_bytes_left = left;
        self.put_facts(b"present", answer);
        self.put_etag(tag);
        self.text.put_slice(b",\"document\":");
        self.text.put_slice(answer.document());
    }

    fn put_facts(&mut self, status: &[u8], answer: &Answer) {
        let stale_seconds = Facts::of(answer).stale_seconds().unwrap_or(0);
        self.stale_seconds = self.stale_seconds.max(stale_seconds);
        self.any_missed |= answer.tier() == TierName::Origin;
        self.text.put_slice(b",\"status\":\"");
        self.text.put_slice(status);
        self.text.put_slice(b"\",\"version\":\"");
        put_version(&mut self.text, answer.version());
        self.text.put_slice(b"\",\"tier\":\"");
        self.text.put_slice(answer.tier().as_str().as_bytes());
        self.text.put_slice(b"\",\"stale_s\":");
        put_decimal(&mut self.text, stale_seconds);
    }

    fn put_etag(&mut self, tag: Tag) {
        self.text.put_slice(b",\"etag\":\"");
        tag.put_bare(&mut self.text);
        self.text.put_u8(b'"');
    }

    fn put_unavailable(&mut self, code: &str, reason: &str) {
        self.any_missed = true;
        self.text
            .put_slice(b",\"status\":\"unavailable\",\"error\":{\"code\":\"");
        self.text.put_slice(code.as_bytes());
        self.text.put_slice(b"\",\"reason\":");
        self.put_string(reason);
        self.text.put_u8(b'}');
    }

    fn put_string(&mut self, text: &str) {
        let mut writer = (&mut self.text).writer();
        if serde_json::to_writer(&mut writer, text).is_err() {
            // A buffer in memory takes every write, so this only keeps the answer well-formed if that ever changes.
            writer.write_all(b"\"\"").ok();
        }
    }

    fn finish(mut self) -> http::Response<Bytes> {
        self.text.put_slice(b"]}");
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let cache_status = if self.any_missed {
            "hotshelf; fwd=miss; detail=batch"
        } else {
            "hotshelf; hit; detail=batch"
        };
        headers.insert(CACHE_STATUS, HeaderValue::from_static(cache_status));
        let cache_control = if self.stale_seconds == 0 {
            "no-cache"
        } else {
            "no-store"
        };
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
        if self.stale_seconds > 0 {
            headers.insert(HOTSHELF_STALE, HeaderValue::from(self.stale_seconds));
        }
        let mut response = http::Response::new(self.text.freeze());
        *response.headers_mut() = headers;
        response
    }
}

/// Whether the copy that a client names by its version or by its entity tag is the one that would be sent.
fn is_current(answer: &Answer, tag: Tag, held: &str) -> bool {
    let mut text = BytesMut::with_capacity(64);
    put_version(&mut text, answer.version());
    if text == held.as_bytes() {
        return true;
    }
    text.clear();
    tag.put_bare(&mut text);
    text == held.trim_matches('"').as_bytes()
}
