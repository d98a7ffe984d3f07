//! `hotshelf hot rules`: by which rules keys become hot, seen and changed in a running cluster.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use hotshelf_access_log::utc;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::DEADLINE;
use crate::admin::{self, Admin, header};
use crate::args::{DecisionArgs, HotRulesCommand};
use crate::output::{Table, print};

const PATH: &str = "/admin/v1/hot/rules";
/// The largest file of rules.
const FILE_BYTES_MAX: u64 = 1 << 20;

pub(super) fn run(command: &HotRulesCommand) -> anyhow::Result<()> {
    match command {
        HotRulesCommand::Show(args) => {
            let admin = Admin::new(&args.admin, DEADLINE)?;
            let known = admin::run(async { Ok(admin.get(PATH).await?) })?;
            match args.json {
                true => print(bare(&known)? + "\n"),
                false => print(text(&known)),
            }
        }
        HotRulesCommand::Set(args) => {
            let rules = read(&args.file)?;
            let admin = Admin::new(&args.admin, DEADLINE)?;
            let known = decide(&admin, Method::PUT, &args.decision, rules)?;
            print(text(&known))
        }
        HotRulesCommand::Clear(args) => {
            let admin = Admin::new(&args.admin, DEADLINE)?;
            let known = decide(&admin, Method::DELETE, &args.decision, Vec::new())?;
            print(text(&known))
        }
    }
}

fn decide(
    admin: &Admin,
    method: Method,
    decision: &DecisionArgs,
    body: Vec<u8>,
) -> anyhow::Result<Value> {
    let mut headers = HeaderMap::from_iter([
        header("hotshelf-reason", &decision.reason).context("--reason")?,
        header("content-type", "application/json")?,
    ]);
    if let Some(version) = decision.if_version {
        headers.extend([header("hotshelf-if-version", &version.to_string())?]);
    }
    admin::run(async { Ok(admin.send(method, PATH, headers, body).await?) })
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut read = |from: &mut dyn Read| from.take(FILE_BYTES_MAX + 1).read_to_end(&mut text);
    let read = match file.as_os_str() == "-" {
        true => read(&mut std::io::stdin().lock()),
        false => std::fs::File::open(file).and_then(|mut file| read(&mut file)),
    };
    read.with_context(|| format!("reading the rules in {}", file.display()))?;
    anyhow::ensure!(
        text.len() as u64 <= FILE_BYTES_MAX,
        "{} is larger than {FILE_BYTES_MAX} bytes",
        file.display()
    );
    Ok(text)
}

/// The rules without who set them, as they are sent.
fn bare(known: &Value) -> anyhow::Result<String> {
    let rules = json!({ "threshold": known["threshold"], "rules": known["rules"] });
    serde_json::to_string_pretty(&rules).context("printing the rules")
}

/// What people read.
fn text(known: &Value) -> String {
    let word = |value: &Value| match value {
        Value::Null => "any".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut text = match &known["set"] {
        Value::Null => format!(
            "rules of the configuration (version {})\n",
            known["version"]
        ),
        set => format!(
            "rules of version {}, set by {} at {}: {}\n",
            set["version"],
            word(&set["who"]),
            utc(set["at_ms"].as_u64().unwrap_or_default()),
            word(&set["why"]),
        ),
    };
    if let Value::String(problems) = &known["unreadable"] {
        text += &format!(
            "NOT IN FORCE: this node cannot read version {} in the database: {problems}\n",
            known["version"]
        );
    }
    text += &format!(
        "a key is hot from {} reads/s on, unless a rule speaks of it\n",
        known["threshold"]
    );
    let mut table = Table::new(["rule", "namespace", "id", "action"]);
    for rule in known["rules"].as_array().into_iter().flatten() {
        let action = match rule["threshold"].as_u64() {
            Some(threshold) => format!("from {threshold} reads/s on"),
            None => word(&rule["action"]),
        };
        table.add([
            word(&rule["name"]),
            word(&rule["namespace"]),
            word(&rule["id"]),
            action,
        ]);
    }
    text + &table.paragraph()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_shown_with_who_set_them() {
        let known = json!({
            "version": 4, "threshold": 800,
            "set": { "version": 3, "at_ms": 0, "who": "ops", "why": "the sale" },
            "unreadable": "`format`: is not a field here",
            "rules": [
                { "name": "stars", "namespace": "products", "id": "TV-.*", "action": "threshold", "threshold": 200 },
                { "name": "vouchers", "action": "never" },
            ],
        });
        let expected = "rules of version 3, set by ops at 1970-01-01T00:00:00Z: the sale\n\
            NOT IN FORCE: this node cannot read version 4 in the database: `format`: is not a field here\n\
            a key is hot from 800 reads/s on, unless a rule speaks of it\n\
            \n\
            rule      namespace  id     action\n\
            stars     products   TV-.*  from 200 reads/s on\n\
            vouchers  any        any    never\n";
        assert_eq!(text(&known), expected);
        let bare: Value = serde_json::from_str(&bare(&known).unwrap()).unwrap();
        assert_eq!(bare, json!({ "threshold": 800, "rules": known["rules"] }));
        let file = json!({ "version": 0, "threshold": 500, "rules": [] });
        assert!(
            text(&file)
                .starts_with("rules of the configuration (version 0)\na key is hot from 500")
        );
    }
}
