//! `model`: explores the consistency protocol and shows the table of what was explored.

use std::ffi::OsString;

use lexopt::Arg::Long;
use lexopt::ValueExt as _;

use crate::args;
use crate::process;

/// Steps of each larger exploration unless told: half an hour in all on two cores, and as many gigabytes as those have.
const STEPS_MAX: u64 = 20_000_000;

/// What the model test reads.
const VARIABLE: &str = "MODEL_STEPS_MAX";

/// Steps of each larger exploration; `None` without them.
fn steps_max(args: &[OsString]) -> anyhow::Result<Option<u64>> {
    let (mut is_long, mut chosen) = (false, None);
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("long") => is_long = true,
            Long("steps") => chosen = Some(parser.value()?.parse()?),
            other => return Err(args::unexpected("model", &other)),
        }
    }
    Ok(chosen.or(is_long.then_some(STEPS_MAX)))
}

pub(crate) fn run(args: &[OsString]) -> anyhow::Result<()> {
    let mut command = process::cargo();
    command.args(["test", "-p", "hotshelf-coherence", "--test", "model"]);
    // One after the other: each exploration has every core for itself, and the table is in order.
    command.args(["--", "--nocapture", "--test-threads", "1"]);
    if let Some(steps) = steps_max(args)? {
        command.env(VARIABLE, steps.to_string());
    }
    process::run(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(args: &[&str]) -> Option<u64> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        steps_max(&args).unwrap()
    }

    #[test]
    fn larger_explorations_are_only_for_those_who_ask() {
        assert_eq!(chosen(&[]), None);
        assert_eq!(chosen(&["--long"]), Some(STEPS_MAX));
        assert_eq!(chosen(&["--long", "--steps", "5000"]), Some(5000));
        assert_eq!(chosen(&["--steps=5000"]), Some(5000));
        assert!(steps_max(&[OsString::from("--deep")]).is_err());
    }
}
