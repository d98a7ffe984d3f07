//! One exploration: runs the checker, and says what it found.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use crate::coverage::Coverage;
use crate::protocol::{PROVED, Protocol};
use crate::rules::{Mutant, Rules};
use crate::scope::Scope;

/// More steps than any exploration of every run takes; so one that grows is noticed instead of waited for.
pub(crate) const STEPS_MAX: usize = 6_000_000;

/// Threads of one exploration. More gain nothing on the machines that CI has.
const THREADS: usize = 2;

/// What an exploration found.
pub(crate) struct Explored {
    name: String,
    /// Whether every state within the scope was seen.
    pub(crate) is_whole: bool,
    /// What did not hold, with the steps that lead there.
    pub(crate) violations: Vec<String>,
    /// Whether a hit was served and a proof made after every change.
    is_proved: bool,
}

/// Explores a scope until its end, a violation, or `steps_max`; prints a line of the table.
#[expect(
    clippy::disallowed_methods,
    reason = "the time is for people who read the table; nothing depends on it"
)]
pub(crate) fn explore(
    scope: &Scope,
    mutant: Option<Mutant>,
    steps_max: usize,
    coverage: &Arc<Coverage>,
) -> Explored {
    let begun = Instant::now();
    let protocol = Protocol::new(*scope, Rules { mutant }, Arc::clone(coverage));
    let checker = protocol
        .checker()
        .threads(THREADS)
        .target_state_count(steps_max)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let discoveries = checker.discoveries();
    let is_proved = discoveries.contains_key(PROVED);
    let violations: Vec<String> = discoveries
        .into_iter()
        .filter(|(name, _)| *name != PROVED)
        .map(|(name, path)| violation(name, &path.into_actions()))
        .collect();
    let is_whole = violations.is_empty() && checker.state_count() < steps_max;
    let outcome = match (violations.is_empty(), is_whole) {
        (false, _) => "violated",
        (true, true) => "safe",
        (true, false) => "safe so far",
    };
    let name = match mutant {
        Some(mutant) => format!("{} / {mutant:?}", scope.name),
        None => scope.name.to_owned(),
    };
    println!(
        "{name:<56} {:>9} states {:>9} steps {outcome:<11} {:>6.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        begun.elapsed().as_secs_f64(),
    );
    Explored {
        name,
        is_whole,
        violations,
        is_proved,
    }
}

fn violation(name: &str, steps: &[impl std::fmt::Debug]) -> String {
    let mut text = format!("not true: {name}; after");
    for step in steps {
        write!(text, "\n  {step:?}").expect("a string takes any text");
    }
    text
}

impl Explored {
    /// Asserts that nothing was violated, and that there was something that could have been. One that was not explored to its end may
    /// not have come so far.
    pub(crate) fn assert_safe(&self) {
        let violations = self.violations.join("\n");
        assert!(self.violations.is_empty(), "{}: {violations}", self.name);
        let is_empty = self.is_whole && !self.is_proved;
        assert!(!is_empty, "{}: no hit after every change", self.name);
    }
}
