//! The command `hotshelf`: serves, imports catalogues, reads single documents, looks into clusters and access logs, makes load, and explains its
//! configuration.

mod admin;
mod args;
mod cluster;
mod config;
mod decided;
mod exit;
mod get;
mod hot;
mod import;
mod load;
mod log;
mod migrate;
mod output;
mod progress;
mod reference;
mod serve;
mod warm;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

/// Faster and less fragmented than the system's under many small and few large documents.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match args.command {
        Command::Serve(serve) => serve::run(&serve, &args.sources),
        Command::Get(get) => get::run(&get),
        Command::Nodes(nodes) => cluster::nodes(&nodes),
        Command::Explain(explain) => cluster::explain(&explain),
        Command::Stats(stats) => cluster::stats(&stats),
        Command::Invalidate(invalidate) => cluster::invalidate(&invalidate),
        Command::Completions { shell } => reference::completions(shell).map(|()| ExitCode::SUCCESS),
        Command::Import(import) => import::run(&import, &args.sources),
        Command::Migrate(migrate) => migrate::run(migrate, &args.sources),
        Command::Hot { command } => hot::run(&command),
        Command::Pin { command } => decided::pin(&command),
        Command::Switch { command } => decided::switch(&command),
        Command::Load(load) => load::run(&load),
        Command::Log { command } => log::run(&command),
        Command::Warm { command } => warm::run(&command),
        Command::Config { command } => config::run(&command, &args.sources),
        Command::Reference { document } => reference::run(document).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("hotshelf: {error:#}");
        ExitCode::FAILURE
    })
}
