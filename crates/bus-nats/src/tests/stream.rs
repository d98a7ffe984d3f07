//! The stream that keeps rows: read by who was away, and missed by nobody when it is gone.

use super::*;

const STREAM: &str = "hotshelf";

/// A node that can be cut off, and one that cannot.
async fn two(server: &NatsServer) -> (TcpProxy, Arc<NatsBus>, Arc<NatsBus>) {
    let proxy = TcpProxy::start(server.port()).unwrap();
    let url = format!("nats://127.0.0.1:{}", proxy.port());
    let away = connected(settings(url)).await;
    (proxy, away, connected(settings(server.url())).await)
}

/// A number in what the server says of the stream; `None` while there is no stream.
fn number(server: &NatsServer, name: &str) -> Option<u64> {
    number_in(&server.stream_info(STREAM).ok()?, name)
}

pub(super) fn number_in(info: &str, name: &str) -> Option<u64> {
    let (_, rest) = info.split_once(&format!("\"{name}\":"))?;
    let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
    digits.parse().ok()
}

async fn kept(server: &NatsServer, rows: u64) {
    wait_until_async("the stream has the rows", LIMIT, async || {
        number(server, "messages") == Some(rows)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_gets_what_it_missed_before_it_is_told_that_it_is_back() {
    let server = NatsServer::start().unwrap();
    let (proxy, away, there) = two(&server).await;
    published(&there, "before").await;
    assert_eq!(event(&away).await, row("before"));
    proxy.cut();
    assert_eq!(event(&away).await, BusEvent::Disconnected);
    for number in 0..600 {
        published(&there, &format!("row {number}")).await;
    }
    let hint = Bytes::from_static(b"a hint is not kept");
    there.publish(Channel::Hint, hint.clone());
    assert_eq!(event(&there).await, BusEvent::Message(Channel::Hint, hint));
    kept(&server, 601).await;
    proxy.heal();
    let mut rows = Vec::new();
    loop {
        match event(&away).await {
            BusEvent::Connected => break,
            event => rows.push(event),
        }
    }
    let missed: Vec<_> = (0..600)
        .map(|number| row(&format!("row {number}")))
        .collect();
    // The last look at the stream may have come before the last row that arrived.
    let known = usize::from(rows.first() == Some(&row("before")));
    assert_eq!(rows[known..], missed);
    published(&there, "after").await;
    assert_eq!(event(&away).await, row("after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_survive_the_server_and_the_stream_goes_on() {
    let server = NatsServer::start().unwrap();
    let bus = connected(settings(server.url())).await;
    published(&bus, "before").await;
    kept(&server, 1).await;
    server.kill();
    assert_eq!(event(&bus).await, BusEvent::Disconnected);
    server.restart().unwrap();
    // A server that was killed may have kept less than it said.
    while event(&bus).await != BusEvent::Connected {}
    let last = || number(&server, "last_seq");
    let before = last().expect("the stream is there when the bus is connected");
    published(&bus, "after").await;
    wait_until_async("the stream has the row", LIMIT, async || {
        last() == Some(before + 1)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_purged_makes_no_difference_to_who_is_there() {
    let server = NatsServer::start().unwrap();
    let (proxy, away, there) = two(&server).await;
    published(&there, "before").await;
    assert_eq!(event(&away).await, row("before"));
    proxy.cut();
    assert_eq!(event(&away).await, BusEvent::Disconnected);
    published(&there, "purged").await;
    kept(&server, 2).await;
    server.purge_stream(STREAM).unwrap();
    published(&there, "kept").await;
    kept(&server, 1).await;
    proxy.heal();
    assert_eq!(event(&away).await, row("kept"));
    assert_eq!(event(&away).await, BusEvent::Connected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_deleted_is_made_again_and_its_numbers_mean_nothing() {
    let server = NatsServer::start().unwrap();
    let (proxy, away, there) = two(&server).await;
    for text in ["one", "two", "three"] {
        published(&there, text).await;
        assert_eq!(event(&away).await, row(text));
    }
    proxy.cut();
    assert_eq!(event(&away).await, BusEvent::Disconnected);
    server.delete_stream(STREAM).unwrap();
    published(&there, "heard without a stream").await;
    wait_until_async("the stream is there again", LIMIT, async || {
        number(&server, "last_seq").is_some()
    })
    .await;
    for text in ["four", "five", "six", "seven"] {
        published(&there, text).await;
    }
    proxy.heal();
    // The new stream's rows are not taken for the end of the old one's.
    assert_eq!(event(&away).await, BusEvent::Connected);
    published(&there, "after").await;
    assert_eq!(event(&away).await, row("after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_jetstream_carries_rows_all_the_same() {
    let server = NatsServer::start_without_jetstream().unwrap();
    let (one, other) = (
        connected(settings(server.url())).await,
        connected(settings(server.url())).await,
    );
    published(&one, "a row").await;
    assert_eq!(event(&other).await, row("a row"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_another_shop_is_left_alone() {
    let server = NatsServer::start().unwrap();
    let ours = connected(settings(server.url())).await;
    let theirs = connected(NatsSettings {
        prefix: "other".to_owned(),
        ..settings(server.url())
    })
    .await;
    published(&theirs, "not kept").await;
    published(&ours, "kept").await;
    kept(&server, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_stream_is_bounded_as_configured() {
    let server = NatsServer::start().unwrap();
    let small = NatsSettings {
        stream_bytes_max: 1 << 20,
        stream_age_max: Duration::from_secs(60),
        ..settings(server.url())
    };
    let bus = connected(small).await;
    published(&bus, "a row").await;
    assert_eq!(number(&server, "max_bytes"), Some(1 << 20));
    assert_eq!(number(&server, "max_age"), Some(60_000_000_000));
    assert!(
        server
            .stream_info(STREAM)
            .unwrap()
            .contains("\"storage\":\"file\"")
    );
}
