//! The help texts, and the answer to a command that does not exist.

use std::ffi::OsString;

use crate::args;

pub(crate) const OVERVIEW: &str = "\
Usage: cargo xtask <command> [arguments]

  up        build hotshelf in release and serve a generated catalogue
  test      install the servers that the tests need and run every test
  model     explore the consistency protocol, and show what was explored
  ci        everything that CI checks, in its order
  tidy      the rules of this repository that no compiler checks
  codegen   write the generated files, or check that they are up to date
  bench     run benches and keep their output under benches/results/
  sim       simulate nodes while everything fails, and check what readers were shown
  chaos     break everything around a few nodes, and check what readers were shown
  install   install what building and testing need, and nothing else
  env       print the environment that lets plain cargo share xtask's C++ cache

`cargo xtask <command> --help` says more.";

/// One text per command, in the order of the overview.
const TEXTS: [(&str, &str); 11] = [
    (
        "up",
        "\
Usage: cargo xtask up [--quick] [--no-install] [-- arguments for `hotshelf serve`]

Installs what the build needs, builds `hotshelf` in release and becomes
`hotshelf serve --embedded`: an SQLite database with a generated catalogue of 10,000
products, reads and writes on 127.0.0.1:7400, admin on 127.0.0.1:7401.
Ctrl-C and SIGTERM drain and stop it.

  --quick       build without RocksDB and unoptimised, in two minutes instead of twenty:
                tier l3 is absent, nothing needs installing, times mean nothing
  --no-install  only print what is missing and the line that installs it",
    ),
    (
        "test",
        "\
Usage: cargo xtask test [--no-install] [arguments for `cargo test`]

Installs redis-server, postgresql and nats-server where they are missing, builds the
binaries that the tests start, and runs `cargo test --workspace --no-fail-fast`.
With `-p PACKAGE` only that package is tested. `--no-install` must come first.

  cargo xtask test
  cargo xtask test late_fill
  cargo xtask test -p hotshelf-engine -- --nocapture",
    ),
    (
        "model",
        "\
Usage: cargo xtask model [--long] [--steps NUMBER]

Runs the model test of hotshelf-coherence and prints a line for each exploration: scope and,
if one is, the broken rule; states, steps, what came out, and the time.

  --long          also the larger explorations, 20,000,000 steps each: half an hour and a
                  few gigabytes of memory
  --steps NUMBER  the same with so many steps each",
    ),
    (
        "ci",
        "\
Usage: cargo xtask ci

Runs, and stops at the first that fails: fmt, tidy, deny (where cargo-deny is installed),
clippy, clippy without RocksDB, the fuzz target, doc, test, codegen --check. Prints the time of each.",
    ),
    (
        "tidy",
        "\
Usage: cargo xtask tidy

Checks the arrows between crates, the fences around vendor crates (deny.toml), manifests,
and the text of every source file and document. Prints `path:line: what`.",
    ),
    (
        "codegen",
        "\
Usage: cargo xtask codegen [--check]

Writes config/example.toml, docs/config.md, docs/metrics.md and docs/openapi.json from what
the binary says of itself. With --check it writes nothing and fails on a difference.",
    ),
    (
        "bench",
        "\
Usage: cargo xtask bench [name] [-- arguments for the bench]

Runs one bench, or all, in release; keeps the output with command, machine, commit and date
in benches/results/<name>.txt. A bench that fails leaves the old file as it was.",
    ),
    (
        "sim",
        "\
Usage: cargo xtask sim [--seed S] [--runs N | --seconds N]

Runs engines over a simulated database, L2, L3 and bus in one thread each and in time of their
own, while everything fails by the seed; then checks every answer against the promises. The same
seed is the same run. Prints a line for each, and fails when a promise was not kept.

  --seed S     the first seed, followed by the next ones; without it, others each time
  --runs N     how many runs (3)
  --seconds N  as many as fit in so many seconds",
    ),
    (
        "chaos",
        "\
Usage: cargo xtask chaos [--release] [--seconds N] [--seed S] [--nodes N] [--no-failover]
                         [--report FILE] [--logs FOLDER]

Runs nodes on a real database with a standby, Redis and NATS; writes and reads through all of
them while nodes, disks, servers and lines fail by a plan that the seed decides; then checks
every answer against the promises. Prints the seed, and fails when a promise was not kept.

  --release       nodes as they are shipped; must come first
  --seconds N     how long everything fails (60)
  --seed S        the plan; without it, another one each time
  --nodes N       how many nodes there are (3)
  --no-failover   leave out the standby that takes over without the last commits
  --report FILE   write what is printed to a file as well
  --logs FOLDER   keep the nodes' logs",
    ),
    (
        "install",
        "\
Usage: cargo xtask install [build|test|ci] [--no-install]

Installs what building needs, or (`test`, the default) building and testing, or (`ci`) also what
tests can leave out, with apt-get: as root directly, with a sudo that asks for no password through
it; otherwise prints the line.",
    ),
    (
        "env",
        "\
Usage: eval \"$(cargo xtask env)\"

Prints `export` lines for CC and CXX, so that plain cargo commands find the C++ objects that
xtask has compiled (RocksDB takes minutes without). Prints nothing to export where ccache is
missing or CC is set.",
    ),
];

fn text(command: &str) -> Option<&'static str> {
    TEXTS
        .iter()
        .find(|(name, _)| *name == command)
        .map(|(_, text)| *text)
}

/// The text to print when help was asked for, in any of the usual ways.
pub(crate) fn requested(command: &str, rest: &[OsString]) -> anyhow::Result<Option<&'static str>> {
    if matches!(command, "help" | "--help" | "-h") {
        let Some(topic) = rest.first() else {
            return Ok(Some(OVERVIEW));
        };
        let topic = topic.to_string_lossy();
        return text(&topic).map(Some).ok_or_else(|| unknown(&topic));
    }
    let (ours, _) = args::split_at_dashes(rest);
    let asked = ours.iter().any(|arg| arg == "--help" || arg == "-h");
    Ok(asked.then(|| text(command)).flatten())
}

pub(crate) fn unknown(command: &str) -> anyhow::Error {
    let names: Vec<&str> = TEXTS.iter().map(|(name, _)| *name).collect();
    let names = names.join(", ");
    args::usage(format!(
        "there is no command `{command}`; there are {names}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Usage;

    fn os(args: &[&str]) -> Vec<OsString> {
        args.iter().map(OsString::from).collect()
    }

    #[test]
    fn every_command_has_a_line_and_a_text() {
        for (name, text) in TEXTS {
            assert!(OVERVIEW.contains(&format!("\n  {name} ")), "{name}");
            assert!(text.contains(&format!("cargo xtask {name}")), "{name}");
        }
    }

    #[test]
    fn help_is_found_before_the_dashes_only() {
        assert!(requested("up", &os(&["--help"])).unwrap().is_some());
        assert!(requested("up", &os(&["--", "--help"])).unwrap().is_none());
        assert!(requested("help", &os(&["tidy"])).unwrap().is_some());
    }

    #[test]
    fn an_unknown_command_is_named_with_the_known_ones() {
        let error = requested("help", &os(&["dance"])).unwrap_err();
        assert!(error.is::<Usage>());
        assert!(error.to_string().contains("`dance`"), "{error}");
        assert!(error.to_string().contains("tidy"), "{error}");
    }
}
