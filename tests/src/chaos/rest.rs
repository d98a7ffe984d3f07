//! The end of a run: everything comes to rest, and each tier of each node has to say what the database says.

use std::collections::HashMap;
use std::time::Duration;

use hotshelf_sim::history::{Loss, Probe};
use hotshelf_sim::{Expected, Flag, History, ProbeOutcome, Read, Rule, Seen, Violation};

use super::caller::{Caller, Request};
use super::database::{Database, Held};
use super::document;
use super::record::Asked;
use super::sampler;
use super::world::DATABASE;
use super::writers::Scene;
use crate::time::pause;

const REST_LIMIT: Duration = Duration::from_secs(60);
const OUTBOX: &str = "SELECT count(*) FROM hotshelf.cache_outbox";
const HEAD: &str = "SELECT max(pos) FROM hotshelf.cache_log";

/// Waits until every commit has a position and every node stands at the head.
pub(super) fn wait(scene: &Scene) {
    let begun = scene.record.now();
    while !is_at_rest(scene) {
        if scene.record.now() > begun + REST_LIMIT {
            let trouble = "a minute after the last write some node is not at the head of the log";
            scene.record.trouble(trouble);
            return;
        }
        pause(Duration::from_millis(50));
    }
}

fn is_at_rest(scene: &Scene) -> bool {
    let database = scene.world.database();
    let number = |sql| database.sql(DATABASE, sql).ok()?.parse::<u64>().ok();
    let head = number(HEAD);
    let stands = |node| sampler::position(scene, node) == head;
    number(OUTBOX) == Some(0) && head.is_some() && (0..scene.world.nodes.len()).all(stands)
}

/// What the looks into the tiers found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) violations: Vec<Violation>,
    /// How many first answers came from which tier, by the look.
    pub(super) tiers: Vec<(&'static str, Vec<(String, u64)>)>,
}

/// Looks at every product on every node: as they are; after a new start, when only L2 and L3 hold anything; and without L2.
pub(super) fn probe(scene: &Scene) -> Found {
    let mut found = Found::default();
    let Some(held) = Database::of(&scene.world.database()).held() else {
        let trouble = "the database did not say at the end what it holds";
        scene.record.trouble(trouble);
        return found;
    };
    look(scene, &held, "at rest", &mut found);
    start_all_again(scene);
    look(scene, &held, "after a new start", &mut found);
    scene.world.redis.kill();
    start_all_again(scene);
    look(scene, &held, "after a new start without Redis", &mut found);
    if scene.world.redis.restart().is_err() {
        scene.record.trouble("Redis did not start again");
    }
    found
}

fn start_all_again(scene: &Scene) {
    for node in 0..scene.world.nodes.len() {
        sampler::sample(scene, node);
        scene.world.stop(node);
        scene.world.start_again(node);
    }
}

fn look(scene: &Scene, held: &[Held], when: &'static str, found: &mut Found) {
    let mut caller = Caller::new(&scene.world);
    let mut tiers: HashMap<String, u64> = HashMap::new();
    for held in held {
        let mut cached_again = true;
        for node in 0..caller.nodes() {
            let (read, tier) = match ask(scene, &mut caller, held.product, node) {
                Ok(answer) => answer,
                Err(reason) => {
                    found.violations.push(unanswered(held, node, when, &reason));
                    continue;
                }
            };
            *tiers.entry(tier).or_default() += 1;
            found.violations.extend(differs(held, &read, when));
            found.violations.extend(labelled(&read, when));
            let again = ask(scene, &mut caller, held.product, node);
            cached_again &= again.is_ok_and(|(_, tier)| tier != "origin");
            let outcome = match read.flag {
                Flag::Fresh => ProbeOutcome::Servable(read.version),
                Flag::Stale(_) => ProbeOutcome::Refused(read.version),
            };
            scene.record.history.lock().probes.push(Probe {
                product: held.product,
                node: read.node,
                outcome,
            });
        }
        scene.record.history.lock().expected.push(Expected {
            product: held.product,
            version: held.version,
            cached_again,
        });
    }
    let mut tiers: Vec<(String, u64)> = tiers.into_iter().collect();
    tiers.sort();
    found.tiers.push((when, tiers));
}

fn ask(
    scene: &Scene,
    caller: &mut Caller,
    product: u32,
    node: usize,
) -> Result<(Read, String), String> {
    let asked = Asked {
        product,
        node,
        session: None,
        min_version: None,
        begun: scene.record.now(),
    };
    let path = format!("/v1/products/{}", document::id(product));
    let reply = caller.ask(node, &Request::get(&path));
    let reply = reply.map_err(|error| error.to_string())?;
    let read = scene.record.answer(asked, &reply)?;
    Ok((read, reply.tier().to_owned()))
}

fn unanswered(held: &Held, node: usize, when: &str, reason: &str) -> Violation {
    let product = held.product;
    Violation {
        rule: Rule::Availability,
        at: None,
        what: format!("{when}, node {node} did not answer product {product}: {reason}"),
    }
}

/// Nothing is broken any more, so that every node can prove what it answers.
fn labelled(read: &Read, when: &str) -> Option<Violation> {
    (read.flag != Flag::Fresh).then(|| Violation {
        rule: Rule::Bounded,
        at: Some(read.begun),
        what: format!(
            "{when}, node {} labels product {} {:?}",
            read.node, read.product, read.flag
        ),
    })
}

/// The version is compared by the checker, for copies that would be served as fresh; this compares what is in them.
fn differs(held: &Held, read: &Read, when: &str) -> Option<Violation> {
    let same = match (held.number, read.seen) {
        (Some(number), Seen::Document { number: seen, .. }) => seen == number,
        (None, Seen::Absent) => true,
        _ => false,
    };
    (!same).then(|| Violation {
        rule: Rule::Convergence,
        at: Some(read.begun),
        what: format!(
            "{when}, node {} shows product {} as {:?} ({}, {:?}), the database holds write {:?} ({})",
            read.node,
            held.product,
            read.seen,
            read.version.token(),
            read.flag,
            held.number,
            held.version.token(),
        ),
    })
}

/// The commits that a new primary did not have.
pub(super) fn losses(scene: &Scene, history: &History) -> Vec<Loss> {
    let takeover = scene.record.takeover.lock();
    let Some((at, held)) = &*takeover else {
        return Vec::new();
    };
    let newest = held.values().max().map_or(0, |version| version.timeline());
    let lost = history.writes.iter().filter(|write| {
        write.version.is_some_and(|version| {
            let kept = held
                .get(&write.product)
                .is_some_and(|held| version <= *held);
            version.timeline() <= newest && !kept
        })
    });
    let loss = |write: &hotshelf_sim::Write| Loss {
        product: write.product,
        number: write.number,
        at: *at,
    };
    lost.map(loss).collect()
}
