//! What the engine relies on in every bus.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_model::message::MESSAGE_BYTES_MAX;
use hotshelf_model::{BoxFuture, Bus, BusEvent, Channel, Feed, Published};

/// What a busy machine certainly manages.
const LIMIT: Duration = Duration::from_secs(30);
/// With [`LARGE_BYTES`] each, more than any inbox in a test holds.
const FLOOD: usize = 64;
const LARGE_BYTES: usize = 64 * 1024;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// A bus under test, and what it runs on.
pub trait BusSubject {
    /// A handle such as another node has. Its inbox holds a message of [`MESSAGE_BYTES_MAX`], and less than 3 MiB.
    fn join(&self) -> BoxFuture<'_, Arc<dyn Bus>>;

    /// Whether what it runs on can go away.
    fn can_go_away(&self) -> bool;

    /// Takes away what it runs on.
    fn take_away(&self);

    /// Brings it back.
    fn bring_back(&self);
}

/// Runs the suite.
///
/// # Panics
/// When the bus does not keep the contract of [`Bus`].
pub async fn bus(subject: &dyn BusSubject) {
    every_node_hears_every_node(subject).await;
    messages_of_any_size_arrive_as_they_are(subject).await;
    who_stops_waiting_loses_nothing(subject).await;
    a_node_that_takes_nothing_is_told_and_holds_nobody_up(subject).await;
    a_node_that_leaves_is_not_missed(subject).await;
    a_flood_on_the_hot_feed_displaces_no_row(subject).await;
    frames_are_heard_by_who_wants_them(subject).await;
    if subject.can_go_away() {
        an_outage_ends_without_help(subject).await;
    }
}

/// The next event.
#[expect(clippy::panic, reason = "a suite fails by panicking")]
async fn event(bus: &dyn Bus, feed: Feed) -> BusEvent {
    match tokio::time::timeout(LIMIT, bus.next(feed)).await {
        Ok(event) => event,
        Err(_) => panic!("nothing came from the bus within {LIMIT:?}"),
    }
}

async fn expect(bus: &dyn Bus, channel: Channel, payload: &Bytes) {
    let mut got = event(bus, channel.feed()).await;
    while is_probe(&got) {
        got = event(bus, channel.feed()).await;
    }
    let same = matches!(&got, BusEvent::Message(on, bytes) if *on == channel && bytes == payload);
    assert!(
        same,
        "every message arrives once, unchanged and in order: {:?} instead of {} bytes on {channel:?}",
        short(&got),
        payload.len()
    );
}

/// What [`hear`] publishes until it is heard.
const PROBE: &[u8] = b"is this heard?";

fn is_probe(event: &BusEvent) -> bool {
    matches!(event, BusEvent::Message(_, payload) if payload == PROBE)
}

/// Lets a node hear a channel, and waits until it does.
#[expect(clippy::panic, reason = "a suite fails by panicking")]
async fn hear(bus: &dyn Bus, channel: Channel) {
    bus.hear(channel, true);
    for _ in 0..LIMIT.as_millis() / PAUSE.as_millis() {
        publish(bus, channel, &Bytes::from_static(PROBE));
        let next = tokio::time::timeout(PAUSE, bus.next(Feed::Hot)).await;
        if let Ok(BusEvent::Message(on, _)) = next
            && on == channel
        {
            return;
        }
    }
    panic!("a channel that a node wants to hear is heard soon: {channel:?}");
}

async fn hear_all(bus: &dyn Bus) {
    hear(bus, Channel::Hot).await;
    hear(bus, Channel::Frames).await;
}

/// An event without a long payload.
fn short(event: &BusEvent) -> String {
    match event {
        BusEvent::Message(channel, payload) => {
            format!("{} bytes on {channel:?}", payload.len())
        }
        other => format!("{other:?}"),
    }
}

fn publish(bus: &dyn Bus, channel: Channel, payload: &Bytes) {
    let outcome = bus.publish(channel, payload.clone());
    assert_eq!(outcome, Published::Sent, "a connected bus takes a message");
}

async fn node(subject: &dyn BusSubject) -> Arc<dyn Bus> {
    let bus = subject.join().await;
    for feed in Feed::ALL {
        let first = event(&*bus, feed).await;
        assert_eq!(
            first,
            BusEvent::Connected,
            "a node is first told that it is connected"
        );
    }
    assert!(bus.is_connected(), "a bus that said so is connected");
    assert!(!bus.name().is_empty(), "a bus has a name");
    bus
}

async fn every_node_hears_every_node(subject: &dyn BusSubject) {
    let nodes = [
        node(subject).await,
        node(subject).await,
        node(subject).await,
    ];
    for node in &nodes {
        hear_all(&**node).await;
    }
    for (place, from) in nodes.iter().enumerate() {
        for channel in Channel::ALL {
            for number in 0..3 {
                let payload = Bytes::from(format!("{number} of {place} on {channel:?}"));
                publish(&**from, channel, &payload);
                for to in &nodes {
                    expect(&**to, channel, &payload).await;
                }
            }
        }
    }
    let many: Vec<Bytes> = (0..200)
        .map(|number| Bytes::from(format!("row {number}")))
        .collect();
    for payload in &many {
        publish(&*nodes[0], Channel::Log, payload);
    }
    for node in &nodes {
        for payload in &many {
            expect(&**node, Channel::Log, payload).await;
        }
    }
}

async fn messages_of_any_size_arrive_as_they_are(subject: &dyn BusSubject) {
    let (from, to) = (node(subject).await, node(subject).await);
    hear_all(&*from).await;
    hear_all(&*to).await;
    for size in [0, 1, 4096, MESSAGE_BYTES_MAX] {
        let payload: Bytes = (0..=u8::MAX).cycle().take(size).collect();
        for channel in Channel::ALL {
            publish(&*from, channel, &payload);
            expect(&*to, channel, &payload).await;
            expect(&*from, channel, &payload).await;
        }
    }
}

async fn who_stops_waiting_loses_nothing(subject: &dyn BusSubject) {
    let node = node(subject).await;
    let payload = Bytes::from_static(b"a row");
    for _ in 0..20 {
        let waiting = tokio::time::timeout(Duration::ZERO, node.next(Feed::Changes));
        assert!(waiting.await.is_err(), "nothing was published yet");
        publish(&*node, Channel::Log, &payload);
        expect(&*node, Channel::Log, &payload).await;
    }
}

/// Each message is awaited by the one that listens, so nothing is lost but in the inbox of the one that does not.
async fn a_node_that_takes_nothing_is_told_and_holds_nobody_up(subject: &dyn BusSubject) {
    let (idle, busy) = (node(subject).await, node(subject).await);
    for number in 0..FLOOD {
        let mut payload = vec![b'x'; LARGE_BYTES];
        payload[0] = u8::try_from(number).unwrap_or_default();
        let payload = Bytes::from(payload);
        publish(&*busy, Channel::Log, &payload);
        expect(&*busy, Channel::Log, &payload).await;
    }
    let mut taken = 0;
    while event(&*idle, Feed::Changes).await != BusEvent::Lagged {
        taken += 1;
        assert!(
            taken < FLOOD,
            "what waits for a node is bounded, and it is told what it missed"
        );
    }
}

async fn a_node_that_leaves_is_not_missed(subject: &dyn BusSubject) {
    let (stays, leaves) = (node(subject).await, node(subject).await);
    let payload = Bytes::from_static(b"a hint");
    publish(&*leaves, Channel::Hint, &payload);
    expect(&*leaves, Channel::Hint, &payload).await;
    expect(&*stays, Channel::Hint, &payload).await;
    drop(leaves);
    publish(&*stays, Channel::Hint, &payload);
    expect(&*stays, Channel::Hint, &payload).await;
}

async fn a_flood_on_the_hot_feed_displaces_no_row(subject: &dyn BusSubject) {
    let (idle, busy) = (node(subject).await, node(subject).await);
    hear_all(&*idle).await;
    hear_all(&*busy).await;
    let large = Bytes::from(vec![b'x'; LARGE_BYTES]);
    for _ in 0..FLOOD {
        publish(&*busy, Channel::Frames, &large);
        expect(&*busy, Channel::Frames, &large).await;
    }
    let row = Bytes::from_static(b"a row");
    publish(&*busy, Channel::Log, &row);
    expect(&*idle, Channel::Log, &row).await;
    let mut taken = 0;
    while event(&*idle, Feed::Hot).await != BusEvent::Lagged {
        taken += 1;
        assert!(
            taken < 2 * FLOOD,
            "each feed is bounded, and a node is told what it missed"
        );
    }
}

async fn frames_are_heard_by_who_wants_them(subject: &dyn BusSubject) {
    let (detects, reads) = (node(subject).await, node(subject).await);
    hear_all(&*detects).await;
    hear(&*reads, Channel::Hot).await;
    let (frame, decision) = (Bytes::from_static(b"frame"), Bytes::from_static(b"hot"));
    for _ in 0..20 {
        publish(&*reads, Channel::Frames, &frame);
        expect(&*detects, Channel::Frames, &frame).await;
        publish(&*detects, Channel::Hot, &decision);
        expect(&*detects, Channel::Hot, &decision).await;
        expect(&*reads, Channel::Hot, &decision).await;
    }
    detects.hear(Channel::Frames, false);
    for _ in 0..LIMIT.as_millis() / PAUSE.as_millis() {
        publish(&*reads, Channel::Frames, &frame);
        let next = tokio::time::timeout(PAUSE, detects.next(Feed::Hot)).await;
        if next.is_err() {
            return;
        }
    }
    let goes_on = tokio::time::timeout(PAUSE, detects.next(Feed::Hot)).await;
    assert!(
        goes_on.is_err(),
        "who no longer wants to hear frames hears none"
    );
}

async fn an_outage_ends_without_help(subject: &dyn BusSubject) {
    let (from, to) = (node(subject).await, node(subject).await);
    hear_all(&*from).await;
    hear_all(&*to).await;
    subject.take_away();
    for bus in [&from, &to] {
        expect_of_connection(&**bus, &BusEvent::Disconnected).await;
        assert!(!bus.is_connected(), "a bus that said so is not connected");
        for channel in Channel::ALL {
            let outcome = bus.publish(channel, Bytes::from_static(b"lost"));
            assert_eq!(outcome, Published::Dropped, "an outage makes nobody wait");
        }
    }
    subject.bring_back();
    for bus in [&from, &to] {
        expect_of_connection(&**bus, &BusEvent::Connected).await;
    }
    for channel in Channel::ALL {
        let payload = Bytes::from(format!("after the outage on {channel:?}"));
        publish(&*from, channel, &payload);
        expect(&*from, channel, &payload).await;
        expect(&*to, channel, &payload).await;
    }
}

/// A node is told of its outages, and of their end.
async fn expect_of_connection(bus: &dyn Bus, expected: &BusEvent) {
    for feed in Feed::ALL {
        let mut next = event(bus, feed).await;
        while is_probe(&next) {
            next = event(bus, feed).await;
        }
        assert_eq!(next, *expected, "each feed tells of the connection");
    }
}

#[cfg(test)]
mod tests;
