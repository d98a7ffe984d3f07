//! Requests to a node's admin listener.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method};
use serde_json::Value;

use crate::args::AdminArgs;
use crate::get::said;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A node's admin listener, and what opens it.
pub(crate) struct Admin {
    client: Client,
    node: String,
    authorization: Option<HeaderValue>,
}

impl Admin {
    pub(crate) fn new(args: &AdminArgs) -> anyhow::Result<Self> {
        Ok(Admin {
            client: client(TIMEOUT)?,
            node: args.admin.trim_end_matches('/').to_owned(),
            authorization: args.token_file.as_deref().map(bearer).transpose()?,
        })
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, HeaderMap::new(), Vec::new())
            .await
    }

    /// Sends a request and reads the JSON that answers it.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        mut headers: HeaderMap,
        body: Vec<u8>,
    ) -> anyhow::Result<Value> {
        headers.extend(
            self.authorization
                .clone()
                .map(|value| (AUTHORIZATION, value)),
        );
        let request = self.client.request(method, format!("{}{path}", self.node));
        let answer = request.headers(headers).body(body).send().await;
        let answer = answer.with_context(|| {
            format!(
                "asking the node whose admin listener is {} (is it running? `--admin` names another)",
                self.node
            )
        })?;
        let status = answer.status();
        let body = answer.bytes().await.context("reading the answer")?;
        if !status.is_success() {
            bail!("the node answered {status}: {}", said(&body));
        }
        serde_json::from_slice(&body)
            .context("the answer is not JSON: is this a node's admin listener?")
    }
}

/// A client that gives up after `timeout`.
pub(crate) fn client(timeout: Duration) -> anyhow::Result<Client> {
    // The client wants a TLS provider even for a plain URL.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    Client::builder()
        .timeout(timeout)
        .build()
        .context("preparing the request")
}

/// Runs what talks to a node, in this thread.
pub(crate) fn run<T>(talk: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting")?;
    runtime.block_on(talk)
}

/// A header of a request, from what somebody wrote.
pub(crate) fn header(name: &'static str, text: &str) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let value = HeaderValue::from_bytes(text.as_bytes());
    let value = value.with_context(|| format!("`{text}` has line breaks or control characters"))?;
    Ok((HeaderName::from_static(name), value))
}

fn bearer(file: &std::path::Path) -> anyhow::Result<HeaderValue> {
    let token = std::fs::read_to_string(file)
        .with_context(|| format!("reading the token in {}", file.display()))?;
    let value = HeaderValue::try_from(format!("Bearer {}", token.trim()));
    let mut value = value.with_context(|| format!("{} holds no token", file.display()))?;
    value.set_sensitive(true);
    Ok(value)
}
