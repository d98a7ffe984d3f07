//! The nodes, what they share, and who writes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use hotshelf_benches::shelf;
use hotshelf_benches::time::Stopwatch;
use hotshelf_bus_nats::{NatsBus, NatsSettings};
use hotshelf_engine::{Cache, ReadOptions};
use hotshelf_model::{
    Bus, ChangeLog, ClusterLeases, Id, Key, Namespace, Origin, Product, ProductChange,
    ProductFields, ProductWrite, ProductWriter, Variant, VariantSchema, Version, WriteOutcome,
};
use hotshelf_origin_sql::{Dialect, NamespaceQuery, SqlOrigin, SqlSettings};
use hotshelf_testkit::{NatsServer, PostgresServer};
use tokio::runtime::Runtime;

use crate::lookout::{Lookout, WatchedBus};

const NODES: usize = 3;
const PRODUCT: &str = "lamp";

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// A node's API: the engine is told of the commit.
    Api,
    /// Another program: nobody is told.
    Sql,
}

struct Node {
    cache: Cache,
    origin: Arc<SqlOrigin>,
    lookout: Arc<Lookout>,
}

pub(crate) struct Nodes {
    nodes: Vec<Node>,
    id: Id,
    key: Key,
    clock: Stopwatch,
    runtime: Runtime,
    _servers: (PostgresServer, Option<NatsServer>),
}

impl Nodes {
    pub(crate) fn open(has_bus: bool) -> anyhow::Result<Self> {
        let runtime = Runtime::new()?;
        let postgres = PostgresServer::start()?;
        let url = postgres.database("invalidation")?;
        let nats = has_bus.then(NatsServer::start).transpose()?;
        let id = Id::new(PRODUCT).map_err(|problem| anyhow!("{problem}"))?;
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            let node = Node::start(&url, nats.as_ref());
            nodes.push(runtime.block_on(node)?);
        }
        let key = namespace(&query()).key(&id, &Variant::default());
        let nodes = Nodes {
            nodes,
            id,
            key,
            clock: Stopwatch::start(),
            runtime,
            _servers: (postgres, nats),
        };
        nodes.write(Writer::Sql, usize::MAX)?;
        Ok(nodes)
    }

    /// Lets every node hold the product in L1; says its version, which is one and the same.
    pub(crate) fn hold(&self) -> anyhow::Result<Version> {
        let mut held = Version::NONE;
        loop {
            let mut versions = Vec::new();
            for node in &self.nodes {
                let read = node.cache.get(&self.key, ReadOptions::default());
                let answer = self.runtime.block_on(read).context("reading the product")?;
                versions.push(answer.version());
            }
            let newest = versions.iter().copied().max().unwrap_or(held);
            // Twice the same, and from L1: the last change is known everywhere.
            if held == newest && self.all_hold(newest) {
                return Ok(newest);
            }
            held = newest;
        }
    }

    fn all_hold(&self, version: Version) -> bool {
        let mut answers = self.nodes.iter().map(|node| node.cache.try_get(&self.key));
        answers.all(|answer| answer.is_some_and(|answer| answer.version() == version))
    }

    /// Watches the nodes until the last of them refuses the version that all hold.
    pub(crate) fn watch(&self, held: Version) -> Watch<'_> {
        for node in &self.nodes {
            node.lookout.begin(&node.cache, &self.key, held, self.clock);
        }
        Watch {
            nodes: &self.nodes,
            clock: self.clock,
        }
    }

    /// Changes the product; says when the commit was acknowledged.
    pub(crate) fn write(&self, writer: Writer, change: usize) -> anyhow::Result<Duration> {
        let title = format!("A lamp, {change}");
        let node = &self.nodes[change % NODES];
        match writer {
            Writer::Api => self
                .runtime
                .block_on(node.write(&self.id, title, self.clock)),
            Writer::Sql => {
                let products = [product(title)];
                let written = self
                    .runtime
                    .block_on(node.origin.upsert_products(&products));
                let acknowledged = self.clock.elapsed();
                let report = written?;
                ensure!(report.inserted + report.updated == 1, "nothing was changed");
                Ok(acknowledged)
            }
        }
    }
}

/// Nodes that are watched.
pub(crate) struct Watch<'a> {
    nodes: &'a [Node],
    pub(crate) clock: Stopwatch,
}

impl Watch<'_> {
    pub(crate) fn saw_any_refuse(&self) -> bool {
        self.nodes.iter().any(|node| node.lookout.look().is_some())
    }

    /// When the last node refused; `None` while one does not.
    pub(crate) fn all_refused(&self) -> Option<Duration> {
        let refused: Option<Vec<_>> = self.nodes.iter().map(|node| node.lookout.look()).collect();
        refused?.into_iter().max()
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        for node in self.nodes {
            node.lookout.end();
        }
    }
}

impl Node {
    async fn start(url: &str, nats: Option<&NatsServer>) -> anyhow::Result<Self> {
        let query = query();
        let settings = SqlSettings {
            url: url.to_owned(),
            ..SqlSettings::default()
        };
        let origin = Arc::new(SqlOrigin::connect_lazy(&settings, vec![query.clone()])?);
        origin.migrate().await?;
        let builder = Cache::builder(Arc::clone(&origin) as Arc<dyn ChangeLog>)
            .cluster_leases(Arc::clone(&origin) as Arc<dyn ClusterLeases>)
            .namespace(namespace(&query), Arc::clone(&origin) as Arc<dyn Origin>);
        let lookout = Arc::<Lookout>::default();
        let cache = match nats {
            Some(nats) => {
                let settings = NatsSettings {
                    urls: vec![nats.url()],
                    ..NatsSettings::default()
                };
                let bus = NatsBus::connect(settings, rand::random())
                    .map_err(|problems| anyhow!("{problems:?}"))?;
                while !bus.is_connected() {
                    tokio::time::sleep(super::LOOK).await;
                }
                let lookout = Arc::clone(&lookout);
                builder.bus(Arc::new(WatchedBus { bus, lookout })).start()
            }
            None => builder.start(),
        };
        while !cache.is_ready() {
            tokio::time::sleep(super::LOOK).await;
        }
        Ok(Node {
            cache,
            origin,
            lookout,
        })
    }

    async fn write(&self, id: &Id, title: String, clock: Stopwatch) -> anyhow::Result<Duration> {
        let fields = ProductFields {
            title: Some(title),
            ..ProductFields::default()
        };
        let write = ProductWrite {
            id: id.clone(),
            change: ProductChange::Patch(fields),
            if_version: None,
        };
        let outcome = self.origin.write(&write).await?;
        let acknowledged = clock.elapsed();
        match outcome {
            WriteOutcome::Written { version, .. } => {
                self.cache.written(&shelf::products(), id, version);
                self.lookout.look();
                Ok(acknowledged)
            }
            other => Err(anyhow!("not written: {other:?}")),
        }
    }
}

fn query() -> NamespaceQuery {
    NamespaceQuery::products(
        shelf::products(),
        Dialect::Postgres,
        VariantSchema::default(),
    )
}

fn namespace(query: &NamespaceQuery) -> Namespace {
    Namespace {
        shape: query.shape(),
        ..shelf::namespace()
    }
}

fn product(title: String) -> Product {
    Product {
        id: PRODUCT.to_owned(),
        title,
        brand: None,
        category_path: Vec::new(),
        description: None,
        attributes: Vec::new(),
        images: Vec::new(),
        active: true,
        prices: Vec::new(),
        stock: 1,
    }
}
