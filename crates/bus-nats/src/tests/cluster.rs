//! A cluster of three servers, of which one dies.

use hotshelf_testkit::NatsCluster;

use super::*;

const STREAM: &str = "hotshelf";

/// A way to each server, which can be cut.
fn proxies(cluster: &NatsCluster) -> Vec<TcpProxy> {
    let servers = cluster.servers().iter();
    let proxies = servers.map(|server| TcpProxy::start(server.port()).unwrap());
    proxies.collect()
}

fn through(proxies: &[TcpProxy]) -> NatsSettings {
    let url = |proxy: &TcpProxy| format!("nats://127.0.0.1:{}", proxy.port());
    NatsSettings {
        urls: proxies.iter().map(url).collect(),
        replicas: 3,
        ..settings(String::new())
    }
}

/// A node on a server that it cannot choose.
async fn on(at: usize, proxies: &[TcpProxy]) -> Arc<NatsBus> {
    let others = || proxies.iter().enumerate().filter(|(other, _)| *other != at);
    others().for_each(|(_, proxy)| proxy.cut());
    let bus = connected(through(proxies)).await;
    others().for_each(|(_, proxy)| proxy.heal());
    bus
}

/// Publishes until the other has heard it: servers tell each other of subscriptions a moment after a node is connected.
async fn hears(from: &NatsBus, to: &NatsBus, channel: Channel, text: &'static str) {
    let message = || Bytes::from_static(text.as_bytes());
    let heard =
        async { while to.next(Feed::Changes).await != BusEvent::Message(channel, message()) {} };
    let told = async {
        loop {
            from.publish(channel, message());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, async {
        tokio::select! {
            () = heard => {}
            () = told => {}
        }
    })
    .await
    .expect("the message is heard");
}

async fn until_connected_again(bus: &NatsBus) {
    while event(bus).await != BusEvent::Disconnected {}
    while event(bus).await != BusEvent::Connected {}
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_hints_go_on_when_a_node_s_server_dies() {
    let cluster = NatsCluster::start().unwrap();
    let ways: Vec<_> = (0..3).map(|_| proxies(&cluster)).collect();
    let mut nodes = Vec::new();
    for (at, proxies) in ways.iter().enumerate() {
        nodes.push(on(at, proxies).await);
    }
    let [hit, second, third] = &nodes[..] else {
        panic!("there are three nodes");
    };
    hears(second, hit, Channel::Log, "a row before").await;
    cluster.servers()[0].kill();
    until_connected_again(hit).await;
    for other in [second, third] {
        hears(other, hit, Channel::Log, "a row for it").await;
        hears(other, hit, Channel::Hint, "a hint for it").await;
        hears(hit, other, Channel::Log, "a row of it").await;
        hears(hit, other, Channel::Hint, "a hint of it").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_takes_rows_again_when_its_leader_has_died() {
    let cluster = NatsCluster::start().unwrap();
    let proxies = proxies(&cluster);
    let node = connected(through(&proxies)).await;
    let mut leader = None;
    wait_until_async("the stream has a leader", LIMIT, async || {
        leader = cluster.leader_of(STREAM, 0);
        leader.is_some()
    })
    .await;
    let leader = leader.unwrap();
    let asked = (leader + 1) % 3;
    let kept = || {
        let info = cluster.stream_info(STREAM, asked);
        info.and_then(|info| stream::number_in(&info, "messages"))
    };
    wait_until_async("the stream takes a row", LIMIT, async || {
        publish(&node, "a row");
        kept() > Some(0)
    })
    .await;
    let info = cluster.stream_info(STREAM, asked).unwrap();
    assert_eq!(stream::number_in(&info, "num_replicas"), Some(3));
    cluster.servers()[leader].kill();
    let mut before = None;
    wait_until_async("the stream has another leader", LIMIT, async || {
        before = kept();
        before.is_some() && cluster.leader_of(STREAM, asked) != Some(leader)
    })
    .await;
    assert!(before > Some(0), "what was kept is kept");
    wait_until_async("the stream takes rows again", LIMIT, async || {
        publish(&node, "another row");
        kept() > before
    })
    .await;
}
