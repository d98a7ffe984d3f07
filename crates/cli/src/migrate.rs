//! `hotshelf migrate`: the database's tables, the tables attached to it, and its history.

use std::process::ExitCode;

use anyhow::Context;
use hotshelf_config::Config;
use hotshelf_node::{attachments, open_database};

use crate::args::{MigrateArgs, SourceArgs};
use crate::config::load;
use crate::output::print;

pub(crate) fn run(args: MigrateArgs, sources: &SourceArgs) -> anyhow::Result<ExitCode> {
    let config = load(sources)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting")?;
    runtime.block_on(migrate(args, &config))?;
    Ok(ExitCode::SUCCESS)
}

async fn migrate(args: MigrateArgs, config: &Config) -> anyhow::Result<()> {
    let database = open_database(config)?;
    let url = &config.database().url;
    if args.dry_run {
        let pending = database.pending_migrations().await?;
        for (name, sql) in &pending {
            print(format!("-- migration {name}\n{sql}\n"))?;
        }
        if !pending.is_empty() {
            return print(
                "-- the tables are attached once these are there; run the dry run again then\n",
            );
        }
    } else {
        let migrated = database.migrate().await;
        migrated.with_context(|| format!("bringing the tables of {url} up to date"))?;
    }
    if args.renew_history {
        database.renew_history().await?;
        return print("the database has a new history; every copy from before is dead\n");
    }
    let wanted = if args.detach {
        Vec::new()
    } else {
        attachments(config)
    };
    let lock_timeout = config.database().lock_timeout;
    let statements = database.attach(&wanted, lock_timeout, args.dry_run).await?;
    if args.dry_run {
        let shown: Vec<String> = statements.iter().map(|sql| format!("{sql};\n")).collect();
        return print(shown.concat());
    }
    let tables = wanted.len();
    match (statements.is_empty(), args.detach) {
        (true, _) => print("nothing was to be done\n"),
        (false, true) => print("no table has a trigger of hotshelf any more\n"),
        (false, false) => print(format!("{tables} tables are attached\n")),
    }
}
