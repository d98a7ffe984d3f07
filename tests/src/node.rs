//! A node as a process: started from a TOML text, stopped, killed, started again on the same folder and ports.
//!
//! The process ends with the test process: it is started through `setpriv --pdeathsig KILL` by one thread that lives as long as the
//! test process, because Linux sends that signal when the thread that started the child ends.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use hotshelf_testkit::{free_port, wait_until};
use parking_lot::Mutex;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use tempfile::TempDir;

use crate::client::{self, Address, Reply};
use crate::time::stopwatch;

/// A debug build on a busy machine starts within seconds, and waits 10 s for a database that is down.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Beyond every drain timeout that tests configure.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Longer than any fill may take.
const REST_LIMIT: Duration = Duration::from_secs(20);
const PORT_TRIES: usize = 5;
const LOG_LINES_SHOWN: usize = 60;

/// How a node ended.
#[derive(Clone, Copy, Debug)]
pub struct Stopped {
    /// The exit status.
    pub status: ExitStatus,
    /// The time from the signal to the end.
    pub took: Duration,
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    child: Mutex<Option<Child>>,
    dir: TempDir,
    http: u16,
    admin: u16,
}

impl Node {
    /// Starts a node with this configuration and waits until it is ready. Its data folder, its listeners' addresses and nothing
    /// else are added.
    ///
    /// # Panics
    /// When it does not become ready; the message has its log.
    #[track_caller]
    pub fn start(toml: &str) -> Self {
        let node = Self::launch(toml);
        node.wait_ready();
        node
    }

    /// Starts a node and waits only until it answers at all.
    ///
    /// # Panics
    /// When it ends instead; the message has its log.
    #[track_caller]
    pub fn launch(toml: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("hotshelf-node-")
            .tempdir()
            .unwrap();
        std::fs::write(dir.path().join("node.toml"), toml).unwrap();
        let mut node = Node {
            child: Mutex::new(None),
            dir,
            http: free_port(),
            admin: free_port(),
        };
        for _ in 0..PORT_TRIES {
            if node.begin() {
                return node;
            }
            assert!(
                node.log().contains("in use"),
                "the node did not start; its log says:\n{}",
                node.log()
            );
            node.http = free_port();
            node.admin = free_port();
        }
        panic!("the node found no free port; its log says:\n{}", node.log());
    }

    /// Starts the process; says whether it came to answering.
    fn begin(&self) -> bool {
        *self.child.lock() = Some(spawn(self.command()).unwrap());
        let mut alive = true;
        wait_until("the node answers or ends", START_LIMIT, || {
            alive = self.is_running();
            !alive
                || self
                    .try_get("/livez")
                    .is_ok_and(|reply| reply.status == 200)
        });
        alive
    }

    fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(binary())
            .arg("serve");
        command
            .arg("--config")
            .arg(self.dir.path().join("node.toml"));
        let own = [
            format!("node.data_dir={}", self.data_dir().display()),
            format!("http.listen=127.0.0.1:{}", self.http),
            format!("admin.listen=127.0.0.1:{}", self.admin),
        ];
        for setting in own {
            command.arg("--set").arg(setting);
        }
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HOTSHELF_") {
                command.env_remove(name);
            }
        }
        let log = self.log_file();
        command.current_dir(self.dir.path());
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        command
    }

    fn log_file(&self) -> File {
        let path = self.dir.path().join("log");
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap()
    }

    /// Waits until `/readyz` says yes.
    ///
    /// # Panics
    /// When it does not within a minute.
    #[track_caller]
    pub fn wait_ready(&self) {
        wait_until("the node is ready", START_LIMIT, || {
            self.try_get("/readyz")
                .is_ok_and(|reply| reply.status == 200)
        });
    }

    /// Whether the process runs.
    pub fn is_running(&self) -> bool {
        let mut child = self.child.lock();
        child
            .as_mut()
            .is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// The process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.lock().as_ref().map(Child::id)
    }

    /// Stops the process (`SIGSTOP`): connections stay open, nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// A process that has ended meanwhile is no failure.
    fn signal(&self, signal: Signal) {
        if let Some(child) = &*self.child.lock() {
            kill_process(Pid::from_child(child), signal).ok();
        }
    }

    /// The node's data folder; it holds the L3 (`l3`) and, without a database URL, the SQLite file.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The folder in which the node works, where tests may put sockets and other files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The port of the public listener.
    pub fn port(&self) -> u16 {
        self.http
    }

    /// Where documents are read.
    pub fn address(&self) -> Address {
        Address::Tcp(self.http)
    }

    /// Where the node is administered.
    pub fn admin_address(&self) -> Address {
        Address::Tcp(self.admin)
    }

    /// The URL of the admin listener.
    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin)
    }

    /// A URL on the public listener.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http)
    }

    /// GET on the public listener.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.get_with(path, &[])
    }

    /// GET with further headers.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.request("GET", path, headers, b"")
    }

    /// One request on the public listener, on a connection of its own.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        client::request(&self.address(), method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// POST of a JSON text.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    pub fn post(&self, path: &str, json: &str) -> Reply {
        let headers = [("content-type", "application/json")];
        self.request("POST", path, &headers, json.as_bytes())
    }

    /// The document of a product in the namespace `products`.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    pub fn product(&self, id: &str) -> Reply {
        self.get(&format!("/v1/products/{id}"))
    }

    /// GET on the public listener, which may fail.
    ///
    /// # Errors
    /// When the connection is refused or breaks off.
    pub fn try_get(&self, path: &str) -> io::Result<Reply> {
        client::request(&self.address(), "GET", path, &[], b"")
    }

    /// GET on the admin listener.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    pub fn admin(&self, path: &str) -> Reply {
        self.admin_request("GET", path, &[], b"")
    }

    /// One request on the admin listener, on a connection of its own.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    pub fn admin_request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        client::request(&Address::Tcp(self.admin), method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path} on the admin listener: {error}"))
    }

    /// The sum of all series of a metric that have these labels; 0 when there is none.
    ///
    /// # Panics
    /// When there is no answer, or no such metric.
    #[track_caller]
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let text = self.admin("/metrics").expect(200).text();
        sum(&text, name, labels)
    }

    /// Documents that were asked of the origin so far.
    ///
    /// # Panics
    /// When there is no answer.
    #[track_caller]
    pub fn origin_documents(&self) -> f64 {
        self.metric("hotshelf_origin_documents_total", &[])
    }

    /// Everything that the node has written to its output, over all its starts.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.dir.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Asks the node to stop (SIGTERM) and returns at once.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Asks the node to stop (SIGTERM) and waits for its end.
    ///
    /// # Panics
    /// When it does not run, or does not end.
    #[track_caller]
    pub fn stop(&self) -> Stopped {
        let began = stopwatch();
        self.terminate();
        let status = self.wait_end();
        Stopped {
            status,
            took: began.elapsed(),
        }
    }

    /// Waits for the end of the process.
    ///
    /// # Panics
    /// When it does not run, or does not end.
    #[track_caller]
    pub fn wait_end(&self) -> ExitStatus {
        let mut status = None;
        wait_until("the node ends", STOP_LIMIT, || {
            let mut child = self.child.lock();
            status = child.as_mut().unwrap().try_wait().unwrap();
            status.is_some()
        });
        self.child.lock().take();
        status.unwrap()
    }

    /// Kills the node (SIGKILL) and returns when it is gone.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Starts the node again, with the same configuration, folder and ports, and waits until it is ready. One that runs is stopped.
    ///
    /// # Panics
    /// When it does not become ready.
    #[track_caller]
    pub fn restart(&self) {
        if self.is_running() {
            self.stop();
        }
        assert!(
            self.begin(),
            "the node did not start again; its log says:\n{}",
            self.log()
        );
        self.wait_ready();
    }
}

impl Node {
    /// What must hold of every node after every test: its flights land and give the budget back, also those whose clients went
    /// away, and nothing is logged as an error.
    fn check_rest(&self) {
        if self.is_running() {
            wait_until(
                "no flight is left and no fetch is under way",
                REST_LIMIT,
                || {
                    ["hotshelf_flights", "hotshelf_origin_budget_in_use"]
                        .iter()
                        .all(|gauge| self.metric(gauge, &[]) == 0.0)
                },
            );
        }
        let log = self.log();
        let bad = log
            .lines()
            .find(|line| line.contains("panicked at") || line.contains("ERROR"));
        assert!(bad.is_none(), "the node logged an error: {bad:?}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check_rest();
        }
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            eprintln!(
                "--- log of the node on port {}\n{}\n---",
                self.http,
                shown.join("\n")
            );
        }
    }
}

/// The sum of all series of a metric in the text of `/metrics` that have these labels; 0 when there is none.
///
/// # Panics
/// When there is no such metric: a name that nobody publishes would be 0 for ever.
#[track_caller]
pub fn sum(metrics: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let kind = format!("# TYPE {name} ");
    let is_there = metrics.lines().any(|line| line.starts_with(&kind));
    assert!(is_there, "the node publishes no metric {name}");
    let lines = metrics.lines();
    lines.filter_map(|line| series(line, name, labels)).sum()
}

/// The built program. Programs of tests lie beside it or in `deps` there.
///
/// # Panics
/// When it was not built.
pub fn binary() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let folder = own.parent().unwrap();
    let profile = match folder.file_name() {
        Some(name) if name == "deps" => folder.parent().unwrap(),
        _ => folder,
    };
    let binary = profile.join("hotshelf");
    assert!(
        binary.try_exists().unwrap(),
        "{} is missing: run cargo xtask test, or cargo build -p hotshelf-cli",
        binary.display()
    );
    binary
}

/// The value of a line of `/metrics` if it is of this metric and has these labels.
fn series(line: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let rest = line.strip_prefix(name)?;
    let (found, value) = match rest.strip_prefix('{') {
        Some(rest) => rest.split_once('}')?,
        None => ("", rest),
    };
    if !value.starts_with(' ') {
        return None;
    }
    let has = |&(label, wanted): &(&str, &str)| {
        let wanted = format!("{label}=\"{wanted}\"");
        found.split(',').any(|one| one == wanted)
    };
    labels
        .iter()
        .all(has)
        .then(|| value.trim().parse().ok())
        .flatten()
}

type Started = io::Result<Child>;

static SPAWNER: LazyLock<mpsc::Sender<(Command, mpsc::SyncSender<Started>)>> =
    LazyLock::new(|| {
        allow_many_files();
        let (jobs, waiting) = mpsc::channel::<(Command, mpsc::SyncSender<Started>)>();
        std::thread::spawn(move || {
            for (mut command, answer) in waiting {
                answer.send(command.spawn()).ok();
            }
        });
        jobs
    });

/// Thousands of connections need as many files, in this process and in the nodes, which inherit the limit.
fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, all).unwrap();
}

/// Starts a process that ends with this one, by the thread that lives as long.
pub(crate) fn spawn(command: Command) -> Started {
    let (answer, started) = mpsc::sync_channel(1);
    SPAWNER.send((command, answer)).unwrap();
    started.recv().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "no metric hotshelf_reads")]
    fn a_metric_that_nobody_publishes_is_not_0() {
        sum(
            "# TYPE hotshelf_reads_total counter\n",
            "hotshelf_reads",
            &[],
        );
    }

    #[test]
    fn a_series_is_found_by_name_and_labels() {
        let line = r#"hotshelf_reads_total{tier="l1",outcome="hit"} 12"#;
        let value = |name: &str, labels: &[(&str, &str)]| series(line, name, labels);
        assert_eq!(value("hotshelf_reads_total", &[]), Some(12.0));
        assert_eq!(
            value("hotshelf_reads_total", &[("outcome", "hit")]),
            Some(12.0)
        );
        assert_eq!(value("hotshelf_reads_total", &[("tier", "l2")]), None);
        assert_eq!(value("hotshelf_reads", &[]), None);
        assert_eq!(
            series("hotshelf_flights 3", "hotshelf_flights", &[]),
            Some(3.0)
        );
    }
}
