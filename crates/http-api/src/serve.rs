//! Serves a listener: accepts within bounds, HTTP/1.1 and HTTP/2 on one port, ends slow connections, drains when told to stop.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::AnswerBody;
use crate::counters::Slow;
use crate::front::{Front, Watched};
use crate::lane::Lane;
use crate::listener::{Listener, Stream};
use crate::prefixed::Prefixed;
use crate::settings::HttpSettings;
use crate::watch::{Order, Ticks, Watch, WatchedIo};
use crate::workers::Workers;

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

/// Serves on `workers` until `shutdown`, then takes no more connections, lets requests under way end within the drain timeout, and
/// returns.
pub async fn serve(
    listener: Listener,
    front: Front,
    workers: Arc<Workers>,
    shutdown: CancellationToken,
) -> Drained {
    let server = Arc::new(Server::new(front, workers));
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
    workers: Arc<Workers>,
}

impl Server {
    fn new(front: Front, workers: Arc<Workers>) -> Self {
        let settings = *front.settings();
        Server {
            front,
            workers,
            settings,
            protocol: protocol(&settings),
            ticks: Arc::new(Ticks::new(unix_seconds())),
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
        if let Err(error) = self.hand_over(listed, stream, watch) {
            tracing::warn!("handing a connection to a worker failed: {error}");
        }
    }

    /// Gives a connection to the next worker, whose own loop it waits in from now on.
    fn hand_over(&self, listed: Listed, stream: Stream, watch: Arc<Watch>) -> io::Result<()> {
        let worker = self.workers.next();
        let _entered = worker.enter();
        match stream {
            Stream::Tcp(stream) => {
                let stream = TcpStream::from_std(stream.into_std()?)?;
                self.tasks.spawn_on(run(listed, stream, watch), worker);
            }
            Stream::Unix(stream) => {
                let stream = UnixStream::from_std(stream.into_std()?)?;
                self.tasks.spawn_on(run(listed, stream, watch), worker);
            }
        }
        Ok(())
    }

    /// Looks at every connection some times within the shortest bound, and a second apart at most.
    async fn watch(self: Arc<Self>) {
        let HttpSettings {
            header_timeout,
            write_timeout,
            unanswered_timeout,
            idle_timeout,
            ..
        } = self.settings;
        let shortest = header_timeout
            .min(write_timeout)
            .min(unanswered_timeout)
            .min(idle_timeout);
        let period = (shortest / 8).clamp(Duration::from_millis(10), Duration::from_secs(1));
        let started = self.front.clock().now();
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.ticks
                .advance_to(self.front.clock().now().since(started), unix_seconds());
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

#[expect(
    clippy::disallowed_methods,
    reason = "only for the header `Date`, which is the wall clock's and decides nothing"
)]
fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
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
        .max_buf_size(settings.header_bytes_max.max(HEAD_BYTES_MIN));
    let header_bytes_max = u32::try_from(settings.header_bytes_max).unwrap_or(u32::MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.streams_max)
        .max_header_list_size(header_bytes_max)
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

/// Serves one connection until it ends or is told to close.
async fn run<I>(listed: Listed, stream: I, watch: Arc<Watch>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut conversation = pin!(converse(&listed.server, stream, &watch));
    let mut is_registered = false;
    poll_fn(|ctx| {
        if !is_registered {
            // A task has one waker all its life, so once is enough.
            watch.register(ctx);
            is_registered = true;
        }
        if watch.order() == Order::Close {
            return Poll::Ready(());
        }
        conversation.as_mut().poll(ctx)
    })
    .await;
}

async fn converse<I>(server: &Server, stream: I, watch: &Arc<Watch>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = WatchedIo::new(stream, Arc::clone(watch));
    let front = server.front.clone();
    let io = if front.has_documents() {
        let lane = Lane::new(io, Arc::clone(watch), front.clone());
        match lane.run().await {
            Some(io) => io,
            None => return,
        }
    } else {
        Prefixed::new(Bytes::new(), io)
    };
    let service = Connection {
        front,
        watch: Arc::clone(watch),
    };
    let mut connection = pin!(server.protocol.serve_connection(TokioIo::new(io), service));
    let mut is_draining = false;
    poll_fn(|ctx| {
        if !is_draining && watch.order() == Order::Drain {
            is_draining = true;
            connection.as_mut().graceful_shutdown();
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
    type Future = Watched;

    fn call(&self, request: Request<Incoming>) -> Watched {
        self.front.answer_watched(request, &self.watch)
    }
}

#[cfg(test)]
mod tests;
