//! Floors: what raises them, what gives them up, and what that costs.

use proptest::prelude::*;

use super::*;

fn key(number: u128) -> FloorKey {
    FloorKey(number)
}

#[test]
fn records_raise_a_floor_in_any_order() {
    for records in [[(5, 10), (7, 11)], [(7, 11), (5, 10)]] {
        let mut floors = Floors::new(8);
        for (version, position) in records {
            assert_eq!(
                floors.raise(key(1), Version(version), Position(position)),
                None
            );
        }
        assert_eq!(floors.of(key(1)), Version(7));
        assert_eq!(floors.of(key(2)), Version::NONE);
    }
}

#[test]
fn a_hint_that_is_dropped_leaves_what_the_log_said() {
    let mut floors = Floors::new(8);
    assert_eq!(floors.raise(key(1), Version(5), Position(1)), None);
    assert!(floors.hint(key(1), Version(9), Some(Boot(100))).is_news);
    let older = floors.hint(key(1), Version(8), Some(Boot(500)));
    assert_eq!(older, Hinted::default(), "no news");
    assert_eq!(floors.of(key(1)), Version(9));
    assert_eq!(floors.expire_hints(Boot(99)), 0);
    assert_eq!(floors.expire_hints(Boot(100)), 1);
    assert_eq!(floors.of(key(1)), Version(5));
}

#[test]
fn the_log_confirms_a_hint_and_its_time_is_over() {
    let mut floors = Floors::new(8);
    floors.hint(key(1), Version(9), Some(Boot(100)));
    assert_eq!(floors.raise(key(1), Version(9), Position(1)), None);
    assert_eq!(floors.expire_hints(Boot(100)), 0);
    assert_eq!(floors.of(key(1)), Version(9));
}

#[test]
fn a_write_of_this_node_waits_for_the_log_for_ever() {
    let mut floors = Floors::new(8);
    floors.hint(key(1), Version(9), None);
    assert_eq!(floors.expire_hints(Boot(u64::MAX)), 0);
    assert_eq!(floors.of(key(1)), Version(9));
    floors.clear();
    assert!(floors.is_empty(), "another history ends it");
}

#[test]
fn what_another_node_says_never_ends_a_write_of_this_one() {
    let own = |floors: &mut Floors| floors.hint(key(1), Version(5), None);
    let heard = |floors: &mut Floors| floors.hint(key(1), Version(6), Some(Boot(100)));
    for steps in [[own, heard], [heard, own]] {
        let mut floors = Floors::new(8);
        for step in steps {
            step(&mut floors);
        }
        assert_eq!(floors.of(key(1)), Version(6));
        assert_eq!(floors.expire_hints(Boot(100)), 1);
        assert_eq!(floors.of(key(1)), Version(5), "it is still unconfirmed");
        assert_eq!(floors.expire_hints(Boot(u64::MAX)), 0);
        assert_eq!(floors.raise(key(1), Version(5), Position(1)), None);
        assert!(floors.hints.is_empty(), "now the log says it");
    }
}

#[test]
fn what_is_said_again_and_again_does_not_crowd_out_a_write_of_this_node() {
    let mut floors = Floors::new(4);
    floors.hint(key(1), Version(5), None);
    for _ in 0..9 {
        assert!(floors.hint(key(1), Version(6), Some(Boot(100))).is_news);
        assert_eq!(floors.expire_hints(Boot(100)), 1);
    }
    assert_eq!(floors.of(key(1)), Version(5));
}

#[test]
fn the_log_confirms_an_own_write_and_leaves_what_is_said_beyond_it() {
    let mut floors = Floors::new(8);
    floors.hint(key(1), Version(5), None);
    floors.hint(key(1), Version(6), Some(Boot(100)));
    assert_eq!(floors.raise(key(1), Version(5), Position(1)), None);
    assert_eq!(floors.of(key(1)), Version(6));
    assert_eq!(floors.expire_hints(Boot(100)), 1);
    assert_eq!(floors.of(key(1)), Version(5));
    assert!(floors.hints.is_empty() && floors.hint_order.is_empty());
}

#[test]
fn a_resync_leaves_writes_of_the_timeline_that_have_no_position_yet() {
    let version = |timeline: u64, sequence: u64| Version(timeline << 40 | sequence);
    let mut floors = Floors::new(8);
    assert_eq!(floors.raise(key(1), version(1, 3), Position(1)), None);
    floors.hint(key(1), version(1, 4), None);
    floors.hint(key(2), version(1, 5), Some(Boot(100)));
    floors.hint(key(3), version(2, 1), None);
    floors.hint(key(4), version(1, 6), None);
    floors.hint(key(4), version(2, 2), Some(Boot(100)));
    let of = |floors: &Floors| [1, 2, 3, 4].map(|number| floors.of(key(number)));

    floors.resync(Timeline(1));
    assert_eq!(floors.len(), 0, "the low mark says it");
    let all = [version(1, 4), version(1, 5), version(2, 1), version(2, 2)];
    assert_eq!(of(&floors), all);

    floors.resync(Timeline(2));
    let left = [Version::NONE, Version::NONE, version(2, 1), version(2, 2)];
    assert_eq!(of(&floors), left, "the others may have been lost");
    assert_eq!(floors.expire_hints(Boot(100)), 1);
    assert_eq!(floors.of(key(4)), Version::NONE);
    assert_eq!(floors.hint_order.len(), 1);
}

#[test]
fn hints_are_bounded_and_a_key_that_is_hinted_again_and_again_keeps_its_last() {
    let mut floors = Floors::new(4);
    for version in 1..=20 {
        floors.hint(key(1), Version(version), None);
        assert_eq!(floors.of(key(1)), Version(version));
        if version % 2 == 0 {
            assert_eq!(
                floors.raise(key(1), Version(version), Position(version)),
                None
            );
        }
    }
    for number in 2..=9 {
        floors.hint(key(number), Version(1), None);
    }
    assert_eq!(floors.hints.len(), 4);
    assert_eq!(floors.of(key(9)), Version(1));
}

#[test]
fn a_floor_that_is_given_up_raises_the_low_mark_to_its_position() {
    let mut floors = Floors::new(8);
    let lows: Vec<_> = (1..=9_u64)
        .filter_map(|n| floors.raise(key(u128::from(n)), Version(n), Position(10 * n)))
        .collect();
    assert_eq!(lows, [Position(20)]);
    assert_eq!(floors.of(key(2)), Version::NONE);
    assert_eq!(floors.of(key(3)), Version(3));
}

#[test]
fn a_key_that_changes_again_and_again_takes_no_room_from_the_others() {
    let mut floors = Floors::new(8);
    for number in 1..=7_u64 {
        let version = Version(number);
        assert_eq!(
            floors.raise(key(number.into()), version, Position(number)),
            None
        );
    }
    for change in 8..1_000 {
        assert_eq!(
            floors.raise(key(7), Version(change), Position(change)),
            None
        );
        assert!(floors.order.len() <= 16);
    }
    assert_eq!(floors.of(key(1)), Version(1));
    assert_eq!(floors.of(key(7)), Version(999));
}

#[test]
fn what_others_say_is_given_up_before_what_this_node_has_written() {
    let mut floors = Floors::new(8);
    let mut given_up = 0;
    for number in 1..=4 {
        given_up += floors.hint(key(number), Version(1), None).given_up;
    }
    assert_eq!(given_up, 0);
    for number in 5..=30 {
        given_up += floors
            .hint(key(number), Version(1), Some(Boot(100)))
            .given_up;
    }
    assert!(given_up >= 22, "{given_up}");
    for number in 1..=4 {
        assert_eq!(floors.of(key(number)), Version(1));
    }
    let mut lost = 0;
    for number in 31..=40 {
        lost += floors.hint(key(number), Version(1), None).given_up;
    }
    assert!(lost > 0, "own writes are bounded, too");
    assert_eq!(floors.of(key(40)), Version(1));
}

#[test]
fn a_key_that_is_hinted_again_and_again_takes_no_room_from_the_others() {
    let mut floors = Floors::new(4);
    floors.hint(key(1), Version(1), None);
    for version in 1..100 {
        let hinted = floors.hint(key(2), Version(version), Some(Boot(100)));
        assert_eq!(hinted.given_up, 0);
    }
    assert!(floors.hint_order.len() <= 8);
    assert_eq!(floors.of(key(1)), Version(1));
}

#[test]
fn what_the_low_mark_says_is_forgotten_and_nothing_else() {
    let mut floors = Floors::new(8);
    for (number, position) in [(1, 10), (2, 20), (1, 30)] {
        assert_eq!(
            floors.raise(key(number), Version(1), Position(position)),
            None
        );
    }
    floors.forget_below(Position(20));
    let kept: Vec<_> = floors.iter().map(|(key, _)| key).collect();
    assert_eq!(kept, [key(1)]);
}

proptest! {
    /// Whatever was given up is covered: a copy that passes floor and low mark reflects every record.
    #[test]
    fn no_record_is_lost_between_floors_and_low_mark(
        records in proptest::collection::vec((0_u128..12, 1_u64..40), 1..200),
        max in 1_usize..10,
    ) {
        let mut floors = Floors::new(max);
        let mut low = Position::default();
        for (at, &(number, _)) in records.iter().enumerate() {
            let version = at as u64 + 1;
            // Positions arrive a little out of order, as from a bus.
            let position = Position(version ^ 1);
            if let Some(risen) = floors.raise(key(number), Version(version), position) {
                low = low.max(risen);
            }
            prop_assert!(floors.len() <= max);
        }
        for (at, &(number, _)) in records.iter().enumerate() {
            let version = at as u64 + 1;
            let covered = floors.of(key(number)) >= Version(version) || low >= Position(version ^ 1);
            prop_assert!(covered, "record {version} of key {number}");
        }
    }
}
