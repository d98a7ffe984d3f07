//! Commands that ask the admin listeners of running nodes: `nodes`, `explain`, `stats`, `invalidate`.

mod client;
mod explain;
mod invalidate;
mod nodes;
mod stats;
mod table;

use std::process::ExitCode;

use anyhow::Context;

use crate::args::{ExplainArgs, InvalidateArgs, NodesArgs, StatsArgs};

/// The command did what it could, and some node is missing or did not answer.
const INCOMPLETE: u8 = 6;
/// A copy that a node would serve as fresh is not what the database has.
const OUTDATED: u8 = 7;

pub(crate) fn nodes(args: &NodesArgs) -> anyhow::Result<ExitCode> {
    block_on(nodes::run(args))
}

pub(crate) fn explain(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    block_on(explain::run(args))
}

pub(crate) fn stats(args: &StatsArgs) -> anyhow::Result<ExitCode> {
    block_on(stats::run(args))
}

pub(crate) fn invalidate(args: &InvalidateArgs) -> anyhow::Result<ExitCode> {
    block_on(invalidate::run(args))
}

fn block_on(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting")?;
    runtime.block_on(command)
}
