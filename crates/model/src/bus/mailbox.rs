//! The queue between a bus and the node that takes from it.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{BusEvent, Channel};

/// What an event costs beyond its payload, so that empty messages are bounded too.
const EVENT_BYTES: usize = 64;

/// A queue of events, bounded in bytes, that never makes who fills it wait: what does not fit is dropped, and [`BusEvent::Lagged`]
/// stands in its place.
///
/// Events are taken in the order in which they were put. A connection that went and came back while nobody looked is told as such.
pub struct Mailbox {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    events: VecDeque<BusEvent>,
    bytes: usize,
    connected: bool,
    taker: Option<Waker>,
}

impl Mailbox {
    /// An empty one, not connected. `bytes_max` bounds payloads together with 64 bytes for each.
    pub fn new(bytes_max: usize) -> Self {
        Mailbox {
            bytes_max,
            state: Mutex::default(),
        }
    }

    /// Puts a message; says whether it fitted.
    pub fn put(&self, channel: Channel, payload: Bytes) -> bool {
        let cost = payload.len() + EVENT_BYTES;
        self.change(|state| {
            let fits = state.bytes + cost <= self.bytes_max;
            if fits {
                state.bytes += cost;
                state.events.push_back(BusEvent::Message(channel, payload));
            } else {
                state.lag();
            }
            fits
        })
    }

    /// Says that messages were lost before they came here.
    pub fn lag(&self) {
        self.change(State::lag);
    }

    /// Says whether there is a connection; saying the same twice changes nothing.
    pub fn set_connected(&self, connected: bool) {
        self.change(|state| state.set_connected(connected));
    }

    /// Whether there is a connection.
    pub fn is_connected(&self) -> bool {
        self.state.lock().connected
    }

    /// Waits for the next event. For one caller at a time.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&self) -> BusEvent {
        poll_fn(|context| {
            let mut state = self.state.lock();
            match state.take() {
                Some(event) => Poll::Ready(event),
                None => {
                    state.taker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// The next event, if there is one now.
    pub fn try_next(&self) -> Option<BusEvent> {
        self.state.lock().take()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let outcome = change(&mut state);
        let taker = state.taker.take();
        // Who is woken looks at once, and should not find the lock held.
        drop(state);
        if let Some(taker) = taker {
            taker.wake();
        }
        outcome
    }
}

impl State {
    fn take(&mut self) -> Option<BusEvent> {
        let event = self.events.pop_front()?;
        if let BusEvent::Message(_, payload) = &event {
            self.bytes -= payload.len() + EVENT_BYTES;
        }
        Some(event)
    }

    /// Between two messages one is enough, so that these, too, are bounded.
    fn lag(&mut self) {
        let after_message = self.events.iter().rev();
        let mut after_message =
            after_message.take_while(|event| !matches!(event, BusEvent::Message(..)));
        if !after_message.any(|event| *event == BusEvent::Lagged) {
            self.events.push_back(BusEvent::Lagged);
        }
    }

    /// A second disconnection in a row says no more than the first, so between two messages there are at most two of these.
    fn set_connected(&mut self, connected: bool) {
        if self.connected == connected {
            return;
        }
        self.connected = connected;
        let mut waiting = self.events.iter().rev();
        match (connected, waiting.next(), waiting.next()) {
            (false, Some(BusEvent::Connected), Some(BusEvent::Disconnected)) => {
                self.events.pop_back();
            }
            (true, _, _) => self.events.push_back(BusEvent::Connected),
            (false, _, _) => self.events.push_back(BusEvent::Disconnected),
        }
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Mailbox")
            .field("events", &state.events.len())
            .field("bytes", &state.bytes)
            .field("connected", &state.connected)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
