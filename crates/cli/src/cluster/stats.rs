//! `hotshelf stats`: what every node answers from where, from its metrics at two moments.

mod sample;

use std::process::ExitCode;

use serde_json::{Value, json};

use self::sample::{Rates, Sample};
use super::INCOMPLETE;
use super::client::{Answer, Client, Node};
use super::table::{head, span, table};
use crate::args::StatsArgs;
use crate::output::print;

/// The tiers that answer reads, in the order of a read.
const TIERS: [&str; 4] = ["l1", "l2", "l3", "origin"];

pub(super) async fn run(args: &StatsArgs) -> anyhow::Result<ExitCode> {
    let client = Client::new(&args.cluster)?;
    let nodes = client.nodes().await?.nodes;
    let measured = client
        .ask_all(&nodes, |node| measure(&client, node, args))
        .await;
    let told: Vec<(&Node, Answer<Rates>)> = nodes.iter().zip(measured).collect();
    match args.json {
        true => print(format!("{}\n", all_json(&told)))?,
        false => print(all_text(&told))?,
    }
    Ok(match told.iter().all(|(_, rates)| rates.is_ok()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(INCOMPLETE),
    })
}

async fn measure(client: &Client, node: &Node, args: &StatsArgs) -> Answer<Rates> {
    let sample = async || {
        let text = client.get_text(&node.admin, "/metrics").await?;
        Ok::<_, String>((Sample::read(&text), tokio::time::Instant::now()))
    };
    let (before, at) = sample().await?;
    tokio::time::sleep(args.over).await;
    let (after, now) = sample().await?;
    Ok(Rates::between(&before, &after, now.duration_since(at)))
}

/// The furthest that some node has followed the change log.
fn head_position(told: &[(&Node, Answer<Rates>)]) -> f64 {
    let positions = told.iter().filter_map(|(_, rates)| rates.as_ref().ok());
    positions.map(|rates| rates.position).fold(0.0, f64::max)
}

fn all_json(told: &[(&Node, Answer<Rates>)]) -> Value {
    let head = head_position(told);
    let tier = |rates: &Rates, at: usize| {
        json!({
            "tier": TIERS[at],
            "answers_per_s": rates.answers[at],
            "answers_share": rates.share(at),
            "hit_ratio": rates.hit_ratio[at],
        })
    };
    let node = |(node, rates): &(&Node, Answer<Rates>)| match rates {
        Ok(rates) => json!({
            "node": node.name,
            "reads_per_s": rates.reads,
            "failed_per_s": rates.failed,
            "stale_per_s": rates.stale,
            "origin_documents_per_s": rates.origin_documents,
            "tiers": (0..TIERS.len()).map(|at| tier(rates, at)).collect::<Vec<Value>>(),
            "log_position": rates.position,
            "log_lag": head - rates.position,
            "proof_age_ms": rates.proof_age_ms(),
            "hot_keys": rates.hot_keys,
        }),
        Err(reason) => json!({ "node": node.name, "no_answer": reason }),
    };
    json!({ "nodes": told.iter().map(node).collect::<Vec<Value>>() })
}

fn all_text(told: &[(&Node, Answer<Rates>)]) -> String {
    let head_of_log = head_position(told);
    let mut rows = vec![head(&[
        "node", "reads/s", "l1", "l2", "l3", "origin", "l2 hits", "l3 hits", "origin/s", "stale/s",
        "failed/s", "lag", "proved", "hot keys",
    ])];
    let percent = |share: Option<f64>| {
        share.map_or("-".to_owned(), |share| format!("{:.2} %", share * 100.0))
    };
    for (node, rates) in told {
        let Ok(rates) = rates else { continue };
        let rate = |rate: f64| format!("{rate:.1}");
        let mut row = vec![node.name.clone(), rate(rates.reads)];
        row.extend((0..TIERS.len()).map(|at| percent(rates.share(at))));
        row.extend([1, 2].map(|at| percent(rates.hit_ratio[at])));
        row.extend([rates.origin_documents, rates.stale, rates.failed].map(rate));
        row.push(format!("{:.0}", head_of_log - rates.position));
        row.push(span(Some(rates.proof_age_ms())));
        row.push(format!("{:.0}", rates.hot_keys));
        rows.push(row);
    }
    let mut text = table(&rows);
    for (node, rates) in told {
        if let Err(reason) = rates {
            text += &format!("{} at {}: {reason}\n", node.name, node.admin);
        }
    }
    text
}
