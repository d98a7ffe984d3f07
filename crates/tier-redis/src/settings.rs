//! What an operator can set about L2.

use std::fmt;
use std::time::Duration;

use hotshelf_model::envelope::EncodeOptions;
use hotshelf_model::{BreakerSettings, FieldProblem};
use redis::{ConnectionInfo, IntoConnectionInfo};

/// How L2 is reached and bounded.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://`, `rediss://` (TLS) or, for a single Redis, `redis+unix://`; one URL is a single Redis unless `cluster` is set,
    /// several are seeds of one cluster. User, password and TLS of the first apply to all.
    pub urls: Vec<String>,
    /// Whether the URLs are seeds of a Redis Cluster.
    pub cluster: bool,
    /// The first word of every key, 1 to 32 bytes without braces and blanks; shops that share a Redis choose different ones.
    pub prefix: String,
    /// Connections to each shard, 1 to 64; as many exchanges of lookups are under way, and further lookups gather meanwhile.
    pub connections: usize,
    /// The time for a lookup or a lease operation, 1 ms to 10 s.
    pub deadline: Duration,
    /// The time for a put or a removal, 1 ms to 10 s.
    pub put_deadline: Duration,
    /// The time to connect, and to answer a heartbeat, 1 ms to 60 s.
    pub connect_timeout: Duration,
    /// How often an idle connection is checked, 10 ms to 60 s.
    pub heartbeat: Duration,
    /// How often the map of a cluster is read again without a reason, 100 ms to 10 min.
    pub cluster_refresh: Duration,
    /// Operations under way; one more is answered `Unavailable(Busy)`, 1 to 1,000,000.
    pub ops_max: usize,
    /// Keys sent to one shard in one pipeline, 1 to 4096; a larger batch is split over the connections, and at most as many
    /// lookups that wait at the same time go out together.
    pub pipeline_keys_max: usize,
    /// The largest envelope that is written, in bytes; a larger one is declined.
    pub value_bytes_max: usize,
    /// The largest document that is read, in bytes; a larger one counts as damaged. At least the largest of any namespace.
    pub document_bytes_max: usize,
    /// Documents of at least this many bytes are compressed.
    pub compress_bytes_min: usize,
    /// The zstd level, 1 to 19.
    pub zstd_level: i32,
    /// Redis expires an entry this long after its last put, at least 1 ms. Freshness is the engine's to judge: this only bounds
    /// what Redis holds, so it should exceed the hard TTL plus the stale cap.
    pub ttl_present: Duration,
    /// The same for absent entries; shorter, because anybody can ask for ids that never existed.
    pub ttl_absent: Duration,
    /// How long a lease lasts without being renewed, 1 ms to 60 s: after the death of its holder, others wait this long.
    pub lease_ttl: Duration,
    /// When a shard's breaker opens and for how long.
    pub breaker: BreakerSettings,
}

impl Default for RedisSettings {
    fn default() -> Self {
        RedisSettings {
            urls: vec!["redis://127.0.0.1:6379/".to_owned()],
            cluster: false,
            prefix: "hs".to_owned(),
            connections: 4,
            deadline: Duration::from_millis(50),
            put_deadline: Duration::from_millis(200),
            connect_timeout: Duration::from_secs(1),
            heartbeat: Duration::from_secs(1),
            cluster_refresh: Duration::from_secs(10),
            ops_max: 4096,
            pipeline_keys_max: 64,
            value_bytes_max: (1 << 20) + 4096,
            document_bytes_max: 1 << 20,
            compress_bytes_min: 4096,
            zstd_level: 1,
            ttl_present: Duration::from_secs(24 * 3600),
            ttl_absent: Duration::from_secs(600),
            lease_ttl: Duration::from_secs(1),
            breaker: BreakerSettings::default(),
        }
    }
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URLs may hold passwords.
        f.debug_struct("RedisSettings")
            .field("urls", &self.urls.len())
            .field("cluster", &self.is_cluster())
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl RedisSettings {
    /// Whether the URLs name a cluster.
    pub fn is_cluster(&self) -> bool {
        self.cluster || self.urls.len() > 1
    }

    /// Everything that is wrong, with the way out; empty when L2 can be built.
    pub fn problems(&self) -> Vec<FieldProblem> {
        let mut problems = self.seeds().err().unwrap_or_default();
        let prefix_bad = |char: char| matches!(char, '{' | '}') || char.is_whitespace();
        if !(1..=32).contains(&self.prefix.len()) || self.prefix.contains(prefix_bad) {
            let reason = "takes 1 to 32 bytes without braces (a hash tag would put every key into one slot) and blanks";
            problems.push(FieldProblem::new("prefix", reason));
        }
        problems.extend(self.number_problems());
        problems.extend(self.duration_problems());
        problems
    }

    fn number_problems(&self) -> Vec<FieldProblem> {
        let failures_max = usize::from(self.breaker.failures_max);
        let level = usize::try_from(self.zstd_level).unwrap_or_default();
        let number = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        [
            ("connections", self.connections, 64),
            ("ops_max", self.ops_max, 1_000_000),
            ("pipeline_keys_max", self.pipeline_keys_max, 4096),
            ("value_bytes_max", self.value_bytes_max, 512 << 20),
            ("document_bytes_max", self.document_bytes_max, 512 << 20),
            ("zstd_level", level, 19),
            ("breaker.failures_max", failures_max, 1000),
        ]
        .into_iter()
        .filter_map(|(field, value, max)| FieldProblem::of_number(field, number(value), 1, max))
        .collect()
    }

    fn duration_problems(&self) -> Vec<FieldProblem> {
        const SECOND: u64 = 1000;
        [
            ("deadline", self.deadline, 1, 10 * SECOND),
            ("put_deadline", self.put_deadline, 1, 10 * SECOND),
            ("connect_timeout", self.connect_timeout, 1, 60 * SECOND),
            ("heartbeat", self.heartbeat, 10, 60 * SECOND),
            ("cluster_refresh", self.cluster_refresh, 100, 600 * SECOND),
            ("ttl_present", self.ttl_present, 1, 365 * 86_400 * SECOND),
            ("ttl_absent", self.ttl_absent, 1, 365 * 86_400 * SECOND),
            ("lease_ttl", self.lease_ttl, 1, 60 * SECOND),
            ("breaker.open_min", self.breaker.open_min, 1, 600 * SECOND),
            ("breaker.open_max", self.breaker.open_max, 1, 600 * SECOND),
        ]
        .into_iter()
        .filter_map(|(field, value, min, max)| FieldProblem::of_duration(field, value, min, max))
        .collect()
    }

    /// The URLs, read.
    pub(crate) fn seeds(&self) -> Result<Vec<ConnectionInfo>, Vec<FieldProblem>> {
        if self.urls.is_empty() {
            return Err(vec![FieldProblem::new(
                "urls",
                "is empty; give at least one, such as `redis://127.0.0.1:6379/`",
            )]);
        }
        let (mut seeds, mut problems) = (Vec::new(), Vec::new());
        for (index, url) in self.urls.iter().enumerate() {
            match url.as_str().into_connection_info() {
                Ok(seed) => seeds.push(seed),
                Err(error) => problems.push(FieldProblem::new(
                    format!("urls[{index}]"),
                    format!("is not a URL such as `redis://host:6379/` or `rediss://host:6379/` ({error})"),
                )),
            }
        }
        if problems.is_empty() {
            Ok(seeds)
        } else {
            Err(problems)
        }
    }

    pub(crate) fn encode_options(&self) -> EncodeOptions {
        EncodeOptions {
            compress_bytes_min: self.compress_bytes_min,
            zstd_level: self.zstd_level,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_problem() {
        assert_eq!(RedisSettings::default().problems(), []);
    }

    #[test]
    fn all_problems_are_reported_at_once_with_their_fields() {
        let settings = RedisSettings {
            urls: vec!["redis://localhost/".to_owned(), "http://x".to_owned()],
            prefix: "a{b}".to_owned(),
            connections: 0,
            deadline: Duration::ZERO,
            zstd_level: -3,
            ..RedisSettings::default()
        };
        let fields: Vec<_> = settings
            .problems()
            .into_iter()
            .map(|problem| problem.field)
            .collect();
        assert_eq!(
            fields,
            ["urls[1]", "prefix", "connections", "zstd_level", "deadline"]
        );
    }

    #[test]
    fn passwords_are_not_printed() {
        let settings = RedisSettings {
            urls: vec!["redis://user:hunter2@localhost/".to_owned()],
            ..RedisSettings::default()
        };
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
