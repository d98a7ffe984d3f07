//! Requests to admin listeners.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Method};
use serde_json::Value;

use crate::args::AdminArgs;
use crate::get::said;

/// A node's admin listener, and what opens it.
#[derive(Clone)]
pub(crate) struct Admin {
    client: Client,
    url: String,
    deadline: Duration,
}

/// Why there is no answer that can be used.
#[derive(Debug)]
pub(crate) struct Refused {
    url: String,
    /// What the node answered; nothing when it was not heard.
    pub(crate) status: Option<u16>,
    pub(crate) reason: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asking the node at {}: {}", self.url, self.reason)?;
        match self.status {
            Some(_) => Ok(()),
            None => f.write_str(" (is it running? `--admin` names another)"),
        }
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// Whether the same request may succeed in a while.
    pub(crate) fn is_passing(&self) -> bool {
        self.status.is_none_or(|status| status >= 500)
    }
}

impl Admin {
    /// The node that the arguments name, which has `deadline` for each answer.
    pub(crate) fn new(args: &AdminArgs, deadline: Duration) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::new();
        if let Some(token) = token(args)? {
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            // The text of the failure would be of the token.
            let mut value =
                value.map_err(|_invalid| anyhow!("the token is not one line of text"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = client(deadline).default_headers(headers);
        // The token is for nodes and nobody whom they name.
        let client = client.redirect(Policy::none()).build();
        Ok(Admin {
            client: client.context("preparing the requests")?,
            url: args.admin.trim_end_matches('/').to_owned(),
            deadline,
        })
    }

    /// Another node of the cluster, which the same token opens.
    pub(crate) fn at(&self, url: &str) -> Self {
        Admin {
            url: url.trim_end_matches('/').to_owned(),
            ..self.clone()
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The JSON that answers.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Refused> {
        self.send(Method::GET, path, HeaderMap::new(), Vec::new())
            .await
    }

    /// Posts JSON, and reads the JSON that answers.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Refused> {
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, json)]);
        self.send(Method::POST, path, headers, body.to_string().into_bytes())
            .await
    }

    /// Sends a request, and reads the JSON that answers.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Value, Refused> {
        let text = self.talk(method, path, headers, body).await?;
        serde_json::from_str(&text).map_err(|_broken| {
            let reason = "the answer is not JSON: is this a node's admin listener?";
            self.refused(Some(200), reason.to_owned())
        })
    }

    /// The text that answers.
    pub(crate) async fn get_text(&self, path: &str) -> Result<String, Refused> {
        self.talk(Method::GET, path, HeaderMap::new(), Vec::new())
            .await
    }

    async fn talk(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<String, Refused> {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let answer = request.headers(headers).body(body).send().await;
        let answer = answer.map_err(|error| self.unheard(&error))?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| self.unheard(&error))?;
        match status.is_success() {
            true => Ok(String::from_utf8_lossy(&body).into_owned()),
            false => {
                let reason = format!("{}: {}", status.as_u16(), said(&body));
                Err(self.refused(Some(status.as_u16()), reason))
            }
        }
    }

    fn unheard(&self, error: &reqwest::Error) -> Refused {
        let reason = match (error.is_timeout(), error.is_connect(), error.is_builder()) {
            (true, ..) => format!("no answer within {:?}", self.deadline),
            (_, true, _) => "no connection".to_owned(),
            (.., true) => "this is no URL of a node".to_owned(),
            _ => "the connection broke".to_owned(),
        };
        self.refused(None, reason)
    }

    fn refused(&self, status: Option<u16>, reason: String) -> Refused {
        Refused {
            url: self.url.clone(),
            status,
            reason,
        }
    }
}

/// The token, from where the command line says or from the environment.
fn token(args: &AdminArgs) -> anyhow::Result<Option<String>> {
    let Some(file) = &args.token_file else {
        return Ok(args.token.clone().filter(|token| !token.is_empty()));
    };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("reading the token in {}", file.display()))?;
    match text.trim() {
        "" => bail!("{} holds no token", file.display()),
        token => Ok(Some(token.to_owned())),
    }
}

/// What makes a client that gives up after `deadline`.
pub(crate) fn client(deadline: Duration) -> ClientBuilder {
    // The client wants a TLS provider even for a plain URL.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    Client::builder().timeout(deadline)
}

/// Runs what talks to nodes, in this thread.
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
