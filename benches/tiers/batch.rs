//! Fifty documents from L2 through the engine: one batch beside fifty reads.

use std::sync::Arc;

use anyhow::ensure;
use futures_util::future::join_all;
use hotshelf_benches::rounds::{Contender, Sample, compare};
use hotshelf_benches::shelf::Shelf;
use hotshelf_benches::time::Stopwatch;
use hotshelf_benches::{args::Args, cpu, shelf, table};
use hotshelf_engine::{Answer, Cache, EngineSettings, ReadOptions};
use hotshelf_model::{Error, Key, Tier, TierName};
use hotshelf_testkit::RedisServer;
use hotshelf_tier_redis::RedisSettings;
use tokio::runtime::Runtime;

use crate::l2;

const KEYS: usize = 50;
const DOCUMENT_BYTES: usize = 2048;

struct Stage {
    cache: Cache,
    keys: Vec<Key>,
    /// Answers that came from elsewhere than L2.
    strays: std::cell::Cell<usize>,
}

impl Stage {
    /// Removes the keys from L1 and reads them, `repeats` times; only the reading counts.
    fn round(
        &self,
        runtime: &Runtime,
        repeats: usize,
        read: &impl AsyncFn(&[Key]) -> Vec<Result<Answer, Error>>,
    ) -> Sample {
        let (mut wall, mut used) = (0.0, 0.0);
        for _ in 0..repeats {
            self.keys
                .iter()
                .for_each(|key| self.cache.remove_from_l1(key));
            let (stopwatch, before) = (Stopwatch::start(), cpu::own_nanos());
            let answers = runtime.block_on(read(&self.keys));
            wall += stopwatch.nanos();
            used += cpu::own_nanos() - before;
            let strays = answers.iter().filter(|answer| !is_from_l2(answer)).count();
            self.strays.set(self.strays.get() + strays);
        }
        Sample::over(repeats, wall, used)
    }
}

fn is_from_l2(answer: &Result<Answer, Error>) -> bool {
    answer
        .as_ref()
        .is_ok_and(|answer| answer.tier() == TierName::L2)
}

async fn stage(redis: &RedisServer) -> anyhow::Result<Stage> {
    let tier = l2::connect(redis, RedisSettings::default().compress_bytes_min).await?;
    let shelf = Shelf::new(KEYS, |number| shelf::document(number, DOCUMENT_BYTES));
    let l2 = Arc::clone(&tier) as Arc<dyn Tier>;
    let cache = shelf.cache(EngineSettings::default()).l2(l2).start();
    let keys = shelf::keys(KEYS);
    shelf::fill(&cache, &keys).await?;
    // The copies are written behind the readers' backs.
    let namespace = shelf::namespace();
    let stored: Vec<_> = keys
        .iter()
        .map(|key| namespace.tier_key(shelf.hist(), key))
        .collect();
    while !tier
        .get_many(&stored)
        .await
        .into_iter()
        .all(|lookup| lookup.into_entry().is_some())
    {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    Ok(Stage {
        cache,
        keys,
        strays: std::cell::Cell::new(0),
    })
}

pub(crate) fn run(args: &Args, runtime: &Runtime) -> anyhow::Result<()> {
    let redis = RedisServer::start()?;
    let stage = runtime.block_on(stage(&redis))?;
    let (rounds, repeats) = args.size((9, 200), (1, 2));
    let options = ReadOptions::default();
    let cache = &stage.cache;
    let measured = {
        let mut contenders = [
            Contender::new("50 reads, one after another", || {
                stage.round(runtime, repeats, &async |keys| {
                    let mut answers = Vec::with_capacity(keys.len());
                    for key in keys {
                        answers.push(cache.get(key, options).await);
                    }
                    answers
                })
            }),
            Contender::new("50 reads at once", || {
                stage.round(runtime, repeats, &async |keys| {
                    join_all(keys.iter().map(|key| cache.get(key, options))).await
                })
            }),
            Contender::new("one batch of 50", || {
                stage.round(runtime, repeats, &async |keys| {
                    cache.get_many(keys, options).await
                })
            }),
        ];
        compare(rounds, &mut contenders)
    };
    let reads = 3 * (rounds + 1) * repeats * KEYS;
    ensure!(
        stage.strays.get() * 1000 <= reads,
        "{} of {reads} answers did not come from L2",
        stage.strays.get()
    );
    table::heading(&format!(
        "{KEYS} documents of {DOCUMENT_BYTES} bytes from L2, through the engine"
    ));
    table::comparison("50 documents", &measured, 0);
    Ok(())
}
