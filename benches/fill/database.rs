//! A thousand keys at once from a database that has become slow, cold and with expired copies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use futures_util::future::join_all;
use hotshelf_benches::time::Stopwatch;
use hotshelf_benches::{args::Args, shelf, table};
use hotshelf_engine::{BudgetSettings, Cache, EngineSettings, Freshness, ReadOptions};
use hotshelf_model::{
    BoxFuture, ChangeLog, Error, Fetch, FetchRequest, FreshnessPolicy, Id, Key, Namespace,
    NamespaceName, Origin, Variant, VariantSchema, Versions,
};
use hotshelf_origin_sql::{Dialect, NamespaceQuery, SqlOrigin, SqlSettings};
use hotshelf_testkit::{PostgresServer, TcpProxy};
use tokio::task::JoinSet;

const SLOW: Duration = Duration::from_millis(200);
const TTL: Duration = Duration::from_secs(1);
const SEED: u64 = 7400;
/// Enough rounds that every connection of the pool is made and has its statements prepared.
const WARMING_ROUNDS: usize = 8;

/// An origin that counts statements on their way to another.
#[derive(Debug)]
struct Watched {
    origin: Arc<SqlOrigin>,
    statements: AtomicU64,
    documents: AtomicU64,
    under_way: AtomicU64,
    peak: AtomicU64,
}

/// A statement under way, until it is dropped.
struct UnderWay<'a>(&'a AtomicU64);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Watched {
    fn begin(&self, documents: usize) -> UnderWay<'_> {
        self.statements.fetch_add(1, Ordering::SeqCst);
        self.documents.fetch_add(documents as u64, Ordering::SeqCst);
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(now, Ordering::SeqCst);
        UnderWay(&self.under_way)
    }

    fn reset(&self) {
        self.statements.store(0, Ordering::SeqCst);
        self.documents.store(0, Ordering::SeqCst);
        self.peak
            .store(self.under_way.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

impl Origin for Watched {
    fn fetch_many<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Fetch, Error>> {
        Box::pin(async move {
            let _under_way = self.begin(request.ids.len());
            self.origin.fetch_many(request).await
        })
    }

    fn versions<'a>(
        &'a self,
        namespace: &'a NamespaceName,
        ids: &'a [Id],
    ) -> BoxFuture<'a, Result<Option<Versions>, Error>> {
        self.origin.versions(namespace, ids)
    }
}

/// A database behind a line that can be slowed, with products in it.
struct Shop {
    // Declared first, so that it is dropped first.
    origin: Arc<SqlOrigin>,
    query: NamespaceQuery,
    ids: Vec<Id>,
    proxy: TcpProxy,
    _server: PostgresServer,
}

impl Shop {
    async fn open(count: usize) -> anyhow::Result<Self> {
        let server = PostgresServer::start()?;
        server.database("fill")?;
        let proxy = TcpProxy::start(server.port())?;
        let query = NamespaceQuery::products(
            shelf::products(),
            Dialect::Postgres,
            VariantSchema::default(),
        );
        let settings = SqlSettings {
            url: format!("postgres://postgres@127.0.0.1:{}/fill", proxy.port()),
            ..SqlSettings::default()
        };
        let origin = Arc::new(SqlOrigin::connect_lazy(&settings, vec![query.clone()])?);
        origin.migrate().await?;
        let products: Vec<_> = hotshelf_catalogue::generate(count as u64, SEED).collect();
        origin.upsert_products(&products).await?;
        let ids = products.iter().map(|product| Id::new(&product.id));
        let ids = ids
            .collect::<Result<Vec<_>, _>>()
            .map_err(|problem| anyhow::anyhow!("a generated id is bad: {problem}"))?;
        Ok(Shop {
            origin,
            query,
            ids,
            proxy,
            _server: server,
        })
    }

    /// Opens all connections, so that only statements are slow.
    async fn warm(&self) -> anyhow::Result<()> {
        let connections = SqlSettings::default().connections_max as usize;
        let request = FetchRequest {
            namespace: &self.query.name,
            variant: &Variant::default(),
            ids: &self.ids[..1],
            as_of: None,
        };
        for _ in 0..WARMING_ROUNDS {
            let fetches = (0..connections).map(|_| self.origin.fetch_many(request));
            for fetched in join_all(fetches).await {
                fetched.context("warming the connections")?;
            }
        }
        Ok(())
    }

    async fn node(&self, documents_per_fetch_max: usize) -> anyhow::Result<Node> {
        let origin = Arc::new(Watched {
            origin: Arc::clone(&self.origin),
            statements: AtomicU64::new(0),
            documents: AtomicU64::new(0),
            under_way: AtomicU64::new(0),
            peak: AtomicU64::new(0),
        });
        let budget = BudgetSettings {
            documents_per_fetch_max,
            ..BudgetSettings::default()
        };
        let settings = EngineSettings {
            budget,
            ..EngineSettings::default()
        };
        let namespace = Namespace {
            shape: self.query.shape(),
            policy: FreshnessPolicy {
                ttl_soft: TTL,
                ttl_hard: TTL,
                jitter_percent: 0,
                ..FreshnessPolicy::default()
            },
            ..shelf::namespace()
        };
        let keys = self
            .ids
            .iter()
            .map(|id| namespace.key(id, &Variant::default()));
        let keys = keys.collect();
        let cache = Cache::builder(Arc::clone(&self.origin) as Arc<dyn ChangeLog>)
            .settings(settings)
            .namespace(namespace, Arc::clone(&origin) as Arc<dyn Origin>)
            .start();
        while !cache.is_ready() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Node {
            cache,
            origin,
            keys,
        })
    }
}

struct Node {
    cache: Cache,
    origin: Arc<Watched>,
    keys: Vec<Key>,
}

impl Node {
    /// Every key at once, each by a caller of its own; one row of the table.
    async fn burst(&self, name: &str) -> Vec<String> {
        self.origin.reset();
        let mut tasks = JoinSet::new();
        let stopwatch = Stopwatch::start();
        for key in &self.keys {
            let (cache, key) = (self.cache.clone(), key.clone());
            tasks.spawn(async move {
                let answer = cache.get(&key, ReadOptions::default()).await.ok()?;
                Some(matches!(answer.freshness(), Freshness::Fresh { .. }))
            });
        }
        let (mut fresh, mut stale, mut failed) = (0, 0, 0);
        while let Some(answer) = tasks.join_next().await {
            match answer.ok().flatten() {
                Some(true) => fresh += 1,
                Some(false) => stale += 1,
                None => failed += 1,
            }
        }
        let took = stopwatch.nanos();
        let count = |count: &AtomicU64| count.load(Ordering::SeqCst).to_string();
        vec![
            name.to_owned(),
            fresh.to_string(),
            stale.to_string(),
            failed.to_string(),
            count(&self.origin.statements),
            count(&self.origin.documents),
            count(&self.origin.peak),
            table::nanos(took),
        ]
    }

    /// Reads everything, and waits until every copy has expired.
    async fn fill_and_expire(&self) -> anyhow::Result<()> {
        shelf::fill(&self.cache, &self.keys).await?;
        for key in &self.keys {
            while self.cache.try_get(key).is_some() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let shop = Shop::open(args.size(1000, 50)).await?;
    shop.warm().await?;
    let budget = BudgetSettings::default();
    table::heading(&format!(
        "{} keys at once from PostgreSQL slowed to {} ms; budget {} to {} statements at once",
        shop.ids.len(),
        SLOW.as_millis(),
        budget.concurrency_min,
        budget.concurrency_max
    ));
    let mut rows = Vec::new();
    for documents in [budget.documents_per_fetch_max, 1] {
        let what = |state: &str| format!("{documents} document(s) a statement, {state}");
        let cold = shop.node(documents).await?;
        shop.proxy.delay(SLOW);
        rows.push(cold.burst(&what("cold")).await);
        shop.proxy.heal();
        let expired = shop.node(documents).await?;
        expired.fill_and_expire().await?;
        shop.proxy.delay(SLOW);
        rows.push(expired.burst(&what("expired copies")).await);
        shop.proxy.heal();
        let silent = shop.node(documents).await?;
        silent.fill_and_expire().await?;
        shop.proxy.stall();
        rows.push(silent.burst(&what("expired copies, database silent")).await);
        shop.proxy.heal();
        shop.warm().await?;
    }
    let columns = [
        "",
        "fresh",
        "stale",
        "failed",
        "statements",
        "documents",
        "peak at once",
        "all answered",
    ];
    table::rows(&columns, &rows);
    let failed = |row: &Vec<String>| row[3].parse::<f64>().unwrap_or_default();
    let with_copies = rows.iter().filter(|row| row[0].contains("expired"));
    table::target(
        "failures among keys that have a copy",
        with_copies.map(failed).sum(),
        0.0,
    );
    let peak = rows
        .iter()
        .map(|row| row[6].parse::<f64>().unwrap_or_default());
    table::target(
        "statements at once",
        peak.fold(0.0, f64::max),
        budget.concurrency_max as f64,
    );
    Ok(())
}
