//! `PUT|PATCH|DELETE /v1/{namespace}/{id}`: products of hotshelf's own schema.

mod counters;
mod fields;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use hotshelf_model::{
    Error, ErrorKind, FieldProblem, Id, NamespaceName, ProductChange, ProductWrite, ProductWriter,
    Version, VersionToken, WriteEffect, WriteOutcome,
};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use serde::Serialize;
use utoipa::ToSchema;

use crate::headers::{HOTSHELF_IF_VERSION, HOTSHELF_VERSION};
use crate::problem::{Problem, ProblemBody, log_failure, log_panic};
use crate::request_body;
use crate::request_id::RequestId;
use crate::state::ApiState;
use crate::target;

pub(crate) use counters::WriteCounters;
pub(crate) use fields::{PriceBody, ProductBody, StockBody};

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// What a write did.
#[derive(Serialize, ToSchema)]
pub(crate) struct WriteAnswer<'a> {
    /// The product.
    id: &'a str,
    /// Its version, for `Hotshelf-Min-Version` and `Hotshelf-If-Version`.
    #[schema(value_type = String, example = "3-18447")]
    version: String,
    /// `created`, `updated`, `deleted`, or `unchanged` when the document is what it was (stock may have changed within its class).
    status: &'a str,
}

/// Writes a whole product; what the body leaves out gets its default, prices and stock included.
#[utoipa::path(
    put,
    path = "/v1/{namespace}/{id}",
    operation_id = "put",
    tag = "writes",
    params(
        ("namespace" = String, Path, description = "A namespace over hotshelf's own tables: `products`"),
        ("id" = String, Path, description = "The product's id (SKU), percent-encoded, `/` as `%2F`; 1 to 128 bytes of UTF-8"),
        ("Hotshelf-If-Version" = Option<String>, Header, description = "Write only if this is the product's version; `0-0`: only if there is no such product"),
    ),
    request_body(content = ProductBody, content_type = "application/json"),
    security(("token" = [])),
    responses(
        (status = 200, description = "Replaced, or `unchanged`; durable", body = WriteAnswer<'_>, headers(("Hotshelf-Version" = String, description = "The product's version after the write"))),
        (status = 201, description = "Created; durable", body = WriteAnswer<'_>, headers(("Hotshelf-Version" = String, description = "The product's version after the write"))),
        (status = 400, description = "`invalid`: every field that is wrong is in `errors`; nothing is written", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 401, description = "`unauthorized`: no token, or one that is not this node's", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: the token's role is too low; `no_token`: the node has no token that may write", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 404, description = "`unknown_namespace`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 405, description = "`writes_off`: the namespace's documents come from elsewhere; write there", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 412, description = "`version_mismatch`: the product has another version, given in `version`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`, or `document_too_large`: the document would have more bytes than one may have", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported_media_type`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "`shed` or `origin_failed`: nothing is written; see `Retry-After`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 504, description = "`origin_timeout`: nothing is written; `write_unknown`: the connection to the database was lost, and it may have been written", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn put(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    answer(&state, request).await
}

/// Changes the fields that the body names (RFC 7396): `null` removes one, lists are replaced whole.
#[utoipa::path(
    patch,
    path = "/v1/{namespace}/{id}",
    operation_id = "patch",
    tag = "writes",
    params(
        ("namespace" = String, Path, description = "A namespace over hotshelf's own tables: `products`"),
        ("id" = String, Path, description = "The product's id"),
        ("Hotshelf-If-Version" = Option<String>, Header, description = "Write only if this is the product's version"),
    ),
    request_body(content = ProductBody, content_type = "application/merge-patch+json"),
    security(("token" = [])),
    responses(
        (status = 200, description = "Changed, or `unchanged`; durable", body = WriteAnswer<'_>, headers(("Hotshelf-Version" = String, description = "The product's version after the write"))),
        (status = 404, description = "`absent`: there is no such product; `unknown_namespace`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = "default", description = "As PUT", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn patch(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    answer(&state, request).await
}

/// Deletes a product with its prices and stock.
#[utoipa::path(
    delete,
    path = "/v1/{namespace}/{id}",
    operation_id = "delete",
    tag = "writes",
    params(
        ("namespace" = String, Path, description = "A namespace over hotshelf's own tables: `products`"),
        ("id" = String, Path, description = "The product's id"),
        ("Hotshelf-If-Version" = Option<String>, Header, description = "Delete only if this is the product's version"),
    ),
    security(("token" = [])),
    responses(
        (status = 200, description = "Deleted; durable. The version is that of the absence", body = WriteAnswer<'_>, headers(("Hotshelf-Version" = String, description = "The version of the absence"))),
        (status = 404, description = "`absent`: there was no such product; `unknown_namespace`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = "default", description = "As PUT", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    answer(&state, request).await
}

async fn answer(state: &Arc<ApiState>, request: Request) -> Response {
    let request_id = RequestId::of(request.headers());
    let method = request.method().clone();
    let answer = match write(state, request, &request_id).await {
        Ok(answer) => answer,
        Err(problem) => {
            state.writes.counters.refused(&method, &problem);
            problem.answer(&request_id)
        }
    };
    answer.map(Into::into)
}

async fn write(
    state: &Arc<ApiState>,
    request: Request,
    request_id: &RequestId,
) -> Result<http::Response<Bytes>, Problem> {
    let (namespace, id, writer) = aim(state, request.uri())?;
    state.writing.access.to_write(request.headers())?;
    let if_version = if_version(request.headers())?;
    let change = change(state, request, &id).await?;
    // After the body is here, so that slow clients don't take the places of quick ones.
    let permit = Arc::clone(&state.writes.permits).try_acquire_owned();
    let permit = permit.map_err(|_| too_many())?;
    let write = ProductWrite {
        id,
        change,
        if_version,
    };
    // A task of its own: a client that goes away leaves nothing half told to this node's tiers.
    let writing = tokio::spawn({
        let state = Arc::clone(state);
        async move {
            let outcome = commit(&state, &*writer, &namespace, &write).await;
            drop(permit);
            outcome.map(|outcome| (outcome, write.id))
        }
    });
    let outcome = writing.await.map_err(|_panicked| {
        log_panic("write", request_id);
        Problem::internal()
    })?;
    let (outcome, id) = outcome.map_err(|error| {
        log_failure("write", &error, request_id);
        Problem::of_write(&error)
    })?;
    render(outcome, &id)
}

/// What a request's path names, and who writes there.
fn aim(
    state: &ApiState,
    uri: &Uri,
) -> Result<(NamespaceName, Id, Arc<dyn ProductWriter>), Problem> {
    let (name, id) = target::document_path(uri.path()).ok_or_else(Problem::unknown_route)?;
    let namespace = target::namespace(&state.cache, name)?;
    let id = target::document_id(id).map_err(|problem| Problem::invalid(vec![problem]))?;
    if uri.query().is_some_and(|query| !query.is_empty()) {
        let reason = "has parameters; a write is for every variant of the document and takes none";
        return Err(Problem::invalid(vec![FieldProblem::new("query", reason)]));
    }
    let writer = state.writing.products.get(&namespace.name);
    let writer = writer.ok_or_else(|| writes_off(&namespace.name))?;
    Ok((namespace.name.clone(), id, Arc::clone(writer)))
}

fn writes_off(namespace: &NamespaceName) -> Problem {
    let detail = format!(
        "the documents of `{namespace}` are not made of hotshelf's own tables; write where they come from"
    );
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "writes_off", detail)
        .with_header(ALLOW, HeaderValue::from_static("GET,HEAD"))
}

fn too_many() -> Problem {
    let detail = "as many writes as are allowed at once are under way; nothing was written";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "shed", detail)
}

/// The version that the product must have. Other conditions are refused, because to ignore one would lose somebody's update.
fn if_version(headers: &HeaderMap) -> Result<Option<Version>, Problem> {
    let mut problems = Vec::new();
    for (header, name) in [(IF_MATCH, "If-Match"), (IF_NONE_MATCH, "If-None-Match")] {
        if headers.contains_key(header) {
            let reason = "is not a condition of writes, because entity tags name the bytes of one variant; send \
                          `Hotshelf-If-Version` with the product's version, or `0-0` if there must be no such product";
            problems.push(FieldProblem::new(name, reason));
        }
    }
    let value = headers.get(HOTSHELF_IF_VERSION);
    let token = value.map(|value| value.to_str().unwrap_or_default().parse::<VersionToken>());
    match (token.transpose(), problems.is_empty()) {
        (Ok(token), true) => Ok(token.map(VersionToken::version)),
        (Ok(_), false) => Err(Problem::invalid(problems)),
        (Err(error), _) => {
            problems.push(FieldProblem::new("Hotshelf-If-Version", error.to_string()));
            Err(Problem::invalid(problems))
        }
    }
}

async fn change(state: &ApiState, request: Request, id: &Id) -> Result<ProductChange, Problem> {
    let whole = match *request.method() {
        Method::DELETE => return Ok(ProductChange::Delete),
        Method::PUT => true,
        _ => false,
    };
    let types: &[&str] = if whole { &[JSON] } else { &[MERGE_PATCH, JSON] };
    request_body::check_type(request.headers(), types)?;
    let body = request_body::whole(state, request, state.settings.body_bytes_max).await?;
    let fields = fields::read(&body, id.as_str(), whole).map_err(Problem::invalid)?;
    Ok(if whole {
        ProductChange::Put(fields)
    } else {
        ProductChange::Patch(fields)
    })
}

/// Writes, and tells the engine before anybody is answered, so that this node's next read sees it.
async fn commit(
    state: &ApiState,
    writer: &dyn ProductWriter,
    namespace: &NamespaceName,
    write: &ProductWrite,
) -> Result<WriteOutcome, Error> {
    let started = state.clock.now();
    let outcome = writer.write(write).await;
    let taken = state.clock.now().since(started);
    state.writes.counters.done(&write.change, &outcome, taken);
    match &outcome {
        Ok(WriteOutcome::Written { version, .. }) => {
            state.cache.written(namespace, &write.id, *version);
        }
        // It may be there: the next poll of the change log tells, and the sooner the better.
        Err(error) if error.kind() == ErrorKind::WriteUnknown => state.cache.nudge(),
        Ok(_) | Err(_) => {}
    }
    outcome
}

fn render(outcome: WriteOutcome, id: &Id) -> Result<http::Response<Bytes>, Problem> {
    match outcome {
        WriteOutcome::Written { version, effect } => Ok(written(id, version, effect)),
        WriteOutcome::VersionMismatch { current } => {
            let detail = "the product has another version than `Hotshelf-If-Version` names; `version` is the present one, \
                          `0-0` if there never was such a product";
            let status = StatusCode::PRECONDITION_FAILED;
            Err(Problem::new(status, "version_mismatch", detail).with_version(current))
        }
        WriteOutcome::NotFound { version } => {
            let detail = "there is no product of this id, and nothing was written; PUT creates one";
            Err(Problem::new(StatusCode::NOT_FOUND, "absent", detail).with_version(version))
        }
        WriteOutcome::TooLarge { bytes_max } => {
            let detail = format!(
                "the document would have more than the {bytes_max} bytes that one may have; nothing was written"
            );
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            Err(Problem::new(status, "document_too_large", detail))
        }
    }
}

fn written(id: &Id, version: Version, effect: WriteEffect) -> http::Response<Bytes> {
    let answer = WriteAnswer {
        id: id.as_str(),
        version: version.token().to_string(),
        status: effect.as_str(),
    };
    // Strings always serialise.
    let body = serde_json::to_vec(&answer).unwrap_or_default();
    let mut response = http::Response::new(Bytes::from(body));
    if effect == WriteEffect::Created {
        *response.status_mut() = StatusCode::CREATED;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let version = HeaderValue::try_from(answer.version).ok();
    headers.extend(version.map(|version| (HOTSHELF_VERSION, version)));
    response
}

#[cfg(test)]
mod tests;
