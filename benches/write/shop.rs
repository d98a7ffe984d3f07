//! A server with the same shop in two databases, one of which records.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use hotshelf_benches::args::Args;
use hotshelf_benches::time::Stopwatch;
use hotshelf_benches::{cpu, shelf};
use hotshelf_model::VariantSchema;
use hotshelf_origin_sql::{Attachment, Dialect, NamespaceQuery, SqlOrigin, SqlSettings};
use hotshelf_testkit::{PostgresServer, wait_until};
use tempfile::TempDir;

/// How long a backend may take to end after its client is gone.
const END_LIMIT: Duration = Duration::from_secs(10);
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Vacuuming is done between rounds, so that none falls into one.
const SETTINGS: [&str; 4] = [
    "autovacuum=off",
    "shared_buffers=512MB",
    "max_wal_size=8GB",
    "checkpoint_timeout=1h",
];

/// A table of the shop's own, whose rows show in a product's document.
const OFFERS: &str = "CREATE TABLE public.offer (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, product_id text NOT NULL, amount bigint NOT NULL)";

/// Whether hotshelf's triggers are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Triggers {
    Off,
    On,
}

impl Triggers {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Triggers::Off => "without triggers",
            Triggers::On => "with triggers",
        }
    }

    fn database(self) -> &'static str {
        match self {
            Triggers::Off => "plain",
            Triggers::On => "recorded",
        }
    }
}

/// What a piece of work took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) wall_ns: f64,
    /// Of the server's processes that the work had for itself.
    pub(crate) cpu_ns: f64,
}

pub(crate) struct Shop {
    server: PostgresServer,
    pid: u32,
    pub(crate) products: u64,
    scripts: TempDir,
}

impl Shop {
    pub(crate) fn open(args: &Args) -> anyhow::Result<Self> {
        let server = PostgresServer::start_with(&SETTINGS)?;
        let pid = server.pid().context("the server has ended")?;
        let shop = Shop {
            server,
            pid,
            products: args.size(1_000_000, 2000),
            scripts: tempfile::tempdir().context("making a folder for scripts")?,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        for triggers in [Triggers::Off, Triggers::On] {
            runtime.block_on(shop.fill(triggers))?;
            shop.reset(triggers)?;
        }
        Ok(shop)
    }

    /// Every product has one price.
    async fn fill(&self, triggers: Triggers) -> anyhow::Result<()> {
        let url = self.server.database(triggers.database())?;
        let variants = VariantSchema::default();
        let query = NamespaceQuery::products(shelf::products(), Dialect::Postgres, variants);
        let settings = SqlSettings {
            url,
            ..SqlSettings::default()
        };
        let origin = SqlOrigin::connect_lazy(&settings, vec![query])?;
        origin.migrate().await?;
        for table in ["product", "price", "stock"] {
            self.sql(
                triggers,
                &format!("ALTER TABLE hotshelf.{table} DISABLE TRIGGER USER"),
            )?;
        }
        let products = self.products;
        self.sql(
            triggers,
            &format!("INSERT INTO hotshelf.product (id, title) SELECT i::text, 'A product' FROM generate_series(1, {products}) AS i"),
        )?;
        self.sql(
            triggers,
            &format!(
                "INSERT INTO hotshelf.price (id, product_id, currency, list_minor)
                 SELECT i, i::text, 'EUR', 100 FROM generate_series(1, {products}) AS i"
            ),
        )?;
        self.sql(triggers, OFFERS)?;
        if triggers == Triggers::Off {
            return Ok(());
        }
        for table in ["product", "price", "stock"] {
            self.sql(
                triggers,
                &format!("ALTER TABLE hotshelf.{table} ENABLE TRIGGER USER"),
            )?;
        }
        // Each key has changed before, as nearly all have in a shop that runs for a while.
        self.sql(
            triggers,
            "INSERT INTO hotshelf.cache_version (ns, key, ver) SELECT 1, id, 1 FROM hotshelf.product ORDER BY id",
        )?;
        let offers = Attachment {
            table: "public.offer".to_owned(),
            namespace: shelf::products(),
            keys: "product_id".to_owned(),
            columns: vec!["amount".to_owned()],
        };
        origin.attach(&[offers], LOCK_TIMEOUT, false).await?;
        Ok(())
    }

    pub(crate) fn sql(&self, triggers: Triggers, sql: &str) -> anyhow::Result<String> {
        self.server.sql(triggers.database(), sql)
    }

    /// Brings the tables to a state that every round begins with.
    pub(crate) fn reset(&self, triggers: Triggers) -> anyhow::Result<()> {
        for statement in [
            "TRUNCATE hotshelf.cache_outbox",
            "VACUUM ANALYZE",
            "CHECKPOINT",
        ] {
            self.sql(triggers, statement)?;
        }
        Ok(())
    }

    /// Where a database is.
    pub(crate) fn url(&self, triggers: Triggers) -> String {
        self.server.url(triggers.database())
    }

    /// Runs a script of `pgbench`, and gives what it prints.
    pub(crate) fn pgbench(
        &self,
        triggers: Triggers,
        script: &str,
        args: &[&str],
    ) -> anyhow::Result<String> {
        let file: PathBuf = self.scripts.path().join("script.sql");
        std::fs::write(&file, script).context("writing the script")?;
        let file = format!("--file={}", file.display());
        let args: Vec<&str> = args.iter().copied().chain([file.as_str()]).collect();
        self.server.pgbench(triggers.database(), &args)
    }

    /// What work costs whose backends begin and end with it.
    pub(crate) fn cost<T>(
        &self,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<(T, Cost)> {
        self.wait_for_backends();
        let before = cpu::nanos_of_ended_children(self.pid)?;
        let stopwatch = Stopwatch::start();
        let done = work()?;
        let wall_ns = stopwatch.nanos();
        self.wait_for_backends();
        let cpu_ns = cpu::nanos_of_ended_children(self.pid)? - before;
        Ok((done, Cost { wall_ns, cpu_ns }))
    }

    /// Waits until every client's backend has ended, and the server has counted its time.
    fn wait_for_backends(&self) {
        let children = || cpu::children(self.pid).unwrap_or_default();
        wait_until("every backend has ended", END_LIMIT, || {
            !children().into_iter().any(is_backend)
        });
    }
}

/// Whether this process of the server serves a client, or did and is not counted yet: such a one has no command line any more.
fn is_backend(pid: u32) -> bool {
    let title = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
    title.is_ok_and(|title| title.is_empty() || title.starts_with("postgres: postgres "))
}
