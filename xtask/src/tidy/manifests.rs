//! Members' manifests: versions stand at the root only, and no member steps out of the lints.

use super::Finding;

const FROM_ROOT: &str = "workspace = true";

pub(super) fn check(file: &str, held: &str) -> Vec<Finding> {
    let mut findings = dependencies(file, held);
    findings.extend(lints(file, held));
    findings
}

/// Every dependency says `workspace = true`.
fn dependencies(file: &str, held: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut section = "";
    for (index, line) in held.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
            if is_of_one_dependency(section) {
                let message = format!("write `[{section}]` as one line with `workspace = true`");
                findings.push(Finding::new(file, index + 1, message));
            }
            continue;
        }
        if !is_of_dependencies(section) {
            continue;
        }
        // What goes on from the line above starts with a quote or a bracket, never with a name.
        let Some((name, _)) = line.split_once('=') else {
            continue;
        };
        if line.starts_with(|first: char| first.is_ascii_alphanumeric())
            && !line.contains(FROM_ROOT)
        {
            let name = name.trim();
            let message = format!(
                "`{name}` needs `workspace = true`; its version stands in the root manifest"
            );
            findings.push(Finding::new(file, index + 1, message));
        }
    }
    findings
}

fn is_of_dependencies(section: &str) -> bool {
    let last = section.rsplit('.').next().unwrap_or(section);
    matches!(
        last,
        "dependencies" | "dev-dependencies" | "build-dependencies"
    )
}

/// `[dependencies.name]`.
fn is_of_one_dependency(section: &str) -> bool {
    section
        .rsplit_once('.')
        .is_some_and(|(before, _)| is_of_dependencies(before))
}

/// The member takes the workspace's lints.
fn lints(file: &str, held: &str) -> Vec<Finding> {
    let mut lines = held.lines().map(str::trim);
    let found = lines.any(|line| line == "[lints]") && lines.next() == Some(FROM_ROOT);
    if found {
        return Vec::new();
    }
    vec![Finding::new(
        file,
        1,
        "needs `[lints]` with `workspace = true`",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
[package]
version.workspace = true
[lints]
workspace = true
[dependencies]
bytes.workspace = true
tokio = { workspace = true, features = [
    \"net\",
] }
# A comment = fine.
[features]
default = [\"a\"]
";

    #[test]
    fn a_manifest_that_takes_all_from_the_root_passes() {
        assert_eq!(check("a/Cargo.toml", GOOD), []);
    }

    #[test]
    fn a_version_of_its_own_is_found() {
        for (section, line) in [
            ("[dependencies]", "serde = \"1\""),
            ("[dev-dependencies]", "serde = { version = \"1\" }"),
            ("[build-dependencies]", "serde = { path = \"../serde\" }"),
            ("[target.'cfg(unix)'.dependencies]", "serde = \"1\""),
        ] {
            let found = check("a/Cargo.toml", &format!("{GOOD}{section}\n{line}\n"));
            assert_eq!(found.len(), 1, "{section} {line}");
            assert_eq!(found[0].line, 14, "{section} {line}");
            assert!(found[0].message.starts_with("`serde`"), "{section} {line}");
        }
    }

    #[test]
    fn a_section_of_one_dependency_is_found() {
        let found = check(
            "a/Cargo.toml",
            &format!("{GOOD}[dependencies.serde]\nversion = \"1\"\n"),
        );
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn lints_left_out_are_found() {
        let found = check(
            "a/Cargo.toml",
            &GOOD.replace("[lints]\nworkspace = true\n", ""),
        );
        assert_eq!(found.len(), 1);
        let own = GOOD.replace(
            "[lints]\nworkspace = true",
            "[lints]\nclippy.all = \"allow\"",
        );
        assert_eq!(check("a/Cargo.toml", &own).len(), 1);
    }
}
