//! `hotshelf import`: a product catalogue into the database.

use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use hotshelf_catalogue::{Mapping, ReadSettings, RowProblem, Rows, open, read};
use hotshelf_config::Config;
use hotshelf_model::Product;
use hotshelf_node::open_database;
use hotshelf_origin_sql::{SqlOrigin, UPSERT_BATCH_MAX, check_product};
use indicatif::ProgressBar;

use crate::args::{ImportArgs, SourceArgs};
use crate::config::load;
use crate::output::print;
use crate::progress;

pub(crate) fn run(args: &ImportArgs, sources: &SourceArgs) -> anyhow::Result<ExitCode> {
    let config = load(sources)?;
    let (rows, length) = rows(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting")?;
    runtime.block_on(async {
        let database = match args.dry_run {
            true => None,
            false => Some(migrated(&config).await?),
        };
        let mut import = Import::new(args, database, progress::bytes(length));
        let outcome = import.all(rows).await;
        import.bar.finish_and_clear();
        print(import.summary() + "\n")?;
        outcome
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn migrated(config: &Config) -> anyhow::Result<SqlOrigin> {
    let database = open_database(config)?;
    let url = &config.database().url;
    database
        .migrate()
        .await
        .with_context(|| format!("bringing the tables of {url} up to date"))?;
    Ok(database)
}

/// The rows of the file, and the file's length as far as it is known.
fn rows(args: &ImportArgs) -> anyhow::Result<(Rows, u64)> {
    let mut mapping = Mapping::default();
    for pair in &args.map {
        mapping
            .add(pair)
            .map_err(|problem| anyhow!("--map {pair}: {problem}"))?;
    }
    let settings = ReadSettings {
        mapping,
        currency: args.currency.clone(),
        ..ReadSettings::default()
    };
    if args.file.as_os_str() == "-" {
        let rows = read(std::io::stdin(), settings).context("reading standard input")?;
        return Ok((rows, 0));
    }
    let length = std::fs::metadata(&args.file).map_or(0, |metadata| metadata.len());
    Ok((open(&args.file, settings)?, length))
}

/// An import under way.
struct Import<'a> {
    args: &'a ImportArgs,
    /// `None` in a dry run, which touches nothing.
    database: Option<SqlOrigin>,
    bar: ProgressBar,
    batch: Vec<Product>,
    read: u64,
    bad: u64,
    inserted: usize,
    updated: usize,
    unchanged: usize,
}

impl<'a> Import<'a> {
    fn new(args: &'a ImportArgs, database: Option<SqlOrigin>, bar: ProgressBar) -> Self {
        let batch = Vec::with_capacity(UPSERT_BATCH_MAX);
        Import {
            args,
            database,
            bar,
            batch,
            read: 0,
            bad: 0,
            inserted: 0,
            updated: 0,
            unchanged: 0,
        }
    }

    async fn all(&mut self, mut rows: Rows) -> anyhow::Result<()> {
        while let Some(row) = rows.next() {
            self.bar.set_position(rows.bytes_read());
            match row {
                Err(problem) if problem.field == "file" => {
                    // What came before stays, as when there are too many bad rows.
                    self.write().await?;
                    bail!("{problem}")
                }
                row => match checked(row) {
                    Ok(product) => self.take(product).await?,
                    Err(problem) => self.skip(&problem).await?,
                },
            }
        }
        self.write().await
    }

    async fn take(&mut self, product: Product) -> anyhow::Result<()> {
        self.read += 1;
        self.batch.push(product);
        if self.batch.len() < UPSERT_BATCH_MAX {
            return Ok(());
        }
        self.write().await
    }

    async fn skip(&mut self, problem: &str) -> anyhow::Result<()> {
        self.bad += 1;
        self.bar.suspend(|| eprintln!("{problem}"));
        if self.bad <= self.args.bad_rows_max {
            return Ok(());
        }
        // What was good so far stays: a second import of the mended file changes nothing in it.
        self.write().await?;
        bail!(
            "more than {} bad rows; mend the file, or allow more with --bad-rows-max",
            self.args.bad_rows_max
        )
    }

    async fn write(&mut self) -> anyhow::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        let Some(database) = self.database.as_ref().filter(|_| !batch.is_empty()) else {
            return Ok(());
        };
        let report = database
            .upsert_products(&batch)
            .await
            .context("writing products")?;
        self.inserted += report.inserted;
        self.updated += report.updated;
        self.unchanged += report.unchanged;
        Ok(())
    }

    fn summary(&self) -> String {
        let Import {
            read,
            bad,
            inserted,
            updated,
            unchanged,
            ..
        } = self;
        if self.args.dry_run {
            return format!("{read} products read, {bad} bad rows; nothing was written");
        }
        format!(
            "{read} products read, {bad} bad rows; {inserted} new, {updated} changed, {unchanged} unchanged"
        )
    }
}

/// What the database would refuse is a problem of its row, not of the whole batch.
fn checked(row: Result<Product, RowProblem>) -> Result<Product, String> {
    let product = row.map_err(|problem| problem.to_string())?;
    match check_product(&product) {
        Ok(()) => Ok(product),
        Err(problem) => Err(format!("product `{}`: {problem}", product.id)),
    }
}
