//! `GET /v1/changes`: what is no longer true, as server-sent events, for those who keep copies of answers.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use axum::response::sse::Event;
use hotshelf_engine::{Change, Changes, Cursor};
use hotshelf_model::{Boot, LogRow, Record};
use serde::Serialize;
use utoipa::ToSchema;

use crate::follow::{Feed, follow};
use crate::problem::ProblemBody;
use crate::request_id::RequestId;
use crate::state::ApiState;

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
    /// Milliseconds from the beginning of this stream to that moment, which may have been before it. Added to when the client asked for the
    /// stream, they give a moment of the client's clock that is not later than that of the proof, however late the event arrives.
    until_ms: i64,
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
    let looks = state.cache.staleness_bound() / PROOFS_PER_BOUND;
    let feed = |since| ChangeFeed::new(Arc::clone(&state), since);
    follow(&state, &request, looks, feed).unwrap_or_else(|problem| {
        problem
            .answer(&RequestId::of(request.headers()))
            .map(Into::into)
    })
}

/// What one client is told of the changes.
struct ChangeFeed {
    state: Arc<ApiState>,
    /// Not before the client asked.
    begun: Boot,
    changes: Changes,
    /// The moment of a proof that is to be told once all is told that was known with it.
    proof: Option<Boot>,
}

impl Feed for ChangeFeed {
    fn try_next(&mut self) -> Option<Event> {
        let change = self.changes.try_next()?;
        Some(self.tell(&change))
    }

    async fn next(&mut self) -> Event {
        let change = self.changes.next().await;
        self.tell(&change)
    }

    fn look(&mut self) {
        self.proof = self.fresh_proof();
    }

    /// The rows that a proof speaks of are there before it is, and have been told.
    fn rest(&mut self) -> Option<Event> {
        self.proof.take().and_then(|proof| self.tell_proof(proof))
    }
}

impl ChangeFeed {
    fn new(state: Arc<ApiState>, since: Option<Cursor>) -> Self {
        ChangeFeed {
            begun: state.clock.now(),
            changes: state.cache.changes(since),
            state,
            proof: None,
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
        (age <= self.state.cache.staleness_bound()).then(|| {
            let body = to_json(&self.proof_body(proof, age));
            Event::default().event("proof").data(body)
        })
    }

    fn proof_body(&self, proof: Boot, age: Duration) -> ProofBody {
        // Rounded to the earlier one; one of both is 0.
        let after = proof.since(self.begun).as_millis();
        let before = self.begun.since(proof).as_nanos().div_ceil(1_000_000);
        let signed = |ms: u128| i64::try_from(ms).unwrap_or(i64::MAX);
        ProofBody {
            age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            until_ms: signed(after) - signed(before),
        }
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

fn to_json(body: &impl Serialize) -> String {
    // Strings and numbers always serialise.
    serde_json::to_string(body).unwrap_or_default()
}

#[cfg(test)]
mod tests;
