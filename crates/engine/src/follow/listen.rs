//! What the bus brings and what it is given: rows, hints, and the test whether it brings anything at all.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{Either, select};
use hotshelf_coherence::Place;
use hotshelf_model::message::{decode, encode_hint, encode_ping, encode_row};
use hotshelf_model::{Boot, Bus, BusEvent, Channel, Feed, Hint, LogRow, Message, Ping};

use super::{Follower, RowSource};
use crate::ledger::{HintOutcome, NewVersion};

/// A hint that the log does not confirm within this was of a change that was lost, or never was.
const HINT_TTL: Duration = Duration::from_secs(60);
/// How often the bus is tested.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// A ping that has not come back after this does not come back.
const PING_PATIENCE: Duration = Duration::from_secs(5);

/// The bus's self-test: a node sends itself messages.
#[derive(Debug, Default)]
struct SelfTest {
    /// When the last ping was sent; `None` when the next is due.
    sent: Option<Boot>,
    nonce: u64,
    is_heard: bool,
    /// Whether a ping was sent and not heard, and that was told.
    is_silent: bool,
}

impl Follower {
    /// Takes what the bus brings, for ever.
    pub(super) async fn listen(&self, bus: &Arc<dyn Bus>) {
        let mut test = SelfTest::default();
        loop {
            let pause = self.test_bus(bus, &mut test);
            let timer = Box::pin(tokio::time::sleep(pause));
            let event = match select(bus.next(Feed::Changes), timer).await {
                Either::Left((event, _)) => event,
                Either::Right(_) => continue,
            };
            match event {
                BusEvent::Message(_, payload) => self.take_message(&payload, &mut test),
                // What was missed is found in the database.
                BusEvent::Connected | BusEvent::Lagged => self.nudge(),
                BusEvent::Disconnected => test.sent = None,
            }
            // A bus that always has something must not keep the node from polling.
            tokio::task::yield_now().await;
        }
    }

    fn take_message(&self, payload: &[u8], test: &mut SelfTest) {
        match decode(payload) {
            Ok(Message::Row(row)) => {
                let place = self.take_row(row, RowSource::Bus);
                if matches!(place, Place::Ahead | Place::NewTimeline) {
                    self.nudge();
                }
            }
            Ok(Message::Hint(hint)) => {
                let outcome = self.take_hint(&hint);
                self.counters.hint(outcome);
            }
            Ok(Message::Ping(ping)) => self.take_ping(ping, test),
            Ok(Message::Ask(ask)) => self.take_ask(ask),
            Ok(Message::Answers(answers)) => self.take_answers(&answers),
            Err(error) => {
                self.counters.unreadable(error);
                tracing::debug!(%error, "a message of the bus cannot be read");
                // It may have been a row.
                self.nudge();
            }
        }
    }

    fn take_hint(&self, hint: &Hint) -> HintOutcome {
        if self.ledger.knowledge().is_none() {
            return HintOutcome::Foreign;
        }
        let until = self.clock.now().plus(HINT_TTL);
        let new = NewVersion {
            namespace: &hint.namespace,
            id: &hint.id,
            version: hint.version,
        };
        self.ledger.hint(&new, Some(hint.hist), Some(until))
    }

    /// Takes in a write of this node, which is committed and may have no position yet.
    pub(crate) fn written(&self, new: &NewVersion<'_>) {
        // Before the first poll nobody knows of which history it is.
        let is_known = self.ledger.knowledge().is_some();
        let until = (!is_known).then(|| self.clock.now().plus(HINT_TTL));
        if self.ledger.hint(new, None, until) == HintOutcome::Foreign {
            return;
        }
        self.version_max.fetch_max(new.version.0, Ordering::Relaxed);
        // No poll for it: this node knows, the others are told, and the next poll gives the change its position as any other's. It would
        // keep the database busy just when the hint is on its way.
        self.publish_hint(new);
    }

    /// Tests the bus when it is time to; says how long there is nothing to be done.
    fn test_bus(&self, bus: &Arc<dyn Bus>, test: &mut SelfTest) -> Duration {
        let now = self.clock.now();
        let waited = test.sent.map(|sent| now.since(sent));
        match waited {
            Some(waited) if waited < PING_PATIENCE => PING_PATIENCE - waited,
            Some(waited) if waited < PING_INTERVAL => {
                if !test.is_heard && !test.is_silent {
                    test.is_silent = true;
                    self.counters.bus_hears.set(0.0);
                    tracing::warn!(
                        bus = bus.name(),
                        "the bus says that it is connected, and does not bring this node its own message"
                    );
                }
                PING_INTERVAL - waited
            }
            Some(_) | None if bus.is_connected() => {
                // Unlike that of another process: two start at different nanoseconds.
                test.nonce = test.nonce.wrapping_add(self.started.0 | 1);
                test.sent = Some(now);
                test.is_heard = false;
                let ping = Ping {
                    node: self.node,
                    nonce: test.nonce,
                };
                bus.publish(Channel::Hint, encode_ping(&ping));
                PING_PATIENCE
            }
            Some(_) | None => PING_PATIENCE,
        }
    }

    fn take_ping(&self, ping: Ping, test: &mut SelfTest) {
        let is_own = ping.node == self.node && ping.nonce == test.nonce;
        let Some(sent) = test.sent.filter(|_| is_own && !test.is_heard) else {
            return;
        };
        test.is_heard = true;
        let took = self.clock.now().since(sent);
        self.counters.bus_seconds.record(took.as_secs_f64());
        self.counters.bus_hears.set(1.0);
        if std::mem::take(&mut test.is_silent) {
            tracing::info!("the bus brings this node its own messages again");
        }
    }

    /// Publishes a row if this node gave it its position.
    pub(super) fn publish_own(&self, row: &LogRow) {
        let mut unpublished = self.unpublished.lock();
        let Some((first, last)) = *unpublished else {
            return;
        };
        if row.position >= last {
            *unpublished = None;
        }
        drop(unpublished);
        if (first..=last).contains(&row.position) {
            self.publish(row);
        }
    }

    /// Publishes a row.
    pub(super) fn publish(&self, row: &LogRow) {
        if let Some(bus) = &self.bus {
            bus.publish(Channel::Log, encode_row(row));
        }
    }

    fn publish_hint(&self, new: &NewVersion<'_>) {
        let (Some(bus), Some(knowledge)) = (&self.bus, self.ledger.knowledge()) else {
            return;
        };
        let hint = Hint {
            hist: knowledge.hist,
            namespace: new.namespace.clone(),
            id: new.id.clone(),
            version: new.version,
        };
        bus.publish(Channel::Hint, encode_hint(&hint));
    }
}
