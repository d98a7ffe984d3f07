//! Arguments of the commands that ask admin listeners.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;

use super::{key_value, time};

/// Which node is asked, and by whom.
#[derive(ClapArgs)]
pub(crate) struct AdminArgs {
    /// The admin listener of a node; any node of the cluster will do.
    #[arg(long, default_value = "http://127.0.0.1:7401", value_name = "URL")]
    pub(crate) admin: String,
    /// The token to show. Other people on this machine see what stands on a command line: better to give a file, or the environment.
    #[arg(
        long,
        env = "HOTSHELF_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub(crate) token: Option<String>,
    /// A file that holds the token; beats `--token` and the environment.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// Without the token.
impl std::fmt::Debug for AdminArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("AdminArgs");
        shown.field("admin", &self.admin).finish_non_exhaustive()
    }
}

/// Which nodes are asked, by whom, and for how long.
#[derive(Debug, ClapArgs)]
pub(crate) struct ClusterArgs {
    #[command(flatten)]
    pub(crate) node: AdminArgs,
    /// How long each node has to answer.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = time)]
    pub(crate) deadline: Duration,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct NodesArgs {
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ExplainArgs {
    /// The document's id.
    pub(crate) id: String,
    /// The namespace.
    #[arg(long, default_value = "products")]
    pub(crate) namespace: String,
    /// A dimension of the variant, such as locale=de; repeatable.
    #[arg(long = "variant", value_name = "NAME=VALUE", value_parser = key_value)]
    pub(crate) variant: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct StatsArgs {
    /// Over how long rates are taken, such as 1s or 1m.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    pub(crate) over: Duration,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct InvalidateArgs {
    /// The documents' ids.
    #[arg(required_unless_present = "namespace", value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// The namespace of the ids [default: products]; without ids, all of its documents.
    #[arg(long)]
    pub(crate) namespace: Option<String>,
    /// Waits until the node that is asked has applied it; the others do within the staleness bound.
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
