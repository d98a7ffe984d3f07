//! The end of a run: everything comes to rest, and what lies in each tier of each node is compared with the database.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_engine::{Answer, Freshness, ReadOptions};
use hotshelf_model::{ErrorKind, TierName};
use hotshelf_sim::{Expected, Probe, ProbeOutcome};
use tokio::time::sleep;

use crate::document;
use crate::node::Wanted;
use crate::plan::{NODES, PRODUCTS};
use crate::record::Asked;
use crate::world::World;

/// Two polls, and a little more.
const QUIET: Duration = Duration::from_millis(700);

/// Waits until every node knows everything.
pub(crate) async fn wait(world: &World) {
    let head = |world: &World| world.servers.origin.head();
    world
        .until("every node stands at the head", |world| {
            world.nodes.iter().all(|node| {
                let progress = node.progress();
                progress.is_some_and(|progress| {
                    let head = head(world);
                    (progress.timeline, progress.position) == (head.timeline, head.position)
                        && world.now() - progress.proof.unwrap_or_default() < QUIET
                })
            })
        })
        .await;
    sleep(QUIET).await;
}

/// Looks at every product on every node: as they are; when only L2 and L3 hold anything; and without L2.
pub(crate) async fn probe(world: &Arc<World>) {
    look(world, "at rest").await;
    start_all_again(world).await;
    look(world, "after a new start").await;
    world.servers.l2.clear();
    start_all_again(world).await;
    look(world, "after a new start without L2").await;
}

async fn start_all_again(world: &World) {
    for wanted in [Wanted::Down, Wanted::Up] {
        for node in &world.nodes {
            node.want(wanted);
        }
        sleep(Duration::from_millis(5)).await;
    }
    world
        .until("every node is back", |world| {
            world.nodes.iter().all(|node| node.is_ready())
        })
        .await;
    wait(world).await;
}

async fn look(world: &Arc<World>, when: &str) {
    for product in 0..PRODUCTS {
        let version = world.version_of(product);
        let mut cached_again = true;
        for node in 0..NODES {
            for variant in 0..document::variants() {
                let Some(answer) = ask(world, node, product, variant, when).await else {
                    continue;
                };
                note(world, node, product, &answer);
                // Twice: the copy's time may be over just then.
                let mut is_cached = false;
                for _ in 0..2 {
                    let again = ask(world, node, product, variant, when).await;
                    is_cached |= again.is_some_and(|again| again.tier() != TierName::Origin);
                }
                cached_again &= is_cached;
            }
        }
        world.record.history.lock().expected.push(Expected {
            product,
            version,
            cached_again,
        });
    }
}

async fn ask(
    world: &Arc<World>,
    node: u32,
    product: u32,
    variant: u32,
    when: &str,
) -> Option<Answer> {
    let key = document::key(product, variant);
    let asked = Asked {
        product,
        variant,
        node,
        session: None,
        min_version: None,
        begun: world.now(),
    };
    let options = ReadOptions::default();
    let answer = world
        .on_node(node, |cache| async move { cache.get(&key, options).await })
        .await;
    match answer {
        Some(Ok(answer)) => {
            world.record.outcome(asked, Ok(answer.clone()));
            Some(answer)
        }
        _ => {
            world.record.failed(asked, ErrorKind::Internal, when);
            None
        }
    }
}

fn note(world: &World, node: u32, product: u32, answer: &Answer) {
    let version = answer.version();
    let outcome = match answer.freshness() {
        Freshness::Fresh { .. } => ProbeOutcome::Servable(version),
        Freshness::Stale { .. } => ProbeOutcome::Refused(version),
    };
    world.record.history.lock().probes.push(Probe {
        product,
        node,
        outcome,
    });
}
