//! `test`: the servers, the binaries and every test of the workspace, added up at the end.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

use anyhow::bail;

use crate::install::{self, Purpose};
use crate::process;

/// A test that this machine cannot make passes, with a line that begins so and says what and why.
const NOT_TESTED: &str = "NOT TESTED: ";
/// The flag of test programs that shows what tests that pass print, and the line that comes before that.
const SHOW_OUTPUT: &str = "--show-output";
const SUCCESSES: &str = "successes:";
/// How the last line of a test program begins.
const RESULT: &str = "test result: ";

/// What `cargo test` counted, over all test programs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    programs: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
    /// What tests that passed could not try.
    not_tested: Vec<String>,
}

pub(crate) fn run(args: &[OsString]) -> anyhow::Result<()> {
    let (install, args) = match args.split_first() {
        Some((first, rest)) if first == "--no-install" => (false, rest),
        _ => (true, args),
    };
    install::ensure(Purpose::Test, install)?;
    process::run(&mut build(args))?;
    let mut totals = Totals::default();
    let mut is_hidden = false;
    let result = process::run_lines(&mut test(args), |line| {
        is_hidden = !shows_output(args) && (is_hidden || line == SUCCESSES) && !ends_hiding(line);
        if !is_hidden {
            println!("{line}");
        }
        totals.count(line);
    });
    for what in &totals.not_tested {
        println!("{NOT_TESTED}{what}");
    }
    println!(
        "tests: {} passed, {} failed, {} ignored, {} not tested, in {} test programs",
        totals.passed,
        totals.failed,
        totals.ignored,
        totals.not_tested.len(),
        totals.programs
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
    let (ours, theirs) = crate::args::split_at_dashes(args);
    command.args(ours).arg("--").args(theirs);
    if !shows_output(args) {
        // What tests that pass print is read here, and not shown.
        command.arg(SHOW_OUTPUT);
    }
    command
}

fn shows_output(args: &[OsString]) -> bool {
    let (_, theirs) = crate::args::split_at_dashes(args);
    theirs.iter().any(|arg| arg == SHOW_OUTPUT)
}

/// Whether what follows [`SUCCESSES`] is over.
fn ends_hiding(line: &str) -> bool {
    line == "failures:" || line.starts_with(RESULT)
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
    /// Adds a line such as `test result: ok. 12 passed; 0 failed; 0 ignored; ...`, or one of a test that was not made; other lines add
    /// nothing.
    fn count(&mut self, line: &str) {
        if let Some(what) = line.strip_prefix(NOT_TESTED) {
            self.not_tested.push(what.to_owned());
        }
        let Some(counts) = line.strip_prefix(RESULT) else {
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
            "NOT TESTED: a full disk, because no tmpfs can be mounted here",
            "test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.00s",
        ] {
            totals.count(line);
        }
        let expect = Totals {
            programs: 2,
            passed: 13,
            failed: 3,
            ignored: 2,
            not_tested: vec!["a full disk, because no tmpfs can be mounted here".to_owned()],
        };
        assert_eq!(totals, expect);
    }

    #[test]
    fn a_chosen_package_replaces_the_workspace() {
        let args = os(&["-p", "hotshelf-engine", "flight", "--", "-p"]);
        let line = process::describe(&test(&args));
        assert_eq!(
            line,
            "cargo test --no-fail-fast -p hotshelf-engine flight -- -p --show-output"
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
        assert_eq!(
            line,
            "cargo test --no-fail-fast --workspace flight -- --show-output"
        );
    }
}
