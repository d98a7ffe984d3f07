//! `tidy`: the rules of this repository that neither rustc nor clippy checks.
//!
//! Each rule is a function from text or metadata to findings, so that each has a test with a sample that breaks it.

mod arrows;
mod fences;
mod manifests;
mod source;
mod text;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::process;

/// Folders that hold no text of ours: built, downloaded, recorded or private to a person.
const SKIPPED: [&str; 9] = [
    ".git",
    "target",
    "data",
    "node_modules",
    "benches/results",
    "fuzz/target",
    "fuzz/corpus",
    "fuzz/artifacts",
    "fuzz/coverage",
];

/// One broken rule, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    file: String,
    line: usize,
    message: String,
}

impl Finding {
    fn new(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

pub(crate) fn run() -> anyhow::Result<()> {
    let root = process::root();
    let metadata = process::metadata(true)?;
    let fences = fs::read_to_string(root.join("deny.toml")).context("reading deny.toml")?;
    let mut findings = arrows::check(&metadata);
    findings.extend(fences::check(&fences, &metadata));
    let files = files(&root)?;
    for file in &files {
        let held =
            fs::read_to_string(root.join(file)).with_context(|| format!("reading {file}"))?;
        findings.extend(check_file(file, &held));
    }
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy found {} broken rules", findings.len());
    }
    println!("tidy: {} files keep the rules", files.len());
    Ok(())
}

fn check_file(file: &str, held: &str) -> Vec<Finding> {
    let mut findings = text::check(file, held);
    if file.ends_with(".rs") {
        findings.extend(source::check(file, held));
    }
    if file.ends_with("/Cargo.toml") && !file.starts_with("fuzz/") {
        findings.extend(manifests::check(file, held));
    }
    findings
}

/// Every text file of ours below the root, as paths with `/`, sorted.
fn files(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(root.join(&folder))
            .with_context(|| format!("listing {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("listing {}", folder.display()))?;
            let path = folder.join(entry.file_name());
            let name = path.to_string_lossy().into_owned();
            let kind = entry
                .file_type()
                .with_context(|| format!("looking at {name}"))?;
            if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
                folders.push(path);
            } else if kind.is_file() && is_ours(&name) {
                found.push(name);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn is_ours(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    let known = [
        "rs", "toml", "md", "sql", "lua", "yml", "yaml", "service", "sh",
    ];
    extension.is_some_and(|extension| known.contains(&extension))
        || matches!(name, "Containerfile" | ".gitignore" | ".containerignore")
        || file.starts_with(".ci/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_ours_are_known_by_name() {
        for file in [
            "crates/a/src/lib.rs",
            ".ci/run",
            "deploy/Containerfile",
            "README.md",
        ] {
            assert!(is_ours(file), "{file}");
        }
        for file in ["Cargo.lock", "a.zst", "LICENSE-MIT"] {
            assert!(!is_ours(file), "{file}");
        }
    }

    #[test]
    fn skipped_folders_are_not_walked() {
        let root = std::env::temp_dir().join(format!("xtask-files-{}", std::process::id()));
        for folder in ["src", "target", "benches/results"] {
            fs::create_dir_all(root.join(folder)).unwrap();
            fs::write(root.join(folder).join("a.rs"), "").unwrap();
        }
        let found = files(&root).unwrap();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(found, ["src/a.rs"]);
    }

    #[test]
    fn each_kind_of_file_meets_its_rules() {
        let rules = |file: &str| check_file(file, "serde = \"1\" \n").len();
        assert_eq!(rules("README.md"), 1, "the trailing blank");
        assert_eq!(
            rules("crates/a/src/lib.rs"),
            2,
            "and no sentence at the top"
        );
        assert_eq!(
            rules("crates/a/Cargo.toml"),
            2,
            "and the workspace's lints not taken"
        );
    }
}
