//! A bus in memory that does to messages what buses do, from a seed.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use hotshelf_model::{BoxFuture, Bus, BusEvent, Channel, Feed, Inbox, Published};
use parking_lot::Mutex;

/// What waits for a node at most; a little more than sixteen of the largest messages.
const INBOX_BYTES_MAX: usize = 17 << 17;

/// What becomes of messages, each on its way to each node for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusFaults {
    /// So many of a hundred never arrive.
    pub lose_percent: u8,
    /// So many arrive twice.
    pub duplicate_percent: u8,
    /// So many arrive after later ones.
    pub delay_percent: u8,
}

impl BusFaults {
    /// Everything arrives, once and in order.
    pub const NONE: BusFaults = BusFaults {
        lose_percent: 0,
        duplicate_percent: 0,
        delay_percent: 0,
    };
}

/// How often each fault happened; a test that needs one asserts that it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusFaultCounts {
    /// Messages that never arrived, those to nodes without a connection included.
    pub lost: u64,
    /// Messages that arrived twice.
    pub duplicated: u64,
    /// Messages that arrived late.
    pub delayed: u64,
}

/// What the nodes of one test share.
#[derive(Debug)]
pub struct FakeHub {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: u64,
    faults: BusFaults,
    counts: BusFaultCounts,
    nodes: Vec<Weak<FakeBus>>,
    held: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    to: Weak<FakeBus>,
    channel: Channel,
    payload: Bytes,
}

/// One node's handle.
#[derive(Debug)]
pub struct FakeBus {
    hub: Arc<FakeHub>,
    inbox: Inbox,
}

impl FakeHub {
    /// A bus that works, until it is told otherwise. The same seed does the same to the same messages.
    pub fn new(seed: u64) -> Arc<Self> {
        let state = State {
            random: seed,
            faults: BusFaults::NONE,
            counts: BusFaultCounts::default(),
            nodes: Vec::new(),
            held: Vec::new(),
        };
        Arc::new(FakeHub {
            state: Mutex::new(state),
        })
    }

    /// A handle for one more node, connected.
    pub fn join(self: &Arc<Self>) -> Arc<FakeBus> {
        let node = Arc::new(FakeBus {
            hub: Arc::clone(self),
            inbox: Inbox::new(INBOX_BYTES_MAX),
        });
        node.inbox.set_connected(true);
        self.state.lock().nodes.push(Arc::downgrade(&node));
        node
    }

    /// Treats what is published from now on like this.
    pub fn set_faults(&self, faults: BusFaults) {
        self.state.lock().faults = faults;
    }

    /// How often each fault has happened.
    pub fn counts(&self) -> BusFaultCounts {
        self.state.lock().counts
    }

    /// Lets everything arrive that was delayed, in any order.
    pub fn release(&self) {
        let mut state = self.state.lock();
        while state.release_one() {}
    }

    fn publish(&self, channel: Channel, payload: &Bytes) {
        let mut state = self.state.lock();
        state.nodes.retain(|node| node.strong_count() > 0);
        for node in state.nodes.clone() {
            let hears = |node: &FakeBus| node.inbox.hears(channel);
            if node.upgrade().is_some_and(|node| hears(&node)) {
                state.send(&node, channel, payload);
            }
        }
        // What is delayed arrives after some of what came later.
        if state.chance(50) {
            state.release_one();
        }
    }
}

impl State {
    fn send(&mut self, to: &Weak<FakeBus>, channel: Channel, payload: &Bytes) {
        let faults = self.faults;
        if self.chance(faults.lose_percent) {
            self.counts.lost += 1;
            return;
        }
        let copies = if self.chance(faults.duplicate_percent) {
            self.counts.duplicated += 1;
            2
        } else {
            1
        };
        for _ in 0..copies {
            let (to, payload) = (to.clone(), payload.clone());
            let message = Held {
                to,
                channel,
                payload,
            };
            if self.chance(faults.delay_percent) {
                self.counts.delayed += 1;
                self.held.push(message);
            } else {
                self.deliver(message);
            }
        }
    }

    fn deliver(&mut self, message: Held) {
        let node = message.to.upgrade();
        match node.filter(|node| node.is_connected()) {
            Some(node) => {
                node.inbox.put(message.channel, message.payload);
            }
            None => self.counts.lost += 1,
        }
    }

    fn release_one(&mut self) -> bool {
        let count = u64::try_from(self.held.len()).unwrap_or(u64::MAX);
        let Some(place) = self.random().checked_rem(count) else {
            return false;
        };
        let message = self
            .held
            .swap_remove(usize::try_from(place).unwrap_or_default());
        self.deliver(message);
        true
    }

    fn chance(&mut self, percent: u8) -> bool {
        percent > 0 && self.random() % 100 < u64::from(percent)
    }

    /// SplitMix64: a test needs no better randomness, and the same one for ever.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

impl FakeBus {
    /// Takes this node's connection away: what is sent to it meanwhile is lost, what it publishes is dropped.
    pub fn disconnect(&self) {
        self.inbox.set_connected(false);
    }

    /// Gives it back.
    pub fn reconnect(&self) {
        self.inbox.set_connected(true);
    }

    /// Whether this node wants to hear a channel.
    pub fn hears(&self, channel: Channel) -> bool {
        self.inbox.hears(channel)
    }

    /// Tells this node that it lost messages.
    pub fn lag(&self) {
        self.inbox.lag();
    }
}

impl Bus for FakeBus {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn publish(&self, channel: Channel, payload: Bytes) -> Published {
        if !self.is_connected() {
            return Published::Dropped;
        }
        self.hub.publish(channel, &payload);
        Published::Sent
    }

    fn next(&self, feed: Feed) -> BoxFuture<'_, BusEvent> {
        Box::pin(self.inbox.of(feed).next())
    }

    fn hear(&self, channel: Channel, wanted: bool) {
        self.inbox.hear(channel, wanted);
    }

    fn is_connected(&self) -> bool {
        self.inbox.is_connected()
    }
}

#[cfg(test)]
mod tests;
