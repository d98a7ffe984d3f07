//! Four nodes as processes, with the PostgreSQL, Redis and NATS that they share.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use hotshelf_benches::cpu;
use hotshelf_model::{NamespaceName, VariantSchema};
use hotshelf_origin_sql::{Dialect, NamespaceQuery, SqlOrigin, SqlSettings};
use hotshelf_testkit::{NatsServer, PostgresServer, RedisServer, free_port, wait_until};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) const NODES: usize = 4;
const DATABASE: &str = "hot";
const START_LIMIT: Duration = Duration::from_secs(60);

/// What a cluster is made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) products: usize,
    pub(crate) l1_bytes: usize,
    pub(crate) promotes: bool,
}

/// A node.
pub(crate) struct Node {
    child: Child,
    pub(crate) port: u16,
    admin: u16,
    _folder: TempDir,
}

/// Nodes, and what they share.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) nats: NatsServer,
    program: PathBuf,
    settings: Vec<String>,
    database: PostgresServer,
    _redis: RedisServer,
}

/// The id of a product.
pub(crate) fn id(product: usize) -> String {
    format!("p-{product:05}")
}

impl Cluster {
    pub(crate) fn start(program: &Path, shape: Shape) -> anyhow::Result<Self> {
        let database = PostgresServer::start()?;
        let url = database.database(DATABASE)?;
        migrate(&url)?;
        let last = shape.products - 1;
        let fill = format!(
            "INSERT INTO hotshelf.product (id, title, description) SELECT 'p-' || lpad(n::text, 5, '0'), 'Product', repeat('a lamp ', 250) \
             FROM generate_series(0, {last}) n"
        );
        database.sql(DATABASE, &fill)?;
        let (redis, nats) = (RedisServer::start()?, NatsServer::start()?);
        let settings = vec![
            format!("database.url={url}"),
            format!("l1.bytes_max={}", shape.l1_bytes),
            format!("l2.urls=[\"{}\"]", redis.url()),
            "l3.enabled=false".to_owned(),
            "bus.kind=nats".to_owned(),
            format!("bus.urls=[\"nats://127.0.0.1:{}\"]", nats.port()),
            format!("hot.enabled={}", shape.promotes),
            "log.filter=warn".to_owned(),
        ];
        let nodes = (0..NODES).map(|_| Node::start(program, &settings));
        let cluster = Cluster {
            nodes: nodes.collect::<anyhow::Result<_>>()?,
            nats,
            program: program.to_owned(),
            settings,
            database,
            _redis: redis,
        };
        if shape.promotes {
            cluster.wait_for_seats();
        }
        Ok(cluster)
    }

    /// Waits until one node leads in finding hot keys, and two stand by.
    pub(crate) fn wait_for_seats(&self) {
        wait_until("one node leads, and two stand by", START_LIMIT, || {
            let sum = |metric| self.sum(metric).unwrap_or_default();
            sum("hotshelf_hot_leads") == 1.0 && sum("hotshelf_hot_stands_by") == 2.0
        });
    }

    /// Starts a node in the place of one.
    pub(crate) fn replace(&mut self, at: usize) -> anyhow::Result<()> {
        self.nodes[at] = Node::start(&self.program, &self.settings)?;
        Ok(())
    }

    /// The sum of all series of a metric over all nodes that begin with this.
    pub(crate) fn sum(&self, series: &str) -> anyhow::Result<f64> {
        self.nodes.iter().map(|node| node.metric(series)).sum()
    }

    /// Processor time of all nodes so far.
    pub(crate) fn cpu_nanos(&self) -> anyhow::Result<f64> {
        let pids = self.nodes.iter().map(|node| node.child.id());
        pids.map(cpu::nanos_of).sum()
    }

    /// Gives a product another title.
    pub(crate) fn change(&self, product: usize, title: &str) -> anyhow::Result<()> {
        let sql = format!(
            "UPDATE hotshelf.product SET title = '{title}' WHERE id = '{}'",
            id(product)
        );
        self.database.sql(DATABASE, &sql).map(drop)
    }
}

fn migrate(url: &str) -> anyhow::Result<()> {
    let products =
        NamespaceName::new("products").map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let query = NamespaceQuery::products(products, Dialect::of(url)?, VariantSchema::default());
    let settings = SqlSettings {
        url: url.to_owned(),
        connections_max: 1,
        ..SqlSettings::default()
    };
    Runtime::new()?.block_on(async {
        let origin = SqlOrigin::connect_lazy(&settings, vec![query])?;
        origin.migrate().await
    })?;
    Ok(())
}

impl Node {
    fn start(program: &Path, settings: &[String]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("hotshelf-bench-")
            .tempdir()?;
        let (port, admin) = (free_port(), free_port());
        let mut command = Command::new(program);
        command.arg("serve").env_clear();
        let own = [
            format!("node.data_dir={}", folder.path().display()),
            format!("http.listen=127.0.0.1:{port}"),
            format!("admin.listen=127.0.0.1:{admin}"),
        ];
        for setting in own.iter().chain(settings) {
            command.arg("--set").arg(setting);
        }
        let streams = command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut node = Node {
            child: streams.spawn().context("starting a node")?,
            port,
            admin,
            _folder: folder,
        };
        let mut ended = false;
        wait_until("the node is ready", START_LIMIT, || {
            ended = node.child.try_wait().is_ok_and(|status| status.is_some());
            let ready = Connection::open(admin).and_then(|mut admin| admin.get("/readyz"));
            ended || ready.is_ok()
        });
        ensure!(!ended, "a node has ended at once");
        Ok(node)
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Whether it leads in finding hot keys, as it says itself.
    pub(crate) fn leads(&self) -> anyhow::Result<bool> {
        let hot = Connection::open(self.admin)?.get("/admin/v1/hot")?;
        Ok(hot.contains("\"leads\":true"))
    }

    /// The sum of the series that begin with this.
    pub(crate) fn metric(&self, series: &str) -> anyhow::Result<f64> {
        let text = Connection::open(self.admin)?.get("/metrics")?;
        let values = text.lines().filter(|line| line.starts_with(series));
        let values = values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A kept connection to a node.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Connection(BufReader::new(stream)))
    }

    /// The body of an answer, which has to be 200.
    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<String> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes())?;
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let from = head.len();
            ensure!(
                self.0.read_line(&mut head)? > 0,
                "the node closed a connection"
            );
            let line = head[from..].to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        ensure!(head.starts_with("HTTP/1.1 200"), "a node answered {head}");
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(String::from_utf8(body)?)
    }
}
