//! Prices that change by time alone: nobody writes at the moment of the change, and no old price is called fresh after it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hotshelf_testkit::{RedisServer, wait_until};
use hotshelf_tests::{Node, Reply, Shop, product, time};

use crate::parts::{L3, NO_L3, SOON, field, l2};

const PRODUCTS: usize = 1000;
const BATCH: usize = 200;
const READERS: usize = 3;
const OLD: i64 = 1999;
const NEW: i64 = 999;
/// Time enough to read every product before the change, on a busy machine.
const AHEAD_MS: u64 = 9000;

/// Writes a second price for every product, which begins to hold at the answered moment of the database's clock.
fn schedule(shop: &Shop) -> u64 {
    let (now, moment) = if shop.is_sqlite() {
        ("SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)", "{at}")
    } else {
        (
            "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
            "to_timestamp({at} / 1000.0)",
        )
    };
    let at = shop.sql(now).trim().parse::<u64>().unwrap() + AHEAD_MS;
    let moment = moment.replace("{at}", &at.to_string());
    let (price, product) = (shop.table("price"), shop.table("product"));
    shop.sql(&format!(
        "INSERT INTO {price} (product_id, currency, list_minor, valid_from) SELECT id, 'EUR', {NEW}, {moment} FROM {product}"
    ));
    at
}

fn prices(batch: &Reply) -> Vec<(i64, bool)> {
    let batch = batch.json();
    let results = batch["results"].as_array().unwrap();
    let price = |result: &serde_json::Value| {
        let price = result["document"]["price"]["list_minor"].as_i64()?;
        Some((price, result["stale_s"] == 0))
    };
    results.iter().filter_map(price).collect()
}

fn paths(shop: &Shop) -> Vec<String> {
    let batches = shop.ids().chunks(BATCH);
    batches
        .map(|ids| format!("/v1/products?ids={}", ids.join(",")))
        .collect()
}

/// What readers saw around the change.
#[derive(Debug, Default)]
struct Seen {
    reads: AtomicU64,
    /// Old prices called fresh in answers to requests that were sent after the change.
    late: AtomicU64,
    failed: AtomicU64,
}

impl Seen {
    fn read_on(&self, nodes: &[Node], paths: &[String], ids: &[String], at: u64, end: &AtomicBool) {
        let mut turn = 0_usize;
        while !end.load(Ordering::Relaxed) {
            let node = &nodes[turn % nodes.len()];
            let sent = time::now_ms();
            if turn.is_multiple_of(4) {
                let reply = node.get(&paths[turn / 4 % paths.len()]).expect(200);
                let old = prices(&reply)
                    .iter()
                    .filter(|&&(price, fresh)| price == OLD && fresh)
                    .count();
                self.note(old as u64, sent, at, 0);
            } else {
                let id = &ids[turn * 37 % ids.len()];
                let reply = node.product(id);
                let failed = u64::from(reply.status != 200);
                let old =
                    failed == 0 && !reply.is_stale() && field(&reply, "price")["list_minor"] == OLD;
                self.note(u64::from(old), sent, at, failed);
            }
            turn += 1;
        }
    }

    fn note(&self, old: u64, sent: u64, at: u64, failed: u64) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(failed, Ordering::Relaxed);
        if sent > at {
            self.late.fetch_add(old, Ordering::Relaxed);
        }
    }
}

/// Reads every product on every node until its old document lies in L1, and checks that this was done before the change.
fn hold_all(nodes: &[Node], paths: &[String], at: u64) {
    // The new price rows are a change themselves; from here on nothing is written.
    let held = |node: &Node, path: &String| {
        let batch = node.get(path).expect(200).json();
        let results = batch["results"].as_array().unwrap();
        results.iter().all(|result| result["tier"] == "l1")
    };
    wait_until("every document is held", SOON, || {
        nodes
            .iter()
            .all(|node| paths.iter().all(|path| held(node, path)))
    });
    let now = time::now_ms();
    assert!(
        now < at,
        "the machine was {} ms too slow to read everything before the change",
        now - at
    );
}

/// Ends the readers also when the test fails, because their scope waits for them.
struct EndReaders<'a>(&'a AtomicBool);

impl Drop for EndReaders<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads around the change, until every node has every new price.
fn read_around(shop: &Shop, nodes: &[Node], paths: &[String], at: u64) -> Seen {
    let (seen, end) = (Seen::default(), AtomicBool::new(false));
    let has_all = |node: &Node| {
        let new = |path: &String| {
            let prices = prices(&node.get(path).expect(200));
            prices.iter().filter(|&&price| price == (NEW, true)).count()
        };
        paths.iter().map(new).sum::<usize>() == PRODUCTS
    };
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| seen.read_on(nodes, paths, shop.ids(), at, &end));
        }
        let _end = EndReaders(&end);
        wait_until("every node has every new price", SOON, || {
            time::now_ms() > at && nodes.iter().all(has_all)
        });
    });
    seen
}

fn sum(nodes: &[Node], metric: &str) -> f64 {
    nodes.iter().map(|node| node.metric(metric, &[])).sum()
}

fn all_at_once(shop: &mut Shop, nodes: &[Node]) {
    shop.put(&(0..PRODUCTS).map(product).collect::<Vec<_>>());
    let at = schedule(shop);
    let paths = paths(shop);
    hold_all(nodes, &paths, at);
    let old = nodes[0].product("sku-0000").expect(200);
    assert_eq!(field(&old, "price")["list_minor"], OLD);
    let ttl_ms = u64::try_from(old.ttl().unwrap()).unwrap() * 1000;
    assert!(ttl_ms <= AHEAD_MS, "it is fresh until the change: {old}");

    let counters = [
        "hotshelf_origin_documents_total",
        "hotshelf_origin_fetches_total",
    ];
    let before = counters.map(|metric| sum(nodes, metric));
    let seen = read_around(shop, nodes, &paths, at);
    let [late, failed] = [&seen.late, &seen.failed].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(
        late, 0,
        "old prices called fresh after the change: {seen:?}"
    );
    assert_eq!(failed, 0, "{seen:?}");
    let documents = sum(nodes, counters[0]) - before[0];
    let statements = sum(nodes, counters[1]) - before[1];
    let changed = (PRODUCTS * nodes.len()) as f64;
    assert!(
        documents <= 2.0 * changed && statements <= changed,
        "{documents} documents in {statements} statements"
    );

    let held = [("if-none-match", old.must("etag"))];
    let new = nodes[0].get_with("/v1/products/sku-0000", &held);
    let new = new.expect(200);
    assert_eq!(field(&new, "price")["list_minor"], NEW);
    assert_eq!(
        new.must("hotshelf-version"),
        old.must("hotshelf-version"),
        "nobody wrote"
    );
}

#[test]
fn a_thousand_prices_flip_at_one_instant_on_two_nodes_over_postgresql_and_redis() {
    let mut shop = Shop::postgres();
    let redis = RedisServer::start().unwrap();
    let toml = shop.toml() + NO_L3 + &l2(&redis);
    let nodes = [Node::start(&toml), Node::start(&toml)];
    all_at_once(&mut shop, &nodes);
}

#[test]
fn a_thousand_prices_flip_at_one_instant_over_sqlite_with_a_disk_tier() {
    let mut shop = Shop::sqlite();
    let node = Node::start(&(shop.toml() + L3));
    all_at_once(&mut shop, &[node]);
}
