//! `cargo xtask`: the commands that people and CI run on this repository.
#![expect(
    clippy::print_stdout,
    reason = "a command line answers on standard output"
)]

mod args;
mod bench;
mod chaos;
mod ci;
mod codegen;
mod help;
mod install;
mod model;
mod process;
mod sim;
mod test;
mod tidy;
mod up;

use std::ffi::OsString;
use std::process::ExitCode;

use args::Usage;

/// Exit code of a command line that was not understood, as in most command-line tools.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let Err(error) = dispatch(&args) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("xtask: {error:#}");
    if error.is::<Usage>() || error.is::<lexopt::Error>() {
        return ExitCode::from(EXIT_USAGE);
    }
    ExitCode::FAILURE
}

fn dispatch(args: &[OsString]) -> anyhow::Result<()> {
    let Some((command, rest)) = args.split_first() else {
        println!("{}", help::OVERVIEW);
        return Ok(());
    };
    let command = command.to_string_lossy();
    if let Some(text) = help::requested(&command, rest)? {
        println!("{text}");
        return Ok(());
    }
    match command.as_ref() {
        "up" => up::run(rest),
        "test" => test::run(rest),
        "model" => model::run(rest),
        "ci" => args::none("ci", rest).and_then(|()| ci::run()),
        "tidy" => args::none("tidy", rest).and_then(|()| tidy::run()),
        "codegen" => codegen::run(rest),
        "bench" => bench::run(rest),
        "chaos" => chaos::run(rest),
        "sim" => sim::run(rest),
        "install" => install::run(rest),
        "env" => args::none("env", rest).map(|()| process::print_env()),
        _ => Err(help::unknown(&command)),
    }
}
