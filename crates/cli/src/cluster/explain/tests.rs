//! Tables, verdicts and paths of `hotshelf explain`.

use serde_json::{Value, json};

use super::*;

fn copy(standing: &str, version: &str, unchanged: Option<bool>) -> Value {
    json!({
        "standing": standing, "version": version, "unchanged": unchanged, "kind": "present", "position": 41, "age_ms": 1500,
        "proof_age_ms": 200, "soft_ttl_ms": 58_000, "hard_ttl_ms": 600_000, "bytes": 1200, "encodings": ["identity"], "filled_by": 2,
    })
}

fn told(name: &str, number: u64, answer: Answer<Value>) -> Told {
    let node = Node {
        name: name.to_owned(),
        number,
        admin: format!("http://{name}:7401"),
        version: "1.2.3".to_owned(),
        seen_ms_ago: Some(300_000),
        present: answer.is_ok(),
        answering: number == 1,
    };
    Told { node, answer }
}

fn answer(l1: &Value, l2: &Value) -> Answer<Value> {
    Ok(json!({
        "position": 42, "proof_age_ms": 200, "floor": "1-7", "hot": { "reasons": ["pinned"], "age_ms": 60_000, "has_room": true },
        "banned": false, "flight": null, "database": { "version": "1-7", "bump": null, "position": 42, "now_ms": 5 },
        "tiers": [{ "tier": "l1", "state": "held", "copy": l1 }, { "tier": "l2", "state": "held", "copy": l2 }],
    }))
}

fn args() -> ExplainArgs {
    use clap::Parser;
    let words = [
        "hotshelf",
        "explain",
        "a b/c",
        "--variant",
        "locale=de",
        "--variant",
        "size=1&2",
    ];
    let args = crate::args::Args::try_parse_from(words).unwrap();
    match args.command {
        crate::args::Command::Explain(args) => Some(args),
        _ => None,
    }
    .unwrap()
}

#[test]
fn a_key_is_asked_for_as_it_is_read() {
    assert_eq!(
        path(&args()),
        "/admin/v1/explain/products/a%20b%2Fc?locale=de&size=1%262"
    );
}

#[test]
fn every_copy_has_a_row_and_every_node_a_line() {
    let current = copy("current", "1-7", Some(true));
    let told = [
        told(
            "shelf-1",
            1,
            answer(&current, &copy("refused", "1-3", Some(false))),
        ),
        told("shelf-2", 2, Err("no answer within 3s".to_owned())),
    ];
    let text = all_text(&args(), &told, &Verdict::of(&told));
    for expected in [
        "database: version 1-7, log at 42\n",
        "shelf-1  l1    current  1-7      yes          41       1.5 s  200 ms  58.0 s    10 min    1200 B  identity   shelf-2\n",
        "shelf-1  l2    refused  1-3      no ",
        "shelf-1: log at 42, proved 200 ms ago; serves no version below 1-7; hot for 60.0 s (pinned)\n",
        "shelf-2 at http://shelf-2:7401: no answer within 3s\n",
        "every copy that would be served as fresh is what the database has\n",
        "shelf-1 l2: is outdated, and never served\n",
        "of shelf-2 nothing is known\n",
    ] {
        assert!(text.contains(expected), "no `{expected}` in\n{text}");
    }
}

#[test]
fn a_fresh_copy_of_another_version_is_the_worst_that_can_be_said() {
    let good = copy("current", "1-7", Some(true));
    let bad = copy("current", "1-3", Some(false));
    let code = |told: &[Told]| Verdict::of(told).code();
    let silent = || told("shelf-2", 2, Err("no connection".to_owned()));
    assert_eq!(code(&[told("shelf-1", 1, answer(&good, &good))]), "current");
    assert_eq!(
        code(&[told("shelf-1", 1, answer(&good, &good)), silent()]),
        "incomplete"
    );
    let outdated = [told("shelf-1", 1, answer(&bad, &good)), silent()];
    assert_eq!(code(&outdated), "outdated");
    let lines = Verdict::of(&outdated).lines().join("\n");
    assert!(
        lines.contains("shelf-1 l1 would serve 1-3 as fresh"),
        "{lines}"
    );
    assert!(!lines.contains("every copy"), "{lines}");
    let mut without = answer(&good, &good).unwrap();
    without["database"] = Value::Null;
    assert_eq!(code(&[told("shelf-1", 1, Ok(without))]), "unknown");
}
