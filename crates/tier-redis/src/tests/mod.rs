//! L2 against real Redis servers.

mod cluster;
mod faults;
mod gather;
mod leases;
mod single;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_model::{
    Body, BootClock, DbTime, Entry, Lookup, Position, PutOutcome, Stamp, Tier, TierKey, Timeline,
    UnavailableReason, Version,
};
use hotshelf_testkit::names::{fresh_hist, tier_key};
use hotshelf_testkit::{RedisCluster, RedisServer, wait_until_async};

use crate::{RedisSettings, RedisTier};

/// What a busy machine certainly manages.
const LIMIT: Duration = Duration::from_secs(30);

/// Deadlines that a busy machine keeps; tests of deadlines set their own.
fn patient(urls: Vec<String>) -> RedisSettings {
    RedisSettings {
        urls,
        deadline: Duration::from_secs(5),
        put_deadline: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(5),
        ..RedisSettings::default()
    }
}

fn connect(settings: RedisSettings) -> Arc<RedisTier> {
    RedisTier::connect(settings, Arc::new(BootClock), 7).unwrap()
}

/// A tier that is connected to a new server.
async fn single() -> (RedisServer, Arc<RedisTier>) {
    let server = RedisServer::start().unwrap();
    let tier = connect(patient(vec![server.url()]));
    answers(&tier).await;
    (server, tier)
}

async fn cluster_with(options: &[&str]) -> (RedisCluster, Arc<RedisTier>) {
    let cluster = RedisCluster::start_with(options).unwrap();
    let tier = connect(patient(cluster.urls()));
    answers(&tier).await;
    (cluster, tier)
}

/// Waits until every shard answers; the keys are many enough to meet each.
async fn answers(tier: &RedisTier) {
    let keys = some_keys(64);
    wait_until_async("Redis answers", LIMIT, async || {
        let lookups = tier.get_many(&keys).await;
        lookups
            .iter()
            .all(|lookup| !matches!(lookup, Lookup::Unavailable(_)))
    })
    .await;
}

fn some_keys(count: usize) -> Vec<TierKey> {
    let hist = fresh_hist();
    (0..count)
        .map(|number| tier_key(hist, &format!("P-{number}")))
        .collect()
}

fn one_key() -> TierKey {
    tier_key(fresh_hist(), "P-1")
}

fn entry(document: &str, version: u64) -> Entry {
    let stamp = Stamp {
        timeline: Timeline(1),
        version: Version(version),
        position: Position(5),
    };
    let identity = Bytes::copy_from_slice(document.as_bytes());
    let body = Body {
        identity,
        zstd: None,
    };
    Entry::present(body, stamp, DbTime(1_700_000_000_000))
}

fn absent(version: u64) -> Entry {
    let stamp = entry("", version).stamp;
    Entry::absent(stamp, DbTime(1_700_000_000_000))
}

/// The key's text in Redis.
fn text(key: &TierKey) -> String {
    format!("hs:{key}")
}

async fn get(tier: &RedisTier, key: &TierKey) -> Lookup {
    tier.get_many(std::slice::from_ref(key)).await.remove(0)
}

async fn put(tier: &RedisTier, key: &TierKey, entry: &Entry) -> PutOutcome {
    tier.put_many(&[(key.clone(), entry.clone())])
        .await
        .remove(0)
}

async fn put_all(tier: &RedisTier, keys: &[TierKey], version: u64) {
    let entries: Vec<_> = keys
        .iter()
        .map(|key| (key.clone(), entry("{}", version)))
        .collect();
    let outcomes = tier.put_many(&entries).await;
    assert_eq!(outcomes, vec![PutOutcome::Stored; keys.len()]);
}

fn is_hit(lookup: &Lookup) -> bool {
    matches!(lookup, Lookup::Hit(_))
}

fn reason(lookup: &Lookup) -> Option<UnavailableReason> {
    match lookup {
        Lookup::Unavailable(reason) => Some(*reason),
        Lookup::Hit(_) | Lookup::Absent(_) | Lookup::Miss(_) => None,
    }
}
