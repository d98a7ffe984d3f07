//! The front of a listener: answers L1 hits itself, gives everything else to the router, bounds URLs, counts answers.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::HttpBody;
use bytes::Bytes;
use futures_util::FutureExt;
use hotshelf_engine::Answer;
use hotshelf_model::{Boot, Clock, FieldProblem};
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, Request, Response, StatusCode, Uri, Version};
use tower::Service;

use crate::body::AnswerBody;
use crate::counters::Counters;
use crate::lane::Ordinary;
use crate::problem::{Problem, log_panic};
use crate::read;
use crate::request_id::{RequestId, X_REQUEST_ID};
use crate::settings::HttpSettings;
use crate::state::ApiState;
use crate::target;
use crate::watch::{OpenRequest, Watch};

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

    pub(crate) fn settings(&self) -> &HttpSettings {
        &self.0.state.settings
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.state.clock
    }

    /// Whether this listener answers reads of documents.
    pub(crate) fn has_documents(&self) -> bool {
        self.0.reads
    }

    /// Whether a path asks for documents of a namespace that there is.
    pub(crate) fn reads(&self, path: &str) -> bool {
        let name = target::document_path(path).map(|(name, _id)| name);
        let name = name.or_else(|| target::namespace_path(path));
        name.is_some_and(|name| self.0.state.cache.namespace(name).is_some())
    }

    /// What L1 may serve now to an ordinary read, and when the read began if its duration is to be observed. The key's text is made in
    /// `key`.
    pub(crate) fn hit(
        &self,
        ordinary: &Ordinary<'_>,
        watch: &Watch,
        key: &mut String,
    ) -> Option<(Answer, Option<Boot>)> {
        let inner = &*self.0;
        let Ordinary { path, query, asked } = ordinary;
        let url_bytes = path.len() + query.map_or(0, |query| query.len() + 1);
        if url_bytes > inner.state.settings.url_bytes_max {
            return None;
        }
        let started = inner.start(watch.is_measured());
        let answer = read::find_at_once(&inner.state, (path, *query), asked, key)?;
        watch.begun();
        Some((answer, started))
    }

    /// Counts an answer; with the moment at which the request began its duration is observed too.
    pub(crate) fn count(&self, status: StatusCode, started: Option<Boot>) {
        self.0.count(status, started);
    }

    /// Answers a request of a connection, which counts as open while a route works on it.
    pub(crate) fn answer_watched<B>(&self, request: Request<B>, watch: &Arc<Watch>) -> Watched
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let measured = watch.begun();
        let answering = match check_host(&request) {
            Ok(()) => self.answer(request, measured),
            Err(problem) => self.refuse(&problem, request.headers(), measured),
        };
        Watched::new(answering, watch)
    }

    /// As [`Front::answer_watched`], of a request whose head was checked and for which L1 has nothing.
    pub(crate) fn route_watched<B>(&self, request: Request<B>, watch: &Arc<Watch>) -> Watched
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let measured = watch.begun();
        let answering = match self.0.check_url(request.uri()) {
            Ok(()) => self.route(request, self.0.start(measured)),
            Err(problem) => self.refuse(&problem, request.headers(), measured),
        };
        Watched::new(answering, watch)
    }

    /// Answers a request. With `measured` its duration is observed: a part of all requests is enough for that, whichever tier
    /// answers them.
    pub fn answer<B>(&self, request: Request<B>, measured: bool) -> Answering
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let inner = &*self.0;
        if let Err(problem) = inner.check_url(request.uri()) {
            return self.refuse(&problem, request.headers(), measured);
        }
        let started = inner.start(measured);
        let hit = inner
            .reads
            .then(|| read::answer_at_once(&inner.state, &request));
        match hit.flatten() {
            Some(answer) => self.ready(answer, started),
            None => self.route(request, started),
        }
    }

    fn route<B>(&self, request: Request<B>, started: Option<Boot>) -> Answering
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        Answering::Routed(Box::pin(route(Arc::clone(&self.0), request, started)))
    }

    fn refuse(&self, problem: &Problem, headers: &HeaderMap, measured: bool) -> Answering {
        let started = self.0.start(measured);
        self.ready(problem.answer(&RequestId::of(headers)), started)
    }

    fn ready(&self, answer: Response<Bytes>, started: Option<Boot>) -> Answering {
        self.0.count(answer.status(), started);
        Answering::Ready(Some(answer.map(AnswerBody::from)))
    }
}

/// A request over HTTP/1.1 names one host, once (RFC 9112 section 3.2): of two, the parties on its way might each choose another.
fn check_host<B>(request: &Request<B>) -> Result<(), Problem> {
    let hosts = request.headers().get_all(HOST).iter().count();
    if request.version() != Version::HTTP_11 || hosts == 1 {
        return Ok(());
    }
    let problem = FieldProblem::new("Host", "is sent once in a request over HTTP/1.1");
    Err(Problem::invalid(vec![problem]))
}

impl Inner {
    fn check_url(&self, uri: &Uri) -> Result<(), Problem> {
        let bytes_max = self.state.settings.url_bytes_max;
        if url_bytes(uri) > bytes_max {
            return Err(Problem::url_too_long(bytes_max));
        }
        Ok(())
    }

    fn start(&self, measured: bool) -> Option<Boot> {
        measured.then(|| self.state.clock.now())
    }

    fn count(&self, status: StatusCode, started: Option<Boot>) {
        let duration = started.map(|started| self.state.clock.now().since(started));
        self.counters.answered(status, duration);
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
            let id = sent.clone().unwrap_or_else(RequestId::generate);
            log_panic("route", &id);
            Problem::internal().answer(&id).map(Into::into)
        }
    };
    let mut answer = answer.map(AnswerBody::Routed);
    let headers = answer.headers_mut();
    if let Some(id) = sent {
        headers.insert(X_REQUEST_ID, id.header());
    }
    if answer.status() == StatusCode::NOT_MODIFIED {
        // The router gives every empty body this length; here it would speak of the document (RFC 9110 section 8.6).
        answer.headers_mut().remove(CONTENT_LENGTH);
    }
    inner.count(answer.status(), started);
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

/// An answer that counts as an open request until it is there.
#[derive(Debug)]
pub(crate) struct Watched {
    answering: Answering,
    open: Option<OpenRequest>,
}

impl Watched {
    fn new(answering: Answering, watch: &Arc<Watch>) -> Self {
        let open = matches!(answering, Answering::Routed(_)).then(|| watch.open());
        Watched { answering, open }
    }
}

impl Future for Watched {
    type Output = Result<Response<AnswerBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(answer) = ready!(Pin::new(&mut self.answering).poll(ctx));
        Poll::Ready(Ok(match self.open.take() {
            Some(request) => answer.map(|body| body.noted(request)),
            None => answer,
        }))
    }
}
