//! The body of a request: whole, within its bounds, of a type that is understood.

use axum::extract::Request;
use bytes::Bytes;
use hotshelf_model::FieldProblem;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;

use crate::problem::Problem;
use crate::state::ApiState;

/// Reads a body of at most `bytes_max` bytes.
pub(crate) async fn whole(
    state: &ApiState,
    request: Request,
    bytes_max: usize,
) -> Result<Bytes, Problem> {
    let announced = request.body().size_hint().lower();
    if announced > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
        return Err(Problem::body_too_large(bytes_max));
    }
    let body = Limited::new(request.into_body(), bytes_max).collect();
    match tokio::time::timeout(state.settings.body_timeout, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::body_too_large(bytes_max)),
        Ok(Err(_broken)) => Err(Problem::invalid(vec![FieldProblem::new(
            "body",
            "broke off before its end",
        )])),
        Err(_elapsed) => Err(Problem::body_too_slow()),
    }
}

/// Refuses a body of another media type, or in a content coding.
pub(crate) fn check_type(headers: &HeaderMap, types: &[&str]) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).map(|value| value.to_str());
    let given = given.and_then(Result::ok).unwrap_or_default();
    let bare = given.split(';').next().unwrap_or_default().trim();
    let known = types.iter().any(|known| known.eq_ignore_ascii_case(bare));
    if known && !headers.contains_key(CONTENT_ENCODING) {
        return Ok(());
    }
    let detail = format!(
        "the body must be {}, without a content coding",
        types.join(" or ")
    );
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(Problem::new(status, "unsupported_media_type", detail))
}
