//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// A multi-level cache for hot product-detail reads.
#[derive(Debug, Parser)]
#[command(name = "hotshelf", version, about, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 the command line could not be read, 4 not found (`get`)."
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
    /// Reads a product catalogue into the database.
    Import(ImportArgs),
    /// Brings the database's tables up to date, and attaches and detaches the tables that the configuration names.
    Migrate(MigrateArgs),
    /// Shows or checks the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
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
