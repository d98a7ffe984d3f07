//! The bus against a real NATS server.

mod cluster;
mod faults;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_model::{BoxFuture, Bus, BusEvent, Channel, Feed, Published};
use hotshelf_testkit::conformance::{self, BusSubject};
use hotshelf_testkit::{NatsServer, TcpProxy, wait_until_async};

use crate::{NatsBus, NatsSettings};

/// What a busy machine certainly manages.
const LIMIT: Duration = Duration::from_secs(30);

/// Deadlines that a busy machine keeps, and short waits between attempts.
fn settings(url: String) -> NatsSettings {
    NatsSettings {
        urls: vec![url],
        connect_timeout: Duration::from_secs(5),
        ping_interval: Duration::from_millis(200),
        reconnect_min: Duration::from_millis(5),
        reconnect_max: Duration::from_millis(50),
        stream_check_interval: Duration::from_millis(50),
        inbox_bytes_max: 1 << 20,
        ..NatsSettings::default()
    }
}

fn connect(settings: NatsSettings) -> Arc<NatsBus> {
    NatsBus::connect(settings, 7).unwrap()
}

/// A bus that is connected, and has said so.
async fn connected(settings: NatsSettings) -> Arc<NatsBus> {
    let bus = connect(settings);
    assert_eq!(event(&bus).await, BusEvent::Connected);
    bus
}

async fn event(bus: &NatsBus) -> BusEvent {
    let next = tokio::time::timeout(LIMIT, bus.next(Feed::Changes)).await;
    next.expect("something comes from the bus")
}

fn row(text: &str) -> BusEvent {
    BusEvent::Message(Channel::Log, Bytes::copy_from_slice(text.as_bytes()))
}

fn publish(bus: &NatsBus, text: &str) -> Published {
    bus.publish(Channel::Log, Bytes::copy_from_slice(text.as_bytes()))
}

/// Publishes a row and waits until it is back, so that the server has it.
async fn published(bus: &NatsBus, text: &str) {
    assert_eq!(publish(bus, text), Published::Sent);
    assert_eq!(event(bus).await, row(text));
}

struct Subject {
    server: NatsServer,
}

impl BusSubject for Subject {
    fn join(&self) -> BoxFuture<'_, Arc<dyn Bus>> {
        let bus = connect(settings(self.server.url()));
        Box::pin(std::future::ready(bus as Arc<dyn Bus>))
    }

    fn can_go_away(&self) -> bool {
        true
    }

    fn take_away(&self) {
        self.server.kill();
    }

    fn bring_back(&self) {
        self.server.restart().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_of_a_bus() {
    let server = NatsServer::start().unwrap();
    conformance::bus(&Subject { server }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn user_and_password_are_taken_from_the_url() {
    let server = NatsServer::start_with(&["--user", "shop", "--pass", "s3cret/@"]).unwrap();
    let url = format!("nats://shop:s3cret%2F%40@127.0.0.1:{}", server.port());
    let bus = connected(settings(url)).await;
    published(&bus, "a row").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shops_with_different_prefixes_do_not_hear_each_other() {
    let server = NatsServer::start().unwrap();
    let shop = |prefix: &str| NatsSettings {
        prefix: prefix.to_owned(),
        stream: prefix.to_owned(),
        ..settings(server.url())
    };
    let (one, other) = (connected(shop("one")).await, connected(shop("other")).await);
    published(&one, "of one").await;
    published(&other, "of the other").await;
}

#[tokio::test]
async fn bad_settings_are_said_before_anything_is_started() {
    let bad = NatsSettings {
        urls: Vec::new(),
        replicas: 0,
        ..NatsSettings::default()
    };
    let problems = NatsBus::connect(bad, 7).unwrap_err();
    let fields: Vec<_> = problems.iter().map(|problem| &*problem.field).collect();
    assert_eq!(fields, ["urls", "replicas"]);
}
