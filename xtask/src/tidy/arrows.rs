//! The arrows between our crates: who may depend on whom.

use std::path::Path;

use super::Finding;

/// Who a package may depend on, besides `testkit` in its tests.
enum Allowed {
    These(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

/// Packages by their name without `hotshelf-`; a name that ends in `-` stands for all that begin so.
const TABLE: [(&str, Allowed); 24] = {
    use Allowed::{AllBut, These};
    [
        ("model", These(&[])),
        ("coherence", These(&["model"])),
        ("hotkeys", These(&["model"])),
        ("config", These(&["model", "hotkeys"])),
        ("catalogue", These(&["model"])),
        ("telemetry", These(&["model"])),
        ("testkit", These(&["model"])),
        ("sim", These(&["model"])),
        ("engine", These(&["model", "coherence", "telemetry"])),
        ("tier-", These(&["model", "telemetry"])),
        ("origin-", These(&["model", "telemetry"])),
        ("bus-", These(&["model", "telemetry"])),
        ("access-log", These(&["model", "telemetry"])),
        ("decisions", These(&["model", "engine", "telemetry"])),
        (
            "promotion",
            These(&[
                "model",
                "hotkeys",
                "engine",
                "decisions",
                "access-log",
                "telemetry",
            ]),
        ),
        ("load", These(&["model", "access-log"])),
        ("warm", These(&["model", "engine"])),
        (
            "http-api",
            These(&[
                "model",
                "hotkeys",
                "engine",
                "decisions",
                "promotion",
                "warm",
                "telemetry",
            ]),
        ),
        (
            "hotshelf",
            These(&[
                "model",
                "engine",
                "coherence",
                "telemetry",
                "access-log",
                "promotion",
                "bus-",
                "origin-",
                "tier-",
            ]),
        ),
        (
            "node",
            AllBut(&["cli", "hotshelf", "testkit", "tests", "benches", "xtask"]),
        ),
        (
            "cli",
            These(&[
                "node",
                "config",
                "catalogue",
                "access-log",
                "hotkeys",
                "load",
                "model",
                "origin-sql",
                "telemetry",
                "http-api",
            ]),
        ),
        ("tests", AllBut(&["benches", "xtask"])),
        ("benches", AllBut(&["tests", "xtask"])),
        ("xtask", These(&[])),
    ]
};

/// What any package may use in its tests, beyond its own arrows.
const IN_TESTS: &str = "testkit";

/// What one package may use in its tests alone: the simulation runs engines, and what judges it knows none.
const IN_ITS_TESTS: (&str, &str) = ("sim", "engine");

/// Compares what `cargo metadata` says of the workspace's members with the table.
pub(super) fn check(metadata: &serde_json::Value) -> Vec<Finding> {
    let root = metadata["workspace_root"].as_str().unwrap_or_default();
    let mut findings = Vec::new();
    for package in members(metadata) {
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let manifest = Path::new(manifest).strip_prefix(root).map_or_else(
            |_| manifest.to_owned(),
            |inside| inside.display().to_string(),
        );
        let from = short(package["name"].as_str().unwrap_or_default());
        let messages = match row(from) {
            Some(allowed) => broken(from, allowed, package),
            None => vec![format!(
                "`{from}` is not in the table of xtask/src/tidy/arrows.rs"
            )],
        };
        findings.extend(
            messages
                .into_iter()
                .map(|message| Finding::new(&manifest, 1, message)),
        );
    }
    findings
}

/// The packages of this workspace.
fn members(metadata: &serde_json::Value) -> impl Iterator<Item = &serde_json::Value> {
    let members = metadata["workspace_members"].as_array();
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(move |package| members.is_some_and(|members| members.contains(&package["id"])))
}

fn broken(from: &str, allowed: &Allowed, package: &serde_json::Value) -> Vec<String> {
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    dependencies
        .filter(|dependency| dependency["path"].is_string())
        .filter_map(|dependency| {
            let to = short(dependency["name"].as_str()?);
            let for_tests = to == IN_TESTS || (from, to) == IN_ITS_TESTS;
            let in_tests = dependency["kind"] == "dev" && for_tests;
            let kept = in_tests || allows(allowed, to);
            (!kept).then(|| format!("`{from}` may not depend on `{to}`"))
        })
        .collect()
}

fn short(package: &str) -> &str {
    package.strip_prefix("hotshelf-").unwrap_or(package)
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern == name || (pattern.ends_with('-') && name.starts_with(pattern))
}

fn row(name: &str) -> Option<&'static Allowed> {
    TABLE
        .iter()
        .find(|(pattern, _)| matches(pattern, name))
        .map(|(_, allowed)| allowed)
}

fn allows(allowed: &Allowed, to: &str) -> bool {
    match allowed {
        Allowed::These(names) => names.iter().any(|pattern| matches(pattern, to)),
        Allowed::AllBut(names) => !names.iter().any(|pattern| matches(pattern, to)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(package: &str, dependencies: &[(&str, Option<&str>)]) -> Vec<String> {
        let dependencies: Vec<serde_json::Value> = dependencies
            .iter()
            .map(|(name, kind)| serde_json::json!({"name": name, "kind": kind, "path": "/there"}))
            .collect();
        let metadata = serde_json::json!({
            "workspace_root": "/here", "workspace_members": ["it"],
            "packages": [{"id": "it", "name": package, "manifest_path": "/here/a/Cargo.toml",
                          "dependencies": dependencies}]});
        let findings = check(&metadata);
        assert!(
            findings
                .iter()
                .all(|finding| finding.file == "a/Cargo.toml")
        );
        findings
            .into_iter()
            .map(|finding| finding.message)
            .collect()
    }

    #[test]
    fn arrows_outside_the_table_are_found() {
        for (from, to) in [
            ("hotshelf-model", "hotshelf-telemetry"),
            ("hotshelf-engine", "hotshelf-tier-redis"),
            ("hotshelf-tier-redis", "hotshelf-engine"),
            ("hotshelf-tier-redis", "hotshelf-tier-rocksdb"),
            ("hotshelf-node", "hotshelf-cli"),
            ("hotshelf-node", "hotshelf"),
            ("hotshelf", "hotshelf-node"),
            ("hotshelf-http-api", "hotshelf-config"),
            ("xtask", "hotshelf-model"),
        ] {
            assert_eq!(messages(from, &[(to, None)]).len(), 1, "{from} -> {to}");
        }
    }

    #[test]
    fn arrows_of_the_table_are_not() {
        let engine = [
            ("hotshelf-model", None),
            ("hotshelf-coherence", None),
            ("hotshelf-telemetry", None),
        ];
        assert!(messages("hotshelf-engine", &engine).is_empty());
        assert!(messages("hotshelf-node", &[("hotshelf-tier-redis", None)]).is_empty());
        assert!(messages("hotshelf", &[("hotshelf-tier-rocksdb", None)]).is_empty());
    }

    #[test]
    fn what_is_for_tests_is_for_tests_only() {
        assert!(messages("hotshelf-engine", &[("hotshelf-testkit", Some("dev"))]).is_empty());
        assert_eq!(
            messages("hotshelf-engine", &[("hotshelf-testkit", None)]).len(),
            1
        );
        assert!(messages("hotshelf-sim", &[("hotshelf-engine", Some("dev"))]).is_empty());
        assert_eq!(
            messages("hotshelf-sim", &[("hotshelf-engine", None)]).len(),
            1
        );
        assert_eq!(
            messages("hotshelf-engine", &[("hotshelf-node", Some("dev"))]).len(),
            1
        );
    }

    #[test]
    fn a_package_without_a_row_is_found() {
        let found = messages("hotshelf-utils", &[]);
        assert!(
            found[0].contains("`utils` is not in the table"),
            "{found:?}"
        );
    }
}
