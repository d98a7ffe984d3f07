//! Processor time of this process and of others.

use std::fs;

use anyhow::{Context, ensure};
use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

/// What this process has used so far, in nanoseconds.
pub fn own_nanos() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 * 1e9 + used.tv_nsec as f64
}

/// What the threads of this process but the one that asks have used so far, in nanoseconds.
pub fn others_nanos() -> f64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    own_nanos() - (used.tv_sec as f64 * 1e9 + used.tv_nsec as f64)
}

/// What the living threads of a process have used so far, in nanoseconds: the scheduler's own count, user and system together.
///
/// # Errors
/// When the process is gone, or the kernel counts no such thing.
pub fn nanos_of(pid: u32) -> anyhow::Result<f64> {
    let tasks = format!("/proc/{pid}/task");
    let mut nanos = 0.0;
    for task in fs::read_dir(&tasks).with_context(|| format!("listing {tasks}"))? {
        let file = task?.path().join("schedstat");
        // A thread that ended between the listing and now takes its count with it; server threads do not end under load.
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        let used = text.split_ascii_whitespace().next().unwrap_or_default();
        nanos += used
            .parse::<f64>()
            .with_context(|| format!("reading {}", file.display()))?;
    }
    ensure!(
        nanos > 0.0,
        "the kernel does not count processor time in {tasks}/*/schedstat"
    );
    Ok(nanos)
}

/// User and system time of a process in clock ticks, for their shares.
///
/// # Errors
/// When the process is gone.
pub fn user_and_system_ticks(pid: u32) -> anyhow::Result<(f64, f64)> {
    let [user, system, ..] = ticks(pid)?;
    Ok((user, system))
}

/// What the ended children of a process have used, user and system time together, in nanoseconds; exact to two ticks of a hundredth of a second.
///
/// # Errors
/// When the process is gone.
pub fn nanos_of_ended_children(pid: u32) -> anyhow::Result<f64> {
    let [_, _, user, system] = ticks(pid)?;
    Ok((user + system) * 1e9 / clock_ticks_per_second() as f64)
}

/// User and system time of a process, and of its ended children.
fn ticks(pid: u32) -> anyhow::Result<[f64; 4]> {
    let file = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&file).with_context(|| format!("reading {file}"))?;
    let after_name = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let mut fields = after_name.split(' ').skip(11);
    let mut next = || fields.next().unwrap_or_default().parse::<f64>();
    Ok([next()?, next()?, next()?, next()?])
}

/// The children of a process.
///
/// # Errors
/// When the process is gone.
pub fn children(pid: u32) -> anyhow::Result<Vec<u32>> {
    let file = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(&file).with_context(|| format!("reading {file}"))?;
    let pids = text.split_ascii_whitespace().map(str::parse);
    Ok(pids.collect::<Result<_, _>>()?)
}
