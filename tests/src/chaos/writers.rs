//! Those who write: through the write API of any node, and by SQL behind every node's back.

use std::path::PathBuf;
use std::sync::Arc;

use hotshelf_model::Version;
use hotshelf_sim::{Moment, Random, Write};

use super::caller::{Caller, Request};
use super::database::{Committed, Database};
use super::document;
use super::readers::read_one;
use super::record::{Asked, Record, code, version};
use super::world::{World, bearer};

/// What a run is to have done at least once.
pub(super) const BUMP: &str = "bump through the API";

/// A write that was acknowledged through the API.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acknowledged {
    pub(super) version: Version,
    pub(super) at: Moment,
}

/// What is common to those who write and read.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) world: Arc<World>,
    pub(super) record: Arc<Record>,
    /// Products that are written and read at random.
    pub(super) products: u32,
}

impl Scene {
    /// The folder of a node's L3.
    pub(super) fn l3(&self, node: usize) -> PathBuf {
        let own_disk = self.world.disk.as_ref();
        match own_disk.filter(|_| node + 1 == self.world.nodes.len()) {
            Some(disk) => PathBuf::from(disk.folder()),
            None => self.world.nodes[node].data_dir().join("l3"),
        }
    }
}

/// Writes one document, or deletes it, through a node; `None` when nothing was acknowledged.
pub(super) fn write_by_api(
    scene: &Scene,
    caller: &mut Caller,
    node: usize,
    product: u32,
    method: &'static str,
) -> Option<Acknowledged> {
    let number = scene.record.number();
    let path = format!("/v1/products/{}", document::id(product));
    let token = bearer();
    let headers = [
        ("content-type", "application/json"),
        ("authorization", token.as_str()),
    ];
    let deleted = method == "DELETE";
    let body = if deleted {
        Vec::new()
    } else {
        document::body(product, number)
    };
    let request = Request {
        method,
        path: &path,
        headers: &headers,
        body: &body,
    };
    let mut write = Write {
        product,
        number,
        version: None,
        deleted,
        begun: scene.record.now(),
        acknowledged: None,
        node: None,
    };
    let reply = caller.ask(node, &request);
    let at = scene.record.now();
    match &reply {
        Ok(reply) if matches!(reply.status, 200 | 201) => {
            write.version = version(reply);
            write.acknowledged = Some(at);
            write.node = Some(u32::try_from(node).unwrap());
        }
        // Nothing was written.
        Ok(reply) if reply.status == 404 => return None,
        Ok(reply) => scene
            .record
            .failed("write", &format!("{} {}", reply.status, code(reply))),
        Err(error) => scene.record.failed("write", &error.kind().to_string()),
    }
    scene.record.write(write);
    let version = write.version?;
    Some(Acknowledged { version, at })
}

/// Writes through the API of random nodes; now and then looks for what it wrote, there and elsewhere.
pub(super) fn run_api(scene: &Scene, mut random: Random) {
    let mut caller = Caller::new(&scene.world);
    let nodes = u32::try_from(scene.world.nodes.len()).unwrap();
    while scene.record.writes_go_on() {
        let node = random.below(nodes) as usize;
        let product = random.skewed(scene.products);
        let method = match random.below(10) {
            0 => "DELETE",
            1..4 => "PATCH",
            _ => "PUT",
        };
        let written = write_by_api(scene, &mut caller, node, product, method);
        if let Some(written) = written {
            let elsewhere = random.chance(40);
            let reader = if elsewhere {
                random.below(nodes) as usize
            } else {
                node
            };
            let asked = Asked {
                product,
                node: reader,
                session: None,
                min_version: elsewhere.then_some(written.version),
                begun: scene.record.now(),
            };
            read_one(&scene.record, &mut caller, asked);
        }
        scene.record.pass(random.millis(5, 40));
    }
}

/// Writes by SQL: single products, many in one transaction, deletes, creations, and bumps.
pub(super) fn run_sql(scene: &Scene, mut random: Random) {
    let mut database = Database::new();
    while scene.record.writes_go_on() {
        database.follow(&scene.world);
        match random.below(100) {
            0..2 => {
                bump(scene, &mut database, &mut random);
            }
            2..5 => {
                let first = random.below(scene.products - 50);
                let many: Vec<u32> = (first..first + 50).collect();
                put_by_sql(scene, &mut database, &many);
            }
            5..15 => {
                delete_by_sql(scene, &mut database, random.skewed(scene.products));
            }
            _ => {
                put_by_sql(scene, &mut database, &[random.skewed(scene.products)]);
            }
        }
        scene.record.pass(random.millis(5, 40));
    }
}

fn bump(scene: &Scene, database: &mut Database, random: &mut Random) {
    if random.chance(50) {
        database.execute("SELECT hotshelf.bump('products')");
        return;
    }
    let nodes = u32::try_from(scene.world.nodes.len()).unwrap();
    match scene.world.bump(random.below(nodes) as usize) {
        Ok(()) => scene.record.did(BUMP),
        Err(reason) => scene.record.failed("bump", &reason),
    }
}

/// Writes products in one transaction; the version of each that was acknowledged.
pub(super) fn put_by_sql(
    scene: &Scene,
    database: &mut Database,
    products: &[u32],
) -> Option<Acknowledged> {
    let numbers = products.iter().map(|_| scene.record.number());
    let writes: Vec<(u32, u64)> = products.iter().copied().zip(numbers).collect();
    let begun = scene.record.now();
    let committed = database.put(&writes);
    record_sql(scene, &writes, false, begun, &committed)
}

fn delete_by_sql(scene: &Scene, database: &mut Database, product: u32) {
    let writes = [(product, scene.record.number())];
    let begun = scene.record.now();
    let committed = database.delete(product);
    record_sql(scene, &writes, true, begun, &committed);
}

fn record_sql(
    scene: &Scene,
    writes: &[(u32, u64)],
    deleted: bool,
    begun: Moment,
    committed: &Committed,
) -> Option<Acknowledged> {
    let at = scene.record.now();
    let versions: &[(u32, Version)] = match committed {
        Committed::Yes(versions) => versions,
        Committed::Nothing => return None,
        Committed::Unknown => {
            scene.record.failed("write by SQL", "unknown");
            &[]
        }
    };
    let mut last = None;
    for &(product, number) in writes {
        let version = versions
            .iter()
            .find(|(of, _)| *of == product)
            .map(|&(_, version)| version);
        scene.record.write(Write {
            product,
            number,
            version,
            deleted,
            begun,
            acknowledged: version.map(|_| at),
            node: None,
        });
        last = version.or(last);
    }
    last.map(|version| Acknowledged { version, at })
}
