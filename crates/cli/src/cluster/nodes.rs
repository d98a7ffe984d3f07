//! `hotshelf nodes`: the nodes of the cluster.

use std::process::ExitCode;

use super::INCOMPLETE;
use super::client::{Client, Node, Nodes};
use super::table::{cell, head, span, table};
use crate::args::NodesArgs;
use crate::output::print;

pub(super) async fn run(args: &NodesArgs) -> anyhow::Result<ExitCode> {
    let nodes = Client::new(&args.cluster)?.nodes().await?;
    match args.json {
        true => print(format!("{}\n", nodes.json))?,
        false => print(told(&nodes))?,
    }
    Ok(match nodes.nodes.iter().all(|node| node.present) {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(INCOMPLETE),
    })
}

fn told(nodes: &Nodes) -> String {
    let mut rows = vec![head(&[
        "node", "state", "version", "seen", "admin", "number",
    ])];
    let row = |node: &Node| {
        let state = match (node.answering, node.present) {
            (true, _) => "answers",
            (false, true) => "present",
            (false, false) => "missing",
        };
        vec![
            node.name.clone(),
            state.to_owned(),
            cell(&node.version),
            node.seen_ms_ago
                .map_or("-".to_owned(), |ms| span(Some(ms)) + " ago"),
            cell(&node.admin),
            node.number.to_string(),
        ]
    };
    rows.extend(nodes.nodes.iter().map(row));
    let mut text = table(&rows);
    if nodes.source != "database" {
        text += "the database does not answer: these are the nodes that it told of last\n";
    }
    text
}
