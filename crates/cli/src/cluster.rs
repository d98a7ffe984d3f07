//! Commands that ask the admin listeners of running nodes: `nodes`, `explain`, `stats`, `invalidate`.

mod explain;
mod invalidate;
mod membership;
mod nodes;
mod stats;

use std::process::ExitCode;

use crate::admin::{self, Admin};
use crate::args::{ClusterArgs, ExplainArgs, InvalidateArgs, NodesArgs, StatsArgs};

pub(crate) fn nodes(args: &NodesArgs) -> anyhow::Result<ExitCode> {
    admin::run(nodes::run(args))
}

pub(crate) fn explain(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    admin::run(explain::run(args))
}

pub(crate) fn stats(args: &StatsArgs) -> anyhow::Result<ExitCode> {
    admin::run(stats::run(args))
}

pub(crate) fn invalidate(args: &InvalidateArgs) -> anyhow::Result<ExitCode> {
    admin::run(invalidate::run(args))
}

fn asked(args: &ClusterArgs) -> anyhow::Result<Admin> {
    Admin::new(&args.node, args.deadline)
}
