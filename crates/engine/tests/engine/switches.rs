//! What is switched off is not asked, what is held is served, and nothing is left behind when it is switched on again.

use std::time::Duration;

use hotshelf_engine::{HotReason, Part, Switches};
use hotshelf_model::{ErrorKind, TierName};

use crate::shop::{Shop, key, settled, stale_by};

const LAMP: &str = r#"{"id":"lamp","price":10}"#;
const BEYOND_ANY_CAP: Duration = Duration::from_secs(30 * 86_400);

fn off(part: Part) -> Switches {
    Switches::default().with_off(part)
}

fn lamp(tier: TierName, fresh: bool) -> (String, TierName, bool) {
    (LAMP.to_owned(), tier, fresh)
}

#[tokio::test(start_paused = true)]
async fn without_the_origin_what_is_held_is_served_labelled_beyond_every_cap() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    node.cache.set_switches(off(Part::Origin));
    assert_eq!(node.read("lamp").await, lamp(TierName::L1, true));
    let (fetches, versions) = (shop.origin.fetches(), shop.origin.versions_calls());
    node.pass(BEYOND_ANY_CAP).await;
    let answer = node.get("lamp").await.unwrap();
    assert_eq!(answer.tier(), TierName::L1);
    let by = stale_by(&answer).expect("labelled");
    assert!(by > shop.namespace.policy.stale_cap, "{by:?}");
    let error = node.get("chair").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OriginOff);
    shop.lose_rows();
    node.catch_up().await;
    node.get("lamp").await.unwrap();
    assert_eq!(
        (shop.origin.fetches(), shop.origin.versions_calls()),
        (fetches, versions),
        "neither documents nor versions"
    );
    node.cache.set_switches(Switches::default());
    node.pass(shop.settings.retry_after * 2).await;
    assert_eq!(node.read("lamp").await, lamp(TierName::Origin, true));
}

#[tokio::test(start_paused = true)]
async fn without_the_origin_a_copy_that_is_known_to_be_outdated_is_not_served() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    node.cache.set_switches(off(Part::Origin));
    shop.origin.put("lamp", r#"{"id":"lamp","price":11}"#);
    node.catch_up().await;
    let error = node.get("lamp").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OriginOff);
}

#[tokio::test(start_paused = true)]
async fn without_l2_neither_it_nor_its_leases_are_asked() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.cache.set_switches(off(Part::L2));
    assert_eq!(node.read("lamp").await, lamp(TierName::Origin, true));
    settled(Duration::from_secs(1)).await;
    assert_eq!((shop.l2.len(), shop.l2.get_calls()), (0, 0));
    assert_eq!(shop.leases.acquired(), 0);
    node.cache.remove_from_l1(&key("lamp"));
    assert_eq!(node.read("lamp").await.1, TierName::L3, "which is on");
    node.cache.set_switches(Switches::default());
    shop.origin.put("chair", "{}");
    node.catch_up().await;
    node.get("chair").await.unwrap();
    node.until("the copy is in L2", |_| shop.l2.len() == 1)
        .await;
}

#[tokio::test(start_paused = true)]
async fn without_l3_it_is_neither_read_nor_written() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.cache.set_switches(off(Part::L3).with_off(Part::L2));
    for _ in 0..2 {
        assert_eq!(node.read("lamp").await, lamp(TierName::Origin, true));
        settled(Duration::from_secs(1)).await;
        node.cache.remove_from_l1(&key("lamp"));
    }
    assert_eq!((node.l3.len(), node.l3.get_calls()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn without_refreshes_a_copy_is_replaced_when_it_is_over() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    node.cache.set_switches(off(Part::Refresh));
    node.cache.promote(&[key("lamp")], HotReason::Pinned);
    let fetches = shop.origin.fetches();
    node.pass(shop.namespace.policy.ttl_soft + Duration::from_secs(1))
        .await;
    assert_eq!(node.read("lamp").await, lamp(TierName::L1, true));
    settled(Duration::from_secs(1)).await;
    assert_eq!(shop.origin.fetches(), fetches);
    node.cache.set_switches(Switches::default());
    node.until("the keeper refreshes it", |_| {
        shop.origin.fetches() > fetches
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn another_stale_cap_holds_until_it_is_taken_back() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    let minute = Duration::from_secs(60);
    let switches = Switches::default().with_stale_cap(minute);
    node.cache.set_switches(switches);
    assert_eq!(node.cache.switches(), switches);
    shop.l2.clear();
    node.l3.clear();
    node.pass(shop.namespace.policy.ttl_hard + minute * 2).await;
    shop.origin.fail_fetches(ErrorKind::OriginFailed);
    assert!(node.get("lamp").await.is_err());
    node.cache.set_switches(Switches::default());
    assert_eq!(node.read("lamp").await, lamp(TierName::L1, false));
}
