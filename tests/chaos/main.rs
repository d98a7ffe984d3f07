//! A minute of chaos: a plan that is always the same, so that a failure can be traced to a change, and one that never is.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on must fail, and the report of one that fails is shown"
)]

use std::time::Duration;

use hotshelf_tests::chaos::{self, Plan};
use hotshelf_tests::time::now_ms;

fn holds(plan: &Plan) {
    let report = chaos::run(plan).unwrap();
    println!("{}", report.text);
    assert!(
        report.violations.is_empty(),
        "seed {}: {} violations, the first is: {}",
        plan.seed,
        report.violations.len(),
        report.violations[0]
    );
}

/// One test and not two, so that they do not take the machine from each other.
#[test]
fn every_promise_is_kept_while_everything_fails() {
    let fixed = Plan {
        time: Duration::from_secs(40),
        seed: 1,
        nodes: 3,
        failover: true,
    };
    holds(&fixed);
    holds(&Plan {
        time: Duration::from_secs(20),
        seed: now_ms(),
        failover: false,
        ..fixed
    });
}
