//! Configuration to settings: what an operator wrote, as each part of the node wants it.

use std::num::NonZero;
use std::time::Duration;

use hotshelf_bus_nats::{NatsSettings, NatsTls};
use hotshelf_config::{BreakerConfig, Config, HotConfig, L2Config, NatsConfig};
use hotshelf_engine::{BudgetSettings, EngineSettings, HotSettings};
use hotshelf_http_api::{Access, HttpSettings, ListenAddress};
use hotshelf_model::NodeFacts;
use hotshelf_model::breaker::BreakerSettings;
use hotshelf_origin_sql::{Retention, SqlSettings};
use hotshelf_tier_redis::RedisSettings;
use rustix::system::uname;
use xxhash_rust::xxh3::xxh3_64;

/// A request may wait for its body and then for the read; what is left is for sending.
const REQUEST_SLACK: Duration = Duration::from_secs(5);

pub(crate) fn engine(config: &Config, node: &NodeName) -> EngineSettings {
    let (origin, coherence) = (config.origin(), config.coherence());
    let defaults = EngineSettings::default();
    EngineSettings {
        l1_bytes_max: config.l1().bytes_max as u64,
        absent_bytes_max: config.l1().absent_bytes_max as u64,
        poll_interval: coherence.poll_interval,
        sequence_interval: coherence.sequence_interval,
        poll_timeout: coherence.poll_timeout,
        staleness_bound: coherence.staleness_bound,
        catch_up_timeout: coherence.catch_up_timeout,
        floors_max: coherence.floors_max,
        changes_max: coherence.changes_max,
        fill_timeout: origin.fill_timeout,
        stale_after: origin.stale_after,
        retry_after: origin.retry_after,
        flights_max: origin.flights_max,
        refreshes_max: origin.refreshes_max,
        hedge_after: config
            .l2()
            .map_or(defaults.hedge_after, |l2| l2.hedge_after),
        budget: BudgetSettings {
            concurrency_min: origin.concurrency_min,
            concurrency_max: origin.concurrency_max,
            queue_max: origin.queue_max,
            refresh_share_percent: origin.refresh_share_percent,
            warm_share_percent: origin.warm_share_percent,
            documents_per_fetch_max: origin.batch_documents_max,
        },
        hot: hot_set(config.hot()),
        node: node.number,
        ..defaults
    }
}

fn hot_set(hot: &HotConfig) -> HotSettings {
    HotSettings {
        keys_max: hot.keys_max,
        l1_share_percent: hot.l1_share_percent,
        lead: hot.lead,
    }
}

/// What a node is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeName {
    pub(crate) name: String,
    /// A short number for what is written often: entries, frames and messages.
    pub(crate) number: u32,
}

impl NodeName {
    /// As configured, or after the machine and the port that its public listener has there: a machine may have several nodes.
    pub(crate) fn of(config: &Config, public: &ListenAddress) -> Self {
        let name = config.node().name.clone();
        let name = name.unwrap_or_else(|| match public {
            ListenAddress::Tcp(address) => format!("{}:{}", machine_name(), address.port()),
            ListenAddress::Unix(_) => machine_name(),
        });
        let number = u32::try_from(xxh3_64(name.as_bytes()) >> 32).unwrap_or_default();
        NodeName { name, number }
    }
}

fn machine_name() -> String {
    uname().nodename().to_string_lossy().into_owned()
}

/// What the node says of itself to others.
pub(crate) fn facts(config: &Config, node: NodeName, admin: &ListenAddress) -> NodeFacts {
    let advertise = config.admin().advertise.clone();
    NodeFacts {
        name: node.name,
        number: node.number,
        admin: advertise.unwrap_or_else(|| derived_url(admin)),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Where others are likely to reach a listener: a machine with many addresses has one name.
fn derived_url(listener: &ListenAddress) -> String {
    match listener {
        ListenAddress::Tcp(address) if address.ip().is_unspecified() => {
            format!("http://{}:{}", machine_name(), address.port())
        }
        address => format!("http://{address}"),
    }
}

pub(crate) fn http(config: &Config) -> HttpSettings {
    let http = config.http();
    let defaults = HttpSettings::default();
    HttpSettings {
        connections_max: http.connections_max,
        url_bytes_max: http.url_bytes_max,
        header_bytes_max: http.header_bytes_max,
        body_bytes_max: http.body_bytes_max,
        batch_ids_max: http.batch_ids_max,
        batch_bytes_max: http.batch_bytes_max,
        batches_bytes_max: http.batches_bytes_max,
        writes_max: http.writes_max,
        subscribers_max: http.subscribers_max,
        changes_max: config.admin().changes_max,
        streams_max: http.streams_max,
        request_timeout: http.request_timeout,
        body_timeout: http.body_timeout,
        write_timeout: http.write_timeout,
        header_timeout: http.header_timeout,
        unanswered_timeout: http.request_timeout + http.body_timeout + REQUEST_SLACK,
        idle_timeout: http.idle_timeout,
        drain_timeout: config.node().drain_timeout,
        ..defaults
    }
}

/// Threads that serve connections: as many as configured, or one for each processor that this process may use.
pub(crate) fn workers(config: &Config) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, NonZero::get);
    config.http().workers.unwrap_or_else(processors)
}

/// Who may do what: without tokens an embedded node on loopback is open, and so is an admin listener on loopback.
pub(crate) fn access(config: &Config) -> Access {
    let tokens = config.auth().tokens.clone();
    let (public, admin) = (config.http().listen.ip(), config.admin().listen.ip());
    let embedded = config.database().is_sqlite() && public.is_loopback();
    Access {
        writes_open: tokens.is_empty() && embedded,
        admin_open: tokens.is_empty() && admin.is_loopback(),
        metrics_open: admin.is_loopback(),
        tokens,
    }
}

pub(crate) fn sql(config: &Config) -> SqlSettings {
    let database = config.database();
    SqlSettings {
        url: database.url.expose().to_owned(),
        connections_max: database.connections_max,
        write_connections_max: database.write_connections_max,
        acquire_timeout: database.acquire_timeout,
        statement_timeout: database.statement_timeout,
        statement_cache_max: database.statement_cache_max,
        retention: Retention {
            age: database.log_retention,
            rows_max: database.log_rows_max,
        },
    }
}

pub(crate) fn redis(config: &Config, l2: &L2Config) -> RedisSettings {
    let defaults = RedisSettings::default();
    RedisSettings {
        urls: l2.urls.iter().map(|url| url.expose().to_owned()).collect(),
        cluster: l2.cluster,
        connections: l2.connections,
        deadline: l2.deadline,
        put_deadline: l2.put_deadline,
        ops_max: l2.ops_max,
        value_bytes_max: l2.value_bytes_max,
        document_bytes_max: config.document_bytes_max(),
        compress_bytes_min: l2.compress_bytes_min,
        ttl_present: l2.ttl,
        ttl_absent: l2.ttl_absent,
        prefix: l2.prefix.clone(),
        connect_timeout: l2.connect_timeout,
        lease_ttl: l2.lease_ttl,
        breaker: breaker(l2.breaker),
        ..defaults
    }
}

#[cfg(feature = "rocksdb")]
pub(crate) fn rocks(
    config: &Config,
    l3: &hotshelf_config::L3Config,
) -> hotshelf_tier_rocksdb::RocksSettings {
    use hotshelf_tier_rocksdb::{PutAdmission, RocksSettings};
    let defaults = RocksSettings::default();
    RocksSettings {
        folder: l3.path.clone(),
        bytes_max: l3.bytes_max,
        ttl: l3.ttl,
        memtable_bytes: l3.memtable_bytes,
        block_cache_bytes: l3.block_cache_bytes,
        direct_io: l3.direct_io,
        document_bytes_max: config.document_bytes_max(),
        threads: l3.threads,
        queue_max: l3.queue_max,
        deadline: l3.deadline,
        put_deadline: l3.put_deadline,
        admission_window: l3.admission_window,
        compress_bytes_min: l3.compress_bytes_min,
        write_bytes_per_second_max: l3.write_bytes_per_second_max,
        admission: match l3.admission {
            hotshelf_config::Admission::SecondHit => PutAdmission::SecondHit,
            hotshelf_config::Admission::Always => PutAdmission::Always,
        },
        free_bytes_min: l3.free_bytes_min,
        breaker: breaker(l3.breaker),
        ..defaults
    }
}

pub(crate) fn nats(bus: &NatsConfig, node: &NodeName) -> NatsSettings {
    let defaults = NatsSettings::default();
    NatsSettings {
        urls: bus.urls.iter().map(|url| url.expose().to_owned()).collect(),
        credentials: bus.credentials_file.clone(),
        tls: NatsTls {
            required: bus.tls,
            authorities: bus.tls_ca_file.clone(),
            client: bus.tls_client.clone(),
        },
        prefix: bus.prefix.clone(),
        stream: bus.stream.clone(),
        stream_age_max: bus.stream_age_max,
        stream_bytes_max: bus.stream_bytes_max,
        replicas: bus.stream_replicas,
        queue_bytes_max: bus.queue_bytes_max,
        inbox_bytes_max: bus.inbox_bytes_max,
        connect_timeout: bus.connect_timeout,
        ping_interval: bus.ping_interval,
        reconnect_min: bus.reconnect_min,
        reconnect_max: bus.reconnect_max,
        name: node.name.clone(),
        stream_check_interval: defaults.stream_check_interval,
    }
}

fn breaker(config: BreakerConfig) -> BreakerSettings {
    BreakerSettings {
        failures_max: config.failures_max,
        open_min: config.open_min,
        open_max: config.open_max,
        seed: rand::random(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use hotshelf_config::Sources;

    use super::*;

    #[test]
    fn a_node_is_called_after_its_machine_and_port_unless_it_has_a_name() {
        let named = |name: Option<&str>, port: u16| {
            let flag = name.map(|name| ("node.name".to_owned(), name.to_owned()));
            let sources = Sources {
                flags: flag.into_iter().collect(),
                ..Sources::default()
            };
            let (config, _) = Config::load(&sources).unwrap();
            let public = ListenAddress::Tcp(([127, 0, 0, 1], port).into());
            NodeName::of(&config, &public)
        };
        let machine = Command::new("uname").arg("-n").output().unwrap().stdout;
        let machine = String::from_utf8(machine).unwrap();
        let (first, second) = (named(None, 7400), named(None, 7500));
        assert_eq!(first.name, format!("{}:7400", machine.trim()));
        assert_ne!(first.number, second.number);
        let given = named(Some("shop-1"), 7400);
        assert_eq!(given.name, "shop-1");
        assert_eq!(given, named(Some("shop-1"), 7500));
    }

    #[test]
    fn a_node_is_found_where_it_says_or_where_it_listens() {
        let found = |listen: &str, advertise: Option<&str>| {
            let mut flags = vec![
                ("admin.listen".to_owned(), listen.to_owned()),
                (
                    "auth.tokens".to_owned(),
                    format!(
                        "[{{ name = 'a', role = 'viewer', sha256 = '{}' }}]",
                        "ab".repeat(32)
                    ),
                ),
            ];
            flags.extend(advertise.map(|url| ("admin.advertise".to_owned(), url.to_owned())));
            let sources = Sources {
                flags,
                ..Sources::default()
            };
            let (config, _) = Config::load(&sources).unwrap();
            let bound = ListenAddress::Tcp(config.admin().listen);
            let name = NodeName::of(&config, &bound);
            facts(&config, name, &bound).admin
        };
        assert_eq!(found("127.0.0.1:7401", None), "http://127.0.0.1:7401");
        assert_eq!(found("[::1]:7401", None), "http://[::1]:7401");
        let everywhere = found("0.0.0.0:7401", None);
        assert_eq!(everywhere, format!("http://{}:7401", machine_name()));
        let given = found("0.0.0.0:7401", Some("https://shelf-1.shop:443/"));
        assert_eq!(given, "https://shelf-1.shop:443");
    }
}
