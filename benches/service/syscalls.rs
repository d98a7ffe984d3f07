//! System calls for each request, counted by `strace` where it is installed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use hotshelf_testkit::wait_until;
use rustix::process::{Pid, Signal, kill_process};

use crate::load::Load;
use crate::servers::Server;

const ATTACH_LIMIT: Duration = Duration::from_secs(20);
/// Calls that are rarer than this for each request are not named.
const NAMED_MIN: f64 = 0.02;

/// All calls for each request, and the frequent ones by name; `None` when nobody can count.
pub(crate) fn count(
    server: &Server,
    load: &Load,
    reads: &[u32],
    folder: &Path,
) -> anyhow::Result<Option<(f64, String)>> {
    let summary = folder.join("strace");
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-o"]).arg(&summary);
    let pids = server.pids()?;
    for pid in &pids {
        command.args(["-p", &pid.to_string()]);
    }
    let spawned = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut strace) = spawned else {
        return Ok(None);
    };
    let mut ended = false;
    wait_until("strace is attached", ATTACH_LIMIT, || {
        ended = strace.try_wait().is_ok_and(|status| status.is_some());
        ended || pids.iter().all(|&pid| is_traced(pid))
    });
    if ended {
        return Ok(None);
    }
    let run = load.run(server.port, reads, Duration::ZERO);
    if let Some(pid) = Pid::from_raw(strace.id().cast_signed()) {
        kill_process(pid, Signal::INT)?;
    }
    strace.wait()?;
    run?;
    let text = std::fs::read_to_string(&summary).context("reading what strace has counted")?;
    Ok(Some(per_request(&text, reads.len())))
}

/// Whether every thread is traced.
fn is_traced(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    let mut tasks = tasks.into_iter().flatten().flatten();
    tasks.all(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let tracer = status
            .lines()
            .find_map(|line| line.strip_prefix("TracerPid:"));
        tracer.is_some_and(|tracer| tracer.trim() != "0")
    })
}

/// Reads strace's table: share, seconds, microseconds, calls, errors (or nothing), name.
fn per_request(table: &str, requests: usize) -> (f64, String) {
    let (mut all, mut named) = (0.0, Vec::new());
    for line in table.lines() {
        let cells: Vec<&str> = line.split_ascii_whitespace().collect();
        let (Some(Ok(calls)), Some(name)) =
            (cells.get(3).map(|calls| calls.parse::<f64>()), cells.last())
        else {
            continue;
        };
        if *name == "total" {
            continue;
        }
        let each = calls / requests as f64;
        all += each;
        if each >= NAMED_MIN {
            named.push(format!("{name} {each:.2}"));
        }
    }
    (all, named.join(", "))
}
