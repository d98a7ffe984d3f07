//! Following the change log: one change is news of one product, whatever the bus and the database do on the way.

use std::sync::Arc;
use std::time::Duration;

use futures_util::poll;
use hotshelf_engine::{Change, ReadOptions};
use hotshelf_model::message::{encode_hint, encode_row};
use hotshelf_model::{
    Bus, Channel, Hint, Hist, Id, LogRow, Position, Record, TierName, Timeline, Version,
};
use hotshelf_testkit::{BusFaults, FakeHub};

use crate::shop::{Node, Shop, key, products, settled, text};

const LAMP: &str = r#"{"id":"lamp","price":10}"#;

fn id(id: &str) -> Id {
    Id::new(id).unwrap()
}

fn from_l1(document: &str) -> (String, TierName, bool) {
    (document.to_owned(), TierName::L1, true)
}

fn from_origin(document: &str) -> (String, TierName, bool) {
    (document.to_owned(), TierName::Origin, true)
}

/// Waits until a node has applied everything that is in the log now.
async fn applied(shop: &Shop, node: &Node) {
    reached(node, shop.origin.head().position).await;
}

async fn reached(node: &Node, position: Position) {
    node.until("the node has applied the log", |node| {
        node.cache.status().position >= Some(position)
    })
    .await;
}

/// A shop whose nodes learn of changes from the bus alone.
async fn without_polls(shop: &Shop, node: &Node) {
    node.catch_up().await;
    shop.origin
        .fail_polls(hotshelf_model::ErrorKind::OriginFailed);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_one_product_leaves_the_others_proved() {
    let shop = Shop::with_lamp();
    let ids: Vec<_> = (0..50).map(|id| format!("p{id}")).collect();
    for id in &ids {
        shop.origin.put(id, id.clone());
    }
    let node = shop.node().await;
    for id in &ids {
        node.get(id).await.unwrap();
    }
    node.get("lamp").await.unwrap();
    let documents = shop.origin.documents();
    for change in 0..20 {
        shop.origin.put("lamp", format!("{change}"));
        node.catch_up().await;
        assert_eq!(node.read("lamp").await, from_origin(&change.to_string()));
        for id in &ids {
            assert_eq!(node.read(id).await, from_l1(id));
        }
    }
    assert_eq!(shop.origin.documents(), documents + 20);
    assert_eq!(shop.origin.versions_calls(), 0, "nothing became suspect");
}

#[tokio::test(start_paused = true)]
async fn copies_of_every_variant_and_absent_ones_go_with_their_product() {
    let shop = Shop::new();
    let node = shop.node().await;
    assert_eq!(node.get("lamp").await.unwrap().version(), Version::NONE);
    shop.origin.put("lamp", "it exists {variant}");
    node.catch_up().await;
    assert_eq!(node.read("lamp").await, from_origin("it exists "));
    let german = hotshelf_model::Variant::parse("locale=de").unwrap();
    let german = hotshelf_model::Key::new(&products(), &id("lamp"), &german);
    let options = ReadOptions::default();
    let answer = node.cache.get(&german, options).await.unwrap();
    assert_eq!(text(&answer), "it exists locale=de");
    shop.origin.put("lamp", "new {variant}");
    node.catch_up().await;
    let answer = node.cache.get(&german, options).await.unwrap();
    assert_eq!(text(&answer), "new locale=de");
    assert_eq!(node.read("lamp").await, from_origin("new "));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_from_before_a_change_is_repeated_and_a_late_reader_does_not_join_it() {
    let shop = Shop::with_lamp();
    // The lease of the early flight would hold up the late one.
    shop.leases.fail();
    let node = Arc::new(shop.node().await);
    shop.origin.answers.hold();
    let early = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.read("lamp").await }
    });
    shop.origin.answers.arrived(1).await;
    shop.origin.put("lamp", "new");
    node.catch_up().await;
    let late = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.read("lamp").await }
    });
    shop.origin.answers.arrived(2).await;
    assert_eq!(shop.origin.fetches(), 2, "the late reader's own fetch");
    shop.origin.answers.release();
    assert_eq!(late.await.unwrap().0, "new");
    assert_eq!(early.await.unwrap().0, "new");
    assert_eq!(node.read("lamp").await, from_l1("new"));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_changes_during_every_fetch_is_answered_and_not_kept() {
    let shop = Shop::with_lamp();
    let node = Arc::new(shop.node().await);
    shop.origin.answers.hold();
    let reader = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.read("lamp").await }
    });
    shop.origin.answers.arrived(1).await;
    shop.origin.put("lamp", "0");
    node.catch_up().await;
    shop.origin.requests.hold();
    shop.origin.answers.release();
    shop.origin.requests.arrived(1).await;
    shop.origin.answers.hold();
    shop.origin.requests.release();
    shop.origin.answers.arrived(1).await;
    shop.origin.put("lamp", "1");
    node.catch_up().await;
    shop.origin.answers.release();
    let (document, tier, fresh) = reader.await.unwrap();
    assert_eq!((tier, fresh), (TierName::Origin, true));
    assert_eq!(document, "0", "what was there when it was fetched");
    assert_eq!(node.read("lamp").await, from_origin("1"));
}

#[tokio::test(start_paused = true)]
async fn a_bump_is_found_out_by_copies_as_they_are_touched() {
    let shop = Shop::with_lamp();
    shop.origin.put("vase", "vase");
    let node = shop.node().await;
    for id in ["lamp", "vase"] {
        node.get(id).await.unwrap();
    }
    shop.origin.bump(&products());
    node.catch_up().await;
    assert_eq!(node.read("lamp").await, from_origin(LAMP));
    assert_eq!(node.read("lamp").await, from_l1(LAMP));
    assert_eq!(node.read("vase").await, from_origin("vase"));
    assert_eq!(node.read("vase").await, from_l1("vase"));
    assert_eq!(shop.origin.versions_calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_flight_from_before_a_bump_is_not_joined_after_it() {
    let shop = Shop::with_lamp();
    // The lease of the early flight would hold up the late one.
    shop.leases.fail();
    let node = Arc::new(shop.node().await);
    shop.origin.answers.hold();
    let early = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.read("lamp").await }
    });
    shop.origin.answers.arrived(1).await;
    shop.origin.bump(&products());
    node.catch_up().await;
    let late = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.read("lamp").await }
    });
    shop.origin.answers.arrived(2).await;
    shop.origin.answers.release();
    assert_eq!(late.await.unwrap().0, LAMP);
    assert_eq!(early.await.unwrap().0, LAMP);
    assert_eq!(shop.origin.fetches(), 3, "the early one is fetched again");
}

#[tokio::test(start_paused = true)]
async fn many_rows_are_read_in_steps_and_every_floor_holds() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    for change in 0..2_000 {
        shop.origin.put(&format!("p{change}"), "bulk");
    }
    shop.origin.put("lamp", "last");
    node.catch_up().await;
    assert_eq!(node.read("lamp").await, from_origin("last"));
    assert!(shop.origin.reads() >= 8, "{}", shop.origin.reads());
}

#[tokio::test(start_paused = true)]
async fn rows_that_were_pruned_make_everything_suspect_and_are_checked_in_batches() {
    let shop = Shop::with_lamp();
    let ids: Vec<_> = (0..100).map(|id| format!("p{id}")).collect();
    for id in &ids {
        shop.origin.put(id, id.clone());
    }
    let node = Arc::new(shop.node().await);
    for id in &ids {
        node.get(id).await.unwrap();
    }
    let documents = shop.origin.documents();
    shop.origin.put("p0", "changed");
    shop.lose_rows();
    node.catch_up().await;
    let reads = ids.iter().map(|id| {
        let (node, id) = (Arc::clone(&node), id.clone());
        tokio::spawn(async move { node.read(&id).await })
    });
    let reads: Vec<_> = reads.collect();
    for (read, id) in reads.into_iter().zip(&ids) {
        let (document, _, fresh) = read.await.unwrap();
        let expected = if id == "p0" { "changed" } else { id };
        assert_eq!((document.as_str(), fresh), (expected, true));
    }
    assert_eq!(shop.origin.documents(), documents + 1);
    assert!(shop.origin.versions_calls() <= 3);
}

#[tokio::test(start_paused = true)]
async fn floors_that_were_given_up_cost_a_check_and_no_truth() {
    let mut shop = Shop::with_lamp();
    shop.settings.floors_max = 64;
    shop.origin.put("vase", "vase");
    let node = shop.node().await;
    for id in ["lamp", "vase"] {
        node.get(id).await.unwrap();
    }
    node.until("the copies are in L2", |_| shop.l2.len() == 2)
        .await;
    shop.origin.put("lamp", "new");
    for change in 0..500 {
        shop.origin.put(&format!("p{change}"), "bulk");
    }
    node.catch_up().await;
    assert_eq!(node.read("vase").await, from_l1("vase"), "not even checked");
    assert_eq!(shop.origin.versions_calls(), 0);
    // In L2 is the old lamp, and its floor is forgotten.
    assert_eq!(node.read("lamp").await, from_origin("new"));
    node.cache.remove_from_l1(&key("vase"));
    assert_eq!(
        node.read("vase").await,
        ("vase".to_owned(), TierName::L2, true)
    );
    assert_eq!(shop.origin.versions_calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lost_tail_is_forgotten_after_a_failover() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    shop.origin.put("lamp", "never replicated");
    node.catch_up().await;
    assert_eq!(node.read("lamp").await.0, "never replicated");
    node.until("the copy is in L2", |_| shop.l2.len() == 1)
        .await;
    shop.origin.fail_over_losing(1);
    node.catch_up().await;
    assert_eq!(node.read("lamp").await, from_origin(LAMP));
    assert_eq!(node.read("lamp").await, from_l1(LAMP));
    shop.origin.put("vase", "vase");
    node.catch_up().await;
    assert_eq!(node.read("lamp").await, from_l1(LAMP));
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_did_not_renew_the_history_is_found_out_and_made_good() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    shop.origin.put("lamp", "after the backup");
    node.catch_up().await;
    assert_eq!(node.read("lamp").await.0, "after the backup");
    let before = shop.origin.head().hist;
    shop.origin.restore(1);
    node.until("the history is another", |_| {
        shop.origin.head().hist != before
    })
    .await;
    node.catch_up().await;
    assert_eq!(node.read("lamp").await, from_origin(LAMP));
}

#[tokio::test(start_paused = true)]
async fn a_write_of_this_node_is_seen_before_it_has_a_position() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    node.until("the copy is in L2", |_| shop.l2.len() == 1)
        .await;
    shop.origin.leave_unsequenced();
    let version = shop.origin.put("lamp", "written here");
    node.cache.written(&products(), &id("lamp"), version);
    node.until("the copy has left L2", |_| shop.l2.is_empty())
        .await;
    assert_eq!(node.read("lamp").await, from_origin("written here"));
    assert_eq!(node.read("lamp").await, from_l1("written here"));
    shop.origin.sequence_at_once();
    applied(&shop, &node).await;
    assert_eq!(node.read("lamp").await, from_l1("written here"));
}

#[tokio::test(start_paused = true)]
async fn writes_of_a_node_are_no_reason_to_poll() {
    let mut shop = Shop::with_lamp();
    shop.settings.poll_interval = Duration::from_secs(60);
    let node = shop.node().await;
    settled(Duration::from_secs(1)).await;
    let polls = shop.origin.polls();
    for number in 0..10 {
        let version = shop.origin.put("lamp", format!("written {number}"));
        node.cache.written(&products(), &id("lamp"), version);
        settled(Duration::from_secs(1)).await;
    }
    assert_eq!(shop.origin.polls(), polls);
    assert_eq!(node.read("lamp").await, from_origin("written 9"));
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_news_to_the_other_nodes_at_once() {
    let shop = Shop::with_lamp();
    let hub = FakeHub::new(1);
    let (here, there) = (shop.node_on(&hub).await, shop.node_on(&hub).await);
    there.get("lamp").await.unwrap();
    shop.origin.leave_unsequenced();
    let version = shop.origin.put("lamp", "new");
    here.cache.written(&products(), &id("lamp"), version);
    there
        .until("the hint has arrived", |node| {
            node.cache.try_get(&key("lamp")).is_none()
        })
        .await;
    assert_eq!(there.read("lamp").await, from_origin("new"));
}

#[tokio::test(start_paused = true)]
async fn a_hint_that_is_never_confirmed_is_forgotten() {
    let shop = Shop::with_lamp();
    let hub = FakeHub::new(1);
    let node = shop.node_on(&hub).await;
    let writer = hub.join();
    let hint = Hint {
        hist: shop.origin.head().hist,
        namespace: products(),
        id: id("lamp"),
        version: Version(1 << 40 | 999),
    };
    node.get("lamp").await.unwrap();
    writer.publish(Channel::Hint, encode_hint(&hint));
    node.until("the hint has arrived", |node| {
        node.cache.try_get(&key("lamp")).is_none()
    })
    .await;
    for _ in 0..2 {
        assert_eq!(node.read("lamp").await, from_origin(LAMP), "and not kept");
    }
    node.pass(Duration::from_secs(66)).await;
    node.pass(Duration::from_secs(6)).await;
    node.read("lamp").await;
    assert_eq!(node.read("lamp").await, from_l1(LAMP));
}

#[tokio::test(start_paused = true)]
async fn a_hint_of_another_history_or_of_an_older_timeline_says_nothing() {
    let shop = Shop::with_lamp();
    shop.origin.fail_over();
    let hub = FakeHub::new(1);
    let node = shop.node_on(&hub).await;
    let writer = hub.join();
    node.get("lamp").await.unwrap();
    let hist = shop.origin.head().hist;
    for (hist, version) in [(Hist(hist.0 ^ 1), 2 << 40 | 999), (hist, 1 << 40 | 999)] {
        let hint = Hint {
            hist,
            namespace: products(),
            id: id("lamp"),
            version: Version(version),
        };
        writer.publish(Channel::Hint, encode_hint(&hint));
    }
    let confirmed = shop.origin.put("vase", "vase");
    let hint = Hint {
        hist,
        namespace: products(),
        id: id("vase"),
        version: confirmed,
    };
    node.get("vase").await.unwrap();
    writer.publish(Channel::Hint, encode_hint(&hint));
    node.catch_up().await;
    assert_eq!(node.read("lamp").await, from_l1(LAMP));
}

fn row(shop: &Shop, position: u64, product: &str, version: Version) -> LogRow {
    LogRow {
        hist: shop.origin.head().hist,
        timeline: Timeline(1),
        position: Position(position),
        nonce: 0,
        records: vec![Record::Key {
            namespace: products(),
            id: id(product),
            version,
        }],
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_comes_early_is_applied_at_once_and_skips_nothing() {
    let shop = Shop::with_lamp();
    shop.origin.put("vase", "vase");
    let hub = FakeHub::new(1);
    let node = shop.node_on(&hub).await;
    let publisher = hub.join();
    for id in ["lamp", "vase"] {
        node.get(id).await.unwrap();
    }
    without_polls(&shop, &node).await;
    let before = node.cache.status().position;
    shop.origin.put("vase", "new vase");
    let version = shop.origin.put("lamp", "new lamp");
    let position = shop.origin.head().position;
    publisher.publish(
        Channel::Log,
        encode_row(&row(&shop, position.0, "lamp", version)),
    );
    node.until("the row has arrived", |node| {
        node.cache.try_get(&key("lamp")).is_none()
    })
    .await;
    assert_eq!(node.cache.status().position, before, "there is a gap");
    assert_eq!(node.read("vase").await, from_l1("vase"));
    shop.origin.recover();
    applied(&shop, &node).await;
    assert_eq!(node.read("vase").await, from_origin("new vase"));
    assert_eq!(node.read("lamp").await, from_origin("new lamp"));
}

#[tokio::test(start_paused = true)]
async fn the_node_that_gives_positions_tells_the_others() {
    let shop = Shop::with_lamp();
    let hub = FakeHub::new(1);
    let (here, there) = (shop.node_on(&hub).await, shop.node_on(&hub).await);
    there.get("lamp").await.unwrap();
    shop.origin.sequence_by_polls();
    let reads = shop.origin.reads();
    for change in 0..10 {
        shop.origin.put("lamp", change.to_string());
        here.catch_up().await;
        applied(&shop, &there).await;
        assert_eq!(there.read("lamp").await.0, change.to_string());
    }
    let read = shop.origin.reads() - reads;
    assert!(read <= 14, "{read} readings: the rows came by the bus");
}

#[tokio::test(start_paused = true)]
async fn the_node_that_leads_makes_changes_known_between_polls() {
    let mut shop = Shop::with_lamp();
    shop.settings.poll_interval = Duration::from_secs(3_600);
    let hub = FakeHub::new(1);
    let nodes = [shop.node_on(&hub).await, shop.node_on(&hub).await];
    shop.origin.sequence_by_polls();
    let polls = shop.origin.polls();
    for change in 0..20 {
        let (before, document) = (shop.origin.head().position.0, change.to_string());
        shop.origin.put("lamp", document.clone());
        for node in &nodes {
            reached(node, Position(before + 1)).await;
            assert_eq!(node.read("lamp").await.0, document);
        }
    }
    // One for each node, when the bus connects.
    assert!(shop.origin.polls() <= polls + 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_bus_loses_doubles_and_delays_is_made_good_by_the_database() {
    let shop = Shop::with_lamp();
    let hub = FakeHub::new(7);
    let nodes = [shop.node_on(&hub).await, shop.node_on(&hub).await];
    shop.origin.sequence_by_polls();
    hub.set_faults(BusFaults {
        lose_percent: 30,
        duplicate_percent: 30,
        delay_percent: 30,
    });
    for change in 0..200 {
        let product = format!("p{}", change % 7);
        let version = shop.origin.put(&product, change.to_string());
        if change % 3 == 0 {
            nodes[0].cache.written(&products(), &id(&product), version);
        }
        let node = &nodes[change % 2];
        node.catch_up().await;
        assert_eq!(node.read(&product).await.0, change.to_string());
    }
    hub.release();
    for node in &nodes {
        node.catch_up().await;
        applied(&shop, node).await;
        for product in 0..7_usize {
            let last = (0..200).rev().find(|change| change % 7 == product);
            let (document, _, fresh) = node.read(&format!("p{product}")).await;
            assert_eq!((document, fresh), (last.unwrap().to_string(), true));
        }
    }
    let counts = hub.counts();
    assert!(
        counts.lost > 0 && counts.duplicated > 0 && counts.delayed > 0,
        "{counts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_changes_are_told_to_who_keeps_copies_elsewhere() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    let mut changes = node.cache.changes(None);
    let Change::Reset(start) = changes.next().await else {
        panic!("who knows nothing begins with a reset")
    };
    let version = shop.origin.put("lamp", "new");
    let Change::Row(row) = changes.next().await else {
        panic!("a change is a row")
    };
    assert_eq!(row.position.0, start.position.0 + 1);
    let namespace = products();
    let id = id("lamp");
    assert_eq!(
        row.records,
        [Record::Key {
            namespace,
            id,
            version
        }]
    );
    let mut again = node.cache.changes(Some(start));
    assert_eq!(again.next().await, Change::Row(row));
    assert!(poll!(Box::pin(again.next())).is_pending());
    shop.origin.fail_over();
    assert!(matches!(changes.next().await, Change::Reset(_)));
    assert!(matches!(again.next().await, Change::Reset(_)));
}

#[tokio::test(start_paused = true)]
async fn a_restarted_node_serves_its_disk_without_a_check_per_copy() {
    let mut shop = Shop::with_lamp();
    let folder = tempfile::tempdir().unwrap();
    shop.checkpoint = Some(folder.path().join("checkpoint"));
    let ids: Vec<_> = (0..100).map(|id| format!("p{id}")).collect();
    for id in &ids {
        shop.origin.put(id, id.clone());
    }
    let node = shop.node().await;
    for id in &ids {
        node.get(id).await.unwrap();
    }
    node.until("the copies are on disk", |node| node.l3.len() == ids.len())
        .await;
    shop.origin.put("p1", "changed before the checkpoint");
    node.catch_up().await;
    node.cache.stop().await;
    let disk = Arc::clone(&node.l3);
    drop(node);
    shop.origin.put("p2", "changed while it was down");
    shop.l2.clear();
    let documents = shop.origin.documents();
    let node = shop.node_with_disk(disk).await;
    for id in &ids {
        let (document, tier, fresh) = node.read(id).await;
        let (expected, from) = match id.as_str() {
            "p1" => ("changed before the checkpoint", TierName::Origin),
            "p2" => ("changed while it was down", TierName::Origin),
            id => (id, TierName::L3),
        };
        assert_eq!((document.as_str(), tier, fresh), (expected, from, true));
    }
    assert_eq!(shop.origin.documents(), documents + 2);
    assert_eq!(shop.origin.versions_calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_checkpoint_or_none_costs_checks_and_no_truth() {
    for is_damaged in [true, false] {
        let mut shop = Shop::with_lamp();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        shop.checkpoint = Some(path.clone());
        shop.origin.put("vase", "vase");
        let node = shop.node().await;
        for id in ["lamp", "vase"] {
            node.get(id).await.unwrap();
        }
        node.until("the copies are on disk", |node| node.l3.len() == 2)
            .await;
        node.cache.stop().await;
        let disk = Arc::clone(&node.l3);
        drop(node);
        shop.l2.clear();
        shop.origin.put("lamp", "new");
        if is_damaged {
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[20] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        } else {
            std::fs::remove_file(&path).unwrap();
        }
        let node = shop.node_with_disk(disk).await;
        assert_eq!(node.read("lamp").await, from_origin("new"));
        assert_eq!(node.read("vase").await, ("vase".into(), TierName::L3, true));
        assert_eq!(shop.origin.versions_calls(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_from_before_a_lost_tail_is_of_no_use() {
    let mut shop = Shop::with_lamp();
    let folder = tempfile::tempdir().unwrap();
    shop.checkpoint = Some(folder.path().join("checkpoint"));
    let node = shop.node().await;
    shop.origin.put("lamp", "never replicated");
    node.catch_up().await;
    node.get("lamp").await.unwrap();
    node.until("the copy is on disk", |node| node.l3.len() == 1)
        .await;
    node.cache.stop().await;
    let disk = Arc::clone(&node.l3);
    drop(node);
    shop.l2.clear();
    shop.origin.fail_over_losing(1);
    let node = shop.node_with_disk(disk).await;
    assert_eq!(node.read("lamp").await, from_origin(LAMP));
    assert_eq!(node.read("lamp").await, from_l1(LAMP));
}
