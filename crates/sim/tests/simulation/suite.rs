//! Many runs: those that are always the same, those that never are, and what all of them met.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use hotshelf_model::{BootClock, Clock};
use hotshelf_sim::History;
use parking_lot::Mutex;

use crate::counters::BRANCHES;
use crate::faults;
use crate::outcome::{Outcome, simulate};
use crate::plan::Plan;
use crate::record::ACTIONS;

/// How many runs with other seeds, beside the fixed ones.
const RUNS: &str = "SIMULATION_RUNS";
/// The first of these seeds; without it, another one each time.
const SEED: &str = "SIMULATION_SEED";
/// Runs as many as fit in so many seconds of the machine's time instead.
const SECONDS: &str = "SIMULATION_SECONDS";

#[expect(
    clippy::disallowed_methods,
    reason = "a test has no configuration to hand this in"
)]
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap())
}

/// Plans with the seeds that were asked for, or with some that nobody has seen before.
pub(crate) fn others(runs: u64) -> impl Iterator<Item = Plan> {
    let first = number(SEED).unwrap_or_else(|| BootClock.now().0 % 1_000_000_000);
    let seconds = number(SECONDS).map(Duration::from_secs);
    let runs = match seconds {
        Some(_) => u64::MAX,
        None => number(RUNS).unwrap_or(runs),
    };
    let begun = BootClock.now();
    (first..first.saturating_add(runs))
        .take_while(move |_| seconds.is_none_or(|seconds| BootClock.now().since(begun) < seconds))
        .map(Plan::of)
}

/// Runs plans, on as many threads as the machine has, each on one; gives `look` each outcome as it comes.
pub(crate) fn run_all(plans: impl Iterator<Item = Plan> + Send, look: impl Fn(Outcome) + Sync) {
    let plans = Mutex::new(plans);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                loop {
                    let plan = plans.lock().next();
                    let Some(plan) = plan else { return };
                    look(simulate(plan));
                }
            });
        }
    });
}

/// What runs did not meet that together met this.
pub(crate) fn missed(met: &History) -> Vec<&'static str> {
    let faults = met.faults.iter().map(|fault| fault.kind.0);
    let branches = met.branches.iter().filter(|(_, times)| *times > 0);
    let met: BTreeSet<&str> = faults.chain(branches.map(|&(branch, _)| branch)).collect();
    let names = faults::all().map(|(name, ..)| name);
    let names = names
        .chain(BRANCHES.map(|(branch, _)| branch))
        .chain(ACTIONS);
    names.filter(|name| !met.contains(name)).collect()
}
