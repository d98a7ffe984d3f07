//! Changes: `POST /admin/v1/changes` takes those that no trigger can see from their author; [`stream`] tells all of them.

mod posted;
pub(crate) mod stream;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use hotshelf_model::{ChangeRecorder, Recorded, Role};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::json_body;
use crate::problem::{Problem, ProblemBody, log_failure, log_panic};
use crate::request_body;
use crate::request_id::RequestId;
use crate::state::ApiState;
use crate::target;

pub(crate) use posted::{ChangesBody, Posted};

/// Room for one change in a body: names, punctuation and the longest id, escaped.
const CHANGE_BYTES_MAX: usize = 1024;

/// What was recorded.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangesAnswer {
    /// `recorded`, or `applied` when this node has applied everything.
    status: &'static str,
    /// Each change's version, in the order of the request; a greater one than was given if that was recorded before.
    versions: Vec<String>,
    /// Each bump's version, in the order of the request.
    bumps: Vec<String>,
}

/// Records changes durably, so that every node applies them.
#[utoipa::path(
    post,
    path = "/admin/v1/changes",
    operation_id = "postChanges",
    tag = "admin",
    params(("wait" = Option<String>, Query, description = "`applied`: answer only when this node has applied the changes")),
    request_body(content = ChangesBody, content_type = "application/json"),
    security(("token" = [])),
    responses(
        (status = 200, description = "With `wait=applied`: recorded, and applied by this node", body = ChangesAnswer),
        (status = 202, description = "Recorded durably; every node applies them within the staleness bound", body = ChangesAnswer),
        (status = 400, description = "`invalid`; nothing is recorded", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 401, description = "`unauthorized`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: this needs the role `writer`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported_media_type`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "`origin_failed`: nothing is recorded", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 504, description = "`not_applied`: recorded, and not applied by this node in time; `origin_timeout`: nothing is recorded; `write_unknown`: it may have been recorded", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post_changes(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    let request_id = RequestId::of(request.headers());
    let answer = match post(&state, request, &request_id).await {
        Ok(answer) => answer,
        Err(problem) => problem.answer(&request_id),
    };
    answer.map(Into::into)
}

async fn post(
    state: &Arc<ApiState>,
    request: Request,
    request_id: &RequestId,
) -> Result<http::Response<Bytes>, Problem> {
    let access = &state.writing.access;
    access.to_administer(request.headers(), Role::Writer)?;
    let recorder = state.writing.changes.as_ref();
    let recorder = Arc::clone(recorder.ok_or_else(Problem::unknown_route)?);
    let wait = waits(request.uri().query())?;
    request_body::check_type(request.headers(), &["application/json"])?;
    let changes_max = state.settings.changes_max;
    let bytes_max = (changes_max * CHANGE_BYTES_MAX).max(state.settings.body_bytes_max);
    let body = request_body::whole(state, request, bytes_max).await?;
    let posted = Posted::read(&body, changes_max, state).map_err(Problem::invalid)?;
    let recording = tokio::spawn(record(Arc::clone(state), recorder, posted));
    let recorded = recording.await.map_err(|_panicked| {
        log_panic("record of changes", request_id);
        Problem::internal()
    })?;
    let recorded = recorded.map_err(|error| {
        log_failure("record of changes", &error, request_id);
        Problem::of_write(&error)
    })?;
    if wait {
        applied(state).await?;
    }
    Ok(render(&recorded, wait))
}

async fn record(
    state: Arc<ApiState>,
    recorder: Arc<dyn ChangeRecorder>,
    posted: Posted,
) -> Result<Recorded, hotshelf_model::Error> {
    let recorded = recorder.record(&posted.changes, &posted.bumps).await?;
    state.cache.nudge();
    Ok(recorded)
}

fn waits(query: Option<&str>) -> Result<bool, Problem> {
    let parameters = target::parameters(query.unwrap_or_default())?;
    match &parameters[..] {
        [] => Ok(false),
        [(name, value)] if name == "wait" && value == "applied" => Ok(true),
        _ => Err(Problem::invalid(vec![hotshelf_model::FieldProblem::new(
            "query",
            "may hold `wait=applied` and nothing else",
        )])),
    }
}

/// Waits until this node has proved that it knows every change up to a moment after the commit.
async fn applied(state: &ApiState) -> Result<(), Problem> {
    let committed = state.clock.now();
    let limit = state.settings.request_timeout;
    if state.cache.proved_since(committed, limit).await {
        return Ok(());
    }
    let detail = "the changes are recorded, and this node has not applied them in time";
    Err(Problem::new(
        StatusCode::GATEWAY_TIMEOUT,
        "not_applied",
        detail,
    ))
}

fn render(recorded: &Recorded, applied: bool) -> http::Response<Bytes> {
    let tokens = |versions: &[hotshelf_model::Version]| -> Vec<String> {
        let token = |version: &hotshelf_model::Version| version.token().to_string();
        versions.iter().map(token).collect()
    };
    let (status, word) = if applied {
        (StatusCode::OK, "applied")
    } else {
        (StatusCode::ACCEPTED, "recorded")
    };
    let answer = ChangesAnswer {
        status: word,
        versions: tokens(&recorded.changes),
        bumps: tokens(&recorded.bumps),
    };
    json_body::answer(status, &answer)
}

#[cfg(test)]
mod tests;
