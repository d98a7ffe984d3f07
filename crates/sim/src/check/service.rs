//! C9 to C11: what the run cost, how often it failed its readers, and whether it met what it was made for.

use std::collections::HashMap;

use super::{Bounds, Rule, Violation};
use crate::history::{History, Moment};

pub(super) fn check(history: &History, bounds: &Bounds, violations: &mut Vec<Violation>) {
    fetches(history, bounds, violations);
    availability(history, bounds, violations);
    coverage(history, bounds, violations);
}

fn fetches(history: &History, bounds: &Bounds, violations: &mut Vec<Violation>) {
    let mut counts: HashMap<_, u32> = HashMap::new();
    for fetch in &history.fetches {
        *counts.entry((fetch.product, fetch.version)).or_default() += 1;
    }
    let most = history.nodes * bounds.fetches_per_node;
    for ((product, version), count) in counts {
        if count > most {
            violations.push(Violation {
                rule: Rule::Fetches,
                at: None,
                what: format!(
                    "version {} of product {product} was fetched {count} times, more than {most}",
                    version.token()
                ),
            });
        }
    }
}

/// Each kind of fault by itself: reads that began while one of the kind was under way, and those outside all faults.
fn availability(history: &History, bounds: &Bounds, violations: &mut Vec<Violation>) {
    let during = |at: Moment, kind: &str| {
        let mut faults = history.faults.iter();
        faults.any(|fault| fault.kind.0 == kind && fault.from <= at && at <= fault.to)
    };
    let calm = |at: Moment| {
        let mut faults = history.faults.iter();
        !faults.any(|fault| fault.from <= at && at <= fault.to)
    };
    let failed = history
        .failures
        .iter()
        .filter(|failure| calm(failure.begun))
        .count();
    if failed > 0 {
        violations.push(Violation {
            rule: Rule::Availability,
            at: history
                .failures
                .iter()
                .map(|failure| failure.begun)
                .find(|&at| calm(at)),
            what: format!("{failed} reads failed while nothing was broken"),
        });
    }
    let mut kinds: Vec<_> = history.faults.iter().map(|fault| fault.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let failures = history
            .failures
            .iter()
            .filter(|read| during(read.begun, kind.0))
            .count();
        let answers = history
            .reads
            .iter()
            .filter(|read| during(read.begun, kind.0))
            .count();
        let allowed = bounds
            .failures_max
            .iter()
            .find(|(allowed, _)| *allowed == kind);
        let allowed = allowed.map_or(0.0, |&(_, share)| share);
        let share = ratio(failures, failures + answers);
        if share > allowed {
            violations.push(Violation {
                rule: Rule::Availability,
                at: None,
                what: format!(
                    "{:.2} % of reads failed during `{kind}`, more than {:.2} %",
                    share * 100.0,
                    allowed * 100.0
                ),
            });
        }
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if whole == 0 {
        0.0
    } else {
        number(part) / number(whole)
    }
}

fn coverage(history: &History, bounds: &Bounds, violations: &mut Vec<Violation>) {
    for &(wanted, least) in &bounds.coverage_min {
        let faults = history
            .faults
            .iter()
            .filter(|fault| fault.kind.0 == wanted)
            .count() as u64;
        let named = history.branches.iter().filter(|(name, _)| *name == wanted);
        let met = faults + named.map(|(_, count)| count).sum::<u64>();
        if met < least {
            violations.push(Violation {
                rule: Rule::Coverage,
                at: None,
                what: format!("`{wanted}` happened {met} times, at least {least} were wanted"),
            });
        }
    }
}
