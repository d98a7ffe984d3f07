//! What happens on one connection, from the subscriptions to the end.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Subscriber};
use futures_util::StreamExt;
use hotshelf_model::{BusEvent, Channel};
use tokio::time::sleep;

use crate::bus::Shared;
use crate::stream::Stream;

/// Why a session ended, for the log.
pub(crate) type Reason = Cow<'static, str>;

pub(crate) struct Session<'a> {
    pub(crate) client: Client,
    pub(crate) log_subject: String,
    pub(crate) hint_subject: String,
    pub(crate) check_interval: Duration,
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) stream: &'a Stream,
}

impl Session<'_> {
    /// Ends when the connection is of no more use.
    pub(crate) async fn run(&self) -> Reason {
        match self.serve().await {
            Ok(reason) => reason,
            Err(error) => error.to_string().into(),
        }
    }

    async fn serve(&self) -> Result<Reason, async_nats::Error> {
        let client = &self.client;
        let log = client.subscribe(self.log_subject.clone()).await?;
        let hints = client.subscribe(self.hint_subject.clone()).await?;
        let answers_to = client.new_inbox();
        let answers = client.subscribe(answers_to.clone()).await?;
        self.shared.set_payload_bytes_max(client.max_payload());
        // What waited for the connection before this one is out of date.
        while self.shared.queue.try_next().is_some() {}
        // The server answers in order: after this it knows the subscriptions, and nothing that is published later is missed.
        self.stream.catch_up(client).await;
        self.shared.set_connected(true);
        Ok(tokio::select! {
            error = self.send(&answers_to) => error.to_string().into(),
            () = self.receive(Channel::Log, log) => ENDED,
            () = self.receive(Channel::Hint, hints) => ENDED,
            () = self.stream.hear(answers) => ENDED,
            () = self.look_after_the_stream() => ENDED,
        })
    }

    /// Sends what waits. The stream answers to one inbox for all rows, so an answer that never comes holds nothing.
    async fn send(&self, answers_to: &str) -> async_nats::Error {
        loop {
            let BusEvent::Message(channel, payload) = self.shared.queue.next().await else {
                continue;
            };
            let subject = match channel {
                Channel::Log => self.log_subject.clone(),
                Channel::Hint => self.hint_subject.clone(),
            };
            let sent = match channel {
                Channel::Log => {
                    let answers_to = answers_to.to_owned();
                    let client = &self.client;
                    client
                        .publish_with_reply(subject, answers_to, payload)
                        .await
                }
                Channel::Hint => self.client.publish(subject, payload).await,
            };
            if let Err(error) = sent {
                return error.into();
            }
        }
    }

    async fn receive(&self, channel: Channel, mut messages: Subscriber) {
        while let Some(message) = messages.next().await {
            self.shared.deliver(channel, message.payload);
        }
    }

    /// Returns when the client has mended the connection by itself, of which it tells only in passing.
    async fn look_after_the_stream(&self) {
        // Relaxed: a counter that is only looked at.
        let connects = || {
            let statistics = self.client.statistics();
            statistics
                .connects
                .load(std::sync::atomic::Ordering::Relaxed)
        };
        while connects() <= 1 {
            sleep(self.check_interval).await;
            self.stream.check(&self.client).await;
        }
    }
}

const ENDED: Reason = Cow::Borrowed("the client ended");
