//! From what was written to what the program gets: fills in defaults, turns units into durations, and checks what spans several keys.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::config::{
    AdminConfig, CoherenceConfig, Config, DatabaseConfig, HttpConfig, L1Config, L2Config, L3Config,
    LogConfig, NamespaceConfig, NamespaceSource, NodeConfig, OriginConfig,
};
use crate::key::toml_text;
use crate::problem::{ConfigProblems, Problem};
use crate::provenance::{Merged, Provenance, Source, merge};
use crate::raw::{RawConfig, RawDatabase, RawHttp, RawL2, RawL3, RawOrigin};
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
    config.namespaces = resolver.namespaces(&raw.namespace);
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
        http: http(&raw.http),
        database: database(&raw.database, &data_dir),
        l2: l2(&raw.l2),
        l3: l3(&raw.l3, &data_dir),
        origin: origin(&raw.origin),
        node: NodeConfig {
            name: raw.node.name.clone(),
            data_dir,
            drain_timeout: seconds(raw.node.drain_timeout_s()),
        },
        log: LogConfig {
            filter: raw.log.filter(),
            format: raw.log.format(),
        },
        admin: AdminConfig {
            listen: raw.admin.listen(),
        },
        l1: L1Config {
            bytes_max: raw.l1.bytes_max(),
            absent_bytes_max: raw.l1.absent_bytes_max(),
        },
        coherence: CoherenceConfig {
            poll_interval: milliseconds(raw.coherence.poll_interval_ms()),
            staleness_bound: milliseconds(raw.coherence.staleness_bound_ms()),
            catch_up_timeout: seconds(raw.coherence.catch_up_timeout_s()),
        },
        namespaces: Vec::new(),
        notes: Vec::new(),
    }
}

fn http(raw: &RawHttp) -> HttpConfig {
    HttpConfig {
        listen: raw.listen(),
        unix_socket: raw.unix_socket.clone(),
        connections_max: raw.connections_max(),
        header_timeout: seconds(raw.header_timeout_s()),
        idle_timeout: seconds(raw.idle_timeout_s()),
        request_timeout: milliseconds(raw.request_timeout_ms()),
        url_bytes_max: raw.url_bytes_max(),
        header_bytes_max: raw.header_bytes_max(),
        body_bytes_max: raw.body_bytes_max(),
        batch_ids_max: raw.batch_ids_max(),
        batch_bytes_max: raw.batch_bytes_max(),
        compression_bytes_min: raw.compression_bytes_min(),
    }
}

fn database(raw: &RawDatabase, data_dir: &Path) -> DatabaseConfig {
    DatabaseConfig {
        url: raw.url.clone().unwrap_or_else(|| sqlite_url(data_dir)),
        connections_max: raw.connections_max(),
        statement_timeout: milliseconds(raw.statement_timeout_ms()),
        acquire_timeout: milliseconds(raw.acquire_timeout_ms()),
        statement_cache_max: raw.statement_cache_max(),
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
        connections: raw.connections(),
        deadline: milliseconds(raw.deadline_ms()),
        put_deadline: milliseconds(raw.put_deadline_ms()),
        ttl: seconds(raw.ttl_s()),
        compress_bytes_min: raw.compress_bytes_min(),
        value_bytes_max: raw.value_bytes_max(),
        ops_max: raw.ops_max(),
        lease_ttl: milliseconds(raw.lease_ttl_ms()),
        breaker_failures_max: raw.breaker_failures_max(),
        breaker_open: milliseconds(raw.breaker_open_ms()),
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
        ttl: seconds(raw.ttl_s()),
        direct_io: raw.direct_io(),
        admission: raw.admission(),
        free_bytes_min: raw.free_bytes_min(),
        breaker_failures_max: raw.breaker_failures_max(),
        breaker_open: milliseconds(raw.breaker_open_ms()),
    })
}

fn origin(raw: &RawOrigin) -> OriginConfig {
    OriginConfig {
        concurrency_min: raw.concurrency_min(),
        concurrency_max: raw.concurrency_max(),
        queue_max: raw.queue_max(),
        fill_timeout: milliseconds(raw.fill_timeout_ms()),
        batch_documents_max: raw.batch_documents_max(),
        retry_after: milliseconds(raw.retry_after_ms()),
        refresh_share_percent: raw.refresh_share_percent(),
        warm_share_percent: raw.warm_share_percent(),
    }
}

impl Resolver {
    /// Shows the defaults that follow from other keys.
    fn derived(&mut self, config: &Config) {
        let url = toml_text(&config.database.url.to_string());
        self.provenance.put_derived("database.url", url);
        let path = config.l3.as_ref().map(|l3| toml_text(&l3.path));
        self.provenance
            .put_derived("l3.path", path.unwrap_or_else(|| "\"\"".to_owned()));
    }

    fn relations(&mut self, config: &Config) {
        self.listeners(config);
        self.database_url(config);
        self.timeouts(config);
        self.budgets(config);
        if let Some(l2) = &config.l2 {
            self.l2_urls(l2);
            self.tier_ttl("l2.ttl_s", l2.ttl, &config.namespaces);
        }
        if let Some(l3) = &config.l3 {
            self.tier_ttl("l3.ttl_s", l3.ttl, &config.namespaces);
        }
    }

    fn listeners(&mut self, config: &Config) {
        let (public, admin) = (config.http.listen, config.admin.listen);
        if !admin.ip().is_loopback() {
            let reason = "must be a loopback address such as `127.0.0.1:7401`: this version has no tokens, so whoever \
                          reaches the admin listener is an operator; put a proxy with authentication before it";
            self.refuse("admin.listen", reason);
        }
        let same = public == admin && public.port() != 0;
        let rule = "two listeners need two addresses; change one of the ports";
        self.relate(!same, "admin.listen", "http.listen", rule);
        let fits = config.http.url_bytes_max <= config.http.header_bytes_max;
        let rule = "the request line is part of the headers; raise `http.header_bytes_max`";
        self.relate(fits, "http.url_bytes_max", "http.header_bytes_max", rule);
    }

    fn database_url(&mut self, config: &Config) {
        let url = config.database.url.expose();
        if url.starts_with("sqlite:") && (url.contains(":memory:") || url.contains("mode=memory")) {
            let reason = "each connection would see a database of its own; name a file";
            self.refuse("database.url", reason);
        }
    }

    fn timeouts(&mut self, config: &Config) {
        let fill = config.origin.fill_timeout;
        let (fill_key, rule) = (
            "origin.fill_timeout_ms",
            "a fill must end before the request that waits for it",
        );
        let holds = fill < config.http.request_timeout;
        self.relate(holds, fill_key, "http.request_timeout_ms", rule);
        let rule = "a tier must give up before the fill that asks it";
        let in_time = |deadline: Option<Duration>| deadline.is_none_or(|deadline| deadline < fill);
        let l2 = in_time(config.l2.as_ref().map(|l2| l2.deadline));
        self.relate(l2, "l2.deadline_ms", fill_key, rule);
        let l3 = in_time(config.l3.as_ref().map(|l3| l3.deadline));
        self.relate(l3, "l3.deadline_ms", fill_key, rule);
        let (poll, bound) = (
            config.coherence.poll_interval,
            config.coherence.staleness_bound,
        );
        let rule = "one late poll must not make every copy stale; the bound is at least twice the interval";
        self.relate(
            bound >= poll * 2,
            "coherence.staleness_bound_ms",
            "coherence.poll_interval_ms",
            rule,
        );
    }

    fn budgets(&mut self, config: &Config) {
        let origin = &config.origin;
        let holds = origin.concurrency_min <= origin.concurrency_max;
        let rule = "the least must not exceed the greatest";
        self.relate(
            holds,
            "origin.concurrency_min",
            "origin.concurrency_max",
            rule,
        );
        if let Some(l3) = &config.l3 {
            let memtable = u64::try_from(l3.memtable_bytes).unwrap_or(u64::MAX);
            let rule = "what is collected in memory must fit on the disk at least twice";
            let fits = memtable.saturating_mul(2) <= l3.bytes_max;
            self.relate(fits, "l3.memtable_bytes", "l3.bytes_max", rule);
        }
        for one in &config.namespaces {
            let key = format!("namespace.{}.document_bytes_max", one.namespace.name);
            let fits = one.namespace.document_bytes_max <= config.http.batch_bytes_max;
            let rule = "a batch must be able to answer with one document at least";
            self.relate(fits, &key, "http.batch_bytes_max", rule);
            if let NamespaceSource::Http(http) = &one.source {
                let key = format!("namespace.{}.timeout_ms", one.namespace.name);
                let rule = "a request to the origin must end before the fill that waits for it";
                self.relate(
                    http.timeout <= origin.fill_timeout,
                    &key,
                    "origin.fill_timeout_ms",
                    rule,
                );
            }
        }
    }

    fn l2_urls(&mut self, l2: &L2Config) {
        let socket = |url: &SecretUrl| url.expose().contains("unix://");
        if l2.cluster && l2.urls.iter().any(socket) {
            self.refuse(
                "l2.urls",
                "a cluster is reached over TCP; use redis:// or rediss://",
            );
        }
        if !l2.cluster && l2.urls.len() > 1 {
            let reason =
                "several URLs are nodes of one cluster; set `l2.cluster = true`, or give one URL";
            self.refuse("l2.urls", reason);
        }
    }

    /// A tier that drops copies before their TTL ends would be asked in vain.
    fn tier_ttl(&mut self, path: &str, ttl: Duration, namespaces: &[NamespaceConfig]) {
        let Some(longest) = namespaces
            .iter()
            .max_by_key(|one| one.namespace.policy.ttl_hard)
        else {
            return;
        };
        let (name, policy) = (&longest.namespace.name, &longest.namespace.policy);
        let key = format!("namespace.{name}.ttl_hard_s");
        let rule = "the tier would drop copies that are still fresh; raise it to the greatest `ttl_hard_s`";
        self.relate(ttl >= policy.ttl_hard, path, &key, rule);
        for one in namespaces {
            let needed = one.namespace.policy.ttl_hard + one.namespace.policy.stale_cap;
            if ttl >= policy.ttl_hard && ttl < needed {
                self.notes.push(format!(
                    "`{path}` is {} s, less than `ttl_hard_s` + `stale_cap_s` of namespace `{}` ({} s): while the origin is \
                     down, the tier will have dropped copies that could still have been served stale",
                    ttl.as_secs(),
                    one.namespace.name,
                    needed.as_secs()
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests;
