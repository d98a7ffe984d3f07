//! Watches over connections: how long each has been slow, and the order to end.
//!
//! hyper could arm a timer for every request; that costs an allocation, a lock and sometimes a wake-up of another thread each
//! time. Here each connection notes in atomics what it is doing, by a clock that ticks a few times a second, and one task per
//! listener looks at all of them on each tick. So bounds are kept to within a tick, and a request costs three plain stores.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::counters::Slow;
use crate::settings::HttpSettings;

/// How every HTTP/2 connection with prior knowledge begins (RFC 9113 section 3.4).
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// No moment; the listener's clock starts above it.
const NEVER: u64 = 0;

/// The listener's coarse clocks, moved by the task that watches.
#[derive(Debug)]
pub(crate) struct Ticks {
    millis: AtomicU64,
    /// The wall clock's seconds.
    unix_seconds: AtomicU64,
}

impl Ticks {
    pub(crate) fn new(unix_seconds: u64) -> Self {
        Ticks {
            millis: AtomicU64::new(1),
            unix_seconds: AtomicU64::new(unix_seconds),
        }
    }

    pub(crate) fn advance_to(&self, since_start: Duration, unix_seconds: u64) {
        let millis = u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX - 1);
        self.millis.store(millis + 1, Ordering::Relaxed);
        self.unix_seconds.store(unix_seconds, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.millis.load(Ordering::Relaxed)
    }
}

/// What a connection was told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Go on.
    Serve,
    /// End what is under way and take nothing more.
    Drain,
    /// Close now.
    Close,
}

/// One connection as the watching task sees it.
///
/// Every atomic is relaxed: each is a fact of its own, read some time later by one task that acts on ages far above any
/// reordering. Only the order is paired with the waker, whose lock orders the two.
#[derive(Debug)]
pub(crate) struct Watch {
    ticks: Arc<Ticks>,
    order: AtomicU8,
    /// The connection's task; it stays when it is woken, because a second order may follow the first.
    waker: Mutex<Option<Waker>>,
    /// How much of the preface the connection has begun with; all of it makes it an HTTP/2 connection.
    preface_bytes: AtomicUsize,
    /// When a request was last begun or answered.
    active_at: AtomicU64,
    /// When the first byte of the head that is being read came.
    head_at: AtomicU64,
    /// Since when the kernel has not taken everything that was to be written.
    blocked_at: AtomicU64,
    /// Requests that are not answered yet; answers that are there at once are never counted.
    open: AtomicU32,
    /// Answers that come bit by bit for as long as their clients like.
    streams: AtomicU32,
    requests: AtomicU32,
}

impl Watch {
    pub(crate) fn new(ticks: Arc<Ticks>) -> Arc<Self> {
        let active_at = AtomicU64::new(ticks.now());
        Arc::new(Watch {
            ticks,
            order: AtomicU8::new(0),
            waker: Mutex::new(None),
            preface_bytes: AtomicUsize::new(0),
            active_at,
            head_at: AtomicU64::new(NEVER),
            blocked_at: AtomicU64::new(NEVER),
            open: AtomicU32::new(0),
            streams: AtomicU32::new(0),
            requests: AtomicU32::new(0),
        })
    }

    /// The wall clock's seconds, to within a tick.
    pub(crate) fn unix_seconds(&self) -> u64 {
        self.ticks.unix_seconds.load(Ordering::Relaxed)
    }

    /// Whether the next request is to be measured: every 64th of a connection, the first included.
    pub(crate) fn is_measured(&self) -> bool {
        self.requests.load(Ordering::Relaxed).is_multiple_of(64)
    }

    /// Notes that a request's head is complete; says whether the request is to be measured.
    pub(crate) fn begun(&self) -> bool {
        let measured = self.is_measured();
        self.head_at.store(NEVER, Ordering::Relaxed);
        self.active_at.store(self.ticks.now(), Ordering::Relaxed);
        // Only the connection's own task counts, so a load and a store do.
        let count = self.requests.load(Ordering::Relaxed);
        self.requests
            .store(count.wrapping_add(1), Ordering::Relaxed);
        measured
    }

    /// Counts a request that is being answered until the guard is dropped.
    pub(crate) fn open(self: &Arc<Self>) -> OpenRequest {
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenRequest(Arc::clone(self))
    }

    /// Tells the connection what to do; an earlier, stricter order stays.
    pub(crate) fn tell(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::Release);
        if let Some(waker) = &*self.waker.lock() {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn order(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::Serve,
            1 => Order::Drain,
            _ => Order::Close,
        }
    }

    /// Has the connection's task woken by every order that is not read yet.
    pub(crate) fn register(&self, ctx: &Context<'_>) {
        *self.waker.lock() = Some(ctx.waker().clone());
    }

    /// What the connection has been too slow at, if anything.
    pub(crate) fn too_slow(&self, settings: &HttpSettings) -> Option<Slow> {
        let exceeds = |since: &AtomicU64, limit: Duration| {
            let since = since.load(Ordering::Relaxed);
            since != NEVER && u128::from(self.ticks.now().saturating_sub(since)) > limit.as_millis()
        };
        let is_open = self.open.load(Ordering::Relaxed) > 0;
        // On HTTP/2 reads are frames of any kind, and its own pings find clients that are gone.
        let reads_head = !is_open && !self.is_h2();
        if reads_head && exceeds(&self.head_at, settings.header_timeout) {
            return Some(Slow::Head);
        }
        if exceeds(&self.blocked_at, settings.write_timeout) {
            return Some(Slow::Reading);
        }
        if is_open {
            return exceeds(&self.active_at, settings.unanswered_timeout).then_some(Slow::Request);
        }
        let is_idle = !self.is_streaming() && exceeds(&self.active_at, settings.idle_timeout);
        is_idle.then_some(Slow::Idle)
    }

    fn is_streaming(&self) -> bool {
        self.streams.load(Ordering::Relaxed) > 0
    }

    /// Whether an orderly end of an idle connection did not come about, because its client is gone.
    pub(crate) fn is_gone(&self, settings: &HttpSettings) -> bool {
        let idle = self
            .ticks
            .now()
            .saturating_sub(self.active_at.load(Ordering::Relaxed));
        self.open.load(Ordering::Relaxed) == 0
            && !self.is_streaming()
            && u128::from(idle) > 2 * settings.idle_timeout.as_millis()
    }

    fn has_read(&self, bytes: &[u8]) {
        self.awaits_head();
        if self.requests.load(Ordering::Relaxed) == 0 {
            self.look_for_preface(bytes);
        }
    }

    /// Notes that a part of a head is there and the rest is waited for.
    pub(crate) fn awaits_head(&self) {
        if self.head_at.load(Ordering::Relaxed) == NEVER {
            self.head_at.store(self.ticks.now(), Ordering::Relaxed);
        }
    }

    fn is_h2(&self) -> bool {
        self.preface_bytes.load(Ordering::Relaxed) == H2_PREFACE.len()
    }

    fn look_for_preface(&self, bytes: &[u8]) {
        let came = self.preface_bytes.load(Ordering::Relaxed);
        let Some(left) = H2_PREFACE.get(came..).filter(|left| !left.is_empty()) else {
            return;
        };
        let count = left.len().min(bytes.len());
        let came = if left[..count] == bytes[..count] {
            came + count
        } else {
            usize::MAX
        };
        self.preface_bytes.store(came, Ordering::Relaxed);
    }

    fn has_written(&self, taken: &Poll<io::Result<usize>>, wanted: usize) {
        let is_blocked = self.blocked_at.load(Ordering::Relaxed) != NEVER;
        match taken {
            Poll::Ready(Ok(taken)) if *taken == wanted => {
                if is_blocked {
                    self.blocked_at.store(NEVER, Ordering::Relaxed);
                }
            }
            _ if is_blocked => {}
            _ => self.blocked_at.store(self.ticks.now(), Ordering::Relaxed),
        }
    }
}

/// Counts a request as open until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenRequest(Arc<Watch>);

impl OpenRequest {
    /// The request is answered; what is left of its answer comes bit by bit.
    pub(crate) fn streamed(self) -> StreamedAnswer {
        let watch = Arc::clone(&self.0);
        watch.streams.fetch_add(1, Ordering::Relaxed);
        StreamedAnswer(watch)
    }
}

/// Keeps a connection from being idle until it is dropped.
#[derive(Debug)]
pub struct StreamedAnswer(Arc<Watch>);

impl Drop for StreamedAnswer {
    fn drop(&mut self) {
        self.0
            .active_at
            .store(self.0.ticks.now(), Ordering::Relaxed);
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        // What was read meanwhile was a body.
        self.0.head_at.store(NEVER, Ordering::Relaxed);
        self.0
            .active_at
            .store(self.0.ticks.now(), Ordering::Relaxed);
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket that notes reads and writes in its watch.
#[derive(Debug)]
pub(crate) struct WatchedIo<I> {
    io: I,
    watch: Arc<Watch>,
}

impl<I> WatchedIo<I> {
    pub(crate) fn new(io: I, watch: Arc<Watch>) -> Self {
        WatchedIo { io, watch }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for WatchedIo<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(ctx, buffer);
        if let Some(bytes) = buffer
            .filled()
            .get(before..)
            .filter(|bytes| !bytes.is_empty())
        {
            self.watch.has_read(bytes);
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for WatchedIo<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = Pin::new(&mut self.io).poll_write(ctx, bytes);
        self.watch.has_written(&taken, bytes.len());
        taken
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let taken = Pin::new(&mut self.io).poll_write_vectored(ctx, parts);
        self.watch
            .has_written(&taken, parts.iter().map(|part| part.len()).sum());
        taken
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(ctx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(ctx)
    }
}
