//! Lookups that wait together: who gets which reply, by when, and what is left behind.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use hotshelf_model::{BreakerState, MissReason};
use proptest::prelude::*;
use proptest::test_runner::Config;
use redis::Value;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::call::{Action, Call};
use crate::gather::{Answer, Errand};
use crate::shard::Shard;

const NOT_FOUND: Lookup = Lookup::Miss(MissReason::NotFound);

async fn connected(settings: RedisSettings) -> Arc<RedisTier> {
    let tier = connect(settings);
    answers(&tier).await;
    tier
}

fn shard(tier: &RedisTier) -> Arc<Shard> {
    let map = tier.exchange.map();
    map.shard_of("any").expect("a single Redis").clone()
}

fn ask(tier: &Arc<RedisTier>, key: &TierKey) -> JoinHandle<Lookup> {
    let (tier, key) = (tier.clone(), key.clone());
    tokio::spawn(async move { get(&tier, &key).await })
}

/// Begins a lookup of each key while Redis does not answer: the first ones take the lines, and the others are queued.
async fn ask_all(tier: &Arc<RedisTier>, keys: &[TierKey]) -> Vec<JoinHandle<Lookup>> {
    let lines = shard(tier).lines.free();
    let (first, others) = keys.split_at(lines);
    let mut asked: Vec<_> = first.iter().map(|key| ask(tier, key)).collect();
    no_line_is_free(tier).await;
    asked.extend(others.iter().map(|key| ask(tier, key)));
    queued(tier, others.len()).await;
    asked
}

async fn no_line_is_free(tier: &RedisTier) {
    wait_until_async("the lines are taken", LIMIT, async || {
        shard(tier).lines.free() == 0
    })
    .await;
}

async fn queued(tier: &RedisTier, count: usize) {
    wait_until_async("the lookups are queued", LIMIT, async || {
        shard(tier).lines.queued() == count
    })
    .await;
}

async fn all_lines_are_free(tier: &RedisTier) {
    wait_until_async("nothing is under way", LIMIT, async || {
        let shard = shard(tier);
        shard.lines.queued() == 0
            && shard.lines.free() == tier.settings.connections
            && tier.exchange.permits.available_permits() == tier.settings.ops_max
    })
    .await;
}

/// How often Redis has run a command since its statistics were reset.
fn runs(server: &RedisServer, command: &str) -> usize {
    let stats = server.command(&["INFO", "commandstats"]).unwrap();
    let beginning = format!("cmdstat_{command}:calls=");
    let line = stats.lines().find_map(|line| line.strip_prefix(&beginning));
    let count = line.and_then(|rest| rest.split(',').next());
    count.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn lookups_that_wait_together_share_exchanges_and_get_their_own_replies() {
    let (server, tier) = single().await;
    let keys = some_keys(4 + 64 + 64 + 8);
    for (number, key) in keys.iter().enumerate().step_by(2) {
        put(&tier, key, &entry(&format!("document {number}"), 1)).await;
    }
    server.command(&["CONFIG", "RESETSTAT"]).unwrap();
    server.pause();
    let asked = ask_all(&tier, &keys).await;
    server.resume();
    for (number, asked) in asked.into_iter().enumerate() {
        let expected = match number % 2 {
            0 => Lookup::Hit(entry(&format!("document {number}"), 1)),
            _ => NOT_FOUND,
        };
        assert_eq!(asked.await.unwrap(), expected, "{number}");
    }
    assert_eq!((runs(&server, "get"), runs(&server, "mget")), (4, 3));
    all_lines_are_free(&tier).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_that_waits_for_nobody_is_a_plain_get() {
    let (server, tier) = single().await;
    server.command(&["CONFIG", "RESETSTAT"]).unwrap();
    for key in some_keys(10) {
        assert_eq!(get(&tier, &key).await, NOT_FOUND);
    }
    assert_eq!((runs(&server, "get"), runs(&server, "mget")), (10, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_go_away_take_nothing_from_the_others() {
    let (server, tier) = single().await;
    let keys = some_keys(104);
    put_all(&tier, &keys, 1).await;
    server.command(&["CONFIG", "RESETSTAT"]).unwrap();
    server.pause();
    let asked = ask_all(&tier, &keys).await;
    // Every other one of those that are queued, then some that hold a line and give it to those who are left.
    let (gone, stay): (Vec<_>, Vec<_>) = asked
        .into_iter()
        .enumerate()
        .partition(|(number, _)| number % 2 == 0);
    for (_, asked) in gone.into_iter().rev() {
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
    }
    server.resume();
    for (number, asked) in stay {
        assert!(is_hit(&asked.await.unwrap()), "{number}");
    }
    all_lines_are_free(&tier).await;
    let hits = server.command(&["INFO", "stats"]).unwrap();
    let hits = hits
        .lines()
        .find_map(|line| line.strip_prefix("keyspace_hits:"));
    let hits: usize = hits.unwrap().trim().parse().unwrap();
    assert!(
        (52..=54).contains(&hits),
        "{hits}: what nobody waits for is not asked"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_have_gone_still_count_until_their_place_is_free() {
    let server = RedisServer::start().unwrap();
    let tier = connected(RedisSettings {
        connections: 1,
        ops_max: 3,
        ..patient(vec![server.url()])
    })
    .await;
    server.pause();
    let keys = some_keys(3);
    let asked = ask_all(&tier, &keys).await;
    for asked in &asked[1..] {
        asked.abort();
    }
    let busy = Some(UnavailableReason::Busy);
    assert_eq!(reason(&get(&tier, &keys[0]).await), busy);
    server.resume();
    all_lines_are_free(&tier).await;
    assert_eq!(get(&tier, &keys[0]).await, NOT_FOUND);
}

/// Looks a key up with a deadline of its own.
fn errand(tier: &Arc<RedisTier>, key: &TierKey, time: Duration) -> JoinHandle<Answer> {
    let errand = Errand {
        call: Call::new(text(key), Action::Get),
        until: Instant::now() + time,
        _permit: tier.exchange.permits.clone().try_acquire_owned().unwrap(),
    };
    let shard = shard(tier);
    tokio::spawn(async move { shard.look_up(errand).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn of_lookups_in_one_exchange_only_those_whose_deadline_passes_go_without() {
    let server = RedisServer::start().unwrap();
    let tier = connected(RedisSettings {
        connections: 1,
        ..patient(vec![server.url()])
    })
    .await;
    let keys = some_keys(3);
    server.pause();
    let alone = errand(&tier, &keys[0], Duration::from_millis(50));
    no_line_is_free(&tier).await;
    let hasty = errand(&tier, &keys[1], Duration::from_millis(100));
    queued(&tier, 1).await;
    let patient = errand(&tier, &keys[2], LIMIT);
    for late in [alone, hasty] {
        let answer = late.await.unwrap();
        assert!(
            matches!(answer, Err(UnavailableReason::Deadline)),
            "{answer:?}"
        );
    }
    server.resume();
    let answer = patient.await.unwrap();
    assert!(matches!(answer, Ok((Value::Nil, _))), "{answer:?}");
    assert_eq!(tier.status().breaker, BreakerState::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_serves_many_is_one_failure_and_a_breaker_that_opens_frees_all_who_wait() {
    let server = RedisServer::start().unwrap();
    let tier = connected(RedisSettings {
        connections: 1,
        deadline: Duration::from_millis(100),
        ..patient(vec![server.url()])
    })
    .await;
    let keys = some_keys(1 + 64 + 64 + 64);
    server.pause();
    let asked = ask_all(&tier, &keys).await;
    let begun = Instant::now();
    let mut reasons = HashMap::new();
    for asked in asked {
        let reason = reason(&asked.await.unwrap()).expect("nobody gets an answer");
        *reasons.entry(reason).or_insert(0) += 1;
    }
    assert!(begun.elapsed() < LIMIT);
    let late = reasons.remove(&UnavailableReason::Deadline).unwrap();
    let refused = reasons.remove(&UnavailableReason::Open).unwrap_or(0);
    assert_eq!(late + refused, keys.len(), "{reasons:?}");
    // Each exchange is one failure, and the third opens it.
    assert!(late <= 1 + 64 + 64, "{late} waited for the deadline");
    assert_eq!(tier.status().breaker, BreakerState::Open);
    server.resume();
    answers(&tier).await;
    all_lines_are_free(&tier).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_wait_for_a_redis_that_dies_are_answered_and_the_next_ones_too() {
    let server = RedisServer::start().unwrap();
    let tier = connected(patient(vec![server.url()])).await;
    let keys = some_keys(300);
    for _ in 0..3 {
        put_all(&tier, &keys, 1).await;
        server.pause();
        let asked = ask_all(&tier, &keys).await;
        server.kill();
        for asked in asked {
            let lookup = asked.await.unwrap();
            assert!(reason(&lookup).is_some(), "{lookup:?}");
        }
        all_lines_are_free(&tier).await;
        server.restart().unwrap();
        answers(&tier).await;
        assert_eq!(get(&tier, &keys[7]).await, NOT_FOUND);
    }
}

#[test]
fn a_runtime_that_ends_while_many_wait_leaves_no_line_taken() {
    let server = RedisServer::start().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let shard = runtime.block_on(async {
        let tier = connected(RedisSettings {
            pipeline_keys_max: 1,
            ..patient(vec![server.url()])
        })
        .await;
        server.pause();
        ask_all(&tier, &some_keys(3000)).await;
        shard(&tier)
    });
    drop(runtime);
    assert_eq!((shard.lines.queued(), shard.lines.free()), (0, 4));
    server.resume();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_is_seen_by_the_lookup_after_it_however_many_wait() {
    let (_server, tier) = single().await;
    let keys = some_keys(8);
    let writers = keys.iter().map(async |key| {
        for version in 1..50 {
            let entry = entry(&format!("version {version}"), version);
            assert_eq!(put(&tier, key, &entry).await, PutOutcome::Stored);
            assert_eq!(get(&tier, key).await, Lookup::Hit(entry));
        }
    });
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..64)
        .map(|number| {
            let (tier, key, stop) = (tier.clone(), keys[number % 8].clone(), stop.clone());
            tokio::spawn(async move {
                let mut last = 0;
                while !stop.load(Ordering::Relaxed) {
                    let version = match get(&tier, &key).await {
                        Lookup::Hit(entry) => entry.stamp.version.0,
                        lookup => {
                            assert_eq!(lookup, NOT_FOUND);
                            0
                        }
                    };
                    assert!(version >= last, "{version} after {last}");
                    last = version;
                }
            })
        })
        .collect();
    join_all(writers).await;
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}

#[test]
fn whoever_asks_at_the_same_time_gets_the_reply_for_their_own_key() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (server, tier) = runtime.block_on(single());
    let keys = some_keys(30);
    let expected: Vec<_> = (0..30)
        .map(|number| runtime.block_on(store(&server, &tier, &keys, number)))
        .collect();
    // A batch of one is a lookup of its own; several go out as they are.
    let asks = proptest::collection::vec(proptest::collection::vec(0..30_usize, 1..4), 1..200);
    proptest!(Config::with_cases(64), |(asks in asks)| {
        runtime.block_on(async {
            let asked: Vec<_> = asks.iter().map(|batch| {
                let batch: Vec<_> = batch.iter().map(|&number| keys[number].clone()).collect();
                let tier = tier.clone();
                tokio::spawn(async move { tier.get_many(&batch).await })
            }).collect();
            for (batch, asked) in asks.iter().zip(asked) {
                let lookups = asked.await.unwrap();
                prop_assert_eq!(lookups.len(), batch.len());
                for (number, lookup) in batch.iter().zip(lookups) {
                    prop_assert!(expected[*number].contains(&lookup), "{}: {:?}", number, lookup);
                }
            }
            Ok(())
        })?;
    });
}

/// Stores something of one of five kinds; answers what a lookup may say of it.
async fn store(
    server: &RedisServer,
    tier: &RedisTier,
    keys: &[TierKey],
    number: usize,
) -> Vec<Lookup> {
    let key = &keys[number];
    match number % 5 {
        0 => {
            let entry = entry(&format!("document {number}"), 1);
            put(tier, key, &entry).await;
            vec![Lookup::Hit(entry)]
        }
        1 => {
            put(tier, key, &absent(1)).await;
            vec![Lookup::Absent(absent(1))]
        }
        2 => {
            server.command(&["RPUSH", &text(key), "a"]).unwrap();
            // MGET does not tell another type from nothing.
            vec![Lookup::Miss(MissReason::UnknownFormat), NOT_FOUND]
        }
        3 => {
            server.command(&["SET", &text(key), "damaged"]).unwrap();
            // It is removed when it has been seen.
            vec![
                Lookup::Miss(MissReason::Damaged),
                Lookup::Miss(MissReason::UnknownFormat),
                NOT_FOUND,
            ]
        }
        _ => vec![NOT_FOUND],
    }
}
