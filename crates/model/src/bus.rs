//! The bus between nodes: carries bytes and promises nothing.
//!
//! A bus may lose, duplicate, reorder or delay messages, or not be there at all. Nodes prove what they serve against the database, so a
//! bus only makes them sooner to know.

use std::fmt::Debug;

use bytes::Bytes;

use crate::seams::BoxFuture;

mod mailbox;

pub use mailbox::Mailbox;

/// What a message is about; each is a subject or a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Rows of the change log, published by the node that gave them their positions. A bus that can keep messages for a while does.
    Log,
    /// Hints of writers, and the bus's self-test: worthless after a second, so never kept.
    Hint,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Channel; 2] = [Channel::Log, Channel::Hint];

    /// The word in subjects, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Log => "log",
            Channel::Hint => "hint",
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

    /// Waits for what comes next. For one caller at a time.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    fn next(&self) -> BoxFuture<'_, BusEvent>;

    /// Whether there is a connection now.
    fn is_connected(&self) -> bool;
}
