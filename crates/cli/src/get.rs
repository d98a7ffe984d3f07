//! `hotshelf get`: one document from a running node.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::StatusCode;

use crate::admin;
use crate::args::GetArgs;
use crate::exit::NOT_FOUND;

const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &GetArgs) -> anyhow::Result<ExitCode> {
    admin::run(get(args))
}

async fn get(args: &GetArgs) -> anyhow::Result<ExitCode> {
    let client = admin::client(TIMEOUT).build();
    let client = client.context("preparing the request")?;
    let id = utf8_percent_encode(&args.id, NON_ALPHANUMERIC);
    let mut url = format!(
        "{}/v1/{}/{id}",
        args.node.trim_end_matches('/'),
        args.namespace
    );
    for (at, (name, value)) in args.variant.iter().enumerate() {
        url.push(if at == 0 { '?' } else { '&' });
        url.push_str(&format!(
            "{name}={}",
            utf8_percent_encode(value, NON_ALPHANUMERIC)
        ));
    }
    let answer = client.get(&url).send().await.with_context(|| {
        format!(
            "asking the node at {} (is it running? `hotshelf serve` starts one)",
            args.node
        )
    })?;
    let status = answer.status();
    if args.headers {
        eprintln!("{status}");
        for (name, value) in answer.headers() {
            eprintln!("{name}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
    }
    let body = answer.bytes().await.context("reading the answer")?;
    if status == StatusCode::OK {
        let mut out = std::io::stdout().lock();
        out.write_all(&body)
            .and_then(|()| out.write_all(b"\n"))
            .context("writing the document")?;
        return Ok(ExitCode::SUCCESS);
    }
    if status == StatusCode::NOT_FOUND && code(&body) == "absent" {
        eprintln!("{}", said(&body));
        return Ok(ExitCode::from(NOT_FOUND));
    }
    bail!("the node answered {status}: {}", said(&body))
}

/// The code by which programs tell problems apart.
fn code(body: &[u8]) -> String {
    let problem: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    problem["code"].as_str().unwrap_or_default().to_owned()
}

/// What a problem body says, as one line.
pub(crate) fn said(body: &[u8]) -> String {
    let problem: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let detail = problem["detail"]
        .as_str()
        .or(problem["title"].as_str())
        .unwrap_or("no details")
        .to_owned();
    let errors = problem["errors"].as_array().into_iter().flatten();
    let errors = errors.filter_map(|error| {
        Some(format!(
            "; {}: {}",
            error["field"].as_str()?,
            error["reason"].as_str()?
        ))
    });
    detail + &errors.collect::<String>()
}
