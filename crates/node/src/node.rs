//! A running node: started from a configuration, drained and stopped within a bound.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hotshelf_config::Config;
use hotshelf_decisions::Watcher;
use hotshelf_engine::{Builder, Cache};
use hotshelf_http_api::{
    ApiParts, ApiState, Drained, Front, Hot, ListenAddress, Listener, Membership, Workers,
    admin_router, public_router, serve,
};
use hotshelf_model::{BootClock, Clock};
use hotshelf_promotion::{Cluster, HotKeys, LiveRules, Promoter};
use hotshelf_telemetry::Recorder;
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::process::Process;
use crate::recording::Reads;
use crate::settings::NodeName;
use crate::tiers::{self, Tiers};
use crate::{bus, deciding, hot, origins, settings, warm};

/// How often pending histogram observations are folded, so that they stay bounded when nobody scrapes.
const FOLD_INTERVAL: Duration = Duration::from_secs(5);

/// Where a node listens.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The public listener.
    pub public: ListenAddress,
    /// The public listener's socket file, if configured.
    pub unix: Option<ListenAddress>,
    /// The admin listener.
    pub admin: ListenAddress,
}

/// How a node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that had a request under way for longer than the drain timeout.
    pub cut_off: usize,
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    cache: Cache,
    state: Arc<ApiState>,
    addresses: Addresses,
    drain_delay: Duration,
    public: Serving,
    admin: Serving,
    membership: Arc<Membership>,
    beating: AbortHandle,
    background: Vec<AbortHandle>,
    tiers: Tiers,
    reads: Option<Reads>,
    promoter: Option<Promoter>,
}

/// Listeners that end together.
#[derive(Debug, Default)]
struct Serving {
    listeners: Vec<JoinHandle<Drained>>,
    shutdown: CancellationToken,
}

impl Serving {
    fn start(&mut self, listener: Listener, front: &Front, workers: &Arc<Workers>) {
        let (front, workers) = (front.clone(), Arc::clone(workers));
        let serving = serve(listener, front, workers, self.shutdown.clone());
        self.listeners.push(tokio::spawn(serving));
    }

    /// Takes no more connections and waits for those that there are; gives how many were cut off.
    async fn stop(self) -> anyhow::Result<usize> {
        self.shutdown.cancel();
        let mut cut_off = 0;
        for listener in self.listeners {
            cut_off += listener.await.context("stopping a listener")?.cut_off;
        }
        Ok(cut_off)
    }
}

impl Node {
    /// Opens the database and the tiers, starts the engine and listens. A database or a Redis that is down is no error: the node
    /// starts, says so in its log and on `/readyz`, and catches up when they are back.
    ///
    /// # Errors
    /// A folder, a socket or an address that cannot be used; a query that is malformed.
    pub async fn start(config: &Config, process: &Process) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(BootClock);
        let http = settings::http(config);
        let listeners = Listeners::bind(config, http.backlog)?;
        let addresses = listeners.addresses();
        let name = NodeName::of(config, &addresses.public);
        tracing::info!(name = name.name, number = name.number, "starting");
        let origins = origins::open(config).await?;
        let builder = Cache::builder(origins.change_log())
            .settings(settings::engine(config, &name))
            .clock(Arc::clone(&clock));
        let builder = origins.add_leases(config, builder);
        let bus = bus::open(config, &name)?;
        let builder = bus.iter().cloned().fold(builder, Builder::bus);
        let cluster = bus.zip(origins.leases(config));
        let cluster = cluster.map(|(bus, leases)| Cluster { bus, leases });
        let (promoter, counter) = hot::prepare(config, &name, &clock, cluster).unzip();
        let reads = Reads::start(config, &clock, counter)?;
        let builder = match &reads {
            Some(reads) => builder.observer(Arc::clone(&reads.observer)),
            None => builder,
        };
        let (builder, tiers) = tiers::add(config, &clock, builder).await?;
        let cache = origins.add_namespaces(config, builder)?.start();
        let promoter = promoter.map(|promoter| promoter.start(cache.clone()));
        let watcher = Watcher::new(origins.settings());
        let hot = promoter
            .as_ref()
            .map(|promoter| hot_api(promoter, &watcher));
        let keys = hot.as_ref().map(|hot| hot.keys.clone());
        let (decided, deciding) = deciding::follow(&name, &origins, &cache, watcher, keys);
        let (warmer, warming) = warm::start(config, &name, &origins, &cache, &clock);
        let facts = settings::facts(config, name, &addresses.admin);
        let membership = Membership::new(facts, origins.nodes(), Arc::clone(&clock));
        let state = ApiState::new(ApiParts {
            cache: cache.clone(),
            recorder: process.recorder.clone(),
            clock,
            settings: http,
            writing: origins.writing(config),
            hot,
            decided,
            membership: Arc::clone(&membership),
            warmer: Some(warmer),
        });
        let workers = Workers::start(settings::workers(config)).context("starting workers")?;
        let (public, admin) = listeners.serve(&state, workers);
        let folding = tokio::spawn(keep_folding(process.recorder.clone()));
        let background = origins
            .background
            .into_iter()
            .chain([folding.abort_handle(), warming])
            .chain(deciding)
            .collect();
        let beating = tokio::spawn(Arc::clone(&membership).keep_beating()).abort_handle();
        Ok(Node {
            cache,
            state,
            addresses,
            drain_delay: config.node().drain_delay,
            public,
            admin,
            membership,
            beating,
            background,
            tiers,
            reads,
            promoter,
        })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The engine, for those who embed a node.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// What is hot, for those who embed a node; `None` where it is not looked for.
    pub fn hot_keys(&self) -> Option<&HotKeys> {
        self.promoter.as_ref().map(Promoter::hot_keys)
    }

    /// Leaves the list of nodes and says no on `/readyz` for the drain delay, then takes no more connections, lets requests under way end
    /// within the drain timeout, writes what the access log holds, and closes L3.
    ///
    /// # Errors
    /// When L3 could not write everything within its bound.
    pub async fn stop(self) -> anyhow::Result<Stopped> {
        self.state.start_draining();
        self.beating.abort();
        tokio::join!(
            self.membership.leave(),
            tokio::time::sleep(self.drain_delay)
        );
        let cut_off = self.public.stop().await? + self.admin.stop().await?;
        // Nobody reads any more, so nothing is missing from the log.
        if let Some(reads) = self.reads {
            reads.stop().await?;
        }
        if let Some(promoter) = self.promoter {
            promoter.stop().await;
        }
        // Before L3 closes: what it holds is proved after the restart from here on.
        self.cache.stop().await;
        for task in &self.background {
            task.abort();
        }
        self.tiers.close().await?;
        Ok(Stopped { cut_off })
    }
}

/// What is told of hot keys, and where their rules are changed.
fn hot_api(promoter: &Promoter, watcher: &Watcher) -> Hot {
    let keys = promoter.hot_keys().clone();
    let rules = LiveRules::new(keys.clone(), watcher.clone());
    Hot { keys, rules }
}

async fn keep_folding(recorder: Recorder) {
    loop {
        tokio::time::sleep(FOLD_INTERVAL).await;
        recorder.fold();
    }
}

/// Bound before anything else is opened, so that an address in use is said at once.
struct Listeners {
    public: Listener,
    unix: Option<Listener>,
    admin: Listener,
}

impl Listeners {
    fn bind(config: &Config, backlog: u32) -> anyhow::Result<Self> {
        let bind = |address: ListenAddress| Listener::bind(&address, backlog).context("listening");
        let unix = config.http().unix_socket.clone().map(ListenAddress::Unix);
        Ok(Listeners {
            public: bind(ListenAddress::Tcp(config.http().listen))?,
            unix: unix.map(bind).transpose()?,
            admin: bind(ListenAddress::Tcp(config.admin().listen))?,
        })
    }

    fn addresses(&self) -> Addresses {
        Addresses {
            public: self.public.address().clone(),
            unix: self
                .unix
                .as_ref()
                .map(|listener| listener.address().clone()),
            admin: self.admin.address().clone(),
        }
    }

    /// Documents are served by `workers`. What operators ask for may take a thread's time, so it gets none of theirs.
    fn serve(self, state: &Arc<ApiState>, workers: Workers) -> (Serving, Serving) {
        let workers = Arc::new(workers);
        let front = Front::public(Arc::clone(state), public_router(Arc::clone(state)));
        let mut public = Serving::default();
        public.start(self.public, &front, &workers);
        if let Some(unix) = self.unix {
            public.start(unix, &front, &workers);
        }
        let front = Front::admin(Arc::clone(state), admin_router(Arc::clone(state)));
        let mut admin = Serving::default();
        admin.start(
            self.admin,
            &front,
            &Arc::new(Workers::on(Handle::current())),
        );
        (public, admin)
    }
}
