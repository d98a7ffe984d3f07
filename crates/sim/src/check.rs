//! The promises, and the judgement of a history by them.

mod converged;
mod order;
mod reads;
mod service;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use hotshelf_model::Version;

use crate::history::{FaultKind, History, Moment, Product, Write};

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// C1: what is shown was committed, whole, and of the product that was asked for.
    Provenance,
    /// C2: an answer misses no commit older than the staleness bound, or than its label says; no label is above the cap, unless the
    /// database gave or confirmed that answer; and there is none while nothing is broken of which reads may fail.
    Bounded,
    /// C3: a reader that demands a version gets it or a newer one; and a node shows its own writes at once.
    ReadYourWrites,
    /// C4: a session that passes its versions along never sees an older one.
    Monotonic,
    /// C5: at rest no tier holds a servable copy that differs from the database.
    Convergence,
    /// C6: at rest everything can be cached again.
    Cacheable,
    /// C7: what was deleted does not come back by itself.
    Resurrection,
    /// C8: a node follows the log without going back, and proves no moment that has not been.
    Progress,
    /// C9: a version is fetched at most once by each node.
    Fetches,
    /// C10: reads fail no more often than the bound of the faults under way allows.
    Availability,
    /// C11: the run did meet what it is meant to test, and no promise is kept for want of facts.
    Coverage,
}

impl Rule {
    /// Every promise.
    pub const ALL: [Rule; 11] = [
        Rule::Provenance,
        Rule::Bounded,
        Rule::ReadYourWrites,
        Rule::Monotonic,
        Rule::Convergence,
        Rule::Cacheable,
        Rule::Resurrection,
        Rule::Progress,
        Rule::Fetches,
        Rule::Availability,
        Rule::Coverage,
    ];

    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::Provenance => "provenance",
            Rule::Bounded => "bounded",
            Rule::ReadYourWrites => "read_your_writes",
            Rule::Monotonic => "monotonic",
            Rule::Convergence => "convergence",
            Rule::Cacheable => "cacheable",
            Rule::Resurrection => "resurrection",
            Rule::Progress => "progress",
            Rule::Fetches => "fetches",
            Rule::Availability => "availability",
            Rule::Coverage => "coverage",
        }
    }
}

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// When, as far as it has a moment.
    pub at: Option<Moment>,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule.as_str(), self.what)?;
        match self.at {
            Some(at) => write!(f, " (at {:.3} s)", at.as_secs_f64()),
            None => Ok(()),
        }
    }
}

/// What the run was promised.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// How old an unlabelled answer may be.
    pub staleness: Duration,
    /// How old a labelled answer may be.
    pub stale_cap: Duration,
    /// What clocks and their readings may be apart.
    pub tolerance: Duration,
    /// Fetches of one version that all nodes together may make, as a multiple of the nodes; more than 1 where leases are broken.
    /// `None` where a run cannot record fetches.
    pub fetches_per_node: Option<u32>,
    /// The share of reads that may fail while a fault of a kind is under way; a kind that is not listed allows none. Nor does one that
    /// allows none excuse a stale label.
    pub failures_max: Vec<(FaultKind, f64)>,
    /// Faults and branches that have to be met, each at least so often.
    pub coverage_min: Vec<(&'static str, u64)>,
}

/// Judges a history: every promise that it breaks, in the order of the promises.
pub fn check(history: &History, bounds: &Bounds) -> Vec<Violation> {
    let commits = Commits::of(history);
    let mut violations = Vec::new();
    reads::check(history, bounds, &commits, &mut violations);
    converged::check(history, &mut violations);
    order::check(history, bounds, &mut violations);
    service::check(history, bounds, &mut violations);
    violations.sort_by_key(|violation| (violation.rule, violation.at));
    violations
}

impl Bounds {
    /// The share of reads that may fail of a kind of fault.
    fn share(&self, kind: FaultKind) -> f64 {
        let mut listed = self.failures_max.iter();
        let found = listed.find(|(allowed, _)| *allowed == kind);
        found.map_or(0.0, |&(_, share)| share)
    }
}

/// A commit with what the history lets one know of it.
#[derive(Clone, Copy, Debug)]
struct Commit {
    write: Write,
    /// The version, told to the writer or seen by a reader.
    version: Option<Version>,
    /// When the database lost it.
    lost: Option<Moment>,
}

impl Commit {
    /// Whether an answer may not be older than this commit, if it has to know all that was committed by `known` and was there at `ended`: by
    /// then the database may have lost the commit.
    fn binds(&self, known: Moment, ended: Moment) -> bool {
        let committed = self.write.acknowledged.is_some_and(|at| at <= known);
        committed && self.lost.is_none_or(|lost| lost > ended)
    }
}

/// The commits of each product, in the order of their versions; those whose version nobody learnt come first.
struct Commits {
    of: HashMap<Product, Vec<Commit>>,
    numbers: HashMap<u64, (Product, usize)>,
}

impl Commits {
    fn of(history: &History) -> Self {
        let mut seen: HashMap<u64, Version> = HashMap::new();
        for read in &history.reads {
            if let crate::Seen::Document { number, .. } = read.seen {
                seen.entry(number).or_insert(read.version);
            }
        }
        let lost: HashMap<u64, Moment> = history
            .losses
            .iter()
            .map(|loss| (loss.number, loss.at))
            .collect();
        let mut of: HashMap<Product, Vec<Commit>> = HashMap::new();
        for &write in &history.writes {
            of.entry(write.product).or_default().push(Commit {
                write,
                version: write.version.or_else(|| seen.get(&write.number).copied()),
                lost: lost.get(&write.number).copied(),
            });
        }
        let mut numbers = HashMap::new();
        for (&product, commits) in &mut of {
            // Of one version, what it became by time alone comes later.
            commits.sort_by_key(|commit| (commit.version, commit.write.begun));
            for (at, commit) in commits.iter().enumerate() {
                numbers.insert(commit.write.number, (product, at));
            }
        }
        Commits { of, numbers }
    }

    fn of_product(&self, product: Product) -> &[Commit] {
        self.of.get(&product).map_or(&[], Vec::as_slice)
    }

    fn numbered(&self, number: u64) -> Option<&Commit> {
        let &(product, at) = self.numbers.get(&number)?;
        self.of.get(&product)?.get(at)
    }

    /// Whether the database had lost the commit of this version by then.
    fn lost_by(&self, product: Product, version: Version, by: Moment) -> bool {
        let mut commits = self.of_product(product).iter();
        let commit = commits.find(|commit| commit.version == Some(version));
        commit.is_some_and(|commit| commit.lost.is_some_and(|lost| lost <= by))
    }

    /// The greatest version that an answer has to have that was there at `ended`, if nothing committed by `known` may be missing from it.
    fn due(&self, product: Product, known: Moment, ended: Moment) -> Option<&Commit> {
        let bound = |commit: &&Commit| commit.version.is_some() && commit.binds(known, ended);
        self.of_product(product).iter().rev().find(bound)
    }
}

#[cfg(test)]
mod tests;
