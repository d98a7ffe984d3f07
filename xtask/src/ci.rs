//! `ci`: every check, cheapest first, stopping at the first that fails.

use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::process::{self, Stopwatch};
use crate::{codegen, test, tidy};

/// One check: its name in the summary, and what it runs.
type Step = (&'static str, fn() -> anyhow::Result<()>);

/// The fuzz target stands apart from the workspace, which therefore checks nothing of it.
const FUZZ: &str = "fuzz/Cargo.toml";

/// Flags and environment are the same from step to step, so that one step's build is the next one's.
const STEPS: [Step; 10] = [
    ("fmt", fmt),
    ("tidy", tidy::run),
    ("deny", deny),
    ("clippy", || clippy(&["--workspace", "--all-targets"])),
    ("clippy without RocksDB", || {
        clippy(&["-p", "hotshelf-cli", "--no-default-features"])
    }),
    ("fuzz target", || {
        cargo(&["check", "--locked", "--manifest-path", FUZZ])
    }),
    ("doc", doc),
    ("test", || test::run(&[])),
    ("interleavings", || {
        cargo(&[
            "test",
            "--locked",
            "-p",
            "hotshelf-engine",
            "--features",
            "interleavings",
            "--lib",
            "interleavings",
        ])
    }),
    ("codegen", || codegen::check(&test::binary()?)),
];

pub(crate) fn run() -> anyhow::Result<()> {
    let whole = Stopwatch::start();
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for (name, step) in STEPS {
        println!("ci: {name}");
        let watch = Stopwatch::start();
        let result = step();
        times.push((name, watch.elapsed()));
        if result.is_err() {
            print_times(&times);
            return result.with_context(|| format!("ci failed at `{name}`"));
        }
    }
    print_times(&times);
    println!("ci: all passed in {}", process::seconds(whole.elapsed()));
    Ok(())
}

fn print_times(times: &[(&str, Duration)]) {
    for (name, time) in times {
        println!("ci: {name:<24}{:>14}", process::seconds(*time));
    }
}

fn cargo(args: &[&str]) -> anyhow::Result<()> {
    process::run(process::cargo().args(args))
}

fn fmt() -> anyhow::Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["fmt", "--manifest-path", FUZZ, "--check"])
}

/// `--locked`, because the lock file is part of what is checked.
fn clippy(selection: &[&str]) -> anyhow::Result<()> {
    let mut command = process::cargo();
    command.args(["clippy", "--locked"]).args(selection);
    process::run(command.args(["--", "-D", "warnings"]))
}

fn doc() -> anyhow::Result<()> {
    let mut command = process::cargo();
    command.env("RUSTDOCFLAGS", "-D warnings");
    process::run(command.args(["doc", "--workspace", "--no-deps"]))
}

/// Without the advisories, which change without a commit and come over the network: those are for people to run.
fn deny() -> anyhow::Result<()> {
    if process::which("cargo-deny").is_none() {
        println!("ci: cargo-deny is not installed: licences and sources are not checked");
        return Ok(());
    }
    let mut command: Command = process::cargo();
    command.args(["deny", "--all-features", "check"]);
    process::run(command.args(["bans", "licenses", "sources"]))
}
