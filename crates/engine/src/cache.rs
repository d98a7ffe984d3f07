//! The public face of the engine.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_coherence::Cursor;
use hotshelf_model::{
    Boot, BootClock, Bus, ChangeLog, Clock, ClusterLeases, DbTime, Error, ErrorKind, Hist, Id, Key,
    KeyRef, Leases, Namespace, NamespaceName, Origin, Position, ReadObserver, Tier, Timeline,
    Version,
};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinHandle};

use crate::answer::Answer;
use crate::budget::Budget;
use crate::changes::Changes;
use crate::checkpoint::{CheckpointFile, Io};
use crate::counters::Counters;
use crate::fetch::Fetcher;
use crate::flight::Flights;
use crate::follow::{Follower, Following};
use crate::gauges::publish;
use crate::keeper::{FILLS_MAX, keep};
use crate::l1::L1;
use crate::ledger::{Copies, NewVersion};
use crate::revalidate::Revalidator;
use crate::settings::{EngineSettings, ReadOptions};
use crate::slot::Commons;
use crate::switches::Switchboard;
use crate::variants::Variants;

/// The state of the engine, for people and health checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineStatus {
    /// The position up to which the node has applied the change log; `None` before the first poll.
    pub position: Option<Position>,
    /// The timeline of that position; `None` before the first poll.
    pub timeline: Option<Timeline>,
    /// The database's history; `None` before the first poll.
    pub hist: Option<Hist>,
    /// The latest time that the database's clock can show now; `None` before the first poll.
    pub database_now: Option<DbTime>,
    /// Time since this node last proved that it knows every change; `None` before the first proof.
    pub proof_age: Option<Duration>,
    /// Fills under way.
    pub fills: usize,
}

/// One namespace with its way to the origin.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) namespace: Arc<Namespace>,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) revalidator: Arc<Revalidator>,
    pub(crate) commons: Commons,
    pub(crate) variants: Arc<Variants>,
    /// Fills of the keeper at once.
    pub(crate) keeping: Semaphore,
}

/// Everything that reads share.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) settings: EngineSettings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) follower: Arc<Follower>,
    pub(crate) l1: Arc<L1>,
    /// As configured: [`Engine::l2_in_use`] says whether it is switched off.
    pub(crate) l2: Option<Arc<dyn Tier>>,
    /// As configured: [`Engine::l3_in_use`] says whether it is switched off.
    pub(crate) l3: Option<Arc<dyn Tier>>,
    pub(crate) leases: Option<Arc<dyn Leases>>,
    pub(crate) switches: Arc<Switchboard>,
    pub(crate) flights: Arc<Flights>,
    pub(crate) counters: Counters,
    pub(crate) refreshes: Arc<Semaphore>,
    pub(crate) write_backs: Arc<Semaphore>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) runtime: Handle,
    pub(crate) observer: Option<Arc<dyn ReadObserver>>,
    sources: HashMap<Box<str>, Arc<Source>>,
}

impl Engine {
    pub(crate) fn source<'k>(&self, key: impl Into<KeyRef<'k>>) -> Result<&Arc<Source>, Error> {
        let key = key.into();
        self.source_of(key.namespace()).ok_or_else(|| {
            Error::new(
                ErrorKind::UnknownNamespace,
                format!("there is no namespace `{}`", key.namespace()),
            )
        })
    }

    pub(crate) fn source_of(&self, namespace: &str) -> Option<&Arc<Source>> {
        self.sources.get(namespace)
    }
}

/// Ends the background tasks when the last clone of the cache is gone.
#[derive(Debug)]
struct Tasks(Vec<AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

/// A cache over an origin: reads pass through L1, L2 and L3 before the origin is asked. Cheap to clone.
///
/// Every answer is either fresh, that is proved current within the staleness bound, or labelled stale. A tier that fails makes
/// reads slower; it never makes them wrong, and a read fails only when no tier and not the origin has an answer.
#[derive(Clone, Debug)]
pub struct Cache {
    pub(crate) engine: Arc<Engine>,
    _tasks: Arc<Tasks>,
}

impl Cache {
    /// Starts to describe a cache whose changes are recorded in `log`.
    pub fn builder(log: Arc<dyn ChangeLog>) -> Builder {
        Builder {
            settings: EngineSettings::default(),
            clock: Arc::new(BootClock),
            log,
            bus: None,
            checkpoint: None,
            cluster_leases: None,
            l2: None,
            l3: None,
            leases: None,
            observer: None,
            sources: Vec::new(),
        }
    }

    /// A namespace by name.
    pub fn namespace(&self, name: &str) -> Option<&Arc<Namespace>> {
        self.engine
            .sources
            .get(name)
            .map(|source| &source.namespace)
    }

    /// Every namespace, in no order.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<Namespace>> {
        self.engine.sources.values().map(|source| &source.namespace)
    }

    /// The answer that L1 can give now, without waiting; `None` when only [`Cache::get`] can tell.
    #[inline]
    pub fn try_get<'k>(&self, key: impl Into<KeyRef<'k>>) -> Option<Answer> {
        self.engine
            .try_get(key.into(), &ReadOptions::default(), |_| true)
    }

    /// As [`Cache::try_get`], if the answer is one that [`Cache::get`] may give with these options, and `takes` takes it. An answer
    /// that is not taken is not counted and not told to the observer.
    #[inline]
    pub fn try_get_with<'k>(
        &self,
        key: impl Into<KeyRef<'k>>,
        options: &ReadOptions<'_>,
        takes: impl FnOnce(&Answer) -> bool,
    ) -> Option<Answer> {
        self.engine.try_get(key.into(), options, takes)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// `UnknownNamespace`; `OriginFailed`, `OriginTimeout` and `Shed` when no tier holds a copy that may be served;
    /// `VersionUnknown` and `VersionTimeout` for a [`ReadOptions::min_version`] that cannot be met.
    ///
    /// # Cancel safety
    /// Dropping the future loses the answer only: the fill goes on and its result is kept.
    pub async fn get(&self, key: &Key, options: ReadOptions<'_>) -> Result<Answer, Error> {
        self.engine.get(key, options).await
    }

    /// Reads many documents, in one pass per tier; answers come in the order of the keys, and repeated keys are read once.
    ///
    /// # Errors
    /// For each key by itself, as [`Cache::get`].
    ///
    /// # Cancel safety
    /// As [`Cache::get`].
    pub async fn get_many(
        &self,
        keys: &[Key],
        options: ReadOptions<'_>,
    ) -> Vec<Result<Answer, Error>> {
        self.engine.read_many(keys, options).await
    }

    /// Whether the node has caught up with the change log once, or has waited for that as long as configured. Never false again.
    pub fn is_ready(&self) -> bool {
        let follower = &self.engine.follower;
        follower.is_proved_once() || follower.has_waited(self.engine.settings.catch_up_timeout)
    }

    /// The engine's state.
    pub fn status(&self) -> EngineStatus {
        let follower = &self.engine.follower;
        let (context, knowledge) = (follower.context(), follower.knowledge());
        EngineStatus {
            position: knowledge.map(|knowledge| knowledge.cursor.position),
            timeline: knowledge.map(|knowledge| knowledge.timeline),
            hist: knowledge.map(|knowledge| knowledge.hist),
            database_now: follower.db_now(),
            proof_age: follower
                .is_proved_once()
                .then(|| context.now.since(context.proof)),
            fills: self.engine.flights.under_way(),
        }
    }

    /// Tells the node of a write that its caller has just committed: from now on no answer of this node is older than `version`, and
    /// the other nodes are told. Returns at once.
    ///
    /// A version that was not committed makes the node fetch the product each time, until the change log is followed anew.
    pub fn written(&self, namespace: &NamespaceName, id: &Id, version: Version) {
        let new = NewVersion {
            namespace,
            id,
            version,
        };
        self.engine.follower.written(&new);
        self.engine.remove_from_l2(namespace, id);
    }

    /// How long after its last proof this node calls answers fresh.
    pub fn staleness_bound(&self) -> Duration {
        self.engine.settings.staleness_bound
    }

    /// Asks for a poll of the change log soon.
    pub fn nudge(&self) {
        self.engine.follower.nudge();
    }

    /// Waits until this node has proved that it knows every change that was committed before `moment`. Returns whether that was within
    /// `patience`.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn proved_since(&self, moment: Boot, patience: Duration) -> bool {
        self.engine.follower.proved_since(moment, patience).await
    }

    /// The changes that this node applies, after `since`; without it the first answer is a reset that names the present place.
    pub fn changes(&self, since: Option<Cursor>) -> Changes {
        Changes::new(Arc::clone(&self.engine.follower.changes), since)
    }

    /// For a node that is about to stop: gives up the sequencer's lease, so that another node leads at once, and writes the checkpoint. Reads
    /// go on. Takes no longer than `poll_timeout` and the writing of a file.
    ///
    /// # Cancel safety
    /// The lease then ends by itself; the file is replaced or stays as it was.
    pub async fn stop(&self) {
        self.engine.follower.stop().await;
    }

    /// Removes a key from L1 of this process only.
    pub fn remove_from_l1(&self, key: &Key) {
        self.engine.l1.remove(key);
    }
}

/// Describes a cache.
#[derive(Debug)]
pub struct Builder {
    settings: EngineSettings,
    clock: Arc<dyn Clock>,
    log: Arc<dyn ChangeLog>,
    bus: Option<Arc<dyn Bus>>,
    checkpoint: Option<(PathBuf, Io)>,
    cluster_leases: Option<Arc<dyn ClusterLeases>>,
    l2: Option<Arc<dyn Tier>>,
    l3: Option<Arc<dyn Tier>>,
    leases: Option<Arc<dyn Leases>>,
    observer: Option<Arc<dyn ReadObserver>>,
    sources: Vec<(Arc<Namespace>, Arc<dyn Origin>)>,
}

impl Builder {
    /// What the operator decided.
    #[must_use]
    pub fn settings(self, settings: EngineSettings) -> Self {
        Builder { settings, ..self }
    }

    /// Another clock, for tests.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Builder { clock, ..self }
    }

    /// The bus that brings rows and hints from the other nodes. Without one the node polls.
    #[must_use]
    pub fn bus(self, bus: Arc<dyn Bus>) -> Self {
        Builder {
            bus: Some(bus),
            ..self
        }
    }

    /// Where the node asks whether it leads the sequencing of the change log. Without it, changes get their positions by polls.
    #[must_use]
    pub fn cluster_leases(self, leases: Arc<dyn ClusterLeases>) -> Self {
        Builder {
            cluster_leases: Some(leases),
            ..self
        }
    }

    /// The file in which the node remembers, every five seconds, what a restart needs so that the copies in L3 are still proved. It
    /// belongs beside L3, to this node alone. Without one, every copy is checked by its version after a restart.
    #[must_use]
    pub fn checkpoint(self, path: impl Into<PathBuf>) -> Self {
        let checkpoint = Some((path.into(), Io::Blocking));
        Builder { checkpoint, ..self }
    }

    /// The same, read and written by the thread that asks: for a simulation, whose one thread makes it repeatable.
    #[must_use]
    pub fn checkpoint_inline(self, path: impl Into<PathBuf>) -> Self {
        let checkpoint = Some((path.into(), Io::Inline));
        Builder { checkpoint, ..self }
    }

    /// The tier that the nodes share.
    #[must_use]
    pub fn l2(self, tier: Arc<dyn Tier>) -> Self {
        Builder {
            l2: Some(tier),
            ..self
        }
    }

    /// The tier on this machine's disk.
    #[must_use]
    pub fn l3(self, tier: Arc<dyn Tier>) -> Self {
        Builder {
            l3: Some(tier),
            ..self
        }
    }

    /// Leases across nodes; of use only with an L2 that the same nodes share.
    #[must_use]
    pub fn leases(self, leases: Arc<dyn Leases>) -> Self {
        Builder {
            leases: Some(leases),
            ..self
        }
    }

    /// Who is told of every read.
    #[must_use]
    pub fn observer(self, observer: Arc<dyn ReadObserver>) -> Self {
        Builder {
            observer: Some(observer),
            ..self
        }
    }

    /// A namespace and the origin of its documents.
    #[must_use]
    pub fn namespace(mut self, namespace: Namespace, origin: Arc<dyn Origin>) -> Self {
        self.sources.push((Arc::new(namespace), origin));
        self
    }

    /// Starts the cache: from now on it follows the change log.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(self) -> Cache {
        let (settings, clock) = (self.settings, self.clock);
        let runtime = Handle::current();
        let checkpoint = self
            .checkpoint
            .map(|(path, io)| CheckpointFile::new(path, io, Arc::clone(&clock)));
        let l1 = Arc::new(L1::new(&settings));
        let flights = Flights::new(settings.flights_max);
        let budget = Budget::new(settings.budget, Arc::clone(&clock));
        let switches = Arc::new(Switchboard::new());
        let sources = sources(self.sources, &settings, &clock, &budget, &switches);
        let copies = copies(&l1, &flights, &sources);
        let following = Following {
            log: self.log,
            bus: self.bus,
            leases: self.cluster_leases,
            clock: Arc::clone(&clock),
            copies,
            checkpoint: checkpoint.clone(),
        };
        let follower = Follower::new(following, &settings);
        let engine = Arc::new(Engine {
            sources,
            l1,
            l2: self.l2,
            l3: self.l3,
            leases: self.leases,
            switches: Arc::clone(&switches),
            observer: self.observer,
            flights,
            counters: Counters::new(),
            refreshes: Arc::new(Semaphore::new(settings.refreshes_max)),
            write_backs: Arc::new(Semaphore::new(settings.write_backs_max)),
            budget,
            follower: Arc::clone(&follower),
            clock,
            settings,
            runtime: runtime.clone(),
        });
        let mut tasks = vec![
            runtime.spawn(Arc::clone(&follower).run()),
            runtime.spawn(publish(Arc::downgrade(&engine))),
            runtime.spawn(keep(Arc::downgrade(&engine))),
        ];
        tasks.extend(checkpoint.map(|checkpoint| runtime.spawn(checkpoint.keep_writing(follower))));
        let tasks = tasks.iter().map(JoinHandle::abort_handle).collect();
        Cache {
            engine,
            _tasks: Arc::new(Tasks(tasks)),
        }
    }
}

/// Each namespace with its way to the origin.
fn sources(
    described: Vec<(Arc<Namespace>, Arc<dyn Origin>)>,
    settings: &EngineSettings,
    clock: &Arc<dyn Clock>,
    budget: &Arc<Budget>,
    switches: &Arc<Switchboard>,
) -> HashMap<Box<str>, Arc<Source>> {
    let sources = described.into_iter().map(|(namespace, origin)| {
        let fetcher = Fetcher::new(
            Arc::clone(&origin),
            Arc::clone(budget),
            Arc::clone(clock),
            Arc::clone(switches),
            settings.budget.documents_per_fetch_max.max(1),
        );
        let revalidator = Revalidator::new(
            origin,
            namespace.name.clone(),
            Arc::clone(clock),
            Arc::clone(switches),
            settings.fill_timeout,
        );
        let source = Source {
            commons: Commons::new(&namespace),
            variants: Arc::default(),
            keeping: Semaphore::new(FILLS_MAX),
            namespace: Arc::clone(&namespace),
            fetcher,
            revalidator,
        };
        (namespace.name.as_str().into(), Arc::new(source))
    });
    sources.collect()
}

/// What records of the log are to be told about.
fn copies(
    l1: &Arc<L1>,
    flights: &Arc<Flights>,
    sources: &HashMap<Box<str>, Arc<Source>>,
) -> Copies {
    Copies {
        l1: Arc::clone(l1),
        flights: Arc::clone(flights),
        variants: sources
            .iter()
            .map(|(name, source)| (name.clone(), Arc::clone(&source.variants)))
            .collect(),
    }
}
