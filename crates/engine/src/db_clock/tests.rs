//! Samples of the clock.

use super::*;

fn ms(ms: u64) -> Boot {
    Boot(ms * 1_000_000)
}

#[test]
fn the_clock_is_never_behind_the_databases() {
    let clock = DbClock::default();
    // The database's clock showed 5000 at some moment between 100 and 140.
    clock.sample(DbTime(5000), ms(100), ms(140));
    for moment in 100..=140 {
        let shows = 5000 + 160 - moment;
        assert!(clock.latest(ms(160)) >= DbTime(shows), "{moment}");
        assert!(clock.boot(DbTime(5000)) <= ms(moment), "{moment}");
    }
    assert!(clock.latest(ms(160)) <= DbTime(5000 + 60 + 2));
}

#[test]
fn a_sharper_sample_is_taken_and_a_duller_one_is_not() {
    let clock = DbClock::default();
    clock.sample(DbTime(5000), ms(100), ms(140));
    clock.sample(DbTime(5082), ms(200), ms(204));
    let sharp = clock.latest(ms(300));
    clock.sample(DbTime(5200), ms(300), ms(400));
    assert_eq!(clock.latest(ms(300)), sharp);
}

#[test]
fn a_clock_that_disagrees_is_believed_at_once() {
    let clock = DbClock::default();
    clock.sample(DbTime(5000), ms(100), ms(104));
    clock.sample(DbTime(9000), ms(200), ms(300));
    assert!(clock.latest(ms(300)) >= DbTime(9000));
    clock.sample(DbTime(1000), ms(400), ms(500));
    assert!(clock.latest(ms(500)) <= DbTime(1110));
}

#[test]
fn a_dull_sample_is_taken_after_a_while_because_clocks_drift() {
    let clock = DbClock::default();
    clock.sample(DbTime(5000), ms(100), ms(102));
    let bound = |clock: &DbClock| clock.bound_ms.load(Ordering::Relaxed);
    for _ in 0..CLOCK_SAMPLES {
        clock.sample(DbTime(5005), ms(100), ms(110));
    }
    assert_eq!(bound(&clock), 6);
}
