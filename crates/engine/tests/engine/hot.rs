//! Hot keys: held whatever comes, by one fetch for all nodes, and never staler than anything else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hotshelf_engine::{Answer, Cache, Freshness, HotKey, HotReason, PromotionOutcome, ReadOptions};
use hotshelf_model::{
    BoxFuture, DbTime, Error, ErrorKind, Fetch, FetchRequest, Id, Key, LeaseOutcome, LeaseToken,
    Leases, NamespaceName, Origin, TierKey, TierName, Versions,
};
use hotshelf_testkit::{FakeHub, FakeLeases, FakeOrigin};
use tokio::sync::Semaphore;

use crate::shop::{Node, Shop, key, products, settled};

const LAMP: &str = r#"{"id":"lamp","price":10}"#;

fn keys(ids: &[String]) -> Vec<Key> {
    ids.iter().map(|id| key(id)).collect()
}

fn hot(cache: &Cache, id: &str) -> HotKey {
    let mut hot = cache.hot_keys().into_iter();
    hot.find(|hot| hot.key == key(id)).unwrap()
}

fn ttl(answer: &Answer) -> Duration {
    match answer.freshness() {
        Freshness::Fresh { ttl } => ttl,
        Freshness::Stale { .. } => Duration::ZERO,
    }
}

async fn held(node: &Node, id: &str) {
    node.until("the key is held", |node| hot(&node.cache, id).held)
        .await;
}

async fn promoted(node: &Node, id: &str) {
    let outcome = node.cache.promote(&[key(id)], HotReason::Detected);
    assert_eq!(outcome, [PromotionOutcome::Promoted]);
    held(node, id).await;
}

fn from_l1(document: &str) -> (String, TierName, bool) {
    (document.to_owned(), TierName::L1, true)
}

#[tokio::test(start_paused = true)]
async fn a_promoted_key_is_fetched_once_for_all_nodes_before_anybody_reads_it() {
    let shop = Shop::with_lamp();
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(shop.node().await);
    }
    for node in &nodes {
        node.cache.promote(&[key("lamp")], HotReason::Detected);
    }
    for node in &nodes {
        held(node, "lamp").await;
        assert_eq!(node.read("lamp").await, from_l1(LAMP));
        let hot = hot(&node.cache, "lamp");
        assert_eq!(
            hot.version,
            Some(shop.origin.version_of(&products(), "lamp"))
        );
        assert!(hot.bytes > 0);
    }
    assert_eq!(shop.origin.fetches(), 1);
}

/// Reads many other documents, each more than once, so that none that was read before is worth keeping.
async fn flood(node: &Node, ids: std::ops::Range<u32>) {
    let others: Vec<Key> = ids.map(|id| key(&format!("p{id}"))).collect();
    for others in others.chunks(50) {
        for _ in 0..3 {
            for answer in node.cache.get_many(others, ReadOptions::default()).await {
                answer.unwrap();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_hot_stays_when_l1_is_full_of_other_things_and_goes_when_it_is_demoted() {
    let mut shop = Shop::new();
    shop.settings.l1_bytes_max = 1 << 20;
    for id in 0..5_000 {
        shop.origin.put(&format!("p{id}"), "x".repeat(4 << 10));
    }
    let node = shop.node().await;
    let ids: Vec<String> = (0..20).map(|id| format!("p{id}")).collect();
    node.cache.promote(&keys(&ids), HotReason::Detected);
    for id in &ids {
        held(&node, id).await;
    }
    let ordinary: Vec<String> = (20..40).map(|id| format!("p{id}")).collect();
    for id in &ordinary {
        node.get(id).await.unwrap();
    }
    let in_l1 = |ids: &[String]| {
        let of_node = |id: &&String| node.cache.try_get(&key(id)).is_some();
        ids.iter().filter(of_node).count()
    };
    flood(&node, 40..2_500).await;
    assert_eq!((in_l1(&ids), in_l1(&ordinary)), (20, 0));
    node.cache.demote(&keys(&ids), HotReason::Detected);
    assert!(node.cache.hot_keys().is_empty());
    flood(&node, 2_500..5_000).await;
    assert_eq!(in_l1(&ids), 0, "what is demoted is evicted like all others");
}

#[tokio::test(start_paused = true)]
async fn beyond_its_share_of_l1_a_hot_key_is_an_ordinary_one() {
    let mut shop = Shop::new();
    shop.settings.l1_bytes_max = 1 << 20;
    let ids: Vec<String> = (0..100).map(|id| format!("p{id}")).collect();
    for id in &ids {
        shop.origin.put(id, "x".repeat(8 << 10));
    }
    let node = shop.node().await;
    node.cache.promote(&keys(&ids), HotReason::Detected);
    let share = shop.settings.l1_bytes_max / 100 * u64::from(shop.settings.hot.l1_share_percent);
    let held = |node: &Node| {
        let hot = node.cache.hot_keys().into_iter().filter(|hot| hot.held);
        hot.map(|hot| hot.bytes).collect::<Vec<u64>>()
    };
    node.until("the share is used", |node| {
        held(node).iter().sum::<u64>() > share - (16 << 10)
    })
    .await;
    assert!(held(&node).iter().sum::<u64>() <= share);
    assert!(held(&node).len() < ids.len());
}

#[tokio::test(start_paused = true)]
async fn a_hot_key_that_changes_under_ten_thousand_reads_a_second_is_one_fetch_and_no_error() {
    let shop = Shop::with_lamp();
    let hub = FakeHub::new(1);
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(Arc::new(shop.node_on(&hub).await));
    }
    for node in &nodes {
        promoted(node, "lamp").await;
    }
    for delay in [0, 1, 30] {
        shop.origin.delay(Duration::from_millis(delay));
        let before = shop.origin.fetches_of("lamp");
        let price = format!("after {delay} ms");
        shop.origin.put("lamp", price.clone());
        // Ten readers, each once a millisecond.
        let readers = (0..10).map(|reader| {
            let node = Arc::clone(&nodes[reader % 4]);
            tokio::spawn(async move {
                for _ in 0..500 {
                    let (_, _, fresh) = node.read("lamp").await;
                    assert!(fresh);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        });
        let readers: Vec<_> = readers.collect();
        for reader in readers {
            reader.await.unwrap();
        }
        for node in &nodes {
            assert_eq!(node.read("lamp").await, from_l1(&price));
        }
        assert_eq!(shop.origin.fetches_of("lamp"), before + 1, "{delay} ms");
    }
}

/// Leases that answer one node only when it is let through.
#[derive(Debug)]
struct SlowLeases {
    leases: Arc<FakeLeases>,
    asked: AtomicBool,
    turn: Semaphore,
}

impl Leases for SlowLeases {
    fn acquire_many<'a>(&'a self, keys: &'a [TierKey]) -> BoxFuture<'a, Vec<LeaseOutcome>> {
        Box::pin(async move {
            self.asked.store(true, Ordering::SeqCst);
            let _turn = self.turn.acquire().await.unwrap();
            self.leases.acquire_many(keys).await
        })
    }

    fn renew_many<'a>(&'a self, leases: &'a [(TierKey, LeaseToken)]) -> BoxFuture<'a, ()> {
        self.leases.renew_many(leases)
    }

    fn release_many<'a>(&'a self, leases: &'a [(TierKey, LeaseToken)]) -> BoxFuture<'a, ()> {
        self.leases.release_many(leases)
    }

    fn ttl(&self) -> Duration {
        self.leases.ttl()
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_gets_the_lease_after_another_is_done_finds_its_copy() {
    let shop = Shop::with_lamp();
    let quick = shop.node().await;
    let leases = Arc::new(SlowLeases {
        leases: Arc::clone(&shop.leases),
        asked: AtomicBool::new(false),
        turn: Semaphore::new(0),
    });
    let cache = Cache::builder(Arc::clone(&shop.origin) as _)
        .clock(Arc::clone(&shop.clock) as _)
        .l2(Arc::clone(&shop.l2) as _)
        .leases(Arc::clone(&leases) as _)
        .namespace(shop.namespace.clone(), Arc::clone(&shop.origin) as _)
        .start();
    let slow = shop.over(cache);
    slow.until("the node is ready", |node| node.cache.is_ready())
        .await;
    slow.cache.promote(&[key("lamp")], HotReason::Detected);
    slow.until("it has looked and wants the lease", |_| {
        leases.asked.load(Ordering::SeqCst)
    })
    .await;
    promoted(&quick, "lamp").await;
    quick
        .until("the lease is given up", |_| shop.leases.held() == 0)
        .await;
    leases.turn.add_permits(100);
    held(&slow, "lamp").await;
    assert_eq!(slow.read("lamp").await, from_l1(LAMP));
    assert_eq!(shop.origin.fetches(), 1);
    slow.until("the lease is given up", |_| shop.leases.held() == 0)
        .await;
}

#[tokio::test(start_paused = true)]
async fn after_a_change_or_a_removal_it_is_fetched_although_nobody_reads_it() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    promoted(&node, "lamp").await;
    shop.origin.put("lamp", "new");
    node.catch_up().await;
    let begun = tokio::time::Instant::now();
    held(&node, "lamp").await;
    assert!(begun.elapsed() < Duration::from_millis(20), "at once");
    assert_eq!(node.read("lamp").await, from_l1("new"));
    node.cache.remove_from_l1(&key("lamp"));
    held(&node, "lamp").await;
    assert_eq!(node.read("lamp").await, from_l1("new"));
    shop.origin.remove("lamp");
    node.catch_up().await;
    held(&node, "lamp").await;
    assert_eq!(node.read("lamp").await, from_l1(""), "its absence is held");
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_waits_for_the_keeper_waits_no_longer_than_readers_of_other_keys() {
    let mut shop = Shop::with_lamp();
    shop.settings.budget.concurrency_min = 1;
    shop.settings.budget.concurrency_max = 1;
    shop.settings.budget.documents_per_fetch_max = 1;
    let node = Arc::new(shop.node().await);
    promoted(&node, "lamp").await;
    shop.origin.requests.hold();
    let read = |id: &'static str| {
        let node = Arc::clone(&node);
        tokio::spawn(async move {
            node.get(id).await.unwrap();
            tokio::time::Instant::now()
        })
    };
    let busy = read("busy");
    node.until("the budget is used up", |_| {
        shop.origin.fetches_of("busy") == 1
    })
    .await;
    shop.origin.put("lamp", "new");
    node.catch_up().await;
    node.until("the keeper is on its way", |node| {
        node.cache.status().fills == 2
    })
    .await;
    let lamp = read("lamp");
    settled(Duration::from_millis(10)).await;
    let later = read("later");
    settled(Duration::from_millis(10)).await;
    shop.origin.delay(Duration::from_millis(100));
    shop.origin.requests.release();
    busy.await.unwrap();
    assert!(lamp.await.unwrap() < later.await.unwrap());
    assert_eq!(shop.origin.fetches_of("lamp"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_l3_holds_is_not_fetched_for_a_promotion() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    node.until("the copy is in L3", |node| node.l3.len() == 1)
        .await;
    shop.l2.clear();
    node.cache.remove_from_l1(&key("lamp"));
    promoted(&node, "lamp").await;
    assert_eq!(node.read("lamp").await, from_l1(LAMP));
    assert_eq!(shop.origin.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_is_refreshed_ahead_of_expiry_although_nobody_reads_it() {
    let shop = Shop::with_lamp();
    let nodes = [shop.node().await, shop.node().await];
    for node in &nodes {
        promoted(node, "lamp").await;
    }
    assert_eq!(shop.origin.fetches(), 1);
    shop.clock.advance(shop.namespace.policy.ttl_soft);
    for node in &nodes {
        node.catch_up().await;
    }
    nodes[0]
        .until("it is refreshed", |_| shop.origin.fetches() == 2)
        .await;
    let left = shop.namespace.policy.ttl_hard - shop.namespace.policy.ttl_soft;
    for node in &nodes {
        node.until("the new copy is there", |node| {
            let answer = node.cache.try_get(&key("lamp"));
            answer.is_some_and(|answer| ttl(&answer) > left)
        })
        .await;
    }
    assert_eq!(shop.origin.fetches(), 2, "one refresh for both nodes");
}

/// Waits until the lamp, which is hot, has been checked after a resync.
async fn resynced(shop: &Shop, node: &Node) {
    shop.lose_rows();
    node.catch_up().await;
    node.until("it is checked", |_| shop.origin.versions_calls() == 1)
        .await;
    node.until("it is fresh", |node| {
        node.cache.try_get(&key("lamp")).is_some()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn after_a_resync_it_is_checked_and_after_a_bump_fetched_although_nobody_reads_it() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    promoted(&node, "lamp").await;
    let fetches = shop.origin.fetches_of("lamp");
    resynced(&shop, &node).await;
    assert_eq!(shop.origin.fetches_of("lamp"), fetches);
    shop.origin.bump(&products());
    node.catch_up().await;
    node.until("it is fetched anew", |_| {
        shop.origin.fetches_of("lamp") == fetches + 1
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_is_down_gets_few_attempts_and_readers_of_other_keys_their_answers() {
    let mut shop = Shop::new();
    shop.settings.budget.documents_per_fetch_max = 10;
    let ids: Vec<String> = (0..200).map(|id| format!("p{id}")).collect();
    for id in &ids {
        shop.origin.put(id, id.clone());
    }
    shop.origin.put("other", "other");
    let node = shop.node().await;
    shop.origin.requests.hold();
    node.cache.promote(&keys(&ids), HotReason::Detected);
    node.until("the keeper fetches", |_| {
        shop.origin.requests.waiting() >= 2
    })
    .await;
    settled(Duration::from_secs(1)).await;
    assert_eq!(shop.origin.requests.waiting(), 2, "its share, and no more");
    shop.origin.requests.release();
    assert_eq!(node.read("other").await.0, "other");
    for id in &ids {
        held(&node, id).await;
    }
    shop.origin.fail_fetches(ErrorKind::OriginFailed);
    let fetches = shop.origin.fetches();
    for id in &ids {
        node.cache.remove_from_l1(&key(id));
    }
    shop.l2.clear();
    node.l3.clear();
    shop.l2.fail(hotshelf_model::UnavailableReason::Open);
    settled(Duration::from_secs(5)).await;
    let attempts = shop.origin.fetches() - fetches;
    assert!(attempts <= 60, "{attempts} statements for 200 keys");
    shop.origin.recover();
    shop.clock.advance(shop.settings.retry_after);
    for id in &ids {
        held(&node, id).await;
    }
}

fn midnight(shop: &Shop) -> DbTime {
    shop.origin.now().plus(Duration::from_secs(120))
}

#[tokio::test(start_paused = true)]
async fn a_thousand_prices_that_flip_at_midnight_cause_no_fetch_at_midnight() {
    let shop = Shop::new();
    let midnight = midnight(&shop);
    let ids: Vec<String> = (0..1_000).map(|id| format!("p{id}")).collect();
    for id in &ids {
        shop.origin
            .schedule(id, &[(DbTime(0), "old"), (midnight, "new")]);
    }
    let node = Arc::new(shop.node().await);
    node.cache.promote(&keys(&ids), HotReason::Detected);
    for id in &ids {
        held(&node, id).await;
    }
    let fetched = shop.origin.documents();
    node.pass(Duration::from_secs(80)).await;
    settled(Duration::from_secs(1)).await;
    assert_eq!(shop.origin.documents(), fetched, "it is too early");
    node.pass(Duration::from_secs(30)).await;
    node.until("all are fetched ahead", |_| {
        shop.origin.documents() == fetched + 1_000
    })
    .await;
    settled(Duration::from_secs(1)).await;
    assert_eq!(node.read("p7").await, from_l1("old"));
    // What is asked of the database from now on waits for ever.
    shop.origin.requests.hold();
    let left = midnight.since(shop.origin.now());
    node.pass(left - Duration::from_millis(20)).await;
    assert_eq!(
        node.read("p7").await,
        from_l1("old"),
        "not before its moment"
    );
    node.pass(Duration::from_millis(10)).await;
    for id in &ids {
        assert_eq!(node.read(id).await, from_l1("new"));
    }
    assert_eq!(shop.origin.documents(), fetched + 1_000);
}

/// A hot lamp whose next document is held.
async fn staged(shop: &Shop, midnight: DbTime) -> Node {
    shop.origin
        .schedule("lamp", &[(DbTime(0), "old"), (midnight, "new")]);
    let node = shop.node().await;
    promoted(&node, "lamp").await;
    let bytes = hot(&node.cache, "lamp").bytes;
    node.pass(Duration::from_secs(110)).await;
    node.until("the next document is held", |node| {
        hot(&node.cache, "lamp").bytes > bytes
    })
    .await;
    node
}

#[tokio::test(start_paused = true)]
async fn a_document_that_was_fetched_ahead_goes_with_the_one_that_it_was_to_follow() {
    let shop = Shop::new();
    let midnight = midnight(&shop);
    let node = staged(&shop, midnight).await;
    shop.origin
        .schedule("lamp", &[(DbTime(0), "old"), (midnight, "another")]);
    shop.origin.fail_fetches(ErrorKind::OriginFailed);
    node.catch_up().await;
    node.get("lamp").await.unwrap_err();
    node.pass(Duration::from_secs(20)).await;
    node.get("lamp").await.unwrap_err();
    shop.origin.recover();
    shop.clock.advance(shop.settings.retry_after);
    assert_eq!(node.read("lamp").await.0, "another");
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_checked_keeps_the_document_that_follows_it() {
    let shop = Shop::new();
    let midnight = midnight(&shop);
    let node = staged(&shop, midnight).await;
    resynced(&shop, &node).await;
    shop.origin.requests.hold();
    node.pass(midnight.since(shop.origin.now())).await;
    assert_eq!(node.read("lamp").await, from_l1("new"));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_ahead_gives_nobody_else_a_document_of_its_moment() {
    let mut shop = Shop::new();
    shop.settings.budget.concurrency_min = 1;
    shop.settings.budget.concurrency_max = 1;
    let midnight = midnight(&shop);
    for id in ["lamp", "vase"] {
        shop.origin
            .schedule(id, &[(DbTime(0), "old"), (midnight, "new")]);
    }
    let node = Arc::new(shop.node().await);
    for id in ["lamp", "vase"] {
        promoted(&node, id).await;
    }
    node.until("the copies are in L2", |_| shop.l2.len() == 2)
        .await;
    shop.origin.requests.hold();
    let busy = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.get("busy").await.map(drop) }
    });
    shop.origin.requests.arrived(1).await;
    shop.l2.clear();
    node.l3.clear();
    node.cache.remove_from_l1(&key("vase"));
    node.until("it is wanted anew", |node| node.cache.status().fills == 2)
        .await;
    node.pass(Duration::from_secs(110)).await;
    settled(Duration::from_millis(600)).await;
    shop.origin.requests.release();
    busy.await.unwrap().unwrap();
    held(&node, "vase").await;
    for id in ["lamp", "vase"] {
        assert_eq!(node.read(id).await, from_l1("old"));
    }
}

/// An origin that looks at no time that it is asked for.
#[derive(Debug)]
struct Timeless(Arc<FakeOrigin>);

impl Origin for Timeless {
    fn fetch_many<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Fetch, Error>> {
        self.0.fetch_many(FetchRequest {
            as_of: None,
            ..request
        })
    }

    fn versions<'a>(
        &'a self,
        namespace: &'a NamespaceName,
        ids: &'a [Id],
    ) -> BoxFuture<'a, Result<Option<Versions>, Error>> {
        self.0.versions(namespace, ids)
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_origin_says_that_does_not_look_at_the_time_is_not_held_for_later() {
    let shop = Shop::new();
    let midnight = midnight(&shop);
    shop.origin
        .schedule("lamp", &[(DbTime(0), "old"), (midnight, "new")]);
    let cache = Cache::builder(Arc::clone(&shop.origin) as _)
        .clock(Arc::clone(&shop.clock) as _)
        .namespace(
            shop.namespace.clone(),
            Arc::new(Timeless(Arc::clone(&shop.origin))),
        )
        .start();
    let node = shop.over(cache);
    node.until("the node is ready", |node| node.cache.is_ready())
        .await;
    promoted(&node, "lamp").await;
    let bytes = hot(&node.cache, "lamp").bytes;
    node.pass(Duration::from_secs(110)).await;
    node.until("it is asked ahead", |_| shop.origin.fetches_of("lamp") == 2)
        .await;
    node.pass(Duration::from_secs(1)).await;
    node.until("it is asked again", |_| shop.origin.fetches_of("lamp") == 3)
        .await;
    assert_eq!(hot(&node.cache, "lamp").bytes, bytes);
    node.pass(Duration::from_secs(20)).await;
    assert_eq!(node.read("lamp").await.0, "new");
}

#[tokio::test(start_paused = true)]
async fn what_no_reason_makes_hot() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.cache.ban([key("lamp")]);
    let elsewhere = Key::parse("nowhere//lamp").unwrap();
    let outcomes = node
        .cache
        .promote(&[key("lamp"), elsewhere], HotReason::Pinned);
    assert_eq!(
        outcomes,
        [PromotionOutcome::Banned, PromotionOutcome::Unknown]
    );
    assert!(node.cache.hot_keys().is_empty());
}
