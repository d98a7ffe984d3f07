//! Those who read and write.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_engine::{Class, HotReason, ReadOptions};
use hotshelf_model::Key;
use hotshelf_sim::Random;
use tokio::time::{sleep, timeout};

use crate::document;
use crate::plan::{NODES, PRODUCTS};
use crate::record::Asked;
use crate::world::World;

/// Products that are written and never read.
const OTHERS: u32 = 60;
/// Keys in one batch.
const BATCH: u32 = 12;
/// A writer does not wait longer for a node that says nothing.
const WRITER_PATIENCE: Duration = Duration::from_secs(8);

/// Starts everybody.
pub(crate) fn start(world: &Arc<World>) -> Vec<tokio::task::JoinHandle<()>> {
    let random = |stream| world.plan.random(100 + stream);
    let world = || Arc::clone(world);
    let mut actors = Vec::new();
    for stream in 0..3 {
        actors.push(tokio::spawn(read_singly(world(), random(stream))));
    }
    for session in 0..2 {
        world()
            .sessions
            .lock()
            .push(std::collections::BTreeMap::new());
        actors.push(tokio::spawn(read_in_session(
            world(),
            random(10 + u64::from(session)),
            session,
        )));
    }
    actors.push(tokio::spawn(read_batches(world(), random(20))));
    for stream in 30..32 {
        actors.push(tokio::spawn(write_through_nodes(world(), random(stream))));
    }
    actors.push(tokio::spawn(write_behind_nodes(world(), random(40))));
    actors.push(tokio::spawn(evict(world(), random(50))));
    actors.push(tokio::spawn(promote(world(), random(51))));
    actors.push(tokio::spawn(sample(world())));
    actors
}

fn asked(world: &World, random: &mut Random) -> Asked {
    let unknown = random.chance(2);
    Asked {
        product: random.skewed(PRODUCTS) + if unknown { 1000 } else { 0 },
        variant: random.below(document::variants()),
        node: random.below(NODES),
        session: None,
        min_version: None,
        begun: world.now(),
    }
}

async fn read_singly(world: Arc<World>, mut random: Random) {
    while world.record.reads_go_on() {
        let asked = asked(&world, &mut random);
        world.read(asked).await;
        sleep(random.millis(0, 12)).await;
    }
}

/// Each read demands what the session saw last of the product.
async fn read_in_session(world: Arc<World>, mut random: Random, session: u32) {
    while world.record.reads_go_on() {
        let asked = asked(&world, &mut random);
        let seen = world.sessions.lock()[session as usize]
            .get(&asked.product)
            .copied();
        let asked = Asked {
            session: Some(session),
            min_version: seen,
            ..asked
        };
        let read = world.read(asked).await;
        // What the database has lost meanwhile is nothing to ask for.
        if let Some(read) = read.filter(|read| read.version <= world.version_of(read.product)) {
            world.sessions.lock()[session as usize].insert(read.product, read.version);
        }
        sleep(random.millis(0, 12)).await;
    }
}

async fn read_batches(world: Arc<World>, mut random: Random) {
    while world.record.reads_go_on() {
        let first = asked(&world, &mut random);
        let batch = (0..BATCH).map(|_| Asked {
            node: first.node,
            ..asked(&world, &mut random)
        });
        world.record.did("batch");
        let batch: Vec<Asked> = batch.collect();
        let keys: Vec<Key> = batch
            .iter()
            .map(|asked| document::key(asked.product, asked.variant))
            .collect();
        let options = ReadOptions {
            class: *random.pick(&[Class::Interactive, Class::Interactive, Class::Warm]),
            ..ReadOptions::default()
        };
        let answers = world.on_node(first.node, |cache| async move {
            cache.get_many(&keys, options).await
        });
        // Whether another node would have answered is for those to say who read singly.
        if let Ok(Some(answers)) = timeout(Duration::from_secs(8), answers).await {
            for (asked, answer) in batch.into_iter().zip(answers) {
                // Who is in no hurry may be refused.
                if answer.is_ok() || options.class == Class::Interactive {
                    world.record.outcome(asked, answer);
                }
            }
        }
        sleep(random.millis(10, 60)).await;
    }
}

/// Writes as a node's API does: in a task of the node, and with its own line to the database.
async fn write_through_nodes(world: Arc<World>, mut random: Random) {
    while world.record.writes_go_on() {
        let (node, product) = (random.below(NODES), random.skewed(PRODUCTS));
        let delete = random.chance(15);
        let line = Arc::clone(&world.nodes[node as usize].database_line);
        let database = Arc::clone(&world);
        let written = world.on_node(node, |cache| async move {
            line.pass().await.ok()?;
            let committed = database.commit(product, delete)?;
            line.pass().await.ok()?;
            World::tell(&cache, product, committed.version);
            Some(committed)
        });
        let written = timeout(WRITER_PATIENCE, written).await;
        if let Ok(Some(Some(committed))) = written {
            world.acknowledged(committed, node);
            let elsewhere = random.chance(40);
            let mut asked = asked(&world, &mut random);
            asked.product = product;
            if elsewhere {
                asked.min_version = Some(committed.version);
            } else {
                asked.node = node;
            }
            world.read(asked).await;
        }
        sleep(random.millis(5, 60)).await;
    }
}

/// Writes as another program does, which tells no node.
async fn write_behind_nodes(world: Arc<World>, mut random: Random) {
    while world.record.writes_go_on() {
        sleep(random.millis(5, 60)).await;
        if !*world.database_is_there.lock() {
            continue;
        }
        match random.below(100) {
            0 if world.plan.faults => {
                world.record.did("bump");
                world
                    .servers
                    .origin
                    .bump(&hotshelf_testkit::names::products());
            }
            1..3 => {
                let first = random.below(PRODUCTS - 20);
                for product in first..first + 20 {
                    world.commit(product, false);
                }
                // Of products that nobody reads: their floors push others out.
                for other in 0..OTHERS {
                    let body = format!("{:?}", world.now());
                    world.servers.origin.put(&format!("other-{other}"), body);
                }
            }
            3..6 if world.plan.faults => {
                let (product, after) = (random.skewed(PRODUCTS), random.millis(1_200, 5_000));
                let world = Arc::clone(&world);
                tokio::spawn(async move { world.schedule(product, after).await });
            }
            roll => {
                world.commit(random.skewed(PRODUCTS), roll < 20);
            }
        }
    }
}

/// Makes room in L1.
async fn evict(world: Arc<World>, mut random: Random) {
    while world.plan.faults && world.record.reads_go_on() {
        let asked = asked(&world, &mut random);
        if let Some((_, cache, _)) = world.nodes[asked.node as usize].living() {
            world.record.did("eviction");
            cache.remove_from_l1(&document::key(asked.product, asked.variant));
        }
        sleep(random.millis(1, 40)).await;
    }
}

/// Makes keys hot, and lets them go: on all nodes as a detector does, or on one.
async fn promote(world: Arc<World>, mut random: Random) {
    while world.plan.faults && world.record.reads_go_on() {
        let key = document::key(random.skewed(PRODUCTS), random.below(document::variants()));
        let reason = *random.pick(&HotReason::ALL);
        let first = random.below(NODES);
        let nodes = if random.chance(70) { NODES } else { 1 };
        let is_promotion = random.chance(60);
        let is_ban = random.chance(5);
        for node in 0..nodes {
            let node = (first + node) % NODES;
            let Some((_, cache, _)) = world.nodes[node as usize].living() else {
                continue;
            };
            let key = key.clone();
            if is_ban {
                world.record.did("ban");
                cache.ban([key]);
            } else if is_promotion {
                world.record.did("promotion");
                cache.promote(&[key], reason);
            } else {
                world.record.did("demotion");
                cache.demote(&[key], reason);
            }
        }
        sleep(random.millis(5, 100)).await;
    }
}

/// Looks at every node now and then.
async fn sample(world: Arc<World>) {
    while world.record.reads_go_on() {
        for node in &world.nodes {
            if let Some(progress) = node.progress() {
                world.record.history.lock().progress.push(progress);
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}
