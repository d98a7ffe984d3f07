//! `up`: from a checkout to a serving node.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::Context;
use lexopt::Arg::Long;

use crate::args;
use crate::install::{self, Purpose};
use crate::process;

/// What `up` was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    quick: bool,
    install: bool,
    /// For `hotshelf serve`, untouched.
    serve_args: Vec<OsString>,
}

pub(crate) fn run(args: &[OsString]) -> anyhow::Result<()> {
    let options = parse(args)?;
    let purpose = if options.quick {
        Purpose::Quick
    } else {
        Purpose::Build
    };
    install::ensure(purpose, options.install)?;
    process::run(&mut build(options.quick))?;
    serve(profile(options.quick), &options.serve_args)
}

fn parse(args: &[OsString]) -> anyhow::Result<Options> {
    let (ours, theirs) = args::split_at_dashes(args);
    let mut options = Options {
        quick: false,
        install: true,
        serve_args: theirs.to_vec(),
    };
    let mut parser = lexopt::Parser::from_args(ours);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("quick") => options.quick = true,
            Long("no-install") => options.install = false,
            other => return Err(args::unexpected("up", &other)),
        }
    }
    Ok(options)
}

/// The Cargo profile; its folder below the target folder has the same name.
fn profile(quick: bool) -> &'static str {
    if quick { "quick" } else { "release" }
}

fn build(quick: bool) -> Command {
    let mut command = process::cargo();
    command.args(["build", "--profile", profile(quick)]);
    command.args(["-p", "hotshelf-cli", "--bin", "hotshelf"]);
    if quick {
        println!(
            "building without RocksDB and unoptimised: tier l3 will be absent, and times mean nothing"
        );
        command.arg("--no-default-features");
    } else {
        println!("building; the first time RocksDB takes about 9 minutes on 2 cores");
    }
    command
}

/// Becomes the node, so that a signal to this process is a signal to the node.
fn serve(profile: &str, serve_args: &[OsString]) -> anyhow::Result<()> {
    let binary = process::target_folder()?.join(profile).join("hotshelf");
    let mut command = Command::new(binary);
    command.current_dir(process::root());
    command.args(["serve", "--embedded"]).args(serve_args);
    let line = process::describe(&command);
    println!("starting `{line}`");
    Err(command.exec()).with_context(|| format!("starting `{line}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Usage;

    fn os(args: &[&str]) -> Vec<OsString> {
        args.iter().map(OsString::from).collect()
    }

    #[test]
    fn what_follows_the_dashes_is_the_nodes() {
        let options = parse(&os(&["--quick", "--", "--quick", "--listen", ":1"])).unwrap();
        assert!(options.quick && options.install);
        assert_eq!(options.serve_args, os(&["--quick", "--listen", ":1"]));
    }

    #[test]
    fn an_unknown_flag_is_a_usage_error() {
        let error = parse(&os(&["--fast"])).unwrap_err();
        assert!(error.is::<Usage>());
        assert!(error.to_string().contains("--fast"), "{error}");
    }

    #[test]
    fn quick_leaves_rocksdb_out() {
        assert!(process::describe(&build(true)).ends_with("--no-default-features"));
        assert!(!process::describe(&build(false)).contains("--no-default-features"));
    }
}
