//! `test`: the servers, the binaries and every test of the workspace, added up at the end.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

use anyhow::bail;

use crate::install::{self, Purpose};
use crate::process;

/// What `cargo test` counted, over all test programs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    programs: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
}

pub(crate) fn run(args: &[OsString]) -> anyhow::Result<()> {
    let (install, args) = match args.split_first() {
        Some((first, rest)) if first == "--no-install" => (false, rest),
        _ => (true, args),
    };
    install::ensure(Purpose::Test, install)?;
    process::run(&mut build(args))?;
    let mut totals = Totals::default();
    let result = process::run_lines(&mut test(args), |line| {
        println!("{line}");
        totals.count(line);
    });
    println!(
        "tests: {} passed, {} failed, {} ignored, in {} test programs",
        totals.passed, totals.failed, totals.ignored, totals.programs
    );
    result?;
    if args.is_empty() && totals.passed == 0 {
        bail!("no test ran, which can't be right");
    }
    Ok(())
}

/// The binary that [`build`] leaves for the tests that start nodes.
pub(crate) fn binary() -> anyhow::Result<PathBuf> {
    Ok(process::target_folder()?.join("debug").join("hotshelf"))
}

/// Builds binaries and tests in one go: the black-box tests start `target/debug/hotshelf`, which `cargo test` alone
/// would leave as it was, and one selection of packages means one set of features, so nothing is built twice.
fn build(args: &[OsString]) -> Command {
    let mut command = process::cargo();
    command.args(["build", "--bins", "--tests", "--examples"]);
    let packages = packages(args);
    if packages.is_empty() {
        command.arg("--workspace");
    } else {
        command.args(packages).args(["-p", "hotshelf-cli"]);
    }
    command
}

fn test(args: &[OsString]) -> Command {
    let mut command = process::cargo();
    command.args(["test", "--no-fail-fast"]);
    if packages(args).is_empty() {
        command.arg("--workspace");
    }
    command.args(args);
    command
}

/// The package flags among the arguments, each with its value.
fn packages(args: &[OsString]) -> Vec<&OsStr> {
    let (ours, _) = crate::args::split_at_dashes(args);
    let mut found = Vec::new();
    let mut words = ours.iter();
    while let Some(word) = words.next() {
        if word == "-p" || word == "--package" {
            found.push(word.as_os_str());
            found.extend(words.next().map(OsString::as_os_str));
        } else if word.to_string_lossy().starts_with("--package=") {
            found.push(word.as_os_str());
        }
    }
    found
}

impl Totals {
    /// Adds a line such as `test result: ok. 12 passed; 0 failed; 0 ignored; ...`; other lines add nothing.
    fn count(&mut self, line: &str) {
        let Some(counts) = line.strip_prefix("test result: ") else {
            return;
        };
        self.programs += 1;
        for part in counts.split([';', '.']) {
            let Some((number, what)) = part.trim().split_once(' ') else {
                continue;
            };
            let number = number.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(args: &[&str]) -> Vec<OsString> {
        args.iter().map(OsString::from).collect()
    }

    #[test]
    fn closing_lines_are_added_up() {
        let mut totals = Totals::default();
        for line in [
            "running 14 tests",
            "test result: ok. 12 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.42s",
            "test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.00s",
        ] {
            totals.count(line);
        }
        let expect = Totals {
            programs: 2,
            passed: 13,
            failed: 3,
            ignored: 2,
        };
        assert_eq!(totals, expect);
    }

    #[test]
    fn a_chosen_package_replaces_the_workspace() {
        let args = os(&["-p", "hotshelf-engine", "flight", "--", "-p"]);
        let line = process::describe(&test(&args));
        assert_eq!(
            line,
            "cargo test --no-fail-fast -p hotshelf-engine flight -- -p"
        );
        let line = process::describe(&build(&args));
        assert!(
            line.ends_with("-p hotshelf-engine -p hotshelf-cli"),
            "{line}"
        );
    }

    #[test]
    fn a_filter_alone_keeps_the_workspace() {
        let line = process::describe(&test(&os(&["flight"])));
        assert_eq!(line, "cargo test --no-fail-fast --workspace flight");
    }
}
