//! From what was written to what the program gets: fills in defaults and turns units into durations.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use hotshelf_hotkeys::Rules;

use crate::config::{
    AccessLogConfig, AdminConfig, AuthConfig, BreakerConfig, BusKind, CoherenceConfig, Config,
    DatabaseConfig, HotConfig, HttpConfig, L1Config, L2Config, L3Config, LogConfig, NatsConfig,
    NodeConfig, OriginConfig, WarmConfig,
};
use crate::problem::{ConfigProblems, Problem};
use crate::provenance::{Merged, Provenance, Source, merge};
use crate::raw::{RawAccessLog, RawBus, RawConfig, RawDatabase, RawHttp, RawL2, RawL3, RawOrigin};
use crate::secret::SecretUrl;
use crate::supplied::{Sources, Supplied, read_all};

impl Config {
    /// Reads the file, the environment and the flags, later ones winning.
    ///
    /// # Errors
    /// Every problem of every source at once.
    pub fn load(sources: &Sources) -> Result<(Config, Provenance), ConfigProblems> {
        resolve(merge(read_all(sources)))
    }

    /// Takes what a program that embeds hotshelf wrote in code.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_raw(raw: &RawConfig) -> Result<(Config, Provenance), ConfigProblems> {
        let mut supplied = Supplied::new("code");
        match toml::Table::try_from(raw) {
            Ok(table) => supplied.take_file(table, &|_| Source::Code),
            Err(error) => {
                let problem = Problem::new("the configuration", Source::Code, error.to_string());
                supplied.problems.push(problem);
            }
        }
        resolve(merge(vec![supplied]))
    }
}

/// Collects what is wrong while everything is resolved.
#[derive(Debug)]
pub(crate) struct Resolver {
    pub(crate) provenance: Provenance,
    problems: Vec<Problem>,
    /// Keys whose value was refused: a relation with the default that stands in for it would be a second, misleading problem.
    refused: BTreeSet<String>,
    pub(crate) notes: Vec<String>,
}

impl Resolver {
    pub(crate) fn refuse(&mut self, path: &str, reason: impl Into<String>) {
        let given = self
            .provenance
            .get(path)
            .map(|setting| setting.source.clone());
        let source = given.unwrap_or(Source::Default);
        self.refused.insert(path.to_owned());
        self.problems.push(Problem::new(path, source, reason));
    }

    /// Whether this key has a problem already.
    pub(crate) fn is_refused(&self, path: &str) -> bool {
        self.refused.contains(path)
    }

    /// Refuses two keys whose values do not go together; `rule` says why not.
    pub(crate) fn relate(&mut self, holds: bool, one: &str, other: &str, rule: &str) {
        if holds || self.is_refused(one) || self.is_refused(other) {
            return;
        }
        // The key that somebody gave is the one to name; a default is nobody's mistake.
        let swap = !self.provenance.is_given(one) && self.provenance.is_given(other);
        let (named, against) = if swap { (other, one) } else { (one, other) };
        let text = |path: &str| match self.provenance.get(path) {
            Some(setting) => (setting.value.clone(), setting.source.to_string()),
            None => ("unset".to_owned(), "default".to_owned()),
        };
        let ((value, _), (against_value, source)) = (text(named), text(against));
        let reason = format!("is {value}, but `{against}` is {against_value} ({source}): {rule}");
        self.refuse(named, reason);
    }
}

fn resolve(merged: Merged) -> Result<(Config, Provenance), ConfigProblems> {
    let Merged {
        raw,
        provenance,
        problems,
    } = merged;
    let refused = problems
        .iter()
        .map(|problem| problem.path.clone())
        .collect();
    let mut resolver = Resolver {
        provenance,
        problems,
        refused,
        notes: Vec::new(),
    };
    let mut config = sections(&raw);
    resolver.derived(&config);
    config.auth = resolver.auth(&raw.auth);
    config.hot.rules = resolver.hot_rules(&raw.hot);
    config.namespaces = resolver.namespaces(&raw.namespace);
    resolver.certificate_and_key(&raw.bus);
    resolver.relations(&config);
    if resolver.problems.is_empty() {
        config.notes = resolver.notes;
        Ok((config, resolver.provenance))
    } else {
        Err(ConfigProblems(resolver.problems))
    }
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn sections(raw: &RawConfig) -> Config {
    let data_dir = raw.node.data_dir();
    Config {
        access_log: access_log(&raw.access_log, &data_dir),
        http: http(&raw.http),
        database: database(&raw.database, &data_dir),
        l2: l2(&raw.l2),
        l3: l3(&raw.l3, &data_dir),
        origin: origin(&raw.origin),
        bus: bus(&raw.bus),
        node: NodeConfig {
            name: raw.node.name.clone(),
            data_dir,
            drain_delay: seconds(raw.node.drain_delay_s()),
            drain_timeout: seconds(raw.node.drain_timeout_s()),
        },
        log: LogConfig {
            filter: raw.log.filter(),
            format: raw.log.format(),
        },
        admin: AdminConfig {
            listen: raw.admin.listen(),
            advertise: raw
                .admin
                .advertise
                .as_ref()
                .map(|url| url.expose().trim_end_matches('/').to_owned()),
            changes_max: raw.admin.changes_max(),
        },
        auth: AuthConfig::default(),
        l1: L1Config {
            bytes_max: raw.l1.bytes_max(),
            absent_bytes_max: raw.l1.absent_bytes_max(),
        },
        coherence: CoherenceConfig {
            poll_interval: milliseconds(raw.coherence.poll_interval_ms()),
            sequence_interval: milliseconds(raw.coherence.sequence_interval_ms()),
            poll_timeout: milliseconds(raw.coherence.poll_timeout_ms()),
            staleness_bound: milliseconds(raw.coherence.staleness_bound_ms()),
            catch_up_timeout: seconds(raw.coherence.catch_up_timeout_s()),
            floors_max: raw.coherence.floors_max(),
            changes_max: raw.coherence.changes_max(),
        },
        hot: HotConfig {
            enabled: raw.hot.enabled(),
            rules: Rules::default(),
            keys_max: raw.hot.keys_max(),
            l1_share_percent: raw.hot.l1_share_percent(),
            lead: seconds(raw.hot.lead_s()),
            frame_bytes_max: raw.hot.frame_bytes_max(),
        },
        warm: WarmConfig {
            ids_max: raw.warm.ids_max(),
            keys_per_second_max: raw.warm.keys_per_second_max(),
        },
        namespaces: Vec::new(),
        notes: Vec::new(),
    }
}

fn access_log(raw: &RawAccessLog, data_dir: &Path) -> AccessLogConfig {
    let folder = raw.folder.clone();
    AccessLogConfig {
        mode: raw.mode(),
        sample_one_in: raw.sample_one_in(),
        format: raw.format(),
        folder: folder.unwrap_or_else(|| data_dir.join("access-log")),
        file_bytes_max: raw.file_bytes_max(),
        file_age_max: seconds(raw.file_age_max_s()),
        bytes_max: raw.bytes_max(),
        flush_interval: milliseconds(raw.flush_interval_ms()),
        ring_records_max: raw.ring_records_max(),
    }
}

fn http(raw: &RawHttp) -> HttpConfig {
    HttpConfig {
        listen: raw.listen(),
        unix_socket: raw.unix_socket.clone(),
        workers: raw.workers,
        connections_max: raw.connections_max(),
        header_timeout: seconds(raw.header_timeout_s()),
        idle_timeout: seconds(raw.idle_timeout_s()),
        streams_max: raw.streams_max(),
        body_timeout: seconds(raw.body_timeout_s()),
        write_timeout: seconds(raw.write_timeout_s()),
        request_timeout: milliseconds(raw.request_timeout_ms()),
        url_bytes_max: raw.url_bytes_max(),
        header_bytes_max: raw.header_bytes_max(),
        body_bytes_max: raw.body_bytes_max(),
        batch_ids_max: raw.batch_ids_max(),
        batch_bytes_max: raw.batch_bytes_max(),
        batches_bytes_max: raw.batches_bytes_max(),
        writes_max: raw.writes_max(),
        subscribers_max: raw.subscribers_max(),
    }
}

fn database(raw: &RawDatabase, data_dir: &Path) -> DatabaseConfig {
    DatabaseConfig {
        url: raw.url.clone().unwrap_or_else(|| sqlite_url(data_dir)),
        connections_max: raw.connections_max(),
        write_connections_max: raw.write_connections_max(),
        statement_timeout: milliseconds(raw.statement_timeout_ms()),
        acquire_timeout: milliseconds(raw.acquire_timeout_ms()),
        lock_timeout: milliseconds(raw.lock_timeout_ms()),
        statement_cache_max: raw.statement_cache_max(),
        log_retention: seconds(raw.log_retention_s()),
        log_rows_max: raw.log_rows_max(),
    }
}

/// The three characters that would end a URL's path, or begin an escape in it, are escaped.
fn sqlite_url(data_dir: &Path) -> SecretUrl {
    let path = data_dir.join("hotshelf.sqlite").display().to_string();
    let path = path
        .replace('%', "%25")
        .replace('?', "%3F")
        .replace('#', "%23");
    SecretUrl::new(format!("sqlite:{path}"))
}

fn l2(raw: &RawL2) -> Option<L2Config> {
    let urls = raw.urls();
    if urls.is_empty() {
        return None;
    }
    Some(L2Config {
        urls,
        cluster: raw.cluster(),
        prefix: raw.prefix(),
        connections: raw.connections(),
        deadline: milliseconds(raw.deadline_ms()),
        put_deadline: milliseconds(raw.put_deadline_ms()),
        hedge_after: milliseconds(raw.hedge_after_ms()),
        connect_timeout: milliseconds(raw.connect_timeout_ms()),
        ttl: seconds(raw.ttl_s()),
        ttl_absent: seconds(raw.ttl_absent_s()),
        compress_bytes_min: raw.compress_bytes_min(),
        value_bytes_max: raw.value_bytes_max(),
        ops_max: raw.ops_max(),
        lease_ttl: milliseconds(raw.lease_ttl_ms()),
        breaker: BreakerConfig {
            failures_max: raw.breaker_failures_max(),
            open_min: milliseconds(raw.breaker_open_min_ms()),
            open_max: milliseconds(raw.breaker_open_max_ms()),
        },
    })
}

fn l3(raw: &RawL3, data_dir: &Path) -> Option<L3Config> {
    if !raw.enabled() {
        return None;
    }
    Some(L3Config {
        path: raw.path.clone().unwrap_or_else(|| data_dir.join("l3")),
        bytes_max: raw.bytes_max(),
        memtable_bytes: raw.memtable_bytes(),
        block_cache_bytes: raw.block_cache_bytes(),
        threads: raw.threads(),
        queue_max: raw.queue_max(),
        deadline: milliseconds(raw.deadline_ms()),
        put_deadline: milliseconds(raw.put_deadline_ms()),
        ttl: seconds(raw.ttl_s()),
        direct_io: raw.direct_io(),
        admission: raw.admission(),
        admission_window: seconds(raw.admission_window_s()),
        compress_bytes_min: raw.compress_bytes_min(),
        write_bytes_per_second_max: raw.write_bytes_per_second_max(),
        free_bytes_min: raw.free_bytes_min(),
        breaker: BreakerConfig {
            failures_max: raw.breaker_failures_max(),
            open_min: milliseconds(raw.breaker_open_min_ms()),
            open_max: milliseconds(raw.breaker_open_max_ms()),
        },
    })
}

fn origin(raw: &RawOrigin) -> OriginConfig {
    OriginConfig {
        concurrency_min: raw.concurrency_min(),
        concurrency_max: raw.concurrency_max(),
        queue_max: raw.queue_max(),
        fill_timeout: milliseconds(raw.fill_timeout_ms()),
        stale_after: milliseconds(raw.stale_after_ms()),
        flights_max: raw.flights_max(),
        refreshes_max: raw.refreshes_max(),
        batch_documents_max: raw.batch_documents_max(),
        retry_after: milliseconds(raw.retry_after_ms()),
        refresh_share_percent: raw.refresh_share_percent(),
        warm_share_percent: raw.warm_share_percent(),
    }
}

fn bus(raw: &RawBus) -> Option<NatsConfig> {
    if raw.kind() == BusKind::None {
        return None;
    }
    let certificate = raw.tls_cert_file.clone();
    Some(NatsConfig {
        urls: raw.urls(),
        prefix: raw.prefix(),
        credentials_file: raw.credentials_file.clone(),
        tls: raw.tls(),
        tls_ca_file: raw.tls_ca_file.clone(),
        tls_client: certificate.zip(raw.tls_key_file.clone()),
        stream: raw.stream(),
        stream_age_max: seconds(raw.stream_age_max_s()),
        stream_bytes_max: raw.stream_bytes_max(),
        stream_replicas: raw.stream_replicas(),
        queue_bytes_max: raw.queue_bytes_max(),
        inbox_bytes_max: raw.inbox_bytes_max(),
        connect_timeout: milliseconds(raw.connect_timeout_ms()),
        ping_interval: milliseconds(raw.ping_interval_ms()),
        reconnect_min: milliseconds(raw.reconnect_min_ms()),
        reconnect_max: milliseconds(raw.reconnect_max_ms()),
    })
}

#[cfg(test)]
mod tests;
