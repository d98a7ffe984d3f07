//! What a node records of its reads, for the access log and for hot keys: started before anything is read, ended when nothing is read any more.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use hotshelf_access_log::{
    Clocks, HeldRead, LogFormat, LogMode, RecorderSettings, Recording, Writer, WriterSettings,
};
use hotshelf_config::{AccessLogConfig, AccessLogFormat, AccessLogMode, Config};
use hotshelf_model::{Clock, ReadObserver};
use hotshelf_promotion::Counter;

use crate::settings;

/// A recording under way.
#[derive(Debug)]
pub(crate) struct Reads {
    pub(crate) observer: Arc<dyn ReadObserver>,
    recording: Recording,
}

impl Reads {
    /// Starts to record, if reads are logged or counted.
    ///
    /// # Errors
    /// When the folder cannot be used, or another node uses it.
    pub(crate) fn start(
        config: &Config,
        clock: &Arc<dyn Clock>,
        counter: Option<Counter>,
    ) -> anyhow::Result<Option<Self>> {
        let log = config.access_log();
        let mode = match log.mode {
            AccessLogMode::Off => None,
            AccessLogMode::Sampled => {
                let one_in = NonZeroU32::new(log.sample_one_in);
                Some(LogMode::Sampled(one_in.unwrap_or(NonZeroU32::MIN)))
            }
            AccessLogMode::Full => Some(LogMode::Full),
        };
        if mode.is_none() && counter.is_none() {
            return Ok(None);
        }
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
        let open = || Writer::open(writer(log)).context("opening the access log");
        let log = mode.map(|mode| anyhow::Ok((open()?, mode))).transpose()?;
        let (recorder, recording) = match counter {
            Some(counter) => Recording::start(bounds, clocks, log, counter)?,
            None => Recording::start(bounds, clocks, log, |_: &HeldRead| {})?,
        };
        Ok(Some(Reads {
            observer: Arc::new(recorder),
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
