//! `hotshelf invalidate`: makes every node fetch documents anew.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::args::InvalidateArgs;
use crate::output::print;

/// Changes of one request: fewer than a node takes unless it is configured otherwise.
const CHANGES_MAX: usize = 1000;

pub(super) async fn run(args: &InvalidateArgs) -> anyhow::Result<ExitCode> {
    let admin = super::asked(&args.cluster)?;
    let path = match args.wait {
        true => "/admin/v1/changes?wait=applied",
        false => "/admin/v1/changes",
    };
    let mut versions = Vec::new();
    for body in bodies(args) {
        let answer = admin.post(path, &body).await?;
        let given = ["versions", "bumps"].map(|kind| answer[kind].as_array().cloned());
        versions.extend(given.into_iter().flatten().flatten());
    }
    match args.json {
        true => print(format!("{}\n", json(args, &versions)))?,
        false => print(told(args, &versions))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is posted: the changes in portions, or the bump of a namespace.
fn bodies(args: &InvalidateArgs) -> Vec<Value> {
    if args.ids.is_empty() {
        return vec![json!({ "bump": [namespace(args)] })];
    }
    let namespace = namespace(args);
    let change = |id: &String| json!({ "namespace": namespace, "id": id });
    let portions = args.ids.chunks(CHANGES_MAX);
    let body =
        |ids: &[String]| json!({ "changes": ids.iter().map(change).collect::<Vec<Value>>() });
    portions.map(body).collect()
}

fn namespace(args: &InvalidateArgs) -> &str {
    args.namespace.as_deref().unwrap_or("products")
}

fn status(args: &InvalidateArgs) -> &'static str {
    if args.wait { "applied" } else { "recorded" }
}

fn json(args: &InvalidateArgs, versions: &[Value]) -> Value {
    json!({ "status": status(args), "namespace": namespace(args), "ids": args.ids, "versions": versions })
}

fn told(args: &InvalidateArgs, versions: &[Value]) -> String {
    let (namespace, status) = (namespace(args), status(args));
    let version = |version: &Value| version.as_str().unwrap_or_default().to_owned();
    if args.ids.is_empty() {
        let version = versions.first().map(version).unwrap_or_default();
        return format!("{status}: every document of {namespace}, bump {version}\n");
    }
    let lines = args.ids.iter().zip(versions);
    lines
        .map(|(id, given)| format!("{status}: {namespace}/{id}, version {}\n", version(given)))
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    fn args(words: &[&str]) -> InvalidateArgs {
        let args = Args::try_parse_from([&["hotshelf", "invalidate"], words].concat());
        match args.unwrap().command {
            Command::Invalidate(args) => Some(args),
            _ => None,
        }
        .unwrap()
    }

    #[test]
    fn ids_are_posted_in_portions_and_a_namespace_alone_as_a_bump() {
        let ids: Vec<String> = (0..CHANGES_MAX + 1).map(|id| format!("id-{id}")).collect();
        let words: Vec<&str> = ids.iter().map(String::as_str).collect();
        let posted = bodies(&args(&words));
        let counts: Vec<usize> = posted
            .iter()
            .map(|body| body["changes"].as_array().unwrap().len())
            .collect();
        assert_eq!(counts, [CHANGES_MAX, 1]);
        assert_eq!(
            posted[1]["changes"][0],
            json!({ "namespace": "products", "id": "id-1000" })
        );
        assert_eq!(
            bodies(&args(&["--namespace", "cards"])),
            [json!({ "bump": ["cards"] })]
        );
        let both = bodies(&args(&["a", "--namespace", "cards"]));
        assert_eq!(
            both,
            [json!({ "changes": [{ "namespace": "cards", "id": "a" }] })]
        );
    }

    #[test]
    fn nothing_at_all_is_refused() {
        assert!(Args::try_parse_from(["hotshelf", "invalidate"]).is_err());
    }
}
