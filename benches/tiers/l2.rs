//! A lookup in L2 beside a GET of the same bytes over as many multiplexed connections of the same client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use hotshelf_benches::rounds::{Contender, Sample, compare};
use hotshelf_benches::{args::Args, shelf, table, zipf};
use hotshelf_model::{BootClock, Lookup, Tier, TierKey, envelope};
use hotshelf_testkit::RedisServer;
use hotshelf_tier_redis::{RedisSettings, RedisTier};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Value};
use tokio::runtime::Runtime;

use crate::{is_hit, put_all, read_all, tier_keys};

const DOCUMENT_BYTES: usize = 2048;
const TARGET: f64 = 1.15;
/// On few cores shared with Redis an answer may wait; this bench measures cost and not patience.
const DEADLINE: Duration = Duration::from_secs(2);

/// A tier that has its connections.
pub(crate) async fn connect(
    redis: &RedisServer,
    compress_bytes_min: usize,
) -> anyhow::Result<Arc<RedisTier>> {
    let settings = RedisSettings {
        urls: vec![redis.url()],
        deadline: DEADLINE,
        put_deadline: DEADLINE,
        compress_bytes_min,
        ..RedisSettings::default()
    };
    let connected = RedisTier::connect(settings, Arc::new(BootClock), 1);
    let tier =
        connected.map_err(|problems| anyhow::anyhow!("connecting to Redis: {problems:?}"))?;
    let key = tier_keys(1);
    let answers = async {
        while matches!(tier.get_many(&key).await[..], [Lookup::Unavailable(_)]) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), answers)
        .await
        .context("Redis does not answer")?;
    Ok(tier)
}

/// What the tier's connections are, without the tier.
struct Bare {
    connections: Vec<MultiplexedConnection>,
    next: AtomicUsize,
    keys: Vec<TierKey>,
    texts: Vec<String>,
}

impl Bare {
    async fn connect(redis: &RedisServer, keys: &[TierKey]) -> anyhow::Result<Arc<Self>> {
        let settings = RedisSettings::default();
        let client = redis::Client::open(redis.url())?;
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let mut connections = Vec::new();
        for _ in 0..settings.connections {
            let connection = client.get_multiplexed_async_connection_with_config(&config);
            connections.push(connection.await?);
        }
        let texts = keys.iter().map(|key| format!("{}:{key}", settings.prefix));
        Ok(Arc::new(Bare {
            connections,
            next: AtomicUsize::new(0),
            keys: keys.to_vec(),
            texts: texts.collect(),
        }))
    }

    async fn get(&self, number: u32) -> Option<Vec<u8>> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        let mut command = redis::cmd("GET");
        command.arg(&self.texts[number as usize]);
        let mut connection = self.connections[turn].clone();
        match connection.send_packed_command(&command).await {
            Ok(Value::BulkString(bytes)) => Some(bytes),
            Ok(_) | Err(_) => None,
        }
    }

    async fn get_and_decode(&self, number: u32) -> bool {
        let Some(bytes) = self.get(number).await else {
            return false;
        };
        let key = &self.keys[number as usize].key;
        envelope::decode(&Bytes::from(bytes), key, 1 << 20).is_ok()
    }
}

pub(crate) fn run(args: &Args, runtime: &Runtime) -> anyhow::Result<()> {
    let (count, reads) = args.size((10_000, 40_000), (200, 400));
    let reads = Arc::new(zipf::sequence(count, reads, 2));
    let keys = tier_keys(count);
    let default = RedisSettings::default().compress_bytes_min;
    for (what, compress_bytes_min) in [("as they are", default), ("compressed", DOCUMENT_BYTES)] {
        let redis = RedisServer::start()?;
        let tier = runtime.block_on(connect(&redis, compress_bytes_min))?;
        runtime.block_on(put_all(&*tier, &keys, DOCUMENT_BYTES));
        let bare = runtime.block_on(Bare::connect(&redis, &keys))?;
        let stored = runtime.block_on(bare.get(0)).unwrap_or_default().len();
        for depth in [1, 64] {
            table::heading(&format!(
                "L2: documents of {DOCUMENT_BYTES} bytes, stored {what} ({stored} bytes), {depth} at once"
            ));
            let ratio = compare_reads(args, runtime, depth, &reads, &tier, &bare)?;
            // To unpack a document costs as much as to fetch it: whoever compresses small ones chooses room over time.
            if compress_bytes_min == default {
                table::target("RedisTier / GET, time", ratio, TARGET);
            }
        }
    }
    Ok(())
}

fn compare_reads(
    args: &Args,
    runtime: &Runtime,
    depth: usize,
    reads: &Arc<Vec<u32>>,
    tier: &Arc<RedisTier>,
    bare: &Arc<Bare>,
) -> anyhow::Result<f64> {
    let hits = std::cell::Cell::new(0);
    let counted = |found: usize| {
        hits.set(hits.get() + found as u64);
        reads.len()
    };
    let measured = {
        let mut contenders = [
            Contender::new("GET", || {
                let bare = Arc::clone(bare);
                Sample::of(|| {
                    counted(read_all(runtime, depth, reads, move |number| {
                        let bare = Arc::clone(&bare);
                        async move { bare.get(number).await.is_some() }
                    }))
                })
            }),
            Contender::new("GET and decode", || {
                let bare = Arc::clone(bare);
                Sample::of(|| {
                    counted(read_all(runtime, depth, reads, move |number| {
                        let bare = Arc::clone(&bare);
                        async move { bare.get_and_decode(number).await }
                    }))
                })
            }),
            Contender::new("RedisTier::get_many of 1", || {
                let (tier, bare) = (Arc::clone(tier), Arc::clone(bare));
                Sample::of(|| {
                    counted(read_all(runtime, depth, reads, move |number| {
                        let (tier, bare) = (Arc::clone(&tier), Arc::clone(&bare));
                        async move { is_hit(&*tier, &bare.keys[number as usize]).await }
                    }))
                })
            }),
        ];
        compare(args.size(9, 1), &mut contenders)
    };
    let passes = 3 * (args.size(9, 1) + 1);
    shelf::check_hits(hits.get(), reads.len() as u64 * passes)?;
    table::comparison("read", &measured, 0);
    Ok(measured[2].ratio_to(&measured[0], |sample| sample.wall_ns))
}
