//! Many documents at once: `POST /v1/{namespace}:batchGet` and `GET /v1/{namespace}?ids=a,b,c`.
//!
//! A bad id, a failed tier or a document that does not fit is the matter of its own result and never of the batch; only a
//! request that cannot be read as a whole is refused. Documents are copied into the answer as they are, without parsing.

mod render;
mod request;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use hotshelf_engine::{Answer, ReadOptions};
use hotshelf_model::{Error, FieldProblem, Key, Namespace, Variant};
use http::request::Parts;
use http::{HeaderMap, Uri};

use crate::asked::Asked;
use crate::headers::HOTSHELF_MIN_VERSION;
use crate::problem::{Problem, ProblemBody, log_failure};
use crate::request_body;
use crate::request_id::RequestId;
use crate::state::{ApiState, Room};
use crate::target;
use request::{BatchRequest, Item};

pub(crate) use render::BatchAnswer;

/// What is read, and how.
struct Batch<'a> {
    namespace: &'a Namespace,
    variant: Variant,
    items: Vec<Item>,
    options: ReadOptions<'a>,
}

/// What became of one id.
enum Outcome {
    /// The engine's answer.
    Read(Result<Answer, Error>),
    /// The id is none; the engine was not asked.
    BadId(FieldProblem),
}

/// Several documents of one namespace and variant.
#[utoipa::path(
    post,
    path = "/v1/{namespace}:batchGet",
    operation_id = "batchGet",
    tag = "documents",
    params(
        ("namespace" = String, Path, description = "The kind of document, such as `products`"),
        ("Hotshelf-Class" = Option<String>, Header, description = "As for one document"),
        ("Hotshelf-Caller" = Option<String>, Header, description = "As for one document"),
    ),
    request_body(content = BatchRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "One result for each id, in the order of the request, duplicates included", body = BatchAnswer,
            headers(
                ("Cache-Status" = String, description = "`hotshelf; hit; detail=batch`, or `hotshelf; fwd=miss; detail=batch` when any document was fetched or is missing"),
                ("Hotshelf-Stale" = u64, description = "Only when a result is stale: the largest `stale_s`"),
            )),
        (status = 400, description = "`invalid`: no JSON, too many ids, a bad variant", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 404, description = "`unknown_namespace`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 408, description = "`body_too_slow`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn batch_get(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    let request_id = RequestId::of(request.headers());
    let answer = match posted(&state, request, &request_id).await {
        Ok(answer) => answer,
        Err(problem) => problem.answer(&request_id),
    };
    answer.map(Into::into)
}

/// Several documents of one namespace and variant, named in the URL.
#[utoipa::path(
    get,
    path = "/v1/{namespace}",
    operation_id = "list",
    tag = "documents",
    params(
        ("namespace" = String, Path, description = "The kind of document, such as `products`"),
        ("ids" = String, Query, description = "Ids with commas between them; each percent-encoded, a comma within an id as `%2C`"),
        ("locale" = Option<String>, Query, description = "One parameter for each dimension that the namespace declares"),
        ("Hotshelf-Class" = Option<String>, Header, description = "As for one document"),
        ("Hotshelf-Caller" = Option<String>, Header, description = "As for one document"),
    ),
    responses(
        (status = 200, description = "One result for each id, in the order of the request, duplicates included", body = BatchAnswer),
        (status = 400, description = "`invalid`: no `ids`, too many, or a bad variant", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 404, description = "`unknown_namespace` or `unknown_route`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 414, description = "`url_too_long`", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    let request_id = RequestId::of(request.headers());
    let (request, _body) = request.into_parts();
    let answer = match listed(&state, &request, &request_id).await {
        Ok(answer) => answer,
        Err(problem) => problem.answer(&request_id),
    };
    answer.map(Into::into)
}

async fn posted(
    state: &ApiState,
    request: Request,
    request_id: &RequestId,
) -> Result<http::Response<Bytes>, Problem> {
    let name = target::namespace_path(request.uri().path())
        .and_then(|name| name.strip_suffix(":batchGet"))
        .ok_or_else(Problem::unknown_route)?;
    let namespace = target::namespace(&state.cache, name)?;
    let (parts, body) = request.into_parts();
    let options = options_of(state, &parts)?;
    let body = Request::new(body);
    let body = request_body::whole(state, body, state.settings.body_bytes_max).await?;
    let batch =
        BatchRequest::read(&body, state.settings.batch_ids_max).map_err(Problem::invalid)?;
    let batch = Batch {
        namespace,
        variant: variant_of(namespace, &batch)?,
        items: batch.items,
        options,
    };
    answer(state, &batch, request_id).await
}

async fn listed(
    state: &ApiState,
    request: &Parts,
    request_id: &RequestId,
) -> Result<http::Response<Bytes>, Problem> {
    let name = target::namespace_path(request.uri.path()).ok_or_else(Problem::unknown_route)?;
    let namespace = target::namespace(&state.cache, name)?;
    let options = options_of(state, request)?;
    let (items, rest) = ids_of(&request.uri, state.settings.batch_ids_max)?;
    let batch = Batch {
        namespace,
        variant: target::resolve_variant(namespace, &target::parameters(&rest)?)?,
        items,
        options,
    };
    answer(state, &batch, request_id).await
}

fn options_of<'a>(state: &ApiState, request: &'a Parts) -> Result<ReadOptions<'a>, Problem> {
    refuse_min_version(&request.headers)?;
    Asked::of(&request.method, &request.headers).options(&state.settings)
}

/// A token belongs to one product; applied to all of a batch it would make every older product fail.
fn refuse_min_version(headers: &HeaderMap) -> Result<(), Problem> {
    if !headers.contains_key(HOTSHELF_MIN_VERSION) {
        return Ok(());
    }
    let reason = "belongs to one product; read that product by itself";
    Err(Problem::invalid(vec![FieldProblem::new(
        "Hotshelf-Min-Version",
        reason,
    )]))
}

/// Takes `ids` out of a query before it is decoded, because an encoded comma is part of an id; the rest names the variant.
fn ids_of(uri: &Uri, ids_max: usize) -> Result<(Vec<Item>, String), Problem> {
    let pairs = || uri.query().unwrap_or_default().split('&');
    let lists: Vec<&str> = pairs()
        .filter_map(|pair| pair.strip_prefix("ids="))
        .collect();
    let problem = |reason: String| Problem::invalid(vec![FieldProblem::new("ids", reason)]);
    let [list] = lists[..] else {
        return Err(problem("is needed once: `?ids=a,b,c`".to_owned()));
    };
    let count = list.split(',').count();
    if count > ids_max {
        return Err(problem(format!(
            "has {count} ids; at most {ids_max} can be asked for at once"
        )));
    }
    let items = list
        .split(',')
        .filter(|_| !list.is_empty())
        .map(Item::from_url)
        .collect();
    let rest: Vec<&str> = pairs().filter(|pair| !pair.starts_with("ids=")).collect();
    Ok((items, rest.join("&")))
}

fn variant_of(namespace: &Namespace, batch: &BatchRequest) -> Result<Variant, Problem> {
    let pairs = batch
        .variant
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    namespace.variants.resolve(pairs).map_err(|problems| {
        let path = |problem: FieldProblem| {
            FieldProblem::new(format!("variant.{}", problem.field), problem.reason)
        };
        Problem::invalid(problems.into_iter().map(path).collect())
    })
}

async fn answer(
    state: &ApiState,
    batch: &Batch<'_>,
    request_id: &RequestId,
) -> Result<http::Response<Bytes>, Problem> {
    let items = &batch.items;
    let ids = items.iter().filter_map(|item| item.id.as_ref().ok());
    let keys: Vec<Key> = ids
        .map(|id| batch.namespace.key(id, &batch.variant))
        .collect();
    let answers = state.cache.get_many(&keys, batch.options).await;
    for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        log_failure("read", error, request_id);
    }
    let mut answers = answers.into_iter();
    let outcome = |item: &Item| match &item.id {
        Ok(_) => answers.next().map(Outcome::Read),
        Err(problem) => Some(Outcome::BadId(problem.clone())),
    };
    let outcomes: Vec<Outcome> = items.iter().map_while(outcome).collect();
    debug_assert_eq!(outcomes.len(), items.len(), "the engine answers each key");
    let bytes_max = state.settings.batch_bytes_max;
    let room = state
        .batches
        .room(render::usual_bytes(&outcomes, bytes_max))?;
    let answer = render::render(items, &outcomes, bytes_max);
    Ok(answer.map(|text| Bytes::from_owner(Held { text, _room: room })))
}

/// An answer with its room. Who reads it slowly keeps both.
struct Held {
    text: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

#[cfg(test)]
mod tests;
