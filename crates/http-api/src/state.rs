//! What the routes share.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hotshelf_engine::{Cache, Class, ReadOptions};
use hotshelf_model::{ChangeRecorder, Clock, NamespaceName, ProductWriter, VersionToken};
use hotshelf_telemetry::Recorder;
use tokio::sync::Semaphore;

use crate::access::Access;
use crate::settings::HttpSettings;
use crate::write::WriteCounters;

/// Who may write what, and where it goes.
#[derive(Clone, Debug, Default)]
pub struct Writing {
    /// The namespaces that are written through this API, each with its database.
    pub products: HashMap<NamespaceName, Arc<dyn ProductWriter>>,
    /// Where posted changes are recorded.
    pub changes: Option<Arc<dyn ChangeRecorder>>,
    /// Namespaces whose documents get their versions outside of the database.
    pub versioned_outside: HashSet<NamespaceName>,
    /// Who may do it.
    pub access: Access,
}

/// What an [`ApiState`] is made of.
#[derive(Debug)]
pub struct ApiParts {
    /// Where documents come from.
    pub cache: Cache,
    /// What `/metrics` shows.
    pub recorder: Recorder,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The bounds.
    pub settings: HttpSettings,
    /// Who may write what.
    pub writing: Writing,
}

/// Writes under way, and what they count.
#[derive(Debug)]
pub(crate) struct Writes {
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) counters: WriteCounters,
}

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
    /// Who may write what.
    pub writing: Writing,
    pub(crate) writes: Writes,
    draining: AtomicBool,
}

impl ApiState {
    /// Puts the parts together.
    pub fn new(parts: ApiParts) -> Arc<Self> {
        let writes = Writes {
            permits: Arc::new(Semaphore::new(parts.settings.writes_max)),
            counters: WriteCounters::new(),
        };
        Arc::new(ApiState {
            cache: parts.cache,
            recorder: parts.recorder,
            clock: parts.clock,
            settings: parts.settings,
            writing: parts.writing,
            writes,
            draining: AtomicBool::new(false),
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
