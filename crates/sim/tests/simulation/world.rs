//! The world of a run: servers, nodes, the database's writers, and time.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use hotshelf_engine::{Cache, ReadOptions};
use hotshelf_model::{Clock, ErrorKind, Version};
use hotshelf_sim::history::Loss;
use hotshelf_sim::{Moment, Read, Write};
use hotshelf_testkit::names::{self, products};
use hotshelf_testkit::{FakeHub, FakeLeases, FakeOrigin, FakeTier, ManualClock};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::document;
use crate::node::{Node, Servers, TICK, Wanted, runtime};
use crate::plan::{NODES, Plan};
use crate::record::{Asked, Record};

/// A reader does not wait longer for a node that says nothing.
const READER_PATIENCE: Duration = Duration::from_secs(8);
/// How long the holder of a lease may be silent.
const LEASE_TTL: Duration = Duration::from_secs(1);
/// A node knows the database's clock only so well, and asks for a document of the latest time that it may be.
const EARLY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) servers: Servers,
    pub(crate) nodes: Vec<Node>,
    pub(crate) record: Arc<Record>,
    /// What each session saw last of each product.
    pub(crate) sessions: Mutex<Vec<BTreeMap<u32, Version>>>,
    /// Whether other programs can write.
    pub(crate) database_is_there: Mutex<bool>,
    clock: Arc<ManualClock>,
    _folder: TempDir,
}

/// Runs `script` in a new world, until it ends.
pub(crate) fn run<F: Future<Output: Send> + Send + 'static>(
    plan: Plan,
    script: impl FnOnce(Arc<World>) -> F,
) -> (Arc<World>, F::Output)
where
    F::Output: 'static,
{
    let world = Arc::new(World::new(plan));
    let runtime = runtime();
    let script = runtime.spawn(script(Arc::clone(&world)));
    while !script.is_finished() {
        world.clock.advance(TICK);
        runtime.block_on(async { sleep(TICK).await });
        world.step();
    }
    let outcome = runtime.block_on(script).unwrap();
    for node in &world.nodes {
        node.want(Wanted::Down);
    }
    world.step();
    (world, outcome)
}

impl World {
    fn new(plan: Plan) -> Self {
        let clock = Arc::new(ManualClock::new());
        let shared = || Arc::clone(&clock) as Arc<dyn Clock>;
        let servers = Servers {
            origin: Arc::new(FakeOrigin::with_clock(shared())),
            l2: Arc::new(FakeTier::new(hotshelf_model::TierName::L2)),
            leases: Arc::new(FakeLeases::new(shared(), LEASE_TTL)),
            hub: FakeHub::new(plan.seed),
        };
        servers.origin.sequence_by_polls();
        let record = Arc::new(Record::new(Arc::clone(&clock), NODES));
        let folder = tempfile::tempdir().unwrap();
        let node = |number: u32| {
            let checkpoint = folder.path().join(format!("node-{number}"));
            Node::new(
                number,
                plan,
                servers.clone(),
                Arc::clone(&record),
                checkpoint,
            )
        };
        World {
            plan,
            nodes: (0..NODES).map(node).collect(),
            servers,
            record,
            sessions: Mutex::default(),
            database_is_there: Mutex::new(true),
            clock,
            _folder: folder,
        }
    }

    fn step(&self) {
        let now = self.now();
        let first = usize::try_from(now.as_millis()).unwrap() % self.nodes.len();
        for at in 0..self.nodes.len() {
            self.nodes[(first + at) % self.nodes.len()].step(now);
        }
    }

    pub(crate) fn now(&self) -> Moment {
        self.record.now()
    }

    /// Lets a task of a node do something; `None` when the node does not run, or crashes meanwhile.
    pub(crate) async fn on_node<T, F>(&self, node: u32, work: impl FnOnce(Cache) -> F) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (runtime, cache, ended) = self.nodes[node as usize].living()?;
        let (sender, receiver) = oneshot::channel();
        let work = work(cache);
        runtime.spawn(async move {
            sender.send(work.await).ok();
        });
        match select(receiver, pin!(ended.notified())).await {
            Either::Left((answer, _)) => answer.ok(),
            Either::Right(_) => None,
        }
    }

    /// Reads from a node, and from the next one if the connection broke, as a load balancer does.
    pub(crate) async fn read(&self, asked: Asked) -> Option<Read> {
        let options = ReadOptions {
            min_version: asked.min_version.map(Version::token),
            ..ReadOptions::default()
        };
        let has_version = asked.min_version.is_some();
        self.record.did(if has_version {
            "read with a version"
        } else {
            "read"
        });
        let key = document::key(asked.product, asked.variant);
        for attempt in 0..2 {
            let asked = Asked {
                node: (asked.node + attempt) % NODES,
                begun: self.now(),
                ..asked
            };
            let key = key.clone();
            let answer = self.on_node(
                asked.node,
                |cache| async move { cache.get(&key, options).await },
            );
            match timeout(READER_PATIENCE, answer).await {
                Ok(Some(outcome)) => return self.record.outcome(asked, outcome),
                Ok(None) => {}
                Err(_) => {
                    self.record
                        .failed(asked, ErrorKind::OriginTimeout, "the node says nothing");
                    return None;
                }
            }
        }
        self.record
            .failed(asked, ErrorKind::Internal, "two connections broke");
        None
    }

    /// Writes or deletes a product; `None` when that changes nothing.
    pub(crate) fn commit(&self, product: u32, delete: bool) -> Option<Committed> {
        let number = self.record.number();
        let id = document::id(product);
        let before = self.version_of(product);
        let was_there = self.exists(product);
        let version = if delete {
            self.servers.origin.remove(&id)
        } else {
            self.servers
                .origin
                .put(&id, document::body(product, number))
        };
        if version == before {
            return None;
        }
        self.record.did(match (delete, was_there) {
            (true, _) => "deletion",
            (false, true) => "change",
            (false, false) => "creation",
        });
        let now = self.now();
        let mut history = self.record.history.lock();
        history.writes.push(Write {
            product,
            number,
            version: Some(version),
            deleted: delete,
            begun: now,
            acknowledged: Some(now),
            node: None,
        });
        Some(Committed {
            version,
            at: history.writes.len() - 1,
        })
    }

    /// Gives a product two documents, one now and one after a while.
    pub(crate) async fn schedule(&self, product: u32, after: Duration) {
        self.record.did("scheduled change");
        let numbers = [self.record.number(), self.record.number()];
        let then = self.servers.origin.now().plus(after);
        let bodies = numbers.map(|number| document::body(product, number));
        let course = [
            (hotshelf_model::DbTime(0), bodies[0].as_str()),
            (then, &bodies[1]),
        ];
        let version = self
            .servers
            .origin
            .schedule(&document::id(product), &course);
        let now = self.now();
        let write = |number, begun, acknowledged| Write {
            product,
            number,
            version: Some(version),
            deleted: false,
            begun,
            acknowledged,
            node: None,
        };
        let at = {
            let mut history = self.record.history.lock();
            history.writes.push(write(numbers[0], now, Some(now)));
            history
                .writes
                .push(write(numbers[1], now + after.saturating_sub(EARLY), None));
            history.writes.len() - 1
        };
        sleep(after).await;
        if self.version_of(product) == version {
            self.record.history.lock().writes[at].acknowledged = Some(self.now());
        }
    }

    /// Notes that a node has acknowledged a commit.
    pub(crate) fn acknowledged(&self, committed: Committed, node: u32) {
        let now = self.now();
        let write = &mut self.record.history.lock().writes[committed.at];
        (write.acknowledged, write.node) = (Some(now), Some(node));
    }

    /// Whether the last write of a product that is not lost made a document.
    fn exists(&self, product: u32) -> bool {
        let version = self.version_of(product);
        let history = self.record.history.lock();
        let last = history
            .writes
            .iter()
            .rev()
            .find(|write| write.version == Some(version));
        last.is_some_and(|write| !write.deleted)
    }

    pub(crate) fn version_of(&self, product: u32) -> Version {
        self.servers
            .origin
            .version_of(&products(), &document::id(product))
    }

    /// Takes the last rows of the log back, by `lose`, and notes what that took with it.
    pub(crate) fn lose(&self, lose: impl FnOnce(&FakeOrigin)) {
        lose(&self.servers.origin);
        let is_held = |product, version| version <= self.version_of(product);
        let now = self.now();
        let history = &mut *self.record.history.lock();
        let lost = |write: &&Write| {
            write
                .version
                .is_some_and(|version| !is_held(write.product, version))
        };
        for write in history.writes.iter().filter(lost) {
            if history
                .losses
                .iter()
                .all(|loss| loss.number != write.number)
            {
                history.losses.push(Loss {
                    product: write.product,
                    number: write.number,
                    at: now,
                });
            }
        }
        for session in &mut *self.sessions.lock() {
            session.retain(|product, version| is_held(*product, *version));
        }
    }

    /// Tells a node of a write that its caller has committed.
    pub(crate) fn tell(cache: &Cache, product: u32, version: Version) {
        cache.written(&products(), &names::id(&document::id(product)), version);
    }

    /// Waits for a state.
    pub(crate) async fn until(&self, what: &str, mut reached: impl FnMut(&World) -> bool) {
        let limit = self.now() + Duration::from_secs(30);
        while !reached(self) {
            assert!(
                self.now() < limit,
                "seed {}: waited in vain: {what}",
                self.plan.seed
            );
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A commit: its version, and its place in the history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committed {
    pub(crate) version: Version,
    at: usize,
}
