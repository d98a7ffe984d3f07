//! Chaos: real nodes under load while everything around them fails by a seeded plan; a checker judges what readers were shown.
//!
//! Writers write through every node and by SQL; each document tells which write it is. Readers record what they were shown, on one
//! clock. Lanes of `faults` break nodes, disks, servers, lines and near caches, and mend each again. Then everything comes to rest, each tier of
//! each node is compared with the database, and [`hotshelf_sim::check()`] judges the whole history.

mod caller;
mod database;
mod disk;
mod document;
mod faults;
mod readers;
mod record;
mod report;
mod rest;
mod sampler;
mod world;
mod writers;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::node::Node;
use hotshelf_sim::history::Fault;
use hotshelf_sim::{Bounds, FaultKind, History, Moment, Random, Write, check};

use database::{Committed, Database};
use faults::{Faults, Kind};
use readers::MEASURED;
use record::Record;
pub use report::Report;
use report::Run;
use world::World;

use writers::{BUMP, Scene};

/// Products that are written and read at random; together larger than L1.
const PRODUCTS: u32 = 300;
/// Faults of all lanes need about so much time to have met each kind once.
const COVERED_AFTER: Duration = Duration::from_secs(240);
/// Until then a run has met hot keys for certain.
const HOT_AFTER: Duration = Duration::from_secs(30);
/// Several reads of one near cache are under way when it is broken.
const READERS_PER_NEAR: usize = 3;
const MAIN_LANE: &str = "lane of nodes and database";
const SIDE_LANE: &str = "lane of Redis and NATS";
const NEAR_LANE: &str = "lane of near caches";
/// The defaults of a node.
const STALENESS: Duration = Duration::from_secs(2);
const STALE_CAP: Duration = Duration::from_secs(3600);
/// Between the moment at which a node judges a copy and the one at which the reader's clock is read, on a machine that is busy.
const TOLERANCE: Duration = Duration::from_millis(20);

/// What to do to whom.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How long writers write and faults happen.
    pub time: Duration,
    /// Decides the order and the length of the faults, and what each reader and writer does.
    pub seed: u64,
    /// How many nodes there are.
    pub nodes: usize,
    /// Whether a standby that lags takes over from the database.
    pub failover: bool,
}

impl Plan {
    /// Whether each lane meets each of its kinds of fault.
    fn is_long(&self) -> bool {
        self.time >= COVERED_AFTER
    }
}

/// Runs a plan.
///
/// # Errors
/// When servers cannot be started.
///
/// # Panics
/// When a node cannot be started.
pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    let record = Arc::new(Record::new(plan.nodes));
    let world = World::start(plan.nodes, plan.failover, |server| fill(&record, server))?;
    let scene = Scene {
        world: Arc::new(world),
        record,
        products: PRODUCTS,
    };
    let readers = start_readers(&scene, plan);
    let writers = start_writers(&scene, plan);
    let faults = Faults::of(&scene.world);
    let until = scene.record.now() + plan.time;
    let lanes = start_faults(&scene, plan, &faults, until);
    while scene.record.now() < until {
        scene.record.pass(until.saturating_sub(scene.record.now()));
    }
    join(&scene, lanes);
    scene.record.end_writing();
    join(&scene, writers);
    rest::wait(&scene);
    scene.record.end();
    join(&scene, readers);
    let found = rest::probe(&scene);
    sampler::sample_all(&scene);
    let mut report = judge(&scene, plan, &faults, &found);
    // A node that is dropped looks into its log for errors; the report is to be read all the same.
    if catch_unwind(AssertUnwindSafe(move || drop(scene))).is_err() {
        let violation = "a node logged an error or did not come to rest, as is printed above";
        report.violations.push(violation.to_owned());
    }
    Ok(report)
}

/// The first write of every product, before there is a node.
fn fill(record: &Record, server: &Arc<hotshelf_testkit::PostgresServer>) {
    let mut database = Database::of(server);
    let products: Vec<u32> = (0..PRODUCTS + MEASURED).collect();
    for some in products.chunks(100) {
        let writes: Vec<(u32, u64)> = some
            .iter()
            .map(|&product| (product, record.number()))
            .collect();
        let begun = record.now();
        let Committed::Yes(versions) = database.put(&writes) else {
            panic!("the database takes no products");
        };
        for &(product, number) in &writes {
            let version = versions.iter().find(|(of, _)| *of == product);
            record.write(Write {
                product,
                number,
                version: version.map(|&(_, version)| version),
                deleted: false,
                begun,
                acknowledged: Some(record.now()),
                node: None,
            });
        }
    }
}

type Actor = (&'static str, JoinHandle<()>);

fn start(scene: &Scene, name: &'static str, actor: impl FnOnce(&Scene) + Send + 'static) -> Actor {
    let scene = scene.clone();
    (name, std::thread::spawn(move || actor(&scene)))
}

fn start_readers(scene: &Scene, plan: &Plan) -> Vec<Actor> {
    let random = |stream| Random::new(plan.seed, stream);
    let (single, batches) = (random(1), random(2));
    let mut actors = vec![
        start(scene, "reader", |scene| readers::run_single(scene, single)),
        start(scene, "batch reader", |scene| {
            readers::run_batches(scene, batches)
        }),
        start(scene, "sampler", sampler::run),
    ];
    for reader in 0..scene.world.nears.len() * READERS_PER_NEAR {
        let near = reader / READERS_PER_NEAR;
        let random = random(100 + reader as u64);
        actors.push(start(scene, "reader through a near cache", move |scene| {
            readers::run_near(scene, random, near);
        }));
    }
    for session in 0..2 {
        let random = random(10 + u64::from(session));
        actors.push(start(scene, "session", move |scene| {
            readers::run_session(scene, random, session);
        }));
    }
    actors
}

fn start_writers(scene: &Scene, plan: &Plan) -> Vec<Actor> {
    let random = |stream| Random::new(plan.seed, stream);
    let (api, other_api, sql, measured) = (random(20), random(21), random(22), random(23));
    vec![
        start(scene, "writer", |scene| writers::run_api(scene, api)),
        start(scene, "writer", |scene| writers::run_api(scene, other_api)),
        start(scene, "SQL writer", |scene| writers::run_sql(scene, sql)),
        start(scene, "measuring reader", |scene| {
            readers::run_measured(scene, measured)
        }),
    ]
}

fn start_faults(scene: &Scene, plan: &Plan, faults: &Faults, until: Moment) -> Vec<Actor> {
    let (kinds, side_kinds) = (faults.main.clone(), faults.side.clone());
    let near_kinds = faults.nears.clone();
    let takeover = faults.takeover;
    let random = |stream| Random::new(plan.seed, stream);
    let (main, side, nears) = (random(30), random(31), random(32));
    let begun = scene.record.now();
    let failover_at = begun + (until - begun) * 2 / 3;
    vec![
        start(scene, MAIN_LANE, move |scene| {
            let mut random = main;
            if let Some(takeover) = takeover {
                faults::run_lane(scene, random.clone(), &kinds, failover_at);
                faults::run_one(scene, &mut random, &takeover);
            }
            faults::run_lane(scene, random, &kinds, until);
        }),
        start(scene, SIDE_LANE, move |scene| {
            faults::run_lane(scene, side, &side_kinds, until);
        }),
        start(scene, NEAR_LANE, move |scene| {
            faults::run_lane(scene, nears, &near_kinds, until);
        }),
    ]
}

fn join(scene: &Scene, actors: Vec<Actor>) {
    for (name, actor) in actors {
        if actor.join().is_err() {
            let trouble = format!("the {name} ended with a panic, which is printed above");
            scene.record.trouble(trouble);
        }
    }
}

fn judge(scene: &Scene, plan: &Plan, faults: &Faults, found: &rest::Found) -> Report {
    let mut history: History = std::mem::take(&mut *scene.record.history.lock());
    history.losses = rest::losses(scene, &history);
    let branches = scene.record.branches.lock();
    history.branches = branches
        .iter()
        .map(|(&(_, _, branch), &times)| (branch, times))
        .collect();
    drop(branches);
    let done = scene.record.done.lock().clone();
    history.branches.extend(done);
    let of_lane = |lane: &[Kind]| {
        let in_lane = |fault: &&Fault| lane.iter().any(|kind| kind.name == fault.kind.0);
        history.faults.iter().filter(in_lane).count() as u64
    };
    let lanes = [
        (MAIN_LANE, of_lane(&faults.main)),
        (SIDE_LANE, of_lane(&faults.side)),
        (NEAR_LANE, of_lane(&faults.nears)),
    ];
    history.branches.extend(lanes);
    let bounds = bounds(scene, plan, faults);
    let violations = check(&history, &bounds);
    let run = Run {
        title: format!(
            "Chaos: {} nodes, {} s, seed {}{}",
            plan.nodes,
            plan.time.as_secs(),
            plan.seed,
            if cfg!(debug_assertions) {
                ", a build for tests"
            } else {
                ""
            }
        ),
        history: &history,
        record: &scene.record,
        faults,
        found,
        violations: &violations,
        logs: scene.world.nodes.iter().map(Node::log).collect(),
    };
    run.report()
}

fn bounds(scene: &Scene, plan: &Plan, faults: &Faults) -> Bounds {
    let mut coverage_min: Vec<(&'static str, u64)> = Vec::new();
    if plan.is_long() {
        coverage_min.extend(faults.all().map(|kind| (kind.name, 1)));
    }
    coverage_min.extend([(MAIN_LANE, 1), (SIDE_LANE, 1), (BUMP, 1)]);
    coverage_min.extend(sampler::certain(plan).map(|branch| (branch, 1)));
    // Each served copies that it held, if there was time to find what is hot. Their bound is the nodes': a copy is served by a proof that is no older than that.
    let nears = &scene.world.nears;
    if plan.time >= HOT_AFTER {
        coverage_min.extend(nears.iter().map(|near| (near.cache.name(), 1)));
    }
    coverage_min.extend(nears.iter().take(1).map(|_any| (NEAR_LANE, 1)));
    Bounds {
        staleness: STALENESS,
        stale_cap: STALE_CAP,
        tolerance: TOLERANCE,
        // Not promised here: L1 is small, and Redis forgets.
        fetches_per_node: None,
        failures_max: faults
            .all()
            .map(|kind| (FaultKind(kind.name), kind.failures_max))
            .collect(),
        coverage_min,
    }
}
