//! `hotshelf warm verify`: what the tiers of each node hold of a job's ids.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::DEADLINE;
use crate::admin::Admin;
use crate::args::WarmVerifyArgs;
use crate::exit::LIMIT;
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
    for url in others(&admin, &job, &wanted).await? {
        nodes.push(node(&admin.at(&url), args.job, ids, step).await?);
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
        true => print(format!("{}\n", report(args.job, &nodes, least, good)))?,
        false => print(text(&nodes, &wanted, least, args.require))?,
    }
    Ok(match good {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(LIMIT),
    })
}

/// The other nodes whose own tiers the job fills, as the one that was asked knows them.
async fn others(admin: &Admin, job: &Value, wanted: &[&str]) -> anyhow::Result<Vec<String>> {
    if !wanted.iter().any(|tier| *tier != "l2") {
        return Ok(Vec::new());
    }
    let known = match admin.get("/admin/v1/nodes").await {
        Err(refused) if refused.status == Some(404) => Value::Null,
        known => known?,
    };
    let named: Vec<&Value> = job["nodes"].as_array().into_iter().flatten().collect();
    let others = known["nodes"].as_array().into_iter().flatten();
    let others = others.filter(|node| {
        let is_wanted = named.is_empty() || named.contains(&&node["name"]);
        node["answering"] != true && node["present"] == true && is_wanted
    });
    let urls = others.filter_map(|node| node["admin"].as_str().map(str::to_owned));
    Ok(urls.collect())
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

fn report(job: u64, nodes: &[NodeCoverage], least: f64, good: bool) -> Value {
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
    json!({"job": job, "least_percent": least, "good": good, "nodes": nodes})
}
