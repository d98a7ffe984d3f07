//! What an operator can set about the bus.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::ServerAddr;
use hotshelf_model::message::MESSAGE_BYTES_MAX;
use hotshelf_model::{Channel, FieldProblem};

/// How NATS is reached and bounded.
#[derive(Clone)]
pub struct NatsSettings {
    /// `nats://` or `tls://`, with user and password if need be (those of the first URL that has them apply to all); several are
    /// servers of one cluster.
    pub urls: Vec<String>,
    /// A credentials file (JWT and key), read at each connect.
    pub credentials: Option<PathBuf>,
    /// How the connection is encrypted, beyond what a URL or the server asks for.
    pub tls: NatsTls,
    /// What every subject begins with: 1 to 64 of letters, digits, `-`, `_` and, between them, dots. Shops that share a NATS choose
    /// different ones.
    pub prefix: String,
    /// The stream that keeps rows: 1 to 64 of letters, digits, `-` and `_`. It is made if it is not there.
    pub stream: String,
    /// How long a new stream keeps rows, 1 s to 30 days.
    pub stream_age_max: Duration,
    /// How much a new stream keeps, in bytes; the oldest rows go first.
    pub stream_bytes_max: u64,
    /// How many servers keep a new stream, 1 to 5.
    pub replicas: usize,
    /// Bytes that wait to be sent, of each feed; what comes beyond is dropped.
    pub queue_bytes_max: usize,
    /// Bytes that wait for this node to take them, on each feed; what comes beyond is dropped, and the node is told.
    pub inbox_bytes_max: usize,
    /// The time to connect, and to answer a question about the stream, 1 ms to 60 s.
    pub connect_timeout: Duration,
    /// How often a silent connection is checked, 10 ms to 60 s. One that does not answer twice is given up.
    pub ping_interval: Duration,
    /// The wait before connecting again, doubled each time up to the greatest, 1 ms to 60 s.
    pub reconnect_min: Duration,
    /// The greatest of these waits, 1 ms to 60 s.
    pub reconnect_max: Duration,
    /// How often the stream is looked after, 10 ms to 10 min.
    pub stream_check_interval: Duration,
    /// What this node is called in the server's list of connections.
    pub name: String,
}

/// TLS.
#[derive(Clone, Debug, Default)]
pub struct NatsTls {
    /// Whether a server that does not offer TLS is refused.
    pub required: bool,
    /// Certificates (PEM) that vouch for the server, instead of the system's.
    pub authorities: Option<PathBuf>,
    /// This node's certificate and key (PEM).
    pub client: Option<(PathBuf, PathBuf)>,
}

impl Default for NatsSettings {
    fn default() -> Self {
        NatsSettings {
            urls: vec!["nats://127.0.0.1:4222".to_owned()],
            credentials: None,
            tls: NatsTls::default(),
            prefix: "hotshelf".to_owned(),
            stream: "hotshelf".to_owned(),
            stream_age_max: Duration::from_secs(3600),
            stream_bytes_max: 256 << 20,
            replicas: 1,
            queue_bytes_max: 8 << 20,
            inbox_bytes_max: 8 << 20,
            connect_timeout: Duration::from_secs(1),
            ping_interval: Duration::from_secs(2),
            reconnect_min: Duration::from_millis(50),
            reconnect_max: Duration::from_secs(2),
            stream_check_interval: Duration::from_secs(2),
            name: "hotshelf".to_owned(),
        }
    }
}

impl fmt::Debug for NatsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URLs may hold passwords.
        f.debug_struct("NatsSettings")
            .field("urls", &self.urls.len())
            .field("prefix", &self.prefix)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl NatsSettings {
    /// Everything that is wrong, with the way out; empty when the bus can be built.
    pub fn problems(&self) -> Vec<FieldProblem> {
        let mut problems = self.addresses().err().unwrap_or_default();
        if !is_name(&self.prefix, true) {
            let reason = "takes 1 to 64 letters, digits, `-`, `_` and, between them, dots";
            problems.push(FieldProblem::new("prefix", reason));
        }
        if !is_name(&self.stream, false) {
            let reason = "takes 1 to 64 letters, digits, `-` and `_`";
            problems.push(FieldProblem::new("stream", reason));
        }
        problems.extend(self.number_problems());
        problems.extend(self.duration_problems());
        problems
    }

    fn number_problems(&self) -> Vec<FieldProblem> {
        let least = 2 * MESSAGE_BYTES_MAX as u64;
        let number = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        [
            ("stream_bytes_max", self.stream_bytes_max, 1 << 20, 1 << 46),
            ("replicas", number(self.replicas), 1, 5),
            (
                "queue_bytes_max",
                number(self.queue_bytes_max),
                least,
                1 << 30,
            ),
            (
                "inbox_bytes_max",
                number(self.inbox_bytes_max),
                least,
                1 << 30,
            ),
        ]
        .into_iter()
        .filter_map(|(field, value, min, max)| FieldProblem::of_number(field, value, min, max))
        .collect()
    }

    fn duration_problems(&self) -> Vec<FieldProblem> {
        const SECOND: u64 = 1000;
        let check_interval = self.stream_check_interval;
        [
            (
                "stream_age_max",
                self.stream_age_max,
                SECOND,
                30 * 86_400 * SECOND,
            ),
            ("connect_timeout", self.connect_timeout, 1, 60 * SECOND),
            ("ping_interval", self.ping_interval, 10, 60 * SECOND),
            ("reconnect_min", self.reconnect_min, 1, 60 * SECOND),
            ("reconnect_max", self.reconnect_max, 1, 60 * SECOND),
            ("stream_check_interval", check_interval, 10, 600 * SECOND),
        ]
        .into_iter()
        .filter_map(|(field, value, min, max)| FieldProblem::of_duration(field, value, min, max))
        .collect()
    }

    /// The URLs, read.
    pub(crate) fn addresses(&self) -> Result<Vec<ServerAddr>, Vec<FieldProblem>> {
        if self.urls.is_empty() {
            let reason = "is empty; give at least one, such as `nats://127.0.0.1:4222`";
            return Err(vec![FieldProblem::new("urls", reason)]);
        }
        let (mut addresses, mut problems) = (Vec::new(), Vec::new());
        for (index, url) in self.urls.iter().enumerate() {
            match url.parse::<ServerAddr>() {
                Ok(address) if matches!(address.scheme(), "nats" | "tls") => {
                    addresses.push(address);
                }
                Ok(_) | Err(_) => problems.push(FieldProblem::new(
                    format!("urls[{index}]"),
                    "is not a URL such as `nats://host:4222` or `tls://host:4222`",
                )),
            }
        }
        if problems.is_empty() {
            Ok(addresses)
        } else {
            Err(problems)
        }
    }

    pub(crate) fn subject(&self, channel: Channel) -> String {
        format!("{}.{}", self.prefix, channel.as_str())
    }
}

/// Dots separate the words of a subject, so none may be empty.
fn is_name(name: &str, dots: bool) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let word = |word: &str| !word.is_empty() && word.bytes().all(letter);
    let words_good = if dots {
        name.split('.').all(word)
    } else {
        word(name)
    };
    words_good && name.len() <= 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_problem() {
        assert_eq!(NatsSettings::default().problems(), []);
    }

    #[test]
    fn all_problems_are_reported_at_once_with_their_fields() {
        let settings = NatsSettings {
            urls: vec!["nats://localhost".to_owned(), "redis://x".to_owned()],
            prefix: "shop.*".to_owned(),
            stream: "a.b".to_owned(),
            replicas: 6,
            inbox_bytes_max: 1,
            ping_interval: Duration::ZERO,
            ..NatsSettings::default()
        };
        let problems = settings.problems();
        let fields: Vec<_> = problems.iter().map(|problem| &*problem.field).collect();
        let expected = [
            "urls[1]",
            "prefix",
            "stream",
            "replicas",
            "inbox_bytes_max",
            "ping_interval",
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn names_are_words_of_a_subject() {
        for (name, dots, good) in [
            ("hotshelf", true, true),
            ("eu.shop-1.hot_shelf", true, true),
            ("eu.shop", false, false),
            ("", true, false),
            ("a..b", true, false),
            (".a", true, false),
            ("a>", true, false),
            ("a b", true, false),
        ] {
            assert_eq!(is_name(name, dots), good, "{name}");
        }
        assert!(!is_name(&"a".repeat(65), true));
    }

    #[test]
    fn passwords_are_not_printed() {
        let settings = NatsSettings {
            urls: vec!["nats://user:hunter2@localhost".to_owned()],
            ..NatsSettings::default()
        };
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
