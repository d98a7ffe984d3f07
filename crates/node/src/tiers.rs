//! The tiers outside the process.

use std::sync::Arc;

#[cfg(feature = "rocksdb")]
use anyhow::Context;
use hotshelf_config::Config;
use hotshelf_engine::Builder;
use hotshelf_model::{Clock, FieldProblem};
use hotshelf_tier_redis::RedisTier;

use crate::settings;

/// The tiers that have to be closed when the node stops.
#[derive(Debug, Default)]
pub(crate) struct Tiers {
    #[cfg(feature = "rocksdb")]
    l3: Option<Arc<hotshelf_tier_rocksdb::RocksTier>>,
}

/// Adds the configured tiers. A Redis that is down is no error; a folder that cannot be used is.
pub(crate) async fn add(
    config: &Config,
    clock: &Arc<dyn Clock>,
    mut builder: Builder,
) -> anyhow::Result<(Builder, Tiers)> {
    if let Some(l2) = config.l2() {
        let redis = RedisTier::connect(
            settings::redis(config, l2),
            Arc::clone(clock),
            rand::random(),
        );
        let redis = redis.map_err(|problems| anyhow::anyhow!(listed("l2", &problems)))?;
        if !redis.connected(l2.connect_timeout).await {
            tracing::warn!("redis is not there yet; starting without it");
        }
        builder = builder.l2(Arc::clone(&redis) as _).leases(redis as _);
    }
    add_l3(config, clock, builder).await
}

#[cfg(feature = "rocksdb")]
async fn add_l3(
    config: &Config,
    clock: &Arc<dyn Clock>,
    builder: Builder,
) -> anyhow::Result<(Builder, Tiers)> {
    let Some(l3) = config.l3() else {
        return Ok((builder, Tiers::default()));
    };
    let (settings, clock) = (settings::rocks(config, l3), Arc::clone(clock));
    let opening = move || hotshelf_tier_rocksdb::RocksTier::open(&settings, clock);
    let rocks = tokio::task::spawn_blocking(opening)
        .await
        .context("opening L3")?;
    let rocks = Arc::new(rocks.context("opening L3")?);
    Ok((
        builder
            .l3(Arc::clone(&rocks) as _)
            .checkpoint(beside(&l3.path)),
        Tiers { l3: Some(rocks) },
    ))
}

/// The file of the checkpoint: beside L3's folder, not in it, because a damaged L3 is removed as a whole.
#[cfg(feature = "rocksdb")]
fn beside(folder: &std::path::Path) -> std::path::PathBuf {
    let mut path = folder.as_os_str().to_owned();
    path.push(".checkpoint");
    path.into()
}

#[cfg(not(feature = "rocksdb"))]
#[expect(
    clippy::unused_async,
    reason = "the same as its twin, which opens a folder"
)]
async fn add_l3(
    config: &Config,
    _clock: &Arc<dyn Clock>,
    builder: Builder,
) -> anyhow::Result<(Builder, Tiers)> {
    if config.l3().is_some() {
        tracing::warn!("L3 is absent: this program was built without RocksDB");
    }
    Ok((builder, Tiers::default()))
}

impl Tiers {
    /// Writes what is still in memory, so that the next start finds it.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        #[cfg(feature = "rocksdb")]
        if let Some(l3) = self.l3 {
            tokio::task::spawn_blocking(move || l3.close())
                .await
                .context("closing L3")?
                .context("closing L3")?;
        }
        Ok(())
    }
}

/// Several problems as one message.
pub(crate) fn listed(what: &str, problems: &[FieldProblem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| format!("{what}.{problem}"))
        .collect();
    lines.join("; ")
}
