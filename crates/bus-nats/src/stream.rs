//! The JetStream stream that keeps rows for a while: made when it is missing, and read by a node that was away.
//!
//! A node remembers which stream it last saw and how far it went. When it is back and the stream is the same one, it reads what came
//! since. Everything here is best effort and bounded in time; nothing live waits for it but a session's start.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::{ContextBuilder, GetStreamErrorKind};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{Config, Info, StorageType};
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{Client, Error, StatusCode, Subscriber};
use futures_util::StreamExt;
use hotshelf_model::Channel;
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::bus::Shared;
use crate::rarely::Rarely;
use crate::settings::NatsSettings;

/// A node that missed more than this reads the database, which is not slower then.
const REPLAY_MESSAGES_MAX: u64 = 4096;
const REPLAY_BATCH: usize = 256;
/// A session's start waits no longer than this for the stream.
const REPLAY_LIMIT: Duration = Duration::from_secs(2);
/// The server forgets a consumer that was left behind.
const CONSUMER_IDLE_MAX: Duration = Duration::from_secs(5);

pub(crate) struct Stream {
    config: Config,
    request_timeout: Duration,
    shared: Arc<Shared>,
    seen: Mutex<Option<Seen>>,
    troubles: Mutex<Rarely>,
}

/// One stream, told from a later one of the same name by the moment it was made, and the last row of it that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    created_ns: i128,
    sequence: u64,
}

impl Stream {
    pub(crate) fn new(settings: &NatsSettings, shared: Arc<Shared>) -> Self {
        Stream {
            config: config(settings),
            request_timeout: settings.connect_timeout,
            shared,
            seen: Mutex::new(None),
            troubles: Mutex::default(),
        }
    }

    /// Delivers what passed while this node was away, as far as the stream has it.
    pub(crate) async fn catch_up(&self, client: &Client) {
        let context = self.context(client);
        let catching_up = async {
            let info = self.info(&context).await?;
            let missed = missed(*self.seen.lock(), seen(&info));
            if let Some((first, last)) = missed {
                tracing::debug!(first, last, "reading the rows that were missed");
                self.replay(&context, first, last).await?;
            }
            self.saw(&info);
            Ok(())
        };
        match timeout(REPLAY_LIMIT, catching_up).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.trouble(&error),
            Err(late) => self.trouble(&late.into()),
        }
    }

    /// Makes the stream again if it is gone, and remembers how far it goes.
    pub(crate) async fn check(&self, client: &Client) {
        match self.info(&self.context(client)).await {
            Ok(info) => self.saw(&info),
            Err(error) => self.trouble(&error),
        }
    }

    /// Counts the stream's answers to rows of this node.
    pub(crate) async fn hear(&self, mut answers: Subscriber) {
        while let Some(answer) = answers.next().await {
            let refusal = match serde_json::from_slice(&answer.payload) {
                Ok(Response::<PublishAck>::Ok(stored)) => {
                    self.stored(stored.sequence);
                    continue;
                }
                Ok(Response::Err { error }) => Error::from(error),
                Err(_) if answer.status == Some(StatusCode::NO_RESPONDERS) => NO_STREAM.into(),
                Err(error) => error.into(),
            };
            self.shared.counters.refused.increment(1);
            self.trouble(&refusal);
        }
    }

    fn stored(&self, sequence: u64) {
        self.shared.counters.stored.increment(1);
        if let Some(seen) = &mut *self.seen.lock() {
            seen.sequence = seen.sequence.max(sequence);
        }
    }

    fn saw(&self, info: &Info) {
        *self.seen.lock() = Some(seen(info));
    }

    fn context(&self, client: &Client) -> Context {
        ContextBuilder::new()
            .timeout(self.request_timeout)
            .build(client.clone())
    }

    /// What the server says of the stream, after making it if need be. A stream that is there is left as it is: an operator may have
    /// tuned it, and a newer server may have settings that this client would take away.
    async fn info(&self, context: &Context) -> Result<Info, Error> {
        let stream = match context.get_stream(&self.config.name).await {
            Ok(stream) => stream,
            Err(error) if is_missing(&error.kind()) => {
                tracing::info!(stream = self.config.name, "making the stream");
                context.create_stream(self.config.clone()).await?
            }
            Err(error) => return Err(error.into()),
        };
        let info = stream.cached_info().clone();
        let subject = &self.config.subjects[0];
        if !info.config.subjects.contains(subject) {
            let name = &self.config.name;
            let held = &info.config.subjects;
            let text = format!(
                "the stream `{name}` holds {held:?} and not `{subject}`; choose another name for this shop's"
            );
            return Err(text.into());
        }
        Ok(info)
    }

    async fn replay(&self, context: &Context, first: u64, last: u64) -> Result<(), Error> {
        let consumer = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: first,
            },
            ack_policy: AckPolicy::None,
            filter_subject: self.config.subjects[0].clone(),
            inactive_threshold: CONSUMER_IDLE_MAX,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = context
            .create_consumer_on_stream(consumer, &self.config.name)
            .await?;
        loop {
            let mut batch = consumer
                .fetch()
                .max_messages(REPLAY_BATCH)
                .messages()
                .await?;
            let mut sequence = None;
            while let Some(message) = batch.next().await {
                let message = message?;
                sequence = Some(message.info()?.stream_sequence);
                self.shared.deliver(Channel::Log, message.message.payload);
            }
            if sequence.is_none_or(|sequence| sequence >= last) {
                return Ok(());
            }
        }
    }

    fn trouble(&self, error: &Error) {
        if let Some(held_back) = self.troubles.lock().say() {
            let stream = &self.config.name;
            tracing::warn!(%error, stream, held_back, "nats does not keep the rows; nodes that come back read them from the database");
        }
    }
}

const NO_STREAM: &str = "no stream takes the rows";

fn config(settings: &NatsSettings) -> Config {
    Config {
        name: settings.stream.clone(),
        subjects: vec![settings.subject(Channel::Log)],
        description: Some("hotshelf: copies of the change log; safe to delete".to_owned()),
        max_age: settings.stream_age_max,
        max_bytes: i64::try_from(settings.stream_bytes_max).unwrap_or(i64::MAX),
        num_replicas: settings.replicas,
        storage: StorageType::File,
        ..Config::default()
    }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn seen(info: &Info) -> Seen {
    Seen {
        created_ns: info.created.unix_timestamp_nanos(),
        sequence: info.state.last_sequence,
    }
}

/// The first and the last row to read, when there are some and not too many. Of another stream than the one that was seen, nothing is
/// known to have been missed.
fn missed(before: Option<Seen>, now: Seen) -> Option<(u64, u64)> {
    let before = before.filter(|before| before.created_ns == now.created_ns)?;
    let count = now.sequence.checked_sub(before.sequence)?;
    (1..=REPLAY_MESSAGES_MAX)
        .contains(&count)
        .then_some((before.sequence + 1, now.sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_stream_is_replayed_and_not_without_bound() {
        let seen = |created_ns, sequence| Seen {
            created_ns,
            sequence,
        };
        let max = REPLAY_MESSAGES_MAX;
        for (before, now, expected) in [
            (None, seen(1, 9), None),
            (Some(seen(1, 5)), seen(1, 9), Some((6, 9))),
            (Some(seen(1, 9)), seen(1, 9), None),
            (Some(seen(1, 9)), seen(1, 4), None),
            (Some(seen(1, 5)), seen(2, 9), None),
            (Some(seen(1, 0)), seen(1, max), Some((1, max))),
            (Some(seen(1, 0)), seen(1, max + 1), None),
        ] {
            assert_eq!(missed(before, now), expected, "{before:?} {now:?}");
        }
    }
}
