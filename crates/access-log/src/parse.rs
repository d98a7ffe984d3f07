//! Lines of access logs, hotshelf's and others': when which key was read.
//!
//! A line of nginx's `combined` or of Envoy's default format is taken apart at its first bracket and its quotes, found by `memchr`;
//! what comes after the status is not looked at. JSON lines are read for the names that nginx's and Envoy's documents use.

mod fields;
mod pattern;
mod time;

use std::borrow::Cow;

use hotshelf_model::Key;
use memchr::memchr;

pub use pattern::{KeyPattern, OWN_PATHS};

use crate::{block, json};
use pattern::Keys;

/// A form in which reads are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// nginx's `combined`, and the common log format, which is its beginning.
    Nginx,
    /// nginx with a `log_format` of JSON: `time_iso8601`, `msec` or `time_local`; `request_uri`, `uri` or `request`; `request_method`.
    NginxJson,
    /// Envoy's default text.
    Envoy,
    /// Envoy's JSON: `start_time`, `x_envoy_original_path` or `path`, `method`.
    EnvoyJson,
    /// hotshelf's own: blocks, or JSON lines.
    Hotshelf,
}

impl Format {
    /// Every format. Where a line could be of two of them, the earlier one is meant.
    pub const ALL: [Format; 5] = [
        Format::Hotshelf,
        Format::Nginx,
        Format::Envoy,
        Format::EnvoyJson,
        Format::NginxJson,
    ];

    /// The word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Nginx => "nginx",
            Format::NginxJson => "nginx-json",
            Format::Envoy => "envoy",
            Format::EnvoyJson => "envoy-json",
            Format::Hotshelf => "hotshelf",
        }
    }

    /// Guesses the format of a file from its beginning: the one that can read most of the first ten lines.
    pub fn guess(beginning: &[u8]) -> Option<Format> {
        if block::is_in(beginning) {
            return Some(Format::Hotshelf);
        }
        let lines = beginning.split(|&byte| byte == b'\n');
        let lines: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).take(10).collect();
        let readable = |format: Format| {
            let mut buffers = Buffers::default();
            let is_good = |line: &&&[u8]| dissect(format, line, &mut buffers).is_ok();
            lines.iter().filter(is_good).count()
        };
        let counts = Format::ALL.map(|format| (readable(format), format));
        let most = counts.iter().map(|(count, _)| *count).max()?;
        let best = counts
            .into_iter()
            .find(|(count, _)| *count == most && most > 0);
        best.map(|(_, format)| format)
    }
}

/// Why a line cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// A read, as far as hot keys are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When: milliseconds since 1970 on the clock of whoever wrote the log.
    pub at_ms: u64,
    /// What was read. Its text is shared with earlier events of the same key where that is known.
    pub key: Key,
    /// How many reads the line stands for.
    pub reads: u32,
}

/// Reads the lines of one format.
#[derive(Debug)]
pub struct Parser {
    format: Format,
    keys: Keys,
    buffers: Buffers,
}

impl Parser {
    /// Reads lines of `format`, with the keys that `pattern` finds. hotshelf's own lines hold their keys.
    pub fn new(format: Format, pattern: KeyPattern) -> Self {
        Parser {
            format,
            keys: Keys::new(pattern),
            buffers: Buffers::default(),
        }
    }

    /// The read that a line tells of; `None` when the request was no read (GET or HEAD) of a key.
    ///
    /// # Errors
    /// Says why the line cannot be read.
    #[inline]
    pub fn parse(&mut self, line: &[u8]) -> Result<Option<Event>, Malformed> {
        match dissect(self.format, line, &mut self.buffers)? {
            Dissected::Event(event) => Ok(Some(event)),
            Dissected::Request { at_ms, line } => Ok(self.read_line(at_ms, line)),
            Dissected::Line { at_ms, line } => Ok(self.read_line(at_ms, line.as_bytes())),
            Dissected::Fields {
                at_ms,
                method,
                target,
            } => Ok(self.read(at_ms, method.as_bytes(), target.as_bytes())),
        }
    }

    /// A request that the server itself could not read is none of a key.
    #[inline]
    fn read_line(&mut self, at_ms: u64, line: &[u8]) -> Option<Event> {
        let (method, target) = split_request(line)?;
        self.read(at_ms, method, target)
    }

    #[inline]
    fn read(&mut self, at_ms: u64, method: &[u8], target: &[u8]) -> Option<Event> {
        if !matches!(method, b"GET" | b"HEAD") {
            return None;
        }
        let key = self.keys.find(target)?;
        Some(Event {
            at_ms,
            key,
            reads: 1,
        })
    }
}

/// What a parser keeps between lines.
#[derive(Debug, Default)]
struct Buffers {
    key_text: String,
    /// The time that was read last: many lines in a row have the same.
    time_text: Vec<u8>,
    time_ms: u64,
}

/// What a line says.
enum Dissected<'a> {
    Event(Event),
    /// When a request came, and its first line: `GET /path HTTP/1.1`.
    Request {
        at_ms: u64,
        line: &'a [u8],
    },
    /// The same out of JSON.
    Line {
        at_ms: u64,
        line: Cow<'a, str>,
    },
    Fields {
        at_ms: u64,
        method: Cow<'a, str>,
        target: Cow<'a, str>,
    },
}

fn dissect<'a>(
    format: Format,
    line: &'a [u8],
    buffers: &mut Buffers,
) -> Result<Dissected<'a>, Malformed> {
    match format {
        Format::Nginx => bracketed(line, buffers, time::local),
        Format::Envoy => bracketed(line, buffers, time::iso),
        Format::NginxJson => fields::nginx(line),
        Format::EnvoyJson => fields::envoy(line),
        Format::Hotshelf => {
            let owned = json::parse_line(line, &mut buffers.key_text).map_err(Malformed)?;
            let record = owned.record();
            Ok(Dissected::Event(Event {
                at_ms: record.at_ms,
                reads: record.reads,
                key: record.key.to_key(),
            }))
        }
    }
}

/// `… [TIME] "REQUEST" STATUS …`, which nginx and Envoy have in common.
#[inline]
fn bracketed<'a>(
    line: &'a [u8],
    buffers: &mut Buffers,
    time: impl Fn(&[u8]) -> Option<u64>,
) -> Result<Dissected<'a>, Malformed> {
    let mut rest = line;
    // A user's name may hold a bracket too; the one that is meant is followed by a time and a quote.
    loop {
        let start = memchr(b'[', rest).ok_or(Malformed("has no time in brackets"))?;
        rest = &rest[start + 1..];
        let Some(end) = memchr(b']', &rest[..rest.len().min(64)]) else {
            continue;
        };
        let text = &rest[..end];
        let Some(quoted) = rest[end + 1..].strip_prefix(b" \"") else {
            continue;
        };
        if text != buffers.time_text {
            let Some(at_ms) = time(text) else { continue };
            buffers.time_text.clear();
            buffers.time_text.extend_from_slice(text);
            buffers.time_ms = at_ms;
        }
        let line = request_line(quoted)?;
        let at_ms = buffers.time_ms;
        return Ok(Dissected::Request { at_ms, line });
    }
}

/// Up to the quote that a status follows: Envoy does not escape the quotes of a path.
#[inline]
fn request_line(quoted: &[u8]) -> Result<&[u8], Malformed> {
    let mut from = 0;
    while let Some(at) = memchr(b'"', &quoted[from..]) {
        let end = from + at;
        if let [b' ', first, rest @ ..] = &quoted[end + 1..] {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let ended = rest.get(digits).is_some_and(|&byte| byte == b' ');
            if first.is_ascii_digit() && digits <= 2 && ended {
                return Ok(&quoted[..end]);
            }
        }
        from = end + 1;
    }
    Err(Malformed("has no status after the request"))
}

/// Method and target of `GET /path HTTP/1.1`. A target may hold blanks where the server let them pass.
#[inline]
fn split_request(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let method = memchr(b' ', line)?;
    let rest = &line[method + 1..];
    let target = memchr::memrchr(b' ', rest)?;
    rest[target + 1..]
        .starts_with(b"HTTP/")
        .then(|| (&line[..method], &rest[..target]))
}

#[cfg(test)]
mod tests;
