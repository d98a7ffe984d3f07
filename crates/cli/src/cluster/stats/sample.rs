//! A node's metrics at one moment, and what happened between two.

use std::collections::HashMap;
use std::time::Duration;

use super::TIERS;

/// The series of the Prometheus text format, by name with labels as they are written.
#[derive(Debug, Default)]
pub(super) struct Sample(HashMap<String, f64>);

impl Sample {
    /// Reads a text; what is no series is left out.
    pub(super) fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Sample(series.collect())
    }

    /// The sum of all series of a metric that have these labels.
    fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        let is_wanted = |name: &str| {
            let rest = name.strip_prefix(metric);
            rest.is_some_and(|rest| {
                (rest.is_empty() || rest.starts_with('{'))
                    && labels.iter().all(|label| rest.contains(label))
            })
        };
        let wanted = self.0.iter().filter(|(name, _)| is_wanted(name));
        wanted.map(|(_, value)| value).sum()
    }
}

/// What happened between two moments.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rates {
    /// Reads per second.
    pub(super) reads: f64,
    /// Reads per second that each tier answered.
    pub(super) answers: [f64; TIERS.len()],
    /// Of the lookups that reached a tier, the share that found something; `None` without any.
    pub(super) hit_ratio: [Option<f64>; TIERS.len()],
    /// Answers per second that were labelled stale.
    pub(super) stale: f64,
    /// Reads per second that failed.
    pub(super) failed: f64,
    /// Documents asked of the origin per second.
    pub(super) origin_documents: f64,
    /// The position in the change log at the end.
    pub(super) position: f64,
    /// The age of the node's last proof at the end, in seconds.
    proof_age: f64,
    /// Hot keys with a copy at the end.
    pub(super) hot_keys: f64,
}

impl Rates {
    /// What happened between two samples. A node that started anew in between counts from its start.
    pub(super) fn between(before: &Sample, after: &Sample, time: Duration) -> Self {
        let more = |metric: &str, labels: &[(&str, &str)]| {
            let (before, after) = (before.sum(metric, labels), after.sum(metric, labels));
            if after < before {
                after
            } else {
                after - before
            }
        };
        let rate =
            |metric: &str, labels: &[(&str, &str)]| more(metric, labels) / time.as_secs_f64();
        let reads = |labels: &[(&str, &str)]| rate("hotshelf_reads_total", labels);
        let hit_ratio = |tier: &str| {
            let lookups = |outcome| {
                more(
                    "hotshelf_lookups_total",
                    &[("tier", tier), ("outcome", outcome)],
                )
            };
            let found = lookups("hit") + lookups("absent");
            let all = more("hotshelf_lookups_total", &[("tier", tier)]);
            (all > 0.0).then(|| found / all)
        };
        Rates {
            reads: reads(&[]),
            answers: TIERS.map(|tier| reads(&[("tier", tier)])),
            hit_ratio: TIERS.map(hit_ratio),
            stale: reads(&[("outcome", "stale")]),
            failed: reads(&[("outcome", "failed")]),
            origin_documents: rate("hotshelf_origin_documents_total", &[]),
            position: after.sum("hotshelf_change_log_position", &[]),
            proof_age: after.sum("hotshelf_proof_age_seconds", &[]),
            hot_keys: after.sum("hotshelf_hot_keys", &[("state", "held")]),
        }
    }

    /// The share of reads that a tier answered; `None` without any.
    pub(super) fn share(&self, tier: usize) -> Option<f64> {
        (self.reads > 0.0).then(|| self.answers[tier] / self.reads)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an age is not negative, and its fractions of a millisecond are not for reading"
    )]
    pub(super) fn proof_age_ms(&self) -> u64 {
        (self.proof_age * 1000.0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# HELP hotshelf_reads_total Answers.\n# TYPE hotshelf_reads_total counter\n\
        hotshelf_reads_total{tier=\"l1\",outcome=\"hit\"} 100\nhotshelf_reads_total{tier=\"l2\",outcome=\"hit\"} 5\n\
        hotshelf_lookups_total{tier=\"l2\",outcome=\"hit\"} 5\nhotshelf_lookups_total{tier=\"l2\",outcome=\"miss\"} 5\n\
        hotshelf_reads_total_other 7\nhotshelf_change_log_position 40\n";
    const AFTER: &str = "hotshelf_reads_total{tier=\"l1\",outcome=\"hit\"} 280\nhotshelf_reads_total{tier=\"l2\",outcome=\"hit\"} 15\n\
        hotshelf_reads_total{tier=\"l2\",outcome=\"stale\"} 10\n\
        hotshelf_lookups_total{tier=\"l2\",outcome=\"hit\"} 20\nhotshelf_lookups_total{tier=\"l2\",outcome=\"miss\"} 10\n\
        hotshelf_origin_documents_total{class=\"interactive\"} 3\nhotshelf_origin_documents_total{class=\"refresh\"} 1\n\
        hotshelf_change_log_position 42\nhotshelf_proof_age_seconds 0.125\nhotshelf_hot_keys{state=\"held\"} 3\n\
        hotshelf_hot_keys{state=\"missing\"} 9\n";

    #[test]
    fn rates_are_what_happened_in_between() {
        let rates = Rates::between(
            &Sample::read(BEFORE),
            &Sample::read(AFTER),
            Duration::from_secs(2),
        );
        assert_eq!((rates.reads, rates.stale, rates.failed), (100.0, 5.0, 0.0));
        assert_eq!(rates.answers, [90.0, 10.0, 0.0, 0.0]);
        assert_eq!(rates.share(0), Some(0.9));
        assert_eq!(rates.hit_ratio, [None, Some(0.75), None, None]);
        assert_eq!(
            (rates.origin_documents, rates.position, rates.hot_keys),
            (2.0, 42.0, 3.0)
        );
        assert_eq!(rates.proof_age_ms(), 125);
    }

    #[test]
    fn a_node_that_started_anew_counts_from_its_start() {
        let rates = Rates::between(
            &Sample::read(AFTER),
            &Sample::read(BEFORE),
            Duration::from_secs(1),
        );
        assert_eq!(rates.answers[0], 100.0);
        let idle = Rates::between(
            &Sample::default(),
            &Sample::default(),
            Duration::from_secs(1),
        );
        assert_eq!((idle.share(0), idle.hit_ratio), (None, [None; 4]));
    }
}
