//! Fills: one for many readers, whoever leaves, panics or is slow.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_engine::{Cache, Class, ReadOptions};
use hotshelf_model::{
    BoxFuture, ErrorKind, LeaseOutcome, LeaseToken, Leases, Tier, TierKey, TierName,
    UnavailableReason,
};
use hotshelf_testkit::FakeLeases;
use tokio::task::JoinHandle;

use crate::shop::{Node, Shop, key, settled};

async fn stampede(nodes: &[Arc<Node>], callers: usize) {
    let reads = (0..callers).map(|caller| {
        let node = Arc::clone(&nodes[caller % nodes.len()]);
        tokio::spawn(async move { node.get("lamp").await.map(|answer| answer.version()) })
    });
    let reads: Vec<_> = reads.collect();
    let mut versions = Vec::new();
    for read in reads {
        versions.push(read.await.unwrap().unwrap());
    }
    versions.dedup();
    assert_eq!(versions.len(), 1);
}

async fn nodes(shop: &Shop, count: usize) -> Vec<Arc<Node>> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(Arc::new(shop.node().await));
    }
    nodes
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_callers_of_a_cold_key_are_one_fetch() {
    let shop = Shop::with_lamp();
    shop.origin.delay(Duration::from_millis(50));
    stampede(&nodes(&shop, 1).await, 10_000).await;
    assert_eq!(shop.origin.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn on_four_nodes_that_share_l2_it_is_still_one() {
    let shop = Shop::with_lamp();
    shop.origin.delay(Duration::from_millis(50));
    stampede(&nodes(&shop, 4).await, 10_000).await;
    assert_eq!(shop.origin.fetches(), 1);
    assert_eq!(shop.leases.held(), 0, "leases are given up");
}

#[tokio::test(start_paused = true)]
async fn without_leases_it_is_one_per_node_at_most() {
    let shop = Shop::with_lamp();
    shop.leases.fail();
    shop.origin.delay(Duration::from_millis(50));
    stampede(&nodes(&shop, 4).await, 10_000).await;
    assert!(shop.origin.fetches() <= 4);
}

#[tokio::test(start_paused = true)]
async fn a_fill_outlives_the_reader_that_began_it() {
    let shop = Shop::with_lamp();
    let node = Arc::new(shop.node().await);
    shop.origin.answers.hold();
    let reader = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.get("lamp").await.map(drop) }
    });
    shop.origin.answers.arrived(1).await;
    reader.abort();
    assert!(reader.await.unwrap_err().is_cancelled());
    shop.origin.answers.release();
    node.until("the copy is in L1", |node| {
        node.cache.try_get(&key("lamp")).is_some()
    })
    .await;
    assert_eq!(shop.origin.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panicking_origin_fails_its_readers_at_once_and_the_next_read_works() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    shop.origin.panic_once();
    let error = node.get("lamp").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OriginFailed);
    assert_eq!(node.read("lamp").await.1, TierName::Origin);
}

#[tokio::test(start_paused = true)]
async fn a_late_joiner_after_a_change_does_not_get_what_was_read_before_it() {
    let shop = Shop::with_lamp();
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
    tokio::task::yield_now().await;
    shop.origin.answers.release();
    assert_eq!(late.await.unwrap().0, "new");
    assert_eq!(early.await.unwrap().0, "new");
    assert_eq!(
        node.read("lamp").await.0,
        "new",
        "the late answer was not kept"
    );
}

/// A read that waits for a lease that another node holds and does nothing with.
async fn read_while_another_holds_the_lease(shop: &Shop) -> JoinHandle<(String, TierName, bool)> {
    let node = Arc::new(shop.node().await);
    shop.leases.hold_elsewhere(&shop.tier_key("lamp"));
    let read = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.read("lamp").await }
    });
    node.until("the reader waits for the lease", |_| {
        shop.leases.refused() >= 3
    })
    .await;
    read
}

#[tokio::test(start_paused = true)]
async fn a_dead_nodes_lease_holds_others_up_no_longer_than_it_lasts() {
    let mut shop = Shop::with_lamp();
    shop.settings.fill_timeout = Duration::from_secs(60);
    let read = read_while_another_holds_the_lease(&shop).await;
    assert_eq!(shop.origin.fetches(), 0);
    shop.clock.advance(Duration::from_secs(1));
    assert_eq!(read.await.unwrap().1, TierName::Origin);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_cold_keys_share_few_statements_within_the_budget() {
    let mut shop = Shop::new();
    shop.settings.budget.concurrency_max = 8;
    for id in 0..1_000 {
        shop.origin.put(&format!("p{id}"), format!("{id}"));
    }
    shop.origin.delay(Duration::from_millis(200));
    let node = Arc::new(shop.node().await);
    let reads: Vec<_> = (0..1_000)
        .map(|id| {
            let node = Arc::clone(&node);
            tokio::spawn(async move { node.read(&format!("p{id}")).await.0 })
        })
        .collect();
    for (id, read) in reads.into_iter().enumerate() {
        assert_eq!(read.await.unwrap(), id.to_string());
    }
    assert!(
        shop.origin.fetching_max() <= 8,
        "{} at once",
        shop.origin.fetching_max()
    );
    assert!(
        shop.origin.fetches() <= 50,
        "{} statements",
        shop.origin.fetches()
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_sheds_and_what_is_held_is_served_stale() {
    let mut shop = Shop::with_lamp();
    shop.settings.budget.concurrency_max = 2;
    shop.settings.budget.queue_max = 1;
    shop.settings.budget.documents_per_fetch_max = 1;
    shop.settings.stale_after = Duration::from_secs(60);
    for id in 0..20 {
        shop.origin.put(&format!("p{id}"), "cold");
    }
    let node = Arc::new(shop.node().await);
    node.get("lamp").await.unwrap();
    node.until("the copy is in L2", |_| shop.l2.len() == 1)
        .await;
    shop.l2.clear();
    node.l3.clear();
    node.pass(shop.namespace.policy.ttl_hard).await;
    shop.origin.requests.hold();
    let cold: Vec<_> = (0..20)
        .map(|id| {
            let node = Arc::clone(&node);
            tokio::spawn(async move { node.get(&format!("p{id}")).await.map(drop) })
        })
        .collect();
    node.until("the budget is used up", |_| {
        shop.origin.requests.waiting() >= 1
    })
    .await;
    settled(Duration::from_millis(20)).await;
    let (document, _, fresh) = node.read("lamp").await;
    assert_eq!(
        (document.as_str(), fresh),
        (r#"{"id":"lamp","price":10}"#, false)
    );
    shop.origin.requests.release();
    let mut shed = 0;
    for read in cold {
        if let Err(error) = read.await.unwrap() {
            assert_eq!(error.kind(), ErrorKind::Shed);
            shed += 1;
        }
    }
    assert!(shed > 0, "a queue of one sheds most of twenty");
}

#[tokio::test(start_paused = true)]
async fn an_old_copy_is_refreshed_in_the_background_and_l2_is_asked_first() {
    let shop = Shop::with_lamp();
    let (one, two) = (shop.node().await, shop.node().await);
    one.get("lamp").await.unwrap();
    one.until("the copy is in L2", |_| shop.l2.len() == 1).await;
    two.get("lamp").await.unwrap();
    let fetched_at = || shop.l2.entry(&shop.tier_key("lamp")).unwrap().fetched_at;
    let first = fetched_at();
    one.pass(shop.namespace.policy.ttl_soft).await;
    two.catch_up().await;
    assert_eq!(
        one.read("lamp").await.1,
        TierName::L1,
        "the reader does not wait for the refresh"
    );
    one.until("the refresh has fetched", |_| shop.origin.fetches() == 2)
        .await;
    one.until("the refreshed copy is in L2", |_| fetched_at() > first)
        .await;
    let looked_up = shop.l2.keys_looked_up();
    assert_eq!(two.read("lamp").await.1, TierName::L1);
    two.until("the other node looks into L2", |_| {
        shop.l2.keys_looked_up() > looked_up
    })
    .await;
    settled(Duration::from_secs(1)).await;
    assert_eq!(
        shop.origin.fetches(),
        2,
        "the other node took the copy from L2"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_cannot_wait_leaves_with_an_error_and_the_fill_goes_on() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    shop.origin.answers.hold();
    let options = ReadOptions {
        deadline: Duration::from_millis(10),
        ..ReadOptions::default()
    };
    let error = node.cache.get(&key("lamp"), options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OriginTimeout);
    shop.origin.answers.release();
    node.until("the copy is in L1", |node| {
        node.cache.try_get(&key("lamp")).is_some()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_document_over_the_limit_is_an_error_and_is_not_kept() {
    let mut shop = Shop::with_lamp();
    shop.namespace.document_bytes_max = 10;
    let node = shop.node().await;
    assert_eq!(
        node.get("lamp").await.unwrap_err().kind(),
        ErrorKind::TooLarge
    );
    assert!(shop.l2.is_empty());
}

/// Leases whose renewals never end.
#[derive(Debug)]
struct HangingRenewals(Arc<FakeLeases>);

impl Leases for HangingRenewals {
    fn acquire_many<'a>(&'a self, keys: &'a [TierKey]) -> BoxFuture<'a, Vec<LeaseOutcome>> {
        self.0.acquire_many(keys)
    }

    fn renew_many<'a>(&'a self, _: &'a [(TierKey, LeaseToken)]) -> BoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }

    fn release_many<'a>(&'a self, leases: &'a [(TierKey, LeaseToken)]) -> BoxFuture<'a, ()> {
        self.0.release_many(leases)
    }

    fn ttl(&self) -> Duration {
        self.0.ttl()
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_table_that_hangs_does_not_hold_up_what_was_fetched() {
    let shop = Shop::with_lamp();
    shop.origin.delay(Duration::from_millis(900));
    let cache = Cache::builder(Arc::clone(&shop.origin) as _)
        .clock(Arc::clone(&shop.clock) as _)
        .l2(Arc::clone(&shop.l2) as _)
        .leases(Arc::new(HangingRenewals(Arc::clone(&shop.leases))))
        .namespace(shop.namespace.clone(), Arc::clone(&shop.origin) as _)
        .start();
    let node = shop.over(cache);
    node.until("the node is ready", |node| node.cache.is_ready())
        .await;
    assert_eq!(node.read("lamp").await.1, TierName::Origin);
    node.until("the lease is given up", |_| shop.leases.held() == 0)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_database_holds_no_flight_longer_than_a_fill_may_take() {
    let mut shop = Shop::new();
    shop.namespace.policy.stale_cap = Duration::ZERO;
    let ids: Vec<_> = (0..2_000).map(|id| format!("p{id}")).collect();
    for id in &ids {
        shop.origin.put(id, "document");
    }
    let node = Arc::new(shop.node().await);
    for id in &ids {
        node.get(id).await.unwrap();
    }
    shop.origin.fail_over();
    node.catch_up().await;
    shop.origin.requests.hold();
    let begun = tokio::time::Instant::now();
    let ticking = tokio::spawn({
        let clock = Arc::clone(&shop.clock);
        async move {
            loop {
                tokio::time::sleep(Duration::from_millis(10)).await;
                clock.advance(Duration::from_millis(10));
            }
        }
    });
    let reads: Vec<_> = ids
        .iter()
        .map(|id| {
            let (node, id) = (Arc::clone(&node), id.clone());
            tokio::spawn(async move { node.get(&id).await.map(drop) })
        })
        .collect();
    for read in reads {
        read.await.unwrap().unwrap_err();
    }
    node.until("every fill has landed", |node| {
        node.cache.status().fills == 0
    })
    .await;
    ticking.abort();
    let limit = shop.settings.fill_timeout + Duration::from_millis(100);
    assert!(begun.elapsed() <= limit, "{:?}", begun.elapsed());
    shop.origin.requests.release();
}

#[tokio::test(start_paused = true)]
async fn a_reader_does_not_queue_behind_warm_ups_not_even_those_of_another_node() {
    let mut shop = Shop::with_lamp();
    shop.settings.budget.concurrency_max = 4;
    for id in 0..20 {
        shop.origin.put(&format!("p{id}"), "cold");
    }
    let nodes = nodes(&shop, 2).await;
    shop.origin.delay(Duration::from_millis(400));
    let warm = ReadOptions {
        class: Class::Warm,
        ..ReadOptions::default()
    };
    let mut ids: Vec<_> = (0..20).map(|id| format!("p{id}")).collect();
    ids.push("lamp".to_owned());
    let mut begun = Vec::new();
    for id in ids {
        let node = Arc::clone(&nodes[0]);
        begun.push(tokio::spawn(async move {
            node.cache.get(&key(&id), warm).await.map(drop)
        }));
        tokio::task::yield_now().await;
    }
    settled(Duration::from_millis(10)).await;
    for node in &nodes {
        let asked = tokio::time::Instant::now();
        assert_eq!(node.read("lamp").await.1, TierName::Origin);
        assert!(asked.elapsed() < Duration::from_millis(500));
        shop.l2.clear();
    }
    for read in begun {
        read.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_gets_nothing_from_the_database_uses_up_only_half_of_the_time() {
    let mut shop = Shop::with_lamp();
    let clock = Arc::clone(&shop.clock) as _;
    shop.leases = Arc::new(FakeLeases::new(clock, Duration::from_secs(3600)));
    let read = read_while_another_holds_the_lease(&shop).await;
    shop.clock.advance(shop.settings.fill_timeout / 2);
    assert_eq!(read.await.unwrap().1, TierName::Origin);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_of_some_keys_does_not_hold_up_the_copies_that_others_bring() {
    let mut shop = Shop::with_lamp();
    shop.settings.fill_timeout = Duration::from_secs(60);
    shop.origin.put("vase", "vase");
    let nodes = nodes(&shop, 2).await;
    nodes[0].get("vase").await.unwrap();
    let vase = shop.tier_key("vase");
    nodes[0]
        .until("the vase is in L2", |_| shop.l2.entry(&vase).is_some())
        .await;
    let copy = shop.l2.entry(&vase).unwrap();
    shop.l2.clear();
    shop.leases.hold_elsewhere(&shop.tier_key("lamp"));
    shop.clock.advance(shop.leases.ttl() / 2);
    shop.leases.hold_elsewhere(&vase);
    shop.origin.answers.hold();
    let batch = tokio::spawn({
        let node = Arc::clone(&nodes[1]);
        let keys = [key("lamp"), key("vase")];
        async move { node.cache.get_many(&keys, ReadOptions::default()).await }
    });
    let refused = shop.leases.refused();
    nodes[1]
        .until("both leases are waited for", |_| {
            shop.leases.refused() >= refused + 2
        })
        .await;
    shop.clock.advance(shop.leases.ttl() / 2);
    shop.origin.answers.arrived(1).await;
    shop.l2.put_many(&[(vase, copy)]).await;
    nodes[1]
        .until("the vase has landed while the lamp is fetched", |node| {
            node.cache.try_get(&key("vase")).is_some()
        })
        .await;
    shop.origin.answers.release();
    for answer in batch.await.unwrap() {
        answer.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_joins_a_fill_that_a_tier_holds_up_for_ever() {
    let shop = Shop::with_lamp();
    let node = Arc::new(shop.node().await);
    shop.l2.lookups.hold();
    let stuck = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.get("lamp").await.map(drop) }
    });
    shop.l2.lookups.arrived(1).await;
    shop.l2.fail(UnavailableReason::Open);
    shop.clock.advance(shop.settings.fill_timeout);
    assert_eq!(node.read("lamp").await.1, TierName::Origin);
    stuck.abort();
}
