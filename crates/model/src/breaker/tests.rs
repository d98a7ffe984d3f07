//! The breaker opens, waits, probes and closes.

use proptest::prelude::*;

use super::*;

const SETTINGS: BreakerSettings = BreakerSettings {
    failures_max: 3,
    open_min: Duration::from_millis(500),
    open_max: Duration::from_secs(5),
    seed: 7,
};

fn at(millis: u64) -> Boot {
    Boot(millis * 1_000_000)
}

fn call(breaker: &Breaker, ok: bool, now: Boot) -> Option<BreakerState> {
    let pass = breaker.try_pass(now).expect("the breaker lets calls pass");
    breaker.record(pass, ok, now)
}

fn opened(now: Boot) -> Breaker {
    let breaker = Breaker::new(SETTINGS);
    assert_eq!(call(&breaker, false, now), None);
    assert_eq!(call(&breaker, false, now), None);
    assert_eq!(call(&breaker, false, now), Some(BreakerState::Open));
    breaker
}

#[test]
fn it_opens_after_three_failures_in_a_row_and_not_before() {
    let breaker = Breaker::new(SETTINGS);
    for ok in [false, false, true, false, false] {
        assert_eq!(call(&breaker, ok, at(1)), None);
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!(call(&breaker, false, at(1)), Some(BreakerState::Open));
    assert!(breaker.try_pass(at(1)).is_none());
}

#[test]
fn one_call_tries_and_closes_it() {
    let breaker = opened(at(0));
    assert!(breaker.try_pass(at(499)).is_none());
    assert!(!breaker.may_pass(at(499)) && breaker.may_pass(at(700)));
    let pass = breaker.try_pass(at(700)).expect("the wait is over");
    assert!(pass.is_probe());
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert!(
        breaker.try_pass(at(700)).is_none(),
        "only one call may try at a time"
    );
    assert_eq!(
        breaker.record(pass, true, at(701)),
        Some(BreakerState::Closed)
    );
    assert!(
        breaker
            .try_pass(at(701))
            .is_some_and(|pass| !pass.is_probe())
    );
}

#[test]
fn the_wait_grows_to_its_maximum_with_at_most_a_quarter_of_jitter() {
    let breaker = opened(at(0));
    let mut now = 0;
    for expected in [500, 1000, 2000, 4000, 5000, 5000, 5000] {
        assert!(breaker.try_pass(at(now + expected - 1)).is_none());
        now += expected + expected / 4;
        let pass = breaker.try_pass(at(now)).expect("the wait is over");
        assert_eq!(
            breaker.record(pass, false, at(now)),
            Some(BreakerState::Open)
        );
    }
}

#[test]
fn seeds_spread_the_waits() {
    let waits: std::collections::BTreeSet<u64> = (0..16)
        .map(|seed| {
            let breaker = Breaker::new(BreakerSettings { seed, ..SETTINGS });
            for _ in 0..3 {
                call(&breaker, false, at(0));
            }
            (500..700)
                .find(|&millis| breaker.try_pass(at(millis)).is_some())
                .expect("the wait is bounded")
        })
        .collect();
    assert!(waits.len() > 4, "{waits:?}");
}

#[test]
fn a_dropped_try_lets_the_next_call_try() {
    let breaker = opened(at(0));
    drop(breaker.try_pass(at(700)));
    assert_eq!(breaker.state(), BreakerState::Open);
    assert!(
        breaker
            .try_pass(at(700))
            .is_some_and(|pass| pass.is_probe())
    );
}

#[test]
fn a_late_outcome_of_an_earlier_call_changes_nothing() {
    let breaker = Breaker::new(SETTINGS);
    let (early, other) = (breaker.try_pass(at(0)), breaker.try_pass(at(0)));
    for _ in 0..3 {
        call(&breaker, false, at(0));
    }
    assert_eq!(breaker.record(early.unwrap(), true, at(1)), None);
    assert_eq!(breaker.state(), BreakerState::Open);
    let probe = breaker.try_pass(at(700)).unwrap();
    assert_eq!(breaker.record(other.unwrap(), false, at(700)), None);
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert_eq!(
        breaker.record(probe, true, at(700)),
        Some(BreakerState::Closed)
    );
}

#[test]
fn a_hint_ends_the_wait_but_does_not_close_it() {
    let breaker = opened(at(0));
    breaker.retry_now();
    assert_eq!(breaker.state(), BreakerState::Open);
    assert!(breaker.try_pass(at(1)).is_some_and(|pass| pass.is_probe()));
    let closed = Breaker::new(SETTINGS);
    closed.retry_now();
    assert_eq!(closed.state(), BreakerState::Closed);
}

proptest! {
    #[test]
    fn a_state_survives_its_word(tag in 0_u8..3, count in 0..COUNT_MAX, until in 0_u64..1 << TIME_BITS) {
        let state = match tag {
            0 => State::Closed { failures: count },
            1 => State::Open { streak: count, until },
            _ => State::HalfOpen { streak: count, until },
        };
        prop_assert_eq!(State::unpack(state.pack()), state);
    }

    /// Whatever happens, a healthy tier is asked again within the longest wait.
    #[test]
    fn it_always_closes_again(outcomes in prop::collection::vec((any::<bool>(), 0_u64..3000), 0..60)) {
        let breaker = Breaker::new(SETTINGS);
        let mut now = 0;
        for (ok, step) in outcomes {
            now += step;
            if let Some(pass) = breaker.try_pass(at(now)) {
                breaker.record(pass, ok, at(now));
            }
        }
        now += 6250;
        let pass = breaker.try_pass(at(now));
        prop_assert!(pass.is_some());
        breaker.record(pass.unwrap(), true, at(now));
        prop_assert_eq!(breaker.state(), BreakerState::Closed);
    }
}
