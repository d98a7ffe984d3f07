//! `GET /v1/changes`: what is no longer true, as server-sent events, for those who keep copies of answers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use futures_util::stream;
use hotshelf_engine::{Change, Changes, Cursor};
use hotshelf_model::{Boot, FieldProblem, LogRow, Record};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};
use utoipa::ToSchema;

use crate::problem::{Problem, ProblemBody};
use crate::request_id::RequestId;
use crate::state::ApiState;
use crate::target;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Asks nginx to pass events on when they come.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// How often a node that is proven says so: so many times within the staleness bound.
const PROOFS_PER_BOUND: u32 = 4;

/// The data of an event `change`.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangeBody<'a> {
    /// Products that were written or deleted: copies below the version are not to be used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<ChangedProduct<'a>>,
    /// Namespaces of which every copy below the version is not to be used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bumps: Vec<BumpedNamespace<'a>>,
}

/// A product that was written or deleted.
#[derive(Serialize, ToSchema)]
#[schema(as = ChangedProduct)]
struct ChangedProduct<'a> {
    namespace: &'a str,
    id: &'a str,
    /// As in `Hotshelf-Version`.
    version: String,
}

/// A namespace whose documents were all made dead.
#[derive(Serialize, ToSchema)]
#[schema(as = BumpedNamespace)]
struct BumpedNamespace<'a> {
    namespace: &'a str,
    version: String,
}

/// The data of an event `proof`.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProofBody {
    /// Milliseconds since the moment of which the node has proved that it knows every change up to then; all of them have been sent.
    age_ms: u64,
}

/// Tells every change that this node applies, as server-sent events, until the client leaves.
#[utoipa::path(
    get,
    path = "/v1/changes",
    operation_id = "getChanges",
    tag = "changes",
    params(
        ("since" = Option<String>, Query, description = "The `id` of an event: go on after it. Without it the first event is `reset`"),
        ("Last-Event-ID" = Option<String>, Header, description = "As `since`, and stronger: what a client sends that connects again"),
    ),
    responses(
        (status = 200, description = "Events. `reset`: drop every copy; the data is `{}`. `change`: drop these copies. `proof`: the node has told all that it knew \
            so many milliseconds ago; four times within the staleness bound while the node can prove it. An event's `id` is where to go on",
            body = ChangeBody<'_>, content_type = "text/event-stream"),
        (status = 400, description = "`invalid`: `since` is not the id of an event", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "`too_many_subscribers`, or `draining`: the node is about to stop", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_changes(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    match subscribe(&state, &request) {
        Ok(events) => answer(events),
        Err(problem) => problem
            .answer(&RequestId::of(request.headers()))
            .map(Into::into),
    }
}

fn answer(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    let mut response = Sse::new(events).into_response();
    let headers = response.headers_mut();
    headers.insert(
        http::header::CACHE_CONTROL,
        HeaderValue::from_static("no-store"),
    );
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

fn subscribe(
    state: &Arc<ApiState>,
    request: &Request,
) -> Result<impl Stream<Item = Result<Event, Infallible>> + use<>, Problem> {
    let since = since(request.headers(), request.uri().query())?;
    let unavailable = |code, detail| Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
    if state.is_draining() {
        return Err(unavailable("draining", "the node is about to stop"));
    }
    let permits = Arc::clone(&state.subscribers.permits);
    let permit = permits.try_acquire_owned().map_err(|_none_left| {
        state.subscribers.refused.increment(1);
        unavailable(
            "too_many_subscribers",
            "as many clients follow the changes as `http.subscribers_max` allows",
        )
    })?;
    let subscriber = Subscriber::new(Arc::clone(state), since, permit);
    Ok(stream::unfold(subscriber, |mut subscriber| async {
        let event = subscriber.next().await?;
        Some((Ok(event), subscriber))
    }))
}

/// Where to go on: where the client was when it lost its connection, or what its URL says.
fn since(headers: &HeaderMap, query: Option<&str>) -> Result<Option<Cursor>, Problem> {
    let invalid = |field, reason| Problem::invalid(vec![FieldProblem::new(field, reason)]);
    let parameters = target::parameters(query.unwrap_or_default())?;
    let of_query = match &parameters[..] {
        [] => None,
        [(name, value)] if name == "since" => Some(&**value),
        _ => return Err(invalid("query", "may hold `since` and nothing else")),
    };
    let (field, text) = match (headers.get(LAST_EVENT_ID), of_query) {
        (Some(value), _) => ("Last-Event-ID", value.to_str().unwrap_or("?")),
        (None, Some(text)) => ("since", text),
        (None, None) => return Ok(None),
    };
    let reason = "is not the `id` of an event; leave it out to begin with a `reset`";
    text.parse()
        .map(Some)
        .map_err(|_not_a_cursor| invalid(field, reason))
}

/// One client that follows the changes.
struct Subscriber {
    state: Arc<ApiState>,
    changes: Changes,
    /// When to look for a proof.
    looks: Interval,
    /// The moment of a proof that is to be told once all is told that was known with it.
    proof: Option<Boot>,
    _permit: OwnedSemaphorePermit,
}

impl Subscriber {
    fn new(state: Arc<ApiState>, since: Option<Cursor>, permit: OwnedSemaphorePermit) -> Self {
        let mut looks = interval(state.cache.staleness_bound() / PROOFS_PER_BOUND);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        state.subscribers.count.increment(1);
        Subscriber {
            changes: state.cache.changes(since),
            state,
            looks,
            proof: None,
            _permit: permit,
        }
    }

    /// The next event; `None` when the node is about to stop.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.state.is_draining() {
                return None;
            }
            if let Some(change) = self.changes.try_next() {
                return Some(self.tell(&change));
            }
            // The rows that a proof speaks of are there before it is, and were told just now.
            if let Some(event) = self.proof.take().and_then(|proof| self.tell_proof(proof)) {
                return Some(event);
            }
            tokio::select! {
                () = self.state.draining() => {}
                change = self.changes.next() => return Some(self.tell(&change)),
                _now = self.looks.tick() => self.proof = self.fresh_proof(),
            }
        }
    }

    /// The moment of the node's last proof, if that is not longer ago than the staleness bound.
    fn fresh_proof(&self) -> Option<Boot> {
        // The clock first, so that the moment is no later than it was.
        let now = self.state.clock.now();
        let age = self.state.cache.status().proof_age?;
        (age <= self.state.cache.staleness_bound()).then(|| now.minus(age))
    }

    /// A proof that has waited too long behind changes, because the client reads slowly, proves nothing any more.
    fn tell_proof(&self, proof: Boot) -> Option<Event> {
        let age = self.state.clock.now().since(proof);
        (age <= self.state.cache.staleness_bound()).then(|| proof_event(age))
    }

    fn tell(&self, change: &Change) -> Event {
        match change {
            Change::Row(row) => row_event(row),
            Change::Reset(cursor) => {
                self.state.subscribers.resets.increment(1);
                Event::default()
                    .id(cursor.to_string())
                    .event("reset")
                    .data("{}")
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.state.subscribers.count.decrement(1);
    }
}

fn row_event(row: &LogRow) -> Event {
    let event = Event::default().id(Cursor::of(row).to_string());
    if row.records.is_empty() {
        // Without data it only moves the id on.
        return event;
    }
    let mut body = ChangeBody {
        changes: Vec::new(),
        bumps: Vec::new(),
    };
    for record in &row.records {
        match record {
            Record::Key {
                namespace,
                id,
                version,
            } => body.changes.push(ChangedProduct {
                namespace: namespace.as_str(),
                id: id.as_str(),
                version: version.token().to_string(),
            }),
            Record::Parent { namespace, version } => body.bumps.push(BumpedNamespace {
                namespace: namespace.as_str(),
                version: version.token().to_string(),
            }),
        }
    }
    event.event("change").data(to_json(&body))
}

fn proof_event(age: Duration) -> Event {
    let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    Event::default()
        .event("proof")
        .data(to_json(&ProofBody { age_ms }))
}

fn to_json(body: &impl Serialize) -> String {
    // Strings and numbers always serialise.
    serde_json::to_string(body).unwrap_or_default()
}

#[cfg(test)]
mod tests;
