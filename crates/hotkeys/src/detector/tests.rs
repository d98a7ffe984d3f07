//! A detector fed with frames made by hand, slot by slot. Accuracy over streams of reads is tested in `tests/accuracy`.

use std::time::Duration;

use hotshelf_model::{Id, NamespaceName, Variant};

use super::*;
use crate::frame::{Entry, Sender};
use crate::rules::{Action, RuleText};
use crate::slices::SLICE_NANOS;

mod frames;
mod hysteresis;
mod limits;
mod promotions;

const THRESHOLD: u32 = 1000;

fn key(id: &str) -> Key {
    let namespace = NamespaceName::new("products").unwrap();
    Key::new(&namespace, &Id::new(id).unwrap(), &Variant::default())
}

fn hash(id: &str) -> KeyHash {
    KeyHash::of(key(id).as_str(), 1)
}

fn rules(texts: &[(&str, Action)]) -> Rules {
    let text = |&(id, action): &(&str, Action)| RuleText {
        name: id.to_owned(),
        namespace: None,
        id: Some(id.to_owned()),
        action,
    };
    let texts: Vec<RuleText> = texts.iter().map(text).collect();
    Rules::new(THRESHOLD, &texts).unwrap()
}

/// Nodes whose slices are each as long as a slot, and a detector that knows all names.
struct Cluster {
    detector: Detector,
    nodes: u32,
    /// The slot that ends next, on every clock.
    slot: u64,
    names: Vec<Key>,
    decided: Vec<(u64, Decision)>,
}

/// Slots before the first, so that clocks are not at their beginning.
const START: u64 = 10_000;

impl Cluster {
    fn new(nodes: u32) -> Self {
        Self::with(nodes, rules(&[]), Limits::default())
    }

    fn with(nodes: u32, rules: Rules, limits: Limits) -> Self {
        let now = Boot(START * SLICE_NANOS);
        Cluster {
            detector: Detector::new(rules, limits, now),
            nodes,
            slot: START,
            names: Vec::new(),
            decided: Vec::new(),
        }
    }

    /// What a node sends of the slot that ends now.
    fn frame(&self, node: u32, reads: &[(&str, u32)]) -> Frame {
        let mut entries: Vec<Entry> = reads
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|&(id, count)| Entry {
                key: hash(id),
                count,
                unit: 0,
            })
            .collect();
        entries.sort_unstable_by_key(|entry| entry.key);
        Frame {
            sender: Sender {
                node,
                incarnation: 77,
            },
            opened_ms: self.slot * 100,
            length_ms: 100,
            tau: 1,
            reads: 100_000,
            dropped: 0,
            entries,
        }
    }

    fn now(&self) -> Boot {
        Boot((self.slot + 1) * SLICE_NANOS + 3_000_000)
    }

    fn take(&mut self, frame: &Frame) -> Result<(), Refused> {
        let taken = self.detector.frame(frame, self.now());
        self.answer();
        taken
    }

    fn answer(&mut self) {
        let now = self.now();
        for asked in self.detector.questions() {
            let known = self
                .names
                .iter()
                .find(|key| KeyHash::of(key.as_str(), 1) == asked);
            if let Some(key) = known {
                self.detector.name(asked, key, 1000, now);
            }
        }
        for decision in self.detector.decisions() {
            self.decided.push((self.slot, decision));
        }
    }

    /// Ends the slot.
    fn tick(&mut self) {
        self.slot += 1;
        let now = Boot(self.slot * SLICE_NANOS + 50_000_000);
        self.detector.tick(now);
        self.answer();
    }

    /// A slot in which `nodes` read each key so often in all.
    fn step_of(&mut self, nodes: std::ops::Range<u32>, reads: &[(&str, u32)]) {
        for (id, _) in reads {
            if !self.names.contains(&key(id)) {
                self.names.push(key(id));
            }
        }
        let of = nodes.end - nodes.start;
        for node in nodes {
            let each: Vec<(&str, u32)> = reads
                .iter()
                .map(|&(id, count)| (id, count / of + u32::from(node < count % of)))
                .collect();
            let frame = self.frame(node, &each);
            self.take(&frame).unwrap();
        }
        self.tick();
    }

    /// So many slots in which each key is read so often by all nodes together.
    fn run(&mut self, slots: u64, reads: &[(&str, u32)]) {
        for _ in 0..slots {
            self.step_of(0..self.nodes, reads);
        }
    }

    /// What became of a key, oldest first: with the slot, counted from the first.
    fn story(&self, id: &str) -> Vec<(u64, &'static str)> {
        let words = self
            .decided
            .iter()
            .filter_map(|(slot, decision)| match decision {
                Decision::Promote(promotion) if promotion.key == key(id) => {
                    Some((slot - START, promotion.why.as_str()))
                }
                Decision::Demote(demotion) if demotion.key == key(id) => {
                    Some((slot - START, demotion.why.as_str()))
                }
                Decision::Promote(_) | Decision::Demote(_) => None,
            });
        words.collect()
    }

    fn words(&self, id: &str) -> Vec<&'static str> {
        self.story(id).into_iter().map(|(_, word)| word).collect()
    }

    fn hot(&self) -> Vec<String> {
        let mut ids: Vec<String> = self
            .detector
            .hot()
            .into_iter()
            .map(|hot| hot.promotion.key.id().to_owned())
            .collect();
        ids.sort_unstable();
        ids
    }
}
