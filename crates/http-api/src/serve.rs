//! Serves a listener: accepts within bounds, HTTP/1.1 and HTTP/2 on one port, ends slow connections, drains when told to stop.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::AnswerBody;
use crate::counters::Slow;
use crate::front::{Answering, Front};
use crate::listener::{Listener, Stream};
use crate::settings::HttpSettings;
use crate::watch::{OpenRequest, Order, Ticks, Watch, WatchedIo};

/// How long to wait after a failed accept: the usual cause is too many open files, and those need time to be closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long connections that were told to close get to do so.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// hyper needs at least this much room to read a head.
const HEAD_BYTES_MIN: usize = 8 << 10;

/// How a listener ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that had a request under way for longer than the drain timeout and were closed.
    pub cut_off: usize,
}

/// Serves until `shutdown`, then takes no more connections, lets requests under way end within the drain timeout, and returns.
pub async fn serve(
    listener: Listener,
    front: Front,
    settings: HttpSettings,
    shutdown: CancellationToken,
) -> Drained {
    let server = Arc::new(Server::new(front, settings));
    let watching = tokio::spawn(Arc::clone(&server).watch());
    server.accept_until(&listener, &shutdown).await;
    // Closes the socket: from here on clients are refused by the kernel and try another node.
    drop(listener);
    let drained = server.drain().await;
    watching.abort();
    drained
}

/// One listener at work.
struct Server {
    front: Front,
    settings: HttpSettings,
    protocol: auto::Builder<TokioExecutor>,
    ticks: Arc<Ticks>,
    connections: Mutex<HashMap<u64, Arc<Watch>>>,
    tasks: TaskTracker,
}

impl Server {
    fn new(front: Front, settings: HttpSettings) -> Self {
        Server {
            front,
            settings,
            protocol: protocol(&settings),
            ticks: Arc::new(Ticks::new()),
            connections: Mutex::new(HashMap::new()),
            tasks: TaskTracker::new(),
        }
    }

    async fn accept_until(self: &Arc<Self>, listener: &Listener, shutdown: &CancellationToken) {
        let mut number = 0_u64;
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok(stream) => {
                    number += 1;
                    self.begin(number, stream);
                }
                Err(error) if is_of_client(&error) => {}
                Err(error) => {
                    tracing::warn!("accepting a connection failed: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn begin(self: &Arc<Self>, number: u64, stream: Stream) {
        let counters = self.front.counters();
        let watch = Watch::new(Arc::clone(&self.ticks));
        {
            let mut connections = self.connections.lock();
            if connections.len() >= self.settings.connections_max {
                counters.refused.increment(1);
                return;
            }
            connections.insert(number, Arc::clone(&watch));
        }
        counters.connections.increment(1);
        let listed = Listed {
            server: Arc::clone(self),
            number,
        };
        match stream {
            Stream::Tcp(stream) => drop(self.tasks.spawn(run(listed, stream, watch))),
            Stream::Unix(stream) => drop(self.tasks.spawn(run(listed, stream, watch))),
        }
    }

    /// Looks at every connection some times within the shortest bound, and a second apart at most.
    async fn watch(self: Arc<Self>) {
        let HttpSettings {
            head_timeout,
            write_timeout,
            request_timeout,
            idle_timeout,
            ..
        } = self.settings;
        let shortest = head_timeout
            .min(write_timeout)
            .min(request_timeout)
            .min(idle_timeout);
        let period = (shortest / 8).clamp(Duration::from_millis(10), Duration::from_secs(1));
        let started = self.front.clock().now();
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.ticks
                .advance_to(self.front.clock().now().since(started));
            self.connections
                .lock()
                .values()
                .for_each(|watch| self.judge(watch));
        }
    }

    fn judge(&self, watch: &Watch) {
        let Some(slow) = watch.too_slow(&self.settings) else {
            return;
        };
        let order = match slow {
            Slow::Idle if !watch.is_gone(&self.settings) => Order::Drain,
            Slow::Head | Slow::Reading | Slow::Request | Slow::Idle => Order::Close,
        };
        if order > watch.order() {
            self.front.counters().closed_for(slow);
            watch.tell(order);
        }
    }

    async fn drain(&self) -> Drained {
        self.tasks.close();
        self.tell_all(Order::Drain);
        if tokio::time::timeout(self.settings.drain_timeout, self.tasks.wait())
            .await
            .is_ok()
        {
            return Drained { cut_off: 0 };
        }
        let cut_off = self.connections.lock().len();
        self.tell_all(Order::Close);
        // A connection's task only has to be polled once more to end.
        tokio::time::timeout(CLOSE_TIMEOUT, self.tasks.wait())
            .await
            .ok();
        Drained { cut_off }
    }

    fn tell_all(&self, order: Order) {
        self.connections
            .lock()
            .values()
            .for_each(|watch| watch.tell(order));
    }
}

/// Whether an accept failed because its client went away in the queue; the next accept may succeed at once.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

fn protocol(settings: &HttpSettings) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        // A client may close its sending side and still wait for the answer.
        .half_close(true)
        // Heads are timed by `watch` instead.
        .header_read_timeout(None)
        .max_buf_size(settings.head_bytes_max.max(HEAD_BYTES_MIN));
    let head_bytes_max = u32::try_from(settings.head_bytes_max).unwrap_or(u32::MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.streams_max)
        .max_header_list_size(head_bytes_max)
        // Finds clients that are gone without a word; one timer for each connection, not for each request.
        .keep_alive_interval(settings.idle_timeout / 2)
        .keep_alive_timeout(settings.idle_timeout / 2);
    builder
}

/// A connection's place in the list; leaving it on drop, also when its task panics.
struct Listed {
    server: Arc<Server>,
    number: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.server.connections.lock().remove(&self.number);
        self.server.front.counters().connections.decrement(1);
    }
}

async fn run<I>(listed: Listed, stream: I, watch: Arc<Watch>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = Connection {
        front: listed.server.front.clone(),
        watch: Arc::clone(&watch),
    };
    let io = TokioIo::new(WatchedIo::new(stream, Arc::clone(&watch)));
    let mut connection = pin!(listed.server.protocol.serve_connection(io, service));
    let mut is_registered = false;
    let mut is_draining = false;
    poll_fn(|ctx| {
        if !is_registered {
            // This task is only ever woken through one waker, so once is enough.
            watch.register(ctx);
            is_registered = true;
        }
        match watch.order() {
            Order::Close => return Poll::Ready(()),
            Order::Drain if !is_draining => {
                is_draining = true;
                connection.as_mut().graceful_shutdown();
            }
            Order::Drain | Order::Serve => {}
        }
        // How a connection ends is its client's affair: resets and broken requests are no news.
        connection.as_mut().poll(ctx).map(|_ended| ())
    })
    .await;
}

/// What one connection's requests are given to.
struct Connection {
    front: Front,
    watch: Arc<Watch>,
}

impl Service<Request<Incoming>> for Connection {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Counted;

    fn call(&self, request: Request<Incoming>) -> Counted {
        let measured = self.watch.begun();
        let answering = self.front.answer(request, measured);
        let open = matches!(answering, Answering::Routed(_)).then(|| self.watch.open());
        Counted {
            answering,
            _open: open,
        }
    }
}

/// A request that counts as open while a route works on it.
struct Counted {
    answering: Answering,
    _open: Option<OpenRequest>,
}

impl Future for Counted {
    type Output = Result<Response<AnswerBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answering).poll(ctx)
    }
}

#[cfg(test)]
mod tests;
