//! Those who read: single documents, batches, sessions that pass on what they saw, and one who measures how soon a commit shows.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use hotshelf_model::Version;
use hotshelf_sim::{Moment, Random, Read};
use serde_json::{Value, json};

use super::caller::{Caller, Request};
use super::database::Database;
use super::document;
use super::record::{Asked, Record, Sight};
use super::writers::{Acknowledged, Scene, put_by_sql, write_by_api};

/// Ids in one batch.
const BATCH: usize = 20;
/// Products that only the measuring reader writes, behind those that everybody does.
pub(super) const MEASURED: u32 = 4;
/// What near caches call themselves.
const NEAR_TIER: &str = "near";
/// A commit that is not seen everywhere after this is not measured; whether that was right is for the checker to say.
const SIGHT_LIMIT: Duration = Duration::from_secs(3);

/// Reads a document from one node, and from the next one if the connection broke, as a load balancer does. Each attempt that fails
/// counts, but for those at a node that had been ended.
pub(super) fn read_one(record: &Record, caller: &mut Caller, asked: Asked) -> Option<Read> {
    let path = format!("/v1/products/{}", document::id(asked.product));
    let min_version = asked.min_version.map(|version| version.token().to_string());
    let headers: Vec<(&str, &str)> = min_version
        .iter()
        .map(|token| ("hotshelf-min-version", token.as_str()))
        .collect();
    let request = Request {
        headers: &headers,
        ..Request::get(&path)
    };
    for attempt in 0..2 {
        let now = Asked {
            node: (asked.node + attempt) % caller.nodes(),
            begun: record.now(),
            ..asked
        };
        match caller.ask(now.node, &request) {
            Ok(reply) => match record.answer(now, &reply) {
                Ok(read) => return Some(read),
                Err(reason) => {
                    record.unanswered(now, &reason);
                    return None;
                }
            },
            Err(error) => broke(record, caller, now, &error),
        }
    }
    None
}

fn broke(record: &Record, caller: &Caller, asked: Asked, error: &io::Error) {
    let reason = error.kind().to_string();
    if caller.leaves_out(asked.node) {
        record.failed("read of a node that had ended", &reason);
    } else {
        record.unanswered(asked, &reason);
    }
}

/// Reads single documents at random; a few of products that never were.
pub(super) fn run_single(scene: &Scene, mut random: Random) {
    let mut caller = Caller::new(&scene.world);
    while scene.record.goes_on() {
        let unknown = random.chance(2);
        let asked = Asked {
            product: random.skewed(scene.products) + if unknown { 100_000 } else { 0 },
            node: random.below(caller.nodes_u32()) as usize,
            session: None,
            min_version: None,
            begun: scene.record.now(),
        };
        read_one(&scene.record, &mut caller, asked);
        scene.record.pass(random.millis(0, 3));
    }
}

/// Reads through a near cache, mostly the products that the measuring reader makes hot. It counts as one more node. What it cannot answer while it is away is no failure.
pub(super) fn run_near(scene: &Scene, mut random: Random, near: usize) {
    let world = &scene.world;
    let mut caller = Caller::of_nears(world);
    while scene.record.goes_on() {
        let asked = Asked {
            product: if random.chance(80) {
                scene.products + random.below(MEASURED)
            } else {
                random.skewed(scene.products)
            },
            node: world.nodes.len() + near,
            session: None,
            min_version: None,
            begun: scene.record.now(),
        };
        let was_away = world.is_near_away(near);
        let path = format!("/v1/products/{}", document::id(asked.product));
        let outcome = match caller.ask(near, &Request::get(&path)) {
            Ok(reply) => scene.record.answer(asked, &reply).map(|_read| {
                if reply.tier() == NEAR_TIER {
                    scene.record.did(world.nears[near].cache.name());
                }
            }),
            Err(error) => Err(error.kind().to_string()),
        };
        match outcome {
            Ok(()) => {}
            Err(reason) if was_away || world.is_near_away(near) => {
                let what = "read through a near cache that was away";
                scene.record.failed(what, &reason);
            }
            Err(reason) => scene.record.unanswered(asked, &reason),
        }
        scene.record.pass(random.millis(0, 3));
    }
}

/// Reads of one session: on any node, each with the greatest version that the session saw of the product.
pub(super) fn run_session(scene: &Scene, mut random: Random, session: u32) {
    let mut caller = Caller::new(&scene.world);
    let mut seen: HashMap<u32, Version> = HashMap::new();
    while scene.record.goes_on() {
        let product = random.skewed(scene.products);
        let asked = Asked {
            product,
            node: random.below(caller.nodes_u32()) as usize,
            session: Some(session),
            min_version: seen.get(&product).copied(),
            begun: scene.record.now(),
        };
        if let Some(read) = read_one(&scene.record, &mut caller, asked) {
            // Not the greatest ever seen: a failover may have taken that one back.
            seen.insert(product, read.version);
        }
        scene.record.pass(random.millis(0, 4));
    }
}

/// Reads batches.
pub(super) fn run_batches(scene: &Scene, mut random: Random) {
    let mut caller = Caller::new(&scene.world);
    while scene.record.goes_on() {
        let node = random.below(caller.nodes_u32()) as usize;
        let products: Vec<u32> = (0..BATCH).map(|_| random.skewed(scene.products)).collect();
        read_batch(&scene.record, &mut caller, node, &products);
        scene.record.pass(random.millis(5, 25));
    }
}

fn read_batch(record: &Record, caller: &mut Caller, node: usize, products: &[u32]) {
    let ids: Vec<String> = products
        .iter()
        .map(|&product| document::id(product))
        .collect();
    let body = json!({ "ids": ids }).to_string().into_bytes();
    let request = Request {
        method: "POST",
        path: "/v1/products:batchGet",
        headers: &[("content-type", "application/json")],
        body: &body,
    };
    let begun = record.now();
    let asked = |product| Asked {
        product,
        node,
        session: None,
        min_version: None,
        begun,
    };
    let reply = match caller.ask(node, &request) {
        Ok(reply) => reply,
        Err(error) => {
            for &product in products {
                broke(record, caller, asked(product), &error);
            }
            return;
        }
    };
    let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let results = answer["results"].as_array();
    for (index, &product) in products.iter().enumerate() {
        let asked = asked(product);
        let result = results.and_then(|results| results.get(index));
        let outcome = result.map_or_else(
            || Err(format!("{} to a batch", reply.status)),
            |result| record.result(asked, result),
        );
        if let Err(reason) = outcome {
            record.unanswered(asked, &reason);
        }
    }
}

/// Writes a product of its own, through the API and by SQL in turn, and reads it on every node until all show the commit.
pub(super) fn run_measured(scene: &Scene, mut random: Random) {
    let mut caller = Caller::new(&scene.world);
    let mut database = Database::new();
    let mut by_api = false;
    while scene.record.writes_go_on() {
        by_api = !by_api;
        let product = scene.products + random.below(MEASURED);
        let node = random.below(caller.nodes_u32()) as usize;
        let written = if by_api {
            write_by_api(scene, &mut caller, node, product, "PUT")
        } else {
            database.follow(&scene.world);
            put_by_sql(scene, &mut database, &[product])
        };
        if let Some(written) = written
            && let Some((old_shown, new_shown)) = watch(scene, &mut caller, product, written)
        {
            scene.record.sights.lock().push(Sight {
                by_api,
                acknowledged: written.at,
                old_shown,
                new_shown,
            });
        }
        // Every node holds the product when it is written next.
        scene.record.pass(random.millis(20, 100));
    }
}

/// `None` when a node did not answer, or not with the commit in time.
fn watch(
    scene: &Scene,
    caller: &mut Caller,
    product: u32,
    written: Acknowledged,
) -> Option<(Duration, Duration)> {
    let path = format!("/v1/products/{}", document::id(product));
    let mut waiting: Vec<usize> = (0..caller.nodes()).collect();
    let mut old_shown = Duration::ZERO;
    let mut new_shown = Duration::ZERO;
    let since = |moment: Moment| moment.saturating_sub(written.at);
    while !waiting.is_empty() {
        let mut still = Vec::new();
        for node in waiting {
            let asked = Asked {
                product,
                node,
                session: None,
                min_version: None,
                begun: scene.record.now(),
            };
            let reply = match caller.ask(node, &Request::get(&path)) {
                Ok(reply) => reply,
                Err(error) => {
                    broke(&scene.record, caller, asked, &error);
                    return None;
                }
            };
            let read = match scene.record.answer(asked, &reply) {
                Ok(read) => read,
                Err(reason) => {
                    scene.record.unanswered(asked, &reason);
                    return None;
                }
            };
            if read.version >= written.version {
                new_shown = new_shown.max(since(read.ended));
            } else {
                old_shown = old_shown.max(since(read.ended));
                still.push(node);
            }
        }
        if since(scene.record.now()) > SIGHT_LIMIT {
            return None;
        }
        waiting = still;
    }
    Some((old_shown, new_shown))
}
