//! What a process sets up once, before it starts a node.

use anyhow::{Context, anyhow};
use hotshelf_config::LogConfig;
use hotshelf_telemetry::{Recorder, logging};

/// What the process has once, to be handed to the node.
#[derive(Clone, Debug)]
pub struct Process {
    /// What `/metrics` shows.
    pub recorder: Recorder,
}

/// Installs the log, the metrics recorder and the TLS provider of this process.
///
/// # Errors
/// When one of them is installed already, or the log's filter cannot be read.
pub fn prepare(log: &LogConfig) -> anyhow::Result<Process> {
    let format = match log.format {
        hotshelf_config::LogFormat::Text => logging::LogFormat::Text,
        hotshelf_config::LogFormat::Json => logging::LogFormat::Json,
    };
    logging::install(&log.filter, format)?;
    // One provider for every TLS client: two in one process make the first connection panic.
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow!("a TLS provider is installed already"))?;
    let recorder = Recorder::install().context("preparing metrics")?;
    Ok(Process { recorder })
}
