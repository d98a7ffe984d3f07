//! What can be said on the command line.

mod cluster;
mod decided;
mod load;
mod warm;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use hotshelf_access_log::parse::{Format, OWN_PATHS};
use hotshelf_hotkeys::rules::THRESHOLD;
use hotshelf_model::NamespaceName;

pub(crate) use cluster::{
    AdminArgs, ClusterArgs, ExplainArgs, InvalidateArgs, NodesArgs, StatsArgs,
};
pub(crate) use decided::{
    DecidedListArgs, ExpiryArgs, PinAddArgs, PinCommand, PinRmArgs, SwitchClearArgs, SwitchCommand,
    SwitchSetArgs,
};
pub(crate) use load::LoadArgs;
pub(crate) use warm::{
    WarmCommand, WarmJobArgs, WarmListArgs, WarmRunArgs, WarmSourceArgs, WarmVerifyArgs,
    WarmWishArgs,
};

/// A multi-level cache for hot product-detail reads.
#[derive(Debug, Parser)]
#[command(name = "hotshelf", version, about, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 the command line could not be read, 4 not found (`get`), 5 a limit was not kept (`load`, `warm plan`, `warm run`, `warm verify`), 6 a node is missing or did not answer (`nodes`, `explain`, `stats`, `warm verify`), 7 a node would serve as fresh what is not the database's (`explain`)."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) sources: SourceArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the configuration comes from: the file, over it the environment (HOTSHELF_*), over both the flags.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct SourceArgs {
    /// The configuration file (TOML).
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Gives one key a value, over file and environment; repeatable. `hotshelf config reference` lists the keys.
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("expected KEY=VALUE, such as l1.bytes_max=1073741824")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Starts a node.
    Serve(ServeArgs),
    /// Reads one document from a running node.
    Get(GetArgs),
    /// Shows the nodes of the cluster.
    Nodes(NodesArgs),
    /// Shows what every node holds of one document in each tier, and what the database has, without changing any of it.
    Explain(ExplainArgs),
    /// Shows what every node answers from where, over a short time.
    Stats(StatsArgs),
    /// Makes every node fetch documents anew: single ones, or with `--namespace` alone all of a namespace.
    Invalidate(InvalidateArgs),
    /// Reads a product catalogue into the database.
    Import(ImportArgs),
    /// Brings the database's tables up to date, and attaches and detaches the tables that the configuration names.
    Migrate(MigrateArgs),
    /// Finds the keys that are read most.
    Hot {
        #[command(subcommand)]
        command: HotCommand,
    },
    /// Has every node hold documents whatever is read, and shows which.
    Pin {
        #[command(subcommand)]
        command: PinCommand,
    },
    /// Switches tiers, the origin, refreshes and more off and on, in the cluster or on one node.
    Switch {
        #[command(subcommand)]
        command: SwitchCommand,
    },
    /// Sends reads to a server at a fixed rate or as access logs tell, and reports latencies.
    Load(Box<LoadArgs>),
    /// Looks into the access log.
    Log {
        #[command(subcommand)]
        command: LogCommand,
    },
    /// Fills tiers before anybody reads.
    Warm {
        #[command(subcommand)]
        command: WarmCommand,
    },
    /// Shows or checks the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Prints what a shell needs to complete the program's arguments.
    Completions { shell: Shell },
    /// Prints a generated document.
    #[command(hide = true)]
    Reference { document: Document },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ServeArgs {
    /// Fills an empty database with a generated catalogue first, and prints lines to try.
    #[arg(long)]
    pub(crate) embedded: bool,
    /// How many products the generated catalogue has.
    #[arg(long, default_value_t = 10_000, requires = "embedded", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) products: u32,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct GetArgs {
    /// The product's id.
    pub(crate) id: String,
    /// The namespace.
    #[arg(long, default_value = "products")]
    pub(crate) namespace: String,
    /// A dimension of the variant, such as locale=de; repeatable.
    #[arg(long = "variant", value_name = "NAME=VALUE", value_parser = key_value)]
    pub(crate) variant: Vec<(String, String)>,
    /// The node to ask.
    #[arg(long, default_value = "http://127.0.0.1:7400", value_name = "URL")]
    pub(crate) node: String,
    /// Prints the answer's headers on standard error.
    #[arg(long)]
    pub(crate) headers: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ImportArgs {
    /// CSV with a header, a JSON array, or JSON lines; plain or gzip. `-` is standard input.
    pub(crate) file: PathBuf,
    /// Takes a field of a product from a column of the file, such as title=name; repeatable.
    #[arg(long = "map", value_name = "FIELD=COLUMN")]
    pub(crate) map: Vec<String>,
    /// The currency of prices that do not say theirs (ISO 4217).
    #[arg(long, default_value = "USD")]
    pub(crate) currency: String,
    /// Bad rows that are skipped; one more ends the import.
    #[arg(long, default_value_t = 100, value_name = "ROWS")]
    pub(crate) bad_rows_max: u64,
    /// Reads and checks everything, and writes nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Clone, Copy, Debug, ClapArgs)]
pub(crate) struct MigrateArgs {
    /// Prints the SQL that would be run, and changes nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Removes every trigger and function from tables that are not hotshelf's own, also of tables that are no longer configured,
    /// and attaches none.
    #[arg(long)]
    pub(crate) detach: bool,
    /// Begins a new history after a restore, so that no copy from before is ever served again. Before a node connects.
    #[arg(long, requires = "yes", conflicts_with_all = ["detach", "dry_run"])]
    pub(crate) renew_history: bool,
    /// Says that you mean it.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HotCommand {
    /// Reports the keys that access logs show as read most: nginx's, Envoy's, or hotshelf's own.
    Report(HotReportArgs),
    /// Shows what is hot in a running cluster: on a terminal a table that follows, else a line for each key that becomes hot or is not any more.
    Tail(HotTailArgs),
    /// Shows or changes the rules by which keys become hot, in a running cluster.
    Rules {
        #[command(subcommand)]
        command: HotRulesCommand,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct HotTailArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// Shows the table once.
    #[arg(long)]
    pub(crate) once: bool,
    /// Prints each look as one line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// How many keys the table has.
    #[arg(long, value_name = "KEYS", default_value_t = 20)]
    pub(crate) top: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HotRulesCommand {
    /// Shows the rules in force and who set them.
    Show(HotRulesShowArgs),
    /// Sets the rules of the whole cluster, all of them.
    Set(HotRulesSetArgs),
    /// Goes back to the rules of the configuration.
    Clear(HotRulesClearArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct HotRulesShowArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// Prints the rules as `set` takes them.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct HotRulesSetArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// The rules as JSON, as `show --json` prints them. `-` is standard input.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) decision: DecisionArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct HotRulesClearArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    #[command(flatten)]
    pub(crate) decision: DecisionArgs,
}

/// What is kept of a decision, and what it depends on.
#[derive(Debug, ClapArgs)]
pub(crate) struct DecisionArgs {
    /// Why; kept with who did it and when.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Only while this is the version that `show` tells.
    #[arg(long, value_name = "VERSION")]
    pub(crate) if_version: Option<u64>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct HotReportArgs {
    /// Access logs, plain or gzip; several count as one.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The format of the logs; guessed from each one's first lines when not told.
    #[arg(long, value_name = "FORMAT", value_parser = log_format())]
    pub(crate) format: Option<Format>,
    /// Finds the key in a request's path, without its query and percent-decoded: the group `id`, and `namespace` where the path tells it.
    #[arg(long, value_name = "REGEX", default_value = OWN_PATHS)]
    pub(crate) key: String,
    /// The namespace of keys where the pattern has no group for it.
    #[arg(long, default_value = "products", value_parser = namespace)]
    pub(crate) namespace: NamespaceName,
    /// The time over which a peak is taken, such as 100ms, 1s or 1m.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    pub(crate) window: Duration,
    /// How many keys.
    #[arg(long, value_name = "KEYS", default_value_t = 20)]
    pub(crate) top: usize,
    /// From how many reads per second on a key would have been hot.
    #[arg(long, value_name = "READS", default_value_t = THRESHOLD)]
    pub(crate) threshold: u32,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

fn namespace(text: &str) -> Result<NamespaceName, String> {
    NamespaceName::new(text).map_err(|problem| problem.reason)
}

fn log_format() -> impl TypedValueParser<Value = Format> {
    let words = Format::ALL.map(Format::as_str);
    PossibleValuesParser::new(words).try_map(|word| {
        let mut formats = Format::ALL.into_iter();
        formats
            .find(|format| format.as_str() == word)
            .ok_or("no such format")
    })
}

fn time(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    let ms = units.iter().find_map(|(unit, ms)| {
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        count.checked_mul(*ms).filter(|&ms| ms > 0)
    });
    let ms = ms.ok_or("expected a time above zero, such as 100ms, 1s or 1m")?;
    Ok(Duration::from_millis(ms))
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Prints the blocks of access logs as JSON lines; what is damaged is skipped, and told on standard error.
    Cat(LogCatArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LogCatArgs {
    /// Files of blocks (`.hslog`), plain or gzip, printed in this order.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Shows every key with its value and where the value comes from; secrets are masked.
    Show,
    /// Checks the configuration and reports every problem at once.
    Check,
    /// Prints every key with its meaning, as Markdown.
    Reference,
    /// Prints a file with every key at its default.
    Example,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Document {
    ConfigToml,
    ConfigMd,
    MetricsMd,
    Openapi,
}
