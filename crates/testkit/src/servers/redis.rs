//! Redis and Redis Cluster, empty at every start.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use super::process::{Process, Recipe, find};
use super::{folder, free_port};
use crate::wait::poll;

const COMMAND_LIMIT: Duration = Duration::from_secs(10);
const CLUSTER_LIMIT: Duration = Duration::from_secs(60);
const SLOTS: usize = 16_384;

/// One Redis server without persistence.
#[derive(Debug)]
pub struct RedisServer {
    process: Process,
    port: u16,
    _folder: TempDir,
}

impl RedisServer {
    /// Starts a server with default settings.
    ///
    /// # Errors
    /// When Redis is not installed or does not start.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(&[])
    }

    /// Starts a server with further options: `&["--maxmemory", "64mb"]`.
    ///
    /// # Errors
    /// As [`RedisServer::start`], and when Redis refuses an option; the error holds its log.
    pub fn start_with(options: &[&str]) -> anyhow::Result<Self> {
        let program = find("redis-server", &[PathBuf::from("/usr/bin")], "redis-server")?;
        let folder = folder::create("redis")?;
        let (process, port) = Process::start_on_free_port(|port| {
            let port = port.to_string();
            let folder_name = folder.path().to_string_lossy();
            let own = [
                "--port",
                &port,
                "--bind",
                "127.0.0.1",
                "--dir",
                &folder_name,
            ];
            let no_persistence = [
                "--save",
                "",
                "--appendonly",
                "no",
                "--enable-debug-command",
                "yes",
            ];
            let args = own.iter().chain(&no_persistence).chain(options);
            Ok(Recipe {
                program: program.clone(),
                args: args.map(|&arg| arg.to_owned()).collect(),
                folder: folder.path().to_owned(),
                user: None,
                ready: "Ready to accept connections",
            })
        })?;
        Ok(RedisServer {
            process,
            port,
            _folder: folder,
        })
    }

    /// `redis://127.0.0.1:PORT/`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.pid()
    }

    /// Stops the process (`SIGSTOP`): connections stay open, nothing is answered.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Kills the process (`SIGKILL`) and returns when it is gone.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Kills the process if it runs, and starts it on the same port; it is empty then.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&self) -> anyhow::Result<()> {
        self.process.restart()
    }

    /// What the server has logged since it was last started.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Sends one command on a connection of its own: `&["CONFIG", "SET", "maxmemory", "1mb"]`. The items of a list are
    /// joined with line feeds.
    ///
    /// # Errors
    /// When the server cannot be reached or answers with an error.
    pub fn command(&self, parts: &[&str]) -> anyhow::Result<String> {
        let attempt = || -> anyhow::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(COMMAND_LIMIT))?;
            let mut request = format!("*{}\r\n", parts.len());
            for part in parts {
                request.push_str(&format!("${}\r\n{part}\r\n", part.len()));
            }
            stream.write_all(request.as_bytes())?;
            read_reply(&mut BufReader::new(stream))
        };
        attempt().with_context(|| format!("sending {parts:?} to Redis on port {}", self.port))
    }
}

/// Reads one reply of RESP version 2.
fn read_reply(reader: &mut impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.trim_end();
    ensure!(
        line.is_char_boundary(1) && !line.is_empty(),
        "the connection was closed"
    );
    let (kind, rest) = line.split_at(1);
    match kind {
        "+" | ":" => Ok(rest.to_owned()),
        "-" => bail!("Redis answered: {rest}"),
        "$" => read_bulk(reader, rest.parse()?),
        "*" => {
            let count = rest.parse::<i64>()?.max(0);
            let items: Result<Vec<String>, _> = (0..count).map(|_| read_reply(reader)).collect();
            Ok(items?.join("\n"))
        }
        _ => bail!("not a reply: {line}"),
    }
}

/// A length below zero means that there is no value.
fn read_bulk(reader: &mut impl BufRead, length: i64) -> anyhow::Result<String> {
    let Ok(length) = usize::try_from(length) else {
        return Ok(String::new());
    };
    let mut bytes = vec![0; length + 2];
    reader.read_exact(&mut bytes)?;
    bytes.truncate(length);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A Redis Cluster of three masters without replicas.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts three nodes and joins them; each says `cluster_state:ok` when this returns.
    ///
    /// # Errors
    /// When Redis is not installed, or the nodes do not agree.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(&[])
    }

    /// As [`RedisCluster::start`], with further options for each node.
    ///
    /// # Errors
    /// As [`RedisCluster::start`].
    pub fn start_with(options: &[&str]) -> anyhow::Result<Self> {
        let bus_ports: Vec<String> = (0..3).map(|_| free_port().to_string()).collect();
        let nodes: anyhow::Result<Vec<RedisServer>> = bus_ports
            .iter()
            .map(|bus_port| start_node(bus_port, options))
            .collect();
        let cluster = RedisCluster { nodes: nodes? };
        cluster.join(&bus_ports)?;
        Ok(cluster)
    }

    /// One URL for each node.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// The nodes. One that is restarted keeps its slots and is empty.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// Waits until every node says that the cluster is whole; needed after a node was restarted.
    ///
    /// # Errors
    /// When that has not happened after a minute.
    pub fn wait_ok(&self) -> anyhow::Result<()> {
        let whole = |node: &RedisServer| {
            let info = node.command(&["CLUSTER", "INFO"]).unwrap_or_default();
            info.contains("cluster_state:ok")
                && info.contains(&format!("cluster_known_nodes:{}", self.nodes.len()))
        };
        poll(CLUSTER_LIMIT, || self.nodes.iter().all(whole).then_some(()))
            .context("the nodes of the Redis Cluster do not agree")
    }

    fn join(&self, bus_ports: &[String]) -> anyhow::Result<()> {
        let count = self.nodes.len();
        for (index, node) in self.nodes.iter().enumerate() {
            let first = (SLOTS * index / count).to_string();
            let last = (SLOTS * (index + 1) / count - 1).to_string();
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()])?;
            node.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last])?;
        }
        let (first, others) = self.nodes.split_first().context("a cluster has nodes")?;
        for (node, bus_port) in others.iter().zip(&bus_ports[1..]) {
            let port = node.port.to_string();
            first.command(&["CLUSTER", "MEET", "127.0.0.1", &port, bus_port])?;
        }
        self.wait_ok()
    }
}

fn start_node(bus_port: &str, options: &[&str]) -> anyhow::Result<RedisServer> {
    let cluster = ["--cluster-enabled", "yes", "--cluster-port", bus_port];
    let timeout = ["--cluster-node-timeout", "2000"];
    let options: Vec<&str> = cluster
        .iter()
        .chain(&timeout)
        .chain(options)
        .copied()
        .collect();
    RedisServer::start_with(&options)
}
