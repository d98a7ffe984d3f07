//! `GET /v1/hot`: each decision about hot keys, as server-sent events, for those who keep copies of answers.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use axum::response::sse::Event;
use hotshelf_promotion::{HotDecisions, HotEvent};
use serde::Serialize;
use utoipa::ToSchema;

use super::{KeyBody, hot};
use crate::follow::{Feed, follow};
use crate::problem::ProblemBody;
use crate::request_id::RequestId;
use crate::state::ApiState;

/// How often a stream in which nothing happens says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// The data of an event `reset`.
#[derive(Serialize, ToSchema)]
pub(crate) struct HotResetBody<'a> {
    /// What is hot, and nothing else is.
    keys: Vec<KeyBody<'a>>,
}

/// The data of an event `promote`.
#[derive(Serialize, ToSchema)]
pub(crate) struct PromoteBody<'a> {
    #[serde(flatten)]
    key: KeyBody<'a>,
    /// Reads per second over all nodes when it was decided.
    rate: f64,
    /// Why: `surge`, `rule` or `snapshot`.
    why: &'a str,
}

/// The data of an event `demote`.
#[derive(Serialize, ToSchema)]
pub(crate) struct DemoteBody<'a> {
    #[serde(flatten)]
    key: KeyBody<'a>,
    /// Why: `cooled`, `rule`, `room` or `blind`.
    why: &'a str,
}

/// Tells which keys are hot, as server-sent events, until the client leaves.
#[utoipa::path(
    get,
    path = "/v1/hot",
    operation_id = "getHot",
    tag = "changes",
    params(
        ("since" = Option<String>, Query, description = "The `id` of an event: go on after it, on any node. Without it the first event is `reset`"),
        ("Last-Event-ID" = Option<String>, Header, description = "As `since`, and stronger: what a client sends that connects again"),
    ),
    responses(
        (status = 200, description = "Events. `reset`: these keys are hot and no others. `promote`: a key is hot from now on. `demote`: it is not any more. \
            A comment comes every few seconds in which nothing happens. An event's `id` is where to go on",
            body = HotResetBody<'_>, content_type = "text/event-stream"),
        (status = 400, description = "`invalid`: `since` is not the id of an event", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 404, description = "`hot_off`: `hot.enabled` is false on this node", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "`too_many_subscribers`, or `draining`: the node is about to stop", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_hot(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    let begun = hot(&state).and_then(|hot| {
        follow(&state, &request, HEARTBEAT, |since| HotFeed {
            decisions: hot.keys.decisions(since),
            state: Arc::clone(&state),
            is_due: false,
        })
    });
    begun.unwrap_or_else(|problem| {
        problem
            .answer(&RequestId::of(request.headers()))
            .map(Into::into)
    })
}

/// What one client is told of the hot keys.
struct HotFeed {
    state: Arc<ApiState>,
    decisions: HotDecisions,
    /// Whether it is time to say something.
    is_due: bool,
}

impl Feed for HotFeed {
    fn try_next(&mut self) -> Option<Event> {
        let event = self.decisions.try_next()?;
        Some(self.tell(&event))
    }

    async fn next(&mut self) -> Event {
        let event = self.decisions.next().await;
        self.tell(&event)
    }

    fn look(&mut self) {
        self.is_due = true;
    }

    fn rest(&mut self) -> Option<Event> {
        std::mem::take(&mut self.is_due).then(|| Event::default().comment(""))
    }
}

impl HotFeed {
    fn tell(&self, event: &HotEvent) -> Event {
        let told = Event::default().id(event.cursor().to_string());
        match event {
            HotEvent::Reset(_, keys) => {
                self.state.subscribers.resets.increment(1);
                let keys = keys.iter().map(|hot| KeyBody::of(&hot.key)).collect();
                told.event("reset").data(to_json(&HotResetBody { keys }))
            }
            HotEvent::Promoted(_, hot) => told.event("promote").data(to_json(&PromoteBody {
                key: KeyBody::of(&hot.key),
                rate: hot.rate,
                why: hot.why.as_str(),
            })),
            HotEvent::Demoted(_, key, why) => told.event("demote").data(to_json(&DemoteBody {
                key: KeyBody::of(key),
                why: why.as_str(),
            })),
        }
    }
}

fn to_json(body: &impl Serialize) -> String {
    // Strings and numbers always serialise.
    serde_json::to_string(body).unwrap_or_default()
}
