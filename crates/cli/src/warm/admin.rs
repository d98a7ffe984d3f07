//! Requests to the admin listener of a node.

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

use crate::args::WarmNodeArgs;

/// A plan reads the database, and a body may hold a million ids.
const TIMEOUT: Duration = Duration::from_mins(2);

pub(super) struct Admin {
    client: reqwest::Client,
    url: String,
    token: Option<String>,
}

/// Why there is no answer that can be used.
#[derive(Debug)]
pub(super) struct Refused {
    status: Option<StatusCode>,
    said: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// Whether the same request may succeed in a while.
    pub(super) fn is_passing(&self) -> bool {
        self.status.is_none_or(|status| status.is_server_error())
    }
}

impl Admin {
    pub(super) fn new(args: &WarmNodeArgs) -> anyhow::Result<Self> {
        // The client wants a TLS provider even for a plain URL.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .build()
            .context("preparing the request")?;
        let token = match &args.token_file {
            Some(path) => {
                let text = std::fs::read_to_string(path);
                let text = text.with_context(|| format!("reading {}", path.display()))?;
                Some(text.trim().to_owned())
            }
            None => args.token.clone(),
        };
        Ok(Admin {
            client,
            url: args.url.trim_end_matches('/').to_owned(),
            token,
        })
    }

    /// Whether the node has no such route, or knows of no such thing.
    pub(super) fn is_unknown(refused: &Refused) -> bool {
        refused.status == Some(StatusCode::NOT_FOUND)
    }

    /// The same for another node.
    pub(super) fn at(&self, url: &str) -> Self {
        Admin {
            client: self.client.clone(),
            url: url.trim_end_matches('/').to_owned(),
            token: self.token.clone(),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Refused> {
        let request = self.client.get(format!("{}{path}", self.url));
        self.send(request).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Refused> {
        let request = self.client.post(format!("{}{path}", self.url));
        self.send(request.json(body)).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Value, Refused> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let unheard = |error: reqwest::Error| Refused {
            status: None,
            said: format!("the node at {} does not answer: {error}", self.url),
        };
        let answer = request.send().await.map_err(unheard)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unheard)?;
        if status.is_success() {
            return Ok(serde_json::from_slice(&body).unwrap_or_default());
        }
        Err(Refused {
            status: Some(status),
            said: format!("the node answered {status}: {}", crate::get::said(&body)),
        })
    }
}
