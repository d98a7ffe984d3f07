//! One Redis process that takes keys: a single Redis, or one primary of a cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use hotshelf_model::{Breaker, BreakerState, Clock, UnavailableReason};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisError, ServerErrorKind, Value};
use tokio::time::{Instant, timeout_at};

use crate::call::{Call, Reply};
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

/// Connections to one Redis, with its breaker.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) host: String,
    pub(crate) address: String,
    /// Whether several keys may stand in one command: not in a cluster, where each has its own slot.
    pub(crate) mget: bool,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) links: Vec<Link>,
    pub(crate) next: AtomicUsize,
    pub(crate) clock: Arc<dyn Clock>,
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
        let Some(pass) = self.breaker.try_pass(self.clock.now()) else {
            return vec![Err(UnavailableReason::Open); attempts.len()];
        };
        let pipelines = attempts.chunks(keys_max);
        let sent = join_all(pipelines.map(|pipeline| self.send_pipeline(pipeline, until))).await;
        // One outcome for the whole operation: a large batch must not open the breaker by itself.
        let ok = sent.iter().any(|pipeline| is_service(pipeline));
        self.log(self.breaker.record(pass, ok, self.clock.now()));
        sent.into_iter().flatten().collect()
    }

    /// Sends calls in one round trip.
    async fn send_pipeline(&self, attempts: &[Attempt<'_>], until: Instant) -> Vec<Reply> {
        let failed = |reason| vec![Err(reason); attempts.len()];
        let Some((link, mut connection)) = self.link() else {
            return failed(UnavailableReason::Failed);
        };
        let request = Request::pack(attempts, self.mget);
        match timeout_at(until, request.send(&mut connection)).await {
            Ok(Ok(values)) if values.len() == attempts.len() => {
                values.into_iter().map(Ok).collect()
            }
            Ok(outcome) => {
                tracing::debug!(address = self.address, error = ?outcome.err(), "asking redis failed");
                link.doubt();
                failed(UnavailableReason::Failed)
            }
            Err(_) => failed(UnavailableReason::Deadline),
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

/// Whether these replies come from a process that serves.
fn is_service(replies: &[Reply]) -> bool {
    let serves = |reply: &Reply| reply.as_ref().is_ok_and(|value| !refuses(value));
    replies.iter().all(serves)
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
enum Request {
    Many(Pipeline, Vec<bool>),
    One(Cmd),
    Mget(Cmd, usize),
}

impl Request {
    fn pack(attempts: &[Attempt<'_>], mget: bool) -> Self {
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
