//! What is put comes out in order, what does not fit is told, and nothing grows without bound.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake};

use super::*;

const ROOM: usize = 1000;

fn payload(bytes: usize) -> Bytes {
    vec![b'x'; bytes].into()
}

fn message(bytes: usize) -> BusEvent {
    BusEvent::Message(Channel::Log, payload(bytes))
}

fn put(mailbox: &Mailbox, bytes: usize) -> bool {
    mailbox.put(Channel::Log, payload(bytes))
}

fn all(mailbox: &Mailbox) -> Vec<BusEvent> {
    std::iter::from_fn(|| mailbox.try_next()).collect()
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn events_come_in_the_order_in_which_they_were_put() {
    let mailbox = Mailbox::new(ROOM);
    mailbox.set_connected(true);
    assert!(put(&mailbox, 1) && mailbox.put(Channel::Hint, payload(2)));
    mailbox.lag();
    mailbox.set_connected(false);
    assert!(!mailbox.is_connected());
    let expected = [
        BusEvent::Connected,
        message(1),
        BusEvent::Message(Channel::Hint, payload(2)),
        BusEvent::Lagged,
        BusEvent::Disconnected,
    ];
    assert_eq!(all(&mailbox), expected);
}

#[test]
fn what_does_not_fit_leaves_one_lagged_in_its_place() {
    let mailbox = Mailbox::new(ROOM);
    assert!(put(&mailbox, 500));
    for _ in 0..3 {
        assert!(!put(&mailbox, 500));
    }
    assert!(put(&mailbox, 100), "a smaller one still fits");
    assert_eq!(
        all(&mailbox),
        [message(500), BusEvent::Lagged, message(100)]
    );
    assert!(put(&mailbox, ROOM - EVENT_BYTES), "the room is free again");
    assert!(!put(&mailbox, 0), "an empty message takes room, too");
}

#[test]
fn a_connection_that_flaps_while_nobody_looks_takes_no_room() {
    let mailbox = Mailbox::new(ROOM);
    mailbox.set_connected(true);
    assert_eq!(all(&mailbox), [BusEvent::Connected]);
    for _ in 0..1000 {
        mailbox.set_connected(false);
        mailbox.set_connected(false);
        mailbox.set_connected(true);
    }
    let blink = [BusEvent::Disconnected, BusEvent::Connected];
    assert_eq!(all(&mailbox), blink);
    mailbox.set_connected(true);
    assert_eq!(all(&mailbox), []);
}

#[test]
fn flapping_and_lagging_in_turn_stays_bounded() {
    let mailbox = Mailbox::new(ROOM);
    for _ in 0..1000 {
        mailbox.set_connected(true);
        mailbox.lag();
        mailbox.set_connected(false);
        mailbox.lag();
    }
    let events = all(&mailbox);
    assert!(events.len() <= 5, "{events:?}");
    assert_eq!(
        events.iter().rfind(|event| **event != BusEvent::Lagged),
        Some(&BusEvent::Disconnected),
        "the last word on the connection is right"
    );
}

#[test]
fn who_waits_is_woken_and_may_go_away() {
    let mailbox = Mailbox::new(ROOM);
    let wakes = Arc::new(Wakes::default());
    let waker = wakes.clone().into();
    let mut context = Context::from_waker(&waker);
    assert!(pin!(mailbox.next()).poll(&mut context).is_pending());
    let mut next = pin!(mailbox.next());
    assert!(next.as_mut().poll(&mut context).is_pending());
    put(&mailbox, 1);
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert_eq!(next.poll(&mut context), Poll::Ready(message(1)));
}
