//! The fake bus does what it was told, and the same again from the same seed.

use super::*;

const ALL_FAULTS: BusFaults = BusFaults {
    lose_percent: 20,
    duplicate_percent: 20,
    delay_percent: 20,
};

fn numbers(node: &FakeBus) -> Vec<u8> {
    let events = std::iter::from_fn(|| node.inbox.of(Feed::Changes).try_next());
    let number = |event| match event {
        BusEvent::Message(_, payload) => Some(payload[0]),
        BusEvent::Connected | BusEvent::Disconnected | BusEvent::Lagged => None,
    };
    events.filter_map(number).collect()
}

fn publish(node: &FakeBus, numbers: std::ops::Range<u8>) {
    for number in numbers {
        node.publish(Channel::Log, vec![number].into());
    }
}

fn run(seed: u64) -> (Vec<u8>, Vec<u8>, BusFaultCounts) {
    let hub = FakeHub::new(seed);
    let (one, other) = (hub.join(), hub.join());
    hub.set_faults(ALL_FAULTS);
    publish(&one, 0..200);
    hub.release();
    (numbers(&one), numbers(&other), hub.counts())
}

#[test]
fn every_fault_happens_and_the_seed_decides_which() {
    let (one, other, counts) = run(7);
    assert!(
        counts.lost > 0 && counts.duplicated > 0 && counts.delayed > 0,
        "{counts:?}"
    );
    let arrived = u64::try_from(one.len() + other.len()).unwrap();
    assert_eq!(arrived + counts.lost, 400 + counts.duplicated);
    assert!(!one.is_sorted(), "late ones come after later ones");
    assert_ne!(one, other, "each node has faults of its own");
    assert_eq!(run(7), (one.clone(), other, counts));
    assert_ne!(run(8).0, one);
}

#[test]
fn a_node_without_a_connection_hears_nothing_and_says_nothing() {
    let hub = FakeHub::new(7);
    let (one, other) = (hub.join(), hub.join());
    other.disconnect();
    publish(&one, 0..3);
    assert_eq!(
        other.publish(Channel::Log, Bytes::new()),
        Published::Dropped
    );
    other.reconnect();
    publish(&other, 3..4);
    assert_eq!(
        (numbers(&one), numbers(&other)),
        (vec![0, 1, 2, 3], vec![3])
    );
    assert_eq!(hub.counts().lost, 3);
}
