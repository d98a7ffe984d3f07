//! The front of a listener: answers L1 hits itself, gives everything else to the router, bounds URLs, counts answers.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::HttpBody;
use bytes::Bytes;
use futures_util::FutureExt;
use hotshelf_model::{Boot, Clock};
use http::{Request, Response, Uri};
use tower::Service;

use crate::body::AnswerBody;
use crate::counters::Counters;
use crate::problem::Problem;
use crate::read;
use crate::request_id::{RequestId, X_REQUEST_ID};
use crate::state::ApiState;

/// What a listener serves. Cheap to clone; each connection has one.
///
/// It stands before the router and not within it because an L1 hit costs less than finding a route and boxing a future.
#[derive(Clone, Debug)]
pub struct Front(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    router: Router,
    state: Arc<ApiState>,
    /// Whether documents are read here; not on the admin listener.
    reads: bool,
    counters: Counters,
}

impl Front {
    /// The public listener: documents, and what `router` adds.
    pub fn public(state: Arc<ApiState>, router: Router) -> Self {
        let counters = Counters::new("public");
        Front(Arc::new(Inner {
            router,
            state,
            reads: true,
            counters,
        }))
    }

    /// The admin listener: only what `router` holds.
    pub fn admin(state: Arc<ApiState>, router: Router) -> Self {
        let counters = Counters::new("admin");
        Front(Arc::new(Inner {
            router,
            state,
            reads: false,
            counters,
        }))
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.state.clock
    }

    /// Answers a request. With `measured` its duration is observed: a part of all requests is enough for that, whichever tier
    /// answers them.
    pub fn answer<B>(&self, request: Request<B>, measured: bool) -> Answering
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let inner = &*self.0;
        let started = measured.then(|| inner.state.clock.now());
        let Some(answer) = inner.answer_at_once(&request) else {
            return Answering::Routed(Box::pin(route(Arc::clone(&self.0), request, started)));
        };
        let mut answer = answer.map(AnswerBody::from);
        if let Some(id) = RequestId::sent(request.headers()) {
            answer.headers_mut().insert(X_REQUEST_ID, id.header());
        }
        inner.count(&answer, started);
        Answering::Ready(Some(answer))
    }
}

impl Inner {
    fn answer_at_once<B>(&self, request: &Request<B>) -> Option<Response<Bytes>> {
        let bytes_max = self.state.settings.url_bytes_max;
        if url_bytes(request.uri()) > bytes_max {
            return Some(
                Problem::url_too_long(bytes_max).answer(&RequestId::of(request.headers())),
            );
        }
        self.reads
            .then(|| read::answer_at_once(&self.state, request))?
    }

    fn count(&self, answer: &Response<AnswerBody>, started: Option<Boot>) {
        let duration = started.map(|started| self.state.clock.now().since(started));
        self.counters.answered(answer.status(), duration);
    }
}

fn url_bytes(uri: &Uri) -> usize {
    uri.path().len() + uri.query().map_or(0, |query| query.len() + 1)
}

async fn route<B>(
    inner: Arc<Inner>,
    request: Request<B>,
    started: Option<Boot>,
) -> Response<AnswerBody>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    let sent = RequestId::sent(request.headers());
    let mut router = inner.router.clone();
    // A panic in a route would take the connection with it, and on HTTP/2 every other request on it.
    let answer = match AssertUnwindSafe(router.call(request)).catch_unwind().await {
        Ok(Ok(answer)) => answer,
        Ok(Err(never)) => match never {},
        Err(_panic) => {
            tracing::error!("a route panicked");
            Problem::internal()
                .answer(&sent.clone().unwrap_or_else(RequestId::generate))
                .map(Into::into)
        }
    };
    let mut answer = answer.map(AnswerBody::Routed);
    if let Some(id) = sent {
        answer.headers_mut().insert(X_REQUEST_ID, id.header());
    }
    inner.count(&answer, started);
    answer
}

/// An answer that is there already, or a route at work.
pub enum Answering {
    /// There already; `None` once it was taken.
    Ready(Option<Response<AnswerBody>>),
    /// A route at work.
    Routed(Pin<Box<dyn Future<Output = Response<AnswerBody>> + Send>>),
}

impl std::fmt::Debug for Answering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Answering::Ready(_) => "Ready",
            Answering::Routed(_) => "Routed",
        })
    }
}

impl Future for Answering {
    type Output = Result<Response<AnswerBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            // A future that gave its answer is not polled again.
            Answering::Ready(answer) => answer
                .take()
                .map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
            Answering::Routed(route) => route.as_mut().poll(ctx).map(Ok),
        }
    }
}
