//! The log: one line per event on standard error, for people or as JSON.

use std::io::IsTerminal;

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

/// Installs the process's log. `filter` is a `tracing` directive such as `info` or `warn,hotshelf_engine=debug`.
///
/// # Errors
/// When the filter cannot be read, or a log is installed already.
pub fn install(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = if filter.contains(SILENCED) {
        filter.to_owned()
    } else {
        format!("{filter},{SILENCED}=off")
    };
    let filter = EnvFilter::try_new(&filter)
        .with_context(|| format!("reading the log filter `{filter}`"))?;
    let builder = fmt::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let installed = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    installed
        .map_err(|error| anyhow::anyhow!(error))
        .context("installing the log")
}
