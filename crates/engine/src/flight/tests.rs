//! Flights land, whatever becomes of their leaders.

use hotshelf_model::{Id, NamespaceName, Variant};

use super::*;

fn key(id: &str) -> Key {
    Key::new(
        &NamespaceName::new("products").unwrap(),
        &Id::new(id).unwrap(),
        &Variant::default(),
    )
}

fn failure() -> Error {
    Error::new(ErrorKind::OriginFailed, "asking the origin")
}

fn wanted(floor: u64, class: Class) -> Wanted {
    Wanted {
        floor: Version(floor),
        class,
        generation: Generation(2),
        parent_generation: 1,
        now: Boot(0),
        until: Boot(9),
    }
}

fn leader(flights: &Arc<Flights>, id: &str, floor: u64) -> FlightGuard {
    match flights.begin(&key(id), wanted(floor, Class::Interactive)) {
        Begun::Leader(guard) => guard,
        other => panic!("expected to lead, got {other:?}"),
    }
}

fn joined(flights: &Arc<Flights>, id: &str, floor: u64) -> Arc<Flight> {
    match flights.begin(&key(id), wanted(floor, Class::Interactive)) {
        Begun::Joined(flight) => flight,
        other => panic!("expected to join, got {other:?}"),
    }
}

#[tokio::test]
async fn waiters_get_the_leaders_outcome_whether_they_wait_before_or_after_it() {
    let flights = Flights::new(8);
    let guard = leader(&flights, "a", 0);
    let before = joined(&flights, "a", 0);
    let waiter = tokio::spawn({
        let before = Arc::clone(&before);
        async move { before.wait().await }
    });
    tokio::task::yield_now().await;
    guard.land(Err(failure()));
    assert_eq!(
        waiter.await.unwrap().unwrap_err().kind(),
        ErrorKind::OriginFailed
    );
    assert_eq!(
        before.wait().await.unwrap_err().kind(),
        ErrorKind::OriginFailed
    );
    assert_eq!(flights.under_way(), 0);
}

#[tokio::test]
async fn a_panicking_fill_tells_its_waiters() {
    let flights = Flights::new(8);
    let guard = leader(&flights, "a", 0);
    let flight = joined(&flights, "a", 0);
    let task = tokio::spawn(async move {
        let _guard = guard;
        panic!("on purpose");
    });
    assert_eq!(flight.wait().await.unwrap_err().kind(), ErrorKind::Internal);
    assert!(task.await.unwrap_err().is_panic());
    leader(&flights, "a", 0).land(Err(failure()));
    assert_eq!(flights.under_way(), 0);
}

#[test]
fn a_reader_that_needs_a_newer_version_does_not_join_an_older_flight() {
    let flights = Flights::new(8);
    let old = leader(&flights, "a", 0);
    let new = leader(&flights, "a", 7);
    old.land(Err(failure()));
    joined(&flights, "a", 3);
    new.land(Err(failure()));
    leader(&flights, "a", 0);
}

#[test]
fn more_flights_than_the_bound_are_refused_and_a_landing_makes_room() {
    let flights = Flights::new(2);
    let first = leader(&flights, "a", 0);
    let _second = leader(&flights, "b", 0);
    assert!(matches!(
        flights.begin(&key("c"), wanted(0, Class::Interactive)),
        Begun::Full
    ));
    joined(&flights, "a", 0);
    first.land(Err(failure()));
    leader(&flights, "c", 0);
}

#[test]
fn readers_do_not_wait_for_a_warm_up_but_for_a_refresh() {
    let flights = Flights::new(8);
    let begin = |id: &str, class| flights.begin(&key(id), wanted(0, class));
    let Begun::Leader(_warm) = begin("a", Class::Warm) else {
        panic!("a free key is led")
    };
    assert!(matches!(begin("a", Class::Warm), Begun::Joined(_)));
    let Begun::Leader(_read) = begin("a", Class::Interactive) else {
        panic!("a reader waited for a warm-up")
    };
    assert!(matches!(begin("a", Class::Warm), Begun::Joined(_)));
    assert!(matches!(begin("a", Class::Background), Begun::Joined(_)));
    let Begun::Leader(_refresh) = begin("b", Class::Refresh) else {
        panic!("a free key is led")
    };
    assert!(matches!(begin("b", Class::Interactive), Begun::Joined(_)));
}

#[test]
fn what_the_background_begins_is_for_the_background_alone() {
    let flights = Flights::new(8);
    let begin = |class| flights.begin(&key("a"), wanted(0, class));
    let Begun::Leader(_background) = begin(Class::Background) else {
        panic!("a free key is led")
    };
    assert!(matches!(begin(Class::Background), Begun::Joined(_)));
    let Begun::Leader(_warm) = begin(Class::Warm) else {
        panic!("a warm-up waited for what is not kept")
    };
}

#[test]
fn nobody_joins_a_flight_from_before_a_bump_or_a_resync() {
    let bumped = Wanted {
        parent_generation: 2,
        ..wanted(0, Class::Interactive)
    };
    let resynced = Wanted {
        generation: Generation(4),
        ..wanted(0, Class::Interactive)
    };
    for later in [bumped, resynced] {
        let flights = Flights::new(8);
        let _before = leader(&flights, "a", 0);
        assert!(matches!(flights.begin(&key("a"), later), Begun::Leader(_)));
    }
}
