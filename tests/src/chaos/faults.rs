//! What goes wrong, in an order that the seed decides: lanes of faults side by side, each mended before the lane goes on.
//!
//! One lane breaks nodes and the database, because a node needs the database to start; the others break Redis and NATS, and near caches,
//! meanwhile.

mod nears;
mod nodes;
mod servers;
mod takeover;

use std::time::Duration;

use hotshelf_sim::history::Fault;
use hotshelf_sim::{FaultKind, Moment, Random};

use super::world::World;
use super::writers::Scene;
use crate::time::pause;

use nears::NEARS;
use nodes::DISK_FULL;
use nodes::NODES;
use servers::{BUS_AND_L2, DATABASE};
use takeover::TAKEOVER;

/// Breaks something, waits, and mends it. An error says why nothing was broken, or not mended.
type Break = fn(&Scene, &mut Random) -> anyhow::Result<()>;

/// A kind of fault, and the largest share of reads that may fail of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) failures_max: f64,
    pub(super) run: Break,
}

impl Kind {
    /// Reads do not notice it.
    pub(super) const fn harmless(name: &'static str, run: Break) -> Self {
        Self::harmful(name, 0.0, run)
    }

    pub(super) const fn harmful(name: &'static str, failures_max: f64, run: Break) -> Self {
        Kind {
            name,
            failures_max,
            run,
        }
    }
}

/// No fault begins later than this before the end of the run.
const LAST: Duration = Duration::from_secs(7);
/// A node that has not come back after this never will.
const RECOVERY_LIMIT: Duration = Duration::from_secs(60);
/// The age up to which a proof lets a node call its answers fresh, in seconds.
const PROVEN_S: f64 = 2.0;
/// How long after its first proof a node still leaves a key alone whose fetch failed, and a little more.
const AFTERMATH: Duration = Duration::from_millis(1500);

/// What goes wrong in a run.
#[derive(Debug)]
pub(super) struct Faults {
    /// Of nodes and of the database.
    pub(super) main: Vec<Kind>,
    /// Of Redis and of NATS.
    pub(super) side: Vec<Kind>,
    /// Of near caches, if there are any.
    pub(super) nears: Vec<Kind>,
    /// Of the database, once.
    pub(super) takeover: Option<Kind>,
}

impl Faults {
    pub(super) fn of(world: &World) -> Self {
        let mut main = [NODES, DATABASE].concat();
        if world.disk.is_none() {
            main.retain(|kind| kind.name != DISK_FULL);
        }
        Faults {
            main,
            side: BUS_AND_L2.to_vec(),
            nears: match &world.nears[..] {
                [] => Vec::new(),
                _ => NEARS.to_vec(),
            },
            takeover: world.has_standby().then_some(TAKEOVER),
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Kind> {
        let lanes = self.main.iter().chain(&self.side);
        lanes.chain(&self.nears).chain(&self.takeover)
    }
}

/// One lane: the kinds in a random order, then in another one, until the end is near.
pub(super) fn run_lane(scene: &Scene, mut random: Random, kinds: &[Kind], until: Moment) {
    let mut order = kinds.to_vec();
    while !order.is_empty() {
        random.shuffle(&mut order);
        for kind in &order {
            scene.record.pass(random.millis(300, 1500));
            if scene.record.now() + LAST > until {
                return;
            }
            run_one(scene, &mut random, kind);
        }
    }
}

/// One fault, from when it begins to when every node has proved again that it knows every change.
pub(super) fn run_one(scene: &Scene, random: &mut Random, kind: &Kind) {
    let from = scene.record.now();
    if let Err(error) = (kind.run)(scene, random) {
        let trouble = format!("`{}` did not happen: {error:#}", kind.name);
        return scene.record.trouble(trouble);
    }
    if kind.failures_max > 0.0 {
        wait_well(scene, kind.name);
    }
    let to = scene.record.now();
    let kind = FaultKind(kind.name);
    scene
        .record
        .history
        .lock()
        .faults
        .push(Fault { kind, from, to });
}

fn wait_well(scene: &Scene, fault: &str) {
    let mended = scene.record.now();
    for node in 0..scene.world.nodes.len() {
        let mut before = None;
        loop {
            let proofs = scene.world.proofs(node);
            before = before.or(proofs);
            let proves = |(polls, age): (f64, f64)| {
                before.is_some_and(|(before, _)| polls > before) && age < PROVEN_S
            };
            if proofs.is_some_and(proves) {
                break;
            }
            if scene.record.now() > mended + RECOVERY_LIMIT {
                let trouble =
                    format!("node {node} does not prove anything any more after `{fault}`");
                return scene.record.trouble(trouble);
            }
            pause(Duration::from_millis(30));
        }
    }
    scene.record.pass(AFTERMATH);
}

fn any_node(scene: &Scene, random: &mut Random) -> usize {
    random.below(u32::try_from(scene.world.nodes.len()).unwrap()) as usize
}

/// One node, or all of them.
fn some_nodes(scene: &Scene, random: &mut Random) -> Vec<usize> {
    if random.chance(40) {
        return (0..scene.world.nodes.len()).collect();
    }
    vec![any_node(scene, random)]
}
