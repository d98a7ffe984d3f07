//! Redis, the disk and clients fail under load: reads go on, and nothing wrong is served.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotshelf_testkit::{RedisCluster, RedisServer, TcpProxy, wait_until};
use hotshelf_tests::runtime::block_on;
use hotshelf_tests::{Connection, Load, Node, Reply, Shop, client, load, product};

use crate::parts::{L3, NO_L3, SOON, impatient_l2, l2, start_with_l2, stored, wait_stored};

/// More products than the smallest L1 holds, so that reads go on to the tiers behind it.
const MANY: usize = 900;
/// The budget during the faults of Redis.
const FETCHES_MAX: f64 = 4.0;

const SMALL_L1: &str = "[l1]\nbytes_max = 1048576\n";
/// A busy machine may be late with a poll; these tests are about the tiers.
const PATIENT: &str = "[coherence]\nstaleness_bound_ms = 20000\npoll_timeout_ms = 5000\n";

/// Room for a database far away: it takes several round trips to open a connection.
const FAR: &str = "acquire_timeout_ms = 6000\nstatement_timeout_ms = 6000\n[origin]\nfill_timeout_ms = 8000\n[http]\nrequest_timeout_ms = 9000\n";

fn many(mut shop: Shop) -> Shop {
    shop.put(&(0..MANY).map(product).collect::<Vec<_>>());
    shop
}

/// 0 closed, 1 half open, 2 open.
fn breaker(node: &Node) -> f64 {
    node.metric("hotshelf_breaker_state", &[("tier", "l2")])
}

fn l2_hits(node: &Node) -> f64 {
    node.metric(
        "hotshelf_lookups_total",
        &[("tier", "l2"), ("outcome", "hit")],
    )
}

/// Waits for the breakers to open, while the origin is asked no more than the budget allows.
#[track_caller]
fn without_redis(nodes: &[&Node], load: &Load) {
    wait_until("the breaker opens", SOON, || {
        nodes.iter().all(|node| breaker(node) > 0.0)
    });
    let until = load.counts().reads() + 400;
    wait_until("reads go on without Redis", SOON * 3, || {
        for node in nodes {
            let in_use = node.metric("hotshelf_origin_budget_in_use", &[]);
            assert!(in_use <= FETCHES_MAX, "{in_use} fetches at once");
        }
        load.counts().reads() >= until
    });
}

#[track_caller]
fn with_redis_again(nodes: &[&Node], load: &Load) {
    wait_until("the breaker closes", SOON, || {
        nodes.iter().all(|node| breaker(node) == 0.0)
    });
    let before: Vec<f64> = nodes.iter().map(|node| l2_hits(node)).collect();
    wait_until("Redis answers reads again", SOON, || {
        nodes
            .iter()
            .zip(&before)
            .all(|(node, &before)| l2_hits(node) > before + 20.0)
    });
    load.wait_reads(200);
}

#[test]
fn no_read_fails_while_redis_is_paused_killed_restarted_and_flushed() {
    let shop = many(Shop::postgres());
    let redis = RedisServer::start().unwrap();
    let toml = shop.toml() + PATIENT + SMALL_L1 + &impatient_l2(&redis);
    let budget = format!("[origin]\nconcurrency_max = {FETCHES_MAX}\n");
    let one = Node::start(&(toml.clone() + NO_L3 + &budget));
    let two = Node::start(&(toml + L3 + &budget));
    let nodes = [&one, &two];
    let load = Load::start(&nodes, shop.ids(), 8);
    load.wait_reads(1000);
    with_redis_again(&nodes, &load);

    redis.pause();
    without_redis(&nodes, &load);
    redis.resume();
    with_redis_again(&nodes, &load);

    redis.kill();
    without_redis(&nodes, &load);
    redis.restart().unwrap();
    with_redis_again(&nodes, &load);

    redis.command(&["FLUSHALL"]).unwrap();
    load.wait_reads(400);
    redis.restart().unwrap();
    load.wait_reads(400);
    with_redis_again(&nodes, &load);

    let counts = load.stop();
    assert_eq!(counts.failed(), 0, "{counts:?}");
    assert_eq!(
        counts.stale, 0,
        "the database was there all the time: {counts:?}"
    );
    for node in nodes {
        assert_eq!(node.metric("hotshelf_origin_budget_shed_total", &[]), 0.0);
    }
}

#[test]
fn no_read_fails_while_a_node_of_a_redis_cluster_is_away() {
    let shop = many(Shop::postgres());
    let cluster = RedisCluster::start().unwrap();
    let l2 = format!("[l2]\nurls = {:?}\ncluster = true\n", cluster.urls());
    let node = Node::start(&(shop.toml() + PATIENT + SMALL_L1 + NO_L3 + &l2));
    let load = Load::start(&[&node], shop.ids(), 6);
    load.wait_reads(600);
    with_redis_again(&[&node], &load);
    cluster.nodes()[0].kill();
    load.wait_reads(800);
    cluster.nodes()[0].restart().unwrap();
    cluster.wait_ok().unwrap();
    with_redis_again(&[&node], &load);
    let counts = load.stop();
    assert_eq!(counts.failed(), 0, "{counts:?}");
    assert_eq!(counts.stale, 0, "{counts:?}");
}

#[test]
fn a_node_that_starts_without_redis_uses_it_when_it_comes() {
    let shop = Shop::sqlite();
    let redis = RedisServer::start().unwrap();
    redis.kill();
    let node = Node::start(&(shop.toml() + NO_L3 + &l2(&redis)));
    for id in &shop.ids()[..20] {
        assert_eq!(node.product(id).expect(200).tier(), "origin");
    }
    redis.restart().unwrap();
    let mut next = shop.ids()[20..].iter();
    wait_until("Redis takes entries", SOON, || {
        if let Some(id) = next.next() {
            node.product(id).expect(200);
        }
        stored(&node, "l2") > 0.0
    });
    assert_eq!(breaker(&node), 0.0);
    let other = start_with_l2(&(shop.toml() + NO_L3 + &l2(&redis)));
    let tiers: Vec<String> = shop.ids()[20..]
        .iter()
        .map(|id| other.product(id).expect(200).tier().to_owned())
        .collect();
    assert!(tiers.iter().any(|tier| tier == "l2"), "{tiers:?}");
}

#[test]
fn what_redis_was_made_to_hold_by_others_is_not_served() {
    let shop = Shop::sqlite();
    let redis = RedisServer::start().unwrap();
    let toml = shop.toml() + NO_L3 + &l2(&redis);
    let node = start_with_l2(&toml);
    let puts = stored(&node, "l2");
    let ids = &shop.ids()[..6];
    for id in ids {
        node.product(id).expect(200);
    }
    wait_stored(&node, "l2", puts + 6.0);
    let keys = redis.command(&["KEYS", "*"]).unwrap();
    let keys: Vec<&str> = keys.lines().filter(|key| key.contains("sku-")).collect();
    assert_eq!(keys.len(), 6, "{keys:?}");
    redis
        .command(&["SETRANGE", keys[0], "60", "damage"])
        .unwrap();
    redis.command(&["SET", keys[1], "nothing of ours"]).unwrap();
    redis.command(&["DEL", keys[2]]).unwrap();
    redis.command(&["LPUSH", keys[2], "a list"]).unwrap();
    redis
        .command(&["COPY", keys[4], keys[3], "REPLACE"])
        .unwrap();

    let other = start_with_l2(&toml);
    for id in ids {
        let reply = other.product(id).expect(200);
        assert!(load::belongs(&reply, id), "{reply}");
        assert!(!reply.is_stale());
    }
    let damaged: f64 = ["damaged", "unknown_format", "wrong_key"]
        .iter()
        .map(|&reason| {
            other.metric(
                "hotshelf_misses_total",
                &[("tier", "l2"), ("reason", reason)],
            )
        })
        .sum();
    assert!(damaged >= 3.0, "misses are counted by reason: {damaged}");
}

fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    names
        .filter(|path| path.to_string_lossy().contains(suffix))
        .collect()
}

/// Reads every product; each document must be the right one. Gives the tiers that answered.
#[track_caller]
fn read_all(node: &Node, shop: &Shop) -> Vec<String> {
    let read = |id: &String| {
        let reply = node.product(id).expect(200);
        assert!(load::belongs(&reply, id), "{reply}");
        assert!(
            reply.json()["description"]
                .as_str()
                .is_some_and(|text| text.len() > 600),
            "{reply}"
        );
        reply.tier().to_owned()
    };
    shop.ids().iter().map(read).collect()
}

#[track_caller]
fn fill_disk(node: &Node, shop: &Shop) {
    let before = stored(node, "l3");
    let fetched = read_all(node, shop)
        .iter()
        .filter(|tier| *tier == "origin")
        .count();
    wait_stored(node, "l3", before + fetched as f64);
}

#[test]
fn damaged_files_on_disk_cost_hits_and_never_a_wrong_document() {
    let shop = Shop::sqlite();
    let node = Node::start(&(shop.toml() + L3));
    let folder = node.data_dir().join("l3");
    fill_disk(&node, &shop);
    node.stop();

    let tables = files(&folder, ".sst");
    assert!(!tables.is_empty());
    for table in &tables {
        let mut bytes = fs::read(table).unwrap();
        for at in (100..bytes.len() / 2).step_by(997) {
            bytes[at] ^= 0x5a;
        }
        fs::write(table, bytes).unwrap();
    }
    node.restart();
    let tiers = read_all(&node, &shop);
    assert!(
        tiers.iter().any(|tier| tier == "origin"),
        "the damage was met"
    );
    assert_eq!(
        read_all(&node, &shop),
        vec!["l1".to_owned(); shop.ids().len()]
    );
    node.stop();

    for manifest in files(&folder, "MANIFEST") {
        let length = fs::metadata(&manifest).unwrap().len();
        fs::File::options()
            .write(true)
            .open(&manifest)
            .unwrap()
            .set_len(length / 3)
            .unwrap();
    }
    node.restart();
    read_all(&node, &shop);
    node.stop();

    for current in files(&folder, "CURRENT") {
        fs::write(current, "nonsense\n").unwrap();
    }
    node.restart();
    assert!(node.metric("hotshelf_l3_recreated_total", &[]) >= 1.0);
    fill_disk(&node, &shop);
    node.stop();
    node.restart();
    let tiers = read_all(&node, &shop);
    assert!(
        tiers.iter().all(|tier| tier == "l3"),
        "the disk works again: {tiers:?}"
    );
}

#[test]
fn a_node_killed_under_load_starts_again_on_its_disk() {
    let shop = Shop::sqlite();
    let node = Node::start(&(shop.toml() + L3));
    let load = Load::start(&[&node], shop.ids(), 4);
    load.wait_reads(500);
    node.kill();
    drop(load);
    node.restart();
    read_all(&node, &shop);
}

/// Asks for a document, waits until the origin is asked for it, goes away, and asks again as somebody else.
fn second_client_gets_the_fill(ask_and_leave: impl Fn(&Node, &str, &dyn Fn())) {
    let shop = Shop::postgres();
    let proxy = TcpProxy::start(shop.server().port()).unwrap();
    let node = Node::start(&(shop.toml_at(proxy.port()) + FAR + PATIENT + NO_L3));
    node.product("sku-0001").expect(200);
    let before = node.origin_documents();
    proxy.delay(Duration::from_millis(1500));
    ask_and_leave(&node, "/v1/products/sku-0002", &|| {
        wait_until("the fetch is under way", SOON, || {
            node.origin_documents() > before
        });
    });
    let reply = node.product("sku-0002").expect(200);
    assert!(load::belongs(&reply, "sku-0002"));
    assert_eq!(node.origin_documents() - before, 1.0, "{reply}");
    assert!(node.metric("hotshelf_flight_joins_total", &[]) >= 1.0);
    assert_eq!(node.metric("hotshelf_flights_abandoned_total", &[]), 0.0);
}

#[test]
fn the_fill_of_a_client_that_hung_up_serves_the_next_one() {
    second_client_gets_the_fill(|node, path, wait_fetch| {
        let mut leader = Connection::open(&node.address()).unwrap();
        leader.send("GET", path, &[], b"").unwrap();
        wait_fetch();
    });
}

/// On HTTP/2 a client takes back one request and keeps the connection, and the server drops it at once.
#[test]
fn the_fill_of_a_client_that_took_its_request_back_serves_the_next_one() {
    second_client_gets_the_fill(|node, path, wait_fetch| {
        block_on(async {
            let client = reqwest::Client::builder().http2_prior_knowledge();
            let client = client.build().unwrap();
            client.get(node.url("/livez")).send().await.unwrap();
            let leader = tokio::spawn(client.get(node.url(path)).send());
            tokio::task::block_in_place(wait_fetch);
            leader.abort();
            assert!(leader.await.unwrap_err().is_cancelled());
            // The answer to a later request on the connection says that the reset has been read.
            client.get(node.url("/livez")).send().await.unwrap();
        });
    });
}

#[test]
fn a_node_told_to_stop_under_load_answers_what_is_under_way() {
    let shop = Shop::postgres();
    let proxy = TcpProxy::start(shop.server().port()).unwrap();
    let node = Node::start(&(shop.toml_at(proxy.port()) + FAR + PATIENT + NO_L3));
    let load = Load::start(&[&node], &shop.ids()[..100], 6);
    load.wait_reads(600);
    proxy.delay(Duration::from_millis(600));
    let before = node.origin_documents();
    let slow = &shop.ids()[150..158];
    let send = |id: &String| {
        let mut connection = Connection::open(&node.address()).unwrap();
        connection
            .send("GET", &format!("/v1/products/{id}"), &[], b"")
            .unwrap();
        connection
    };
    let mut under_way: Vec<Connection> = slow.iter().map(send).collect();
    wait_until("the fetches are under way", SOON, || {
        node.origin_documents() >= before + 8.0
    });
    node.terminate();
    let replies: Vec<Reply> = under_way
        .iter_mut()
        .map(|connection| connection.read_reply("GET").unwrap())
        .collect();
    let ended = node.wait_end();
    assert!(ended.success(), "{ended}");
    for (reply, id) in replies.iter().zip(slow) {
        assert_eq!(reply.status, 200, "{reply}");
        assert!(load::belongs(reply, id));
    }
    let counts = load.stop();
    assert_eq!(
        counts.failed(),
        counts.broken,
        "no answer was an error: {counts:?}"
    );
    assert_eq!(counts.cut, 0, "no answer was cut short: {counts:?}");
    let refused = client::request(&node.address(), "GET", "/livez", &[], b"");
    assert!(refused.is_err(), "the port is closed");
}

#[test]
fn a_client_that_never_finishes_does_not_keep_a_node_from_stopping() {
    let shop = Shop::sqlite();
    let node = Node::start(&(shop.toml() + NO_L3 + "[node]\ndrain_timeout_s = 1\n"));
    let mut idle = Connection::open(&node.address()).unwrap();
    idle.send("GET", "/livez", &[], b"").unwrap();
    idle.read_reply("GET").unwrap();
    let mut half = Connection::open(&node.address()).unwrap();
    half.send_raw(
        b"POST /v1/products:batchGet HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{",
    )
    .unwrap();
    let mut begun = Connection::open(&node.address()).unwrap();
    begun.send_raw(b"GET /v1/pro").unwrap();
    let open = [("listener", "public")];
    wait_until("the connections are open", SOON, || {
        node.metric("hotshelf_http_connections", &open) >= 3.0
    });
    let stopped = node.stop();
    assert!(stopped.status.success(), "{stopped:?}");
    assert!(stopped.took < Duration::from_secs(8), "{stopped:?}");
}
