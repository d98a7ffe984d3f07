//! What can be said of warm-ups.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use hotshelf_access_log::parse::{Format, OWN_PATHS};
use hotshelf_model::NamespaceName;

use super::{AdminArgs, key_value, log_format, namespace};

#[derive(Debug, Subcommand)]
pub(crate) enum WarmCommand {
    /// Says what a warm-up would take, and whether it fits.
    Plan(Box<WarmWishArgs>),
    /// Starts a warm-up, and follows it unless told otherwise. It goes on when this command ends.
    Run(Box<WarmRunArgs>),
    /// Says how far the tiers hold what a warm-up has filled, compared with the database.
    Verify(WarmVerifyArgs),
    /// Lists the warm-ups.
    List(WarmListArgs),
    /// Stops a warm-up until it is resumed.
    Pause(WarmJobArgs),
    /// Goes on with a warm-up that was paused.
    Resume(WarmJobArgs),
    /// Stops a warm-up for good.
    Cancel(WarmJobArgs),
}

/// What is to be warm. Sources add up; what is excluded is left out of all of them.
#[derive(Debug, ClapArgs)]
pub(crate) struct WarmWishArgs {
    #[command(flatten)]
    pub(crate) node: AdminArgs,
    #[command(flatten)]
    pub(crate) sources: WarmSourceArgs,
    /// The namespace.
    #[arg(long, default_value = "products", value_parser = namespace)]
    pub(crate) namespace: NamespaceName,
    /// A dimension of the variant, such as currency=EUR; repeatable. The default variant otherwise.
    #[arg(long = "variant", value_name = "NAME=VALUE", value_parser = key_value)]
    pub(crate) variant: Vec<(String, String)>,
    /// The tiers to fill; what the node has of l2 and l3 otherwise.
    #[arg(long, value_delimiter = ',', value_name = "TIERS")]
    pub(crate) tiers: Vec<String>,
    /// The nodes whose l1 and l3 are filled, by name; all otherwise.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) nodes: Vec<String>,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct WarmSourceArgs {
    /// A file of ids, plain or gzip: one in a line, or a column of a CSV file with --column; repeatable.
    #[arg(long = "file", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The products of a category and below it, such as Home/Kitchen; repeatable.
    #[arg(long = "category", value_name = "PATH")]
    pub(crate) categories: Vec<String>,
    /// The products for which a condition in SQL holds, over the columns of `product p`; repeatable.
    #[arg(long = "where", value_name = "SQL")]
    pub(crate) conditions: Vec<String>,
    /// The keys that an access log shows as read most, as `hot report` reads it; repeatable. See --top.
    #[arg(long = "log", value_name = "FILE")]
    pub(crate) logs: Vec<PathBuf>,
    /// What is hot on the node.
    #[arg(long)]
    pub(crate) hot: bool,
    /// Every product.
    #[arg(long)]
    pub(crate) everything: bool,
    /// A file of ids that are left out; repeatable.
    #[arg(long = "exclude-file", value_name = "FILE")]
    pub(crate) exclude_files: Vec<PathBuf>,
    /// A category that is left out; repeatable.
    #[arg(long = "exclude-category", value_name = "PATH")]
    pub(crate) exclude_categories: Vec<String>,
    /// Products that are left out, by a condition in SQL; repeatable.
    #[arg(long = "exclude-where", value_name = "SQL")]
    pub(crate) exclude_conditions: Vec<String>,
    /// The column of the files that holds ids, by its name in the first line.
    #[arg(long, value_name = "NAME")]
    pub(crate) column: Option<String>,
    /// How many keys of the logs.
    #[arg(long, value_name = "KEYS", default_value_t = 10_000)]
    pub(crate) top: usize,
    /// The format of the logs; guessed from each one's first lines when not told.
    #[arg(long, value_name = "FORMAT", value_parser = log_format())]
    pub(crate) log_format: Option<Format>,
    /// Finds the key in a request's path of the logs: the group `id`, and `namespace` where the path tells it.
    #[arg(long, value_name = "REGEX", default_value = OWN_PATHS)]
    pub(crate) log_key: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct WarmRunArgs {
    #[command(flatten)]
    pub(crate) wish: WarmWishArgs,
    /// Who starts it, to be kept with the job.
    #[arg(long, env = "USER", default_value = "somebody")]
    pub(crate) who: String,
    /// Starts it although the plan says that it does not fit.
    #[arg(long)]
    pub(crate) force: bool,
    /// Ends when the job is started, and does not follow it.
    #[arg(long)]
    pub(crate) detach: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct WarmVerifyArgs {
    #[command(flatten)]
    pub(crate) node: AdminArgs,
    /// The job's number.
    pub(crate) job: u64,
    /// Looks at so many ids at equal distances, and not at all of them.
    #[arg(long, value_name = "IDS")]
    pub(crate) sample: Option<u64>,
    /// Ends with exit code 5 if a tier of the job holds less than this share of its keys, in percent.
    #[arg(long, value_name = "PERCENT")]
    pub(crate) require: Option<f64>,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct WarmListArgs {
    #[command(flatten)]
    pub(crate) node: AdminArgs,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct WarmJobArgs {
    #[command(flatten)]
    pub(crate) node: AdminArgs,
    /// The job's number.
    pub(crate) job: u64,
    /// Who wishes it, to be kept with the job.
    #[arg(long, env = "USER", default_value = "somebody")]
    pub(crate) who: String,
}
