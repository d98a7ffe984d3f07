//! The nodes of a cluster as one of them knows them, and a question to all of them.

use anyhow::Context;
use futures_util::future::join_all;
use serde_json::Value;

use crate::admin::{Admin, Refused};
use crate::output::span;

/// A node that the cluster knows of.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) number: u64,
    pub(super) admin: String,
    pub(super) version: String,
    pub(super) seen_ms_ago: Option<u64>,
    pub(super) present: bool,
    pub(super) answering: bool,
}

/// The nodes that the asked node knows of.
pub(super) struct Nodes {
    /// Who says so: `database`, or `memory` when that does not answer.
    pub(super) source: String,
    pub(super) nodes: Vec<Node>,
    /// As the node told them.
    pub(super) json: Value,
}

/// What became of a question to one node.
pub(super) type Answer<T> = Result<T, String>;

impl Nodes {
    /// The nodes of the cluster, as the node that the command names knows them.
    pub(super) async fn of(admin: &Admin) -> anyhow::Result<Self> {
        let json = admin.get("/admin/v1/nodes").await?;
        let nodes = json["nodes"]
            .as_array()
            .context("the node's answer names no nodes")?;
        Ok(Nodes {
            source: text(&json["source"]),
            nodes: nodes.iter().map(|json| Node::of(json, admin)).collect(),
            json,
        })
    }
}

impl Node {
    fn of(json: &Value, asked: &Admin) -> Self {
        let answering = json["answering"] == true;
        Node {
            name: text(&json["name"]),
            number: json["number"].as_u64().unwrap_or_default(),
            // The one that was asked is reached where it was asked, whatever it says.
            admin: match answering {
                true => asked.url().to_owned(),
                false => text(&json["admin"]),
            },
            version: text(&json["version"]),
            seen_ms_ago: json["seen_ms_ago"].as_u64(),
            present: json["present"] == true,
            answering,
        }
    }
}

/// Asks every node that is there at once; of the others it is said since when they are missing.
pub(super) async fn ask_all<T, F>(
    admin: &Admin,
    nodes: &[Node],
    ask: impl Fn(Admin) -> F,
) -> Vec<Answer<T>>
where
    F: Future<Output = Result<T, Refused>>,
{
    let asked = nodes.iter().map(|node| {
        let asking = node.present.then(|| ask(admin.at(&node.admin)));
        async move {
            match asking {
                Some(asking) => asking.await.map_err(|refused| refused.reason),
                None => Err(format!("missing for {}", span(node.seen_ms_ago))),
            }
        }
    });
    join_all(asked).await
}

/// A text of an answer; empty when it is none.
pub(super) fn text(json: &Value) -> String {
    json.as_str().unwrap_or_default().to_owned()
}
