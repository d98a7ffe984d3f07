//! The protocol explored: nodes that call production's own functions, beside a database, tiers, a bus and faults of the model.
//!
//! A node holds a real `Knowledge` and real `Floors`; rows, polls, hints, admission, revalidation, proofs, checkpoints and restarts go
//! through the functions that the engine calls. stateright takes every step that is possible in every state it reaches, within the
//! bounds of a scope, and looks at what every read would be served in each.
//!
//! - `scope`, `scopes`: what is explored; `database`, `node`: who takes part; `actions`: what can happen.
//! - `protocol`: what must hold in every state; `coverage`: which branches have to be taken.
//! - `rules`, `mutants`: rules broken one at a time, each of which an exploration has to find out.
//!
//! Abstractions: a fetch begins and is answered in one step, and lands in another; claims of freshness made before a failover or a
//! restore are void, as the staleness bound ends them and there is no time here; a row holds one change. Deliberately absent: TTLs,
//! leases, and the locks under which production takes each of these steps.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "clippy takes only functions marked as tests for tests; these are their helpers, and their table"
)]

mod actions;
mod coverage;
mod database;
mod explore;
mod mutants;
mod node;
mod protocol;
mod rules;
mod scope;
mod scopes;

use std::sync::Arc;

use coverage::{Branch, Coverage};
use explore::{Explored, STEPS_MAX, explore};
use scopes::{EVERY_RUN, LONG_RUNS, scope};

/// Says that the larger explorations are wanted too, and how many steps each may take.
const LONG_VARIABLE: &str = "MODEL_STEPS_MAX";

/// The steps of each larger exploration; `None` when they are not wanted.
#[expect(
    clippy::disallowed_methods,
    reason = "a test has no configuration to hand this in"
)]
fn long_steps_max() -> Option<usize> {
    let text = std::env::var(LONG_VARIABLE).ok()?;
    Some(text.parse().expect("MODEL_STEPS_MAX is a number of steps"))
}

#[test]
fn no_read_is_served_what_it_must_not_be() {
    let coverage = Arc::new(Coverage::default());
    for scope in EVERY_RUN {
        let explored = explore(scope, None, STEPS_MAX, &coverage);
        explored.assert_safe();
        assert!(
            explored.is_whole,
            "{} was not explored to its end",
            scope.name
        );
    }
    let missed: Vec<_> = Branch::ALL
        .into_iter()
        .filter(|&branch| !coverage.has(branch))
        .collect();
    assert!(missed.is_empty(), "never taken: {missed:?}");
    if let Some(steps_max) = long_steps_max() {
        for scope in LONG_RUNS {
            explore(scope, None, steps_max, &coverage).assert_safe();
        }
    }
}

#[test]
fn every_broken_rule_is_found_out() {
    let coverage = Arc::default();
    let found_out = |&&(mutant, name): &&(_, _)| {
        let explored = explore(&scope(name), Some(mutant), STEPS_MAX, &coverage);
        explored.violations.is_empty()
    };
    let survivors: Vec<_> = mutants::FOUND.iter().filter(found_out).collect();
    assert!(survivors.is_empty(), "not found out: {survivors:?}");
}

#[test]
fn what_other_rules_make_unnecessary_harms_nobody() {
    let coverage = Arc::default();
    for &(mutant, name) in mutants::HARMLESS {
        let explored: Explored = explore(&scope(name), Some(mutant), STEPS_MAX, &coverage);
        explored.assert_safe();
        assert!(explored.is_whole, "{name} was not explored to its end");
    }
}
