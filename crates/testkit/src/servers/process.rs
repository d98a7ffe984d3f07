//! One server process: found, started, waited for, paused, killed, and never left behind.
//!
//! **Invariant:** a server does not outlive the test process. It is started through `setpriv --pdeathsig KILL`, and Linux
//! sends that signal when the *thread* that started the child ends; therefore one thread that lives as long as the process
//! starts every server.
//!
//! Signals reach children through `/proc`, not through the process group: PostgreSQL makes each child a session of its own.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use anyhow::{Context, bail};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

use super::free_port;
use crate::wait::poll;

/// A loaded machine with two cores starts PostgreSQL within seconds.
const START_LIMIT: Duration = Duration::from_secs(60);
const KILL_LIMIT: Duration = Duration::from_secs(10);
const PORT_TRIES: usize = 5;

/// Finds a server's program in the given folders, then in `PATH`.
pub(super) fn find(program: &str, folders: &[PathBuf], package: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = folders.iter().cloned().chain(std::env::split_paths(&path));
    folders
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.try_exists().unwrap_or(false))
        .with_context(|| {
            format!("`{program}` is not installed; run: apt-get install -y --no-install-recommends {package}")
        })
}

/// A user that a server runs as.
#[derive(Clone, Copy, Debug)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl User {
    /// Looks a user up in `/etc/passwd`.
    pub(super) fn named(name: &str) -> anyhow::Result<Self> {
        let users = std::fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
        let fields = users
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        let user = fields.into_iter().find_map(|fields| match fields[..] {
            [user, _, uid, gid, ..] if user == name => Some(User {
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
            }),
            _ => None,
        });
        user.with_context(|| format!("there is no user `{name}` to run the server as"))
    }

    /// A command that runs as this user.
    pub(super) fn apply(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}

/// How one server is started, each time alike.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) folder: PathBuf,
    pub(super) user: Option<User>,
    /// What the server's log says once it accepts connections. The log is the server's own, so another process that took
    /// the port is never mistaken for it.
    pub(super) ready: &'static str,
}

impl Recipe {
    fn log_path(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn log(&self) -> String {
        let bytes = std::fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn command(&self) -> anyhow::Result<Command> {
        let log = File::create(self.log_path()).context("creating the server's log")?;
        let mut command = match find("setpriv", &[], "util-linux") {
            Ok(setpriv) => {
                let mut command = Command::new(setpriv);
                command
                    .args(["--pdeathsig", "KILL", "--"])
                    .arg(&self.program);
                command
            }
            Err(_) => Command::new(&self.program),
        };
        command
            .args(&self.args)
            .current_dir(&self.folder)
            .process_group(0);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if let Some(user) = self.user {
            user.apply(&mut command);
        }
        Ok(command)
    }

    fn start(&self) -> anyhow::Result<Child> {
        let mut child = spawn(self.command()?)?;
        let ready = poll(START_LIMIT, || {
            let ready = self.log().contains(self.ready);
            let ended = child.try_wait().ok().flatten().is_some();
            (ready || ended).then_some(ready && !ended)
        });
        if ready == Some(true) {
            return Ok(child);
        }
        end(&mut child);
        bail!(
            "{} did not start; its log says:\n{}",
            self.program.display(),
            self.log()
        )
    }
}

/// A server process that can be paused, killed and started again.
#[derive(Debug)]
pub(super) struct Process {
    recipe: Recipe,
    child: Mutex<Option<Child>>,
}

impl Process {
    pub(super) fn start(recipe: Recipe) -> anyhow::Result<Self> {
        let child = Mutex::new(Some(recipe.start()?));
        Ok(Process { recipe, child })
    }

    /// Starts a server on a free port; on another one when somebody was quicker to take it.
    pub(super) fn start_on_free_port(
        recipe: impl Fn(u16) -> anyhow::Result<Recipe>,
    ) -> anyhow::Result<(Self, u16)> {
        let mut tries = 0;
        loop {
            tries += 1;
            let port = free_port();
            match Process::start(recipe(port)?) {
                Ok(process) => return Ok((process, port)),
                Err(error) if tries < PORT_TRIES && is_port_clash(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.lock().as_ref().map(Child::id)
    }

    /// Stops the process, then its children: in this order it can make no new ones meanwhile.
    pub(super) fn pause(&self) {
        if let Some(child) = &*self.child.lock() {
            stop(child);
        }
    }

    pub(super) fn resume(&self) {
        if let Some(child) = &*self.child.lock() {
            let pid = Pid::from_child(child);
            for pid in descendants(pid).into_iter().chain([pid]) {
                signal(pid, Signal::CONT);
            }
        }
    }

    /// Kills the process with its children and returns when they are gone. Killing what is dead does nothing.
    pub(super) fn kill(&self) {
        if let Some(mut child) = self.child.lock().take() {
            end(&mut child);
        }
    }

    /// Kills the process if it runs, and starts it with the same port and folder.
    pub(super) fn restart(&self) -> anyhow::Result<()> {
        self.kill();
        *self.child.lock() = Some(self.recipe.start()?);
        Ok(())
    }

    /// What the server has written since it was last started.
    pub(super) fn log(&self) -> String {
        self.recipe.log()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_port_clash(error: &anyhow::Error) -> bool {
    error
        .to_string()
        .to_lowercase()
        .contains("address already in use")
}

fn stop(child: &Child) -> Vec<Pid> {
    let pid = Pid::from_child(child);
    signal(pid, Signal::STOP);
    let children = descendants(pid);
    for &child in &children {
        signal(child, Signal::STOP);
    }
    children
}

fn end(child: &mut Child) {
    let children = stop(child);
    for &pid in children.iter().chain([&Pid::from_child(child)]) {
        signal(pid, Signal::KILL);
    }
    child.wait().ok();
    poll(KILL_LIMIT, || {
        children.iter().all(|&pid| is_gone(pid)).then_some(())
    });
}

/// A process that has ended meanwhile is no failure.
fn signal(pid: Pid, signal: Signal) {
    kill_process(pid, signal).ok();
}

/// A zombie counts as gone: it holds neither memory nor ports, and only its parent can remove it.
fn is_gone(pid: Pid) -> bool {
    Stat::read(&pid.as_raw_nonzero().to_string()).is_none_or(|stat| stat.state == 'Z')
}

/// The children of a process and theirs, as far as they are there now.
fn descendants(root: Pid) -> Vec<Pid> {
    let Ok(listing) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let names = listing.flatten().map(|entry| entry.file_name());
    let stats: Vec<Stat> = names
        .filter_map(|name| Stat::read(name.to_str()?))
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(
            stats
                .iter()
                .filter(|stat| stat.parent == parent)
                .map(|stat| stat.pid),
        );
        next += 1;
    }
    found.split_off(1)
}

/// What is needed of `/proc/PID/stat`.
#[derive(Debug)]
struct Stat {
    pid: Pid,
    state: char,
    parent: Pid,
}

impl Stat {
    fn read(pid: &str) -> Option<Self> {
        let number = pid.parse().ok()?;
        let text = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).ok()?;
        // The name of the program stands in parentheses and may hold blanks and parentheses itself.
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = Pid::from_raw(fields.next()?.parse().ok()?)?;
        Some(Stat {
            pid: Pid::from_raw(number)?,
            state,
            parent,
        })
    }
}

type Started = io::Result<Child>;

/// The thread that starts servers; see the invariant above.
static SPAWNER: LazyLock<mpsc::Sender<(Command, mpsc::SyncSender<Started>)>> =
    LazyLock::new(|| {
        let (jobs, waiting) = mpsc::channel::<(Command, mpsc::SyncSender<Started>)>();
        std::thread::spawn(move || {
            for (mut command, answer) in waiting {
                answer.send(command.spawn()).ok();
            }
        });
        jobs
    });

fn spawn(command: Command) -> anyhow::Result<Child> {
    let program = format!("{command:?}");
    let (answer, started) = mpsc::sync_channel(1);
    SPAWNER
        .send((command, answer))
        .map_err(|_| anyhow::anyhow!("the thread that starts servers has ended"))?;
    let child = started
        .recv()
        .context("waiting for the thread that starts servers")?;
    child.with_context(|| format!("starting {program}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_installed_is_named_with_the_line_that_installs_it() {
        let error = find("no-such-server", &[], "some-package")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`no-such-server` is not installed"),
            "{error}"
        );
        assert!(
            error.contains("apt-get install -y --no-install-recommends some-package"),
            "{error}"
        );
    }
}
