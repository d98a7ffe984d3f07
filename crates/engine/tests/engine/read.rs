//! Where an answer comes from, and that it is current.

use std::time::Duration;

use hotshelf_engine::ReadOptions;
use hotshelf_model::{DbTime, ErrorKind, Kind, TierName, UnavailableReason, Version};

use crate::shop::{Shop, key, products, stale_by, text};

const LAMP: &str = r#"{"id":"lamp","price":10}"#;

#[tokio::test(start_paused = true)]
async fn the_first_read_asks_the_origin_and_fills_every_tier() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    assert_eq!(
        node.read("lamp").await,
        (LAMP.to_owned(), TierName::Origin, true)
    );
    assert_eq!(
        node.read("lamp").await,
        (LAMP.to_owned(), TierName::L1, true)
    );
    node.until("the copy is in L2 and L3", |node| {
        shop.l2.len() == 1 && node.l3.len() == 1
    })
    .await;
    assert_eq!(shop.origin.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_node_finds_the_copy_in_l2() {
    let shop = Shop::with_lamp();
    shop.node().await.get("lamp").await.unwrap();
    let node = shop.node().await;
    node.until("the copy is in L2", |_| shop.l2.len() == 1)
        .await;
    assert_eq!(
        node.read("lamp").await,
        (LAMP.to_owned(), TierName::L2, true)
    );
    assert_eq!(shop.origin.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn l3_answers_while_l2_is_down() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    node.until("the copy is in L3", |node| node.l3.len() == 1)
        .await;
    for reason in UnavailableReason::ALL {
        shop.l2.fail(reason);
        node.cache.remove_from_l1(&key("lamp"));
        assert_eq!(
            node.read("lamp").await,
            (LAMP.to_owned(), TierName::L3, true)
        );
    }
    assert_eq!(shop.origin.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_l2_is_not_waited_for_when_l3_has_the_copy() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    node.until("the copy is in L3", |node| node.l3.len() == 1)
        .await;
    node.cache.remove_from_l1(&key("lamp"));
    shop.l2.lookups.hold();
    assert_eq!(node.read("lamp").await.1, TierName::L3);
    shop.l2.lookups.release();
}

#[tokio::test(start_paused = true)]
async fn with_every_tier_down_reads_come_from_the_origin() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    shop.l2.fail(UnavailableReason::Failed);
    node.l3.fail(UnavailableReason::Failed);
    shop.leases.fail();
    assert_eq!(
        node.read("lamp").await,
        (LAMP.to_owned(), TierName::Origin, true)
    );
}

#[tokio::test(start_paused = true)]
async fn a_damaged_copy_is_a_miss() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    node.until("the copy is in both tiers", |node| {
        shop.l2.len() == 1 && node.l3.len() == 1
    })
    .await;
    assert!(shop.l2.damage(&shop.tier_key("lamp")) && node.l3.damage(&shop.tier_key("lamp")));
    node.cache.remove_from_l1(&key("lamp"));
    assert_eq!(
        node.read("lamp").await,
        (LAMP.to_owned(), TierName::Origin, true)
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_is_seen_once_the_log_is_polled_and_costs_the_others_only_a_version() {
    let shop = Shop::with_lamp();
    for id in 0..50 {
        shop.origin.put(&format!("p{id}"), format!("{id}"));
    }
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    for id in 0..50 {
        node.get(&format!("p{id}")).await.unwrap();
    }
    let fetched = shop.origin.documents();
    shop.origin.put("lamp", "new");
    node.catch_up().await;
    assert_eq!(
        node.read("lamp").await,
        ("new".to_owned(), TierName::Origin, true)
    );
    for id in 0..50 {
        assert_eq!(
            node.read(&format!("p{id}")).await,
            (id.to_string(), TierName::L1, true)
        );
    }
    assert_eq!(shop.origin.documents(), fetched + 1);
}

#[tokio::test(start_paused = true)]
async fn a_copy_in_l2_from_before_a_change_is_checked_by_its_version() {
    let shop = Shop::with_lamp();
    shop.origin.put("vase", "vase 1");
    let first = shop.node().await;
    first.get("lamp").await.unwrap();
    first.get("vase").await.unwrap();
    first
        .until("both copies are in L2", |_| shop.l2.len() == 2)
        .await;
    shop.origin.put("vase", "vase 2");
    let second = shop.node().await;
    assert_eq!(
        second.read("vase").await,
        ("vase 2".to_owned(), TierName::Origin, true)
    );
    assert_eq!(
        second.read("lamp").await,
        (LAMP.to_owned(), TierName::L2, true)
    );
    assert_eq!(shop.origin.fetches_of("lamp"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bump_of_the_namespace_fetches_everything_again() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    shop.origin.bump(&products());
    node.catch_up().await;
    assert_eq!(node.read("lamp").await.1, TierName::Origin);
    assert_eq!(shop.origin.fetches_of("lamp"), 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_failover_copies_are_checked_and_kept() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    shop.origin.fail_over();
    node.catch_up().await;
    assert_eq!(
        node.read("lamp").await,
        (LAMP.to_owned(), TierName::L1, true)
    );
    assert_eq!(shop.origin.fetches_of("lamp"), 1);
}

#[tokio::test(start_paused = true)]
async fn copies_of_another_history_are_never_found() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    node.until("the copy is in L2", |_| shop.l2.len() == 1)
        .await;
    shop.origin.renew_hist();
    node.catch_up().await;
    assert_eq!(node.read("lamp").await.1, TierName::Origin);
}

#[tokio::test(start_paused = true)]
async fn an_absent_product_is_remembered_until_it_is_created() {
    let shop = Shop::new();
    let node = shop.node().await;
    for _ in 0..3 {
        assert_eq!(node.get("ghost").await.unwrap().kind(), Kind::Absent);
    }
    assert_eq!(shop.origin.fetches(), 1);
    shop.origin.put("ghost", "boo");
    node.catch_up().await;
    assert_eq!(
        node.read("ghost").await,
        ("boo".to_owned(), TierName::Origin, true)
    );
    let deleted = shop.origin.remove("ghost");
    node.catch_up().await;
    let answer = node.get("ghost").await.unwrap();
    assert_eq!((answer.kind(), answer.version()), (Kind::Absent, deleted));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_ids_evicts_no_document() {
    let mut shop = Shop::with_lamp();
    shop.settings.l1_bytes_max = 64 << 10;
    shop.settings.absent_bytes_max = 16 << 10;
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    for id in 0..2_000 {
        node.get(&format!("unknown-{id}")).await.unwrap();
    }
    let fetches = shop.origin.fetches_of("lamp");
    assert_eq!(node.read("lamp").await.1, TierName::L1);
    assert_eq!(shop.origin.fetches_of("lamp"), fetches);
}

#[tokio::test(start_paused = true)]
async fn no_old_document_is_fresh_from_the_moment_on_at_which_it_changes_without_a_write() {
    let shop = Shop::new();
    let midnight = DbTime(shop.origin.now().0 + 60_000);
    for id in 0..1_000 {
        shop.origin
            .schedule(&format!("p{id}"), &[(DbTime(0), "old"), (midnight, "new")]);
    }
    let node = shop.node().await;
    for id in 0..1_000 {
        assert_eq!(node.read(&format!("p{id}")).await.0, "old");
    }
    node.until("L2 has all copies", |_| shop.l2.len() == 1_000)
        .await;
    node.pass(Duration::from_secs(55)).await;
    assert_eq!(
        node.read("p0").await,
        ("old".to_owned(), TierName::L1, true)
    );
    node.pass(Duration::from_secs(5)).await;
    for id in 0..1_000 {
        assert_eq!(node.read(&format!("p{id}")).await.0, "new");
    }
    assert_eq!(shop.node().await.read("p1").await.0, "new");
}

#[tokio::test(start_paused = true)]
async fn a_read_with_a_version_gets_that_version_or_a_newer_one_before_the_log_is_polled() {
    let mut shop = Shop::with_lamp();
    shop.settings.poll_interval = Duration::from_secs(3600);
    let node = shop.node().await;
    node.get("lamp").await.unwrap();
    let version = shop.origin.put("lamp", "new");
    assert_eq!(
        node.read("lamp").await.0,
        LAMP,
        "the node has not polled yet"
    );
    let options = ReadOptions {
        min_version: Some(version.token()),
        ..ReadOptions::default()
    };
    let answer = node.cache.get(&key("lamp"), options).await.unwrap();
    assert_eq!((text(&answer).as_str(), answer.version()), ("new", version));
    assert_eq!(node.read("lamp").await.0, "new");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_was_never_given_out_is_refused_and_fetches_nothing() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    let current = node.get("lamp").await.unwrap().version();
    let fetches = shop.origin.fetches();
    let unknown = Version(current.0 + 1_000_000).token();
    let options = ReadOptions {
        min_version: Some(unknown),
        ..ReadOptions::default()
    };
    let error = node.cache.get(&key("lamp"), options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::VersionUnknown);
    assert_eq!(shop.origin.fetches(), fetches);
}

#[tokio::test(start_paused = true)]
async fn the_version_of_another_product_is_given_up_soon() {
    let shop = Shop::with_lamp();
    let newer = shop.origin.put("vase", "vase");
    let node = shop.node().await;
    let options = ReadOptions {
        min_version: Some(newer.token()),
        ..ReadOptions::default()
    };
    let error = node.cache.get(&key("lamp"), options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::VersionTimeout);
    assert!(shop.origin.fetches() <= 3);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_namespace_is_an_error_of_its_own() {
    let shop = Shop::new();
    let node = shop.node().await;
    let other = hotshelf_model::NamespaceName::new("cards").unwrap();
    let id = hotshelf_model::Id::new("1").unwrap();
    let key = hotshelf_model::Key::new(&other, &id, &hotshelf_model::Variant::default());
    let error = node
        .cache
        .get(&key, ReadOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownNamespace);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_answer_says_how_long_and_since_when() {
    let shop = Shop::with_lamp();
    let node = shop.node().await;
    let answer = node.get("lamp").await.unwrap();
    assert_eq!(stale_by(&answer), None);
    node.pass(Duration::from_secs(100)).await;
    let answer = node.get("lamp").await.unwrap();
    assert!(
        answer.age() < Duration::from_secs(1),
        "each proof of the node renews it"
    );
    let hotshelf_engine::Freshness::Fresh { ttl } = answer.freshness() else {
        panic!("fresh")
    };
    let hard = shop.namespace.policy.ttl_hard;
    assert!(
        ttl < hard - Duration::from_secs(90) && ttl > hard - Duration::from_secs(110),
        "{ttl:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_read_once_does_not_drive_out_what_is_read_again_and_again() {
    let mut shop = Shop::new();
    shop.settings.l1_bytes_max = 64 << 10;
    for id in 0..1_000 {
        shop.origin.put(&format!("p{id}"), "document");
    }
    let node = shop.node().await;
    let popular: Vec<_> = (0..20).map(|id| format!("p{id}")).collect();
    for id in 20..200 {
        node.get(&format!("p{id}")).await.unwrap();
    }
    for _ in 0..4 {
        for id in &popular {
            node.get(id).await.unwrap();
        }
    }
    for id in 200..1_000 {
        node.get(&format!("p{id}")).await.unwrap();
    }
    let kept = popular
        .iter()
        .filter(|id| node.cache.try_get(&key(id)).is_some());
    assert_eq!(kept.count(), popular.len());
}
