//! `/admin/v1/pins`: documents that every node holds whatever is read, until they end.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use hotshelf_decisions::{Changed, Decider, NoRoom, Pins};
use hotshelf_model::{DbTime, Error, Id, Key, Namespace, Role, Selection, Variant};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::deciding::{self, Expiry, act, invalid};
use super::switches::answered;
use crate::hot::json;
use crate::problem::{Problem, ProblemBody, log_failure, log_panic};
use crate::request_id::RequestId;
use crate::state::ApiState;

/// The namespace that is meant when none is named.
const PRODUCTS: &str = "products";
/// Ids that an answer names, of those that are not there.
const NAMED_MAX: usize = 10;

/// Which documents, in every variant: of a namespace these ids, or those of a category.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PinBody {
    /// `products` if it is left out.
    namespace: Option<String>,
    /// The ids.
    ids: Option<Vec<String>>,
    /// Or a category of hotshelf's own tables, the names from the top down: what is in it or below it now. What comes into it later is not
    /// pinned.
    category: Option<Vec<String>>,
    /// For so many milliseconds from now on. Of this and the next two one has to be there.
    for_ms: Option<u64>,
    /// Until this moment: milliseconds since 1970 on the database's clock.
    until_ms: Option<u64>,
    /// Until somebody ends it.
    no_expiry: Option<bool>,
}

/// Which pins are to end: of these ids, or all.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UnpinBody {
    /// `products` if it is left out.
    namespace: Option<String>,
    /// The ids.
    ids: Option<Vec<String>>,
    /// Every pin of every namespace.
    all: Option<bool>,
}

/// A pin.
#[derive(Serialize, ToSchema)]
pub(crate) struct PinTold<'a> {
    namespace: &'a str,
    id: &'a str,
    variant: &'a str,
    /// What its copy took in memory when it was pinned.
    bytes: u64,
    /// When it ends: milliseconds since 1970 on the database's clock; left out when somebody has to end it.
    #[serde(skip_serializing_if = "Option::is_none")]
    until_ms: Option<u64>,
    /// When it was pinned, on the same clock.
    at_ms: u64,
    /// Who: the name of a token.
    who: &'a str,
    /// Why.
    why: &'a str,
    /// Whether this node holds it: not if its hot set has no room for it, or bans it.
    here: bool,
}

/// What is pinned.
#[derive(Serialize, ToSchema)]
pub(crate) struct PinsBody<'a> {
    /// The version of what was decided; 0 when nothing ever was. For `Hotshelf-If-Version`.
    version: u64,
    /// What the database's clock shows, in milliseconds since 1970.
    now_ms: u64,
    /// What is wrong with a newer version in the database, which this node cannot read.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
    /// What all pins take.
    bytes: u64,
    /// The most that this node's hot set holds, in keys.
    keys_max: usize,
    /// And in bytes.
    bytes_max: u64,
    pins: Vec<PinTold<'a>>,
}

/// Says what is pinned.
#[utoipa::path(
    get,
    path = "/admin/v1/pins",
    operation_id = "getPins",
    tag = "admin",
    security(("token" = [])),
    responses(
        (status = 200, description = "What is pinned, as this node knows it", body = PinsBody<'_>),
        (status = 401, description = "`unauthorized`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: this needs the role `viewer`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`: this node does not know the database's time yet", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_pins(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    let answer = || {
        let access = &state.writing.access;
        access.to_administer(request.headers(), Role::Viewer)?;
        listed(&state)
    };
    answered(answer(), &RequestId::of(request.headers()))
}

/// Pins documents, all or none, durably: on this node at once, on the others within a second.
#[utoipa::path(
    post,
    path = "/admin/v1/pins",
    operation_id = "postPins",
    tag = "admin",
    params(
        ("Hotshelf-Reason" = String, Header, description = "Why: kept with who did it and when"),
        ("Hotshelf-If-Version" = Option<u64>, Header, description = "Only while this is the version"),
    ),
    request_body(content = PinBody, content_type = "application/json"),
    security(("token" = [])),
    responses(
        (status = 200, description = "Pinned; durable. The answer has all that is pinned", body = PinsBody<'_>),
        (status = 400, description = "`invalid`: nothing is pinned", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 401, description = "`unauthorized`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: this needs the role `operator`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 404, description = "`unknown_namespace`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 409, description = "`no_room`: what is short is said; `contended`: others decide at the same time; `unreadable`: this node cannot read what the database has. Nothing is pinned", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 412, description = "`version_mismatch`: somebody else has decided; nothing is pinned", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "`origin_failed` or `unavailable`: nothing is pinned", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 504, description = "`origin_timeout`: nothing is pinned; `write_unknown`: it may be", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post_pins(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    let request_id = RequestId::of(request.headers());
    let answer = async {
        let decider = deciding::decider(&state, request.headers())?;
        let body: PinBody = deciding::read(&state, request).await?;
        pin(&state, decider, body, &request_id).await
    };
    answered(answer.await, &request_id)
}

/// Ends pins.
#[utoipa::path(
    delete,
    path = "/admin/v1/pins",
    operation_id = "deletePins",
    tag = "admin",
    params(
        ("Hotshelf-Reason" = String, Header, description = "Why: kept with who did it and when"),
        ("Hotshelf-If-Version" = Option<u64>, Header, description = "Only while this is the version"),
    ),
    request_body(content = UnpinBody, content_type = "application/json"),
    security(("token" = [])),
    responses(
        (status = 200, description = "Ended, or not pinned; durable. The answer has all that is pinned", body = PinsBody<'_>),
        (status = "default", description = "As POST", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_pins(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    let request_id = RequestId::of(request.headers());
    let answer = async {
        let decider = deciding::decider(&state, request.headers())?;
        let body: UnpinBody = deciding::read(&state, request).await?;
        unpin(&state, decider, body, &request_id).await
    };
    answered(answer.await, &request_id)
}

async fn pin(
    state: &Arc<ApiState>,
    decider: Decider,
    body: PinBody,
    request_id: &RequestId,
) -> Result<http::Response<Bytes>, Problem> {
    let failed = |error: Error| {
        log_failure("pinning", &error, request_id);
        Problem::of_write(&error)
    };
    let decisions = state.decided.decisions.clone();
    let namespace = namespace(state, body.namespace.as_deref())?;
    let expiry = Expiry {
        for_ms: body.for_ms,
        until_ms: body.until_ms,
        no_expiry: body.no_expiry,
    };
    let now = decisions.now().map_err(failed)?;
    let until = expiry.until(now, None);
    let until = until.map_err(|problem| Problem::invalid(vec![problem]))?;
    let room = decisions.room();
    let ids = match (body.ids, body.category) {
        (Some(ids), None) => parsed(&ids)?,
        (None, Some(category)) => {
            let selection = Selection::Category(&category);
            // One more than fits tells that it does not.
            let found = state.decided.finder.select(selection, room.keys + 1).await;
            found.map_err(failed)?
        }
        _ => return Err(invalid("ids", "says which: `ids` or `category`")),
    };
    if ids.is_empty() {
        return Err(invalid("ids", "names no document"));
    }
    let variants = variants(&namespace);
    if ids.len().saturating_mul(variants.len()) > room.keys {
        let detail = format!(
            "{} documents in {} variants are more than the {} keys that the hot set has room for",
            ids.len(),
            variants.len(),
            room.keys
        );
        return Err(no_room(&detail));
    }
    let key = |id| variants.iter().map(move |variant| (id, variant));
    let keys = ids.iter().flat_map(key);
    let keys: Vec<Key> = keys
        .map(|(id, variant)| Key::new(&namespace.name, id, variant))
        .collect();
    let weighed = decisions.weigh(&keys).await.map_err(failed)?;
    if !weighed.absent.is_empty() {
        let named: Vec<&str> = weighed.absent.iter().take(NAMED_MAX).map(Key::id).collect();
        let reason = format!(
            "{} of them are not there, such as {}; nothing is pinned",
            weighed.absent.len(),
            named.join(", ")
        );
        return Err(invalid("ids", reason));
    }
    let act = act(&decider, until, now);
    // A task of its own, so that a client that goes away leaves no node that does not know what it wrote.
    let deciding = tokio::spawn(async move {
        let edit = |pins: Pins, now: DbTime| {
            let keys = weighed.keys.iter().cloned();
            pins.current(now).with(keys, &act, room)
        };
        decisions.change(&decider, edit).await
    });
    let changed = deciding.await.map_err(|_panicked| panicked(request_id))?;
    deciding::written(changed, request_id, |short: NoRoom| {
        no_room(&short.to_string())
    })?;
    listed(state)
}

async fn unpin(
    state: &Arc<ApiState>,
    decider: Decider,
    body: UnpinBody,
    request_id: &RequestId,
) -> Result<http::Response<Bytes>, Problem> {
    let decisions = state.decided.decisions.clone();
    let meant = match (body.ids, body.all) {
        (Some(ids), None) => Some((namespace(state, body.namespace.as_deref())?, parsed(&ids)?)),
        (None, Some(true)) => None,
        _ => return Err(invalid("ids", "says which: `ids`, or `all`")),
    };
    let deciding = tokio::spawn(async move {
        let is_meant = |key: &Key| match &meant {
            None => true,
            Some((namespace, ids)) => {
                let is_of = key.namespace() == namespace.name.as_str();
                is_of && ids.iter().any(|id| id.as_str() == key.id())
            }
        };
        let edit = |pins: Pins, now: DbTime| Ok(pins.current(now).without(is_meant));
        decisions.change(&decider, edit).await
    });
    let changed: Result<Changed<Infallible>, Error> =
        deciding.await.map_err(|_panicked| panicked(request_id))?;
    deciding::written(changed, request_id, |never| match never {})?;
    listed(state)
}

fn panicked(request_id: &RequestId) -> Problem {
    log_panic("change of pins", request_id);
    Problem::internal()
}

fn no_room(detail: &str) -> Problem {
    let detail = format!("{detail}; nothing is pinned");
    Problem::new(StatusCode::CONFLICT, "no_room", detail)
}

fn namespace(state: &ApiState, name: Option<&str>) -> Result<Arc<Namespace>, Problem> {
    let name = name.unwrap_or(PRODUCTS);
    let known = state.cache.namespace(name).cloned();
    known.ok_or_else(|| {
        let detail = format!("there is no namespace `{name}`");
        Problem::new(StatusCode::NOT_FOUND, "unknown_namespace", detail)
    })
}

fn parsed(ids: &[String]) -> Result<Vec<Id>, Problem> {
    let parsed = ids.iter().enumerate().map(|(at, id)| {
        Id::new(id).map_err(|problem| invalid(&format!("ids[{at}]"), problem.to_string()))
    });
    parsed.collect()
}

/// Every variant of a namespace's documents.
fn variants(namespace: &Namespace) -> Vec<Variant> {
    let schema = &namespace.variants;
    let mut chosen: Vec<Vec<(&str, &str)>> = vec![Vec::new()];
    for dimension in schema.dimensions() {
        let with = |pairs: &Vec<(_, _)>, value| [&pairs[..], &[(dimension.name(), value)]].concat();
        chosen = chosen
            .iter()
            .flat_map(|pairs| {
                let values = dimension.values().iter();
                values.map(|value| with(pairs, value.as_str()))
            })
            .collect();
    }
    let resolved = chosen.into_iter().map(|pairs| schema.resolve(pairs));
    // Each pair is one that the schema itself has named.
    resolved.flatten().collect()
}

fn listed(state: &ApiState) -> Result<http::Response<Bytes>, Problem> {
    let decisions = &state.decided.decisions;
    let now = decisions.now().map_err(|error| Problem::of_write(&error))?;
    let (known, refused, room) = (decisions.pins(), decisions.refused(), decisions.room());
    let current = known.document.current(now);
    let pins = current.iter().map(|pin| PinTold {
        namespace: pin.key.namespace(),
        id: pin.key.id(),
        variant: pin.key.variant(),
        bytes: pin.bytes,
        until_ms: pin.act.until_ms,
        at_ms: pin.act.at_ms,
        who: &pin.act.who,
        why: &pin.act.why,
        here: !refused.contains(&pin.key),
    });
    Ok(json(&PinsBody {
        version: known.version,
        now_ms: now.0,
        unreadable: known.unreadable,
        bytes: current.iter().map(|pin| pin.bytes).sum(),
        keys_max: room.keys,
        bytes_max: room.bytes,
        pins: pins.collect(),
    }))
}
