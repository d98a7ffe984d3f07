//! What goes wrong, in an order that the seed decides: two lanes of faults side by side, each mended before the lane goes on.
//!
//! One lane breaks nodes and the database, the other breaks L2, L3, the leases and the bus meanwhile.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_model::{Position, UnavailableReason};
use hotshelf_sim::history::Fault;
use hotshelf_sim::{FaultKind, Moment, Random};
use hotshelf_testkit::BusFaults;
use tokio::time::sleep;

use crate::document;
use crate::line::{Condition, Line};
use crate::node::{Node, Wanted};
use crate::plan::{NODES, PRODUCTS};
use crate::world::World;

/// No fault begins later than this before the end of the run.
const LAST: Duration = Duration::from_secs(6);
/// How long after its first proof a node still leaves a key alone whose fetch failed, and a little more.
const AFTERMATH: Duration = Duration::from_millis(1_500);
/// What is not held cannot be read without the database.
const DATABASE: f64 = 0.8;
/// Requests that were under way when their node died, or waited for one that slept.
const NODE: f64 = 0.4;
/// Rows that a failover or a restore loses at most.
const LOST_MAX: u32 = 100;

/// A kind of fault: its name, the largest share of reads that may fail of it, and which it is.
pub(crate) type Kind = (&'static str, f64, Is);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    Crashed,
    DiskPutBack,
    Paused,
    PrunedBehind,
    Pruned,
    DatabaseCut,
    DatabaseStalled,
    DatabaseSlow,
    PollsFail,
    Unsequenced,
    Standby,
    FailedOver,
    Restored,
    L2Cut,
    L2Stalled,
    L2Slow,
    L2Flushed,
    L2RolledBack,
    L2Damaged,
    L3Damaged,
    L3Full,
    LeasesCut,
    BusLossy,
    BusCut,
    BusLagged,
}

pub(crate) const NODES_AND_DATABASE: [Kind; 13] = [
    ("node_crashed", NODE, Is::Crashed),
    ("disk_put_back", NODE, Is::DiskPutBack),
    ("node_paused", NODE, Is::Paused),
    ("log_pruned_behind_a_node", NODE, Is::PrunedBehind),
    ("log_pruned", 0.0, Is::Pruned),
    ("database_cut", DATABASE, Is::DatabaseCut),
    ("database_stalled", DATABASE, Is::DatabaseStalled),
    ("database_slow", DATABASE, Is::DatabaseSlow),
    ("polls_fail", DATABASE, Is::PollsFail),
    ("changes_unsequenced", DATABASE, Is::Unsequenced),
    ("database_is_a_standby", DATABASE, Is::Standby),
    ("database_failed_over", DATABASE, Is::FailedOver),
    ("database_restored", DATABASE, Is::Restored),
];

pub(crate) const TIERS_AND_BUS: [Kind; 12] = [
    ("l2_cut", 0.0, Is::L2Cut),
    ("l2_stalled", 0.0, Is::L2Stalled),
    ("l2_slow", 0.0, Is::L2Slow),
    ("l2_flushed", 0.0, Is::L2Flushed),
    ("l2_rolled_back", 0.0, Is::L2RolledBack),
    ("l2_damaged", 0.0, Is::L2Damaged),
    ("l3_damaged", 0.0, Is::L3Damaged),
    ("l3_full", 0.0, Is::L3Full),
    ("leases_cut", 0.0, Is::LeasesCut),
    ("bus_lossy", 0.0, Is::BusLossy),
    ("bus_cut", 0.0, Is::BusCut),
    ("bus_lagged", 0.0, Is::BusLagged),
];

/// Every kind.
pub(crate) fn all() -> impl Iterator<Item = Kind> {
    NODES_AND_DATABASE.into_iter().chain(TIERS_AND_BUS)
}

/// One lane: the kinds in a random order, then in another one, until the end is near.
pub(crate) async fn run_lane(world: Arc<World>, mut random: Random, kinds: &[Kind], until: Moment) {
    let mut order = kinds.to_vec();
    loop {
        random.shuffle(&mut order);
        for &(name, share, kind) in &order {
            sleep(random.millis(50, 600)).await;
            if world.now() + LAST > until {
                return;
            }
            let from = world.now();
            run(&world, &mut random, kind).await;
            if share > 0.0 {
                wait_well(&world).await;
            }
            let to = world.now();
            let kind = FaultKind(name);
            world
                .record
                .history
                .lock()
                .faults
                .push(Fault { kind, from, to });
        }
    }
}

/// Waits until every node has proved again that it knows every change.
async fn wait_well(world: &World) {
    let mended = world.now();
    world
        .until("every node proves itself again", |world| {
            let proves = |node: &Node| {
                node.progress()
                    .is_some_and(|progress| progress.proof > Some(mended))
            };
            world.nodes.iter().all(proves)
        })
        .await;
    sleep(AFTERMATH).await;
}

fn any_node<'a>(world: &'a World, random: &mut Random) -> &'a Node {
    &world.nodes[random.below(NODES) as usize]
}

/// One node, or all of them.
fn some_nodes<'a>(world: &'a World, random: &mut Random) -> &'a [Node] {
    if random.chance(50) {
        return &world.nodes;
    }
    let one = random.below(NODES) as usize;
    &world.nodes[one..=one]
}

/// Breaks something, waits, and mends it.
async fn run(world: &Arc<World>, random: &mut Random, kind: Is) {
    match kind {
        Is::Crashed => crash(any_node(world, random), random, 2_000).await,
        Is::DiskPutBack => put_back(any_node(world, random), random).await,
        Is::Paused => pause(any_node(world, random), random).await,
        Is::PrunedBehind => {
            let node = any_node(world, random);
            node.want(Wanted::Paused);
            sleep(random.millis(500, 3_000)).await;
            world.servers.origin.prune(Position(u64::MAX));
            node.bus().into_iter().for_each(|bus| bus.lag());
            node.want(Wanted::Up);
        }
        Is::Pruned => world.servers.origin.prune(Position(u64::MAX)),
        Is::DatabaseCut | Is::DatabaseStalled | Is::DatabaseSlow => {
            let condition = match kind {
                Is::DatabaseCut => Condition::Cut,
                Is::DatabaseStalled => Condition::Stalled,
                _ => Condition::Takes(*random.pick(&[20, 100, 400])),
            };
            lines(world, random, |node| &node.database_line, condition).await;
        }
        Is::PollsFail => {
            world
                .servers
                .origin
                .fail_polls(hotshelf_model::ErrorKind::OriginFailed);
            sleep(random.millis(500, 5_000)).await;
            world.servers.origin.recover();
        }
        Is::Unsequenced => {
            world.servers.origin.leave_unsequenced();
            sleep(random.millis(500, 5_000)).await;
            world.servers.origin.sequence_by_polls();
        }
        Is::Standby => {
            world.servers.origin.answer_as_replica(true);
            sleep(random.millis(500, 4_000)).await;
            world.servers.origin.answer_as_replica(false);
        }
        Is::FailedOver => {
            let rows = random.below(LOST_MAX) as usize;
            take_away(world, random, |world| {
                world.lose(|origin| origin.fail_over_losing(rows))
            })
            .await;
        }
        Is::Restored => {
            let rows = random.below(LOST_MAX) as usize;
            take_away(world, random, |world| {
                world.lose(|origin| origin.restore_by_the_book(rows))
            })
            .await;
        }
        _ => run_beside(world, random, kind).await,
    }
}

/// The same for the lane of L2, L3, leases and bus.
async fn run_beside(world: &Arc<World>, random: &mut Random, kind: Is) {
    let (l2, hub) = (&world.servers.l2, &world.servers.hub);
    match kind {
        Is::L2Cut => lines(world, random, |node| &node.l2_line, Condition::Cut).await,
        Is::L2Stalled => lines(world, random, |node| &node.l2_line, Condition::Stalled).await,
        Is::L2Slow => {
            let condition = Condition::Takes(*random.pick(&[10, 30, 60]));
            lines(world, random, |node| &node.l2_line, condition).await;
        }
        Is::L2Flushed => l2.clear(),
        Is::L2RolledBack => {
            let copies = l2.copies();
            sleep(random.millis(300, 5_000)).await;
            l2.put_back(copies);
        }
        Is::L2Damaged => damage(world, l2),
        Is::L3Damaged => damage(world, &any_node(world, random).disk),
        Is::L3Full => {
            let disk = &any_node(world, random).disk;
            disk.fail(UnavailableReason::Failed);
            sleep(random.millis(500, 3_000)).await;
            disk.recover();
        }
        Is::LeasesCut => lines(world, random, |node| &node.leases_line, Condition::Cut).await,
        Is::BusLossy => {
            hub.set_faults(BusFaults {
                lose_percent: *random.pick(&[0, 10, 50]),
                duplicate_percent: *random.pick(&[0, 10, 50]),
                delay_percent: *random.pick(&[0, 10, 50]),
            });
            sleep(random.millis(500, 4_000)).await;
            hub.set_faults(BusFaults::NONE);
            hub.release();
        }
        Is::BusCut => {
            let nodes = some_nodes(world, random);
            nodes
                .iter()
                .filter_map(Node::bus)
                .for_each(|bus| bus.disconnect());
            sleep(random.millis(500, 4_000)).await;
            nodes
                .iter()
                .filter_map(Node::bus)
                .for_each(|bus| bus.reconnect());
        }
        Is::BusLagged => {
            some_nodes(world, random)
                .iter()
                .filter_map(Node::bus)
                .for_each(|bus| bus.lag());
        }
        _ => unreachable!("{kind:?} is of the other lane"),
    }
}

async fn crash(node: &Node, random: &mut Random, down_ms: u32) {
    node.want(Wanted::Down);
    sleep(random.millis(2, down_ms)).await;
    node.want(Wanted::Up);
}

/// The disk is what it was a while ago; its checkpoint is too, or is not.
async fn put_back(node: &Node, random: &mut Random) {
    let (copies, checkpoint) = (node.disk.copies(), node.checkpoint_bytes());
    sleep(random.millis(500, 6_000)).await;
    node.want(Wanted::Down);
    sleep(random.millis(2, 500)).await;
    node.disk.put_back(copies);
    if let Some(checkpoint) = checkpoint.filter(|_| random.chance(50)) {
        node.put_checkpoint_back(&checkpoint);
    }
    node.want(Wanted::Up);
}

/// A machine that wakes finds its lines broken, at times.
async fn pause(node: &Node, random: &mut Random) {
    node.want(Wanted::Paused);
    let is_cut_off = random.chance(50);
    if is_cut_off {
        node.database_line.set(Condition::Cut);
        node.bus().into_iter().for_each(|bus| bus.disconnect());
    }
    sleep(random.millis(100, 5_000)).await;
    node.want(Wanted::Up);
    if is_cut_off {
        sleep(random.millis(0, 1_500)).await;
        node.database_line.mend();
        node.bus().into_iter().for_each(|bus| bus.reconnect());
    }
}

/// The lines of some nodes to one server.
async fn lines(
    world: &World,
    random: &mut Random,
    line: fn(&Node) -> &Arc<Line>,
    condition: Condition,
) {
    let nodes = some_nodes(world, random);
    nodes.iter().for_each(|node| line(node).set(condition));
    sleep(random.millis(500, 5_000)).await;
    nodes.iter().for_each(|node| line(node).mend());
}

/// Nobody reaches the database; then it is another one.
async fn take_away(world: &World, random: &mut Random, become_another: impl FnOnce(&World)) {
    *world.database_is_there.lock() = false;
    world
        .nodes
        .iter()
        .for_each(|node| node.database_line.set(Condition::Cut));
    sleep(random.millis(50, 2_000)).await;
    become_another(world);
    world
        .nodes
        .iter()
        .for_each(|node| node.database_line.mend());
    *world.database_is_there.lock() = true;
}

fn damage(world: &World, tier: &hotshelf_testkit::FakeTier) {
    let hist = world.servers.origin.head().hist;
    for product in 0..PRODUCTS {
        for variant in 0..document::variants() {
            let key = document::key(product, variant);
            tier.damage(&hotshelf_model::TierKey {
                hist,
                shape: crate::node::SHAPE,
                key,
            });
        }
    }
}
