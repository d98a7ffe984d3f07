//! What the routes share.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use hotshelf_engine::{Cache, Class, ReadOptions};
use hotshelf_model::{ChangeRecorder, Clock, NamespaceName, ProductWriter, VersionToken};
use hotshelf_telemetry::{Counter, Gauge, Recorder, metric};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

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

/// Clients that follow the changes, and what they count.
#[derive(Debug)]
pub(crate) struct Subscribers {
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) count: Gauge,
    pub(crate) refused: Counter,
    pub(crate) resets: Counter,
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
    pub(crate) subscribers: Subscribers,
    draining: CancellationToken,
}

impl ApiState {
    /// Puts the parts together.
    pub fn new(parts: ApiParts) -> Arc<Self> {
        let writes = Writes {
            permits: Arc::new(Semaphore::new(parts.settings.writes_max)),
            counters: WriteCounters::new(),
        };
        let subscribers = Subscribers {
            permits: Arc::new(Semaphore::new(parts.settings.subscribers_max)),
            count: metric::SUBSCRIBERS.gauge(&[]),
            refused: metric::SUBSCRIBERS_REFUSED.counter(&[]),
            resets: metric::SUBSCRIBERS_RESET.counter(&[]),
        };
        Arc::new(ApiState {
            cache: parts.cache,
            recorder: parts.recorder,
            clock: parts.clock,
            settings: parts.settings,
            writing: parts.writing,
            writes,
            subscribers,
            draining: CancellationToken::new(),
        })
    }

    /// From now on `/readyz` says no, so that load balancers look elsewhere before the listener stops, and those who follow the
    /// changes are sent elsewhere.
    pub fn start_draining(&self) {
        self.draining.cancel();
    }

    /// Whether the node is about to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Waits until the node is about to stop.
    pub(crate) async fn draining(&self) {
        self.draining.cancelled().await;
    }

    pub(crate) fn read_options(&self, min_version: Option<VersionToken>) -> ReadOptions {
        ReadOptions {
            deadline: self.settings.read_timeout,
            min_version,
            class: Class::Interactive,
            is_looked_up: true,
        }
    }
}
