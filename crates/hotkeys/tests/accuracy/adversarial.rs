//! Streams and faults that detectors get wrong.

use crate::chance::Zipf;
use crate::cluster::{Keys, Load, On, Setup, run};
use crate::oracle::Step;

const FIRST: u32 = 50_000;

#[test]
fn keys_below_the_threshold_are_never_promoted() {
    for (threshold, keys) in [(500, 60), (100, 200)] {
        let rate = f64::from(threshold);
        let mut loads: Vec<Load> = (0..keys)
            .map(|number| {
                let share = [0.79, 0.75, 0.7, 0.5][usize::try_from(number % 4).unwrap()];
                Load::new(Keys::One(FIRST + number), rate * share, 0..Step::MAX)
            })
            .collect();
        // Keys that come and go: each return begins anew.
        loads.extend((0..200_u32).map(|number| {
            let from = 300 + u64::from(number) * 17;
            Load::new(
                Keys::One(FIRST + 1000 + number),
                rate * 0.78,
                from..from + 400,
            )
        }));
        let outcome = run(&Setup::new(10, threshold), &mut loads, 4000);
        assert_eq!(outcome.promotions.len(), 0, "{:?}", outcome.promotions);
    }
}

#[test]
fn a_flood_of_keys_that_come_once_hides_nothing_and_promotes_nothing() {
    let mut loads = vec![
        Load::new(Keys::Zipf(Zipf::new(5000)), 3000.0, 0..Step::MAX),
        // On one node, far more than a slice holds exactly.
        Load {
            on: On::Only(0),
            ..Load::new(Keys::Fresh, 1_200_000.0, 200..700)
        },
        Load::new(Keys::One(FIRST), 2500.0, 405..700),
        // One that is read on the flooded node only.
        Load {
            on: On::Only(0),
            ..Load::new(Keys::One(FIRST + 1), 2500.0, 455..700)
        },
    ];
    let outcome = run(&Setup::new(4, 500), &mut loads, 700);
    outcome.is_right();
    assert_eq!(outcome.promotions.len(), 2);
    assert!(outcome.latency(FIRST, 405).unwrap() <= 300);
    // It has to be let in by chance first.
    assert!(outcome.latency(FIRST + 1, 455).unwrap() <= 800);
}

#[test]
fn a_key_that_is_hot_on_one_node_only_is_found_as_soon() {
    let mut loads = vec![
        Load::new(Keys::Zipf(Zipf::new(FIRST)), 8000.0, 0..Step::MAX),
        Load {
            on: On::Only(3),
            ..Load::new(Keys::One(FIRST), 1000.0, 305..900)
        },
        Load {
            on: On::Only(5),
            ..Load::new(Keys::One(FIRST + 1), 390.0, 0..Step::MAX)
        },
    ];
    let outcome = run(&Setup::new(20, 500), &mut loads, 900);
    outcome.is_right();
    assert_eq!(outcome.promotions.len(), 1);
    assert!(outcome.latency(FIRST, 305).unwrap() <= 400);
}

#[test]
fn the_loss_of_a_node_demotes_nothing_and_hides_nothing() {
    let mut loads = vec![
        Load::new(Keys::Zipf(Zipf::new(5000)), 2000.0, 0..Step::MAX),
        Load::new(Keys::One(FIRST), 1000.0, 205..Step::MAX),
        // It was read on the lost node, and comes back on another after half a minute.
        Load {
            on: On::Only(2),
            ..Load::new(Keys::One(FIRST + 1), 1000.0, 205..1000)
        },
        Load::new(Keys::One(FIRST + 2), 1000.0, 1505..Step::MAX),
        Load::new(Keys::One(FIRST + 1), 1000.0, 3500..Step::MAX),
    ];
    let setup = Setup {
        dead: Some((2, 1000)),
        ..Setup::new(4, 500)
    };
    let outcome = run(&setup, &mut loads, 6000);
    outcome.is_right();
    assert_eq!(outcome.promotions.len(), 3);
    assert_eq!(outcome.demotions.len(), 0, "{:?}", outcome.demotions);
    assert!(outcome.latency(FIRST + 2, 1505).unwrap() <= 500);
}

#[test]
fn clocks_that_differ_by_five_seconds_or_by_days_change_nothing() {
    let run_with = |skew_ms: u64| {
        let mut loads = vec![
            Load::new(Keys::Zipf(Zipf::new(5000)), 4000.0, 0..Step::MAX),
            Load::new(Keys::One(FIRST), 1000.0, 305..1000),
            Load::new(Keys::One(FIRST + 1), 395.0, 0..Step::MAX),
        ];
        let setup = Setup {
            skew_ms,
            ..Setup::new(20, 500)
        };
        let outcome = run(&setup, &mut loads, 1000);
        outcome.is_right();
        assert_eq!(outcome.promotions.len(), 1);
        outcome.latency(FIRST, 305).unwrap()
    };
    for skew_ms in [0, 5000, 300_000_000] {
        let latency = run_with(skew_ms);
        assert!(latency <= 400, "{skew_ms}: {latency}");
    }
}

#[test]
fn around_the_threshold_no_key_flaps() {
    // Ten minutes in which 20 keys go from a tenth below the threshold to a tenth above it and back, every three to thirteen seconds.
    let steps = 60_000;
    let mut loads = Vec::new();
    for number in 0..20_u32 {
        let half = 300 + u64::from(number) * 50;
        for (at, from) in (0..steps)
            .step_by(usize::try_from(half).unwrap())
            .enumerate()
        {
            let rate = if at % 2 == 0 { 180.0 } else { 220.0 };
            loads.push(Load::new(Keys::One(number), rate, from..from + half));
        }
    }
    let outcome = run(&Setup::new(5, 200), &mut loads, steps);
    outcome.is_right();
    assert_eq!(outcome.promotions.len(), 20, "each of them once");
    assert_eq!(outcome.demotions.len(), 0);
}
