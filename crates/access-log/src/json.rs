//! The access log as JSON lines: the same fields as in a block, one record on a line.
//!
//! A field that says nothing is left out: `reads` of 1, an unmeasured latency, an empty variant, request id or caller. A version is
//! the token that clients see in `Hotshelf-Version`.

use std::borrow::Cow;
use std::io::Write;

use hotshelf_model::{Key, KeyRef, ReadOutcome, TierName, Version, VersionToken};
use serde::{Deserialize, Serialize};

use crate::record::{AccessRecord, kept};

#[derive(Debug, Serialize, Deserialize)]
struct Line<'a> {
    at_ms: u64,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    reads: u32,
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    variant: Cow<'a, str>,
    #[serde(borrow)]
    tier: Cow<'a, str>,
    #[serde(borrow)]
    outcome: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latency_ns: Option<u64>,
    bytes: u64,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    request_id: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    caller: Cow<'a, str>,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_one(reads: &u32) -> bool {
    *reads == 1
}

/// Appends a record as one line, its end included.
pub fn push_line(record: &AccessRecord<'_>, text: &mut Vec<u8>) {
    let version = record.version.token().to_string();
    let line = Line {
        at_ms: record.at_ms,
        reads: record.reads,
        namespace: record.key.namespace().into(),
        id: record.key.id().into(),
        variant: record.key.variant().into(),
        tier: record.tier.as_str().into(),
        outcome: record.outcome.as_str().into(),
        version: version.into(),
        latency_ns: record.latency_ns,
        bytes: record.bytes,
        request_id: kept(record.request_id).into(),
        caller: kept(record.caller).into(),
    };
    let before = text.len();
    let written = serde_json::to_writer(&mut *text, &line).map_err(std::io::Error::from);
    if written.and_then(|()| text.write_all(b"\n")).is_err() {
        // Strings and numbers are always JSON, and memory takes any bytes.
        text.truncate(before);
    }
}

/// A record that was read from a line, with texts of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRecord {
    at_ms: u64,
    reads: u32,
    key: Key,
    tier: TierName,
    outcome: ReadOutcome,
    version: Version,
    latency_ns: Option<u64>,
    bytes: u64,
    request_id: String,
    caller: String,
}

impl OwnedRecord {
    /// The record.
    pub fn record(&self) -> AccessRecord<'_> {
        AccessRecord {
            at_ms: self.at_ms,
            reads: self.reads,
            key: KeyRef::from(&self.key),
            tier: self.tier,
            outcome: self.outcome,
            version: self.version,
            latency_ns: self.latency_ns,
            bytes: self.bytes,
            request_id: &self.request_id,
            caller: &self.caller,
        }
    }
}

/// Reads a line back; `key_text` is a buffer.
///
/// # Errors
/// Says what is wrong with the line.
pub fn parse_line(line: &[u8], key_text: &mut String) -> Result<OwnedRecord, &'static str> {
    let line: Line<'_> = serde_json::from_slice(line)
        .map_err(|_| "is not JSON, or lacks a field of an access record")?;
    key_text.clear();
    for part in [&*line.namespace, "/", &*line.variant, "/", &*line.id] {
        key_text.push_str(part);
    }
    let tier = TierName::ALL
        .into_iter()
        .find(|tier| tier.as_str() == line.tier);
    let outcome = ReadOutcome::ALL
        .into_iter()
        .find(|outcome| outcome.as_str() == line.outcome);
    let version: Result<VersionToken, _> = line.version.parse();
    Ok(OwnedRecord {
        at_ms: line.at_ms,
        reads: line.reads,
        key: Key::parse(key_text).ok_or("its namespace, variant and id are no key")?,
        tier: tier.ok_or("has an unknown tier")?,
        outcome: outcome.ok_or("has an unknown outcome")?,
        version: version.map_err(|_| "has no version token")?.version(),
        latency_ns: line.latency_ns,
        bytes: line.bytes,
        request_id: line.request_id.into_owned(),
        caller: line.caller.into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{key, record};

    #[test]
    fn a_line_has_the_fields_of_a_record_and_reads_back() {
        let key = key("LAMP 1");
        let mut record = record(&key);
        record.request_id = "r-\"1\"";
        let mut text = Vec::new();
        push_line(&record, &mut text);
        assert_eq!(
            str::from_utf8(&text).unwrap(),
            "{\"at_ms\":1700000000123,\"namespace\":\"products\",\"id\":\"LAMP 1\",\"variant\":\"locale=de\",\"tier\":\"l2\",\
             \"outcome\":\"stale\",\"version\":\"3-18447\",\"latency_ns\":350,\"bytes\":1233,\"request_id\":\"r-\\\"1\\\"\",\"caller\":\"checkout\"}\n"
        );
        let back = parse_line(&text, &mut String::new()).unwrap();
        assert_eq!(back.record(), record);
    }

    #[test]
    fn what_says_nothing_is_left_out() {
        let key = Key::parse("products//A").unwrap();
        let record = AccessRecord {
            latency_ns: None,
            request_id: "",
            caller: "",
            ..record(&key)
        };
        let mut text = Vec::new();
        push_line(&record, &mut text);
        let line = str::from_utf8(&text).unwrap();
        for name in ["reads", "variant", "latency_ns", "request_id", "caller"] {
            assert!(!line.contains(name), "{line}");
        }
        assert_eq!(
            parse_line(&text, &mut String::new()).unwrap().record(),
            record
        );
    }

    #[test]
    fn a_line_that_is_no_record_says_why() {
        let key = key("A");
        let mut text = Vec::new();
        push_line(&record(&key), &mut text);
        let line = String::from_utf8(text).unwrap();
        for (from, to, word) in [
            ("{", "[", "JSON"),
            ("\"id\":\"A\",", "", "lacks a field"),
            ("\"id\":\"A\"", "\"id\":\"..\"", "no key"),
            ("l2", "l9", "tier"),
            ("stale", "miss", "outcome"),
            ("3-18447", "x", "version"),
        ] {
            let problem = parse_line(line.replace(from, to).as_bytes(), &mut String::new());
            let problem = problem.unwrap_err();
            assert!(problem.contains(word), "{word}: {problem}");
        }
    }
}
