//! What the routes share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hotshelf_engine::{Cache, Class, ReadOptions};
use hotshelf_model::{Clock, VersionToken};
use hotshelf_telemetry::Recorder;

use crate::settings::HttpSettings;

/// What the routes of both listeners work on; shared behind an `Arc`.
#[derive(Debug)]
pub struct ApiState {
    /// Where documents come from.
    pub cache: Cache,
    /// What `/metrics` shows.
    pub recorder: Recorder,
    /// Time, for measuring and for the bounds on slow clients.
    pub clock: Arc<dyn Clock>,
    /// The bounds.
    pub settings: HttpSettings,
    draining: AtomicBool,
}

impl ApiState {
    /// Puts the parts together.
    pub fn new(
        cache: Cache,
        recorder: Recorder,
        clock: Arc<dyn Clock>,
        settings: HttpSettings,
    ) -> Arc<Self> {
        let draining = AtomicBool::new(false);
        Arc::new(ApiState {
            cache,
            recorder,
            clock,
            settings,
            draining,
        })
    }

    /// From now on `/readyz` says no, so that load balancers look elsewhere before the listener stops.
    pub fn start_draining(&self) {
        // Relaxed: nothing else is published with the mark.
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the node is about to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn read_options(&self, min_version: Option<VersionToken>) -> ReadOptions {
        ReadOptions {
            deadline: self.settings.read_timeout,
            min_version,
            class: Class::Interactive,
        }
    }
}
