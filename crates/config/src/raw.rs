//! What a person may write: every key of hotshelf, declared once with its type, default, range and doc.
//!
//! `section!` makes three things of a declaration: the field of the raw type (all fields are optional, unknown ones are refused), the
//! getter that fills in the default, and the row of [`crate::key::sections`] that the reference, the checks and `config show` read.

#[macro_use]
mod section;

mod parts;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{AccessLogFormat, AccessLogMode, BusKind, LogFormat};
use crate::key::{Key, Section, ValueKind, toml_text};
use crate::secret::{Secret, SecretUrl};
use ValueKind::{
    Address, Attachments, Bool, Choice, Count, Headers, Path, Text, Tokens, Url, Urls, Variants,
};
pub use parts::{RawAttachment, RawDimension, RawHotRule, RawToken};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const GIB: usize = 1024 * MIB;
/// The greatest size that any key takes: more than any machine's memory or disk, less than what arithmetic on sizes can bear.
const SIZE_MAX: u64 = 1 << 46;
const DAY_S: u64 = 24 * 3600;

const DATABASE_SCHEMES: &[&str] = &["sqlite:", "postgres://", "postgresql://"];
const REDIS_SCHEMES: &[&str] = &["redis://", "rediss://", "redis+unix://", "unix://"];
const NATS_SCHEMES: &[&str] = &["nats://", "tls://"];
const HTTP_SCHEMES: &[&str] = &["http://", "https://"];

const fn count(min: u64, max: u64) -> ValueKind {
    Count { min, max }
}

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// `[node]`
    pub node: RawNode,
    /// `[log]`
    pub log: RawLog,
    /// `[access_log]`
    pub access_log: RawAccessLog,
    /// `[http]`
    pub http: RawHttp,
    /// `[admin]`
    pub admin: RawAdmin,
    /// `[auth]`
    pub auth: RawAuth,
    /// `[database]`
    pub database: RawDatabase,
    /// `[l1]`
    pub l1: RawL1,
    /// `[l2]`
    pub l2: RawL2,
    /// `[l3]`
    pub l3: RawL3,
    /// `[origin]`
    pub origin: RawOrigin,
    /// `[coherence]`
    pub coherence: RawCoherence,
    /// `[hot]`
    pub hot: RawHot,
    /// `[warm]`
    pub warm: RawWarm,
    /// `[bus]`
    pub bus: RawBus,
    /// `[[namespace]]`, repeated; without any there is one, `products`, of kind `catalogue`.
    pub namespace: Vec<RawNamespace>,
}

/// Every section, in the order of the reference.
pub(crate) fn sections() -> Vec<Section> {
    vec![
        RawNode::section(),
        RawLog::section(),
        RawAccessLog::section(),
        RawHttp::section(),
        RawAdmin::section(),
        RawAuth::section(),
        RawDatabase::section(),
        RawL1::section(),
        RawL2::section(),
        RawL3::section(),
        RawOrigin::section(),
        RawCoherence::section(),
        RawHot::section(),
        RawWarm::section(),
        RawBus::section(),
        RawNamespace::section(),
    ]
}

section! {
    /// This process.
    RawNode "node"
    /// What this node is called: in its log when it starts, in the list of nodes, at NATS, and, as a number, in the entries that it fills.
    /// No two nodes of a cluster have the same name.
    name: String, Text, unset "the machine's host name and the port of `http.listen`", example "\"shop-1\"";
    /// The folder of everything that this node keeps on disk. Relative paths start at the working directory.
    data_dir: PathBuf = "./data".into(), Path;
    /// How long the node goes on answering after SIGTERM or Ctrl-C while `/readyz` says that it drains, so that load balancers look elsewhere
    /// before it takes no more connections.
    drain_delay_s: u64 = 0, count(0, 300);
    /// How long requests that have begun may take to end after that.
    drain_timeout_s: u64 = 10, count(1, 600);
}

section! {
    /// The log on standard error.
    RawLog "log"
    /// Which events are logged, as a `tracing` filter such as `warn,hotshelf_engine=debug`.
    filter: String = "info".into(), Text;
    /// Text for people, or one JSON object per line.
    format: LogFormat = LogFormat::Text, Choice(LogFormat::WORDS);
}

section! {
    /// The access log: a record of each read that this node answers. `hotshelf log cat` prints its files.
    RawAccessLog "access_log"
    /// Which reads are logged: none, one in so many, or all.
    mode: AccessLogMode = AccessLogMode::Off, Choice(AccessLogMode::WORDS);
    /// For `sampled`: one read in so many is logged, chosen at random; its record says so.
    sample_one_in: u32 = 100, count(2, 1_000_000);
    /// Compressed blocks, or one JSON object per line.
    format: AccessLogFormat = AccessLogFormat::Binary, Choice(AccessLogFormat::WORDS);
    /// The folder of its files. No other node may write there.
    folder: PathBuf, Path, unset "`<node.data_dir>/access-log`", example "\"/var/log/hotshelf/access\"";
    /// A file is followed by the next one before it is larger than this.
    file_bytes_max: u64 = 64 * MIB as u64, count(MIB as u64, SIZE_MAX);
    /// A file is followed by the next one when it is older than this.
    file_age_max_s: u64 = 3600, count(1, 30 * DAY_S);
    /// The size of all files together; the oldest go first.
    bytes_max: u64 = GIB as u64, count(MIB as u64, SIZE_MAX);
    /// The longest time that a record waits for others before they are written.
    flush_interval_ms: u64 = 1000, count(10, 60_000);
    /// Records that each thread has room for until they are taken from it, a hundred times a second; further ones are dropped and counted.
    /// Most take 64 bytes; one with a request's id or a long key takes the room of two or more.
    ring_records_max: usize = 8192, count(64, 1 << 20);
}

section! {
    /// The public listener: reads, writes and their limits.
    RawHttp "http"
    /// Where the API listens. Port 0 takes a free one.
    listen: SocketAddr = loopback(7400), Address;
    /// A Unix socket on which the API listens as well.
    unix_socket: PathBuf, Path, unset "no Unix socket", example "\"/run/hotshelf/api.sock\"";
    /// Threads that serve connections. Each connection stays on one of them.
    workers: usize, count(1, 1024), unset "one for each processor", example "2";
    /// Most connections held open at once; further ones are closed as soon as they come.
    connections_max: usize = 10_000, count(1, 1_000_000);
    /// How long a client may take to send a request's headers.
    header_timeout_s: u64 = 5, count(1, 300);
    /// How long a connection may stay open without a request.
    idle_timeout_s: u64 = 75, count(1, 3600);
    /// Requests that one HTTP/2 connection may have open at once.
    streams_max: u32 = 128, count(1, 65_536);
    /// How long a client may take to send a request's body.
    body_timeout_s: u64 = 10, count(1, 600);
    /// How long a client may leave an answer unread.
    write_timeout_s: u64 = 60, count(1, 600);
    /// How long answering may take once a request has arrived.
    request_timeout_ms: u64 = 5000, count(10, 600_000);
    /// The longest path with its parameters.
    url_bytes_max: usize = 8 * KIB, count(256, 64 * KIB as u64);
    /// The largest request line and headers together. The HTTP implementation needs at least 8192.
    header_bytes_max: usize = 16 * KIB, count(8 * KIB as u64, MIB as u64);
    /// The largest body of a request.
    body_bytes_max: usize = 256 * KIB, count(KIB as u64, 16 * MIB as u64);
    /// Most ids in one batch.
    batch_ids_max: usize = 200, count(1, 200);
    /// The largest answer to a batch; ids beyond it are answered `unavailable`.
    batch_bytes_max: usize = 16 * MIB, count(64 * KIB as u64, 256 * MIB as u64);
    /// Room for all answers to batches that their clients have not taken yet, at least `batch_bytes_max`; a batch for which there is none is
    /// answered 503.
    batches_bytes_max: usize = 256 * MIB, count(64 * KIB as u64, SIZE_MAX);
    /// Most writes under way at once; further ones are answered 503. Each takes one of `database.write_connections_max` connections.
    writes_max: usize = 64, count(1, 10_000);
    /// Most clients that follow `/v1/changes` or `/v1/hot` at once; further ones are answered 503.
    subscribers_max: usize = 1000, count(1, 100_000);
}

section! {
    /// The admin listener: health, metrics, operations.
    RawAdmin "admin"
    /// Where it listens. A loopback address, unless `auth.tokens` has tokens: without them, whoever reaches this listener is an operator.
    listen: SocketAddr = loopback(7401), Address;
    /// Where operators' commands and the other nodes' lists find this listener: a URL without a path.
    advertise: SecretUrl, Url(HTTP_SCHEMES), unset "the address of `admin.listen`, or the machine's name if that is every address", example "\"http://10.0.0.5:7401\"";
    /// Most changes in one request to `/admin/v1/changes`.
    changes_max: usize = 10_000, count(1, 100_000);
}

section! {
    /// Who may do what.
    RawAuth "auth"
    /// Bearer tokens with their roles: `viewer` (metrics, and what the nodes hold), `writer` (also writes products and posts changes), `operator` (everything). Each
    /// is given by the SHA-256 hash of the token, in hexadecimal, or by a file that holds the token itself. Without any, the admin
    /// listener is open and must be on loopback, and writes are open on an embedded node (SQLite) whose listener is on loopback.
    tokens: Vec<RawToken> = Vec::new(), Tokens;
}

section! {
    /// The database: the origin of documents, and the change log.
    RawDatabase "database"
    /// Where it is: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME`.
    url: SecretUrl, Url(DATABASE_SCHEMES), unset "`sqlite:<node.data_dir>/hotshelf.sqlite`", example "\"postgres://hotshelf@127.0.0.1:5432/shop\"";
    /// Most connections for documents; writes and the change log have their own.
    connections_max: u32 = 16, count(1, 1000);
    /// Most connections for writes over HTTP; further ones of `http.writes_max` wait for one. SQLite has one writer.
    write_connections_max: u32 = 8, count(1, 1000);
    /// How long one statement may run.
    statement_timeout_ms: u64 = 2000, count(10, 600_000);
    /// How long to wait for a connection.
    acquire_timeout_ms: u64 = 1000, count(10, 60_000);
    /// How long `hotshelf migrate` waits for the lock of a table that it attaches or detaches; writers of the table wait behind it.
    lock_timeout_ms: u64 = 2000, count(1, 600_000);
    /// Most prepared statements kept on one connection. 0 behind a pooler that gives each transaction another connection;
    /// see `docs/operations.md`, Behind PgBouncer.
    statement_cache_max: usize = 128, count(0, 10_000);
    /// How far back the change log reaches, for nodes that were away. Older rows are removed in small steps.
    log_retention_s: u64 = 21_600, count(3600, 604_800);
    /// Most rows of the change log, whatever their age.
    log_rows_max: u64 = 5_000_000, count(1000, 1_000_000_000);
}

// Here, because they use the macro.
mod hot;
mod tiers;

pub use hot::RawHot;
pub use tiers::{RawL1, RawL2, RawL3};

section! {
    /// Warm-ups. What they may take of the origin's budget is `origin.warm_share_percent`.
    RawWarm "warm"
    /// Most ids of one warm-up.
    ids_max: usize = 2_000_000, count(1, 50_000_000);
    /// Most keys that a warm-up fills in a second on this node, even while nobody else needs the room.
    keys_per_second_max: u32 = 50_000, count(1, 10_000_000);
}

section! {
    /// The origin budget: how hard this node may press on where documents come from.
    RawOrigin "origin"
    /// Fetches at once that are always allowed, however slow the origin is.
    concurrency_min: usize = 2, count(1, 10_000);
    /// Most fetches at once; the limit moves between the two with the origin's latency. The database needs as many connections.
    concurrency_max: usize = 16, count(1, 10_000);
    /// Most fills waiting for the budget; for one more, the last of the least urgent is shed.
    queue_max: usize = 4096, count(1, 1_000_000);
    /// How long a fill may take, its wait for the budget included.
    fill_timeout_ms: u64 = 2000, count(10, 600_000);
    /// How long a read that could be answered stale waits for a fill before it is.
    stale_after_ms: u64 = 500, count(1, 600_000);
    /// Most fills under way, one for each key; further ones are shed.
    flights_max: usize = 65_536, count(1, 10_000_000);
    /// Most refreshes under way in the background; further ones wait for the next read of their key.
    refreshes_max: usize = 256, count(1, 1_000_000);
    /// Most documents in one fetch.
    batch_documents_max: usize = 200, count(1, 512);
    /// How long a key whose fetch failed is left alone before the origin is asked for it again; a shed request is told to wait as
    /// long.
    retry_after_ms: u64 = 1000, count(1, 3_600_000);
    /// The share of the budget that refreshes may take.
    refresh_share_percent: u8 = 50, count(1, 100);
    /// The share of the budget that warming and callers in the background may take together.
    warm_share_percent: u8 = 25, count(1, 100);
}

section! {
    /// How this node knows that its copies are current.
    RawCoherence "coherence"
    /// How often the change log's head is read: by every node, or over a bus by the node that leads, for all.
    poll_interval_ms: u64 = 250, count(10, 60_000);
    /// How often the node that leads the sequencing gives changes their positions in the log. PostgreSQL only: at 1 ms that takes some 9 % of one of its
    /// processors, at 10 ms 4 %.
    sequence_interval_ms: u64 = 1, count(1, 60_000);
    /// How long one read of the head may take.
    poll_timeout_ms: u64 = 1000, count(10, 60_000);
    /// How long a copy is served as fresh without a new proof.
    staleness_bound_ms: u64 = 2000, count(100, 600_000);
    /// How long a starting node may take to catch up before it calls itself ready all the same.
    catch_up_timeout_s: u64 = 30, count(1, 3600);
    /// Keys whose last change is remembered, so that copies in L2 and L3 need no check of their version. One costs about 100 bytes; with
    /// `l3.path`, 32 more in the checkpoint that lies beside it.
    floors_max: usize = 1_000_000, count(1024, 33_000_000);
    /// Records of the change log that are kept for those who follow the changes from outside.
    changes_max: usize = 65_536, count(1, 10_000_000);
}

section! {
    /// The bus between nodes. It carries copies of the change log, so that nodes know sooner; without it they read the database.
    RawBus "bus"
    /// What it runs on. NATS should not share a machine with Redis, so that one outage never takes both.
    kind: BusKind = BusKind::None, Choice(BusKind::WORDS);
    /// Where NATS is: one URL, or several servers of a cluster. User and password of the first that has them apply to all.
    urls: Vec<SecretUrl> = Vec::new(), Urls(NATS_SCHEMES);
    /// What every subject begins with. Shops that share a NATS choose different ones.
    prefix: String = "hotshelf".into(), Text;
    /// A file with a JWT and its key, as `nsc` writes it; read at each connect.
    credentials_file: PathBuf, Path, unset "user and password of the URL, if any", example "\"/etc/hotshelf/node.creds\"";
    /// Whether a server without TLS is refused. `tls://` in a URL says the same.
    tls: bool = false, Bool;
    /// A file of certificates (PEM) that vouch for the server.
    tls_ca_file: PathBuf, Path, unset "the system's", example "\"/etc/hotshelf/ca.pem\"";
    /// This node's certificate (PEM).
    tls_cert_file: PathBuf, Path, unset "none", example "\"/etc/hotshelf/node.pem\"";
    /// Its key (PEM).
    tls_key_file: PathBuf, Path, unset "none", example "\"/etc/hotshelf/node.key\"";
    /// The JetStream stream that keeps the change log's copies for nodes that are away. It is made when it is missing, and left as it is
    /// when it is there. Shops that share a NATS choose different ones.
    stream: String = "hotshelf".into(), Text;
    /// How long a new stream keeps them.
    stream_age_max_s: u64 = 3600, count(1, 30 * DAY_S);
    /// How much a new stream keeps; the oldest go first.
    stream_bytes_max: u64 = 256 * MIB as u64, count(MIB as u64, SIZE_MAX);
    /// How many servers of a cluster keep a new stream.
    stream_replicas: usize = 1, count(1, 5);
    /// The most that waits to be sent; what comes beyond is dropped, and read from the database by others.
    queue_bytes_max: usize = 8 * MIB, count(256 * KIB as u64, GIB as u64);
    /// The most that waits for this node to take it; what comes beyond is dropped, and read from the database.
    inbox_bytes_max: usize = 8 * MIB, count(256 * KIB as u64, GIB as u64);
    /// How long connecting may take.
    connect_timeout_ms: u64 = 1000, count(1, 60_000);
    /// How often a silent connection is checked. After two checks without an answer it is given up.
    ping_interval_ms: u64 = 2000, count(10, 60_000);
    /// The wait before connecting again; doubled each time it fails.
    reconnect_min_ms: u64 = 50, count(1, 60_000);
    /// The wait at most.
    reconnect_max_ms: u64 = 2000, count(1, 60_000);
}

section! {
    /// A kind of document: where it comes from, its variants, how long its copies live. Repeated; without any, there is one
    /// namespace `products` of kind `catalogue`.
    RawNamespace "namespace"
    /// The first part of every key and of the path `/v1/NAME/ID`: 1 to 32 of `a-z 0-9 _`, a letter first.
    name: String, Text, unset "required", example "\"products\"";
    /// Where its documents come from: hotshelf's own tables, an SQL query of yours, or an HTTP service of yours.
    kind: String, Choice(KINDS), unset "required", example "\"catalogue\"";
    /// Kind `sql`: one SELECT that gives `id`, `document` and, if need be, `valid_until` for the ids in `:ids`, as of `:as_of`; each
    /// dimension is a placeholder too.
    sql: String, Text, unset "`sql_file`", example "\"SELECT id, document FROM cards WHERE id = ANY(:ids)\"";
    /// Kind `sql`: a file that holds the query. A relative path starts at the configuration file's folder.
    sql_file: PathBuf, Path, unset "`sql`", example "\"cards.sql\"";
    /// Kind `sql`: whether every change of its documents is recorded in the change log. If not, only the TTLs bound staleness.
    tracked: bool = false, Bool;
    /// Kind `sql`: the tables that feed its documents, each with `keys`, SQL from a row to ids (an expression over its columns, or a query over
    /// `:rows`, the changed rows as they were and as they are), and the `columns` whose changes matter; list those that `keys` reads
    /// too. `hotshelf migrate` attaches them; with `tracked = true` their changes are then all that invalidates.
    attach: Vec<RawAttachment>, Attachments, unset "no table is attached", example "[{ table = \"shop.items\", keys = \"item_no\", columns = [\"name\", \"price\"] }]";
    /// Kind `http`: where one document is. `{id}`, every dimension such as `{locale}` and, if it is there, `{as_of}` are filled in.
    url: SecretUrl, Url(HTTP_SCHEMES), unset "required for kind `http`", example "\"http://127.0.0.1:8080/cards/{id}?lang={locale}\"";
    /// Kind `http`: where many documents are. `{ids}` is filled in with ids separated by commas. The answer is a JSON object from id to
    /// document, or an array of documents.
    batch_url: SecretUrl, Url(HTTP_SCHEMES), unset "documents are fetched one by one", example "\"http://127.0.0.1:8080/cards?ids={ids}&lang={locale}\"";
    /// Kind `http`: the header of an answer that holds the document's version, a number that grows with each change.
    version_header: String, Text, unset "`version_pointer`", example "\"X-Version\"";
    /// Kind `http`: where the version is in the document, as a JSON pointer. A batch needs it.
    version_pointer: String, Text, unset "`version_header`", example "\"/version\"";
    /// Kind `http`: where the id is in the documents of a batch's array, as a JSON pointer.
    id_pointer: String, Text, unset "a batch's answer is an object", example "\"/id\"";
    /// Kind `http`: most ids in one batch.
    batch_ids_max: usize = 100, count(1, 1000);
    /// Kind `http`: the header of an answer that says when the document changes by time alone, in milliseconds since 1970.
    valid_until_header: String, Text, unset "`valid_until_pointer`, or never", example "\"X-Valid-Until\"";
    /// Kind `http`: where the document says the same, as a JSON pointer.
    valid_until_pointer: String, Text, unset "never", example "\"/valid_until\"";
    /// Where a document says `true` when its product is absent (JSON pointer), so that a batch can tell a deletion's version.
    absent_pointer: String, Text, unset "an absent product has no document", example "\"/deleted\"";
    /// Kind `http`: headers sent with each request. Their values are secret.
    headers: BTreeMap<String, Secret>, Headers, unset "none", example "{ authorization = \"Bearer TOKEN\" }";
    /// Kind `http`: how long one request may take.
    timeout_ms: u64 = 1500, count(10, 600_000);
    /// Kind `http`: most requests under way for one fetch.
    requests_max: usize = 8, count(1, 256);
    /// Age after which a read starts a refresh in the background.
    ttl_soft_s: u64 = 300, count(1, 30 * DAY_S);
    /// Age after which a copy is no longer fresh.
    ttl_hard_s: u64 = 3600, count(1, 30 * DAY_S);
    /// The same for an absent product.
    ttl_absent_s: u64 = 60, count(1, 30 * DAY_S);
    /// How stale a labelled answer may be while the origin cannot answer.
    stale_cap_s: u64 = 3600, count(0, DAY_S);
    /// Each copy's TTLs are shortened by a random share of up to this much, so that copies filled together do not expire together.
    jitter_percent: u8 = 10, count(0, 50);
    /// The largest document that is accepted from the origin.
    document_bytes_max: usize = MIB, count(KIB as u64, 16 * MIB as u64);
    /// The dimensions of its documents with their allowed values; the first value is the default.
    variants: Vec<RawDimension>, Variants, unset "no dimensions", example "[{ name = \"locale\", values = [\"en\", \"de\"] }]";
}

/// The kinds of a namespace.
pub(crate) const KINDS: &[&str] = &["catalogue", "sql", "http"];

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
