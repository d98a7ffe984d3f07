//! Keys are learned from reads, told once, and kept within bounds.

use super::*;

const NOW: Boot = Boot(3_600_000_000_000);

fn hash(number: u64) -> KeyHash {
    KeyHash::new(number)
}

fn name(number: u64) -> Name {
    Name {
        key: Key::parse(&format!("products//P{number}")).unwrap(),
        bytes: 10,
    }
}

fn later(ms: u64) -> Boot {
    NOW.plus(Duration::from_millis(ms))
}

#[test]
fn what_is_asked_is_told_once_after_its_next_read() {
    let mut names = Names::default();
    names.ask(hash(1), NOW, later(5));
    assert!(names.is_wanted(hash(1)) && !names.is_wanted(hash(2)));
    assert!(names.due(later(10)).is_empty());
    names.learn(hash(1), name(1), later(10));
    assert_eq!(names.due(later(10)), [name(1)]);
    assert!(names.due(later(20)).is_empty() && !names.is_wanted(hash(1)));
    names.ask(hash(1), later(30), later(35));
    assert!(names.due(later(30)).is_empty(), "others may be sooner");
    assert_eq!(names.due(later(35)), [name(1)], "without another read");
}

#[test]
fn what_another_node_has_told_is_not_told_again() {
    let mut names = Names::default();
    names.ask(hash(1), NOW, NOW);
    names.ask(hash(2), NOW, NOW);
    names.learn(hash(1), name(1), NOW);
    names.told(&[hash(1), hash(2)]);
    names.learn(hash(2), name(2), NOW);
    assert!(names.due(later(10)).is_empty());
    assert_eq!(
        names.key(hash(2)),
        Some(name(2).key),
        "this node knows it now"
    );
}

#[test]
fn what_this_node_wants_itself_is_not_told() {
    let mut names = Names::default();
    names.want(hash(1), NOW);
    names.learn(hash(1), name(1), NOW);
    assert!(names.due(later(10)).is_empty());
    assert_eq!(names.key(hash(1)), Some(name(1).key));
}

#[test]
fn everything_is_bounded() {
    let mut names = Names::default();
    for number in 1..=2 * HASHES_MAX as u64 {
        names.ask(hash(number), NOW, NOW);
    }
    assert_eq!(names.wanted.len(), HASHES_MAX);
    for number in 1..=HASHES_MAX as u64 {
        names.learn(hash(number), name(number), NOW);
    }
    assert_eq!(
        (names.known.len(), names.answers.len()),
        (KNOWN_MAX, KNOWN_MAX)
    );
    assert_eq!(names.due(NOW).len(), KEYS_MAX);
    names.want(hash(1), later(11_000));
    names.want(hash(9_000_000), later(11_000));
    names.learn(hash(9_000_000), name(9), later(11_000));
    assert_eq!(names.known.len(), 2, "what nobody wants makes room");
    names.want(hash(9_000_001), later(11_000));
    names.due(later(14_000));
    assert!(!names.is_wanted(hash(9_000_001)), "it is not read");
}
