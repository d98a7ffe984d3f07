//! The bus itself: two bounded queues, and a task between them and NATS.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use hotshelf_model::message::MESSAGE_BYTES_MAX;
use hotshelf_model::{BoxFuture, Bus, BusEvent, Channel, Feed, FieldProblem, Inbox, Published};
use hotshelf_telemetry::{BusCounters, Counter, metric};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::link::Link;
use crate::rarely::Rarely;
use crate::settings::NatsSettings;

const NAME: &str = "nats";

/// The bus over NATS.
#[derive(Debug)]
pub struct NatsBus {
    shared: Arc<Shared>,
    link: AbortHandle,
}

/// What the task and the bus's user have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) inbox: Inbox,
    pub(crate) queue: Inbox,
    /// Which channels of the hot feed are wanted.
    wanted: [watch::Sender<bool>; 2],
    /// The largest message that the server takes.
    payload_bytes_max: AtomicUsize,
    /// What the server says no to, which it may do for every message.
    pub(crate) refusals: Mutex<Rarely>,
    pub(crate) counters: Counters,
}

#[derive(Debug)]
pub(crate) struct Counters {
    bus: BusCounters,
    pub(crate) connected: Counter,
    pub(crate) failed: Counter,
    pub(crate) stored: Counter,
    pub(crate) refused: Counter,
}

impl NatsBus {
    /// Starts to connect, in the background, on the current tokio runtime; goes on for ever until the bus is dropped. `seed` feeds
    /// jitter: take it from the system's randomness, so that the nodes do not come back all at once.
    ///
    /// # Errors
    /// Everything that is wrong with the settings; a NATS that is down is no error.
    pub fn connect(settings: NatsSettings, seed: u64) -> Result<Arc<Self>, Vec<FieldProblem>> {
        let problems = settings.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let addresses = settings.addresses()?;
        let shared = Arc::new(Shared::new(&settings));
        let link = Link::new(settings, addresses, Arc::clone(&shared), seed);
        let link = tokio::spawn(link.keep()).abort_handle();
        Ok(Arc::new(NatsBus { shared, link }))
    }
}

impl Drop for NatsBus {
    fn drop(&mut self) {
        self.link.abort();
        self.shared.set_connected(false);
    }
}

impl Bus for NatsBus {
    fn name(&self) -> &'static str {
        NAME
    }

    fn publish(&self, channel: Channel, payload: Bytes) -> Published {
        let outcome = self.shared.publish(channel, payload);
        self.shared.counters.bus.published(channel, outcome);
        outcome
    }

    fn next(&self, feed: Feed) -> BoxFuture<'_, BusEvent> {
        Box::pin(self.shared.inbox.of(feed).next())
    }

    fn hear(&self, channel: Channel, wanted: bool) {
        if let Some(told) = self.shared.wanted(channel) {
            told.send_replace(wanted);
        }
    }

    fn is_connected(&self) -> bool {
        self.shared.inbox.is_connected()
    }
}

impl Shared {
    pub(crate) fn new(settings: &NatsSettings) -> Self {
        let connects =
            |outcome| metric::BUS_CONNECTS.counter(&[("bus", NAME), ("outcome", outcome)]);
        let stores = |outcome| metric::BUS_STORES.counter(&[("bus", NAME), ("outcome", outcome)]);
        Shared {
            inbox: Inbox::new(settings.inbox_bytes_max),
            queue: Inbox::new(settings.queue_bytes_max),
            wanted: [watch::Sender::new(false), watch::Sender::new(false)],
            payload_bytes_max: AtomicUsize::new(MESSAGE_BYTES_MAX),
            refusals: Mutex::default(),
            counters: Counters {
                bus: BusCounters::new(NAME),
                connected: connects("ok"),
                failed: connects("failed"),
                stored: stores("stored"),
                refused: stores("refused"),
            },
        }
    }

    fn publish(&self, channel: Channel, payload: Bytes) -> Published {
        // Relaxed: a number of its own, and a message that slips through is refused by the client.
        if payload.len() > self.payload_bytes_max.load(Ordering::Relaxed) {
            return Published::TooLarge;
        }
        // Without a connection nothing is kept for later: by then, nodes have it from the database.
        if self.inbox.is_connected() && self.queue.put(channel, payload) {
            Published::Sent
        } else {
            Published::Dropped
        }
    }

    /// Whether a channel that not every node hears is wanted.
    pub(crate) fn wanted(&self, channel: Channel) -> Option<&watch::Sender<bool>> {
        match channel {
            Channel::Log | Channel::Hint => None,
            Channel::Hot => Some(&self.wanted[0]),
            Channel::Frames => Some(&self.wanted[1]),
        }
    }

    /// Hands a message to this node.
    pub(crate) fn deliver(&self, channel: Channel, payload: Bytes) {
        let delivered = self.inbox.put(channel, payload);
        self.counters.bus.arrived(channel, delivered);
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        self.inbox.set_connected(connected);
        self.counters.bus.connected(connected);
    }

    pub(crate) fn set_payload_bytes_max(&self, bytes: usize) {
        self.payload_bytes_max.store(bytes, Ordering::Relaxed);
    }
}
