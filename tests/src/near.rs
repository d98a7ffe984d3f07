//! The near caches of `examples/near-cache` as processes, each in front of one node; those whose toolchain is on this machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use hotshelf_testkit::{free_port, wait_until};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

use crate::client::{self, Address};
use crate::node::{binary, spawn};

/// Where Debian puts the one library that the Java program needs.
const CAFFEINE: &str = "/usr/share/java/caffeine.jar";
/// Set to `all` where a toolchain that is missing is a failure.
const WANTED: &str = "HOTSHELF_NEAR_CACHES";
/// A virtual machine on a busy machine starts within seconds.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A near cache that was compiled.
#[derive(Clone, Debug)]
pub struct Program {
    /// What it is called.
    pub name: &'static str,
    words: Vec<OsString>,
}

/// Compiles a program into a folder; gives the words that run it, or why that cannot be tried here.
type Compile = fn(&Path) -> Result<Vec<OsString>, &'static str>;

/// The programs that this machine can compile, compiled once; says which ones it cannot.
///
/// # Panics
/// When one does not compile, or is left out where all are wanted.
pub fn programs() -> &'static [Program] {
    static PROGRAMS: OnceLock<Vec<Program>> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let compilers: [(&'static str, Compile); 2] =
            [("near cache in Java", java), ("near cache in Go", go)];
        let all_wanted = std::env::var_os(WANTED).is_some_and(|wanted| wanted == "all");
        let mut programs = Vec::new();
        for (name, compile) in compilers {
            match compile(&folder()) {
                Ok(words) => programs.push(Program { name, words }),
                Err(reason) => {
                    assert!(!all_wanted, "no {name}: {reason}");
                    eprintln!("NOT TESTED: the {name}, because {reason}");
                }
            }
        }
        programs
    })
}

/// Beside the node's program.
fn folder() -> PathBuf {
    let folder = binary().with_file_name("near-cache");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/near-cache")
        .join(file)
}

fn java(folder: &Path) -> Result<Vec<OsString>, &'static str> {
    for program in ["javac", "java"] {
        is_there(program, "-version").ok_or("there is no JDK on the path")?;
    }
    if !Path::new(CAFFEINE).is_file() {
        return Err("Caffeine is not installed (libcaffeine-java)");
    }
    let mut compiler = Command::new("javac");
    compiler.args(["-Xlint:all", "-Werror", "-cp", CAFFEINE, "-d"]);
    compile(compiler.arg(folder).arg(source("java/NearCache.java")));
    let mut path = folder.to_path_buf().into_os_string();
    path.push(":");
    path.push(CAFFEINE);
    // Small, and quick to start.
    let machine = [
        "java",
        "-Xmx128m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-cp",
    ];
    let mut words: Vec<OsString> = machine.map(OsString::from).to_vec();
    words.extend([path, "NearCache".into()]);
    Ok(words)
}

fn go(folder: &Path) -> Result<Vec<OsString>, &'static str> {
    is_there("go", "version").ok_or("there is no Go on the path")?;
    let program = folder.join("near_cache");
    for step in [&["vet"][..], &["build", "-o", program.to_str().unwrap()]] {
        let mut compiler = Command::new("go");
        compiler.env("GOCACHE", folder.join("go"));
        compile(compiler.args(step).arg(source("go/near_cache.go")));
    }
    Ok(vec![program.into_os_string()])
}

fn is_there(program: &str, version: &str) -> Option<()> {
    let output = Command::new(program).arg(version).output();
    output
        .is_ok_and(|output| output.status.success())
        .then_some(())
}

fn compile(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// A running near cache.
#[derive(Debug)]
pub struct NearCache {
    program: Program,
    node: u16,
    port: u16,
    child: Mutex<Option<Child>>,
}

impl NearCache {
    /// Starts a near cache in front of the node on this port of 127.0.0.1, and waits until it answers at all.
    ///
    /// # Panics
    /// When it does not within a minute.
    pub fn start(program: &Program, node: u16) -> Self {
        let near = NearCache {
            program: program.clone(),
            node,
            port: free_port(),
            child: Mutex::default(),
        };
        near.start_again();
        near
    }

    /// Starts it again, on the same port, and waits until it answers at all.
    ///
    /// # Panics
    /// When it does not within a minute.
    pub fn start_again(&self) {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .args(&self.program.words);
        command.arg(self.port.to_string());
        command.arg(format!("http://127.0.0.1:{}", self.node));
        // They tell each request that their node did not answer.
        let streams = command.stdin(Stdio::null()).stdout(Stdio::null());
        streams.stderr(Stdio::null());
        *self.child.lock() = Some(spawn(command).unwrap());
        wait_until("the near cache answers", START_LIMIT, || {
            self.status().is_some()
        });
    }

    /// Whether its node answers it.
    pub fn reaches_node(&self) -> bool {
        self.status().is_some_and(|status| status == 404)
    }

    /// Of an answer about a product that never was; 502 when its node does not answer.
    fn status(&self) -> Option<u16> {
        let reply = client::request(&self.address(), "GET", "/v1/products/none", &[], b"");
        reply.ok().map(|reply| reply.status)
    }

    /// What it is called.
    pub fn name(&self) -> &'static str {
        self.program.name
    }

    /// Where documents are read through it.
    pub fn address(&self) -> Address {
        Address::Tcp(self.port)
    }

    /// Stops the process (`SIGSTOP`): connections stay open, nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = &*self.child.lock() {
            kill_process(Pid::from_child(child), signal).ok();
        }
    }

    /// Kills the process (SIGKILL) and returns when it is gone.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl Drop for NearCache {
    fn drop(&mut self) {
        self.kill();
    }
}
