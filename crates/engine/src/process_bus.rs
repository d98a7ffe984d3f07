//! The bus within one process: for caches that share a process and a database, and for tests.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use hotshelf_model::message::MESSAGE_BYTES_MAX;
use hotshelf_model::{BoxFuture, Bus, BusEvent, Channel, Feed, Inbox, Published};
use hotshelf_telemetry::BusCounters;
use parking_lot::Mutex;

/// One cache's handle of a bus in memory: always connected, in order, and lossless to who takes in time.
#[derive(Debug)]
pub struct ProcessBus {
    hub: Arc<Hub>,
    inbox: Arc<Inbox>,
}

#[derive(Debug)]
struct Hub {
    /// Held while a message is handed round, so that every handle sees the same order.
    inboxes: Mutex<Vec<Weak<Inbox>>>,
    inbox_bytes_max: usize,
    counters: BusCounters,
}

impl ProcessBus {
    /// The first handle of a new bus. `inbox_bytes_max` bounds what waits for each handle on each feed, and is raised to the longest message twice.
    pub fn new(inbox_bytes_max: usize) -> Arc<Self> {
        let counters = BusCounters::new("process");
        counters.connected(true);
        let hub = Arc::new(Hub {
            inboxes: Mutex::default(),
            inbox_bytes_max: inbox_bytes_max.max(2 * MESSAGE_BYTES_MAX),
            counters,
        });
        Self::of(hub)
    }

    /// Another handle of the same bus. It hears what is published from now on.
    pub fn join(&self) -> Arc<Self> {
        Self::of(Arc::clone(&self.hub))
    }

    fn of(hub: Arc<Hub>) -> Arc<Self> {
        let inbox = Arc::new(Inbox::new(hub.inbox_bytes_max));
        inbox.set_connected(true);
        hub.inboxes.lock().push(Arc::downgrade(&inbox));
        Arc::new(ProcessBus { hub, inbox })
    }
}

impl Bus for ProcessBus {
    fn name(&self) -> &'static str {
        "process"
    }

    fn publish(&self, channel: Channel, payload: Bytes) -> Published {
        let outcome = self.hub.publish(channel, &payload);
        self.hub.counters.published(channel, outcome);
        outcome
    }

    fn next(&self, feed: Feed) -> BoxFuture<'_, BusEvent> {
        Box::pin(self.inbox.of(feed).next())
    }

    fn hear(&self, channel: Channel, wanted: bool) {
        self.inbox.hear(channel, wanted);
    }

    fn is_connected(&self) -> bool {
        true
    }
}

impl Hub {
    fn publish(&self, channel: Channel, payload: &Bytes) -> Published {
        if payload.len() > MESSAGE_BYTES_MAX {
            return Published::TooLarge;
        }
        self.inboxes.lock().retain(|inbox| {
            let inbox = inbox.upgrade();
            if let Some(inbox) = inbox.as_ref().filter(|inbox| inbox.hears(channel)) {
                let delivered = inbox.put(channel, payload.clone());
                self.counters.arrived(channel, delivered);
            }
            inbox.is_some()
        });
        Published::Sent
    }
}
