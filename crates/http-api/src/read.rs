//! `GET|HEAD /v1/{namespace}/{id}`: one document. An L1 hit is answered without a route, a task or a wait.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use hotshelf_engine::Answer;
use hotshelf_model::{Encoding, FieldProblem, Kind, VersionToken};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::headers::{
    HOTSHELF_MIN_VERSION, none_match_fails, preferred_encoding, put_absent_headers,
    put_content_encoding, put_document_headers,
};
use crate::problem::{PROBLEM_JSON, Problem, ProblemBody, log_failure};
use crate::request_id::{RequestId, X_REQUEST_ID};
use crate::state::ApiState;
use crate::target;

/// Headers of a document's answer, those that hyper adds included, so that the map is allocated once.
const HEADERS_ROOM: usize = 16;

/// What of a request decides about the form of the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
}

impl<'a> Asked<'a> {
    fn of(method: &'a Method, headers: &'a HeaderMap) -> Self {
        Asked { method, headers }
    }
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
    let key = target::document_key(&state.cache, uri.path(), uri.query()).ok()?;
    let answer = state.cache.try_get(&key)?;
    let asked = Asked::of(request.method(), request.headers());
    let min_version = min_version(asked.headers).ok()?;
    // An older version may still be good enough (a token of an older timeline); the engine knows that.
    if min_version.is_some_and(|token| answer.version() < token.version()) {
        return None;
    }
    Some(render(&answer, asked))
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
        (status = 400, description = "`invalid`: a bad id, variant or token", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 404, description = "`absent` (with version and freshness headers), `unknown_namespace` or `unknown_route`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 412, description = "`version_unknown`: the token lies above everything the database has given out", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 414, description = "`url_too_long`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 502, description = "`too_large`: the origin's document is larger than the limit", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "`shed`, `origin_failed` or `unavailable`: nothing to serve; see `Retry-After`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 504, description = "`origin_timeout` or `version_timeout`: nothing to serve in time", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn read(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    let (request, _body) = request.into_parts();
    let answer = match find(&state, &request).await {
        Ok(answer) => render(&answer, Asked::of(&request.method, &request.headers)),
        Err(problem) => problem.answer(&RequestId::of(&request.headers)),
    };
    answer.map(Into::into)
}

async fn find(state: &ApiState, request: &Parts) -> Result<Answer, Problem> {
    let key = target::document_key(&state.cache, request.uri.path(), request.uri.query())?;
    let min_version =
        min_version(&request.headers).map_err(|problem| Problem::invalid(vec![problem]))?;
    state
        .cache
        .get(&key, state.read_options(min_version))
        .await
        .map_err(|error| {
            log_failure(&error, &RequestId::of(&request.headers));
            Problem::of_read(&error)
        })
}

/// The version that the client wants at least.
pub(crate) fn min_version(headers: &HeaderMap) -> Result<Option<VersionToken>, FieldProblem> {
    let Some(value) = headers.get(HOTSHELF_MIN_VERSION) else {
        return Ok(None);
    };
    let token = value.to_str().unwrap_or_default().parse::<VersionToken>();
    token
        .map(Some)
        .map_err(|error| FieldProblem::new("Hotshelf-Min-Version", error.to_string()))
}

fn render(answer: &Answer, asked: Asked<'_>) -> http::Response<Bytes> {
    match answer.kind() {
        Kind::Present => render_document(answer, asked),
        Kind::Absent => render_absent(answer, asked),
    }
}

fn render_document(answer: &Answer, asked: Asked<'_>) -> http::Response<Bytes> {
    let preferred = preferred_encoding(asked.headers);
    let (encoding, body) = match answer.encoded(preferred) {
        Some(body) => (preferred, body),
        None => (Encoding::Identity, answer.document().clone()),
    };
    let mut headers = HeaderMap::with_capacity(HEADERS_ROOM);
    put_document_headers(&mut headers, answer, encoding);
    if none_match_fails(asked.headers, &headers) {
        return response(StatusCode::NOT_MODIFIED, headers, Bytes::new());
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    put_content_encoding(&mut headers, encoding);
    respond(StatusCode::OK, headers, body, asked)
}

fn render_absent(answer: &Answer, asked: Asked<'_>) -> http::Response<Bytes> {
    let mut headers = HeaderMap::with_capacity(HEADERS_ROOM);
    put_absent_headers(&mut headers, answer);
    headers.insert(CONTENT_TYPE, PROBLEM_JSON);
    let request_id = RequestId::of(asked.headers);
    let body = Problem::absent().body(&request_id);
    headers.insert(X_REQUEST_ID, request_id.header());
    respond(StatusCode::NOT_FOUND, headers, body, asked)
}

/// An answer to HEAD has the length that GET would have, and no bytes.
fn respond(
    status: StatusCode,
    mut headers: HeaderMap,
    body: Bytes,
    asked: Asked<'_>,
) -> http::Response<Bytes> {
    if asked.method != Method::HEAD {
        return response(status, headers, body);
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    response(status, headers, Bytes::new())
}

fn response(status: StatusCode, headers: HeaderMap, body: Bytes) -> http::Response<Bytes> {
    let mut response = http::Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
