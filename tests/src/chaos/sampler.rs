//! Looks at every node now and then: how far it follows the log, and which branches of the protocol it took.

use std::time::Duration;

use hotshelf_model::{Position, Timeline};
use hotshelf_sim::{Moment, Progress};

use super::writers::Scene;
use super::{Plan, TOLERANCE};
use crate::node::sum;

const INTERVAL: Duration = Duration::from_millis(250);

type Labels = &'static [(&'static str, &'static str)];

/// When a run takes a branch for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    /// When it is so long that it met every fault.
    Long,
    /// When a standby takes over.
    Takeover,
    /// It depends on the moment.
    Perhaps,
}

/// A branch of the protocol, with the counter that says how often it was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Branch {
    pub(super) name: &'static str,
    counter: &'static str,
    labels: Labels,
    when: When,
}

const fn branch(when: When, name: &'static str, counter: &'static str, labels: Labels) -> Branch {
    Branch {
        name,
        counter,
        labels,
        when,
    }
}

/// Branches that a run should meet.
pub(super) const BRANCHES: [Branch; 25] = [
    branch(
        When::Always,
        "poll that settles",
        "hotshelf_change_log_polls_total",
        &[("outcome", "settled")],
    ),
    branch(
        When::Perhaps,
        "poll that does not",
        "hotshelf_change_log_polls_total",
        &[("outcome", "unsettled")],
    ),
    branch(
        When::Long,
        "poll that failed",
        "hotshelf_change_log_polls_total",
        &[("outcome", "failed")],
    ),
    branch(
        When::Always,
        "row by the bus",
        "hotshelf_change_log_rows_total",
        &[("source", "bus")],
    ),
    branch(
        When::Always,
        "row by the log",
        "hotshelf_change_log_rows_total",
        &[("source", "log")],
    ),
    branch(
        When::Long,
        "gap repaired",
        "hotshelf_change_log_gaps_total",
        &[],
    ),
    branch(
        When::Always,
        "resync at a start",
        "hotshelf_resyncs_total",
        &[("reason", "start")],
    ),
    branch(
        When::Takeover,
        "resync for a timeline",
        "hotshelf_resyncs_total",
        &[("reason", "timeline")],
    ),
    branch(
        When::Long,
        "resync after pruning",
        "hotshelf_resyncs_total",
        &[("reason", "pruned")],
    ),
    branch(
        When::Perhaps,
        "history lost",
        "hotshelf_resyncs_total",
        &[("reason", "lost_history")],
    ),
    branch(
        When::Always,
        "hint with news",
        "hotshelf_hints_total",
        &[("outcome", "news")],
    ),
    branch(
        When::Perhaps,
        "hint expired",
        "hotshelf_hints_total",
        &[("outcome", "expired")],
    ),
    branch(
        When::Always,
        "admitted from L2",
        "hotshelf_admissions_total",
        &[("tier", "l2"), ("verdict", "fresh")],
    ),
    branch(
        When::Long,
        "suspect in L2",
        "hotshelf_admissions_total",
        &[("tier", "l2"), ("verdict", "suspect")],
    ),
    branch(
        When::Always,
        "dead in L2",
        "hotshelf_admissions_total",
        &[("tier", "l2"), ("verdict", "dead")],
    ),
    branch(
        When::Always,
        "admitted from L3",
        "hotshelf_admissions_total",
        &[("tier", "l3"), ("verdict", "fresh")],
    ),
    branch(
        When::Long,
        "suspect in L3",
        "hotshelf_admissions_total",
        &[("tier", "l3"), ("verdict", "suspect")],
    ),
    branch(
        When::Always,
        "dead in L3",
        "hotshelf_admissions_total",
        &[("tier", "l3"), ("verdict", "dead")],
    ),
    branch(
        When::Long,
        "revalidated: same",
        "hotshelf_revalidations_total",
        &[("outcome", "same")],
    ),
    branch(
        When::Long,
        "revalidated: changed",
        "hotshelf_revalidations_total",
        &[("outcome", "changed")],
    ),
    branch(
        When::Long,
        "damaged in L3",
        "hotshelf_misses_total",
        &[("tier", "l3"), ("reason", "damaged")],
    ),
    branch(
        When::Perhaps,
        "L3 made anew",
        "hotshelf_l3_recreated_total",
        &[],
    ),
    branch(
        When::Perhaps,
        "sequencers met",
        "hotshelf_sequencer_conflicts_total",
        &[],
    ),
    branch(
        When::Always,
        "bus connected",
        "hotshelf_bus_connects_total",
        &[("outcome", "ok")],
    ),
    branch(
        When::Always,
        "document of the database",
        "hotshelf_origin_documents_total",
        &[],
    ),
];

/// The branches that a run takes for certain.
pub(super) fn certain(plan: &Plan) -> impl Iterator<Item = &'static str> {
    let is_certain = |branch: &Branch| match branch.when {
        When::Always => true,
        When::Long => plan.is_long(),
        When::Takeover => plan.failover,
        When::Perhaps => false,
    };
    let certain = BRANCHES.iter().copied().filter(is_certain);
    certain.map(|branch| branch.name)
}

/// Samples until the run ends.
pub(super) fn run(scene: &Scene) {
    while scene.record.goes_on() {
        sample_all(scene);
        scene.record.pass(INTERVAL);
    }
}

pub(super) fn sample_all(scene: &Scene) {
    for node in 0..scene.world.nodes.len() {
        sample(scene, node);
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
    for branch in BRANCHES {
        let times = whole(&metrics, branch.counter, branch.labels);
        branches.insert((node, life, branch.name), times);
    }
    drop(branches);
    let resyncs = whole(&metrics, "hotshelf_resyncs_total", &[]);
    // With the resyncs from one text: they are compared together.
    let position = whole(&metrics, "hotshelf_change_log_position", &[]);
    let Some((timeline, proof)) = proof(scene, node) else {
        return;
    };
    let progress = Progress {
        node: u32::try_from(node).unwrap(),
        life,
        at: scene.record.now(),
        timeline,
        position: Position(position),
        resyncs,
        proof,
    };
    if scene.world.life(node) == life {
        scene.record.history.lock().progress.push(progress);
    }
}

/// The timeline that a node follows, and the moment of its last proof, if the answer came so soon that the moment is certain.
fn proof(scene: &Scene, node: usize) -> Option<(Timeline, Option<Moment>)> {
    let asked = scene.record.now();
    let health = scene.world.health(node)?;
    let is_soon = scene.record.now() - asked < TOLERANCE;
    let timeline = u32::try_from(health["timeline"].as_u64()?).unwrap();
    let age = health["proof_age_ms"].as_u64().map(Duration::from_millis);
    let proof = age.and_then(|age| asked.checked_sub(age));
    Some((Timeline(timeline), proof.filter(|_| is_soon)))
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
