//! Problems (RFC 9457): the one place where a failure becomes a status, a code and a body.

use std::error::Error as _;
use std::fmt::Write as _;

use bytes::Bytes;
use hotshelf_model::{Error, ErrorKind, FieldProblem, Version, VersionToken};
use http::header::{CACHE_CONTROL, CACHE_STATUS, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::headers::HOTSHELF_VERSION;
use crate::request_id::{RequestId, X_REQUEST_ID};

/// The media type of every problem.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";
/// Seconds after which a client may try again what was shed; fills under way end within about this.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");
/// Characters of a text that a client sent, or of a failure's context, that a problem repeats.
const TEXT_CHARS_MAX: usize = 256;

/// What went wrong, as the client sees it.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldProblem>,
    cache_status: bool,
    version: Option<VersionToken>,
    /// Boxed, because few problems have one and every result has room for a problem.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

/// The body of a problem (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// `urn:hotshelf:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What was attempted, and the way out.
    detail: &'a str,
    /// What a program decides by.
    code: &'a str,
    /// The `X-Request-Id` of the request, or one made for it.
    request_id: &'a str,
    /// The product's version, where it is not the one that a write asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// What is wrong with single fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError<'a>>,
}

/// What is wrong with one field of a request.
#[derive(Serialize, ToSchema)]
pub(crate) struct FieldError<'a> {
    /// The field's name or path, such as `ids[3].if_version`.
    field: &'a str,
    /// What is wrong with it and what would be right.
    reason: &'a str,
}

/// The status and the code of a failure.
///
/// What may succeed a moment later is a 503, or a 504 when time ran out; what the origin gave and cannot be served is a 502.
pub(crate) fn status_and_code(kind: ErrorKind) -> (StatusCode, &'static str) {
    let status = match kind {
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::UnknownNamespace => StatusCode::NOT_FOUND,
        ErrorKind::VersionUnknown => StatusCode::PRECONDITION_FAILED,
        ErrorKind::TooLarge => StatusCode::BAD_GATEWAY,
        ErrorKind::OriginFailed
        | ErrorKind::OriginOff
        | ErrorKind::Shed
        | ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::OriginTimeout | ErrorKind::VersionTimeout | ErrorKind::WriteUnknown => {
            StatusCode::GATEWAY_TIMEOUT
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, kind.as_str())
}

/// At most [`TEXT_CHARS_MAX`] characters of a text.
pub(crate) fn clip(text: &str) -> &str {
    text.char_indices()
        .nth(TEXT_CHARS_MAX)
        .map_or(text, |(end, _)| &text[..end])
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Problem {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            cache_status: false,
            version: None,
            header: None,
        }
    }

    /// The same with one more header.
    pub(crate) fn with_header(self, name: HeaderName, value: HeaderValue) -> Self {
        Problem {
            header: Some(Box::new((name, value))),
            ..self
        }
    }

    /// The same with a product's version, in the body and as `Hotshelf-Version`.
    pub(crate) fn with_version(self, version: Version) -> Self {
        Problem {
            version: Some(version.token()),
            ..self
        }
    }

    /// The request is malformed in these fields.
    pub fn invalid(errors: Vec<FieldProblem>) -> Self {
        let detail = "the request is malformed; see `errors`";
        Problem {
            errors,
            ..Self::new(StatusCode::BAD_REQUEST, "invalid", detail)
        }
    }

    pub(crate) fn unknown_namespace(known: &[&str]) -> Self {
        let detail = format!(
            "there is no such namespace; known ones are {}",
            known.join(", ")
        );
        Self::new(StatusCode::NOT_FOUND, "unknown_namespace", detail)
    }

    pub(crate) fn unknown_route() -> Self {
        let detail = "no route has this path; a `/` within an id is sent as `%2F`, and /openapi.json lists the routes";
        Self::new(StatusCode::NOT_FOUND, "unknown_route", detail)
    }

    pub(crate) fn method_not_allowed() -> Self {
        let detail =
            "the path exists, but not with this method; the `Allow` header lists its methods";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    }

    pub(crate) fn url_too_long(bytes_max: usize) -> Self {
        let detail = format!(
            "the path and query have more than {bytes_max} bytes; send many ids with `:batchGet`"
        );
        Self::new(StatusCode::URI_TOO_LONG, "url_too_long", detail)
    }

    pub(crate) fn body_too_large(bytes_max: usize) -> Self {
        let detail = format!("the body has more than {bytes_max} bytes; split it");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    }

    pub(crate) fn body_too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            "the body did not arrive in time",
        )
    }

    pub(crate) fn internal() -> Self {
        let detail = "hotshelf failed; its log has more under this request id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// The product does not exist; the caller adds the version and freshness of that knowledge.
    pub(crate) fn absent() -> Self {
        let detail = "there is no product of this id; the `Hotshelf-Version` header says since which version";
        Self::new(StatusCode::NOT_FOUND, "absent", detail)
    }

    /// The failure of a read.
    pub fn of_read(error: &Error) -> Self {
        let (status, code) = status_and_code(error.kind());
        let detail = public_detail(error);
        Problem {
            cache_status: true,
            ..Self::new(status, code, detail)
        }
    }

    /// The failure of a write, which no tier has a part in.
    pub(crate) fn of_write(error: &Error) -> Self {
        let (status, code) = status_and_code(error.kind());
        Self::new(status, code, public_detail(error))
    }

    /// What a program decides by.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// The status that the problem is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The whole answer, under the request's id.
    pub fn answer(&self, request_id: &RequestId) -> http::Response<Bytes> {
        let mut response = http::Response::new(self.body(request_id));
        *response.status_mut() = self.status;
        self.put_headers(response.headers_mut(), request_id);
        response
    }

    pub(crate) fn body(&self, request_id: &RequestId) -> Bytes {
        let body = ProblemBody {
            kind: format!("urn:hotshelf:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Unknown"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id: request_id.as_str(),
            version: self.version.map(|version| version.to_string()),
            errors: self
                .errors
                .iter()
                .map(|error| FieldError {
                    field: clip(&error.field),
                    reason: clip(&error.reason),
                })
                .collect(),
        };
        // Strings and numbers always serialise.
        serde_json::to_vec(&body).unwrap_or_default().into()
    }

    fn put_headers(&self, headers: &mut HeaderMap, request_id: &RequestId) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_REQUEST_ID, request_id.header());
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        headers.extend(self.header.as_deref().cloned());
        let version = self
            .version
            .and_then(|version| HeaderValue::try_from(version.to_string()).ok());
        headers.extend(version.map(|version| (HOTSHELF_VERSION, version)));
        if self.cache_status {
            let value = format!("hotshelf; fwd=miss; detail={}", self.code);
            headers.extend(
                HeaderValue::try_from(value)
                    .ok()
                    .map(|value| (CACHE_STATUS, value)),
            );
        }
    }
}

/// Notes under a request's id that its route panicked; the panic itself is in the log already.
pub(crate) fn log_panic(what: &str, request_id: &RequestId) {
    let request_id = request_id.as_str();
    tracing::error!(request_id, "a {what} panicked");
}

/// What the public may know of a failure. What files and bytes are called is for the log.
pub(crate) fn public_detail(error: &Error) -> String {
    match error.kind() {
        ErrorKind::Internal | ErrorKind::Damaged => Problem::internal().detail,
        _ => clip(&error.to_string()).to_owned(),
    }
}

/// Writes a failure of a `what` (a read, a write) with its causes to the log; what a client did wrong is not logged.
pub(crate) fn log_failure(what: &str, error: &Error, request_id: &RequestId) {
    let mut causes = String::new();
    let mut source = error.source();
    while let Some(cause) = source {
        write!(causes, ": {cause}").ok();
        source = cause.source();
    }
    let (status, code) = status_and_code(error.kind());
    if matches!(error.kind(), ErrorKind::Internal | ErrorKind::Damaged) {
        tracing::error!(
            code,
            request_id = request_id.as_str(),
            "a {what} failed: {error}{causes}"
        );
    } else if status.is_server_error() {
        // An origin that is down fails every read: the metrics count them, the log need not.
        tracing::debug!(
            code,
            request_id = request_id.as_str(),
            "a {what} failed: {error}{causes}"
        );
    }
}

#[cfg(test)]
mod tests;
