//! `hotshelf warm verify`: what the tiers of each node hold of a job's ids.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::DEADLINE;
use crate::admin::Admin;
use crate::args::WarmVerifyArgs;
use crate::exit::{INCOMPLETE, LIMIT};
use crate::output::print;
use crate::progress;

/// Counts of one tier of one node: current, outdated, missing, not to be asked.
type Counts = [u64; 4];
const NAMES: [&str; 4] = ["current", "outdated", "missing", "unavailable"];

struct NodeCoverage {
    node: String,
    keys: u64,
    absent: u64,
    tiers: BTreeMap<String, Counts>,
}

pub(super) async fn verify(args: &WarmVerifyArgs) -> anyhow::Result<ExitCode> {
    let admin = Admin::new(&args.node, DEADLINE)?;
    let job = admin
        .get(&format!("/admin/v1/warm/jobs/{}", args.job))
        .await?;
    let wanted: Vec<&str> = job["tiers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let ids = job["ids"].as_u64().unwrap_or_default();
    let step = args
        .sample
        .map_or(1, |sample| ids.div_ceil(sample.max(1)).max(1));
    let mut nodes = vec![node(&admin, args.job, ids, step).await?];
    let others = match wanted.iter().any(|tier| *tier != "l2") {
        true => Others::of(&known_nodes(&admin).await?, &job),
        false => Others::default(),
    };
    for url in &others.urls {
        nodes.push(node(&admin.at(url), args.job, ids, step).await?);
    }
    let least = nodes
        .iter()
        .flat_map(|node| {
            wanted
                .iter()
                .filter_map(|tier| Some(percent(node.tiers.get(*tier)?[0], node.keys)))
        })
        .fold(100.0, f64::min);
    let good = args.require.is_none_or(|require| least >= require);
    match args.json {
        true => print(format!(
            "{}\n",
            report(args.job, &nodes, &others.missing, least, good)
        ))?,
        false => {
            let missing = others.missing.iter();
            let missing: String = missing
                .map(|name| format!("{name}: missing, and not asked\n"))
                .collect();
            print(text(&nodes, &wanted, least, args.require) + &missing)?;
        }
    }
    Ok(match (good, others.missing.is_empty()) {
        (true, true) => ExitCode::SUCCESS,
        (true, false) => ExitCode::from(INCOMPLETE),
        (false, _) => ExitCode::from(LIMIT),
    })
}

/// The nodes of the cluster; none of an older node, which does not tell.
async fn known_nodes(admin: &Admin) -> anyhow::Result<Value> {
    match admin.get("/admin/v1/nodes").await {
        Err(refused) if refused.status == Some(404) => Ok(Value::Null),
        known => Ok(known?),
    }
}

/// The other nodes whose own tiers a job fills, as the one that was asked knows them.
#[derive(Debug, Default, PartialEq)]
struct Others {
    urls: Vec<String>,
    /// The names of those that are not there.
    missing: Vec<String>,
}

impl Others {
    fn of(known: &Value, job: &Value) -> Self {
        let named: Vec<&Value> = job["nodes"].as_array().into_iter().flatten().collect();
        let mut others = Others::default();
        for node in known["nodes"].as_array().into_iter().flatten() {
            let is_wanted = named.is_empty() || named.contains(&&node["name"]);
            if node["answering"] == true || !is_wanted {
                continue;
            }
            let text = |field: &str| node[field].as_str().unwrap_or_default().to_owned();
            match node["present"] == true {
                true => others.urls.push(text("admin")),
                false => others.missing.push(text("name")),
            }
        }
        others
    }
}

async fn node(admin: &Admin, job: u64, ids: u64, step: u64) -> anyhow::Result<NodeCoverage> {
    let mut coverage = NodeCoverage {
        node: String::new(),
        keys: 0,
        absent: 0,
        tiers: BTreeMap::new(),
    };
    let bar = progress::items(ids, "verify");
    let mut next = Some(0);
    while let Some(from) = next {
        bar.set_position(from);
        let path = format!("/admin/v1/warm/jobs/{job}/coverage?from={from}&step={step}");
        let stretch = admin.get(&path).await?;
        let count = |value: &Value| value.as_u64().unwrap_or_default();
        coverage.node = stretch["node"].as_str().unwrap_or_default().to_owned();
        coverage.keys += count(&stretch["keys"]);
        coverage.absent += count(&stretch["absent"]);
        for tier in stretch["tiers"].as_array().into_iter().flatten() {
            let name = tier["tier"].as_str().unwrap_or_default().to_owned();
            let counts = coverage.tiers.entry(name).or_default();
            for (sum, name) in counts.iter_mut().zip(NAMES) {
                *sum += count(&tier[name]);
            }
        }
        next = stretch["next"].as_u64();
    }
    bar.finish_and_clear();
    Ok(coverage)
}

/// Nothing to hold is held in full.
#[expect(clippy::cast_precision_loss, reason = "a share is for reading")]
fn percent(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 100.0,
        whole => part as f64 * 100.0 / whole as f64,
    }
}

fn text(nodes: &[NodeCoverage], wanted: &[&str], least: f64, require: Option<f64>) -> String {
    let mut text = String::new();
    for node in nodes {
        text += &format!(
            "{}: {} keys looked at, {} without a product\n",
            node.node, node.keys, node.absent
        );
        for (tier, [current, outdated, missing, unavailable]) in &node.tiers {
            let note = match wanted.contains(&tier.as_str()) {
                true => "",
                false => " (not of this job)",
            };
            text += &format!(
                "  {tier}: {:.2} % current; {outdated} outdated, {missing} missing, {unavailable} could not be asked{note}\n",
                percent(*current, node.keys),
            );
        }
    }
    if let Some(require) = require.filter(|require| least < *require) {
        text += &format!("{least:.2} % is less than the {require} % that are required\n");
    }
    text
}

fn report(job: u64, nodes: &[NodeCoverage], missing: &[String], least: f64, good: bool) -> Value {
    let nodes = nodes.iter().map(|node| {
        let tiers = node.tiers.iter().map(|(tier, counts)| {
            let counts: serde_json::Map<String, Value> = NAMES
                .iter()
                .zip(counts)
                .map(|(name, count)| ((*name).to_owned(), json!(count)))
                .collect();
            (tier.clone(), Value::Object(counts))
        });
        let tiers: serde_json::Map<String, Value> = tiers.collect();
        json!({"node": node.node, "keys": node.keys, "absent": node.absent, "tiers": tiers})
    });
    let nodes: Vec<Value> = nodes.collect();
    json!({"job": job, "least_percent": least, "good": good, "nodes": nodes, "missing": missing})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_of_the_job_that_is_missing_is_not_passed_over() {
        let node = |name: &str, present: bool, answering: bool| json!({ "name": name, "admin": format!("http://{name}:7401"), "present": present, "answering": answering });
        let known = json!({ "nodes": [node("a", true, true), node("b", true, false), node("c", false, false)] });
        let others = |nodes: Value| Others::of(&known, &json!({ "nodes": nodes }));
        let all = Others {
            urls: vec!["http://b:7401".to_owned()],
            missing: vec!["c".to_owned()],
        };
        assert_eq!(others(json!([])), all);
        let none_missing = Others {
            missing: Vec::new(),
            ..all
        };
        assert_eq!(others(json!(["a", "b"])), none_missing);
        assert_eq!(Others::of(&Value::Null, &json!({})), Others::default());
    }
}
