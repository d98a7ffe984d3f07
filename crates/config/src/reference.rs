//! The generated texts: the reference of every key, and the example file in which every key stands with its default.

use crate::key::{Key, NAMESPACE, Section, ValueKind, sections};

const INTRODUCTION: &str = "# Configuration

<!-- Generated from crates/config/src/raw.rs; do not edit. -->

hotshelf needs no configuration: without any it keeps a SQLite database, L1 and L3 in `./data` and serves on `127.0.0.1:7400`.

A value comes from the file (TOML), the environment or a flag; the later wins. `hotshelf config show` prints every value with the place it
came from, and `hotshelf config check` reports all problems at once. Unknown keys are refused.

| source | form | example |
| --- | --- | --- |
| file | `[section]` and `key = value` | `[l2]` and `deadline_ms = 20` |
| environment | `HOTSHELF_<SECTION>__<KEY>` | `HOTSHELF_L2__DEADLINE_MS=20` |
| flag | `<section>.<key>=<value>` | `--set l2.deadline_ms=20` |

In the environment and in flags, URLs of a list are separated by commas, other lists and tables are written as in the file, and a namespace is named: `HOTSHELF_NAMESPACE__PRODUCTS__TTL_SOFT_S=60`,
`--set namespace.products.ttl_soft_s=60`, `HOTSHELF_NAMESPACE__CARDS__HEADERS__AUTHORIZATION=...`. `HOTSHELF_CONFIG` names the file when no flag
does. Passwords in URLs and values of headers are never shown.

Relations that are checked:

- `origin.stale_after_ms`, `l2.deadline_ms`, `l3.deadline_ms` < `origin.fill_timeout_ms` < `http.request_timeout_ms`;
- `timeout_ms` of a namespace <= `origin.fill_timeout_ms`;
- `ttl_soft_s` <= `ttl_hard_s` <= `l2.ttl_s` and `l3.ttl_s`, for every namespace;
- `coherence.staleness_bound_ms` >= 2 x `coherence.poll_interval_ms`, and >= `coherence.poll_timeout_ms`;
- `origin.concurrency_min` <= `origin.concurrency_max`; `breaker_open_min_ms` <= `breaker_open_max_ms`;
- `bus.urls` when `bus.kind` is `nats`; `bus.reconnect_min_ms` <= `bus.reconnect_max_ms`; `bus.tls_cert_file` with `bus.tls_key_file`;
- 4 x `l3.memtable_bytes` <= `l3.bytes_max`; `http.url_bytes_max` <= `http.header_bytes_max`;
- `access_log.file_bytes_max` <= `access_log.bytes_max`;
- `document_bytes_max` of a namespace <= `http.batch_bytes_max`;
- `admin.listen` is a loopback address unless there are `auth.tokens`, and not that of `http.listen`.
";

/// The reference, as committed in `docs/config.md`.
pub fn reference_markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    for section in sections() {
        section_markdown(&mut text, section);
    }
    text
}

fn section_markdown(text: &mut String, section: &Section) {
    let doc = one_line(section.doc);
    text.push_str(&format!("\n## {}\n\n{doc}\n\n", header(section)));
    text.push_str("| key | value | default | meaning |\n| --- | --- | --- | --- |\n");
    for key in &section.keys {
        text.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            key.name,
            kind_text(key).replace('|', "\\|"),
            default_markdown(key),
            one_line(key.doc).replace('|', "\\|"),
        ));
    }
}

fn header(section: &Section) -> String {
    if section.name == NAMESPACE {
        format!("[[{}]]", section.name)
    } else {
        format!("[{}]", section.name)
    }
}

fn default_markdown(key: &Key) -> String {
    match (&key.default, key.unset) {
        (Some(default), _) => format!("`{default}`{}", size(key, default)),
        (None, unset) => unset.unwrap_or_default().to_owned(),
    }
}

/// The same number as people say it, for large sizes.
fn size(key: &Key, number: &str) -> String {
    if !key.name.contains("bytes") {
        return String::new();
    }
    let Ok(bytes) = number.parse::<u64>() else {
        return String::new();
    };
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units
        .into_iter()
        .find(|(bits, _)| bytes >> bits > 0 && bytes.trailing_zeros() >= *bits);
    unit.map_or_else(String::new, |(bits, unit)| {
        format!(" ({} {unit})", bytes >> bits)
    })
}

fn kind_text(key: &Key) -> String {
    match key.kind {
        ValueKind::Bool => "true or false".to_owned(),
        ValueKind::Count { min, max } => format!("{min} to {max}"),
        ValueKind::Text => "text".to_owned(),
        ValueKind::Path => "path".to_owned(),
        ValueKind::Address => "address and port".to_owned(),
        ValueKind::Choice(words) => {
            let quoted: Vec<_> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
            quoted.join(", ")
        }
        ValueKind::Url(schemes) => format!("URL: {}", quoted(schemes)),
        ValueKind::Urls(schemes) => format!("list of URLs: {}", quoted(schemes)),
        ValueKind::Headers => "table of text".to_owned(),
        ValueKind::Variants => "list of name and values".to_owned(),
        ValueKind::Attachments => "list of table, keys and columns".to_owned(),
        ValueKind::HotRules => "list of name, namespace, id, action and threshold".to_owned(),
        ValueKind::Tokens => "list of name, role and hash or file".to_owned(),
    }
}

fn quoted(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

/// A doc comment of several lines as one.
fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every key with its default, commented out: the file as it stands changes nothing. As committed in `config/example.toml`.
pub fn example_toml() -> String {
    let mut text = "# Every key of hotshelf with its default. Generated from crates/config/src/raw.rs; do not edit, copy.\n\
                    # Lines that begin with `#` and no blank are keys: take the `#` away to change one.\n"
        .to_owned();
    for section in sections() {
        let mark = if section.name == NAMESPACE { "#" } else { "" };
        let doc = one_line(section.doc);
        text.push_str(&format!("\n# {doc}\n{mark}{}\n", header(section)));
        for key in &section.keys {
            key_example(&mut text, key);
        }
    }
    text
}

fn key_example(text: &mut String, key: &Key) {
    let doc = one_line(key.doc);
    let value = key.default.as_deref().or(key.example).unwrap_or_default();
    let allowed = match key.kind {
        ValueKind::Count { .. } | ValueKind::Choice(_) => {
            format!(" {}.", kind_text(key).replace('`', ""))
        }
        _ => String::new(),
    };
    let unset = match key.unset {
        Some(unset) => format!(" Without it: {}.", unset.replace('`', "")),
        None => String::new(),
    };
    let size = size(key, value);
    let size = if size.is_empty() {
        size
    } else {
        format!(" #{size}")
    };
    let name = key.name;
    text.push_str(&format!(
        "# {doc}{allowed}{unset}\n#{name} = {value}{size}\n"
    ));
}

#[cfg(test)]
mod tests;
