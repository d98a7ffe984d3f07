//! A database that dies, hangs, or is not there yet: what is held is served with an honest label, and recovery is noticed.

use std::time::Duration;

use hotshelf_testkit::{TcpProxy, wait_until};
use hotshelf_tests::{Load, Node, Reply, Shop, load};

use crate::parts::{L3, NO_L3, SOON, title};

/// What a labelled answer looks like.
#[track_caller]
fn check_label(reply: &Reply) {
    let stale: u64 = reply.must("hotshelf-stale").parse().unwrap();
    assert!(stale >= 1, "{reply}");
    assert_eq!(reply.must("cache-control"), "no-store", "{reply}");
    assert!(reply.ttl().is_some_and(|ttl| ttl < 0), "{reply}");
    let age: u64 = reply.must("age").parse().unwrap();
    assert!(
        age + 1 >= stale,
        "the age counts from the last proof: {reply}"
    );
}

#[track_caller]
fn wait_stale(node: &Node, id: &str) -> Reply {
    wait_until("an answer is labelled stale", SOON, || {
        node.product(id).is_stale()
    });
    let reply = node.product(id).expect(200);
    check_label(&reply);
    reply
}

#[track_caller]
fn wait_fresh(node: &Node, id: &str) {
    wait_until("answers are fresh again", SOON, || {
        let reply = node.product(id);
        reply.status == 200 && !reply.is_stale()
    });
    let reply = node.product(id).expect(200);
    assert_eq!(reply.must("cache-control"), "no-cache");
}

/// What must hold while the database does not answer; the first 20 products have been read before.
fn serves_what_it_holds(node: &Node) {
    let held = wait_stale(node, "sku-0001");
    assert_eq!(held.tier(), "l1");
    assert!(load::belongs(&held, "sku-0001"));
    let tag = held.must("etag");
    let unchanged = node.get_with("/v1/products/sku-0001", &[("if-none-match", tag)]);
    let unchanged = unchanged.expect(304);
    assert_eq!(unchanged.must("cache-control"), "no-store");
    assert!(unchanged.is_stale());

    let unread = node.product("sku-0150");
    assert!(matches!(unread.status, 503 | 504), "{unread}");
    let code = unread.code();
    assert!(
        ["origin_failed", "origin_timeout", "unavailable", "shed"].contains(&code.as_str()),
        "{unread}"
    );
    if unread.status == 503 {
        let after: u64 = unread.must("retry-after").parse().unwrap();
        assert!(after >= 1);
    }

    let batch = node
        .get("/v1/products?ids=sku-0002,sku-0151,sku-0003")
        .expect(200);
    let results = batch.json()["results"].as_array().unwrap().clone();
    assert_eq!(results[0]["document"]["id"], "sku-0002");
    assert!(results[0]["stale_s"].as_u64().unwrap() >= 1, "{batch}");
    assert_eq!(results[1]["status"], "unavailable");
    assert_eq!(results[2]["status"], "present");
    assert_eq!(batch.must("cache-control"), "no-store");
    assert!(batch.is_stale());

    node.get("/readyz").expect(200);
    node.get("/livez").expect(200);
}

fn read_first(node: &Node, shop: &Shop, count: usize) {
    for id in &shop.ids()[..count] {
        node.product(id).expect(200);
    }
}

#[test]
fn a_killed_database_leaves_labelled_answers_and_its_return_fresh_ones() {
    let shop = Shop::own_postgres();
    let node = Node::start(&(shop.toml() + NO_L3));
    read_first(&node, &shop, 20);
    let load = Load::start(&[&node], &shop.ids()[..20], 4);
    load.wait_reads(100);

    shop.server().kill();
    serves_what_it_holds(&node);
    load.wait_reads(400);
    shop.server().restart().unwrap();
    wait_fresh(&node, "sku-0001");
    node.product("sku-0150").expect(200);
    shop.rename("sku-0001", "After the crash");
    wait_until("a change after the crash is seen", SOON, || {
        title(&node.product("sku-0001")) == "After the crash"
    });
    load.wait_reads(200);
    let counts = load.stop();
    assert_eq!(counts.failed(), 0, "{counts:?}");
    assert!(counts.stale > 0 && counts.fresh > 0, "{counts:?}");
    let stale = [("tier", "l1"), ("outcome", "stale")];
    assert!(node.metric("hotshelf_reads_total", &stale) > 0.0);
}

#[test]
fn a_hanging_database_makes_no_read_wait_that_has_a_copy() {
    let shop = Shop::own_postgres();
    let node = Node::start(&(shop.toml() + NO_L3));
    read_first(&node, &shop, 20);
    let load = Load::start(&[&node], &shop.ids()[..20], 4);
    load.wait_reads(100);

    shop.server().pause();
    serves_what_it_holds(&node);
    load.wait_reads(400);
    shop.server().resume();
    wait_fresh(&node, "sku-0001");
    load.wait_reads(200);
    let counts = load.stop();
    assert_eq!(counts.failed(), 0, "{counts:?}");
    assert!(counts.stale > 0, "{counts:?}");
    assert!(
        counts.slowest < Duration::from_secs(2),
        "a copy is served within stale_after: {counts:?}"
    );
}

#[test]
fn a_change_during_an_outage_of_the_line_is_seen_after_it() {
    let shop = Shop::postgres();
    let proxy = TcpProxy::start(shop.server().port()).unwrap();
    let node = Node::start(&(shop.toml_at(proxy.port()) + NO_L3));
    read_first(&node, &shop, 20);
    proxy.cut();
    wait_stale(&node, "sku-0001");
    shop.rename("sku-0001", "Unseen");
    assert_ne!(title(&wait_stale(&node, "sku-0001")), "Unseen");
    proxy.heal();
    wait_until("the change is seen", SOON, || {
        let reply = node.product("sku-0001");
        !reply.is_stale() && title(&reply) == "Unseen"
    });
    assert_ne!(title(&node.product("sku-0002")), "Unseen");
}

#[test]
fn a_copy_is_not_served_beyond_the_stale_cap() {
    let shop = Shop::postgres();
    let proxy = TcpProxy::start(shop.server().port()).unwrap();
    let cap = "[[namespace]]\nname = \"products\"\nkind = \"catalogue\"\nstale_cap_s = 4\n";
    let node = Node::start(&(shop.toml_at(proxy.port()) + NO_L3 + cap));
    node.product("sku-0001").expect(200);
    proxy.cut();
    wait_stale(&node, "sku-0001");
    let mut oldest = 0;
    wait_until("the copy is no longer served", SOON, || {
        let reply = node.product("sku-0001");
        if reply.status == 200 {
            let stale = reply.header("hotshelf-stale").unwrap_or("0");
            oldest = oldest.max(stale.parse().unwrap());
        }
        matches!(reply.status, 503 | 504)
    });
    assert!((3..=5).contains(&oldest), "served until {oldest} s");
    proxy.heal();
    wait_fresh(&node, "sku-0001");
}

#[test]
fn a_node_that_starts_before_its_database_comes_up_and_catches_up() {
    let shop = Shop::own_postgres();
    let toml = shop.toml() + L3 + "[coherence]\ncatch_up_timeout_s = 2\n";
    let node = Node::start(&toml);
    read_first(&node, &shop, 20);
    node.stop();
    shop.server().kill();

    node.restart();
    let unproved = node.product("sku-0001");
    assert!(matches!(unproved.status, 503 | 504), "{unproved}");
    unproved.code();
    shop.server().restart().unwrap();
    wait_fresh(&node, "sku-0001");
    wait_fresh(&node, "sku-0150");
    shop.rename("sku-0001", "Followed");
    wait_until("the change log is followed", SOON, || {
        title(&node.product("sku-0001")) == "Followed"
    });
}

#[test]
fn an_empty_database_gets_its_tables_from_the_node() {
    let shop = Shop::postgres();
    let fresh = "fresh_for_one_node";
    let url = shop.server().database(fresh).unwrap();
    let node = Node::start(&(format!("[database]\nurl = \"{url}\"\n") + NO_L3));
    node.product("sku-0001").expect(404);
    let add = "INSERT INTO hotshelf.product (id, title) VALUES ('sku-0001', 'First')";
    shop.server().sql(fresh, add).unwrap();
    wait_until("the first product is there", SOON, || {
        node.product("sku-0001").status == 200
    });
    let reply = node.product("sku-0001").expect(200);
    assert_eq!(title(&reply), "First");
}
