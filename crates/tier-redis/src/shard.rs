//! One Redis process that takes keys: a single Redis, or one primary of a cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use hotshelf_model::{Breaker, BreakerState, Clock, UnavailableReason};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisError, ServerErrorKind, Value};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use crate::call::{Call, Reply};
use crate::gather::Lines;
use crate::link::Link;

/// A call on its way, with what an earlier answer taught about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt<'a> {
    /// Where its reply belongs.
    pub(crate) index: usize,
    pub(crate) call: &'a Call,
    /// The slot is moving here: say `ASKING` first.
    pub(crate) asking: bool,
    /// Redis does not know the script: send its text.
    pub(crate) whole_script: bool,
}

impl<'a> Attempt<'a> {
    pub(crate) fn first(index: usize, call: &'a Call) -> Self {
        let (asking, whole_script) = (false, false);
        Attempt {
            index,
            call,
            asking,
            whole_script,
        }
    }
}

/// Connections to one Redis, with its breaker.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) host: String,
    pub(crate) address: String,
    /// Whether several keys may stand in one command: not in a cluster, where each has its own slot.
    pub(crate) mget: bool,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) links: Vec<Link>,
    pub(crate) lines: Lines,
    pub(crate) next: AtomicUsize,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) runtime: Handle,
}

impl Shard {
    pub(crate) fn state(&self) -> BreakerState {
        self.breaker.state()
    }

    /// A connection: the next in turn, or another that is up.
    fn link(&self) -> Option<(&Link, MultiplexedConnection)> {
        // Relaxed: which connection is next guards nothing.
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        (0..self.links.len()).find_map(|step| {
            let link = &self.links[turn.wrapping_add(step) % self.links.len()];
            link.connection().map(|connection| (link, connection))
        })
    }

    /// A connection for what is not an operation on keys.
    pub(crate) fn connection(&self) -> Option<MultiplexedConnection> {
        self.link().map(|(_, connection)| connection)
    }

    /// Sends calls in pipelines of at most `keys_max`, all at the same time; one reply each, in order.
    pub(crate) async fn send(
        &self,
        attempts: &[Attempt<'_>],
        keys_max: usize,
        until: Instant,
    ) -> Vec<Reply> {
        let sent = self.guarded(async {
            let pipelines = attempts.chunks(keys_max);
            let sent = pipelines.map(async |pipeline| {
                let asked = self.ask(Request::pack(pipeline, self.mget));
                let asked = timeout_at(until, asked).await;
                let values = asked.unwrap_or(Err(UnavailableReason::Deadline));
                (is_service(&values), replies(values, pipeline.len()))
            });
            let sent = join_all(sent).await;
            // One outcome for the whole operation: a large batch must not open the breaker by itself.
            let served = sent.iter().any(|(served, _)| *served);
            let replies = sent.into_iter().flat_map(|(_, replies)| replies);
            (served, replies.collect())
        });
        let refused = || vec![Err(UnavailableReason::Open); attempts.len()];
        sent.await.unwrap_or_else(refused)
    }

    /// Does work that says whether Redis served; `None`, without beginning it, while the breaker is open.
    pub(crate) async fn guarded<T>(&self, work: impl Future<Output = (bool, T)>) -> Option<T> {
        let pass = self.breaker.try_pass(self.clock.now())?;
        let (served, done) = work.await;
        self.log(self.breaker.record(pass, served, self.clock.now()));
        Some(done)
    }

    /// Makes one round trip; one value for each call in the request. Has no deadline of its own.
    pub(crate) async fn ask(&self, request: Request) -> Result<Vec<Value>, UnavailableReason> {
        let (link, mut connection) = self.link().ok_or(UnavailableReason::Failed)?;
        let calls = request.calls();
        match request.send(&mut connection).await {
            Ok(values) if values.len() == calls => Ok(values),
            outcome => {
                tracing::debug!(address = self.address, error = ?outcome.err(), "asking redis failed");
                link.doubt();
                Err(UnavailableReason::Failed)
            }
        }
    }

    fn log(&self, changed: Option<BreakerState>) {
        match changed {
            Some(BreakerState::Open) => {
                tracing::warn!(address = self.address, "redis is not asked for a while");
            }
            Some(BreakerState::Closed) => {
                tracing::info!(address = self.address, "redis answers again");
            }
            Some(BreakerState::HalfOpen) | None => {}
        }
    }
}

/// A reply for each of `count` calls.
fn replies(values: Result<Vec<Value>, UnavailableReason>, count: usize) -> Vec<Reply> {
    match values {
        Ok(values) => values.into_iter().map(Ok).collect(),
        Err(reason) => vec![Err(reason); count],
    }
}

/// Whether this outcome comes from a process that serves.
pub(crate) fn is_service(values: &Result<Vec<Value>, UnavailableReason>) -> bool {
    values
        .as_ref()
        .is_ok_and(|values| !values.iter().any(refuses))
}

/// Whether this reply means that the process serves nobody just now, rather than that this one command failed.
fn refuses(value: &Value) -> bool {
    let Value::ServerError(error) = value else {
        return false;
    };
    match error.kind() {
        Some(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::NoPerm,
        ) => true,
        Some(_) => false,
        None => matches!(error.code(), "NOAUTH" | "WRONGPASS" | "BUSY"),
    }
}

/// What goes over the wire for several calls.
pub(crate) enum Request {
    Many(Pipeline, Vec<bool>),
    One(Cmd),
    Mget(Cmd, usize),
}

impl Request {
    pub(crate) fn pack(attempts: &[Attempt<'_>], mget: bool) -> Self {
        match attempts {
            [one] if !one.asking => return Request::One(one.call.command(one.whole_script)),
            _ => {}
        }
        if mget && attempts.iter().all(|attempt| attempt.call.is_get()) {
            let mut command = redis::cmd("MGET");
            for attempt in attempts {
                command.arg(&attempt.call.key);
            }
            return Request::Mget(command, attempts.len());
        }
        let mut pipeline = Pipeline::with_capacity(attempts.len());
        let mut wanted = Vec::with_capacity(attempts.len());
        for attempt in attempts {
            if attempt.asking {
                pipeline.add_command(redis::cmd("ASKING"));
                wanted.push(false);
            }
            pipeline.add_command(attempt.call.command(attempt.whole_script));
            wanted.push(true);
        }
        Request::Many(pipeline, wanted)
    }

    /// How many calls it holds.
    fn calls(&self) -> usize {
        match self {
            Request::One(_) => 1,
            Request::Mget(_, count) => *count,
            Request::Many(_, wanted) => wanted.iter().filter(|wanted| **wanted).count(),
        }
    }

    /// One value for each call, unless Redis broke its protocol.
    async fn send(self, connection: &mut MultiplexedConnection) -> Result<Vec<Value>, RedisError> {
        match self {
            Request::One(command) => Ok(vec![connection.send_packed_command(&command).await?]),
            Request::Mget(command, count) => {
                match connection.send_packed_command(&command).await? {
                    Value::Array(values) => Ok(values),
                    error => Ok(vec![error; count]),
                }
            }
            Request::Many(pipeline, wanted) => {
                let values = connection
                    .send_packed_commands(&pipeline, 0, wanted.len())
                    .await?;
                let wanted = values.into_iter().zip(wanted);
                Ok(wanted
                    .filter_map(|(value, wanted)| wanted.then_some(value))
                    .collect())
            }
        }
    }
}
