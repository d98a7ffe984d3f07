//! Ten thousand callers of one cold key, on one node and on four.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hotshelf_benches::time::Stopwatch;
use hotshelf_benches::{args::Args, shelf, table};
use hotshelf_engine::{Cache, EngineSettings, ReadOptions};
use hotshelf_model::{BootClock, BreakerState, ChangeLog, Leases, Origin, Tier};
use hotshelf_testkit::{FakeOrigin, RedisServer};
use hotshelf_tier_redis::{RedisSettings, RedisTier};
use tokio::task::JoinSet;

/// An origin that takes its time, so that the callers meet.
const ORIGIN_DELAY: Duration = Duration::from_millis(50);
/// Under a burst of callers on few cores an answer of Redis waits for its reader; this bench counts reads and not that.
const REDIS_DEADLINE: Duration = Duration::from_secs(1);
const NODES: usize = 4;

/// What a burst of callers met.
#[derive(Debug, Default)]
struct Burst {
    answered: usize,
    failed: usize,
    origin_reads: u64,
    took: Duration,
}

struct Shop {
    origin: Arc<FakeOrigin>,
    nodes: Vec<Cache>,
}

impl Shop {
    async fn open(nodes: usize, redis: Option<&RedisServer>) -> anyhow::Result<Self> {
        let origin = Arc::new(FakeOrigin::new());
        let mut shop = Shop {
            origin,
            nodes: Vec::new(),
        };
        for node in 0..nodes {
            let cache = shop.node(node, redis).await?;
            shop.nodes.push(cache);
        }
        shop.origin.delay(ORIGIN_DELAY);
        Ok(shop)
    }

    async fn node(&self, node: usize, redis: Option<&RedisServer>) -> anyhow::Result<Cache> {
        let mut builder = Cache::builder(Arc::clone(&self.origin) as Arc<dyn ChangeLog>)
            .settings(EngineSettings::default())
            .namespace(
                shelf::namespace(),
                Arc::clone(&self.origin) as Arc<dyn Origin>,
            );
        if let Some(redis) = redis {
            let tier = connect(redis, node as u64).await?;
            builder = builder
                .l2(Arc::clone(&tier) as Arc<dyn Tier>)
                .leases(tier as Arc<dyn Leases>);
        }
        let cache = builder.start();
        while !cache.is_ready() {
            tokio::task::yield_now().await;
        }
        Ok(cache)
    }

    /// All callers at once, spread over the nodes.
    async fn burst(&self, number: usize, callers: usize) -> Burst {
        let id = shelf::id(number);
        self.origin.put(id.as_str(), shelf::document(number, 2048));
        let mut tasks = JoinSet::new();
        let stopwatch = Stopwatch::start();
        for caller in 0..callers {
            let cache = self.nodes[caller % self.nodes.len()].clone();
            let key = shelf::key(number);
            tasks.spawn(async move { cache.get(&key, ReadOptions::default()).await.is_ok() });
        }
        let mut burst = Burst::default();
        while let Some(answered) = tasks.join_next().await {
            match answered {
                Ok(true) => burst.answered += 1,
                Ok(false) | Err(_) => burst.failed += 1,
            }
        }
        burst.took = stopwatch.elapsed();
        burst.origin_reads = self.origin.fetches_of(id.as_str());
        burst
    }
}

/// A tier that has its connections.
pub(crate) async fn connect(redis: &RedisServer, seed: u64) -> anyhow::Result<Arc<RedisTier>> {
    let settings = RedisSettings {
        urls: vec![redis.url()],
        deadline: REDIS_DEADLINE,
        ..RedisSettings::default()
    };
    let connected = RedisTier::connect(settings, Arc::new(BootClock), seed);
    let tier =
        connected.map_err(|problems| anyhow::anyhow!("connecting to Redis: {problems:?}"))?;
    let key = [shelf::namespace().tier_key(hotshelf_model::Hist(0), &shelf::key(0))];
    let answers = async {
        while matches!(
            tier.get_many(&key).await[..],
            [hotshelf_model::Lookup::Unavailable(_)]
        ) || tier.status().breaker != BreakerState::Closed
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), answers)
        .await
        .context("Redis does not answer")?;
    Ok(tier)
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let (callers, bursts) = args.size((10_000, 10), (50, 2));
    table::heading(&format!(
        "{callers} callers of one cold key at once, an origin of {} ms, {bursts} bursts",
        ORIGIN_DELAY.as_millis()
    ));
    let redis = RedisServer::start()?;
    let shops = [
        ("1 node", 1.0, Shop::open(1, None).await?),
        (
            "4 nodes, one Redis",
            1.0,
            Shop::open(NODES, Some(&redis)).await?,
        ),
        ("4 nodes, no Redis", 4.0, Shop::open(NODES, None).await?),
    ];
    let (mut rows, mut most) = (Vec::new(), Vec::new());
    for (name, target, shop) in &shops {
        let mut met = Vec::new();
        for number in 0..bursts {
            met.push(shop.burst(number, callers).await);
        }
        let reads = met.iter().map(|burst| burst.origin_reads);
        most.push((name, reads.clone().max().unwrap_or_default(), target));
        let mut took: Vec<Duration> = met.iter().map(|burst| burst.took).collect();
        took.sort();
        rows.push(vec![
            (*name).to_owned(),
            reads.clone().min().unwrap_or_default().to_string(),
            reads.max().unwrap_or_default().to_string(),
            met.iter()
                .map(|burst| burst.answered)
                .sum::<usize>()
                .to_string(),
            met.iter()
                .map(|burst| burst.failed)
                .sum::<usize>()
                .to_string(),
            table::nanos(took[took.len() / 2].as_secs_f64() * 1e9),
        ]);
    }
    let columns = [
        "",
        "origin reads, least",
        "most",
        "answered",
        "failed",
        "burst, median",
    ];
    table::rows(&columns, &rows);
    for (name, reads, target) in most {
        table::target(&format!("{name}: origin reads"), reads as f64, *target);
    }
    Ok(())
}
