//! `/livez`, `/readyz` and `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::request_id::RequestId;
use crate::state::ApiState;

/// What `/livez` and `/readyz` answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `live`, `ready`, `catching_up` or `draining`.
    status: &'static str,
    /// The position up to which this node has applied the change log.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    /// The database's timeline that the position is of; a failover begins another.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<u32>,
    /// Milliseconds since this node last proved that it knows every change.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof_age_ms: Option<u64>,
}

/// Whether the process answers at all.
#[utoipa::path(get, path = "/livez", operation_id = "livez", tag = "health",
    responses((status = 200, description = "The process answers", body = Health)))]
pub(crate) async fn livez() -> Response {
    json(
        StatusCode::OK,
        &Health {
            status: "live",
            position: None,
            timeline: None,
            proof_age_ms: None,
        },
    )
}

/// Whether load balancers should send requests here.
///
/// Not before the node has caught up once (for which it waits a bounded time), and not once it is about to stop. What tiers and
/// origin do later does not count: a dependency that all nodes share would take all of them out at once.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", tag = "health",
    responses(
        (status = 200, description = "Send requests here", body = Health),
        (status = 503, description = "`catching_up` or `draining`", body = Health),
    ))]
pub(crate) async fn readyz(State(state): State<Arc<ApiState>>) -> Response {
    let status = match (state.is_draining(), state.cache.is_ready()) {
        (true, _) => "draining",
        (false, false) => "catching_up",
        (false, true) => "ready",
    };
    let code = if status == "ready" {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let engine = state.cache.status();
    let proof_age_ms = engine
        .proof_age
        .map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    json(
        code,
        &Health {
            status,
            position: engine.position.map(|position| position.0),
            timeline: engine.timeline.map(|timeline| timeline.0),
            proof_age_ms,
        },
    )
}

/// Everything that the process counts, for Prometheus.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "admin",
    responses((status = 200, description = "The text exposition format, on the admin listener only", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(state): State<Arc<ApiState>>, headers: HeaderMap) -> Response {
    if let Err(problem) = state.writing.access.to_observe(&headers) {
        return problem.answer(&RequestId::of(&headers)).map(Into::into);
    }
    answer(
        StatusCode::OK,
        "text/plain; version=0.0.4; charset=utf-8",
        state.recorder.render(),
    )
}

fn json(status: StatusCode, body: &Health) -> Response {
    // Words and numbers always serialise.
    answer(
        status,
        "application/json",
        serde_json::to_string(body).unwrap_or_default(),
    )
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
