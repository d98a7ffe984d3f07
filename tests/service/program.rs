//! The program as people run it: with arguments, to its end, or in the background until a signal.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use hotshelf_testkit::wait_until;
use hotshelf_tests::node::binary;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Longer than any command takes; `timeout` ends one that hangs.
const RUN_LIMIT_S: &str = "300";
const LIMIT: Duration = Duration::from_secs(120);

/// A command that ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The same run, of which the exit code is certain.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// What it wrote to standard error, which has all of these parts.
    #[track_caller]
    pub(crate) fn says(&self, parts: &[&str]) {
        for part in parts {
            assert!(
                self.stderr.contains(part),
                "no `{part}` in: {}",
                self.stderr
            );
        }
    }
}

/// A folder of its own to run in.
pub(crate) fn folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("hotshelf-run-")
        .tempdir()
        .unwrap()
}

/// Runs the program in a folder, without the environment's settings.
pub(crate) fn hotshelf(folder: &Path, args: &[&str]) -> Run {
    hotshelf_in(folder, &[], args, b"")
}

/// The same with variables of the environment and standard input.
pub(crate) fn hotshelf_in(folder: &Path, env: &[(&str, &str)], args: &[&str], input: &[u8]) -> Run {
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after", "5", RUN_LIMIT_S])
        .arg(binary())
        .args(args);
    command.envs(env.iter().copied());
    finish(command, folder, input)
}

/// Runs a line of a shell in a folder; the program is `$PROGRAM`.
pub(crate) fn shell(folder: &Path, line: &str) -> Run {
    let mut command = Command::new("timeout");
    command.args(["--kill-after", "5", RUN_LIMIT_S, "sh", "-c", line]);
    // A name that does not begin as those of settings do.
    command.env("PROGRAM", binary());
    finish(command, folder, b"")
}

fn finish(mut command: Command, folder: &Path, input: &[u8]) -> Run {
    clean(&mut command, folder);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that ends without reading its input breaks the pipe, and that is its right.
    stdin.write_all(input).ok();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run {
        code: output.status.code(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// What the machine's environment says must not reach the program, nor how wide somebody's terminal is.
fn clean(command: &mut Command, folder: &Path) {
    let given: Vec<_> = command
        .get_envs()
        .map(|(name, _)| name.to_owned())
        .collect();
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let ours = text.starts_with("HOTSHELF_") && !given.contains(&name);
        if ours || text == "COLUMNS" || text.to_lowercase().ends_with("_proxy") {
            command.env_remove(&name);
        }
    }
    command.current_dir(folder);
}

/// The program in the background.
#[derive(Debug)]
pub(crate) struct Background {
    child: Child,
    folder: TempDir,
}

impl Background {
    /// Starts it in a folder of its own.
    pub(crate) fn start(args: &[&str]) -> Self {
        let folder = folder();
        let file = |name: &str| File::create(folder.path().join(name)).unwrap();
        // The signal comes when the thread of this test ends, and this is dropped before.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(binary())
            .args(args);
        clean(&mut command, folder.path());
        command
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"));
        let child = command.spawn().unwrap();
        Background { child, folder }
    }

    /// What it has written to standard output so far.
    pub(crate) fn stdout(&self) -> String {
        self.read("stdout")
    }

    /// What it has written to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.read("stderr")
    }

    fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.folder.path().join(name)).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it has written this to standard output.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        let mut ended = None;
        wait_until(&format!("it prints `{text}`"), LIMIT, || {
            ended = self.child.try_wait().unwrap();
            ended.is_some() || self.stdout().contains(text)
        });
        let said = (self.stdout(), self.stderr());
        assert!(said.0.contains(text), "it ended ({ended:?}): {said:?}");
    }

    /// Waits until it has written this to standard error.
    #[track_caller]
    pub(crate) fn wait_for_stderr(&self, text: &str) {
        wait_until(&format!("it says `{text}`"), LIMIT, || {
            self.stderr().contains(text)
        });
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the program ends", LIMIT, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
