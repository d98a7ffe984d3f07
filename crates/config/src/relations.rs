//! What must hold between keys, each rule with its reason; the reference lists the same rules.

use std::time::Duration;

use crate::config::{
    BreakerConfig, Config, L2Config, L3Config, NamespaceConfig, NamespaceSource, NatsConfig,
};
use crate::key::toml_text;
use crate::raw::RawBus;
use crate::resolve::Resolver;
use crate::secret::SecretUrl;

impl Resolver {
    /// Shows the defaults that follow from other keys.
    pub(crate) fn derived(&mut self, config: &Config) {
        let url = toml_text(&config.database.url.to_string());
        self.provenance.put_derived("database.url", url);
        let path = config.l3.as_ref().map(|l3| toml_text(&l3.path));
        let path = path.unwrap_or_else(|| "\"\"".to_owned());
        self.provenance.put_derived("l3.path", path);
        let folder = toml_text(&config.access_log.folder);
        self.provenance.put_derived("access_log.folder", folder);
    }

    pub(crate) fn relations(&mut self, config: &Config) {
        self.access_log(config);
        self.listeners(config);
        self.database_url(config);
        self.timeouts(config);
        self.coherence(config);
        self.budgets(config);
        if let Some(l2) = &config.l2 {
            self.l2(l2, config);
        }
        if let Some(l3) = &config.l3 {
            self.l3(l3, config);
        }
        if let Some(bus) = &config.bus {
            self.bus(bus);
        }
        for namespace in &config.namespaces {
            self.namespace_limits(namespace, config);
        }
    }

    fn access_log(&mut self, config: &Config) {
        let (log, file_key) = (&config.access_log, "access_log.file_bytes_max");
        let fits = log.file_bytes_max <= log.bytes_max;
        let rule = "one file must fit into the room for all; raise `access_log.bytes_max`";
        self.relate(fits, file_key, "access_log.bytes_max", rule);
    }

    fn listeners(&mut self, config: &Config) {
        let (public, admin) = (config.http.listen, config.admin.listen);
        if !admin.ip().is_loopback()
            && config.auth.tokens.is_empty()
            && !self.is_refused("auth.tokens")
        {
            let reason = "must be a loopback address such as `127.0.0.1:7401`: without tokens, whoever reaches the admin \
                          listener is an operator; give `auth.tokens`, or keep it on loopback";
            self.refuse("admin.listen", reason);
        }
        let same = public == admin && public.port() != 0;
        let rule = "two listeners need two addresses; change one of the ports";
        self.relate(!same, "admin.listen", "http.listen", rule);
        let advertised = config.admin.advertise.as_deref().unwrap_or_default();
        let host = advertised.split_once("://").map_or("", |(_, host)| host);
        if host.contains(['/', '?', '#', '@']) {
            let reason = "must be a scheme, a host and a port such as `http://10.0.0.5:7401`: every node and whoever may look at the cluster sees it";
            self.refuse("admin.advertise", reason);
        }
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
        let (fill, fill_key) = (config.origin.fill_timeout, "origin.fill_timeout_ms");
        let in_time = fill < config.http.request_timeout;
        let rule = "a fill must end before the request that waits for it";
        self.relate(in_time, fill_key, "http.request_timeout_ms", rule);
        let in_time = config.origin.stale_after < fill;
        let rule = "a stale answer must come before the fill gives up";
        self.relate(in_time, "origin.stale_after_ms", fill_key, rule);
        let deadlines = [
            ("l2.deadline_ms", config.l2.as_ref().map(|l2| l2.deadline)),
            ("l3.deadline_ms", config.l3.as_ref().map(|l3| l3.deadline)),
        ];
        for (key, deadline) in deadlines {
            let in_time = deadline.is_none_or(|deadline| deadline < fill);
            let rule = "a tier must give up before the fill that asks it";
            self.relate(in_time, key, fill_key, rule);
        }
    }

    fn coherence(&mut self, config: &Config) {
        let (coherence, bound_key) = (&config.coherence, "coherence.staleness_bound_ms");
        let twice = coherence.staleness_bound >= coherence.poll_interval * 2;
        let rule = "one late poll must not make every copy stale; the bound is at least twice the interval";
        self.relate(twice, bound_key, "coherence.poll_interval_ms", rule);
        let in_time = coherence.poll_timeout <= coherence.staleness_bound;
        let rule = "a poll that takes longer than the bound proves nothing";
        self.relate(in_time, "coherence.poll_timeout_ms", bound_key, rule);
    }

    fn budgets(&mut self, config: &Config) {
        let http = config.http();
        let fits = http.batch_bytes_max <= http.batches_bytes_max;
        let rule = "the room for all answers to batches must hold one";
        self.relate(fits, "http.batch_bytes_max", "http.batches_bytes_max", rule);
        let (origin, most_key) = (&config.origin, "origin.concurrency_max");
        let ordered = origin.concurrency_min <= origin.concurrency_max;
        let rule = "the least must not exceed the greatest";
        self.relate(ordered, "origin.concurrency_min", most_key, rule);
        let http = |one: &NamespaceConfig| matches!(one.source, NamespaceSource::Http(_));
        let connections = usize::try_from(config.database.connections_max).unwrap_or(usize::MAX);
        if connections < origin.concurrency_max && !config.namespaces.iter().all(http) {
            self.notes.push(format!(
                "`database.connections_max` is {connections}, less than `{most_key}` ({}): fetches that the budget allows will \
                 wait for a connection",
                origin.concurrency_max
            ));
        }
    }

    fn l2(&mut self, l2: &L2Config, config: &Config) {
        let socket = |url: &SecretUrl| url.expose().contains("unix://");
        if l2.cluster && l2.urls.iter().any(socket) {
            let reason = "a cluster is reached over TCP; use redis:// or rediss://";
            self.refuse("l2.urls", reason);
        }
        if !l2.cluster && l2.urls.len() > 1 {
            let reason =
                "several URLs are nodes of one cluster; set `l2.cluster = true`, or give one URL";
            self.refuse("l2.urls", reason);
        }
        let bad = |letter: char| matches!(letter, '{' | '}') || letter.is_whitespace();
        if l2.prefix.len() > 32 || l2.prefix.contains(bad) {
            let reason = "must be 1 to 32 bytes without blanks and braces, which would put every key on one node of a cluster";
            self.refuse("l2.prefix", reason);
        }
        self.breaker("l2", l2.breaker);
        self.tier_ttl("l2.ttl_s", l2.ttl, &config.namespaces);
    }

    fn l3(&mut self, l3: &L3Config, config: &Config) {
        let memtable = u64::try_from(l3.memtable_bytes).unwrap_or(u64::MAX);
        let fits = memtable <= l3.bytes_max / 4;
        let rule = "up to four times what is collected in memory must fit on the disk";
        self.relate(fits, "l3.memtable_bytes", "l3.bytes_max", rule);
        self.breaker("l3", l3.breaker);
        self.tier_ttl("l3.ttl_s", l3.ttl, &config.namespaces);
    }

    fn bus(&mut self, bus: &NatsConfig) {
        if bus.urls.is_empty() {
            let reason = "is empty, but `bus.kind` is `nats`: say where NATS is, such as [\"nats://127.0.0.1:4222\"]";
            self.refuse("bus.urls", reason);
        }
        let letters = |word: &str| {
            let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            !word.is_empty() && word.bytes().all(good)
        };
        if bus.prefix.len() > 64 || !bus.prefix.split('.').all(letters) {
            let reason = "must be 1 to 64 letters, digits, `-`, `_` and, between them, dots";
            self.refuse("bus.prefix", reason);
        }
        if bus.stream.len() > 64 || !letters(&bus.stream) {
            let reason = "must be 1 to 64 letters, digits, `-` and `_`";
            self.refuse("bus.stream", reason);
        }
        let ordered = bus.reconnect_min <= bus.reconnect_max;
        let rule = "the least must not exceed the greatest";
        self.relate(
            ordered,
            "bus.reconnect_min_ms",
            "bus.reconnect_max_ms",
            rule,
        );
    }

    /// One without the other would be left out in silence.
    pub(crate) fn certificate_and_key(&mut self, raw: &RawBus) {
        let alone = match (&raw.tls_cert_file, &raw.tls_key_file) {
            (Some(_), None) => ("bus.tls_cert_file", "bus.tls_key_file"),
            (None, Some(_)) => ("bus.tls_key_file", "bus.tls_cert_file"),
            (None, None) | (Some(_), Some(_)) => return,
        };
        let reason = format!("needs `{}`: a certificate goes with its key", alone.1);
        self.refuse(alone.0, reason);
    }

    fn breaker(&mut self, tier: &str, breaker: BreakerConfig) {
        let (least, most) = (
            format!("{tier}.breaker_open_min_ms"),
            format!("{tier}.breaker_open_max_ms"),
        );
        let rule = "the least must not exceed the greatest";
        self.relate(breaker.open_min <= breaker.open_max, &least, &most, rule);
    }

    /// A tier that drops copies before their TTL ends would be asked in vain.
    fn tier_ttl(&mut self, path: &str, ttl: Duration, namespaces: &[NamespaceConfig]) {
        let hard = |one: &&NamespaceConfig| one.namespace.policy.ttl_hard;
        let Some(longest) = namespaces.iter().max_by_key(hard) else {
            return;
        };
        let key = format!("namespace.{}.ttl_hard_s", longest.namespace.name);
        let rule = "the tier would drop copies that are still fresh; raise it to the greatest `ttl_hard_s`";
        self.relate(ttl >= hard(&longest), path, &key, rule);
        for one in namespaces {
            let needed = one.namespace.policy.ttl_hard + one.namespace.policy.stale_cap;
            if ttl >= needed {
                continue;
            }
            self.notes.push(format!(
                "`{path}` is {} s, less than `ttl_hard_s` + `stale_cap_s` of namespace `{}` ({} s): while the origin is down, the \
                 tier will have dropped copies that could still have been served stale",
                ttl.as_secs(),
                one.namespace.name,
                needed.as_secs()
            ));
        }
    }

    fn namespace_limits(&mut self, one: &NamespaceConfig, config: &Config) {
        let at = format!("namespace.{}", one.namespace.name);
        let fits = one.namespace.document_bytes_max <= config.http.batch_bytes_max;
        let key = format!("{at}.document_bytes_max");
        let rule = "a batch must be able to answer with one document at least";
        self.relate(fits, &key, "http.batch_bytes_max", rule);
        if let NamespaceSource::Http(http) = &one.source {
            let in_time = http.timeout <= config.origin.fill_timeout;
            let key = format!("{at}.timeout_ms");
            let rule = "a request to the origin must end before the fill that waits for it";
            self.relate(in_time, &key, "origin.fill_timeout_ms", rule);
        }
    }
}
