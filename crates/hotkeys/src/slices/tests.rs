//! Counts are exact where there is room, and right on average where there is none.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;

fn key(number: u64) -> KeyHash {
    KeyHash::of(&format!("products//{number}"), 1)
}

fn counts(slice: &Slice) -> BTreeMap<KeyHash, u32> {
    let counted = slice.counted();
    counted
        .map(|counted| (counted.key, counted.count))
        .collect()
}

proptest! {
    #[test]
    fn counting_is_adding_up(reads in prop::collection::vec((0_u64..300, 1_u32..50), 0..2000)) {
        let mut slices = Slices::new(Boot(0), 1);
        let mut expected = BTreeMap::new();
        for &(number, reads) in &reads {
            slices.count(key(number), reads);
            *expected.entry(key(number)).or_insert(0) += reads;
        }
        let slice = slices.close(Boot(100 * MS)).unwrap();
        prop_assert_eq!(slice.reads(), expected.values().map(|&reads| u64::from(reads)).sum::<u64>());
        prop_assert_eq!(slice.turned_away(), 0);
        prop_assert!(slice.counted().all(|counted| counted.unit == 0));
        prop_assert_eq!(counts(&slice), expected);
    }
}

#[test]
fn counting_many_at_once_is_counting_each() {
    let keys: Vec<KeyHash> = (0..5000).map(|number| key(number * number % 700)).collect();
    let (mut one, mut all) = (Slices::new(Boot(0), 1), Slices::new(Boot(0), 1));
    keys.iter().for_each(|&key| one.count(key, 1));
    all.count_all(&keys);
    let [one, all] = [&mut one, &mut all].map(|slices| slices.close(Boot(100 * MS)).unwrap());
    assert_eq!((counts(&all), all.reads()), (counts(&one), 5000));
}

#[test]
fn a_slice_closes_when_its_100_ms_are_over_and_says_how_long_it_was() {
    let mut slices = Slices::new(Boot(1037 * MS), 1);
    slices.count(key(1), 1);
    assert!(slices.close(Boot(1099 * MS)).is_none());
    let first = slices.close(Boot(1100 * MS)).unwrap();
    assert_eq!(
        (first.number(), first.length()),
        (10, Duration::from_millis(63))
    );
    assert!(slices.close(Boot(1199 * MS)).is_none());
    let late = slices.close(Boot(1450 * MS)).unwrap();
    assert_eq!(
        (late.number(), late.length()),
        (11, Duration::from_millis(350))
    );
    let next = slices.close(Boot(1500 * MS)).unwrap();
    assert_eq!(
        (next.number(), next.length()),
        (14, Duration::from_millis(50))
    );
}

#[test]
fn counting_goes_on_while_a_closed_slice_is_elsewhere() {
    let mut slices = Slices::new(Boot(0), 1);
    slices.count(key(1), 3);
    slices.dropped(4);
    let first = slices.close(Boot(100 * MS)).unwrap();
    slices.count(key(1), 5);
    assert_eq!((counts(&first)[&key(1)], first.dropped_reads()), (3, 4));
    slices.reuse(first);
    let second = slices.close(Boot(200 * MS)).unwrap();
    assert_eq!((counts(&second)[&key(1)], second.dropped_reads()), (5, 0));
    let third = slices.close(Boot(300 * MS)).unwrap();
    assert_eq!(third.counted().count(), 0, "what was given back is empty");
}

/// Fills a slice with keys that nobody asks for again.
fn flood(slices: &mut Slices, keys: u64) {
    for number in 0..keys {
        slices.count(key(1_000_000 + number), 1);
    }
}

#[test]
fn a_flood_of_keys_is_bounded_and_counted() {
    let mut slices = Slices::new(Boot(0), 1);
    for second in 1..=3 {
        flood(&mut slices, 1_500_000);
        let slice = slices.close(Boot(second * 100 * MS)).unwrap();
        assert!(slice.counted().count() <= DISTINCT_MAX + LUCKY_MAX);
        assert_eq!(slice.reads(), 1_500_000);
        assert!(slice.turned_away() > 1_400_000, "{}", slice.turned_away());
        slices.reuse(slice);
        assert!(slices.heap_bytes() <= 4 << 20, "{}", slices.heap_bytes());
    }
    for second in 4..=5 {
        let slice = slices.close(Boot(second * 100 * MS)).unwrap();
        slices.reuse(slice);
    }
    assert!(slices.heap_bytes() < 64 << 10, "memory follows the keys");
}

#[test]
fn what_chance_lets_in_has_its_true_count_on_average() {
    const ROUNDS: u64 = 200;
    // By one read at a time and by several at once; before and after the chance has become less.
    let asked: [(u64, u32, u32); 4] = [(0, 40, 1), (1, 40, 8), (2, 400, 1), (3, 400, 100)];
    let mut sums = [0.0; 4];
    let mut all = 0.0;
    for round in 0..ROUNDS {
        let mut slices = Slices::new(Boot(0), round);
        flood(&mut slices, DISTINCT_MAX as u64);
        for step in 0..400 {
            for &(number, reads, at_once) in &asked {
                if step < reads && step % at_once == 0 {
                    slices.count(key(number), at_once);
                }
            }
            for number in 0..100 {
                slices.count(key(9_000_000 + u64::from(step) * 100 + number), 1);
            }
        }
        let slice = slices.close(Boot(100 * MS)).unwrap();
        let counted = counts(&slice);
        for (sum, &(number, ..)) in sums.iter_mut().zip(&asked) {
            *sum += f64::from(counted.get(&key(number)).copied().unwrap_or(0));
        }
        all += counted.values().map(|&count| f64::from(count)).sum::<f64>() / slice.reads() as f64;
        for counted in slice.counted() {
            assert!(
                counted.unit <= counted.count,
                "an estimate is of one unit at least"
            );
        }
    }
    for (sum, (number, reads, _)) in sums.into_iter().zip(asked) {
        let mean = sum / ROUNDS as f64 / f64::from(reads);
        assert!(
            (0.85..1.15).contains(&mean),
            "key {number}: {mean} of its reads"
        );
    }
    let all = all / ROUNDS as f64;
    assert!((all - 1.0).abs() < 0.01, "{all} of all reads");
}

#[test]
fn watched_keys_are_exact_in_a_flood() {
    let mut slices = Slices::new(Boot(0), 1);
    slices.watch((0..3).map(key));
    slices.close(Boot(100 * MS)).unwrap();
    flood(&mut slices, 200_000);
    slices.count(key(1), 7);
    slices.count(key(5), 7);
    let slice = slices.close(Boot(200 * MS)).unwrap();
    let watched: Vec<Counted> = slice
        .counted()
        .filter(|counted| counted.is_watched)
        .collect();
    let expected = Counted {
        key: key(1),
        count: 7,
        unit: 0,
        is_watched: true,
    };
    assert_eq!(watched, [expected], "without those that nobody read");
}

#[test]
fn more_are_not_watched_than_there_are_places_for() {
    let mut slices = Slices::new(Boot(0), 1);
    slices.watch((0..20_000).map(key));
    slices.close(Boot(100 * MS)).unwrap();
    assert_eq!(slices.open.cells.len(), WATCHED_MAX);
}
