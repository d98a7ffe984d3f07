//! A node alone finds what is hot on it, and nothing that is not.

use hotshelf_model::{Id, NamespaceName, Variant};

use super::*;
use crate::rules::{Action, RuleText};
use crate::slices::Slices;

const SILENT: Alone = Alone {
    nodes: 4,
    is_silent: true,
};

fn key(id: &str) -> Key {
    let namespace = NamespaceName::new("products").unwrap();
    Key::new(&namespace, &Id::new(id).unwrap(), &Variant::default())
}

fn hash(id: &str) -> KeyHash {
    KeyHash::of(key(id).as_str(), 1)
}

struct Node {
    slices: Slices,
    provisional: Provisional,
    rules: Rules,
    slot: u64,
}

impl Node {
    /// A threshold of 1,000, of which this node's part is 250.
    fn new(rules: &[RuleText]) -> Self {
        Node {
            slices: Slices::new(Boot(0), 1),
            provisional: Provisional::default(),
            rules: Rules::new(1000, rules).unwrap(),
            slot: 0,
        }
    }

    fn step(&mut self, alone: Alone, reads: &[(&str, u32)]) -> Vec<Found> {
        for &(id, reads) in reads {
            self.slices.count(hash(id), reads);
        }
        self.slot += 1;
        let now = Boot(self.slot * 100_000_000);
        let slice = self.slices.close(now).unwrap();
        let name = |asked| {
            reads
                .iter()
                .map(|(id, _)| key(id))
                .find(|key| KeyHash::of(key.as_str(), 1) == asked)
        };
        self.provisional
            .slice(&slice, now, alone, &self.rules, name)
    }
}

#[test]
fn five_times_the_threshold_is_found_within_half_a_second_and_held_while_it_lasts() {
    let mut node = Node::new(&[]);
    let found_at = (1..=5).find(|_| !node.step(SILENT, &[("A", 125)]).is_empty());
    assert!(found_at.is_some());
    let until = Boot(node.slot * 100_000_000).plus(PROVISIONAL_TTL);
    let mut renewed = Vec::new();
    for _ in 0..30 {
        renewed.extend(node.step(SILENT, &[("A", 125)]));
    }
    assert!((2..=3).contains(&renewed.len()), "{}", renewed.len());
    assert!(renewed[0].until > until && renewed[0].key == key("A"));
    assert!(
        (renewed[0].rate - 1250.0).abs() < 1.0,
        "{}",
        renewed[0].rate
    );
}

#[test]
fn a_detector_that_speaks_is_left_to_speak_and_its_silence_finds_the_node_prepared() {
    let mut node = Node::new(&[]);
    let heard = Alone {
        is_silent: false,
        ..SILENT
    };
    for _ in 0..10 {
        assert!(node.step(heard, &[("A", 125)]).is_empty());
    }
    let found = node.step(SILENT, &[("A", 125)]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].until, Boot(1_100_000_000).plus(PROVISIONAL_TTL));
}

#[test]
fn twice_the_share_is_not_enough_and_neither_is_a_single_slice_of_few() {
    let mut node = Node::new(&[]);
    for slot in 0..100 {
        let few = if slot % 20 == 0 { 60 } else { 1 };
        assert!(node.step(SILENT, &[("A", 50), ("B", few)]).is_empty());
    }
}

#[test]
fn rules_hold_for_a_node_alone() {
    let rule = |id: &str, action| RuleText {
        name: id.to_owned(),
        namespace: None,
        id: Some(id.to_owned()),
        action,
    };
    let rules = [rule("A", Action::Never), rule("B", Action::Threshold(4000))];
    let mut node = Node::new(&rules);
    let mut found = Vec::new();
    for _ in 0..10 {
        found.extend(node.step(SILENT, &[("A", 200), ("B", 200), ("C", 200)]));
    }
    let keys: Vec<&str> = found.iter().map(|found| found.key.id()).collect();
    assert_eq!(keys, ["C"]);
}

#[test]
fn what_is_kept_is_bounded_and_given_up() {
    let mut node = Node::new(&[]);
    for number in 0..5000 {
        node.slices.count(KeyHash::of(&number.to_string(), 1), 40);
    }
    node.step(SILENT, &[]);
    assert_eq!(node.provisional.tracked.len(), TRACKED_MAX);
    for _ in 0..20 {
        node.step(SILENT, &[]);
    }
    assert!(node.provisional.tracked.is_empty());
}
