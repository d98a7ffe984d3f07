//! `hotshelf pin` and `hotshelf switch`: what operators decide in a running cluster.

mod pins;
mod switches;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use hotshelf_access_log::utc;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};

use crate::admin::{self, Admin, header};
use crate::args::{AdminArgs, DecisionArgs, ExpiryArgs, PinCommand, SwitchCommand};

/// Pins are weighed by reading them.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn pin(command: &PinCommand) -> anyhow::Result<ExitCode> {
    match command {
        PinCommand::Add(args) => pins::add(args)?,
        PinCommand::Rm(args) => pins::rm(args)?,
        PinCommand::List(args) => pins::list(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn switch(command: &SwitchCommand) -> anyhow::Result<ExitCode> {
    match command {
        SwitchCommand::List(args) => switches::list(args)?,
        SwitchCommand::Set(args) => switches::set(args)?,
        SwitchCommand::Clear(args) => switches::clear(args)?,
        SwitchCommand::History(args) => switches::history(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Sends a decision; the answer has all that is decided.
fn decide(
    admin: &AdminArgs,
    method: Method,
    path: &str,
    decision: &DecisionArgs,
    body: &Value,
) -> anyhow::Result<Value> {
    let mut headers = HeaderMap::from_iter([
        header("hotshelf-reason", &decision.reason).context("--reason")?,
        header("content-type", "application/json")?,
    ]);
    if let Some(version) = decision.if_version {
        headers.extend([header("hotshelf-if-version", &version.to_string())?]);
    }
    let admin = Admin::new(admin, DEADLINE)?;
    let body = body.to_string().into_bytes();
    admin::run(async { Ok(admin.send(method, path, headers, body).await?) })
}

/// Asks what is decided.
fn ask(admin: &AdminArgs, path: &str) -> anyhow::Result<Value> {
    let admin = Admin::new(admin, DEADLINE)?;
    admin::run(async { Ok(admin.get(path).await?) })
}

/// The fields of a body that say until when.
fn expiry(args: ExpiryArgs) -> Map<String, Value> {
    let lasts = args
        .lasts
        .map(|lasts| u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX));
    let fields = [
        ("for_ms", lasts.map(|ms| json!(ms))),
        ("until_ms", args.until.map(|ms| json!(ms))),
        ("no_expiry", args.no_expiry.then_some(json!(true))),
    ];
    let said = fields.into_iter();
    said.filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

/// When a decision ends, for people.
fn until(decided: &Value, now_ms: u64) -> String {
    match decided["until_ms"].as_u64() {
        None => "until somebody ends it".to_owned(),
        Some(until) => {
            let minutes = until.saturating_sub(now_ms).div_ceil(60_000);
            format!("{} ({minutes} min)", utc(until))
        }
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn yes(value: &Value) -> String {
    if value == true { "yes" } else { "NO" }.to_owned()
}

/// What is wrong with a version that the node cannot read.
fn unreadable(told: &Value) -> String {
    match &told["unreadable"] {
        Value::String(problem) => format!(
            "NOT IN FORCE: this node cannot read version {} in the database: {problem}\n",
            told["version"]
        ),
        _ => String::new(),
    }
}
