//! Memory of one entry in L1 beyond its key and value, beside the same in a bare moka.
//!
//! Keys and values exist before and stay: what is counted is what holding them costs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use hotshelf_benches::allocations::{self, Counting};
use hotshelf_benches::shelf::{self, Shelf};
use hotshelf_benches::{args::Args, install_metrics, table};
use hotshelf_engine::{Cache, EngineSettings, ReadOptions};
use hotshelf_model::Key;
use hotshelf_telemetry::Recorder;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TARGET_BYTES: f64 = 96.0;
/// Longer than the engine waits between two looks at its own sizes.
const CALM: Duration = Duration::from_millis(1500);
/// What background tasks hold for a moment.
const NOISE_BYTES: i64 = 4096;

/// Bytes for each entry.
struct Cost {
    name: &'static str,
    requested: f64,
    held: f64,
}

/// Everything that must not be counted.
struct Given {
    recorder: Recorder,
    shelf: Arc<Shelf>,
    keys: Vec<Key>,
    texts: Vec<Arc<str>>,
}

impl Given {
    fn new(count: usize, recorder: &Recorder) -> Self {
        let shelf = Shelf::new(count, |number| Bytes::from(format!("{{\"id\":{number}}}")));
        let keys = shelf::keys(count);
        let texts = keys.iter().map(|key| key.as_str().into()).collect();
        Given {
            recorder: recorder.clone(),
            shelf,
            keys,
            texts,
        }
    }

    async fn cost<T>(
        &self,
        name: &'static str,
        hold: impl AsyncFnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<Cost> {
        let before = settled(&self.recorder).await;
        let holder = hold().await.context(name)?;
        let used = settled(&self.recorder).await.since(before);
        drop(holder);
        let each = |bytes: i64| bytes as f64 / self.keys.len() as f64;
        Ok(Cost {
            name,
            requested: each(used.requested),
            held: each(used.held),
        })
    }

    fn moka(&self) -> anyhow::Result<moka::sync::Cache<Arc<str>, Bytes>> {
        let cache = moka::sync::Cache::new(self.keys.len() as u64 * 6 / 5);
        for (text, document) in self.texts.iter().zip(self.shelf.documents()) {
            cache.insert(Arc::clone(text), document.clone());
        }
        cache.run_pending_tasks();
        ensure!(
            cache.entry_count() == self.keys.len() as u64,
            "moka has evicted"
        );
        Ok(cache)
    }

    fn quick(&self) -> quick_cache::sync::Cache<Arc<str>, Bytes> {
        let cache = quick_cache::sync::Cache::new(self.keys.len() * 6 / 5);
        for (text, document) in self.texts.iter().zip(self.shelf.documents()) {
            cache.insert(Arc::clone(text), document.clone());
        }
        cache
    }

    fn start(&self) -> Cache {
        let settings = EngineSettings {
            l1_bytes_max: self.keys.len() as u64 * 1024,
            ..EngineSettings::default()
        };
        self.shelf.cache(settings).start()
    }

    /// Every key is there; otherwise the division by their number would flatter.
    fn check(&self, cache: &Cache) -> anyhow::Result<()> {
        let held = self.keys.iter().filter(|key| cache.try_get(*key).is_some());
        ensure!(held.count() == self.keys.len(), "L1 has evicted");
        Ok(())
    }

    async fn filled_in_batches(&self) -> anyhow::Result<Cache> {
        let cache = self.start();
        shelf::fill(&cache, &self.keys).await?;
        self.check(&cache)?;
        Ok(cache)
    }

    async fn filled_one_by_one(&self) -> anyhow::Result<Cache> {
        let cache = self.start();
        shelf::fill(&cache, &self.keys[..1]).await?;
        for key in &self.keys {
            cache.get(key, ReadOptions::default()).await?;
        }
        self.check(&cache)?;
        Ok(cache)
    }
}

/// Waits until the count of bytes stands still.
async fn settled(recorder: &Recorder) -> allocations::Bytes {
    let mut before = allocations::Bytes::now();
    loop {
        tokio::time::sleep(CALM).await;
        // As a node does every few seconds; until then every observation of a histogram is held by itself.
        recorder.fold();
        let now = allocations::Bytes::now();
        if now.since(before).held.abs() < NOISE_BYTES {
            return now;
        }
        before = now;
    }
}

async fn measure(count: usize, recorder: &Recorder) -> anyhow::Result<()> {
    let given = Given::new(count, recorder);
    // The first cache of a process also makes what all of them share.
    drop(given.start());
    let costs = [
        given.cost("moka", async || given.moka()).await?,
        given
            .cost("quick_cache", async || Ok(given.quick()))
            .await?,
        given
            .cost("L1, filled in batches of 200", async || {
                given.filled_in_batches().await
            })
            .await?,
        given
            .cost("L1, filled one by one", async || {
                given.filled_one_by_one().await
            })
            .await?,
    ];
    let bare = costs[0].held;
    let cells = |cost: &Cost| {
        vec![
            cost.name.to_owned(),
            format!("{:.1}", cost.requested),
            format!("{:.1}", cost.held),
            format!("{:+.1}", cost.held - bare),
        ]
    };
    table::heading(&format!(
        "{count} entries, bytes of each beyond key and value"
    ));
    let columns = ["", "asked for", "held by the allocator", "beyond moka"];
    table::rows(&columns, &costs.iter().map(cells).collect::<Vec<_>>());
    for cost in &costs[2..] {
        let what = format!("{}: bytes beyond moka", cost.name);
        table::target(&what, cost.held - bare, TARGET_BYTES);
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let args = Args::read()?;
    let recorder = install_metrics()?;
    table::say("allocator mimalloc; keys and values exist before and are shared by all");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for count in args.size([100_000, 1_000_000], [1000, 2000]) {
        runtime.block_on(measure(count, &recorder))?;
    }
    Ok(())
}
