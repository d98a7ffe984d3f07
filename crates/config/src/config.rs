//! What the program gets: resolved, immutable, valid by construction; durations inside, units only in the text it came from.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hotshelf_hotkeys::Rules;
use hotshelf_model::{AccessToken, Namespace};
use serde::{Deserialize, Serialize};

use crate::raw::RawAttachment;
use crate::secret::{Secret, SecretUrl};

/// A whole configuration. Only [`Config::load`] and [`Config::from_raw`] make one, so every range and relation of the reference holds.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) node: NodeConfig,
    pub(crate) log: LogConfig,
    pub(crate) access_log: AccessLogConfig,
    pub(crate) http: HttpConfig,
    pub(crate) admin: AdminConfig,
    pub(crate) auth: AuthConfig,
    pub(crate) database: DatabaseConfig,
    pub(crate) l1: L1Config,
    pub(crate) l2: Option<L2Config>,
    pub(crate) l3: Option<L3Config>,
    pub(crate) origin: OriginConfig,
    pub(crate) coherence: CoherenceConfig,
    pub(crate) hot: HotConfig,
    pub(crate) warm: WarmConfig,
    pub(crate) bus: Option<NatsConfig>,
    pub(crate) namespaces: Vec<NamespaceConfig>,
    pub(crate) notes: Vec<String>,
}

impl Config {
    /// This process.
    pub fn node(&self) -> &NodeConfig {
        &self.node
    }

    /// The log.
    pub fn log(&self) -> &LogConfig {
        &self.log
    }

    /// The access log.
    pub fn access_log(&self) -> &AccessLogConfig {
        &self.access_log
    }

    /// The public listener.
    pub fn http(&self) -> &HttpConfig {
        &self.http
    }

    /// The admin listener.
    pub fn admin(&self) -> &AdminConfig {
        &self.admin
    }

    /// Who may do what.
    pub fn auth(&self) -> &AuthConfig {
        &self.auth
    }

    /// The database.
    pub fn database(&self) -> &DatabaseConfig {
        &self.database
    }

    /// The tier in memory.
    pub fn l1(&self) -> &L1Config {
        &self.l1
    }

    /// The shared tier, if there is one.
    pub fn l2(&self) -> Option<&L2Config> {
        self.l2.as_ref()
    }

    /// The tier on disk, if there is one.
    pub fn l3(&self) -> Option<&L3Config> {
        self.l3.as_ref()
    }

    /// The origin budget.
    pub fn origin(&self) -> &OriginConfig {
        &self.origin
    }

    /// Proofs of freshness.
    pub fn coherence(&self) -> &CoherenceConfig {
        &self.coherence
    }

    /// Hot keys.
    pub fn hot(&self) -> &HotConfig {
        &self.hot
    }

    /// Warm-ups.
    pub fn warm(&self) -> &WarmConfig {
        &self.warm
    }

    /// The bus between nodes, if there is one.
    pub fn bus(&self) -> Option<&NatsConfig> {
        self.bus.as_ref()
    }

    /// The namespaces, at least one, their names distinct.
    pub fn namespaces(&self) -> &[NamespaceConfig] {
        &self.namespaces
    }

    /// The largest document of any namespace, in bytes: what the tiers must be able to hold.
    pub fn document_bytes_max(&self) -> usize {
        let limits = self
            .namespaces
            .iter()
            .map(|one| one.namespace.document_bytes_max);
        limits.max().unwrap_or_default()
    }

    /// What is allowed and yet worth a line in the log.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// `[node]`
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeConfig {
    pub name: Option<String>,
    pub data_dir: PathBuf,
    pub drain_delay: Duration,
    pub drain_timeout: Duration,
}

/// `[log]`
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogConfig {
    pub filter: String,
    pub format: LogFormat,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    pub(crate) const WORDS: &[&str] = &["text", "json"];
}

/// `[access_log]`
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AccessLogConfig {
    pub mode: AccessLogMode,
    /// At least 2.
    pub sample_one_in: u32,
    pub format: AccessLogFormat,
    pub folder: PathBuf,
    pub file_bytes_max: u64,
    pub file_age_max: Duration,
    /// At least `file_bytes_max`.
    pub bytes_max: u64,
    pub flush_interval: Duration,
    pub ring_records_max: usize,
}

/// Which reads are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessLogMode {
    /// None.
    Off,
    /// One in so many, chosen at random.
    Sampled,
    /// Every one.
    Full,
}

impl AccessLogMode {
    pub(crate) const WORDS: &[&str] = &["off", "sampled", "full"];
}

/// How the access log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessLogFormat {
    /// Compressed blocks.
    Binary,
    /// One JSON object per line.
    Json,
}

impl AccessLogFormat {
    pub(crate) const WORDS: &[&str] = &["binary", "json"];
}

/// `[http]`
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpConfig {
    pub listen: SocketAddr,
    pub unix_socket: Option<PathBuf>,
    /// `None`: one for each processor.
    pub workers: Option<usize>,
    pub connections_max: usize,
    pub header_timeout: Duration,
    pub idle_timeout: Duration,
    pub streams_max: u32,
    pub body_timeout: Duration,
    pub write_timeout: Duration,
    /// How long answering may take once a request has arrived.
    pub request_timeout: Duration,
    pub url_bytes_max: usize,
    pub header_bytes_max: usize,
    pub body_bytes_max: usize,
    pub batch_ids_max: usize,
    pub batch_bytes_max: usize,
    pub batches_bytes_max: usize,
    pub writes_max: usize,
    pub subscribers_max: usize,
}

/// `[admin]`
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AdminConfig {
    /// A loopback address, or there are tokens.
    pub listen: SocketAddr,
    /// Where others reach it: a scheme and a host, perhaps with a port.
    pub advertise: Option<String>,
    pub changes_max: usize,
}

/// `[auth]`
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AuthConfig {
    /// Each with another name.
    pub tokens: Vec<AccessToken>,
}

/// `[database]`
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DatabaseConfig {
    /// `sqlite:PATH`, `postgres://...` or `postgresql://...`.
    pub url: SecretUrl,
    pub connections_max: u32,
    pub write_connections_max: u32,
    pub statement_timeout: Duration,
    pub acquire_timeout: Duration,
    pub lock_timeout: Duration,
    pub statement_cache_max: usize,
    pub log_retention: Duration,
    pub log_rows_max: u64,
}

impl DatabaseConfig {
    /// Whether it is SQLite, and not PostgreSQL.
    pub fn is_sqlite(&self) -> bool {
        self.url.expose().starts_with("sqlite:")
    }
}

/// `[l1]`
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct L1Config {
    pub bytes_max: usize,
    pub absent_bytes_max: usize,
}

/// `[l2]`
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct L2Config {
    /// At least one; exactly one unless `cluster`.
    pub urls: Vec<SecretUrl>,
    pub cluster: bool,
    /// 1 to 32 bytes without braces and blanks.
    pub prefix: String,
    pub connections: usize,
    pub deadline: Duration,
    pub put_deadline: Duration,
    pub hedge_after: Duration,
    pub connect_timeout: Duration,
    pub ttl: Duration,
    pub ttl_absent: Duration,
    pub compress_bytes_min: usize,
    pub value_bytes_max: usize,
    pub ops_max: usize,
    pub lease_ttl: Duration,
    pub breaker: BreakerConfig,
}

/// `[l3]`
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct L3Config {
    pub path: PathBuf,
    pub bytes_max: u64,
    pub memtable_bytes: usize,
    pub block_cache_bytes: usize,
    pub threads: usize,
    pub queue_max: usize,
    pub deadline: Duration,
    pub put_deadline: Duration,
    pub ttl: Duration,
    pub direct_io: bool,
    pub admission: Admission,
    pub admission_window: Duration,
    pub compress_bytes_min: usize,
    pub write_bytes_per_second_max: u32,
    pub free_bytes_min: u64,
    pub breaker: BreakerConfig,
}

/// When a tier is left alone, and for how long.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BreakerConfig {
    pub failures_max: u16,
    pub open_min: Duration,
    /// At least `open_min`.
    pub open_max: Duration,
}

/// Which entries are put into L3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Admission {
    /// Those that are filled for the second time within a window, so that a crawl does not wear the disk.
    SecondHit,
    /// All.
    Always,
}

impl Admission {
    pub(crate) const WORDS: &[&str] = &["second_hit", "always"];
}

/// `[origin]`
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OriginConfig {
    pub concurrency_min: usize,
    pub concurrency_max: usize,
    pub queue_max: usize,
    pub fill_timeout: Duration,
    pub stale_after: Duration,
    pub flights_max: usize,
    pub refreshes_max: usize,
    pub batch_documents_max: usize,
    pub retry_after: Duration,
    pub refresh_share_percent: u8,
    pub warm_share_percent: u8,
}

/// `[coherence]`
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CoherenceConfig {
    pub poll_interval: Duration,
    pub sequence_interval: Duration,
    pub poll_timeout: Duration,
    pub staleness_bound: Duration,
    pub catch_up_timeout: Duration,
    pub floors_max: usize,
    pub changes_max: usize,
}

/// `[warm]`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmConfig {
    pub ids_max: usize,
    pub keys_per_second_max: u32,
}

/// `[hot]`
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HotConfig {
    pub enabled: bool,
    /// Those of the file; what is set later over the API takes their place.
    pub rules: Rules,
    pub keys_max: usize,
    pub l1_share_percent: u8,
    pub lead: Duration,
    pub frame_bytes_max: usize,
}

/// What the bus between nodes runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BusKind {
    /// There is none.
    None,
    /// NATS with JetStream.
    Nats,
}

impl BusKind {
    pub(crate) const WORDS: &[&str] = &["none", "nats"];
}

/// `[bus]` of kind `nats`
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NatsConfig {
    /// At least one.
    pub urls: Vec<SecretUrl>,
    /// A subject's first words: letters, digits, `-`, `_`, and dots between them.
    pub prefix: String,
    pub credentials_file: Option<PathBuf>,
    pub tls: bool,
    pub tls_ca_file: Option<PathBuf>,
    /// Certificate and key.
    pub tls_client: Option<(PathBuf, PathBuf)>,
    /// Letters, digits, `-` and `_`.
    pub stream: String,
    pub stream_age_max: Duration,
    pub stream_bytes_max: u64,
    pub stream_replicas: usize,
    pub queue_bytes_max: usize,
    pub inbox_bytes_max: usize,
    pub connect_timeout: Duration,
    pub ping_interval: Duration,
    pub reconnect_min: Duration,
    /// At least `reconnect_min`.
    pub reconnect_max: Duration,
}

/// `[[namespace]]`
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NamespaceConfig {
    /// What the engine knows of it.
    pub namespace: Namespace,
    /// What the origin knows of it.
    pub source: NamespaceSource,
}

/// Where a namespace's documents come from.
#[derive(Clone, Debug)]
pub enum NamespaceSource {
    /// hotshelf's own tables.
    Catalogue,
    /// A query over a shop's own tables.
    Sql {
        /// The query.
        sql: String,
        /// Whether every change has a record in the change log.
        tracked: bool,
        /// The tables that feed it; none unless `tracked`.
        attachments: Vec<RawAttachment>,
    },
    /// A service of the shop.
    Http(Box<HttpSource>),
}

/// An HTTP service that gives documents.
///
/// Invariant: at least one of `version_header` and `version_pointer`; with `batch_url`, the pointer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpSource {
    /// Holds `{id}` and every dimension as a placeholder; may hold `{as_of}`.
    pub url: SecretUrl,
    /// The same with `{ids}`.
    pub batch_url: Option<SecretUrl>,
    pub version_header: Option<String>,
    pub version_pointer: Option<String>,
    pub id_pointer: Option<String>,
    pub batch_ids_max: usize,
    pub valid_until_header: Option<String>,
    pub valid_until_pointer: Option<String>,
    pub absent_pointer: Option<String>,
    /// Names in lower case.
    pub headers: Vec<(String, Secret)>,
    pub timeout: Duration,
    pub requests_max: usize,
}
