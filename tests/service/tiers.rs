//! The tiers beside L1: what one node fetched serves another through Redis, and itself again from its disk.

use std::sync::Barrier;
use std::time::Duration;

use hotshelf_testkit::{RedisCluster, RedisServer, TcpProxy, wait_until};
use hotshelf_tests::{Node, Reply, Shop, load};

use crate::parts::{L3, NO_L3, SOON, l2, start_with_l2, stored, title, wait_stored};

const CALLERS: usize = 200;

#[test]
fn what_one_node_fetched_the_other_finds_in_redis() {
    let shop = Shop::postgres();
    let redis = RedisServer::start().unwrap();
    let toml = shop.toml() + NO_L3 + &l2(&redis);
    let (one, two) = (start_with_l2(&toml), start_with_l2(&toml));
    let (puts, asked) = (stored(&one, "l2"), two.origin_documents());

    let fetched = one.product("sku-0001").expect(200);
    assert_eq!(fetched.tier(), "origin");
    wait_stored(&one, "l2", puts + 1.0);
    let found = two.product("sku-0001").expect(200);
    assert_eq!(found.tier(), "l2", "{found}");
    assert!(
        found
            .must("cache-status")
            .starts_with("hotshelf; hit; ttl="),
        "{found}"
    );
    assert!(
        found.ttl().is_some_and(|ttl| (0..=3600).contains(&ttl)),
        "{found}"
    );
    for same in [
        "etag",
        "hotshelf-version",
        "vary",
        "cache-control",
        "content-type",
    ] {
        assert_eq!(found.header(same), fetched.header(same), "{same}");
    }
    assert_eq!(found.body, fetched.body);
    let age: u64 = found.must("age").parse().unwrap();
    assert!(age <= 2, "{found}");
    assert_eq!(two.product("sku-0001").tier(), "l1");

    one.product("none").expect(404);
    wait_stored(&one, "l2", puts + 2.0);
    let absent = two.product("none").expect(404);
    assert_eq!(absent.tier(), "l2");
    assert_eq!(two.origin_documents(), asked);

    let ids: Vec<&str> = shop.ids()[10..60].iter().map(String::as_str).collect();
    let path = format!("/v1/products?ids={}", ids.join(","));
    one.get(&path).expect(200);
    wait_stored(&one, "l2", puts + 52.0);
    let batch = two.get(&path).expect(200).json();
    let results = batch["results"].as_array().unwrap();
    assert!(
        results.iter().all(|result| result["tier"] == "l2"),
        "{batch}"
    );
    assert_eq!(two.origin_documents(), asked);
}

#[test]
fn an_old_copy_in_redis_is_not_served_after_a_change() {
    let shop = Shop::postgres();
    let redis = RedisServer::start().unwrap();
    let toml = shop.toml() + NO_L3 + &l2(&redis);
    let (one, two) = (start_with_l2(&toml), start_with_l2(&toml));
    let puts = stored(&one, "l2");
    for id in ["sku-0001", "sku-0002"] {
        one.product(id).expect(200);
    }
    wait_stored(&one, "l2", puts + 2.0);
    shop.rename("sku-0001", "Newer");
    wait_until("the first node sees the change", SOON, || {
        title(&one.product("sku-0001")) == "Newer"
    });
    wait_until("the second node sees the change", SOON, || {
        title(&two.product("sku-0001")) == "Newer"
    });
    let position = |node: &Node| node.metric("hotshelf_change_log_position", &[]);
    wait_until("the second node has polled since", SOON, || {
        position(&two) >= position(&one)
    });
    let unchanged = two.product("sku-0002").expect(200);
    assert_eq!(
        unchanged.tier(),
        "l2",
        "a copy from before another product's change is kept: {unchanged}"
    );
    let same = [("outcome", "same")];
    assert_eq!(
        two.metric("hotshelf_revalidations_total", &same),
        0.0,
        "and costs no version check"
    );
}

#[test]
fn a_restarted_node_answers_from_its_disk() {
    let shop = Shop::sqlite();
    let node = Node::start(&(shop.toml() + L3));
    let ids = &shop.ids()[..20];
    let before: Vec<Reply> = ids.iter().map(|id| node.product(id).expect(200)).collect();
    wait_stored(&node, "l3", 20.0);
    let stopped = node.stop();
    assert!(stopped.status.success(), "{stopped:?}");

    node.restart();
    for (id, before) in ids.iter().zip(&before) {
        let warm = node.product(id).expect(200);
        assert_eq!(warm.tier(), "l3", "{warm}");
        assert!(warm.ttl().is_some_and(|ttl| ttl >= 0), "{warm}");
        assert_eq!(warm.body, before.body);
        assert_eq!(warm.must("etag"), before.must("etag"));
        assert!(!warm.is_stale());
        assert_eq!(node.product(id).tier(), "l1");
    }
    assert_eq!(node.origin_documents(), 0.0);
}

#[test]
fn a_change_made_while_the_node_was_down_is_not_hidden_by_its_disk() {
    let shop = Shop::sqlite();
    let node = Node::start(&(shop.toml() + L3));
    for id in ["sku-0001", "sku-0002"] {
        node.product(id).expect(200);
    }
    wait_stored(&node, "l3", 2.0);
    node.stop();
    shop.rename("sku-0001", "Changed meanwhile");
    node.restart();
    assert_eq!(
        title(&node.product("sku-0001").expect(200)),
        "Changed meanwhile"
    );
    assert_eq!(node.product("sku-0002").expect(200).tier(), "l3");
    assert_eq!(node.origin_documents(), 1.0);
}

#[test]
fn a_cold_stampede_on_two_nodes_asks_the_origin_once() {
    let shop = Shop::postgres();
    let redis = RedisServer::start().unwrap();
    let proxy = TcpProxy::start(shop.server().port()).unwrap();
    let toml = shop.toml_at(proxy.port()) + NO_L3 + &l2(&redis);
    let nodes = [start_with_l2(&toml), start_with_l2(&toml)];
    for node in &nodes {
        node.product("sku-0100").expect(200);
    }
    let documents = || -> f64 { nodes.iter().map(Node::origin_documents).sum() };
    let before = documents();
    proxy.delay(Duration::from_millis(150));

    let barrier = Barrier::new(CALLERS);
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let call = |number: usize| {
            let (node, barrier) = (&nodes[number % 2], &barrier);
            scope.spawn(move || {
                barrier.wait();
                node.product("sku-0042")
            })
        };
        let calls: Vec<_> = (0..CALLERS).map(call).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    proxy.heal();
    for reply in &replies {
        assert_eq!(reply.status, 200, "{reply}");
        assert_eq!(reply.body, replies[0].body);
        assert!(!reply.is_stale());
    }
    assert!(load::belongs(&replies[0], "sku-0042"));
    assert_eq!(documents() - before, 1.0, "one node fetched for both");
    let held: f64 = nodes
        .iter()
        .map(|node| node.metric("hotshelf_leases_total", &[("outcome", "acquired")]))
        .sum();
    assert!(held >= 1.0);
}

#[test]
fn a_redis_cluster_of_three_serves_both_nodes() {
    let shop = Shop::postgres();
    let cluster = RedisCluster::start().unwrap();
    let urls: Vec<String> = cluster
        .urls()
        .iter()
        .map(|url| format!("\"{url}\""))
        .collect();
    let l2 = format!(
        "[l2]\nurls = [{}]\ncluster = true\ndeadline_ms = 1500\nput_deadline_ms = 1500\nhedge_after_ms = 1500\n",
        urls.join(", ")
    );
    let toml = shop.toml() + NO_L3 + &l2;
    let (one, two) = (start_with_l2(&toml), start_with_l2(&toml));
    let (puts, asked) = (stored(&one, "l2"), two.origin_documents());
    let ids = &shop.ids()[..60];
    for id in ids {
        one.product(id).expect(200);
    }
    wait_stored(&one, "l2", puts + 60.0);
    for redis in cluster.nodes() {
        let keys: u64 = redis.command(&["DBSIZE"]).unwrap().parse().unwrap();
        assert!(keys > 0, "every node of the cluster holds a part");
    }
    for id in &ids[..30] {
        let found = two.product(id).expect(200);
        assert_eq!(found.tier(), "l2", "{found}");
        assert!(load::belongs(&found, id));
    }
    let path = format!("/v1/products?ids={}", ids[30..].join(","));
    let batch = two.get(&path).expect(200).json();
    let results = batch["results"].as_array().unwrap();
    assert!(
        results.iter().all(|result| result["tier"] == "l2"),
        "{batch}"
    );
    assert_eq!(two.origin_documents(), asked);

    cluster.nodes()[1].kill();
    for id in ids {
        let reply = one.product(id).expect(200);
        assert!(load::belongs(&reply, id));
        two.product(id).expect(200);
    }
    for id in &shop.ids()[100..130] {
        assert!(load::belongs(&two.product(id).expect(200), id), "{id}");
    }
}
