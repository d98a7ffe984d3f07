//! What happens on one connection, from the subscriptions to the end.

use std::borrow::Cow;
use std::future::pending;
use std::sync::Arc;

use async_nats::{Client, SubscribeError, Subscriber};
use futures_util::StreamExt;
use hotshelf_model::{BusEvent, Channel, Feed};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::bus::Shared;
use crate::settings::NatsSettings;
use crate::stream::Stream;

/// Why a session ended, for the log.
pub(crate) type Reason = Cow<'static, str>;

pub(crate) struct Session<'a> {
    pub(crate) client: Client,
    pub(crate) settings: &'a NatsSettings,
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
        let log = self.subscribe(Channel::Log).await?;
        let hints = self.subscribe(Channel::Hint).await?;
        let hot = self.subscribe_if_wanted(Channel::Hot).await?;
        let frames = self.subscribe_if_wanted(Channel::Frames).await?;
        let answers_to = client.new_inbox();
        let answers = client.subscribe(answers_to.clone()).await?;
        self.shared.set_payload_bytes_max(client.max_payload());
        // What waited for the connection before this one is out of date.
        for feed in Feed::ALL {
            while self.shared.queue.of(feed).try_next().is_some() {}
        }
        // The server answers in order: after this it knows the subscriptions, and nothing that is published later is missed.
        self.stream.catch_up(client).await;
        self.shared.set_connected(true);
        Ok(tokio::select! {
            error = self.send(Feed::Changes, &answers_to) => error.to_string().into(),
            error = self.send(Feed::Hot, &answers_to) => error.to_string().into(),
            () = self.receive(Channel::Log, log) => ENDED,
            () = self.receive(Channel::Hint, hints) => ENDED,
            error = self.receive_while_wanted(Channel::Hot, hot) => error.to_string().into(),
            error = self.receive_while_wanted(Channel::Frames, frames) => error.to_string().into(),
            () = self.stream.hear(answers) => ENDED,
            () = self.look_after_the_stream() => ENDED,
        })
    }

    async fn subscribe(&self, channel: Channel) -> Result<Subscriber, SubscribeError> {
        self.client.subscribe(self.settings.subject(channel)).await
    }

    async fn subscribe_if_wanted(
        &self,
        channel: Channel,
    ) -> Result<Option<Subscriber>, SubscribeError> {
        let wanted = self.shared.wanted(channel);
        Ok(match wanted.is_some_and(|wanted| *wanted.borrow()) {
            true => Some(self.subscribe(channel).await?),
            false => None,
        })
    }

    /// Sends what waits. The stream answers to one inbox for all rows, so an answer that never comes holds nothing.
    async fn send(&self, feed: Feed, answers_to: &str) -> async_nats::Error {
        loop {
            let BusEvent::Message(channel, payload) = self.shared.queue.of(feed).next().await
            else {
                continue;
            };
            let subject = self.settings.subject(channel);
            let sent = match channel {
                Channel::Log => {
                    let answers_to = answers_to.to_owned();
                    let client = &self.client;
                    client
                        .publish_with_reply(subject, answers_to, payload)
                        .await
                }
                Channel::Hint | Channel::Hot | Channel::Frames => {
                    self.client.publish(subject, payload).await
                }
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

    /// Receives while the node wants to hear the channel; `messages` is there if it does already.
    async fn receive_while_wanted(
        &self,
        channel: Channel,
        mut messages: Option<Subscriber>,
    ) -> SubscribeError {
        let Some(told) = self.shared.wanted(channel) else {
            return pending().await;
        };
        let mut told = told.subscribe();
        loop {
            if let Some(messages) = messages.take() {
                tokio::select! {
                    // The other parts of the session notice.
                    () = self.receive(channel, messages) => return pending().await,
                    () = until(&mut told, false) => {}
                }
            }
            until(&mut told, true).await;
            match self.subscribe(channel).await {
                Ok(subscriber) => messages = Some(subscriber),
                Err(error) => return error,
            }
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
            sleep(self.settings.stream_check_interval).await;
            self.stream.check(&self.client).await;
        }
    }
}

/// Waits until a channel is wanted, or is not. The other end lives as long as the session.
async fn until(told: &mut watch::Receiver<bool>, wanted: bool) {
    told.wait_for(|told| *told == wanted).await.ok();
}

const ENDED: Reason = Cow::Borrowed("the client ended");
