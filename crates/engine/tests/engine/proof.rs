//! What proves an answer: no answer is called fresh that nobody proved, whatever moved while it was on its way.

use std::sync::Arc;
use std::time::Duration;

use futures_util::poll;
use hotshelf_engine::{Cache, ReadOptions};
use hotshelf_model::{
    BoxFuture, ChangeLog, DbTime, Error, ErrorKind, Hist, Id, Kind, LogRead, Poll, Position,
    TierName, VersionToken,
};
use hotshelf_testkit::FakeOrigin;
use parking_lot::Mutex;

use crate::shop::{Node, Shop, key, products, stale_by, text};

const LAMP: &str = r#"{"id":"lamp","price":10}"#;

fn wants(token: VersionToken) -> ReadOptions<'static> {
    ReadOptions {
        min_version: Some(token),
        ..ReadOptions::default()
    }
}

async fn in_l2(shop: &Shop, node: &Node, count: usize) {
    node.until("the copies are in L2", |_| shop.l2.len() == count)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_from_l2_is_labelled_while_the_nodes_proof_is_late() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    in_l2(&shop, &node, 1).await;
    shop.origin.fail(ErrorKind::OriginFailed);
    shop.clock.advance(Duration::from_secs(5));
    node.cache.remove_from_l1(&key("lamp"));
    let answer = node.get("lamp").await.unwrap();
    assert_eq!(
        (text(&answer).as_str(), answer.tier()),
        (LAMP, TierName::L2)
    );
    let by = stale_by(&answer).expect("labelled");
    assert!(
        by >= Duration::from_secs(5) && by < Duration::from_secs(6),
        "{by:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unproved_copy_from_l2_is_checked_once_the_cap_is_over() {
    let mut shop = Shop::with_lamp();
    shop.namespace.policy.stale_cap = Duration::from_secs(60);
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    in_l2(&shop, &node, 1).await;
    shop.origin.fail_polls(ErrorKind::OriginFailed);
    shop.clock.advance(Duration::from_secs(50));
    assert_eq!(node.read("lamp").await, (LAMP.into(), TierName::L1, false));
    shop.clock.advance(Duration::from_secs(50));
    assert_eq!(node.read("lamp").await, (LAMP.into(), TierName::L2, true));
    assert_eq!(
        (shop.origin.fetches(), shop.origin.versions_calls()),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_fetched_long_ago_is_labelled_when_it_comes() {
    let shop = Shop::with_lamp();
    let node = Arc::new(shop.node().await);
    shop.origin.answers.hold();
    shop.origin.fail_polls(ErrorKind::OriginFailed);
    let reader = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.get("lamp").await }
    });
    shop.origin.answers.arrived(1).await;
    shop.origin.put("lamp", "new");
    shop.clock.advance(Duration::from_secs(5));
    shop.origin.answers.release();
    let answer = reader.await.unwrap().unwrap();
    assert!(
        stale_by(&answer).is_some_and(|by| by >= Duration::from_secs(5)),
        "{:?}",
        answer.freshness()
    );
}

#[tokio::test(start_paused = true)]
async fn a_document_that_flips_while_it_is_fetched_is_fetched_again() {
    let shop = Shop::new();
    let midnight = DbTime(shop.origin.now().0 + 1_000);
    shop.origin
        .schedule("lamp", &[(DbTime(0), "old"), (midnight, "new")]);
    let node = Arc::new(shop.node().await);
    shop.origin.answers.hold();
    let reader = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.read("lamp").await }
    });
    shop.origin.answers.arrived(1).await;
    shop.clock.advance(Duration::from_millis(1_100));
    shop.origin.answers.release();
    assert_eq!(
        reader.await.unwrap(),
        ("new".to_owned(), TierName::Origin, true)
    );
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_wakes_after_a_change_does_not_get_what_landed_before_it() {
    let shop = Shop::with_lamp();
    let node = Arc::new(shop.node().await);
    shop.origin.answers.hold();
    let leader = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.read("lamp").await }
    });
    shop.origin.answers.arrived(1).await;
    let joiner = node.read("lamp");
    tokio::pin!(joiner);
    assert!(poll!(&mut joiner).is_pending());
    shop.origin.answers.release();
    assert_eq!(leader.await.unwrap().0, LAMP);
    shop.origin.put("lamp", "new");
    node.catch_up().await;
    assert_eq!(joiner.await.0, "new");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_another_products_change_overtakes_is_neither_checked_nor_repeated() {
    let shop = Shop::with_lamp();
    let node = Arc::new(shop.node().await);
    shop.origin.answers.hold();
    let reader = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.read("lamp").await }
    });
    shop.origin.answers.arrived(1).await;
    shop.origin.put("vase", "vase");
    node.catch_up().await;
    shop.origin.answers.release();
    assert_eq!(
        reader.await.unwrap(),
        (LAMP.to_owned(), TierName::Origin, true)
    );
    assert_eq!(
        node.read("lamp").await,
        (LAMP.to_owned(), TierName::L1, true)
    );
    assert_eq!(
        (shop.origin.fetches(), shop.origin.versions_calls()),
        (1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_checked_while_everything_becomes_suspect_again_is_not_fetched() {
    let shop = Shop::with_lamp();
    let node = Arc::new(shop.node().await);
    node.get("lamp").await.unwrap();
    in_l2(&shop, &node, 1).await;
    shop.lose_rows();
    node.catch_up().await;
    node.cache.remove_from_l1(&key("lamp"));
    shop.origin.answers.hold();
    let reader = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.read("lamp").await }
    });
    shop.origin.answers.arrived(1).await;
    shop.lose_rows();
    node.catch_up().await;
    shop.origin.answers.release();
    assert_eq!(reader.await.unwrap(), (LAMP.to_owned(), TierName::L2, true));
    assert_eq!(shop.origin.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_document_of_another_history_is_not_served() {
    let shop = Shop::with_lamp();
    let elsewhere = Arc::new(FakeOrigin::with_clock(Arc::clone(&shop.clock) as _));
    elsewhere.put("lamp", "of a lost branch");
    let cache = Cache::builder(Arc::clone(&shop.origin) as _)
        .clock(Arc::clone(&shop.clock) as _)
        .namespace(shop.namespace.clone(), elsewhere as _)
        .start();
    let node = shop.over(cache);
    node.catch_up().await;
    assert_eq!(
        node.get("lamp").await.unwrap_err().kind(),
        ErrorKind::OriginFailed
    );
}

#[tokio::test(start_paused = true)]
async fn a_copy_whose_history_ends_during_its_lookup_is_not_served() {
    let shop = Shop::with_lamp();
    let node = Arc::new(shop.node().await);
    node.get("lamp").await.unwrap();
    in_l2(&shop, &node, 1).await;
    node.cache.remove_from_l1(&key("lamp"));
    node.l3.clear();
    shop.l2.lookups.hold();
    let reader = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.read("lamp").await }
    });
    shop.l2.lookups.arrived(1).await;
    shop.origin.renew_hist();
    node.catch_up().await;
    shop.l2.lookups.release();
    assert_eq!(reader.await.unwrap().1, TierName::Origin);
}

#[tokio::test(start_paused = true)]
async fn a_copy_whose_history_ends_while_its_version_is_checked_is_not_served() {
    let shop = Shop::with_lamp();
    let node = Arc::new(shop.node().await);
    node.get("lamp").await.unwrap();
    shop.origin.fail_over();
    node.catch_up().await;
    shop.origin.requests.hold();
    let reader = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.read("lamp").await }
    });
    shop.origin.requests.arrived(1).await;
    shop.origin.renew_hist();
    node.catch_up().await;
    shop.origin.requests.release();
    assert_eq!(reader.await.unwrap().1, TierName::Origin);
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_an_ended_history_is_not_even_served_stale() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    shop.origin.renew_hist();
    node.catch_up().await;
    shop.origin.requests.hold();
    assert_eq!(
        node.get("lamp").await.unwrap_err().kind(),
        ErrorKind::OriginTimeout
    );
    shop.origin.requests.release();
}

#[tokio::test(start_paused = true)]
async fn in_a_new_history_too_a_stale_copy_from_l2_is_asked_for_only_once() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    shop.origin.renew_hist();
    node.catch_up().await;
    node.get("lamp").await.unwrap();
    in_l2(&shop, &node, 1).await;
    shop.origin.fail_over();
    node.catch_up().await;
    node.cache.remove_from_l1(&key("lamp"));
    shop.origin.fail_fetches(ErrorKind::OriginFailed);
    assert_eq!(node.read("lamp").await.1, TierName::L2);
    let lookups = shop.l2.get_calls();
    for _ in 0..10 {
        assert_eq!(
            node.read("lamp").await,
            (LAMP.to_owned(), TierName::L1, false)
        );
    }
    assert_eq!(shop.l2.get_calls(), lookups);
}

#[tokio::test(start_paused = true)]
async fn a_copy_from_l2_can_be_served_stale_however_often_the_log_began_anew() {
    let shop = Shop::with_lamp();
    shop.node().await.get("lamp").await.unwrap();
    let node = shop.node().await;
    in_l2(&shop, &node, 1).await;
    assert_eq!(node.read("lamp").await.1, TierName::L2);
    shop.l2.clear();
    for _ in 0..100 {
        shop.origin.fail_over();
        node.catch_up().await;
    }
    shop.origin.fail(ErrorKind::OriginFailed);
    shop.clock.advance(Duration::from_secs(10));
    let answer = node.get("lamp").await.unwrap();
    let by = stale_by(&answer).expect("labelled");
    assert!(
        by > Duration::from_secs(10) && by < Duration::from_secs(15),
        "{by:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failing_query_ends_at_the_cap_although_the_log_is_followed() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    shop.origin.fail_fetches(ErrorKind::OriginFailed);
    let policy = shop.namespace.policy;
    node.pass(policy.ttl_hard + Duration::from_secs(60)).await;
    let by = stale_by(&node.get("lamp").await.unwrap()).expect("labelled");
    assert!(
        by >= Duration::from_secs(60) && by < Duration::from_secs(62),
        "{by:?}"
    );
    node.pass(policy.stale_cap).await;
    shop.l2.clear();
    node.l3.clear();
    assert_eq!(
        node.get("lamp").await.unwrap_err().kind(),
        ErrorKind::OriginFailed
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_change_log_the_label_counts_from_the_fetch() {
    let mut shop = Shop::with_lamp();
    shop.namespace.tracked = false;
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    in_l2(&shop, &node, 1).await;
    let other = shop.node().await;
    assert_eq!(other.read("lamp").await.1, TierName::L2);
    let hard = shop.namespace.policy.ttl_hard;
    shop.clock.advance(hard + Duration::from_secs(9));
    shop.origin.fail(ErrorKind::OriginFailed);
    for node in [node, other] {
        let by = stale_by(&node.get("lamp").await.unwrap()).expect("labelled");
        assert!(by >= hard + Duration::from_secs(9), "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_cap_does_not_begin_anew_when_a_copy_is_found_again() {
    let mut shop = Shop::with_lamp();
    shop.namespace.tracked = false;
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    in_l2(&shop, &node, 1).await;
    shop.origin.fail(ErrorKind::OriginFailed);
    let policy = shop.namespace.policy;
    shop.clock
        .advance(policy.ttl_hard + policy.stale_cap - Duration::from_secs(1));
    node.cache.remove_from_l1(&key("lamp"));
    assert!(!node.read("lamp").await.2);
    shop.clock.advance(Duration::from_secs(3));
    assert_eq!(
        node.get("lamp").await.unwrap_err().kind(),
        ErrorKind::OriginFailed
    );
}

#[tokio::test(start_paused = true)]
async fn a_version_of_an_origin_without_a_change_log_has_no_timeline() {
    let mut shop = Shop::new();
    shop.origin.fail_over();
    shop.namespace.tracked = false;
    let service = Arc::new(FakeOrigin::with_clock(Arc::clone(&shop.clock) as _).without_log());
    service.put("lamp", "old");
    let cache = Cache::builder(Arc::clone(&shop.origin) as _)
        .clock(Arc::clone(&shop.clock) as _)
        .namespace(shop.namespace.clone(), Arc::clone(&service) as _)
        .start();
    let node = shop.over(cache);
    node.catch_up().await;
    assert_eq!(node.read("lamp").await.0, "old");
    let token = service.put("lamp", "new").token();
    let answer = node.cache.get(&key("lamp"), wants(token)).await.unwrap();
    assert_eq!(text(&answer), "new");
}

#[tokio::test(start_paused = true)]
async fn while_the_database_is_silent_no_version_is_called_unknown() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    let token = shop.origin.put("lamp", "new").token();
    shop.origin.fail(ErrorKind::OriginFailed);
    let error = node.cache.get(&key("lamp"), wants(token)).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::VersionTimeout);
}

#[tokio::test(start_paused = true)]
async fn l2_gives_nothing_that_l1_would_not_keep() {
    let mut shop = Shop::new();
    shop.namespace.policy.jitter_percent = 50;
    shop.namespace.policy.ttl_hard = Duration::from_secs(100);
    shop.namespace.policy.ttl_soft = Duration::from_secs(100);
    let ids: Vec<_> = (0..50).map(|id| format!("p{id}")).collect();
    let node = shop.node().await;
    for id in &ids {
        shop.origin.put(id, "document");
    }
    node.catch_up().await;
    for id in &ids {
        node.get(id).await.unwrap();
    }
    in_l2(&shop, &node, ids.len()).await;
    node.pass(Duration::from_secs(80)).await;
    for id in &ids {
        node.get(id).await.unwrap();
        assert_eq!(node.read(id).await.1, TierName::L1, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ttl_of_zero_is_served_and_asked_for_each_time() {
    let mut shop = Shop::new();
    shop.namespace.policy.ttl_absent = Duration::ZERO;
    let node = shop.node().await;
    for asked in 1..=3 {
        let answer = node.get("ghost").await.unwrap();
        assert_eq!((answer.kind(), stale_by(&answer)), (Kind::Absent, None));
        assert_eq!(shop.origin.fetches(), asked);
    }
}

#[tokio::test(start_paused = true)]
async fn a_ttl_without_an_end_is_no_overflow() {
    let mut shop = Shop::with_lamp();
    shop.namespace.policy.ttl_soft = Duration::MAX;
    shop.namespace.policy.ttl_hard = Duration::MAX;
    shop.namespace.policy.stale_cap = Duration::MAX;
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    assert_eq!(node.read("lamp").await.1, TierName::L1);
}

/// A log that panics when it is told to.
#[derive(Debug)]
struct PanickingLog {
    log: Arc<FakeOrigin>,
    panics: Mutex<bool>,
}

impl ChangeLog for PanickingLog {
    fn poll(&self, known: Position) -> BoxFuture<'_, Result<Poll, Error>> {
        assert!(!std::mem::take(&mut *self.panics.lock()), "on purpose");
        self.log.poll(known)
    }

    fn read(&self, position: Position, rows_max: usize) -> BoxFuture<'_, Result<LogRead, Error>> {
        self.log.read(position, rows_max)
    }

    fn renew_hist(&self, known: Hist) -> BoxFuture<'_, Result<(), Error>> {
        ChangeLog::renew_hist(&*self.log, known)
    }
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_panics_is_not_the_last() {
    let shop = Shop::with_lamp();
    let log = Arc::new(PanickingLog {
        log: Arc::clone(&shop.origin),
        panics: Mutex::new(true),
    });
    let cache = Cache::builder(Arc::clone(&log) as _)
        .clock(Arc::clone(&shop.clock) as _)
        .namespace(shop.namespace.clone(), Arc::clone(&shop.origin) as _)
        .start();
    shop.over(cache).catch_up().await;
    assert!(!*log.panics.lock());
}

#[tokio::test(start_paused = true)]
async fn before_the_first_proof_a_copy_from_a_tier_is_checked_by_its_version() {
    let shop = Shop::with_lamp();
    let first = shop.node().await;
    first.get("lamp").await.unwrap();
    in_l2(&shop, &first, 1).await;
    shop.origin.leave_unsettled(true);
    let second = shop.node_without_waiting();
    second
        .until("the node has polled", |node| {
            node.cache.status().position.is_some()
        })
        .await;
    assert_eq!(second.cache.status().proof_age, None);
    assert_eq!(
        second.read("lamp").await,
        (LAMP.to_owned(), TierName::L2, true)
    );
    assert_eq!(
        (shop.origin.fetches(), shop.origin.versions_calls()),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn before_the_first_poll_too_a_node_keeps_nothing_older_than_its_own_write() {
    let shop = Shop::with_lamp();
    shop.origin.fail_polls(ErrorKind::OriginFailed);
    let node = Arc::new(shop.node_without_waiting());
    shop.origin.answers.hold();
    let reader = tokio::spawn({
        let node = Arc::clone(&node);
        async move { node.read("lamp").await.0 }
    });
    shop.origin.answers.arrived(1).await;
    let version = shop.origin.put("lamp", "written here");
    node.cache
        .written(&products(), &Id::new("lamp").unwrap(), version);
    shop.origin.answers.release();
    assert_eq!(reader.await.unwrap(), "written here");
    assert_eq!(node.read("lamp").await.0, "written here");
}
