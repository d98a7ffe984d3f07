//! Streams of server-sent events: who may follow one, where it goes on, and when it ends.

use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use hotshelf_model::FieldProblem;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::problem::Problem;
use crate::state::ApiState;
use crate::target;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Asks nginx to pass events on when they come.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What is told to one client.
pub(crate) trait Feed: Send + 'static {
    /// The next event, if it is there.
    fn try_next(&mut self) -> Option<Event>;

    /// Waits for the next event. Nothing is lost when the future is dropped.
    fn next(&mut self) -> impl Future<Output = Event> + Send;

    /// It is time to say that nothing is missing, as soon as that is so.
    fn look(&mut self);

    /// What there is to say when everything has been told.
    fn rest(&mut self) -> Option<Event>;
}

/// Begins a stream for one client, which goes on after the event that the request names. [`Feed::look`] is called each `looks`.
pub(crate) fn follow<C: FromStr, F: Feed>(
    state: &Arc<ApiState>,
    request: &Request,
    looks: Duration,
    feed: impl FnOnce(Option<C>) -> F,
) -> Result<Response, Problem> {
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
            "as many clients follow events as `http.subscribers_max` allows",
        )
    })?;
    let subscriber = Subscriber::new(Arc::clone(state), feed(since), looks, permit);
    let events = stream::unfold(subscriber, |mut subscriber| async {
        let event = subscriber.next().await?;
        Some((Ok::<Event, Infallible>(event), subscriber))
    });
    let mut response = Sse::new(events).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// Where to go on: where the client was when it lost its connection, or what its URL says.
fn since<C: FromStr>(headers: &HeaderMap, query: Option<&str>) -> Result<Option<C>, Problem> {
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
        .map_err(|_not_an_id| invalid(field, reason))
}

/// One client that follows a feed.
struct Subscriber<F> {
    state: Arc<ApiState>,
    feed: F,
    looks: Interval,
    _permit: OwnedSemaphorePermit,
}

impl<F: Feed> Subscriber<F> {
    fn new(state: Arc<ApiState>, feed: F, looks: Duration, permit: OwnedSemaphorePermit) -> Self {
        let mut looks = interval(looks);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        state.subscribers.count.increment(1);
        Subscriber {
            state,
            feed,
            looks,
            _permit: permit,
        }
    }

    /// The next event; `None` when the node is about to stop.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.state.is_draining() {
                return None;
            }
            if let Some(event) = self.feed.try_next().or_else(|| self.feed.rest()) {
                return Some(event);
            }
            tokio::select! {
                () = self.state.draining() => {}
                event = self.feed.next() => return Some(event),
                _now = self.looks.tick() => self.feed.look(),
            }
        }
    }
}

impl<F> Drop for Subscriber<F> {
    fn drop(&mut self) {
        self.state.subscribers.count.decrement(1);
    }
}
