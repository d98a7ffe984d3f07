//! `chaos`: builds the node and the program that breaks everything around it, and runs that program.

use std::ffi::OsString;
use std::process::Command;

use crate::install::{self, Purpose};
use crate::process;

const RELEASE: &str = "--release";

pub(crate) fn run(args: &[OsString]) -> anyhow::Result<()> {
    let (release, args) = match args.split_first() {
        Some((first, rest)) if first == RELEASE => (true, rest),
        _ => (false, args),
    };
    install::ensure(Purpose::Test, true)?;
    process::run(&mut build(release))?;
    let profile = if release { "release" } else { "debug" };
    let program = process::target_folder()?.join(profile).join("chaos");
    let mut chaos = Command::new(program);
    chaos.current_dir(process::root()).args(args);
    process::run(&mut chaos)
}

/// In the package of the tests with the node beside it, because that is where the program looks for one.
fn build(release: bool) -> Command {
    let mut command = process::cargo();
    command.args([
        "build",
        "--bins",
        "-p",
        "hotshelf-cli",
        "-p",
        "hotshelf-tests",
    ]);
    if release {
        command.arg(RELEASE);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_and_program_are_built_together() {
        let line = process::describe(&build(true));
        assert_eq!(
            line,
            "cargo build --bins -p hotshelf-cli -p hotshelf-tests --release"
        );
    }
}
