//! The access log of a node: started before anything is read, ended when nothing is read any more.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use hotshelf_access_log::{
    Clocks, HeldRead, LogFormat, LogMode, ReadRecorder, RecorderSettings, Recording, Writer,
    WriterSettings,
};
use hotshelf_config::{AccessLogConfig, AccessLogFormat, AccessLogMode, Config};
use hotshelf_model::{Clock, ReadObserver};

use crate::settings;

/// A recording under way.
#[derive(Debug)]
pub(crate) struct AccessLog {
    pub(crate) observer: Arc<dyn ReadObserver>,
    recording: Recording,
}

impl AccessLog {
    /// Starts to record, if reads are logged.
    ///
    /// # Errors
    /// When the folder cannot be used, or another node uses it.
    pub(crate) fn start(config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<Option<Self>> {
        let log = config.access_log();
        let mode = match log.mode {
            AccessLogMode::Off => return Ok(None),
            AccessLogMode::Sampled => {
                LogMode::Sampled(NonZeroU32::new(log.sample_one_in).unwrap_or(NonZeroU32::MIN))
            }
            AccessLogMode::Full => LogMode::Full,
        };
        let defaults = RecorderSettings::default();
        // Each worker has a ring; the rest are for threads that read beside them.
        let bounds = RecorderSettings {
            ring_records: log.ring_records_max,
            rings_max: settings::workers(config) + defaults.rings_max,
            flush_interval: log.flush_interval,
            ..defaults
        };
        let clocks = Clocks {
            boot: Arc::clone(clock),
            wall_ms,
        };
        let writer = Writer::open(writer(log)).context("opening the access log")?;
        let nobody_counts = |_: &HeldRead| {};
        let (recorder, recording) =
            Recording::start(bounds, clocks, Some((writer, mode)), nobody_counts)?;
        Ok(Some(AccessLog {
            observer: Arc::new(ReadRecorder::new(recorder)),
            recording,
        }))
    }

    /// Writes what was recorded, and ends.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        tokio::task::spawn_blocking(move || self.recording.stop())
            .await
            .context("ending the access log")
    }
}

fn writer(log: &AccessLogConfig) -> WriterSettings {
    WriterSettings {
        folder: log.folder.clone(),
        format: match log.format {
            AccessLogFormat::Binary => LogFormat::Blocks,
            AccessLogFormat::Json => LogFormat::Json,
        },
        file_bytes_max: log.file_bytes_max,
        file_age_max: log.file_age_max,
        bytes_max: log.bytes_max,
    }
}

/// A clock before 1970 is shown as 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "people look for a read by the time of day; nothing is decided by it"
)]
fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
