//! `sim`: runs the simulation with seeds of the caller's choice, or with as many as there is time for.

use std::ffi::OsString;
use std::process::Command;

use lexopt::Arg::Long;
use lexopt::ValueExt as _;

use crate::args;
use crate::process;

/// The part of the simulation whose seeds can be chosen.
const TEST: &str = "other_seeds_keep_every_promise_too";

/// What it reads.
const SEED: &str = "SIMULATION_SEED";
const RUNS: &str = "SIMULATION_RUNS";
const SECONDS: &str = "SIMULATION_SECONDS";

fn command(args: &[OsString]) -> anyhow::Result<Command> {
    let mut command = process::cargo();
    command.args(["test", "-p", "hotshelf-sim", "--test", "simulation"]);
    command.args(["--", "--exact", TEST, "--nocapture"]);
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        let variable = match arg {
            Long("seed") => SEED,
            Long("runs") => RUNS,
            Long("seconds") => SECONDS,
            other => return Err(args::unexpected("sim", &other)),
        };
        let number: u64 = parser.value()?.parse()?;
        command.env(variable, number.to_string());
    }
    Ok(command)
}

pub(crate) fn run(args: &[OsString]) -> anyhow::Result<()> {
    process::run(&mut command(args)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_reaches_the_simulation() {
        let args = ["--seed", "7", "--runs=1"].map(OsString::from);
        let command = command(&args).unwrap();
        let chosen: Vec<_> = command
            .get_envs()
            .filter(|(name, _)| *name == SEED || *name == RUNS)
            .collect();
        assert_eq!(chosen.len(), 2);
        assert!(super::command(&[OsString::from("--deep")]).is_err());
        assert!(super::command(&["--seed", "x"].map(OsString::from)).is_err());
    }
}
