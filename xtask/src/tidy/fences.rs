//! The fences of `deny.toml` around vendor crates, held here too, because cargo-deny is not everywhere.

use super::Finding;

/// One `{ crate = "…", wrappers = […] }`: nothing but the wrappers may depend on the crate.
#[derive(Debug, PartialEq, Eq)]
struct Fence<'a> {
    line: usize,
    name: &'a str,
    wrappers: Vec<&'a str>,
}

/// Compares the graph that cargo resolved with the fences; dependencies of tests are free, as in `deny.toml`.
pub(super) fn check(deny_toml: &str, metadata: &serde_json::Value) -> Vec<Finding> {
    let fences = fences(deny_toml);
    if fences.is_empty() {
        return vec![Finding::new(
            "deny.toml",
            1,
            "has no fence, one `{ crate = ...` a line",
        )];
    }
    let edges = edges(metadata);
    let mut findings = Vec::new();
    for fence in &fences {
        for (from, to) in &edges {
            if *to == fence.name && !fence.wrappers.contains(from) {
                let message = format!("`{from}` may not depend on `{to}`");
                findings.push(Finding::new("deny.toml", fence.line, message));
            }
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

/// Reads the fences, which stand one on a line.
fn fences(deny_toml: &str) -> Vec<Fence<'_>> {
    let lines = deny_toml.lines().enumerate();
    lines
        .filter_map(|(index, line)| {
            let rest = line.trim().strip_prefix("{ crate = \"")?;
            let (name, rest) = rest.split_once('"')?;
            let wrappers = rest
                .split_once("wrappers = [")
                .and_then(|(_, rest)| rest.split_once(']'))
                .map_or("", |(inside, _)| inside);
            Some(Fence {
                line: index + 1,
                name,
                // Every second piece between quotes is a name.
                wrappers: wrappers.split('"').skip(1).step_by(2).collect(),
            })
        })
        .collect()
}

/// Pairs of package names that depend on each other outside tests.
fn edges(metadata: &serde_json::Value) -> Vec<(&str, &str)> {
    let name = |id: &serde_json::Value| {
        let mut packages = metadata["packages"].as_array().into_iter().flatten();
        packages
            .find(|package| package["id"] == *id)
            .and_then(|package| package["name"].as_str())
            .unwrap_or_default()
    };
    let nodes = metadata["resolve"]["nodes"]
        .as_array()
        .into_iter()
        .flatten();
    let mut edges = Vec::new();
    for node in nodes {
        let from = name(&node["id"]);
        for dependency in node["deps"].as_array().into_iter().flatten() {
            if !is_for_tests(dependency) {
                edges.push((from, name(&dependency["pkg"])));
            }
        }
    }
    edges
}

fn is_for_tests(dependency: &serde_json::Value) -> bool {
    let kinds = dependency["dep_kinds"].as_array();
    kinds.is_some_and(|kinds| !kinds.is_empty() && kinds.iter().all(|kind| kind["kind"] == "dev"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENY: &str = r#"
deny = [
    { crate = "moka", wrappers = ["hotshelf-engine", "hotshelf-benches"] },
    { crate = "openssl", use-instead = "rustls" },
]
"#;

    fn graph(from: &str, to: &str, kind: Option<&str>) -> serde_json::Value {
        serde_json::json!({
            "packages": [{"id": 1, "name": from}, {"id": 2, "name": to}],
            "resolve": {"nodes": [
                {"id": 1, "deps": [{"pkg": 2, "dep_kinds": [{"kind": kind}]}]},
                {"id": 2, "deps": []}]}})
    }

    #[test]
    fn fences_are_read() {
        let fences = fences(DENY);
        assert_eq!(fences.len(), 2);
        assert_eq!(fences[0].name, "moka");
        assert_eq!(fences[0].wrappers, ["hotshelf-engine", "hotshelf-benches"]);
        assert_eq!(fences[0].line, 3);
        assert!(fences[1].wrappers.is_empty());
    }

    #[test]
    fn a_vendor_outside_its_fence_is_found() {
        let found = check(DENY, &graph("hotshelf-node", "moka", None));
        assert_eq!(
            found,
            [Finding::new(
                "deny.toml",
                3,
                "`hotshelf-node` may not depend on `moka`"
            )]
        );
        assert_eq!(
            check(DENY, &graph("native-tls", "openssl", Some("build"))).len(),
            1
        );
    }

    #[test]
    fn wrappers_and_tests_may() {
        assert!(check(DENY, &graph("hotshelf-engine", "moka", None)).is_empty());
        assert!(check(DENY, &graph("hotshelf-node", "moka", Some("dev"))).is_empty());
    }

    #[test]
    fn a_file_without_fences_is_found() {
        assert_eq!(
            check("[bans]\n", &graph("a", "b", None))[0].file,
            "deny.toml"
        );
    }
}
