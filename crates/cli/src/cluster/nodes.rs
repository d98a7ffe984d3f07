//! `hotshelf nodes`: the nodes of the cluster.

use std::process::ExitCode;

use super::membership::{Node, Nodes};
use crate::args::NodesArgs;
use crate::exit::INCOMPLETE;
use crate::output::{Table, cell, print, span};

pub(super) async fn run(args: &NodesArgs) -> anyhow::Result<ExitCode> {
    let nodes = Nodes::of(&super::asked(&args.cluster)?).await?;
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
    let mut table = Table::new(["node", "state", "version", "seen", "admin", "number"]);
    let row = |node: &Node| {
        let state = match (node.answering, node.present) {
            (true, _) => "answers",
            (false, true) => "present",
            (false, false) => "missing",
        };
        [
            node.name.clone(),
            state.to_owned(),
            cell(&node.version),
            node.seen_ms_ago
                .map_or("-".to_owned(), |ms| span(Some(ms)) + " ago"),
            cell(&node.admin),
            node.number.to_string(),
        ]
    };
    for node in &nodes.nodes {
        table.add(row(node));
    }
    let mut text = table.text();
    if nodes.source != "database" {
        text += "the database does not answer: these are the nodes that it told of last\n";
    }
    text
}
