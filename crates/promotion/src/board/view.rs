//! The hot set for people.

use std::collections::HashMap;
use std::time::Duration;

use hotshelf_engine::{HotKey, HotReasons};
use hotshelf_hotkeys::message::Held;
use hotshelf_hotkeys::{Health, HotCursor, KeyHash, PromotionReason};
use hotshelf_model::{Boot, Key, Version};

use super::{Board, Hot, REPORT_TTL};

/// What a node knows of the hot keys.
#[derive(Clone, Debug)]
pub struct HotView {
    /// The last decision that this node has carried out; `None` before it knows any.
    pub cursor: Option<HotCursor>,
    /// The number of the node that leads, as was heard last.
    pub leader: Option<u32>,
    /// Whether this node leads.
    pub leads: bool,
    /// What the leader's decisions are worth; [`Health::Blind`] when none was heard yet.
    pub health: Health,
    /// How far the leader lags behind the nodes.
    pub lag: Duration,
    /// How long ago the leader was heard; `None` when it never was.
    pub silence: Option<Duration>,
    /// Nodes that the leader hears.
    pub nodes: usize,
    /// What this node's last frame left to chance: counts below it. 1 when nothing.
    pub sampled_tau: u32,
    /// The most read first.
    pub keys: Vec<HotKeyView>,
}

/// A hot key.
#[derive(Clone, Debug)]
pub struct HotKeyView {
    /// The key.
    pub key: Key,
    /// Reads per second over all nodes, as of the last second; 0 for a key that is hot on this node alone.
    pub rate: f64,
    /// Its part of all reads when it was decided, 0 to 1.
    pub share: f64,
    /// How long ago it began to be read so much.
    pub onset: Duration,
    /// How long ago it was decided.
    pub decided: Duration,
    /// Why the cluster holds it; `None` for a key that is hot on this node alone.
    pub why: Option<PromotionReason>,
    /// Why this node holds it.
    pub reasons: HotReasons,
    /// Whether a copy is in this node's L1 and is not evicted.
    pub held_here: bool,
    /// The version of that copy.
    pub version: Option<Version>,
    /// What its entry takes, on this node if there is a copy.
    pub bytes: u64,
    /// Nodes that hold it, of those that have said so in the last seconds.
    pub held_by: usize,
    /// Nodes that have said what they hold.
    pub nodes: usize,
}

impl Board {
    /// The hot set for people; `local` is what the engine holds.
    pub fn view(&self, now: Boot, local: Vec<HotKey>) -> HotView {
        let state = self.leader.as_ref().map(|leader| &leader.state);
        let mut local: HashMap<Key, HotKey> = local
            .into_iter()
            .map(|hot| (hot.key.clone(), hot))
            .collect();
        let reports: Vec<&Held> = self.reports_at(now).collect();
        let of_cluster = self.hot.iter().map(|(hash, hot)| {
            let here = local.remove(&hot.promoted.key);
            let holds = |held: &&&Held| {
                held.cursor >= hot.cursor && held.missing.binary_search(hash).is_err()
            };
            let view = view_of(hot, here.as_ref(), now);
            HotKeyView {
                held_by: reports.iter().filter(holds).count(),
                nodes: reports.len(),
                ..view
            }
        });
        let mut keys: Vec<HotKeyView> = of_cluster.collect();
        keys.extend(local.values().map(|here| of_this_node(here, reports.len())));
        keys.sort_unstable_by(|one, other| {
            let by_rate = other.rate.total_cmp(&one.rate);
            by_rate.then_with(|| one.key.as_str().cmp(other.key.as_str()))
        });
        HotView {
            cursor: self.cursor,
            leader: state.map(|state| state.from.node),
            leads: false,
            health: state.map_or(Health::Blind, |state| state.health),
            lag: state.map_or(Duration::ZERO, |state| state.lag),
            silence: self.leader.as_ref().map(|leader| now.since(leader.heard)),
            nodes: state.map_or(0, |state| usize::try_from(state.nodes).unwrap_or_default()),
            sampled_tau: 1,
            keys,
        }
    }

    fn reports_at(&self, now: Boot) -> impl Iterator<Item = &Held> {
        let reports = self.reports.values();
        let fresh = reports.filter(move |report| now.since(report.heard) <= REPORT_TTL);
        fresh.map(|report| &report.held)
    }

    /// Hot keys of which `local` has no copy that stays, ascending.
    pub fn missing(&self, local: &[HotKey]) -> Vec<KeyHash> {
        let held = local.iter().filter(|hot| hot.held);
        let held: std::collections::HashSet<&Key> = held.map(|hot| &hot.key).collect();
        let is_missing = |hot: &Hot| !held.contains(&hot.promoted.key);
        let missing = self.hot.iter().filter(|(_, hot)| is_missing(hot));
        missing.map(|(hash, _)| *hash).collect()
    }
}

fn view_of(hot: &Hot, here: Option<&HotKey>, now: Boot) -> HotKeyView {
    let promoted = &hot.promoted;
    HotKeyView {
        key: promoted.key.clone(),
        rate: hot.rate,
        share: promoted.share,
        onset: now.since(promoted.onset),
        decided: now.since(promoted.decided),
        why: Some(promoted.why),
        reasons: here.map(|here| here.reasons).unwrap_or_default(),
        held_here: here.is_some_and(|here| here.held),
        version: here.and_then(|here| here.version),
        bytes: match here.map(|here| here.bytes) {
            Some(bytes) if bytes > 0 => bytes,
            Some(_) | None => promoted.bytes.into(),
        },
        held_by: 0,
        nodes: 0,
    }
}

fn of_this_node(here: &HotKey, nodes: usize) -> HotKeyView {
    HotKeyView {
        key: here.key.clone(),
        rate: 0.0,
        share: 0.0,
        onset: here.age,
        decided: here.age,
        why: None,
        reasons: here.reasons,
        held_here: here.held,
        version: here.version,
        bytes: here.bytes,
        held_by: usize::from(here.held),
        nodes: nodes.max(1),
    }
}
