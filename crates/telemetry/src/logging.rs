//! The log: one line per event on standard error, for people or as JSON.

use std::io::IsTerminal;
use std::sync::OnceLock;

use anyhow::Context;
use tracing_subscriber::{EnvFilter, fmt};

/// A client library that calls it an error each time a server cannot be reached; the bus says the same once, as a warning. A filter that
/// names it gets to see it.
const SILENCED: &str = "async_nats";

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Puts a filter in force, or that of the start when there is none.
type SetFilter = Box<dyn Fn(Option<&str>) -> anyhow::Result<()> + Send + Sync>;
static SET_FILTER: OnceLock<SetFilter> = OnceLock::new();

/// Says whether a filter can be read.
///
/// # Errors
/// When it cannot; the message says why.
pub fn check(filter: &str) -> anyhow::Result<()> {
    read(filter).map(drop)
}

/// Puts another filter in force, or again that of [`install`]. Nothing happens in a process without a log.
///
/// # Errors
/// When it cannot be read; the one in force stays.
pub fn set_filter(filter: Option<&str>) -> anyhow::Result<()> {
    SET_FILTER.get().map_or(Ok(()), |set| set(filter))
}

fn read(filter: &str) -> anyhow::Result<EnvFilter> {
    let full = if filter.contains(SILENCED) {
        filter.to_owned()
    } else {
        format!("{filter},{SILENCED}=off")
    };
    EnvFilter::try_new(&full).with_context(|| format!("reading the log filter `{full}`"))
}

/// Installs the process's log. `filter` is a `tracing` directive such as `info` or `warn,hotshelf_engine=debug`.
///
/// # Errors
/// When the filter cannot be read, or a log is installed already.
pub fn install(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let builder = fmt::fmt()
        .with_env_filter(read(filter)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let of_start = filter.to_owned();
    let (installed, set): (_, SetFilter) = match format {
        LogFormat::Text => {
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            let set =
                move |filter: Option<&str>| Ok(handle.reload(read(filter.unwrap_or(&of_start))?)?);
            (builder.try_init(), Box::new(set))
        }
        LogFormat::Json => {
            let builder = builder.json().with_filter_reloading();
            let handle = builder.reload_handle();
            let set =
                move |filter: Option<&str>| Ok(handle.reload(read(filter.unwrap_or(&of_start))?)?);
            (builder.try_init(), Box::new(set))
        }
    };
    installed
        .map_err(|error| anyhow::anyhow!(error))
        .context("installing the log")?;
    // A process installs one log.
    SET_FILTER.set(set).ok();
    Ok(())
}
