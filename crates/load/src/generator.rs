//! The run: requests are sent when they are due, whatever became of those before them.
//!
//! One thread. A pacer puts what is due into the backlog; each connection is a task that takes from it, one request at a time, in turn.
//! When all connections are busy the backlog grows, and a request in it has been waiting since it was due. Who measured only from
//! sending would leave that out: a server that stalls would be asked less, and look fast ("coordinated omission"; see Gil Tene, *How NOT to
//! Measure Latency*, and Schroeder et al., *Open Versus Closed: A Cautionary Tale*, NSDI 2006).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use hotshelf_model::{Error, ErrorKind, Key};
use http::HeaderMap;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinSet, LocalSet, yield_now};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::arrivals::Arrival;
use crate::connection::{Fault, Line, Server};
use crate::pace::Timer;
use crate::tally::{Outcome, Tally, Times};
use crate::target::{Base, Template};

/// Requests wait for a connection, this many at most; what comes beyond is not sent, and counted so.
pub const BACKLOG_MAX: usize = 1_000_000;
/// Arrivals are made ahead, by a thread of their own, in batches of so many; of them so many batches wait.
const BATCH: usize = 256;
const BATCHES_AHEAD: usize = 16;
/// The pacer lets the connections go on after so many requests that are due.
const DUE_IN_A_ROW: u64 = 64;
/// So many connections are opened at the same time, so that the server's queue for them does not run over.
const OPENING_MAX: usize = 64;

/// Where requests go and how.
#[derive(Clone, Debug)]
pub struct Generator {
    /// The servers; connections are spread over them evenly.
    pub bases: Vec<Base>,
    /// The path.
    pub template: Template,
    /// Headers of every request.
    pub headers: HeaderMap,
    /// Connections kept open, at least one; no more requests are under way.
    pub connections: usize,
    /// How long a request may take from when it is due.
    pub timeout: Duration,
    /// How often progress is told.
    pub progress_interval: Duration,
}

/// Ends a run early.
#[derive(Clone, Debug, Default)]
pub struct Stops {
    /// Sends no more, and waits for the answers to what was sent.
    pub sending: CancellationToken,
    /// Does not wait for answers either.
    pub waiting: CancellationToken,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Since the first request was due.
    pub elapsed: Duration,
    /// Counts so far. What is under way is counted as due and nothing else.
    pub tally: &'a Tally,
}

/// A run that has ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What became of the requests.
    pub tally: Tally,
    /// From the first request that was due to the last.
    pub span: Duration,
    /// From the first request that was due until the last had ended.
    pub elapsed: Duration,
    /// Whether it was ended early.
    pub is_stopped: bool,
}

impl Generator {
    /// Opens all connections, sends what arrives, and waits for the answers.
    ///
    /// # Errors
    /// `Unavailable` when a connection cannot be opened at the beginning; `Invalid` when nothing arrives. Failures during the run are counted.
    pub async fn run(
        &self,
        arrivals: impl Iterator<Item = Arrival> + Send + 'static,
        stops: &Stops,
        told: impl FnMut(Progress<'_>),
    ) -> Result<Ran, Error> {
        let run = async {
            let (lines, feed) = tokio::select! {
                prepared = self.prepare(arrivals) => prepared?,
                () = stops.sending.cancelled() => {
                    return Err(Error::new(ErrorKind::Unavailable, "ended before the first request"));
                }
            };
            let shared = Rc::new(Shared::new(self));
            self.drive(lines, feed, &shared, stops, told).await
        };
        LocalSet::new().run_until(run).await
    }

    /// Does all that should take no time from the run.
    async fn prepare(
        &self,
        arrivals: impl Iterator<Item = Arrival> + Send + 'static,
    ) -> Result<(Vec<Line>, Feed), Error> {
        let mut feed = Feed::start(arrivals)?;
        if feed.peek().await.is_none() {
            return Err(Error::new(ErrorKind::Invalid, "there is nothing to send"));
        }
        Ok((self.open().await?, feed))
    }

    async fn open(&self) -> Result<Vec<Line>, Error> {
        let servers = self.bases.iter().map(|base| {
            let server =
                Server::new(base, &self.headers).map_err(|error| unavailable(base, error))?;
            Ok(Rc::new(server))
        });
        let servers: Vec<_> = servers.collect::<Result<_, Error>>()?;
        let open = |server: &Rc<Server>| {
            let server = Rc::clone(server);
            async move {
                let line = timeout(self.timeout, Line::open(Rc::clone(&server))).await;
                line.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                    .map_err(|error| unavailable(&server.base, error))
            }
        };
        let lines = servers.iter().cycle().take(self.connections).map(open);
        stream::iter(lines)
            .buffered(OPENING_MAX)
            .try_collect()
            .await
    }

    async fn drive(
        &self,
        lines: Vec<Line>,
        feed: Feed,
        shared: &Rc<Shared>,
        stops: &Stops,
        mut told: impl FnMut(Progress<'_>),
    ) -> Result<Ran, Error> {
        let connections = lines.len();
        let mut tasks = JoinSet::new();
        for line in lines {
            tasks.spawn_local(work(Rc::clone(shared), line));
        }
        let mut tell = || {
            told(Progress {
                elapsed: shared.now(),
                tally: &shared.tally.borrow(),
            });
        };
        let paced = telling(self.progress_interval, &mut tell, pace(feed, shared));
        let is_stopped = tokio::select! {
            biased;
            () = stops.sending.cancelled() => true,
            outcome = paced => outcome.map(|()| false).map_err(|error| {
                Error::new(ErrorKind::Unavailable, "waiting for the next request").with_source(error)
            })?,
        };
        if is_stopped {
            shared.backlog.borrow_mut().clear();
        }
        let span = shared.last_due.get();
        // A task that finds its turn and nothing to send ends.
        shared.turns.add_permits(connections);
        let ended = async { while tasks.join_next().await.is_some() {} };
        let is_cut = tokio::select! {
            () = telling(self.progress_interval, &mut tell, ended) => false,
            () = stops.waiting.cancelled() => true,
        };
        let elapsed = shared.now();
        let mut tally = shared.tally.borrow().clone();
        tally.close();
        Ok(Ran {
            tally,
            span,
            elapsed,
            is_stopped: is_stopped || is_cut,
        })
    }
}

fn unavailable(base: &Base, error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("connecting to {base}")).with_source(error)
}

/// Awaits a future and tells meanwhile.
async fn telling<T>(
    every: Duration,
    tell: &mut impl FnMut(),
    future: impl Future<Output = T>,
) -> T {
    let mut future = std::pin::pin!(future);
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            outcome = &mut future => return outcome,
            _ = ticks.tick() => tell(),
        }
    }
}

/// Arrivals, made by a thread of their own: reading a log takes no time from sending.
struct Feed {
    batches: mpsc::Receiver<Vec<Arrival>>,
    batch: std::vec::IntoIter<Arrival>,
}

impl Feed {
    fn start(mut arrivals: impl Iterator<Item = Arrival> + Send + 'static) -> Result<Self, Error> {
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let make = move || {
            loop {
                let batch: Vec<_> = arrivals.by_ref().take(BATCH).collect();
                // Nobody takes them when the run was ended early.
                if batch.is_empty() || sender.blocking_send(batch).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("arrivals".to_owned());
        thread.spawn(make).map_err(|error| {
            Error::new(ErrorKind::Unavailable, "starting a thread").with_source(error)
        })?;
        let batch = Vec::new().into_iter();
        Ok(Feed { batches, batch })
    }

    async fn peek(&mut self) -> Option<Duration> {
        while self.batch.as_slice().is_empty() {
            self.batch = self.batches.recv().await?.into_iter();
        }
        self.batch.as_slice().first().map(|arrival| arrival.due)
    }

    fn next(&mut self) -> Option<Arrival> {
        self.batch.next()
    }
}

/// What the tasks of a run share.
struct Shared {
    template: Template,
    timeout: Duration,
    start: Instant,
    backlog: RefCell<VecDeque<Arrival>>,
    /// One for each request in the backlog; they are given in the order in which connections became free.
    turns: Semaphore,
    tally: RefCell<Tally>,
    last_due: Cell<Duration>,
}

impl Shared {
    fn new(generator: &Generator) -> Self {
        Shared {
            template: generator.template.clone(),
            timeout: generator.timeout,
            start: Instant::now(),
            backlog: RefCell::default(),
            turns: Semaphore::new(0),
            tally: RefCell::new(Tally::default()),
            last_due: Cell::default(),
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn take_due(&self, arrival: Arrival) {
        let mut tally = self.tally.borrow_mut();
        tally.due += 1;
        self.last_due.set(arrival.due);
        let mut backlog = self.backlog.borrow_mut();
        if backlog.len() >= BACKLOG_MAX {
            tally.add_unsent(self.now().saturating_sub(arrival.due));
            return;
        }
        backlog.push_back(arrival);
        self.turns.add_permits(1);
    }
}

/// Puts arrivals into the backlog when they are due.
async fn pace(mut feed: Feed, shared: &Shared) -> io::Result<()> {
    let mut timer = Timer::new()?;
    let mut in_a_row = 0;
    while let Some(due) = feed.peek().await {
        let wait = due.saturating_sub(shared.now());
        in_a_row += 1;
        if !wait.is_zero() {
            timer.wait(wait).await?;
            in_a_row = 0;
        } else if in_a_row >= DUE_IN_A_ROW {
            yield_now().await;
            in_a_row = 0;
        }
        if let Some(arrival) = feed.next() {
            shared.take_due(arrival);
        }
    }
    Ok(())
}

/// Sends what is in the backlog over one connection.
async fn work(shared: Rc<Shared>, mut line: Line) {
    while let Ok(turn) = shared.turns.acquire().await {
        turn.forget();
        let next = shared.backlog.borrow_mut().pop_front();
        let Some(Arrival { due, key }) = next else {
            return;
        };
        let begun = shared.now();
        if begun.saturating_sub(due) >= shared.timeout {
            shared
                .tally
                .borrow_mut()
                .add_unsent(begun.saturating_sub(due));
            continue;
        }
        shared.tally.borrow_mut().begin(due, begun);
        let outcome = send(&shared, &mut line, due, &key).await;
        let ended = shared.now();
        let times = Times { due, begun, ended };
        shared.tally.borrow_mut().end(key.id(), times, outcome);
    }
}

async fn send(shared: &Shared, line: &mut Line, due: Duration, key: &Key) -> Outcome {
    let path = shared.template.path(line.base(), key);
    let deadline = shared.start + due + shared.timeout;
    match timeout_at(deadline, line.exchange(path)).await {
        Ok(Ok(answer)) => Outcome::Answered(answer),
        Ok(Err(Fault::Refused(error))) => Outcome::Refused(error.to_string()),
        Ok(Err(Fault::Broken(error))) => Outcome::Broken(error.to_string()),
        Err(_) => Outcome::TimedOut,
    }
}
