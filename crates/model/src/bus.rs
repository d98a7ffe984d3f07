//! The bus between nodes: carries bytes and promises nothing.
//!
//! A bus may lose, duplicate, reorder or delay messages, or not be there at all. Nodes prove what they serve against the database, so a
//! bus only makes them sooner to know.

use std::fmt::Debug;

use bytes::Bytes;

use crate::seams::BoxFuture;

mod inbox;
mod mailbox;

pub use inbox::Inbox;
pub use mailbox::Mailbox;

/// What a message is about; each is a subject or a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Rows of the change log, published by the node that gave them their positions. A bus that can keep messages for a while does.
    Log,
    /// Hints of writers, and the bus's self-test: worthless after a second, so never kept.
    Hint,
    /// What is hot in the cluster, and questions about it. Heard by who asks for it.
    Hot,
    /// What each node has read, for those that find what is hot. Heard by who asks for it.
    Frames,
}

/// Channels that one part of a node takes. Each waits in room of its own, so a flood on one displaces nothing of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feed {
    /// [`Channel::Log`] and [`Channel::Hint`].
    Changes,
    /// [`Channel::Hot`] and [`Channel::Frames`].
    Hot,
}

impl Feed {
    /// Every feed.
    pub const ALL: [Feed; 2] = [Feed::Changes, Feed::Hot];
}

impl Channel {
    /// Every channel.
    pub const ALL: [Channel; 4] = [Channel::Log, Channel::Hint, Channel::Hot, Channel::Frames];

    /// The word in subjects, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Log => "log",
            Channel::Hint => "hint",
            Channel::Hot => "hot",
            Channel::Frames => "frames",
        }
    }

    /// Who takes it.
    pub fn feed(self) -> Feed {
        match self {
            Channel::Log | Channel::Hint => Feed::Changes,
            Channel::Hot | Channel::Frames => Feed::Hot,
        }
    }
}

/// What became of a message that was to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is on its way, and may still be lost.
    Sent,
    /// The bus is not connected, or its queue is full.
    Dropped,
    /// It is larger than this bus carries.
    TooLarge,
}

impl Published {
    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Published::Sent => "sent",
            Published::Dropped => "dropped",
            Published::TooLarge => "too_large",
        }
    }
}

/// What a bus brings, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusEvent {
    /// A message, perhaps one that this node published itself.
    Message(Channel, Bytes),
    /// There is a connection (again); messages may have been missed. A bus that keeps messages has brought before this what it could of
    /// them.
    Connected,
    /// There is none any more.
    Disconnected,
    /// Messages that should have stood here were dropped, because this node did not take them in time.
    Lagged,
}

/// The bus.
pub trait Bus: Send + Sync + Debug {
    /// The word for it in metrics and logs: `process`, `nats`.
    fn name(&self) -> &'static str;

    /// Hands a message over, without waiting for anything. Messages of one channel are sent in the order of the calls.
    fn publish(&self, channel: Channel, payload: Bytes) -> Published;

    /// Waits for what comes next on a feed. For one caller of each feed at a time. What is said of the connection comes on every feed.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    fn next(&self, feed: Feed) -> BoxFuture<'_, BusEvent>;

    /// Says whether this node wants to hear a channel of [`Feed::Hot`], from about now on; it hears none of them before. Those of
    /// [`Feed::Changes`] are always heard.
    fn hear(&self, channel: Channel, wanted: bool);

    /// Whether there is a connection now.
    fn is_connected(&self) -> bool;
}
