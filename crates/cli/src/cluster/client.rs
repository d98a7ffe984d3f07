//! Requests to admin listeners, and the nodes that one of them knows of.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use futures_util::future::join_all;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use serde_json::Value;

use crate::args::ClusterArgs;
use crate::get::said;

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

/// Asks admin listeners.
pub(super) struct Client {
    http: reqwest::Client,
    node: String,
    deadline: Duration,
}

impl Client {
    pub(super) fn new(args: &ClusterArgs) -> anyhow::Result<Self> {
        // The client wants a TLS provider even for a plain URL.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let mut headers = HeaderMap::new();
        if let Some(token) = token(args)? {
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            // The text of the failure would be of the token.
            let mut value =
                value.map_err(|_invalid| anyhow!("the token is not one line of text"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .timeout(args.deadline)
            // The token is for nodes and nobody whom they name.
            .redirect(Policy::none())
            .build()
            .context("preparing the requests")?;
        Ok(Client {
            http,
            node: args.admin.trim_end_matches('/').to_owned(),
            deadline: args.deadline,
        })
    }

    /// The nodes of the cluster, as the node that the command names knows them.
    pub(super) async fn nodes(&self) -> anyhow::Result<Nodes> {
        let json = self.get(&self.node, "/admin/v1/nodes").await;
        let json = json.map_err(|reason| {
            let node = &self.node;
            anyhow!("asking the node at {node}: {reason} (`--admin` names another)")
        })?;
        let nodes = json["nodes"]
            .as_array()
            .context("the node's answer names no nodes")?;
        Ok(Nodes {
            source: text(&json["source"]),
            nodes: nodes.iter().map(|json| self.node(json)).collect(),
            json,
        })
    }

    fn node(&self, json: &Value) -> Node {
        let answering = json["answering"] == true;
        Node {
            name: text(&json["name"]),
            number: json["number"].as_u64().unwrap_or_default(),
            // The one that was asked is reached where it was asked, whatever it says.
            admin: match answering {
                true => self.node.clone(),
                false => text(&json["admin"]),
            },
            version: text(&json["version"]),
            seen_ms_ago: json["seen_ms_ago"].as_u64(),
            present: json["present"] == true,
            answering,
        }
    }

    /// Asks every node that is there at once; of the others it is said since when they are missing.
    pub(super) async fn ask_all<'n, T, F>(
        &self,
        nodes: &'n [Node],
        ask: impl Fn(&'n Node) -> F,
    ) -> Vec<Answer<T>>
    where
        F: Future<Output = Answer<T>>,
    {
        let asked = nodes.iter().map(|node| {
            let asking = node.present.then(|| ask(node));
            async move {
                match asking {
                    Some(asking) => asking.await,
                    None => Err(format!(
                        "missing for {}",
                        super::table::span(node.seen_ms_ago)
                    )),
                }
            }
        });
        join_all(asked).await
    }

    /// A node's JSON answer.
    pub(super) async fn get(&self, node: &str, path: &str) -> Answer<Value> {
        let body = self.get_text(node, path).await?;
        serde_json::from_str(&body).map_err(|_broken| "the answer is not JSON".to_owned())
    }

    /// A node's answer.
    pub(super) async fn get_text(&self, node: &str, path: &str) -> Answer<String> {
        self.send(self.http.get(format!("{node}{path}"))).await
    }

    /// Posts JSON to the node that the command names.
    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.http.post(format!("{}{path}", self.node));
        let request = request
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string());
        let answer = self.send(request).await;
        let answer =
            answer.map_err(|reason| anyhow!("asking the node at {}: {reason}", self.node))?;
        serde_json::from_str(&answer).context("reading the answer")
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer<String> {
        let answer = request.send().await.map_err(|error| self.reason(&error))?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| self.reason(&error))?;
        match status.is_success() {
            true => Ok(String::from_utf8_lossy(&body).into_owned()),
            false => Err(format!("{}: {}", status.as_u16(), said(&body))),
        }
    }

    fn reason(&self, error: &reqwest::Error) -> String {
        match (error.is_timeout(), error.is_connect()) {
            (true, _) => format!("no answer within {:?}", self.deadline),
            (false, true) => "no connection".to_owned(),
            (false, false) => "the connection broke".to_owned(),
        }
    }
}

/// The token, from where the command line says or from the environment.
fn token(args: &ClusterArgs) -> anyhow::Result<Option<String>> {
    let Some(file) = &args.token_file else {
        return Ok(args.token.clone());
    };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("reading the token from {}", file.display()))?;
    let token = text.trim();
    if token.is_empty() {
        bail!("{} holds no token", file.display());
    }
    Ok(Some(token.to_owned()))
}

/// A text of an answer; empty when it is none.
pub(super) fn text(json: &Value) -> String {
    json.as_str().unwrap_or_default().to_owned()
}
