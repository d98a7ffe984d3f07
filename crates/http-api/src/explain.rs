//! `GET /admin/v1/explain/{namespace}/{id}`: what this node holds of one key, tier by tier.

mod body;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use hotshelf_model::Role;
use http::StatusCode;
use http::request::Parts;

use crate::json_body;
use crate::problem::{Problem, ProblemBody};
use crate::request_id::RequestId;
use crate::state::ApiState;
use crate::target;

pub(crate) use body::ExplanationBody;

/// How long the database is waited for; operators ask because something is slow.
const PATIENCE: Duration = Duration::from_secs(1);

/// What this node holds of one document, tier by tier, and what the database says beside it.
///
/// It is no read: nothing is promoted, filled, kept from being evicted or counted. Each copy is judged as a read would judge it now. The
/// database is asked for the version only, and waited for no longer than a second.
#[utoipa::path(
    get,
    path = "/admin/v1/explain/{namespace}/{id}",
    operation_id = "explain",
    tag = "admin",
    params(
        ("namespace" = String, Path, description = "The kind of document, such as `products`"),
        ("id" = String, Path, description = "The product's id, percent-encoded, `/` as `%2F`"),
        ("locale" = Option<String>, Query, description = "One parameter for each dimension that the namespace declares, as in a read"),
    ),
    security(("token" = [])),
    responses(
        (status = 200, description = "What the node holds; also when that is nothing", body = ExplanationBody),
        (status = 400, description = "`invalid`: a bad id or variant", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 401, description = "`unauthorized`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: this needs the role `viewer`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 404, description = "`unknown_namespace`", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_explanation(
    State(state): State<Arc<ApiState>>,
    request: Request,
) -> Response {
    let (request, _body) = request.into_parts();
    let answer = match explain(&state, &request).await {
        Ok(answer) => answer,
        Err(problem) => problem.answer(&RequestId::of(&request.headers)),
    };
    answer.map(Into::into)
}

async fn explain(state: &ApiState, request: &Parts) -> Result<http::Response<Bytes>, Problem> {
    let access = &state.writing.access;
    access.to_administer(&request.headers, Role::Viewer)?;
    let (path, query) = (request.uri.path(), request.uri.query());
    let names = path.strip_prefix("/admin/v1/explain/");
    let (namespace, id) = names
        .and_then(|names| names.split_once('/'))
        .ok_or_else(Problem::unknown_route)?;
    let key = target::key(&state.cache, (namespace, id), query)?;
    let explanation = state.cache.explain(&key, PATIENCE).await;
    let explanation = explanation.map_err(|error| Problem::of_read(&error))?;
    let body = ExplanationBody::new(&key, state.membership.facts(), &explanation);
    Ok(json_body::answer(StatusCode::OK, &body))
}

#[cfg(test)]
mod tests;
