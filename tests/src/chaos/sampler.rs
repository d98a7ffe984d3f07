//! Looks at every node now and then: how far it follows the log, and which branches of the protocol it took.

use std::time::Duration;

use hotshelf_model::{Position, Timeline};
use hotshelf_sim::Progress;

use super::writers::Scene;
use crate::node::sum;

const INTERVAL: Duration = Duration::from_millis(250);

type Labels = &'static [(&'static str, &'static str)];

/// Branches that a run should meet, each with the counter that says so.
pub(super) const BRANCHES: [(&str, &str, Labels); 25] = [
    (
        "poll that settles",
        "hotshelf_change_log_polls_total",
        &[("outcome", "settled")],
    ),
    (
        "poll that does not",
        "hotshelf_change_log_polls_total",
        &[("outcome", "unsettled")],
    ),
    (
        "poll that failed",
        "hotshelf_change_log_polls_total",
        &[("outcome", "failed")],
    ),
    (
        "row by the bus",
        "hotshelf_change_log_rows_total",
        &[("source", "bus")],
    ),
    (
        "row by the log",
        "hotshelf_change_log_rows_total",
        &[("source", "log")],
    ),
    ("gap repaired", "hotshelf_change_log_gaps_total", &[]),
    (
        "resync at a start",
        "hotshelf_resyncs_total",
        &[("reason", "start")],
    ),
    (
        "resync for a timeline",
        "hotshelf_resyncs_total",
        &[("reason", "timeline")],
    ),
    (
        "resync after pruning",
        "hotshelf_resyncs_total",
        &[("reason", "pruned")],
    ),
    (
        "history lost",
        "hotshelf_resyncs_total",
        &[("reason", "lost_history")],
    ),
    (
        "hint with news",
        "hotshelf_hints_total",
        &[("outcome", "news")],
    ),
    (
        "hint expired",
        "hotshelf_hints_total",
        &[("outcome", "expired")],
    ),
    (
        "admitted from L2",
        "hotshelf_admissions_total",
        &[("tier", "l2"), ("verdict", "fresh")],
    ),
    (
        "suspect in L2",
        "hotshelf_admissions_total",
        &[("tier", "l2"), ("verdict", "suspect")],
    ),
    (
        "dead in L2",
        "hotshelf_admissions_total",
        &[("tier", "l2"), ("verdict", "dead")],
    ),
    (
        "admitted from L3",
        "hotshelf_admissions_total",
        &[("tier", "l3"), ("verdict", "fresh")],
    ),
    (
        "suspect in L3",
        "hotshelf_admissions_total",
        &[("tier", "l3"), ("verdict", "suspect")],
    ),
    (
        "dead in L3",
        "hotshelf_admissions_total",
        &[("tier", "l3"), ("verdict", "dead")],
    ),
    (
        "revalidated: same",
        "hotshelf_revalidations_total",
        &[("outcome", "same")],
    ),
    (
        "revalidated: changed",
        "hotshelf_revalidations_total",
        &[("outcome", "changed")],
    ),
    (
        "damaged in L3",
        "hotshelf_misses_total",
        &[("tier", "l3"), ("reason", "damaged")],
    ),
    ("L3 made anew", "hotshelf_l3_recreated_total", &[]),
    ("sequencers met", "hotshelf_sequencer_conflicts_total", &[]),
    (
        "bus connected",
        "hotshelf_bus_connects_total",
        &[("outcome", "ok")],
    ),
    (
        "document of the database",
        "hotshelf_origin_documents_total",
        &[],
    ),
];

/// Samples until the run ends.
pub(super) fn run(scene: &Scene) {
    while scene.record.goes_on() {
        for node in 0..scene.world.nodes.len() {
            sample(scene, node);
        }
        scene.record.pass(INTERVAL);
    }
}

/// A node that was started again meanwhile is looked at the next time.
pub(super) fn sample(scene: &Scene, node: usize) {
    let life = scene.world.life(node);
    let Some(metrics) = scene.world.metrics(node) else {
        return;
    };
    if scene.world.life(node) != life {
        return;
    }
    let mut branches = scene.record.branches.lock();
    for (branch, counter, labels) in BRANCHES {
        branches.insert((node, life, branch), whole(&metrics, counter, labels));
    }
    drop(branches);
    let resyncs = whole(&metrics, "hotshelf_resyncs_total", &[]);
    let position = whole(&metrics, "hotshelf_change_log_position", &[]);
    let progress = Progress {
        node: u32::try_from(node).unwrap(),
        life,
        at: scene.record.now(),
        // Not told by the node: a failover shows as a resync.
        timeline: Timeline(1),
        position: Position(position),
        resyncs,
        // Told as an age of some moments ago, which is too coarse to judge by.
        proof: None,
    };
    scene.record.history.lock().progress.push(progress);
}

/// The position that a node has reached.
pub(super) fn position(scene: &Scene, node: usize) -> Option<u64> {
    let metrics = scene.world.metrics(node)?;
    Some(whole(&metrics, "hotshelf_change_log_position", &[]))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counters are whole and not negative, and a run's are small"
)]
fn whole(metrics: &str, name: &str, labels: &[(&str, &str)]) -> u64 {
    sum(metrics, name, labels) as u64
}
