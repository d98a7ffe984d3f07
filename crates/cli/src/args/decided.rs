//! Arguments of the commands by which operators decide: `pin` and `switch`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};

use super::{AdminArgs, DecisionArgs, time};

#[derive(Debug, Subcommand)]
pub(crate) enum PinCommand {
    /// Has every node hold these documents, in every variant, until a moment; all of them, or none if there is no room.
    Add(PinAddArgs),
    /// Ends pins.
    Rm(PinRmArgs),
    /// Shows what is pinned.
    List(DecidedListArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PinAddArgs {
    /// The documents' ids.
    #[arg(value_name = "ID", required_unless_present_any = ["file", "category"])]
    pub(crate) ids: Vec<String>,
    /// A file of ids, one in each line. `-` is standard input.
    #[arg(long)]
    pub(crate) file: Option<PathBuf>,
    /// What is now in a category of hotshelf's own tables or below it, such as `Clothing > Jackets`. What comes into it later is not pinned.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["ids", "file"])]
    pub(crate) category: Option<String>,
    /// The namespace.
    #[arg(long, default_value = "products")]
    pub(crate) namespace: String,
    #[command(flatten)]
    pub(crate) expiry: ExpiryArgs,
    #[command(flatten)]
    pub(crate) decision: DecisionArgs,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PinRmArgs {
    /// The documents' ids.
    #[arg(value_name = "ID", required_unless_present_any = ["file", "all"])]
    pub(crate) ids: Vec<String>,
    /// A file of ids, one in each line. `-` is standard input.
    #[arg(long)]
    pub(crate) file: Option<PathBuf>,
    /// Every pin of every namespace.
    #[arg(long, conflicts_with_all = ["ids", "file"])]
    pub(crate) all: bool,
    /// The namespace of the ids.
    #[arg(long, default_value = "products")]
    pub(crate) namespace: String,
    #[command(flatten)]
    pub(crate) decision: DecisionArgs,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

/// Until when it holds, on the database's clock.
#[derive(Clone, Copy, Debug, ClapArgs)]
#[group(multiple = false)]
pub(crate) struct ExpiryArgs {
    /// Holds for so long, such as 90s, 10m or 6h.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub(crate) lasts: Option<Duration>,
    /// Holds until this moment, such as 2026-11-27T00:00:00+01:00.
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    pub(crate) until: Option<u64>,
    /// Holds until somebody ends it.
    #[arg(long)]
    pub(crate) no_expiry: bool,
}

/// Milliseconds since 1970.
fn moment(text: &str) -> Result<u64, String> {
    let moment: Result<jiff::Timestamp, _> = text.parse();
    let ms = moment.ok().map(jiff::Timestamp::as_millisecond);
    ms.and_then(|ms| u64::try_from(ms).ok()).ok_or_else(|| {
        "expected a moment with its time zone, such as 2026-11-27T00:00:00+01:00 or 2026-11-26T23:00:00Z"
            .to_owned()
    })
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DecidedListArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// Prints JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SwitchCommand {
    /// Shows which switches are set, and what there is to set.
    List(DecidedListArgs),
    /// Sets a switch, for an hour unless something else is said.
    Set(SwitchSetArgs),
    /// Ends what was decided about a switch.
    Clear(SwitchClearArgs),
    /// Shows who changed which switch, when and why.
    History(DecidedListArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SwitchSetArgs {
    /// `l2`, `l3`, `origin`, `refresh`, `promotion`, `stale-cap` or `log`.
    pub(crate) switch: String,
    /// `off` or `on`; for `promotion` `frozen` or `on`, for `stale-cap` a time such as `10m`, for `log` a filter such as `debug`.
    pub(crate) value: String,
    /// On the node of this name alone.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    #[command(flatten)]
    pub(crate) expiry: ExpiryArgs,
    #[command(flatten)]
    pub(crate) decision: DecisionArgs,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SwitchClearArgs {
    /// Which switch.
    pub(crate) switch: String,
    /// What was decided for the node of this name alone.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    #[command(flatten)]
    pub(crate) decision: DecisionArgs,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}
