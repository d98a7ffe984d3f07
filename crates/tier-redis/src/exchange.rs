//! Calls go out to their shards, at once and bounded; replies come back in the order of the calls, by the deadline.
//!
//! A reply may say that its key has moved (`MOVED`, `ASK`) or that Redis forgot a script (`NOSCRIPT`, after a restart or a
//! flush); such a call goes out again, within the same deadline.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hotshelf_model::{BreakerState, UnavailableReason};
use redis::{ServerError, ServerErrorKind, Value};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::call::{Call, Reply};
use crate::gather::{Answer, Errand};
use crate::shard::{Attempt, Shard};
use crate::shard_map::{ShardMap, Shards};

/// A call that moved, then found its script unknown, is answered in the third round.
const ROUNDS_MAX: usize = 3;

/// The way to Redis that all operations share.
#[derive(Debug)]
pub(crate) struct Exchange {
    shards: Arc<Shards>,
    pub(crate) permits: Arc<Semaphore>,
    pipeline_keys_max: usize,
    follower: Option<AbortHandle>,
}

type Addressed<'a> = (Arc<Shard>, Attempt<'a>);

impl Exchange {
    pub(crate) fn start(shards: Shards, ops_max: usize, pipeline_keys_max: usize) -> Self {
        let shards = Arc::new(shards);
        let follower = shards
            .is_cluster()
            .then(|| tokio::spawn(shards.clone().follow()).abort_handle());
        Exchange {
            shards,
            permits: Arc::new(Semaphore::new(ops_max)),
            pipeline_keys_max,
            follower,
        }
    }

    /// The shards as they are known now.
    pub(crate) fn map(&self) -> Arc<ShardMap> {
        self.shards.current()
    }

    /// The worst state of any shard's breaker.
    pub(crate) fn state(&self) -> BreakerState {
        self.map().worst()
    }

    /// Whether asking about a key would be refused at once, so that preparing the call would be a waste.
    pub(crate) fn refuses(&self, key: &str) -> bool {
        let map = self.map();
        map.shard_of(key)
            .is_some_and(|shard| !shard.breaker.may_pass(shard.clock.now()))
    }

    /// Makes every call; one reply each, in order.
    pub(crate) async fn make(&self, calls: &[Call], deadline: Duration) -> Vec<Reply> {
        if calls.is_empty() {
            return Vec::new();
        }
        let Ok(_permit) = self.permits.try_acquire() else {
            return vec![Err(UnavailableReason::Busy); calls.len()];
        };
        let until = Instant::now() + deadline;
        let map = self.map();
        let mut replies = vec![Err(UnavailableReason::Failed); calls.len()];
        let attempts = first_attempts(&map, calls);
        self.rounds(&map, attempts, until, &mut replies).await;
        replies
    }

    /// Looks one key up, in one exchange with others that wait at the same time.
    ///
    /// # Cancel safety
    /// Nothing is lost for the others.
    pub(crate) async fn look_up(&self, call: Call, deadline: Duration) -> Answer {
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            return Err(UnavailableReason::Busy);
        };
        let until = Instant::now() + deadline;
        let errand = Errand {
            call,
            until,
            _permit: permit,
        };
        let map = self.map();
        match map.shard_of(&errand.call.key) {
            Some(shard) => self.look_up_at(&map, shard, errand).await,
            None => Err(UnavailableReason::Failed),
        }
    }

    async fn look_up_at(&self, map: &ShardMap, shard: &Arc<Shard>, errand: Errand) -> Answer {
        match shard.look_up(errand).await {
            Ok((value @ Value::ServerError(_), errand)) => {
                Box::pin(self.look_further(map, shard, value, errand)).await
            }
            Ok(answer) => Ok(answer),
            Err(reason) => {
                self.shards.doubt();
                Err(reason)
            }
        }
    }

    /// Goes on with a lookup to which Redis gave an error reply.
    async fn look_further(
        &self,
        map: &ShardMap,
        shard: &Arc<Shard>,
        value: Value,
        errand: Errand,
    ) -> Answer {
        let first = Attempt::first(0, &errand.call);
        let mut reply = [Ok(value)];
        let again = self.follow_up(map, shard, first, &reply[0]);
        let attempts = again.into_iter().collect();
        self.rounds(map, attempts, errand.until, &mut reply).await;
        let [reply] = reply;
        reply.map(|value| (value, errand))
    }

    /// Makes attempts, and those that follow from their replies.
    async fn rounds<'a>(
        &self,
        map: &ShardMap,
        mut attempts: Vec<Addressed<'a>>,
        until: Instant,
        replies: &mut [Reply],
    ) {
        for _ in 0..ROUNDS_MAX {
            if attempts.is_empty() {
                break;
            }
            let mut again = Vec::new();
            for (shard, attempt, reply) in self.round(attempts, until).await {
                again.extend(self.follow_up(map, &shard, attempt, &reply));
                replies[attempt.index] = reply;
            }
            attempts = again;
        }
    }

    /// Sends attempts to their shards, all at the same time.
    async fn round<'a>(
        &self,
        attempts: Vec<Addressed<'a>>,
        until: Instant,
    ) -> Vec<(Arc<Shard>, Attempt<'a>, Reply)> {
        let groups = by_shard(attempts);
        let sent = groups.iter().map(async |(shard, attempts)| {
            let replies = shard.send(attempts, self.pipeline_keys_max, until).await;
            let answered = attempts.iter().zip(replies);
            answered
                .map(|(&attempt, reply)| (shard.clone(), attempt, reply))
                .collect::<Vec<_>>()
        });
        let answered = join_all(sent).await;
        answered.into_iter().flatten().collect()
    }

    /// Where a call goes next, if its reply was not the last word.
    fn follow_up<'a>(
        &self,
        map: &ShardMap,
        shard: &Arc<Shard>,
        attempt: Attempt<'a>,
        reply: &Reply,
    ) -> Option<Addressed<'a>> {
        let error = match reply {
            Ok(Value::ServerError(error)) => error,
            Ok(_) => return None,
            Err(_) => {
                self.shards.doubt();
                return None;
            }
        };
        match error.kind()? {
            ServerErrorKind::NoScript => {
                let whole_script = true;
                Some((
                    shard.clone(),
                    Attempt {
                        whole_script,
                        ..attempt
                    },
                ))
            }
            ServerErrorKind::Moved => {
                self.shards.doubt();
                let target = target(map, shard, error)?;
                Some((target, attempt))
            }
            ServerErrorKind::Ask => {
                let target = target(map, shard, error)?;
                let asking = true;
                Some((target, Attempt { asking, ..attempt }))
            }
            ServerErrorKind::ReadOnly
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown => {
                self.shards.doubt();
                None
            }
            _ => None,
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(follower) = &self.follower {
            follower.abort();
        }
    }
}

/// Calls for slots that nobody has are left out: their reply stays `Failed`.
fn first_attempts<'a>(map: &ShardMap, calls: &'a [Call]) -> Vec<Addressed<'a>> {
    let attempt = |(index, call): (usize, &'a Call)| {
        let shard = map.shard_of(&call.key)?.clone();
        Some((shard, Attempt::first(index, call)))
    };
    calls.iter().enumerate().filter_map(attempt).collect()
}

/// Groups attempts; a linear search, because there are few shards.
fn by_shard(attempts: Vec<Addressed<'_>>) -> Vec<(Arc<Shard>, Vec<Attempt<'_>>)> {
    let mut groups: Vec<(Arc<Shard>, Vec<Attempt<'_>>)> = Vec::new();
    for (shard, attempt) in attempts {
        match groups
            .iter_mut()
            .find(|(known, _)| Arc::ptr_eq(known, &shard))
        {
            Some((_, group)) => group.push(attempt),
            None => groups.push((shard, vec![attempt])),
        }
    }
    groups
}

/// The shard that a redirection names, if the map has it. An empty host means: the one that was asked.
fn target(map: &ShardMap, asked: &Shard, error: &ServerError) -> Option<Arc<Shard>> {
    let address = error.details()?.split_ascii_whitespace().nth(1)?;
    let shard = match address.strip_prefix(':') {
        Some(port) => map.shard_at(&format!("{}:{port}", asked.host)),
        None => map.shard_at(address),
    };
    shard.cloned()
}
