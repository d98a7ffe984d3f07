//! What is served when the origin has no answer: labelled, within the cap, and without asking it once per read.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_model::{ErrorKind, TierName, UnavailableReason};

use crate::shop::{Shop, key, stale_by, text};

const LAMP: &str = r#"{"id":"lamp","price":10}"#;

#[tokio::test(start_paused = true)]
async fn a_late_proof_labels_the_hits_and_costs_the_database_nothing() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    shop.origin.fail(ErrorKind::OriginFailed);
    shop.clock.advance(Duration::from_secs(5));
    let fetches = shop.origin.fetches();
    for _ in 0..1_000 {
        let answer = node.get("lamp").await.unwrap();
        assert_eq!(
            (text(&answer).as_str(), answer.tier()),
            (LAMP, TierName::L1)
        );
        let by = stale_by(&answer).expect("labelled");
        assert!(
            by >= Duration::from_secs(5) && by < Duration::from_secs(7),
            "{by:?}"
        );
    }
    assert_eq!(
        (shop.origin.fetches(), shop.origin.versions_calls()),
        (fetches, 0)
    );
    shop.origin.recover();
    node.catch_up().await;
    assert_eq!(
        node.read("lamp").await,
        (LAMP.to_owned(), TierName::L1, true)
    );
}

#[tokio::test(start_paused = true)]
async fn within_the_staleness_bound_nothing_is_labelled() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    shop.origin.fail(ErrorKind::OriginFailed);
    shop.clock.advance(Duration::from_millis(1500));
    assert_eq!(
        node.read("lamp").await,
        (LAMP.to_owned(), TierName::L1, true)
    );
}

#[tokio::test(start_paused = true)]
async fn an_expired_copy_is_served_up_to_the_cap_and_then_no_longer() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    node.pass(shop.namespace.policy.ttl_hard).await;
    shop.origin.fail(ErrorKind::OriginFailed);
    shop.clock.advance(Duration::from_secs(60));
    assert_eq!(
        node.read("lamp").await,
        (LAMP.to_owned(), TierName::L1, false)
    );
    shop.clock.advance(shop.namespace.policy.stale_cap);
    shop.l2.clear();
    node.l3.clear();
    assert_eq!(
        node.get("lamp").await.unwrap_err().kind(),
        ErrorKind::OriginFailed
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_key_is_left_alone_for_a_while() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    node.pass(shop.namespace.policy.ttl_hard).await;
    shop.origin.fail_fetches(ErrorKind::OriginFailed);
    let fetches = shop.origin.fetches();
    for _ in 0..100 {
        assert_eq!(
            node.read("lamp").await,
            (LAMP.to_owned(), TierName::L1, false)
        );
    }
    assert!(shop.origin.fetches() <= fetches + 1);
    node.pass(shop.settings.retry_after * 2).await;
    node.read("lamp").await;
    assert_eq!(
        shop.origin.fetches(),
        fetches + 2,
        "asked again after the pause"
    );
    shop.origin.recover();
    node.pass(shop.settings.retry_after * 2).await;
    assert!(node.read("lamp").await.2);
}

#[tokio::test(start_paused = true)]
async fn a_cold_node_serves_what_l2_holds_while_the_database_is_down() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    node.until("the copy is in L2", |_| shop.l2.len() == 1)
        .await;
    let cold = shop.node().await;
    shop.origin.fail_over();
    cold.catch_up().await;
    shop.origin.fail(ErrorKind::OriginFailed);
    assert_eq!(
        cold.read("lamp").await,
        (LAMP.to_owned(), TierName::L2, false)
    );
    assert_eq!(
        cold.get("never seen").await.unwrap_err().kind(),
        ErrorKind::OriginFailed
    );
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_hangs_delays_a_reader_with_a_copy_only_a_little() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    node.pass(shop.namespace.policy.ttl_hard).await;
    shop.origin.requests.hold();
    let begun = tokio::time::Instant::now();
    assert_eq!(
        node.read("lamp").await,
        (LAMP.to_owned(), TierName::L1, false)
    );
    assert!(begun.elapsed() <= shop.settings.stale_after * 2);
    shop.origin.requests.release();
}

#[tokio::test(start_paused = true)]
async fn without_a_copy_a_failing_origin_is_an_error_with_its_kind() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    shop.origin.fail(ErrorKind::OriginFailed);
    assert_eq!(
        node.get("lamp").await.unwrap_err().kind(),
        ErrorKind::OriginFailed
    );
    shop.origin.recover();
    shop.origin.requests.hold();
    assert_eq!(
        node.get("lamp").await.unwrap_err().kind(),
        ErrorKind::OriginTimeout
    );
    shop.origin.requests.release();
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_could_not_be_asked_is_asked_again_before_a_read_fails() {
    let shop = Shop::with_lamp();
    let node = Arc::new(shop.node().await);
    node.get("lamp").await.unwrap();
    node.until("the copy is in L2 and L3", |node| {
        shop.l2.len() == 1 && node.l3.len() == 1
    })
    .await;
    for tier in [&shop.l2, &node.l3] {
        node.cache.remove_from_l1(&key("lamp"));
        shop.origin.fail_fetches(ErrorKind::OriginFailed);
        shop.origin.requests.hold();
        shop.l2.fail(UnavailableReason::Deadline);
        node.l3.fail(UnavailableReason::Deadline);
        let reader = tokio::spawn({
            let node = Arc::clone(&node);
            async move { node.read("lamp").await }
        });
        shop.origin.requests.arrived(1).await;
        tier.recover();
        shop.origin.requests.release();
        assert_eq!(reader.await.unwrap().0, LAMP);
    }
}
