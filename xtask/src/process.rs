//! Running other programs: cargo with a stable environment, and what this machine has.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Where servers live on Debian, outside the path of an ordinary user.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
    let manifest = PathBuf::from(manifest);
    match manifest.parent() {
        Some(root) => root.to_path_buf(),
        None => manifest,
    }
}

/// A cargo command in the root, as if it were started by hand.
///
/// `cargo run` describes the package it runs in variables that build scripts below it watch (ring's does):
/// handed on, each change between plain cargo and xtask would build those crates again.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        if describes_a_package(&name) {
            command.env_remove(name);
        }
    }
    command.envs(compilers());
    command
}

fn describes_a_package(variable: &OsStr) -> bool {
    let name = variable.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// `CC` and `CXX` through ccache, unless the caller has chosen compilers or there is no ccache.
///
/// The text matters, not only the effect: the build script of librocksdb-sys runs again when it changes.
fn compilers() -> Vec<(&'static str, &'static str)> {
    let chosen = ["CC", "CXX"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    if chosen || which("ccache").is_none() {
        return Vec::new();
    }
    if which("gcc").is_some() && which("g++").is_some() {
        return vec![("CC", "ccache gcc"), ("CXX", "ccache g++")];
    }
    vec![("CC", "ccache cc"), ("CXX", "ccache c++")]
}

/// The command `env`: what a shell evaluates to share the cache.
pub(crate) fn print_env() {
    let compilers = compilers();
    if compilers.is_empty() {
        println!("# nothing to export: CC or CXX is set, or there is no ccache");
    }
    for (name, value) in compilers {
        println!("export {name}=\"{value}\"");
    }
}

/// Runs a command, echoing it first, and fails when it fails.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = echo(command);
    let status = command
        .status()
        .with_context(|| format!("starting `{line}`"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// Runs a command, handing each line of its standard output to `each` as it comes.
pub(crate) fn run_lines(command: &mut Command, mut each: impl FnMut(&str)) -> anyhow::Result<()> {
    let line = echo(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting `{line}`"))?;
    let stdout = child
        .stdout
        .take()
        .context("the child has no standard output")?;
    for bytes in BufReader::new(stdout).split(b'\n') {
        let bytes = bytes.with_context(|| format!("reading the output of `{line}`"))?;
        each(&String::from_utf8_lossy(&bytes));
    }
    let status = child
        .wait()
        .with_context(|| format!("waiting for `{line}`"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

/// What a command prints, or an error with what it complained of.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let line = describe(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("starting `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` ended with {}", output.status);
    }
    Ok(output.stdout)
}

/// The first line of what a command prints, or `unknown`: for headers, never for decisions.
pub(crate) fn first_line(program: &str, args: &[&str]) -> String {
    let printed = Command::new(program)
        .args(args)
        .current_dir(root())
        .stderr(Stdio::null())
        .output();
    let text = printed.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    );
    match text.lines().next() {
        Some(line) => line.trim().to_owned(),
        None => "unknown".to_owned(),
    }
}

fn echo(command: &Command) -> String {
    let line = describe(command);
    eprintln!("$ {line}");
    line
}

/// A command as a person would type it: the program without its folder.
pub(crate) fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program());
    let mut line = program.to_string_lossy().into_owned();
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}

/// The path of an executable, also in the folders of servers.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| is_executable(candidate))
}

pub(crate) fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// What cargo says of the workspace; `deps` adds the graph of all crates.
pub(crate) fn metadata(deps: bool) -> anyhow::Result<serde_json::Value> {
    let mut command = cargo();
    command.args(["metadata", "--format-version", "1"]);
    if !deps {
        command.arg("--no-deps");
    }
    let printed = output(&mut command)?;
    serde_json::from_slice(&printed).context("reading what `cargo metadata` printed")
}

/// The folder that cargo builds into, wherever the environment or a configuration file puts it.
pub(crate) fn target_folder() -> anyhow::Result<PathBuf> {
    let metadata = metadata(false)?;
    let folder = metadata["target_directory"]
        .as_str()
        .context("`cargo metadata` names no target folder")?;
    Ok(PathBuf::from(folder))
}

/// Times one step of our own.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "xtask is a tool: the time it prints is never compared with a cached entry's"
    )]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// `4.2 s` below a minute, `3 min 07 s` above.
pub(crate) fn seconds(time: Duration) -> String {
    let whole = time.as_secs();
    if whole < 60 {
        return format!("{:.1} s", time.as_secs_f64());
    }
    format!("{} min {:02} s", whole / 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_variables_are_kept_from_nested_cargo() {
        for name in [
            "CARGO_PKG_NAME",
            "CARGO_MANIFEST_DIR",
            "CARGO_MANIFEST_PATH",
        ] {
            assert!(describes_a_package(OsStr::new(name)), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_TERM_COLOR", "CC"] {
            assert!(!describes_a_package(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn a_failing_program_is_an_error_that_names_it() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert!(error.to_string().contains("exit 3"), "{error}");
        let error = run_lines(Command::new("sh").args(["-c", "echo a; exit 3"]), |_| ());
        assert!(error.is_err());
    }

    #[test]
    fn lines_arrive_whole_even_when_they_are_not_text() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", r"printf 'a\n\377\nlast'"]);
        run_lines(&mut command, |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["a", "\u{fffd}", "last"]);
    }

    #[test]
    fn programs_are_found_or_not() {
        assert!(which("sh").is_some());
        assert!(which("no-such-program-anywhere").is_none());
    }

    #[test]
    fn times_read_as_people_say_them() {
        assert_eq!(seconds(Duration::from_millis(4_249)), "4.2 s");
        assert_eq!(seconds(Duration::from_secs(187)), "3 min 07 s");
    }
}
