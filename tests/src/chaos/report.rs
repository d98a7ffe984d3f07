//! What a run comes to: figures for people, and what the checker found.

use std::fmt::Write as _;
use std::time::Duration;

use hotshelf_sim::{Flag, History, Moment, Violation};

use super::faults::Faults;
use super::record::{Record, Sight};
use super::rest::Found;
use super::sampler::BRANCHES;

/// Violations that are shown; the first ones tell enough.
const SHOWN: usize = 40;

/// A run's outcome.
#[derive(Debug)]
pub struct Report {
    /// The promises that were not kept, and what else went wrong.
    pub violations: Vec<String>,
    /// Everything, as Markdown.
    pub text: String,
    /// What each node logged.
    pub logs: Vec<String>,
}

pub(super) struct Run<'a> {
    pub(super) title: String,
    pub(super) history: &'a History,
    pub(super) record: &'a Record,
    pub(super) faults: &'a Faults,
    pub(super) found: &'a Found,
    pub(super) violations: &'a [Violation],
    pub(super) logs: Vec<String>,
}

impl Run<'_> {
    pub(super) fn report(self) -> Report {
        let mut violations: Vec<String> = self.violations.iter().map(ToString::to_string).collect();
        violations.extend(self.found.violations.iter().map(ToString::to_string));
        violations.extend(self.record.troubles.lock().iter().cloned());
        let mut text = format!("# {}\n\n", self.title);
        self.totals(&mut text, violations.len());
        self.faults(&mut text);
        self.sights(&mut text);
        self.branches(&mut text);
        self.tiers(&mut text);
        self.reasons(&mut text);
        if !violations.is_empty() {
            text.push_str("## Violations\n\n");
            for violation in violations.iter().take(SHOWN) {
                line(&mut text, format_args!("- {violation}"));
            }
        }
        Report {
            violations,
            text,
            logs: self.logs,
        }
    }

    fn totals(&self, text: &mut String, violations: usize) {
        let history = self.history;
        let stale = count(&history.reads, |read| read.flag != Flag::Fresh);
        let acknowledged = count(&history.writes, |write| write.acknowledged.is_some());
        let calm_stale = count(&history.reads, |read| {
            read.flag != Flag::Fresh && is_calm(history, read.begun, read.ended)
        });
        text.push_str("| what | how many |\n| --- | --- |\n");
        for (what, number) in [
            ("violations", violations),
            ("reads answered", history.reads.len()),
            ("of these labelled stale", stale),
            ("of these with no fault under way", calm_stale),
            ("reads without an answer", history.failures.len()),
            ("writes acknowledged", acknowledged),
            (
                "writes of unknown outcome",
                history.writes.len() - acknowledged,
            ),
            ("commits lost by a failover", history.losses.len()),
            ("faults", history.faults.len()),
            ("looks into tiers at rest", history.probes.len()),
        ] {
            line(text, format_args!("| {what} | {number} |"));
        }
    }

    /// Reads count for every fault that was under way.
    fn faults(&self, text: &mut String) {
        text.push_str(
            "\n## Faults\n\n\
             Faults of nodes and of the database happen beside those of Redis and NATS, so a read that failed of the database may stand \
             in the line of another fault too.\n\n",
        );
        text.push_str("| fault | times | seconds | reads answered | failed | answered |\n");
        text.push_str("| --- | --- | --- | --- | --- | --- |\n");
        for kind in self.faults.all() {
            let of_kind = || {
                let faults = self.history.faults.iter();
                faults.filter(|fault| fault.kind.0 == kind.name)
            };
            let during = |from: Moment, to: Moment| {
                of_kind().any(|fault| fault.from <= to && from <= fault.to)
            };
            let seconds: Duration = of_kind().map(|fault| fault.to - fault.from).sum();
            let seconds = seconds.as_secs_f64();
            let answered = count(&self.history.reads, |read| during(read.begun, read.ended));
            let failed = count(&self.history.failures, |read| {
                during(read.begun, read.ended)
            });
            let share = percent(answered, answered + failed);
            line(
                text,
                format_args!(
                    "| {} | {} | {seconds:.1} | {answered} | {failed} | {share} |",
                    kind.name,
                    of_kind().count()
                ),
            );
        }
        let calm = |from, to| is_calm(self.history, from, to);
        let answered = count(&self.history.reads, |read| calm(read.begun, read.ended));
        let failed = count(&self.history.failures, |read| calm(read.begun, read.ended));
        let share = percent(answered, answered + failed);
        line(
            text,
            format_args!("| none | | | {answered} | {failed} | {share} |"),
        );
    }

    fn sights(&self, text: &mut String) {
        text.push_str(
            "\n## From the commit's acknowledgement to every node\n\n\
             The old version was last shown, and the new one was there on all nodes, so long after; read one node after the other.\n\n\
             | written by | faults | commits | old p50 | old p99 | old max | new p50 | new p99 | new max |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        let sights = self.record.sights.lock();
        for (by_api, by) in [(true, "API"), (false, "SQL")] {
            for (calm, during) in [(true, "none"), (false, "some")] {
                let shown: Vec<&Sight> = sights
                    .iter()
                    .filter(|sight| {
                        let until = sight.acknowledged + sight.new_shown;
                        let is_calm = is_calm(self.history, sight.acknowledged, until);
                        sight.by_api == by_api && is_calm == calm
                    })
                    .collect();
                let old = quantiles(shown.iter().map(|sight| sight.old_shown));
                let new = quantiles(shown.iter().map(|sight| sight.new_shown));
                line(
                    text,
                    format_args!("| {by} | {during} | {} | {old} | {new} |", shown.len()),
                );
            }
        }
    }

    fn branches(&self, text: &mut String) {
        text.push_str("\n## Branches of the protocol\n\n| branch | times |\n| --- | --- |\n");
        for branch in BRANCHES {
            let branch = branch.name;
            let named = self
                .history
                .branches
                .iter()
                .filter(|(name, _)| *name == branch);
            let times: u64 = named.map(|(_, times)| times).sum();
            line(text, format_args!("| {branch} | {times} |"));
        }
        for (what, times) in &*self.record.done.lock() {
            line(text, format_args!("| {what} | {times} |"));
        }
    }

    fn tiers(&self, text: &mut String) {
        text.push_str("\n## Who answered\n\n| when | answers by tier |\n| --- | --- |\n");
        let during: Vec<(String, u64)> = self
            .record
            .tiers
            .lock()
            .iter()
            .map(|(tier, &number)| (tier.clone(), number))
            .collect();
        let looks = self.found.tiers.iter().map(|(when, tiers)| (*when, tiers));
        for (when, tiers) in [("in the whole run", &during)].into_iter().chain(looks) {
            let tiers: Vec<String> = tiers
                .iter()
                .map(|(tier, number)| format!("{tier} {number}"))
                .collect();
            line(text, format_args!("| {when} | {} |", tiers.join(", ")));
        }
    }

    fn reasons(&self, text: &mut String) {
        text.push_str("\n## Why requests failed\n\n| reason | times |\n| --- | --- |\n");
        for (reason, times) in &*self.record.reasons.lock() {
            line(text, format_args!("| {reason} | {times} |"));
        }
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    writeln!(text, "{arguments}").ok();
}

fn count<T>(items: &[T], wanted: impl Fn(&T) -> bool) -> usize {
    items.iter().filter(|item| wanted(item)).count()
}

fn is_calm(history: &History, from: Moment, to: Moment) -> bool {
    let mut faults = history.faults.iter();
    !faults.any(|fault| fault.from <= to && from <= fault.to)
}

fn percent(part: usize, whole: usize) -> String {
    if whole == 0 {
        return String::new();
    }
    let number = |count: usize| f64::from(u32::try_from(count).unwrap());
    format!("{:.3} %", number(part) / number(whole) * 100.0)
}

/// Median, 99th percentile and maximum, as cells of a table, in milliseconds.
fn quantiles(durations: impl Iterator<Item = Duration>) -> String {
    let mut sorted: Vec<Duration> = durations.collect();
    sorted.sort();
    let at = |percent: usize| {
        let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(index).map_or_else(String::new, |duration| {
            format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
        })
    };
    format!("{} | {} | {}", at(50), at(99), at(100))
}
