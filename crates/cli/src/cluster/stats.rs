//! `hotshelf stats`: what every node answers from where, from its metrics at two moments.

mod sample;

use std::process::ExitCode;

use serde_json::{Value, json};

use self::sample::{Rates, Sample};
use super::membership::{Answer, Node, Nodes, ask_all};
use crate::admin::{Admin, Refused};
use crate::args::StatsArgs;
use crate::exit::INCOMPLETE;
use crate::output::{Table, print, span};

/// The tiers that answer reads, in the order of a read.
const TIERS: [&str; 4] = ["l1", "l2", "l3", "origin"];

pub(super) async fn run(args: &StatsArgs) -> anyhow::Result<ExitCode> {
    let admin = super::asked(&args.cluster)?;
    let nodes = Nodes::of(&admin).await?.nodes;
    let measured = ask_all(&admin, &nodes, |node| measure(node, args)).await;
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

async fn measure(node: Admin, args: &StatsArgs) -> Result<Rates, Refused> {
    let sample = async || {
        let text = node.get_text("/metrics").await?;
        Ok::<_, Refused>((Sample::read(&text), tokio::time::Instant::now()))
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
    let mut table = Table::new([
        "node", "reads/s", "l1", "l2", "l3", "origin", "l2 hits", "l3 hits", "origin/s", "stale/s",
        "failed/s", "lag", "proved", "hot keys",
    ]);
    let percent = |share: Option<f64>| {
        share.map_or("-".to_owned(), |share| format!("{:.2} %", share * 100.0))
    };
    for (node, rates) in told {
        let Ok(rates) = rates else { continue };
        let rate = |rate: f64| format!("{rate:.1}");
        let [l1, l2, l3, origin] = std::array::from_fn(|at| percent(rates.share(at)));
        let [l2_hits, l3_hits] = [1, 2].map(|at| percent(rates.hit_ratio[at]));
        table.add([
            node.name.clone(),
            rate(rates.reads),
            l1,
            l2,
            l3,
            origin,
            l2_hits,
            l3_hits,
            rate(rates.origin_documents),
            rate(rates.stale),
            rate(rates.failed),
            format!("{:.0}", head_of_log - rates.position),
            span(Some(rates.proof_age_ms())),
            format!("{:.0}", rates.hot_keys),
        ]);
    }
    let mut text = table.text();
    for (node, rates) in told {
        if let Err(reason) = rates {
            text += &format!("{} at {}: {reason}\n", node.name, node.admin);
        }
    }
    text
}
