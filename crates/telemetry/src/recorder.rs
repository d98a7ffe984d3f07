//! The recorder behind `/metrics`.

use anyhow::Context;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::metric::METRICS;

/// Upper bounds of every duration histogram: from a memory hit to a request that is given up.
const SECONDS: &[f64] = &[
    0.000_001,
    0.000_002_5,
    0.000_005,
    0.000_01,
    0.000_025,
    0.000_05,
    0.000_1,
    0.000_25,
    0.000_5,
    0.001,
    0.002_5,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    60.0,
    600.0,
    3600.0,
];

/// Renders what the process has counted. There is one per process, because the `metrics` facade is global.
#[derive(Clone)]
pub struct Recorder {
    handle: PrometheusHandle,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

impl Recorder {
    /// Installs the process's recorder. Handles taken before this count nothing.
    ///
    /// # Errors
    /// When one is installed already.
    pub fn install() -> anyhow::Result<Self> {
        let builder = PrometheusBuilder::new()
            .set_buckets(SECONDS)
            .context("setting histogram buckets")?;
        let handle = builder
            .install_recorder()
            .context("installing the metrics recorder")?;
        for metric in METRICS {
            metric.describe();
        }
        Ok(Recorder { handle })
    }

    /// The text exposition format, version 0.0.4.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds pending observations into histograms; to be called every few seconds, so that they stay bounded.
    pub fn fold(&self) {
        self.handle.run_upkeep();
    }
}
