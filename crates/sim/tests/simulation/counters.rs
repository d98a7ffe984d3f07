//! What one life of a node counts: a recorder of its own, because the process has several nodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use parking_lot::Mutex;

/// Counters by name and labels: `name{label=value,label=value}`.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

/// Branches of the protocol, each with the counter that says how often it was taken.
pub(crate) const BRANCHES: [(&str, &str); 37] = [
    (
        "poll that settles",
        "change_log_polls_total{outcome=settled}",
    ),
    (
        "poll that does not",
        "change_log_polls_total{outcome=unsettled}",
    ),
    ("poll that failed", "change_log_polls_total{outcome=failed}"),
    ("row by the bus", "change_log_rows_total{source=bus}"),
    ("row by the log", "change_log_rows_total{source=log}"),
    ("gap repaired", "change_log_gaps_total"),
    ("resync at a start", "resyncs_total{reason=start}"),
    ("resync for a timeline", "resyncs_total{reason=timeline}"),
    ("resync after pruning", "resyncs_total{reason=pruned}"),
    ("other history", "resyncs_total{reason=other_history}"),
    ("checkpoint written", "checkpoints_total{outcome=written}"),
    ("hint with news", "hints_total{outcome=news}"),
    ("hint of what is known", "hints_total{outcome=known}"),
    (
        "admitted from L2",
        "admissions_total{tier=l2,verdict=fresh}",
    ),
    ("suspect in L2", "admissions_total{tier=l2,verdict=suspect}"),
    ("dead in L2", "admissions_total{tier=l2,verdict=dead}"),
    ("expired in L2", "admissions_total{tier=l2,verdict=expired}"),
    (
        "admitted from L3",
        "admissions_total{tier=l3,verdict=fresh}",
    ),
    ("suspect in L3", "admissions_total{tier=l3,verdict=suspect}"),
    ("dead in L3", "admissions_total{tier=l3,verdict=dead}"),
    ("revalidated: same", "revalidations_total{outcome=same}"),
    (
        "revalidated: changed",
        "revalidations_total{outcome=changed}",
    ),
    ("fenced in L2", "puts_total{tier=l2,outcome=fenced}"),
    ("fenced in L3", "puts_total{tier=l3,outcome=fenced}"),
    ("damaged in L2", "misses_total{tier=l2,reason=damaged}"),
    ("damaged in L3", "misses_total{tier=l3,reason=damaged}"),
    ("flight joined", "flight_joins_total"),
    ("lease held by another node", "leases_total{outcome=held}"),
    ("lease waited for", "leases_total{outcome=waited}"),
    ("lease expired", "leases_total{outcome=expired}"),
    ("refresh started", "refreshes_total{outcome=started}"),
    ("hot key kept", "hot_keeps_total{lack=copy,outcome=kept}"),
    (
        "hot key not kept",
        "hot_keeps_total{lack=copy,outcome=failed}",
    ),
    (
        "document fetched ahead",
        "hot_keeps_total{lack=next,outcome=kept}",
    ),
    ("scheduled change served", "hot_flips_total"),
    ("stale from L1", "reads_total{tier=l1,outcome=stale}"),
    ("stale from L2", "reads_total{tier=l2,outcome=stale}"),
];

impl Counters {
    /// How often a branch was taken.
    pub(crate) fn branches(&self) -> impl Iterator<Item = (&'static str, u64)> {
        BRANCHES
            .map(|(branch, series)| (branch, self.of(series)))
            .into_iter()
    }

    /// How often the node began to follow the log anew.
    pub(crate) fn resyncs(&self) -> u64 {
        let counters = self.0.lock();
        let mut sum = 0;
        for (series, count) in &*counters {
            if series.starts_with("hotshelf_resyncs_total") {
                sum += count.load(Ordering::Relaxed);
            }
        }
        sum
    }

    fn of(&self, series: &str) -> u64 {
        let counters = self.0.lock();
        let count = counters.get(&format!("hotshelf_{series}"));
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

fn series(key: &Key) -> String {
    let labels = key
        .labels()
        .map(|label| format!("{}={}", label.key(), label.value()));
    let labels: Vec<String> = labels.collect();
    if labels.is_empty() {
        return key.name().to_owned();
    }
    format!("{}{{{}}}", key.name(), labels.join(","))
}

impl metrics::Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let mut counters = self.0.lock();
        let count = counters.entry(series(key)).or_default();
        Counter::from_arc(Arc::clone(count))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
