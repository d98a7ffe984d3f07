//! What a node holds of a key, told without a trace.

use std::time::Duration;

use hotshelf_engine::{
    Class, CopyExplanation, Explanation, Freshness, HotReason, Standing, TierCopy,
};
use hotshelf_model::{DbTime, ErrorKind, MissReason, TierName, UnavailableReason, Version};

use crate::shop::{Node, Shop, key, products, settled};

const PATIENCE: Duration = Duration::from_millis(200);
const MISSED: TierCopy = TierCopy::Missed(MissReason::NotFound);

async fn explained(node: &Node, id: &str) -> Explanation {
    node.cache.explain(&key(id), PATIENCE).await.unwrap()
}

fn tier(explanation: &Explanation, name: TierName) -> &TierCopy {
    let mut tiers = explanation.tiers.iter();
    &tiers.find(|(tier, _)| *tier == name).unwrap().1
}

fn copy(explanation: &Explanation, name: TierName) -> &CopyExplanation {
    let held = match tier(explanation, name) {
        TierCopy::Held(copy) => Some(&**copy),
        _ => None,
    };
    held.unwrap()
}

/// The word for each tier's copy; a dash where there is none.
fn standings(explanation: &Explanation) -> String {
    let word = |(_, copy): &(TierName, TierCopy)| match copy {
        TierCopy::Held(copy) => copy.standing.as_str(),
        TierCopy::Missed(_) => "-",
        TierCopy::Unavailable(reason) => reason.as_str(),
        TierCopy::Unasked => "unasked",
    };
    let words: Vec<&str> = explanation.tiers.iter().map(word).collect();
    words.join(" ")
}

#[tokio::test(start_paused = true)]
async fn each_tier_tells_what_it_holds() {
    let mut shop = Shop::with_lamp();
    shop.settings.node = 17;
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    settled(Duration::from_millis(10)).await;
    node.pass(Duration::from_secs(1)).await;
    let told = explained(&node, "lamp").await;
    assert_eq!(standings(&told), "current current current");
    let version = shop.origin.version_of(&products(), "lamp");
    assert_eq!(
        told.recorded.as_ref().map(|recorded| recorded.version),
        Some(version)
    );
    assert_eq!(
        (told.node, told.position),
        (17, Some(shop.origin.head().position))
    );
    let policy = &shop.namespace.policy;
    let document_bytes = r#"{"id":"lamp","price":10}"#.len() as u64;
    for name in [TierName::L1, TierName::L2, TierName::L3] {
        let copy = copy(&told, name);
        assert_eq!(
            (copy.version, copy.unchanged),
            (version, Some(true)),
            "{name:?}"
        );
        assert_eq!(copy.document_bytes, document_bytes, "{name:?}");
        assert!(copy.proof_age.unwrap() < Duration::from_secs(1), "{name:?}");
        let left = policy
            .ttl_hard
            .abs_diff(copy.hard_ttl + Duration::from_secs(1));
        assert!(left < Duration::from_millis(300), "{name:?}: {left:?}");
        assert!(copy.soft_ttl < copy.hard_ttl, "{name:?}");
    }
    let l2 = copy(&told, TierName::L2);
    assert_eq!(l2.position, Some(shop.origin.head().position));
    assert_eq!(l2.facts.unwrap().node, 17);
    assert!(l2.age.unwrap() >= Duration::from_secs(1));
    assert!(copy(&told, TierName::L1).bytes > document_bytes);
}

#[tokio::test(start_paused = true)]
async fn a_look_leaves_no_trace() {
    let shop = Shop::with_lamp();
    let first = shop.node().await;
    first.get("lamp").await.unwrap();
    settled(Duration::from_millis(10)).await;
    let second = shop.node().await;
    let before = (
        shop.origin.fetches(),
        shop.l2.keys_put(),
        second.l3.keys_put(),
    );
    let told = explained(&second, "lamp").await;
    settled(Duration::from_millis(100)).await;
    assert_eq!(standings(&told), "- current -");
    assert_eq!(
        explained(&second, "no such thing").await.tiers[0],
        (TierName::L1, MISSED)
    );
    let after = (
        shop.origin.fetches(),
        shop.l2.keys_put(),
        second.l3.keys_put(),
    );
    assert_eq!(after, before);
    assert!(second.cache.try_get(&key("lamp")).is_none());
    assert!(second.l3.is_empty());
    assert_eq!(second.read("lamp").await.1, TierName::L2);
}

#[tokio::test(start_paused = true)]
async fn an_older_copy_is_refused_by_who_knows_and_unlike_the_database_for_who_does_not() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    settled(Duration::from_millis(10)).await;
    let held = shop.l2.copies();
    shop.origin.leave_unsequenced();
    let newer = shop.origin.put("lamp", "newer");
    let told = explained(&node, "lamp").await;
    assert_eq!(standings(&told), "current current current");
    assert_eq!(told.floor, Version::NONE);
    assert_eq!(copy(&told, TierName::L1).unchanged, Some(false));
    assert_eq!(told.recorded.unwrap().version, newer);
    shop.origin.sequence_at_once();
    node.catch_up().await;
    shop.l2.put_back(held);
    let told = explained(&node, "lamp").await;
    assert_eq!(
        (standings(&told).as_str(), told.floor),
        ("- refused refused", newer)
    );
    assert_eq!(copy(&told, TierName::L2).proof_age, None);
}

#[tokio::test(start_paused = true)]
async fn a_bump_refuses_every_copy_of_its_namespace() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    settled(Duration::from_millis(10)).await;
    let bump = shop.origin.bump(&products());
    node.catch_up().await;
    let told = explained(&node, "lamp").await;
    assert_eq!(standings(&told), "refused refused refused");
    assert_eq!((told.floor, told.bump), (Version::NONE, bump));
    assert_eq!(copy(&told, TierName::L2).unchanged, Some(false));
}

#[tokio::test(start_paused = true)]
async fn without_a_database_copies_get_stale_and_its_version_is_unknown() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    settled(Duration::from_millis(10)).await;
    shop.origin.fail(ErrorKind::OriginFailed);
    shop.l2.fail(UnavailableReason::Open);
    shop.clock.advance(Duration::from_secs(3));
    let told = explained(&node, "lamp").await;
    assert_eq!(standings(&told), "stale open stale");
    assert_eq!(told.recorded, None);
    assert_eq!(copy(&told, TierName::L1).unchanged, None);
    assert!(told.proof_age.unwrap() >= Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_silent_is_not_waited_for() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    shop.origin.delay(Duration::from_secs(60));
    let begun = tokio::time::Instant::now();
    assert_eq!(explained(&node, "lamp").await.recorded, None);
    assert_eq!(begun.elapsed(), PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_rows_were_lost_is_suspect() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    settled(Duration::from_millis(10)).await;
    shop.lose_rows();
    node.catch_up().await;
    let told = explained(&node, "lamp").await;
    assert_eq!(standings(&told), "suspect suspect suspect");
    assert_eq!(copy(&told, TierName::L1).unchanged, Some(true));
    assert_eq!(
        node.read("lamp").await.1,
        TierName::L1,
        "still to be checked by the first reader"
    );
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_another_history_is_called_so() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    settled(Duration::from_millis(10)).await;
    shop.origin.renew_hist();
    node.catch_up().await;
    assert_eq!(
        standings(&explained(&node, "lamp").await),
        "other_history - -"
    );
}

#[tokio::test(start_paused = true)]
async fn a_copy_whose_time_is_over_is_stale() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    settled(Duration::from_millis(10)).await;
    node.pass(shop.namespace.policy.ttl_hard).await;
    let told = explained(&node, "lamp").await;
    assert_eq!(standings(&told), "stale stale stale");
    assert_eq!(copy(&told, TierName::L3).hard_ttl, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_hot_key_says_why_and_what_it_becomes() {
    let shop = Shop::new();
    let until = shop.origin.now().plus(Duration::from_secs(20));
    let course = [(DbTime(0), "old price"), (until, "new price")];
    let version = shop.origin.schedule("lamp", &course);
    let node = shop.node().await;
    node.cache.promote(&[key("lamp")], HotReason::Pinned);
    node.cache.promote(&[key("lamp")], HotReason::Detected);
    node.until("the next price is there", |node| {
        let hot = node.cache.hot_keys();
        hot[0].held && hot[0].bytes > 0
    })
    .await;
    let mut told = explained(&node, "lamp").await;
    while copy(&told, TierName::L1).next.is_none() {
        settled(Duration::from_millis(10)).await;
        told = explained(&node, "lamp").await;
    }
    let hot = told.hot.unwrap();
    let reasons: Vec<HotReason> = hot.reasons.iter().collect();
    assert_eq!(reasons, [HotReason::Detected, HotReason::Pinned]);
    assert!(hot.has_room);
    let l1 = copy(&told, TierName::L1);
    assert_eq!(l1.valid_until, Some(until));
    let next = l1.next.unwrap();
    assert_eq!((next.version, next.valid_until), (version, None));
    node.pass(Duration::from_secs(21)).await;
    let told = explained(&node, "lamp").await;
    assert_eq!(copy(&told, TierName::L1).standing, Standing::Current);
    assert_eq!(
        copy(&told, TierName::L1).valid_until,
        None,
        "its moment has come"
    );
    node.cache.ban([key("lamp")]);
    let told = explained(&node, "lamp").await;
    assert_eq!((told.hot, told.banned), (None, true));
}

#[tokio::test(start_paused = true)]
async fn a_fill_under_way_is_told() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    shop.origin.delay(Duration::from_millis(100));
    let cache = node.cache.clone();
    let reading = tokio::spawn(async move {
        let answer = cache
            .get(&key("lamp"), hotshelf_engine::ReadOptions::default())
            .await;
        answer.unwrap().freshness()
    });
    settled(Duration::from_millis(50)).await;
    let told = node
        .cache
        .explain(&key("lamp"), Duration::from_millis(1))
        .await
        .unwrap();
    assert_eq!(told.flight, Some(Class::Interactive));
    assert!(matches!(reading.await.unwrap(), Freshness::Fresh { .. }));
    assert_eq!(explained(&node, "lamp").await.flight, None);
}
