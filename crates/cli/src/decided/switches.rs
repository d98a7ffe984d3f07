//! `hotshelf switch`: what is switched off in a running cluster or on one node, by whom and why.

use hotshelf_access_log::utc;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ask, decide, expiry, unreadable, until, word, yes};
use crate::args::{DecidedListArgs, SwitchClearArgs, SwitchSetArgs};
use crate::output::{Table, print};

const PATH: &str = "/admin/v1/switches";

pub(super) fn list(args: &DecidedListArgs) -> anyhow::Result<()> {
    show(args, PATH, text)
}

pub(super) fn history(args: &DecidedListArgs) -> anyhow::Result<()> {
    show(args, &format!("{PATH}/history"), changes)
}

fn show(args: &DecidedListArgs, path: &str, text: fn(&Value) -> String) -> anyhow::Result<()> {
    let told = ask(&args.admin, path)?;
    if args.json {
        return print(format!("{told}\n"));
    }
    print(text(&told))
}

pub(super) fn set(args: &SwitchSetArgs) -> anyhow::Result<()> {
    let mut body = expiry(args.expiry);
    body.insert("value".to_owned(), json!(args.value));
    if let Some(node) = &args.node {
        body.insert("node".to_owned(), json!(node));
    }
    let path = path(&args.switch);
    let body = Value::Object(body);
    let told = decide(&args.admin, Method::PUT, &path, &args.decision, &body)?;
    print(text(&told))
}

pub(super) fn clear(args: &SwitchClearArgs) -> anyhow::Result<()> {
    let mut path = path(&args.switch);
    if let Some(node) = &args.node {
        path += &format!("?node={}", utf8_percent_encode(node, NON_ALPHANUMERIC));
    }
    let told = decide(
        &args.admin,
        Method::DELETE,
        &path,
        &args.decision,
        &Value::Null,
    )?;
    print(text(&told))
}

fn path(switch: &str) -> String {
    format!("{PATH}/{}", utf8_percent_encode(switch, NON_ALPHANUMERIC))
}

/// What people read.
fn text(told: &Value) -> String {
    let now = told["now_ms"].as_u64().unwrap_or_default();
    let set = told["switches"].as_array().map_or(0, Vec::len);
    let mut text = match set {
        0 => "nothing is switched: everything stands as configured\n".to_owned(),
        _ => format!(
            "version {}, as node {} sees it\n",
            told["version"],
            word(&told["node"]).replace(char::is_control, "\u{fffd}")
        ),
    };
    text += &unreadable(told);
    let mut table = Table::new([
        "switch",
        "value",
        "where",
        "in force here",
        "until",
        "who",
        "why",
    ]);
    for set in told["switches"].as_array().into_iter().flatten() {
        let node = set["node"].as_str().map(|node| format!("node {node}"));
        table.add([
            word(&set["switch"]),
            word(&set["value"]),
            node.unwrap_or_else(|| "cluster".to_owned()),
            yes(&set["here"]),
            until(set, now),
            word(&set["who"]),
            word(&set["why"]),
        ]);
    }
    text + &table.paragraph()
}

/// Who changed what.
fn changes(told: &Value) -> String {
    let mut table = Table::new(["version", "when", "who", "what", "why"]);
    for change in told["changes"].as_array().into_iter().flatten() {
        let of = |name: &str, verb: &str| {
            let words = change[name].as_array().into_iter().flatten();
            let words = words.map(|what| format!("{verb} {}", word(what)));
            words.collect::<Vec<_>>()
        };
        let what = [of("set", "set"), of("ended", "cleared")].concat();
        table.add([
            change["version"].to_string(),
            utc(change["at_ms"].as_u64().unwrap_or_default()),
            word(&change["who"]),
            what.join(", "),
            word(&change["why"]),
        ]);
    }
    let text = table.text();
    match text.is_empty() {
        true => "no switch was ever set\n".to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_shown_with_whom_they_are_for_and_who_decided_them() {
        let told = json!({
            "version": 4, "now_ms": 0, "node": "a",
            "switches": [
                { "switch": "l2", "value": "off", "node": "b", "who": "ops", "why": "slow", "here": false },
                { "switch": "stale-cap", "value": "24h", "until_ms": 60_000, "who": "ops", "why": "the sale", "here": true },
            ],
        });
        let expected = "version 4, as node a sees it\n\
            \n\
            switch     value  where    in force here  until                         who  why\n\
            l2         off    node b   NO             until somebody ends it        ops  slow\n\
            stale-cap  24h    cluster  yes            1970-01-01T00:01:00Z (1 min)  ops  the sale\n";
        assert_eq!(text(&told), expected);
        let none = json!({ "version": 5, "node": "a", "switches": [] });
        assert!(text(&none).starts_with("nothing is switched"));
    }

    #[test]
    fn the_history_says_what_each_change_did() {
        let told = json!({ "changes": [
            { "version": 2, "at_ms": 1000, "who": "ops", "why": "over", "set": [], "ended": ["l2 off"] },
            { "version": 1, "at_ms": 0, "who": "ops", "why": "slow", "set": ["l2 off"], "ended": [] },
        ] });
        let expected = "version  when                  who  what            why\n\
            2        1970-01-01T00:00:01Z  ops  cleared l2 off  over\n\
            1        1970-01-01T00:00:00Z  ops  set l2 off      slow\n";
        assert_eq!(changes(&told), expected);
    }
}
