//! One run and its judgement.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_sim::{Bounds, FaultKind, Flag, History, Violation, check};
use tokio::time::sleep;

use crate::faults::{self, NODES_AND_DATABASE, TIERS_AND_BUS};
use crate::node::Wanted;
use crate::plan::Plan;
use crate::world::{self, World};
use crate::{actors, rest};

/// Violations that are shown; the first ones tell enough.
const SHOWN: usize = 20;
/// The bound of the engine's settings.
const STALENESS: Duration = Duration::from_secs(2);
/// The world moves on in steps of a millisecond, and the database's clock counts in them.
const TOLERANCE: Duration = Duration::from_millis(2);

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) plan: Plan,
    pub(crate) history: History,
    pub(crate) violations: Vec<Violation>,
    /// Why reads failed, and how often.
    reasons: Vec<(String, u64)>,
}

/// Runs a plan to its end, and judges it.
pub(crate) fn simulate(plan: Plan) -> Outcome {
    let _told = Told(plan.seed);
    let (world, ()) = world::run(plan, script);
    let record = &world.record;
    let mut history = std::mem::take(&mut *record.history.lock());
    history.branches = record
        .branches
        .lock()
        .iter()
        .map(|(&branch, &times)| (branch, times))
        .collect();
    let reasons = record.reasons.lock().clone().into_iter().collect();
    Outcome {
        violations: check(&history, &bounds(&plan)),
        plan,
        history,
        reasons,
    }
}

/// Tells the seed of a run that panics.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("seed {} panicked; {}", self.0, replay(self.0));
        }
    }
}

fn replay(seed: u64) -> String {
    format!("replay it with `cargo xtask sim --seed {seed} --runs 1`")
}

async fn script(world: Arc<World>) {
    for product in 0..crate::plan::PRODUCTS {
        world.commit(product, false);
    }
    for node in &world.nodes {
        node.want(Wanted::Up);
    }
    world
        .until("every node is ready", |world| {
            world.nodes.iter().all(|node| node.is_ready())
        })
        .await;
    let actors = actors::start(&world);
    let until = world.now() + world.plan.time;
    if world.plan.faults {
        let (main, side) = (world.plan.random(60), world.plan.random(61));
        let main = faults::run_lane(Arc::clone(&world), main, &NODES_AND_DATABASE, until);
        let main = tokio::spawn(main);
        faults::run_lane(Arc::clone(&world), side, &TIERS_AND_BUS, until).await;
        main.await.unwrap();
    }
    sleep(until.saturating_sub(world.now())).await;
    world.record.end_writing();
    rest::wait(&world).await;
    world.record.end_reading();
    for actor in actors {
        actor.await.unwrap();
    }
    rest::wait(&world).await;
    rest::probe(&world).await;
}

fn bounds(plan: &Plan) -> Bounds {
    Bounds {
        staleness: STALENESS,
        stale_cap: plan.policy().stale_cap,
        tolerance: TOLERANCE,
        // With faults also bumps, TTLs, evictions and restarts make a version be fetched anew.
        fetches_per_node: Some(if plan.faults { 10 } else { 1 }),
        failures_max: faults::all()
            .map(|(name, share, _)| (FaultKind(name), share))
            .collect(),
        coverage_min: Vec::new(),
    }
}

impl Outcome {
    /// What happened, in a line.
    pub(crate) fn line(&self) -> String {
        let history = &self.history;
        let stale = history.reads.iter().filter(|read| read.flag != Flag::Fresh);
        format!(
            "seed {}: {} reads, {} of them stale, {} failed; {} writes, {} lost; {} fetches; {} faults; {} violations",
            self.plan.seed,
            history.reads.len(),
            stale.count(),
            history.failures.len(),
            history.writes.len(),
            history.losses.len(),
            history.fetches.len(),
            history.faults.len(),
            self.violations.len(),
        )
    }

    /// What is to be said when a promise was not kept, with what replays the run.
    pub(crate) fn complaint(&self) -> Option<String> {
        if self.violations.is_empty() {
            return None;
        }
        let mut text = format!("{}\n{}\n", self.line(), replay(self.plan.seed));
        for violation in self.violations.iter().take(SHOWN) {
            text += &format!("  {violation}\n");
        }
        for fault in &self.history.faults {
            let (from, to) = (fault.from.as_secs_f64(), fault.to.as_secs_f64());
            text += &format!("  {} from {from:.3} s to {to:.3} s\n", fault.kind);
        }
        for (reason, times) in &self.reasons {
            text += &format!("  failed {times} times: {reason}\n");
        }
        Some(text)
    }
}
