//! `hotshelf explain`: what every node holds of one document.

mod verdict;

use std::process::ExitCode;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use self::verdict::Verdict;
use super::membership::{Answer, Node, Nodes, ask_all, text};
use crate::admin::Admin;
use crate::args::ExplainArgs;
use crate::output::{Table, bytes, cell, print, span};

/// What a node said, or why it did not.
struct Told {
    node: Node,
    answer: Answer<Value>,
}

pub(super) async fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let admin = super::asked(&args.cluster)?;
    let nodes = Nodes::of(&admin).await?.nodes;
    let path = &path(args);
    let ask = |node: Admin| async move { node.get(path).await };
    let answers = ask_all(&admin, &nodes, ask).await;
    let told = nodes.into_iter().zip(answers);
    let told: Vec<Told> = told.map(|(node, answer)| Told { node, answer }).collect();
    let verdict = Verdict::of(&told);
    match args.json {
        true => print(format!("{}\n", all_json(args, &told, &verdict)))?,
        false => print(all_text(args, &told, &verdict))?,
    }
    Ok(verdict.exit_code())
}

fn path(args: &ExplainArgs) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs = args.variant.iter();
    let pairs = pairs.map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    let query = match pairs.collect::<Vec<String>>().join("&") {
        pairs if pairs.is_empty() => pairs,
        pairs => format!("?{pairs}"),
    };
    format!(
        "/admin/v1/explain/{}/{}{query}",
        encoded(&args.namespace),
        encoded(&args.id)
    )
}

/// What the database says, by the node that heard it last.
fn database(told: &[Told]) -> Option<&Value> {
    let said = told.iter().filter_map(|told| told.answer.as_ref().ok());
    let said = said
        .map(|answer| &answer["database"])
        .filter(|said| said.is_object());
    said.max_by_key(|said| said["now_ms"].as_u64())
}

fn all_json(args: &ExplainArgs, told: &[Told], verdict: &Verdict) -> Value {
    let node = |told: &Told| {
        let facts = json!({ "name": told.node.name, "admin": told.node.admin });
        match &told.answer {
            Ok(explanation) => json!({ "node": facts, "explanation": explanation }),
            Err(reason) => json!({ "node": facts, "no_answer": reason }),
        }
    };
    json!({
        "namespace": args.namespace,
        "id": args.id,
        "database": database(told),
        "nodes": told.iter().map(node).collect::<Vec<Value>>(),
        "verdict": { "code": verdict.code(), "lines": verdict.lines() },
    })
}

fn all_text(args: &ExplainArgs, told: &[Told], verdict: &Verdict) -> String {
    let version = |json: &Value| cell(&text(json));
    let database = match database(told) {
        Some(said) => {
            let bump = match said["bump"].as_str() {
                Some(bump) => format!(", namespace bumped at {bump}"),
                None => String::new(),
            };
            format!(
                "version {}, log at {}{bump}",
                version(&said["version"]),
                said["position"]
            )
        }
        None => "does not answer".to_owned(),
    };
    let mut text = format!("{}/{}\ndatabase: {database}\n\n", args.namespace, args.id);
    text += &copies(told);
    text.push('\n');
    for Told { node, answer } in told {
        match answer {
            Ok(answer) => text += &format!("{}: {}\n", node.name, facts(answer)),
            Err(reason) => text += &format!("{} at {}: {reason}\n", node.name, node.admin),
        }
    }
    text.push('\n');
    for line in verdict.lines() {
        text += &format!("{line}\n");
    }
    text
}

/// A row for each node and tier.
fn copies(told: &[Told]) -> String {
    let mut table = Table::new([
        "node",
        "tier",
        "state",
        "version",
        "as database",
        "read at",
        "age",
        "proved",
        "soft ttl",
        "hard ttl",
        "size",
        "encodings",
        "filled by",
    ]);
    for Told { node, answer } in told {
        let Ok(answer) = answer else { continue };
        for tier in answer["tiers"].as_array().into_iter().flatten() {
            table.add(row(node, tier, told));
        }
    }
    table.text()
}

fn row(node: &Node, tier: &Value, told: &[Told]) -> [String; 13] {
    let copy = &tier["copy"];
    let held = copy.is_object();
    let state = match (held, tier["state"].as_str(), tier["reason"].as_str()) {
        (true, ..) => text(&copy["standing"]),
        (false, Some("missed"), Some("not_found")) => "-".to_owned(),
        (false, Some(state), Some(reason)) => format!("{state} ({reason})"),
        (false, state, _) => cell(state.unwrap_or_default()),
    };
    let unchanged = match copy["unchanged"].as_bool() {
        Some(true) => "yes",
        Some(false) => "no",
        None if held => "unknown",
        None => "",
    };
    let absent = if copy["kind"] == "absent" {
        " (absent)"
    } else {
        ""
    };
    let time = |name: &str| span(copy[name].as_u64());
    let encodings: Vec<String> = copy["encodings"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect();
    let filler = copy["filled_by"].as_u64().map(|number| {
        let known = told.iter().find(|told| told.node.number == number);
        known.map_or_else(|| number.to_string(), |told| told.node.name.clone())
    });
    [
        node.name.clone(),
        text(&tier["tier"]),
        state,
        cell(&text(&copy["version"])) + absent,
        cell(unchanged),
        copy["position"]
            .as_u64()
            .map_or("-".to_owned(), |position| position.to_string()),
        time("age_ms"),
        time("proof_age_ms"),
        time("soft_ttl_ms"),
        time("hard_ttl_ms"),
        bytes(copy["bytes"].as_u64()),
        cell(&encodings.join(",")),
        cell(&filler.unwrap_or_default()),
    ]
}

/// What a node knows of the key beside its copies.
fn facts(answer: &Value) -> String {
    let mut facts = vec![match answer["position"].as_u64() {
        Some(position) => format!(
            "log at {position}, proved {} ago",
            span(answer["proof_age_ms"].as_u64())
        ),
        None => "has not read the change log yet".to_owned(),
    }];
    if let Some(floor) = answer["floor"].as_str() {
        facts.push(format!("serves no version below {floor}"));
    }
    if let Some(reasons) = answer["hot"]["reasons"].as_array() {
        let reasons: Vec<String> = reasons.iter().map(text).collect();
        let room = match answer["hot"]["has_room"] == true {
            true => "",
            false => ", without room",
        };
        let age = span(answer["hot"]["age_ms"].as_u64());
        facts.push(format!("hot for {age} ({}{room})", reasons.join(", ")));
    }
    if answer["banned"] == true {
        facts.push("may not become hot".to_owned());
    }
    if let Some(class) = answer["flight"].as_str() {
        facts.push(format!("is being filled ({class})"));
    }
    let now = answer["database"]["now_ms"].as_u64();
    for tier in answer["tiers"].as_array().into_iter().flatten() {
        let copy = &tier["copy"];
        let Some(until) = copy["valid_until_ms"].as_u64() else {
            continue;
        };
        let left = now.map(|now| until.saturating_sub(now));
        let next = match copy["next"].is_object() {
            true => ", and holds what follows",
            false => "",
        };
        facts.push(format!(
            "{} changes by time alone in {}{next}",
            text(&tier["tier"]),
            span(left)
        ));
    }
    facts.join("; ")
}

#[cfg(test)]
mod tests;
