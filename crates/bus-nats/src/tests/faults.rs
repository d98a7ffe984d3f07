//! NATS down, hung, killed, far away, unwilling: nobody waits, and it comes back without help.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;

use tokio::task::spawn_blocking;

use super::*;

/// In form; a server that asks for none takes any.
const CREDENTIALS: &str = "\
-----BEGIN NATS USER JWT-----
eyJ0eXAiOiJKV1QifQ.e30.AA
------END NATS USER JWT------
-----BEGIN USER NKEY SEED-----
SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY
------END USER NKEY SEED------
";

/// Through a line that can be cut.
fn behind(server: &NatsServer) -> (TcpProxy, NatsSettings) {
    let proxy = TcpProxy::start(server.port()).unwrap();
    let settings = settings(format!("nats://127.0.0.1:{}", proxy.port()));
    (proxy, settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_starts_without_nats_and_connects_when_it_is_there() {
    let server = NatsServer::start().unwrap();
    server.kill();
    let bus = connect(settings(server.url()));
    assert_eq!(publish(&bus, "nobody there"), Published::Dropped);
    assert!(!bus.is_connected());
    server.restart().unwrap();
    assert_eq!(event(&bus).await, BusEvent::Connected);
    published(&bus, "a row").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_finds_the_server_that_is_up() {
    let (down, up) = (NatsServer::start().unwrap(), NatsServer::start().unwrap());
    down.kill();
    let bus = connected(NatsSettings {
        urls: vec![down.url(), up.url()],
        ..settings(String::new())
    })
    .await;
    published(&bus, "a row").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_server_is_noticed_and_left_until_it_answers() {
    let server = NatsServer::start().unwrap();
    let hasty = NatsSettings {
        connect_timeout: Duration::from_millis(300),
        ..settings(server.url())
    };
    let bus = connected(hasty).await;
    server.pause();
    assert_eq!(event(&bus).await, BusEvent::Disconnected);
    assert_eq!(publish(&bus, "nobody answers"), Published::Dropped);
    server.resume();
    assert_eq!(event(&bus).await, BusEvent::Connected);
    published(&bus, "a row").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_goes_silent_is_noticed() {
    let server = NatsServer::start().unwrap();
    let (proxy, settings) = behind(&server);
    let bus = connected(NatsSettings {
        connect_timeout: Duration::from_millis(300),
        ..settings
    })
    .await;
    proxy.stall();
    assert_eq!(event(&bus).await, BusEvent::Disconnected);
    proxy.heal();
    assert_eq!(event(&bus).await, BusEvent::Connected);
    published(&bus, "a row").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_line_delays_and_breaks_nothing() {
    let server = NatsServer::start().unwrap();
    let (proxy, settings) = behind(&server);
    let bus = connected(settings).await;
    proxy.delay(Duration::from_millis(300));
    for number in 0..5 {
        published(&bus, &format!("row {number}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_to_be_sent_is_bounded_and_what_is_too_large_is_refused() {
    let server = NatsServer::start().unwrap();
    let bus = connected(NatsSettings {
        queue_bytes_max: 1 << 20,
        ping_interval: Duration::from_secs(60),
        ..settings(server.url())
    })
    .await;
    let larger_than_the_server_takes = Bytes::from(vec![0; (1 << 20) + 1]);
    let outcome = bus.publish(Channel::Hint, larger_than_the_server_takes);
    assert_eq!(outcome, Published::TooLarge);
    server.pause();
    let large = Bytes::from(vec![0; 100_000]);
    // The sockets' buffers take some megabytes first.
    let flood = (0..1000).map(|_| bus.publish(Channel::Log, large.clone()));
    let dropped = flood.filter(|&outcome| outcome == Published::Dropped);
    assert!(dropped.count() > 100);
    server.resume();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_is_refused_goes_on_trying() {
    let server = NatsServer::start_with(&["--user", "shop", "--pass", "right"]).unwrap();
    let bus = connect(settings(format!(
        "nats://shop:wrong@127.0.0.1:{}",
        server.port()
    )));
    wait_until_async("it has been refused twice", LIMIT, async || {
        server.log().matches("authentication error").count() >= 2
    })
    .await;
    assert!(!bus.is_connected());
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_cannot_be_read_are_no_reason_to_end() {
    let server = NatsServer::start().unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let (file, good) = (folder.path().join("node.creds"), folder.path().join("good"));
    std::fs::write(&good, CREDENTIALS).unwrap();
    // A pipe is opened for writing when somebody opens it for reading: so the first attempt is met for certain.
    assert!(
        Command::new("mkfifo")
            .arg(&file)
            .status()
            .unwrap()
            .success()
    );
    let bus = connect(NatsSettings {
        credentials: Some(file.clone()),
        ..settings(server.url())
    });
    let pipe = file.clone();
    let opening = spawn_blocking(move || OpenOptions::new().write(true).open(pipe));
    let mut pipe = opening.await.unwrap().unwrap();
    std::fs::rename(&good, &file).unwrap();
    assert!(!bus.is_connected());
    pipe.write_all(b"nothing that lets anybody in").unwrap();
    drop(pipe);
    assert_eq!(event(&bus).await, BusEvent::Connected);
}

/// Tasks of the client library included.
async fn no_task_is_left(before: usize) {
    let runtime = tokio::runtime::Handle::current();
    wait_until_async("every task has ended", LIMIT, async || {
        runtime.metrics().num_alive_tasks() <= before
    })
    .await;
}

#[tokio::test]
async fn a_bus_that_is_dropped_leaves_no_task() {
    let before = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    let server = NatsServer::start().unwrap();
    let bus = connected(settings(server.url())).await;
    published(&bus, "a row").await;
    drop(bus);
    no_task_is_left(before).await;

    let bus = connected(settings(server.url())).await;
    server.kill();
    assert_eq!(event(&bus).await, BusEvent::Disconnected);
    drop(bus);
    no_task_is_left(before).await;

    let never_connected = connect(settings(server.url()));
    tokio::task::yield_now().await;
    drop(never_connected);
    no_task_is_left(before).await;
}
