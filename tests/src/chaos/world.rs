//! What a run breaks: nodes, a database with a standby, Redis and NATS, with a line between each node and each server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use hotshelf_testkit::{NatsServer, PostgresServer, RedisServer, TcpProxy};
use parking_lot::Mutex;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::disk::SmallDisk;
use super::record::code;
use crate::client::{self, Connection, Reply};
use crate::near::{self, NearCache};
use crate::node::{self, Node};
use crate::shop;

/// The writer's token, which is also good for the admin listener.
pub(super) const TOKEN: &str = "the chaos of many servers";
/// The database.
pub(super) const DATABASE: &str = "chaos";
/// The bus's stream.
pub(super) const STREAM: &str = "hotshelf";
const ADMIN_LIMIT: Duration = Duration::from_secs(2);

/// The lines of one node, each of which can be slowed, stalled and cut.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) database: TcpProxy,
    pub(super) redis: TcpProxy,
    pub(super) nats: TcpProxy,
}

/// A near cache in front of a node.
#[derive(Debug)]
pub(super) struct Near {
    pub(super) cache: NearCache,
    /// To the node.
    pub(super) line: TcpProxy,
    pub(super) node: usize,
    /// Whether it cannot be reached, or cannot reach its node.
    pub(super) is_away: AtomicBool,
}

/// Everything that runs. Near caches and nodes come first, so that they end first.
#[derive(Debug)]
pub(super) struct World {
    /// Those whose toolchain is on this machine.
    pub(super) nears: Vec<Near>,
    pub(super) nodes: Vec<Node>,
    /// How often each node was started.
    pub(super) lives: Vec<AtomicU32>,
    /// Which nodes were ended and are not ready again.
    away: Vec<AtomicBool>,
    pub(super) lines: Vec<Lines>,
    pub(super) redis: RedisServer,
    pub(super) nats: NatsServer,
    database: Mutex<Arc<PostgresServer>>,
    standby: Mutex<Option<PostgresServer>>,
    /// The last node's L3 lies on it, if it could be made.
    pub(super) disk: Option<SmallDisk>,
}

impl World {
    /// Starts servers, fills the database with `fill`, and starts the nodes.
    pub(super) fn start(
        nodes: usize,
        with_standby: bool,
        fill: impl FnOnce(&Arc<PostgresServer>),
    ) -> anyhow::Result<Self> {
        let database = Arc::new(PostgresServer::start()?);
        let url = database.database(DATABASE)?;
        shop::migrate(&url);
        fill(&database);
        let standby = with_standby.then(|| database.standby()).transpose()?;
        let redis = RedisServer::start()?;
        let nats = NatsServer::start()?;
        let lines: anyhow::Result<Vec<Lines>> = (0..nodes)
            .map(|_| {
                Ok(Lines {
                    database: TcpProxy::start(database.port())?,
                    redis: TcpProxy::start(redis.port())?,
                    nats: TcpProxy::start(nats.port())?,
                })
            })
            .collect();
        let lines = lines?;
        let disk = SmallDisk::mount();
        if disk.is_none() {
            eprintln!("NOT TESTED: a full disk, because no tmpfs can be mounted here");
        }
        let start = |(index, lines): (usize, &Lines)| {
            let own_disk = disk.as_ref().filter(|_| index + 1 == nodes);
            Node::start(&toml(lines, own_disk))
        };
        let started: Vec<Node> = lines.iter().enumerate().map(start).collect();
        let nears: anyhow::Result<Vec<Near>> = near::programs()
            .iter()
            .enumerate()
            .map(|(index, program)| {
                let node = index % nodes;
                let line = TcpProxy::start(started[node].port())?;
                Ok(Near {
                    cache: NearCache::start(program, line.port()),
                    line,
                    node,
                    is_away: AtomicBool::new(false),
                })
            })
            .collect();
        Ok(World {
            nears: nears?,
            nodes: started,
            lives: (0..nodes).map(|_| AtomicU32::new(1)).collect(),
            away: (0..nodes).map(|_| AtomicBool::new(false)).collect(),
            lines,
            redis,
            nats,
            database: Mutex::new(database),
            standby: Mutex::new(standby),
            disk,
        })
    }

    /// The primary.
    pub(super) fn database(&self) -> Arc<PostgresServer> {
        Arc::clone(&self.database.lock())
    }

    pub(super) fn take_standby(&self) -> Option<PostgresServer> {
        self.standby.lock().take()
    }

    pub(super) fn has_standby(&self) -> bool {
        self.standby.lock().is_some()
    }

    /// Makes another server the database, for everybody.
    pub(super) fn use_database(&self, server: Arc<PostgresServer>) {
        for lines in &self.lines {
            lines.database.retarget(server.port());
        }
        *self.database.lock() = server;
    }

    pub(super) fn life(&self, node: usize) -> u32 {
        self.lives[node].load(Ordering::Acquire)
    }

    /// Whether a node was ended and is not ready again: whoever shares out requests would leave it out.
    pub(super) fn is_away(&self, node: usize) -> bool {
        self.away[node].load(Ordering::Acquire)
    }

    /// Whether nothing can be read through a near cache now.
    pub(super) fn is_near_away(&self, near: usize) -> bool {
        let near = &self.nears[near];
        near.is_away.load(Ordering::Acquire) || self.is_away(near.node)
    }

    /// Kills a node.
    pub(super) fn kill(&self, node: usize) {
        self.away[node].store(true, Ordering::Release);
        self.nodes[node].kill();
    }

    /// Asks a node to stop, and waits for its end.
    pub(super) fn stop(&self, node: usize) {
        self.away[node].store(true, Ordering::Release);
        self.nodes[node].stop();
    }

    /// Starts a node again that has ended.
    pub(super) fn start_again(&self, node: usize) {
        self.lives[node].fetch_add(1, Ordering::AcqRel);
        self.nodes[node].restart();
        self.away[node].store(false, Ordering::Release);
    }

    /// The text of a node's `/metrics`; `None` when it does not answer.
    pub(super) fn metrics(&self, node: usize) -> Option<String> {
        let reply = self.admin(node, "/metrics")?;
        (reply.status == 200).then(|| reply.text())
    }

    /// What a node's `/readyz` says, ready or not; `None` when it does not answer.
    pub(super) fn health(&self, node: usize) -> Option<Value> {
        serde_json::from_slice(&self.admin(node, "/readyz")?.body).ok()
    }

    fn admin(&self, node: usize, path: &str) -> Option<Reply> {
        let mut connection = Connection::open(&self.nodes[node].admin_address()).ok()?;
        connection.wait_at_most(ADMIN_LIMIT).ok()?;
        let headers = [("connection", "close"), ("authorization", &bearer())];
        connection.send("GET", path, &headers, b"").ok()?;
        connection.read_reply("GET").ok()
    }

    /// The number of polls of a node that proved something, and the age of its last proof in seconds.
    pub(super) fn proofs(&self, node: usize) -> Option<(f64, f64)> {
        let metrics = self.metrics(node)?;
        let settled = [("outcome", "settled")];
        let polls = node::sum(&metrics, "hotshelf_change_log_polls_total", &settled);
        Some((
            polls,
            node::sum(&metrics, "hotshelf_proof_age_seconds", &[]),
        ))
    }

    /// Makes all copies of all products dead, through a node.
    ///
    /// # Errors
    /// Why it did not.
    pub(super) fn bump(&self, node: usize) -> Result<(), String> {
        let headers = [
            ("content-type", "application/json"),
            ("authorization", &bearer()),
        ];
        let address = self.nodes[node].admin_address();
        let body = br#"{"bump":["products"]}"#;
        let reply = client::request(&address, "POST", "/admin/v1/changes", &headers, body);
        match reply {
            Ok(reply) if reply.status == 202 => Ok(()),
            Ok(reply) => Err(format!("{} {}", reply.status, code(&reply))),
            Err(error) => Err(error.kind().to_string()),
        }
    }
}

/// The value of `Authorization` of the writer.
pub(super) fn bearer() -> String {
    format!("Bearer {TOKEN}")
}

/// Small tiers, so that documents move between them; the deadlines that nodes have by default.
fn toml(lines: &Lines, disk: Option<&SmallDisk>) -> String {
    let hash: String = Sha256::digest(TOKEN)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let path = disk.map_or_else(String::new, |disk| format!("path = \"{}\"", disk.folder()));
    let (database, redis, nats) = (lines.database.port(), lines.redis.port(), lines.nats.port());
    format!(
        r#"
[database]
url = "postgres://postgres@127.0.0.1:{database}/{DATABASE}"
[l1]
bytes_max = 1048576
[l2]
urls = ["redis://127.0.0.1:{redis}/"]
[l3]
admission = "always"
free_bytes_min = 0
memtable_bytes = 1048576
bytes_max = 67108864
direct_io = false
{path}
[bus]
kind = "nats"
urls = ["nats://127.0.0.1:{nats}"]
stream = "{STREAM}"
[auth]
tokens = [{{ name = "chaos", role = "operator", sha256 = "{hash}" }}]
[[hot.rule]]
name = "what is read through near caches"
namespace = "products"
id = "p-0000|p-030[0-3]"
action = "always"
"#
    )
}
