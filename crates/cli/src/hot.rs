//! `hotshelf hot`: what is hot in a cluster or was in its logs, and by which rules.

mod report;
mod rules;
mod tail;

use std::process::ExitCode;
use std::time::Duration;

use crate::args::HotCommand;

/// How long a node has to answer.
const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) fn run(command: &HotCommand) -> anyhow::Result<ExitCode> {
    match command {
        HotCommand::Report(args) => report::report(args)?,
        HotCommand::Tail(args) => tail::tail(args)?,
        HotCommand::Rules { command } => rules::run(command)?,
    }
    Ok(ExitCode::SUCCESS)
}
