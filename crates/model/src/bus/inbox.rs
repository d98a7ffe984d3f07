//! What waits for a node on a bus: a mailbox for each feed.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::{Channel, Feed, Mailbox};

/// A mailbox for each feed, each bounded by itself, and which channels are put into them.
#[derive(Debug)]
pub struct Inbox {
    changes: Mailbox,
    hot: Mailbox,
    hears_hot: AtomicBool,
    hears_frames: AtomicBool,
}

impl Inbox {
    /// An empty one, not connected. `bytes_max` bounds each feed as it does a [`Mailbox`].
    pub fn new(bytes_max: usize) -> Self {
        Inbox {
            changes: Mailbox::new(bytes_max),
            hot: Mailbox::new(bytes_max),
            hears_hot: AtomicBool::new(false),
            hears_frames: AtomicBool::new(false),
        }
    }

    /// The mailbox of a feed.
    pub fn of(&self, feed: Feed) -> &Mailbox {
        match feed {
            Feed::Changes => &self.changes,
            Feed::Hot => &self.hot,
        }
    }

    /// Puts a message into the mailbox of its feed; says whether it fitted.
    pub fn put(&self, channel: Channel, payload: Bytes) -> bool {
        self.of(channel.feed()).put(channel, payload)
    }

    /// Says that messages of unknown channels were lost before they came here.
    pub fn lag(&self) {
        self.changes.lag();
        self.hot.lag();
    }

    /// Says whether there is a connection; saying the same twice changes nothing.
    pub fn set_connected(&self, connected: bool) {
        self.changes.set_connected(connected);
        self.hot.set_connected(connected);
    }

    /// Whether there is a connection.
    pub fn is_connected(&self) -> bool {
        self.changes.is_connected()
    }

    /// Whether a channel is heard.
    pub fn hears(&self, channel: Channel) -> bool {
        // Relaxed: a message more or less at the moment of the change is what a bus may do anyway.
        self.heard(channel)
            .is_none_or(|heard| heard.load(Ordering::Relaxed))
    }

    /// Says whether a channel is heard from now on; of [`Feed::Changes`] all always are.
    pub fn hear(&self, channel: Channel, wanted: bool) {
        if let Some(heard) = self.heard(channel) {
            heard.store(wanted, Ordering::Relaxed);
        }
    }

    fn heard(&self, channel: Channel) -> Option<&AtomicBool> {
        match channel {
            Channel::Log | Channel::Hint => None,
            Channel::Hot => Some(&self.hears_hot),
            Channel::Frames => Some(&self.hears_frames),
        }
    }
}
