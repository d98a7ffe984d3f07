//! `hotshelf serve`: a node until it is told to stop.

use std::process::ExitCode;

use anyhow::Context;
use hotshelf_config::Config;
use hotshelf_model::{Id, Product};
use hotshelf_node::{Addresses, Node, open_database, prepare};
use hotshelf_origin_sql::{SqlOrigin, UPSERT_BATCH_MAX};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{ServeArgs, SourceArgs};
use crate::config::load;
use crate::output::print;
use crate::progress;

/// The generated catalogue is the same everywhere.
const SEED: u64 = 7400;

pub(crate) fn run(args: &ServeArgs, sources: &SourceArgs) -> anyhow::Result<ExitCode> {
    let config = load(sources)?;
    let process = prepare(config.log())?;
    for note in config.notes() {
        tracing::info!("{note}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(async {
        let example = if args.embedded {
            fill(&config, args.products).await?
        } else {
            None
        };
        let mut stop = Stop::listen()?;
        let node = Node::start(&config, &process).await?;
        announce(node.addresses(), example.as_ref())?;
        stop.requested().await;
        let stopped = node.stop().await?;
        tracing::info!(cut_off = stopped.cut_off, "stopped");
        anyhow::Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Ctrl-C and SIGTERM; a second one ends the process at once.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn listen() -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context("listening for signals");
        Ok(Stop {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
        })
    }

    async fn once(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    async fn requested(&mut self) {
        self.once().await;
        eprintln!("stopping; once more to stop at once");
        let mut again = Stop::listen();
        tokio::spawn(async move {
            if let Ok(again) = &mut again {
                again.once().await;
                std::process::exit(130);
            }
        });
    }
}

fn announce(addresses: &Addresses, example: Option<&Id>) -> anyhow::Result<()> {
    print(announcement(addresses, example))
}

fn announcement(addresses: &Addresses, example: Option<&Id>) -> String {
    let mut text = format!(
        "reads   http://{}\nadmin   http://{}\n",
        addresses.public, addresses.admin
    );
    if let Some(unix) = &addresses.unix {
        text.push_str(&format!("reads   {unix}\n"));
    }
    let Some(id) = example else { return text };
    let id = utf8_percent_encode(id.as_str(), NON_ALPHANUMERIC)
        .to_string()
        .replace("%2D", "-");
    let (public, admin) = (&addresses.public, &addresses.admin);
    text + &format!(
        "\ntry     curl -i http://{public}/v1/products/{id}\n        curl -s 'http://{public}/v1/products?ids={id},no-such-id'\n        \
         curl -s http://{admin}/metrics | grep hotshelf_reads_total\n"
    )
}

/// Fills an empty database with the generated catalogue; gives an id that exists.
async fn fill(config: &Config, count: u32) -> anyhow::Result<Option<Id>> {
    let database = open_database(config)?;
    database.migrate().await.with_context(|| {
        format!(
            "bringing the tables of {} up to date",
            config.database().url
        )
    })?;
    if database
        .count_products()
        .await
        .context("counting products")?
        == 0
    {
        generate(&database, count).await?;
    }
    database.any_id().await.context("looking for a product")
}

async fn generate(database: &SqlOrigin, count: u32) -> anyhow::Result<()> {
    let bar = progress::items(u64::from(count), "generating the catalogue");
    let mut batch: Vec<Product> = Vec::with_capacity(UPSERT_BATCH_MAX);
    for product in hotshelf_catalogue::generate(u64::from(count), SEED) {
        batch.push(product);
        if batch.len() == UPSERT_BATCH_MAX {
            database
                .upsert_products(&batch)
                .await
                .context("writing products")?;
            bar.inc(batch.len() as u64);
            batch.clear();
        }
    }
    database
        .upsert_products(&batch)
        .await
        .context("writing products")?;
    bar.finish_and_clear();
    eprintln!("generated a catalogue of {count} products");
    Ok(())
}
