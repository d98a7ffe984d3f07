//! A node: a real engine on a runtime of its own, whose time the world moves on step by step.
//!
//! A node that crashes loses its runtime with every task in it, wherever each of them waits. One that is paused is not moved on; when it
//! is, all that time has passed for it at once.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_engine::{Cache, EngineSettings};
use hotshelf_model::{Clock, Namespace, Shape, TierName, VariantSchema};
use hotshelf_sim::{Moment, Progress};
use hotshelf_testkit::names::products;
use hotshelf_testkit::{FakeBus, FakeHub, FakeLeases, FakeOrigin, FakeTier, ManualClock};
use metrics::with_local_recorder;
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;
use tokio::time::{advance, sleep};

use crate::counters::Counters;
use crate::database::Database;
use crate::line::Line;
use crate::plan::{Plan, Rule};
use crate::record::Record;
use crate::tiers::{FarLeases, FarTier};

/// Of every document.
pub(crate) const SHAPE: Shape = Shape(7);

/// How far the world moves on at once.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// The one thread's runtime, whose time moves only when it is told.
pub(crate) fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

/// What is shared by the nodes.
#[derive(Clone, Debug)]
pub(crate) struct Servers {
    pub(crate) origin: Arc<FakeOrigin>,
    pub(crate) l2: Arc<FakeTier>,
    pub(crate) leases: Arc<FakeLeases>,
    pub(crate) hub: Arc<FakeHub>,
}

/// What a node is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Up,
    Paused,
    Down,
}

pub(crate) struct Node {
    pub(crate) number: u32,
    plan: Plan,
    servers: Servers,
    record: Arc<Record>,
    pub(crate) disk: Arc<FakeTier>,
    checkpoint: PathBuf,
    pub(crate) database_line: Arc<Line>,
    pub(crate) l2_line: Arc<Line>,
    pub(crate) l3_line: Arc<Line>,
    pub(crate) leases_line: Arc<Line>,
    state: Mutex<State>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

struct State {
    wanted: Wanted,
    lives: u32,
    running: Option<Running>,
}

/// One life.
struct Running {
    /// First, so that the tasks are gone before what they use.
    runtime: Runtime,
    cache: Cache,
    bus: Arc<FakeBus>,
    clock: Arc<ManualClock>,
    counters: Arc<Counters>,
    /// Told when it ends, because the order in which a runtime drops its tasks is nobody's promise.
    ended: Arc<Notify>,
    /// Up to when it has run.
    at: Moment,
}

impl Running {
    fn step(&mut self, now: Moment, clock_sleeps: bool) {
        let passed = now - std::mem::replace(&mut self.at, now);
        self.clock.advance(if clock_sleeps { TICK } else { passed });
        with_local_recorder(&*self.counters, || {
            self.runtime.block_on(async {
                if passed > TICK {
                    advance(passed - TICK).await;
                }
                sleep(TICK).await;
            });
        });
    }
}

impl Node {
    pub(crate) fn new(
        number: u32,
        plan: Plan,
        servers: Servers,
        record: Arc<Record>,
        checkpoint: PathBuf,
    ) -> Self {
        let line = |stream: u64, most_ms| {
            let random = plan.random(1000 + 10 * u64::from(number) + stream);
            Arc::new(Line::new(random, most_ms))
        };
        Node {
            number,
            plan,
            servers,
            record,
            disk: Arc::new(FakeTier::new(TierName::L3)),
            checkpoint,
            database_line: line(0, 3),
            l2_line: line(1, 2),
            l3_line: line(2, 1),
            leases_line: line(3, 2),
            state: Mutex::new(State {
                wanted: Wanted::Down,
                lives: 0,
                running: None,
            }),
        }
    }

    pub(crate) fn want(&self, wanted: Wanted) {
        self.state.lock().wanted = wanted;
    }

    /// Whether it runs and has caught up.
    pub(crate) fn is_ready(&self) -> bool {
        let state = self.state.lock();
        let running = state.running.as_ref();
        state.wanted == Wanted::Up && running.is_some_and(|running| running.cache.is_ready())
    }

    /// Its runtime, its cache, and what tells its end; `None` when it is down.
    pub(crate) fn living(&self) -> Option<(Handle, Cache, Arc<Notify>)> {
        let state = self.state.lock();
        let running = state.running.as_ref()?;
        let runtime = running.runtime.handle().clone();
        Some((runtime, running.cache.clone(), Arc::clone(&running.ended)))
    }

    pub(crate) fn bus(&self) -> Option<Arc<FakeBus>> {
        let state = self.state.lock();
        state
            .running
            .as_ref()
            .map(|running| Arc::clone(&running.bus))
    }

    /// Where it stands in the change log; `None` when it does not run or knows nothing.
    pub(crate) fn progress(&self) -> Option<Progress> {
        let state = self.state.lock();
        let running = state
            .running
            .as_ref()
            .filter(|_| state.wanted == Wanted::Up)?;
        let status = running.cache.status();
        Some(Progress {
            node: self.number,
            life: state.lives,
            at: running.at,
            timeline: status.timeline?,
            position: status.position?,
            resyncs: running.counters.resyncs(),
            proof: status.proof_age.map(|age| running.at.saturating_sub(age)),
        })
    }

    /// Becomes what it is wanted to be, and moves on to the present. Its tasks never ask for the node itself.
    pub(crate) fn step(&self, now: Moment) {
        let mut state = self.state.lock();
        match state.wanted {
            Wanted::Paused => {}
            Wanted::Down => {
                if let Some(running) = state.running.take() {
                    self.bury(running);
                }
            }
            Wanted::Up => {
                if state.running.is_none() {
                    state.lives += 1;
                    state.running = Some(self.begin(now, state.lives));
                }
                let clock_sleeps = self.plan.broken == Some(Rule::ClockRunsInSleep);
                if let Some(running) = &mut state.running {
                    running.step(now, clock_sleeps);
                }
            }
        }
    }

    fn begin(&self, now: Moment, lives: u32) -> Running {
        let runtime = runtime();
        let counters = Arc::new(Counters::default());
        let clock = Arc::new(ManualClock::new());
        // Each machine was booted at another time.
        clock.advance(now + Duration::from_secs(1000) * (self.number * 10 + lives));
        let bus = self.servers.hub.join();
        let cache = with_local_recorder(&*counters, || {
            runtime.block_on(async { self.start(&clock, &bus) })
        });
        Running {
            runtime,
            cache,
            bus,
            clock,
            counters,
            ended: Arc::default(),
            at: now - TICK,
        }
    }

    fn start(&self, clock: &Arc<ManualClock>, bus: &Arc<FakeBus>) -> Cache {
        let broken = self.plan.broken;
        let database = Arc::new(Database {
            origin: Arc::clone(&self.servers.origin),
            line: Arc::clone(&self.database_line),
            record: Arc::clone(&self.record),
            node: self.number,
            broken,
        });
        let tier = |tier: &Arc<FakeTier>, line: &Arc<Line>| {
            Arc::new(FarTier {
                tier: Arc::clone(tier),
                line: Arc::clone(line),
                broken,
            })
        };
        let leases = FarLeases {
            leases: Arc::clone(&self.servers.leases),
            line: Arc::clone(&self.leases_line),
        };
        let settings = EngineSettings {
            node: self.number,
            ..self.plan.settings()
        };
        Cache::builder(Arc::clone(&database) as _)
            .settings(settings)
            .clock(Arc::clone(clock) as Arc<dyn Clock>)
            .bus(Arc::clone(bus) as _)
            .cluster_leases(Arc::clone(&database) as _)
            .checkpoint_inline(&self.checkpoint)
            .l2(tier(&self.servers.l2, &self.l2_line))
            .l3(tier(&self.disk, &self.l3_line))
            .leases(Arc::new(leases))
            .namespace(namespace(&self.plan), database)
            .start()
    }

    fn bury(&self, running: Running) {
        let mut branches = self.record.branches.lock();
        for (branch, times) in running.counters.branches() {
            *branches.entry(branch).or_default() += times;
        }
        drop(branches);
        running.ended.notify_waiters();
        drop(running);
    }

    /// What lies on its disk, the checkpoint included.
    pub(crate) fn checkpoint_bytes(&self) -> Option<Bytes> {
        std::fs::read(&self.checkpoint).ok().map(Bytes::from)
    }

    /// Puts a former checkpoint back.
    pub(crate) fn put_checkpoint_back(&self, bytes: &[u8]) {
        std::fs::write(&self.checkpoint, bytes).unwrap();
    }
}

fn namespace(plan: &Plan) -> Namespace {
    Namespace {
        name: products(),
        variants: VariantSchema::default(),
        shape: SHAPE,
        policy: plan.policy(),
        tracked: true,
        document_bytes_max: 1 << 20,
    }
}
