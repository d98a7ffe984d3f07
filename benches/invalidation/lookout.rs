//! When a node refuses a copy: looked at by the node itself, whenever it has taken a message in, and by whoever else looks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_benches::time::Stopwatch;
use hotshelf_engine::Cache;
use hotshelf_model::{BoxFuture, Bus, BusEvent, Channel, Feed, Key, Published, Version};
use parking_lot::Mutex;

/// A look-out over one node.
#[derive(Debug, Default)]
pub(crate) struct Lookout(Mutex<Option<Look>>);

#[derive(Debug)]
struct Look {
    cache: Cache,
    key: Key,
    held: Version,
    clock: Stopwatch,
    refused: Option<Duration>,
}

impl Lookout {
    /// Begins to look whether the node still answers with `held`; moments are told on `clock`.
    pub(crate) fn begin(&self, cache: &Cache, key: &Key, held: Version, clock: Stopwatch) {
        *self.0.lock() = Some(Look {
            cache: cache.clone(),
            key: key.clone(),
            held,
            clock,
            refused: None,
        });
    }

    /// Looks, and says when the node was first seen to refuse.
    pub(crate) fn look(&self) -> Option<Duration> {
        let mut look = self.0.lock();
        let look = look.as_mut()?;
        if look.refused.is_none() {
            let answer = look.cache.try_get(&look.key);
            if answer.is_none_or(|answer| answer.version() != look.held) {
                look.refused = Some(look.clock.elapsed());
            }
        }
        look.refused
    }

    pub(crate) fn end(&self) {
        *self.0.lock() = None;
    }
}

/// A node's bus. The node comes back for the next message when it has done with the last one, and that is when it looks.
#[derive(Debug)]
pub(crate) struct WatchedBus {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) lookout: Arc<Lookout>,
}

impl Bus for WatchedBus {
    fn name(&self) -> &'static str {
        self.bus.name()
    }

    fn publish(&self, channel: Channel, payload: Bytes) -> Published {
        self.bus.publish(channel, payload)
    }

    fn next(&self, feed: Feed) -> BoxFuture<'_, BusEvent> {
        self.lookout.look();
        self.bus.next(feed)
    }

    fn hear(&self, channel: Channel, wanted: bool) {
        self.bus.hear(channel, wanted);
    }

    fn is_connected(&self) -> bool {
        self.bus.is_connected()
    }
}
