//! What the routes share.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use hotshelf_engine::Cache;
use hotshelf_model::{ChangeRecorder, Clock, NamespaceName, ProductWriter};
use hotshelf_telemetry::{Counter, Gauge, Recorder, metric};
use hotshelf_warm::Warmer;
use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::decided::Decided;
use crate::hot::Hot;
use crate::membership::Membership;
use crate::problem::Problem;
use crate::settings::HttpSettings;
use crate::write::WriteCounters;

/// A semaphore's most.
const MAX_ROOM: u32 = u32::MAX >> 3;

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
    /// Hot keys, on a node that looks for them.
    pub hot: Option<Hot>,
    /// This node among the others.
    pub membership: Arc<Membership>,
    /// Who plans and starts warm-ups.
    pub warmer: Option<Warmer>,
    /// What operators decide.
    pub decided: Decided,
}

/// Writes under way, and what they count.
#[derive(Debug)]
pub(crate) struct Writes {
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) counters: WriteCounters,
}

/// Room for the answers to batches, in KiB.
#[derive(Debug)]
pub(crate) struct Batches {
    room: Arc<Semaphore>,
    room_max: u32,
    shed: Counter,
}

/// Room that an answer takes until the last of its bytes is dropped.
pub(crate) type Room = OwnedSemaphorePermit;

impl Batches {
    fn new(settings: &HttpSettings) -> Self {
        let bytes_max = settings.batches_bytes_max.max(settings.batch_bytes_max);
        let room_max = kibibytes(bytes_max).min(MAX_ROOM);
        Batches {
            room: Arc::new(Semaphore::new(room_max as usize)),
            room_max,
            shed: metric::BATCHES_SHED.counter(&[]),
        }
    }

    /// Room for an answer, if there is.
    pub(crate) fn room(&self, bytes: usize) -> Result<Room, Problem> {
        let wanted = kibibytes(bytes).min(self.room_max);
        let room = Arc::clone(&self.room).try_acquire_many_owned(wanted);
        room.map_err(|_none_left| {
            self.shed.increment(1);
            let detail = "the answers to other batches take all of `http.batches_bytes_max`; ask again, or for less at once";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "shed", detail)
        })
    }
}

fn kibibytes(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

/// Clients that follow events, and what they count.
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
    pub(crate) hot: Option<Hot>,
    pub(crate) decided: Decided,
    /// This node among the others.
    pub membership: Arc<Membership>,
    /// Who plans and starts warm-ups.
    pub warmer: Option<Warmer>,
    pub(crate) writes: Writes,
    pub(crate) batches: Batches,
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
        let batches = Batches::new(&parts.settings);
        Arc::new(ApiState {
            cache: parts.cache,
            recorder: parts.recorder,
            clock: parts.clock,
            settings: parts.settings,
            writing: parts.writing,
            hot: parts.hot,
            decided: parts.decided,
            membership: parts.membership,
            warmer: parts.warmer,
            writes,
            batches,
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
}
