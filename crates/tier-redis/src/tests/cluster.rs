//! A Redis Cluster of three: routing, redirections, and one shard that fails alone.

use hotshelf_model::{BreakerState, LeaseOutcome, Leases, MissReason};
use hotshelf_testkit::conformance;

use super::*;
use crate::slot;

/// A hung shard stays in the map, and the others go on serving their slots.
const PATIENT: [&str; 4] = [
    "--cluster-node-timeout",
    "60000",
    "--cluster-require-full-coverage",
    "no",
];

/// Which node has a key's slot, as `RedisCluster` deals the slots out.
fn node_of(key: &TierKey) -> usize {
    let slot = usize::from(slot::of(text(key).as_bytes()));
    (0..3)
        .rev()
        .find(|node| slot >= 16_384 * node / 3)
        .unwrap_or_default()
}

fn keys_of(node: usize, count: usize) -> Vec<TierKey> {
    let all = some_keys(count * 20);
    let keys = all.into_iter().filter(|key| node_of(key) == node);
    let keys: Vec<_> = keys.take(count).collect();
    assert_eq!(keys.len(), count);
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_passes_the_suite_of_every_tier() {
    let (_cluster, tier) = cluster_with(&[]).await;
    conformance::tier(async || tier.clone() as Arc<dyn Tier>).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_seed_finds_the_whole_cluster_and_a_batch_meets_every_shard() {
    let cluster = RedisCluster::start().unwrap();
    let tier = connect(RedisSettings {
        cluster: true,
        ..patient(vec![cluster.urls().remove(1)])
    });
    answers(&tier).await;
    let keys = some_keys(200);
    put_all(&tier, &keys, 1).await;
    for node in cluster.nodes() {
        let count: usize = node.command(&["DBSIZE"]).unwrap().parse().unwrap();
        assert!((30..120).contains(&count), "{count} keys on one of three");
        node.command(&["SCRIPT", "FLUSH"]).unwrap();
    }
    assert!(tier.get_many(&keys).await.iter().all(is_hit));
    put_all(&tier, &keys, 2).await;
    tier.remove_many(&keys).await;
    let gone = Lookup::Miss(MissReason::NotFound);
    assert!(tier.get_many(&keys).await.iter().all(|one| *one == gone));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_shard_opens_its_own_breaker_and_the_others_go_on() {
    let (cluster, tier) = {
        let cluster = RedisCluster::start_with(&PATIENT).unwrap();
        let tier = connect(RedisSettings {
            deadline: Duration::from_millis(200),
            ..patient(cluster.urls())
        });
        answers(&tier).await;
        (cluster, tier)
    };
    let (hung, well) = (keys_of(0, 1).remove(0), keys_of(1, 20));
    put_all(&tier, &well, 1).await;
    cluster.nodes()[0].pause();
    wait_until_async("the hung shard's breaker opens", LIMIT, async || {
        reason(&get(&tier, &hung).await) == Some(UnavailableReason::Open)
    })
    .await;
    assert_eq!(tier.status().breaker, BreakerState::Open);
    let mut mixed = well.clone();
    mixed.push(hung.clone());
    let lookups = tier.get_many(&mixed).await;
    assert!(lookups[..20].iter().all(is_hit), "{lookups:?}");
    assert!(reason(&lookups[20]).is_some());
    cluster.nodes()[0].resume();
    wait_until_async("the hung shard is back", LIMIT, async || {
        get(&tier, &hung).await == Lookup::Miss(MissReason::NotFound)
    })
    .await;
    assert_eq!(tier.status().breaker, BreakerState::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_shard_is_back_after_its_restart_without_help() {
    let (cluster, tier) = cluster_with(&[]).await;
    let keys = some_keys(60);
    put_all(&tier, &keys, 1).await;
    cluster.nodes()[2].kill();
    wait_until_async("the cluster is known to be down", LIMIT, async || {
        tier.get_many(&keys).await;
        tier.status().breaker != BreakerState::Closed
    })
    .await;
    cluster.nodes()[2].restart().unwrap();
    cluster.wait_ok().unwrap();
    answers(&tier).await;
    for (key, lookup) in keys.iter().zip(tier.get_many(&keys).await) {
        assert_eq!(is_hit(&lookup), node_of(key) != 2, "{key}: {lookup:?}");
    }
    put_all(&tier, &keys, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_down_at_the_start_is_found_later() {
    let cluster = RedisCluster::start().unwrap();
    for node in cluster.nodes() {
        node.kill();
    }
    let tier = connect(patient(cluster.urls()));
    let key = one_key();
    let failed = Some(UnavailableReason::Failed);
    assert_eq!(reason(&get(&tier, &key).await), failed);
    assert_eq!(tier.status().breaker, BreakerState::Open);
    for node in cluster.nodes() {
        node.restart().unwrap();
    }
    cluster.wait_ok().unwrap();
    answers(&tier).await;
    assert_eq!(tier.status().breaker, BreakerState::Closed);
    assert_eq!(put(&tier, &key, &entry("{}", 1)).await, PutOutcome::Stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_slot_is_followed_and_remembered() {
    let (cluster, tier) = cluster_with(&PATIENT).await;
    let key = keys_of(0, 1).remove(0);
    let slot = slot::of(text(&key).as_bytes()).to_string();
    let target = cluster.nodes()[1].command(&["CLUSTER", "MYID"]).unwrap();
    // The new owner first, so that no other node contradicts it.
    for node in [1, 0, 2] {
        cluster.nodes()[node]
            .command(&["CLUSTER", "SETSLOT", &slot, "NODE", &target])
            .unwrap();
    }
    assert_eq!(put(&tier, &key, &entry("{}", 1)).await, PutOutcome::Stored);
    assert!(is_hit(&get(&tier, &key).await));
    let held = cluster.nodes()[1]
        .command(&["EXISTS", &text(&key)])
        .unwrap();
    assert_eq!(held, "1");
    let new_owner = format!("127.0.0.1:{}", cluster.nodes()[1].port());
    wait_until_async("the map names the new owner", LIMIT, async || {
        let map = tier.exchange.map();
        map.shard_of(&text(&key))
            .is_some_and(|shard| shard.address == new_owner)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_on_its_way_is_asked_for_at_both_ends() {
    let (cluster, tier) = cluster_with(&PATIENT).await;
    let (from, to) = (&cluster.nodes()[0], &cluster.nodes()[1]);
    let key = keys_of(0, 1).remove(0);
    let slot = slot::of(text(&key).as_bytes()).to_string();
    let from_id = from.command(&["CLUSTER", "MYID"]).unwrap();
    let to_id = to.command(&["CLUSTER", "MYID"]).unwrap();
    to.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id])
        .unwrap();
    from.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id])
        .unwrap();
    to.command(&["SCRIPT", "FLUSH"]).unwrap();
    let not_found = Lookup::Miss(MissReason::NotFound);
    assert_eq!(get(&tier, &key).await, not_found);
    assert_eq!(put(&tier, &key, &entry("{}", 1)).await, PutOutcome::Stored);
    assert!(is_hit(&get(&tier, &key).await));
    let count = to.command(&["CLUSTER", "COUNTKEYSINSLOT", &slot]).unwrap();
    assert_eq!(count, "1", "the copy lies at the slot's new place");
}

#[tokio::test(flavor = "multi_thread")]
async fn lookups_that_wait_together_follow_a_moved_slot_and_one_on_its_way() {
    let cluster = RedisCluster::start_with(&PATIENT).unwrap();
    let tier = connect(RedisSettings {
        connections: 1,
        ..patient(cluster.urls())
    });
    answers(&tier).await;
    let slot = |key: &TierKey| slot::of(text(key).as_bytes()).to_string();
    let mut keys = keys_of(0, 40);
    // No other key may move with these two.
    let (moved, on_its_way) = (slot(&keys[0]), slot(&keys[1]));
    let others = keys.split_off(2);
    let stays = |key: &TierKey| slot(key) != moved && slot(key) != on_its_way;
    keys.extend(others.into_iter().filter(stays));
    put_all(&tier, &keys, 1).await;
    let [old, new, other] = cluster.nodes() else {
        panic!("a cluster of three");
    };
    let old_id = old.command(&["CLUSTER", "MYID"]).unwrap();
    let new_id = new.command(&["CLUSTER", "MYID"]).unwrap();
    // What these slots held is lost with their move: the answers are misses, but answers of the right node.
    for key in &keys[..2] {
        old.command(&["DEL", &text(key)]).unwrap();
    }
    new.command(&["CLUSTER", "SETSLOT", &on_its_way, "IMPORTING", &old_id])
        .unwrap();
    old.command(&["CLUSTER", "SETSLOT", &on_its_way, "MIGRATING", &new_id])
        .unwrap();
    for node in [new, old, other] {
        node.command(&["CLUSTER", "SETSLOT", &moved, "NODE", &new_id])
            .unwrap();
    }
    let shard = tier.exchange.map().shard_of(&text(&keys[2])).cloned();
    let shard = shard.expect("the first node's slots are known");
    old.pause();
    keys.rotate_left(2);
    let asked: Vec<_> = keys
        .iter()
        .map(|key| {
            let (tier, key) = (tier.clone(), key.clone());
            tokio::spawn(async move { get(&tier, &key).await })
        })
        .collect();
    // The map may have learnt of the move, so one of them may have been answered by the new owner.
    wait_until_async("the lookups are queued", LIMIT, async || {
        shard.lines.queued() >= keys.len() - 2
    })
    .await;
    old.resume();
    for (number, asked) in asked.into_iter().enumerate() {
        let lookup = asked.await.unwrap();
        if number < keys.len() - 2 {
            assert!(is_hit(&lookup), "{number}: {lookup:?}");
        } else {
            assert_eq!(lookup, Lookup::Miss(MissReason::NotFound), "{number}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_work_across_the_shards() {
    let (_cluster, tier) = cluster_with(&[]).await;
    let keys = some_keys(50);
    let outcomes = tier.acquire_many(&keys).await;
    let leases: Vec<_> = keys
        .iter()
        .zip(outcomes)
        .map(|(key, outcome)| match outcome {
            LeaseOutcome::Acquired(token) => (key.clone(), token),
            other => panic!("{key}: {other:?}"),
        })
        .collect();
    tier.renew_many(&leases).await;
    let again = tier.acquire_many(&keys).await;
    assert!(again.iter().all(|one| *one == LeaseOutcome::Held));
    tier.release_many(&leases).await;
    let free = tier.acquire_many(&keys).await;
    let acquired = |one: &LeaseOutcome| matches!(one, LeaseOutcome::Acquired(_));
    assert!(free.iter().all(acquired));
}
