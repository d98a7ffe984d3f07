//! `chaos`: breaks everything around a few nodes for a while, and fails when a promise was not kept.
#![expect(
    clippy::print_stdout,
    reason = "a command line answers on standard output"
)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use hotshelf_tests::chaos::{self, Plan};
use hotshelf_tests::time::now_ms;
use lexopt::{Arg, ValueExt};

const USAGE: &str = "\
Usage: chaos [--seconds N] [--seed S] [--nodes N] [--no-failover] [--report FILE] [--logs FOLDER]";

struct Options {
    plan: Plan,
    report: Option<PathBuf>,
    logs: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> anyhow::Result<bool> {
    let options = parse(std::env::args_os().skip(1).collect())?;
    let plan = &options.plan;
    println!("chaos: seed {}, {} s", plan.seed, plan.time.as_secs());
    let report = chaos::run(plan)?;
    println!("{}", report.text);
    if let Some(file) = &options.report {
        std::fs::write(file, &report.text)
            .with_context(|| format!("writing {}", file.display()))?;
    }
    if let Some(folder) = &options.logs {
        keep(folder, &report.logs)
            .with_context(|| format!("keeping logs in {}", folder.display()))?;
    }
    let kept = report.violations.is_empty();
    println!(
        "chaos: seed {}: {} violations",
        plan.seed,
        report.violations.len()
    );
    Ok(kept)
}

fn keep(folder: &Path, logs: &[String]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (node, log) in logs.iter().enumerate() {
        std::fs::write(folder.join(format!("node-{node}.log")), log)?;
    }
    Ok(())
}

fn parse(args: Vec<OsString>) -> anyhow::Result<Options> {
    let mut options = Options {
        plan: Plan {
            time: Duration::from_secs(60),
            seed: now_ms(),
            nodes: 3,
            failover: true,
        },
        report: None,
        logs: None,
    };
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("seconds") => {
                options.plan.time = Duration::from_secs(parser.value()?.parse()?);
            }
            Arg::Long("seed") => options.plan.seed = parser.value()?.parse()?,
            Arg::Long("nodes") => options.plan.nodes = parser.value()?.parse()?,
            Arg::Long("no-failover") => options.plan.failover = false,
            Arg::Long("report") => options.report = Some(parser.value()?.into()),
            Arg::Long("logs") => options.logs = Some(parser.value()?.into()),
            other => bail!("{}\n{USAGE}", other.unexpected()),
        }
    }
    if options.plan.nodes == 0 {
        bail!("there must be a node\n{USAGE}");
    }
    Ok(options)
}
