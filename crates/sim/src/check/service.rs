//! C9 to C11: what the run cost, how often it failed its readers, and whether it met what it was made for.

use std::collections::HashMap;

use super::{Bounds, Rule, Violation};
use crate::history::{FaultKind, History, Moment};

pub(super) fn check(history: &History, bounds: &Bounds, violations: &mut Vec<Violation>) {
    fetches(history, bounds, violations);
    availability(history, bounds, violations);
    coverage(history, bounds, violations);
}

fn fetches(history: &History, bounds: &Bounds, violations: &mut Vec<Violation>) {
    let Some(per_node) = bounds.fetches_per_node else {
        return;
    };
    let mut counts: HashMap<_, u32> = HashMap::new();
    for fetch in &history.fetches {
        *counts
            .entry((fetch.product, fetch.variant, fetch.version))
            .or_default() += 1;
    }
    let most = history.nodes * per_node;
    for ((product, variant, version), count) in counts {
        if count > most {
            violations.push(Violation {
                rule: Rule::Fetches,
                at: None,
                what: format!(
                    "version {} of product {product} was fetched in variant {variant} {count} times, more than {most}",
                    version.token()
                ),
            });
        }
    }
}

/// A read counts for that one of the faults under way that allows the most failures, because it may be what the read failed of.
fn availability(history: &History, bounds: &Bounds, violations: &mut Vec<Violation>) {
    let blamed = |begun: Moment, ended: Moment| {
        let faults = history.faults.iter();
        let under_way = faults.filter(|fault| fault.from <= ended && begun <= fault.to);
        let kinds = under_way.map(|fault| fault.kind);
        kinds.max_by(|one, other| bounds.share(*one).total_cmp(&bounds.share(*other)))
    };
    let mut counts: HashMap<Option<FaultKind>, Counts> = HashMap::new();
    for read in &history.reads {
        let kind = blamed(read.begun, read.ended);
        counts.entry(kind).or_default().answers += 1;
    }
    for failure in &history.failures {
        let counts = counts
            .entry(blamed(failure.begun, failure.ended))
            .or_default();
        counts.failures += 1;
        counts.first.get_or_insert(failure.begun);
    }
    for (kind, counts) in counts {
        violations.extend(too_many(kind, &counts, bounds));
    }
}

#[derive(Default)]
struct Counts {
    answers: usize,
    failures: usize,
    /// When the first failure began.
    first: Option<Moment>,
}

fn too_many(kind: Option<FaultKind>, counts: &Counts, bounds: &Bounds) -> Option<Violation> {
    let share = ratio(counts.failures, counts.failures + counts.answers);
    let most = kind.map_or(0.0, |kind| bounds.share(kind));
    let what = match kind {
        None => format!("{} reads failed while nothing was broken", counts.failures),
        Some(kind) => format!(
            "{:.2} % of reads failed during `{kind}`, more than {:.2} %",
            share * 100.0,
            most * 100.0
        ),
    };
    (share > most).then_some(Violation {
        rule: Rule::Availability,
        at: counts.first,
        what,
    })
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
    for (fact, is_there) in facts(history, bounds) {
        if !is_there {
            violations.push(Violation {
                rule: Rule::Coverage,
                at: None,
                what: format!("the run recorded no {fact}"),
            });
        }
    }
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

/// What the promises are judged by, and whether there is any of it.
fn facts(history: &History, bounds: &Bounds) -> [(&'static str, bool); 9] {
    let reads = &history.reads;
    [
        ("write", !history.writes.is_empty()),
        ("read", !reads.is_empty()),
        (
            "read that demands a version",
            reads.iter().any(|read| read.min_version.is_some()),
        ),
        (
            "read of a session",
            reads.iter().any(|read| read.session.is_some()),
        ),
        ("look into a tier at rest", !history.probes.is_empty()),
        (
            "document that the database held at rest",
            !history.expected.is_empty(),
        ),
        ("position of a node", !history.progress.is_empty()),
        (
            "proof of a node",
            history.progress.iter().any(|one| one.proof.is_some()),
        ),
        (
            "fetch",
            bounds.fetches_per_node.is_none() || !history.fetches.is_empty(),
        ),
    ]
}
