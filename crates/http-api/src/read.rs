//! `GET|HEAD /v1/{namespace}/{id}`: one document. An L1 hit is answered without a route, a task or a wait.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::{BufMut, Bytes};
use hotshelf_engine::Answer;
use hotshelf_model::{Encoding, Kind};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};

use crate::asked::Asked;
use crate::headers::{Facts, HeaderSink, MapSink, Tag, put_content_encoding};
use crate::problem::{PROBLEM_JSON, Problem, ProblemBody, log_failure};
use crate::request_id::{RequestId, X_REQUEST_ID};
use crate::state::ApiState;
use crate::target;

/// A larger document is not compressed on the thread that serves its connection, because others wait there.
const ENCODE_AT_ONCE_BYTES_MAX: usize = 32 << 10;

/// An answer that is made but for the lines that every answer has. Of one to HEAD the body is not sent.
#[derive(Debug)]
pub(crate) struct Rendered<'a> {
    pub(crate) status: StatusCode,
    pub(crate) body: Cow<'a, Bytes>,
}

/// Answers from L1 when the request is a good one and L1 may serve it now; `None` leaves everything else to the route.
pub(crate) fn answer_at_once<B>(
    state: &ApiState,
    request: &http::Request<B>,
) -> Option<http::Response<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return None;
    }
    let uri = request.uri();
    target::document_path(uri.path())?;
    let asked = Asked::of(request.method(), request.headers());
    let answer = find_at_once(state, (uri.path(), uri.query()), &asked, &mut String::new())?;
    Some(respond(&answer, &asked))
}

/// What L1 may serve now to a good request. The key's text is made in `text`.
pub(crate) fn find_at_once(
    state: &ApiState,
    (path, query): (&str, Option<&str>),
    asked: &Asked<'_>,
    text: &mut String,
) -> Option<Answer> {
    let options = asked.options(&state.settings).ok()?;
    let key = target::sought_key(&state.cache, path, query, text)?;
    let is_short_work = |answer: &Answer| !is_long_to_encode(answer, asked);
    state.cache.try_get_with(key, &options, is_short_work)
}

fn is_long_to_encode(answer: &Answer, asked: &Asked<'_>) -> bool {
    answer.document().len() > ENCODE_AT_ONCE_BYTES_MAX && !answer.is_encoded(asked.encoding())
}

/// One document.
#[utoipa::path(
    get,
    path = "/v1/{namespace}/{id}",
    operation_id = "read",
    tag = "documents",
    params(
        ("namespace" = String, Path, description = "The kind of document, such as `products`"),
        ("id" = String, Path, description = "The product's id (SKU), percent-encoded, `/` as `%2F`; 1 to 128 bytes of UTF-8"),
        ("locale" = Option<String>, Query, description = "One parameter for each dimension that the namespace declares, under the dimension's own name; a dimension left out takes its default, an undeclared one is refused"),
        ("If-None-Match" = Option<String>, Header, description = "Entity tags of the copies held; compared weakly, `*` matches"),
        ("Accept-Encoding" = Option<String>, Header, description = "`zstd` and `gzip` are offered for documents that get smaller by it"),
        ("Hotshelf-Min-Version" = Option<String>, Header, description = "A version token; the answer is of that version or newer"),
        ("X-Request-Id" = Option<String>, Header, description = "1 to 64 visible ASCII characters; repeated in the answer and in the log"),
        ("Hotshelf-Class" = Option<String>, Header, description = "`interactive`, or `background` for bots and batch jobs: such a read waits behind all others for the origin, is not kept in L1 and makes no product hot"),
        ("Hotshelf-Caller" = Option<String>, Header, description = "Who asks, for the access log: 1 to 64 visible ASCII characters"),
    ),
    responses(
        (status = 200, description = "The document's bytes as the origin gave them", body = serde_json::Value, content_type = "application/json",
            headers(
                ("ETag" = String, description = "`\"timeline-version-shape-hash\"`, with `-zstd` or `-gzip` for these encodings"),
                ("Age" = u64, description = "Seconds since the copy was last proved current"),
                ("Cache-Control" = String, description = "`no-cache`, or `no-store` when stale"),
                ("Cache-Status" = String, description = "RFC 9211: `hotshelf; hit; ttl=27; detail=l1`, negative `ttl` when stale, `hotshelf; fwd=miss; detail=origin`"),
                ("Hotshelf-Version" = String, description = "The version, an opaque token for `Hotshelf-Min-Version`"),
                ("Hotshelf-Stale" = u64, description = "Only when stale: nothing committed longer ago than this many seconds is missing"),
            )),
        (status = 304, description = "The copy named in `If-None-Match` is current"),
        (status = 400, description = "`invalid`: a bad id, variant, token or class", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 404, description = "`absent` (with version and freshness headers), `unknown_namespace` or `unknown_route`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 412, description = "`version_unknown`: the token lies above everything the database has given out", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 414, description = "`url_too_long`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 502, description = "`too_large`: the origin's document is larger than the limit", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "`shed`, `origin_failed`, `origin_off` or `unavailable`: nothing to serve; see `Retry-After`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 504, description = "`origin_timeout` or `version_timeout`: nothing to serve in time", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn read(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    let (request, _body) = request.into_parts();
    let asked = Asked::of(&request.method, &request.headers);
    let answer = match find(&state, &request, &asked).await {
        Ok(answer) => respond(&answer, &asked),
        Err(problem) => problem.answer(&RequestId::of(&request.headers)),
    };
    answer.map(Into::into)
}

async fn find(state: &ApiState, request: &Parts, asked: &Asked<'_>) -> Result<Answer, Problem> {
    let key = target::document_key(&state.cache, request.uri.path(), request.uri.query())?;
    let options = asked.options(&state.settings)?;
    let found = state.cache.get(&key, options).await.map_err(|error| {
        log_failure("read", &error, &RequestId::of(&request.headers));
        Problem::of_read(&error)
    })?;
    if is_long_to_encode(&found, asked) {
        let (answer, encoding) = (found.clone(), asked.encoding());
        // Should it fail there, it is done here.
        tokio::task::spawn_blocking(move || answer.encoded(encoding).is_some())
            .await
            .ok();
    }
    Ok(found)
}

/// Puts the headers and gives the rest. The request's id comes back when the client sent one, and always with a problem.
pub(crate) fn render<'a>(
    answer: &'a Answer,
    asked: &Asked<'_>,
    sink: &mut impl HeaderSink,
) -> Rendered<'a> {
    match answer.kind() {
        Kind::Present => render_document(answer, asked, sink),
        Kind::Absent => render_absent(answer, asked, sink),
    }
}

fn render_document<'a>(
    answer: &'a Answer,
    asked: &Asked<'_>,
    sink: &mut impl HeaderSink,
) -> Rendered<'a> {
    let preferred = asked.encoding();
    let (encoding, body) = match answer.encoded(preferred) {
        Some(body) => (preferred, body),
        None => (Encoding::Identity, answer.document()),
    };
    let tag = Tag::of(answer);
    sink.put_written(&ETAG, |text| tag.put(text, encoding));
    sink.put(&VARY, "Accept-Encoding");
    Facts::of(answer).put(sink);
    if let Some(id) = asked.request_id() {
        sink.put_written(&X_REQUEST_ID, |text| text.put_slice(id.as_bytes()));
    }
    if asked.is_conditional() && asked.holds(&tag.text(encoding)) {
        return Rendered {
            status: StatusCode::NOT_MODIFIED,
            body: Cow::Owned(Bytes::new()),
        };
    }
    sink.put(&CONTENT_TYPE, "application/json");
    put_content_encoding(sink, encoding);
    Rendered {
        status: StatusCode::OK,
        body: Cow::Borrowed(body),
    }
}

fn render_absent(
    answer: &Answer,
    asked: &Asked<'_>,
    sink: &mut impl HeaderSink,
) -> Rendered<'static> {
    Facts::of(answer).put(sink);
    sink.put(&CONTENT_TYPE, PROBLEM_JSON);
    let sent = asked.request_id().and_then(RequestId::of_sane);
    let request_id = sent.unwrap_or_else(RequestId::generate);
    sink.put_written(&X_REQUEST_ID, |text| {
        text.put_slice(request_id.as_str().as_bytes());
    });
    Rendered {
        status: StatusCode::NOT_FOUND,
        body: Cow::Owned(Problem::absent().body(&request_id)),
    }
}

/// An answer to HEAD has the length that GET would have, and no bytes.
fn respond(answer: &Answer, asked: &Asked<'_>) -> http::Response<Bytes> {
    let mut sink = MapSink::new();
    let mut rendered = render(answer, asked, &mut sink);
    if asked.is_head && rendered.status != StatusCode::NOT_MODIFIED {
        let length = HeaderValue::from(rendered.body.len());
        sink.headers.insert(CONTENT_LENGTH, length);
        rendered.body = Cow::Owned(Bytes::new());
    }
    let mut response = http::Response::new(rendered.body.into_owned());
    *response.status_mut() = rendered.status;
    *response.headers_mut() = sink.headers;
    response
}
