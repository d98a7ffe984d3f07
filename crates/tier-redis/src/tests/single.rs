//! One Redis that works: what is written, what is read, and what is refused.

use hotshelf_model::{BreakerState, MissReason, Shape};
use hotshelf_testkit::conformance;

use super::*;

const NOT_FOUND: Lookup = Lookup::Miss(MissReason::NotFound);

#[tokio::test(flavor = "multi_thread")]
async fn a_single_redis_passes_the_suite_of_every_tier() {
    let (_server, tier) = single().await;
    conformance::tier(async || tier.clone() as Arc<dyn Tier>).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_is_fenced_and_an_equal_one_refreshes_the_proof() {
    let (_server, tier) = single().await;
    let key = one_key();
    assert_eq!(put(&tier, &key, &entry("new", 9)).await, PutOutcome::Stored);
    assert_eq!(put(&tier, &key, &entry("old", 8)).await, PutOutcome::Fenced);
    assert_eq!(put(&tier, &key, &absent(8)).await, PutOutcome::Fenced);
    assert_eq!(put(&tier, &key, &entry("new", 9)).await, PutOutcome::Stored);
    assert_eq!(get(&tier, &key).await, Lookup::Hit(entry("new", 9)));
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_expire_and_absent_ones_sooner() {
    let (server, tier) = single().await;
    let keys = some_keys(2);
    put(&tier, &keys[0], &entry("{}", 1)).await;
    put(&tier, &keys[1], &absent(1)).await;
    let pttl = |key: &TierKey| -> u64 {
        let answer = server.command(&["PTTL", &text(key)]).unwrap();
        answer.parse().unwrap()
    };
    let (present, absent) = (24 * 3_600_000, 600_000);
    assert!((present - 60_000..=present).contains(&pttl(&keys[0])));
    assert!((absent - 60_000..=absent).contains(&pttl(&keys[1])));
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_above_the_threshold_are_compressed() {
    let (server, tier) = single().await;
    let keys = some_keys(2);
    let (small, large) = ("x".repeat(4095), "x".repeat(4096));
    put(&tier, &keys[0], &entry(&small, 1)).await;
    put(&tier, &keys[1], &entry(&large, 1)).await;
    let length = |key: &TierKey| -> usize {
        let answer = server.command(&["STRLEN", &text(key)]).unwrap();
        answer.parse().unwrap()
    };
    assert!(length(&keys[0]) > 4095);
    assert!(length(&keys[1]) < 300);
    let Lookup::Hit(found) = get(&tier, &keys[1]).await else {
        panic!("a compressed document is found");
    };
    assert_eq!(found.body().identity, large);
    assert!(found.body().zstd.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_too_large_is_declined_and_its_neighbours_are_not() {
    let server = RedisServer::start().unwrap();
    let tier = connect(RedisSettings {
        value_bytes_max: 500,
        ..patient(vec![server.url()])
    });
    answers(&tier).await;
    let keys = some_keys(3);
    let entries = [
        (keys[0].clone(), entry("small", 1)),
        (keys[1].clone(), entry(&"large".repeat(100), 1)),
        (keys[2].clone(), entry("small", 1)),
    ];
    let outcomes = tier.put_many(&entries).await;
    let (stored, declined) = (PutOutcome::Stored, PutOutcome::Declined);
    assert_eq!(outcomes, [stored, declined, stored]);
    assert_eq!(get(&tier, &keys[1]).await, NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_script_is_sent_again_within_the_batch() {
    let (server, tier) = single().await;
    for version in 1..4 {
        server.command(&["SCRIPT", "FLUSH"]).unwrap();
        put_all(&tier, &some_keys(150), version).await;
    }
    server.command(&["SCRIPT", "FLUSH"]).unwrap();
    let key = one_key();
    assert_eq!(put(&tier, &key, &entry("{}", 1)).await, PutOutcome::Stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_bytes_are_a_miss_and_make_room_for_a_fill() {
    let (server, tier) = single().await;
    let key = one_key();
    put(&tier, &key, &entry("{\"id\":\"P-1\"}", 5)).await;
    // The first byte of the version: read as a stamp, these bytes would fence every put.
    server
        .command(&["SETRANGE", &text(&key), "12", "\u{7f}"])
        .unwrap();
    let newer = entry("{}", 6);
    assert_eq!(put(&tier, &key, &newer).await, PutOutcome::Fenced);
    let damaged = Lookup::Miss(MissReason::Damaged);
    assert_eq!(get(&tier, &key).await, damaged);
    wait_until_async("the damaged copy is removed", LIMIT, async || {
        get(&tier, &key).await == NOT_FOUND
    })
    .await;
    assert_eq!(put(&tier, &key, &newer).await, PutOutcome::Stored);
    assert_eq!(get(&tier, &key).await, Lookup::Hit(newer));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_anything_else_are_a_miss_with_a_reason_and_are_replaced() {
    let (server, tier) = single().await;
    for (bytes, expected) in [
        ("", MissReason::Damaged),
        ("abc", MissReason::Damaged),
        (
            "not an envelope, but long enough",
            MissReason::UnknownFormat,
        ),
    ] {
        let key = one_key();
        server.command(&["SET", &text(&key), bytes]).unwrap();
        assert_eq!(get(&tier, &key).await, Lookup::Miss(expected), "{bytes:?}");
        let stored = put(&tier, &key, &entry("{}", 1)).await;
        assert_eq!(stored, PutOutcome::Stored, "{bytes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_another_key_are_a_miss() {
    let (server, tier) = single().await;
    let keys = some_keys(2);
    put(&tier, &keys[0], &entry("{}", 1)).await;
    server
        .command(&["COPY", &text(&keys[0]), &text(&keys[1])])
        .unwrap();
    let lookup = get(&tier, &keys[1]).await;
    assert_eq!(lookup, Lookup::Miss(MissReason::WrongKey));
    assert!(is_hit(&get(&tier, &keys[0]).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_another_type_is_a_miss_and_is_replaced() {
    let (server, tier) = single().await;
    let keys = some_keys(2);
    for key in &keys {
        server.command(&["RPUSH", &text(key), "a", "b"]).unwrap();
    }
    let one = get(&tier, &keys[0]).await;
    assert_eq!(one, Lookup::Miss(MissReason::UnknownFormat));
    let both = tier.get_many(&keys).await;
    assert!(both.iter().all(|lookup| matches!(lookup, Lookup::Miss(_))));
    put_all(&tier, &keys, 1).await;
    assert!(tier.get_many(&keys).await.iter().all(is_hit));
    assert_eq!(tier.status().breaker, BreakerState::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_redis_refuses_puts_and_still_answers_lookups() {
    let server = RedisServer::start_with(&["--maxmemory-policy", "noeviction"]).unwrap();
    let tier = connect(patient(vec![server.url()]));
    answers(&tier).await;
    let key = one_key();
    put(&tier, &key, &entry("{}", 1)).await;
    server
        .command(&["CONFIG", "SET", "maxmemory", "1"])
        .unwrap();
    for key in some_keys(5) {
        let outcome = put(&tier, &key, &entry("{}", 1)).await;
        assert_eq!(outcome, PutOutcome::Unavailable(UnavailableReason::Failed));
        assert_eq!(get(&tier, &key).await, NOT_FOUND);
    }
    assert!(is_hit(&get(&tier, &key).await));
    assert_eq!(tier.status().breaker, BreakerState::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shops_own_prefix_keeps_its_keys_apart() {
    let (server, tier) = single().await;
    let other = connect(RedisSettings {
        prefix: "shop2".to_owned(),
        ..patient(vec![server.url()])
    });
    answers(&other).await;
    let key = one_key();
    put(&tier, &key, &entry("{}", 1)).await;
    assert_eq!(get(&other, &key).await, NOT_FOUND);
    put(&other, &key, &entry("{}", 1)).await;
    let mut shaped = key.clone();
    shaped.shape = Shape(1);
    assert_eq!(get(&other, &shaped).await, NOT_FOUND);
    let names = server.command(&["KEYS", "*"]).unwrap();
    let mut names: Vec<&str> = names.lines().collect();
    names.sort_unstable();
    assert_eq!(names, [format!("hs:{key}"), format!("shop2:{key}")]);
}
