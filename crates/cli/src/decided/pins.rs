//! `hotshelf pin`: documents that every node holds, whatever is read.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ask, decide, expiry, unreadable, until, word, yes};
use crate::args::{DecidedListArgs, PinAddArgs, PinRmArgs};
use crate::output::{Table, print};

const PATH: &str = "/admin/v1/pins";
/// The largest file of ids.
const FILE_BYTES_MAX: u64 = 4 << 20;

pub(super) fn add(args: &PinAddArgs) -> anyhow::Result<()> {
    let mut body = expiry(args.expiry);
    ensure!(
        !body.is_empty(),
        "a pin has an end: `--for 6h`, `--until 2026-11-27T00:00:00+01:00`, or `--no-expiry`"
    );
    body.insert("namespace".to_owned(), json!(args.namespace));
    match &args.category {
        Some(category) => {
            let names: Vec<&str> = category.split('>').map(str::trim).collect();
            body.insert("category".to_owned(), json!(names));
        }
        None => {
            let ids = ids(&args.ids, args.file.as_deref())?;
            body.insert("ids".to_owned(), json!(ids));
        }
    }
    let body = Value::Object(body);
    let told = decide(&args.admin, Method::POST, PATH, &args.decision, &body)?;
    let note = match args.category {
        Some(_) => "pinned is what is in the category now; what comes into it later is not\n",
        None => "",
    };
    print(format!("{}{note}", room(&told)))
}

pub(super) fn rm(args: &PinRmArgs) -> anyhow::Result<()> {
    let body = if args.all {
        json!({ "all": true })
    } else {
        let ids = ids(&args.ids, args.file.as_deref())?;
        json!({ "namespace": args.namespace, "ids": ids })
    };
    let told = decide(&args.admin, Method::DELETE, PATH, &args.decision, &body)?;
    print(room(&told))
}

pub(super) fn list(args: &DecidedListArgs) -> anyhow::Result<()> {
    let told = ask(&args.admin, PATH)?;
    if args.json {
        return print(format!("{told}\n"));
    }
    print(text(&told))
}

fn ids(given: &[String], file: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let mut ids = given.to_vec();
    if let Some(file) = file {
        let mut text = String::new();
        let mut read =
            |from: &mut dyn Read| from.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
        let read = match file.as_os_str() == "-" {
            true => read(&mut std::io::stdin().lock()),
            false => std::fs::File::open(file).and_then(|mut file| read(&mut file)),
        };
        read.with_context(|| format!("reading the ids in {}", file.display()))?;
        ensure!(
            text.len() as u64 <= FILE_BYTES_MAX,
            "{} is larger than {FILE_BYTES_MAX} bytes",
            file.display()
        );
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        ids.extend(lines.map(str::to_owned));
    }
    ensure!(!ids.is_empty(), "there is no id");
    Ok(ids)
}

/// How full the hot set is of pins.
fn room(told: &Value) -> String {
    let pins = told["pins"].as_array().map_or(0, Vec::len);
    format!(
        "version {}: {pins} of {} keys pinned, {} of {} bytes\n{}",
        told["version"],
        told["keys_max"],
        told["bytes"],
        told["bytes_max"],
        unreadable(told)
    )
}

/// What people read.
fn text(told: &Value) -> String {
    let now = told["now_ms"].as_u64().unwrap_or_default();
    let mut table = Table::new(["key", "bytes", "held here", "until", "who", "why"]);
    for pin in told["pins"].as_array().into_iter().flatten() {
        let variant = match word(&pin["variant"]) {
            variant if variant.is_empty() => variant,
            variant => format!(" ({variant})"),
        };
        table.add([
            format!("{}/{}{variant}", word(&pin["namespace"]), word(&pin["id"])),
            pin["bytes"].to_string(),
            yes(&pin["here"]),
            until(pin, now),
            word(&pin["who"]),
            word(&pin["why"]),
        ]);
    }
    room(told) + &table.paragraph()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_shown_with_who_decided_them_and_where_they_are_missing() {
        let told = json!({
            "version": 3, "now_ms": 0, "keys_max": 1000, "bytes_max": 4096, "bytes": 300,
            "pins": [
                { "namespace": "products", "id": "A", "variant": "locale=de", "bytes": 200, "until_ms": 3_600_000, "who": "ops", "why": "the sale", "here": true },
                { "namespace": "products", "id": "B\u{1b}[2J", "variant": "", "bytes": 100, "who": "ops", "why": "a star", "here": false },
            ],
        });
        let expected = "version 3: 2 of 1000 keys pinned, 300 of 4096 bytes\n\
            \n\
            key                     bytes  held here  until                          who  why\n\
            products/A (locale=de)  200    yes        1970-01-01T01:00:00Z (60 min)  ops  the sale\n\
            products/B\u{fffd}[2J          100    NO         until somebody ends it         ops  a star\n";
        assert_eq!(text(&told), expected);
    }

    #[test]
    fn a_file_of_ids_has_one_in_each_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ids");
        std::fs::write(&file, "A\n\n B \r\n").unwrap();
        let read = ids(&["C".to_owned()], Some(&file)).unwrap();
        assert_eq!(read, ["C", "A", "B"]);
        std::fs::write(&file, "\n").unwrap();
        assert!(ids(&[], Some(&file)).is_err());
    }
}
