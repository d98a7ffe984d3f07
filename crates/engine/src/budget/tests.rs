//! The budget hands out, queues, sheds and adapts.

use std::sync::Arc;

use hotshelf_testkit::fakes::ManualClock;
use hotshelf_testkit::names::products;

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

fn single() -> StatementKind {
    StatementKind::of(&products(), 1)
}

fn budget(concurrency_max: usize, queue_max: usize) -> (Arc<Budget>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let settings = BudgetSettings {
        concurrency_min: 1,
        concurrency_max,
        queue_max,
        ..BudgetSettings::default()
    };
    (
        Budget::new(settings, Arc::clone(&clock) as Arc<dyn Clock>),
        clock,
    )
}

#[tokio::test(start_paused = true)]
async fn no_more_permits_are_out_than_the_limit() {
    let (budget, _) = budget(4, 100);
    let limit = budget.limit();
    let mut permits = Vec::new();
    for _ in 0..limit {
        permits.push(budget.acquire(Class::Interactive, PATIENCE).await.unwrap());
    }
    let refused = budget
        .acquire(Class::Interactive, Duration::from_millis(10))
        .await;
    assert_eq!(refused.err(), Some(Shed));
    permits.pop();
    budget.acquire(Class::Interactive, PATIENCE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_sheds_at_once() {
    let (budget, _) = budget(1, 1);
    let _held = budget.acquire(Class::Interactive, PATIENCE).await.unwrap();
    let waiting = tokio::spawn({
        let budget = Arc::clone(&budget);
        async move { budget.acquire(Class::Interactive, PATIENCE).await.is_ok() }
    });
    tokio::task::yield_now().await;
    assert_eq!(
        budget.acquire(Class::Interactive, PATIENCE).await.err(),
        Some(Shed)
    );
    drop(_held);
    assert!(waiting.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_background_shares_the_part_of_warm_ups() {
    let (budget, _) = budget(64, 100);
    let share = budget.limit() / 4;
    assert!(share >= 4, "both have some of it");
    let mut permits = Vec::new();
    for class in [Class::Warm, Class::Background].repeat(share) {
        permits.extend(budget.acquire(class, Duration::from_millis(1)).await);
    }
    assert_eq!(permits.len(), share);
    budget.acquire(Class::Interactive, PATIENCE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_queue_full_of_warm_ups_has_room_for_a_reader() {
    let (budget, _) = budget(1, 2);
    let held = budget.acquire(Class::Interactive, PATIENCE).await.unwrap();
    let (outcomes, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let acquire = |name: &'static str, class| {
        let (budget, outcomes) = (Arc::clone(&budget), outcomes.clone());
        tokio::spawn(async move {
            let permit = budget.acquire(class, PATIENCE).await;
            outcomes.send((name, permit.is_ok())).unwrap();
        })
    };
    let wanted = [
        ("first", Class::Warm),
        ("second", Class::Warm),
        ("third", Class::Warm),
        ("reader", Class::Interactive),
        ("refresh", Class::Refresh),
        ("late refresh", Class::Refresh),
    ];
    for (name, class) in wanted {
        acquire(name, class);
        tokio::task::yield_now().await;
    }
    drop(held);
    let expected = [
        ("third", false),
        ("second", false),
        ("first", false),
        ("late refresh", false),
        ("reader", true),
        ("refresh", true),
    ];
    for outcome in expected {
        assert_eq!(seen.recv().await, Some(outcome));
    }
}

#[tokio::test(start_paused = true)]
async fn an_interactive_fetch_goes_before_a_refresh_that_waited_longer() {
    let (budget, _) = budget(1, 10);
    let held = budget.acquire(Class::Interactive, PATIENCE).await.unwrap();
    let (order, mut seen) = tokio::sync::mpsc::unbounded_channel();
    for class in Class::ALL.into_iter().rev() {
        let (budget, order) = (Arc::clone(&budget), order.clone());
        tokio::spawn(async move {
            let _permit = budget.acquire(class, PATIENCE).await.unwrap();
            order.send(class).unwrap();
        });
        tokio::task::yield_now().await;
    }
    drop(held);
    for class in Class::ALL {
        assert_eq!(seen.recv().await.unwrap(), class);
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_goes_away_loses_no_permit() {
    let (budget, _) = budget(1, 10);
    let held = budget.acquire(Class::Interactive, PATIENCE).await.unwrap();
    let gone = tokio::spawn({
        let budget = Arc::clone(&budget);
        async move { budget.acquire(Class::Interactive, PATIENCE).await.map(drop) }
    });
    tokio::task::yield_now().await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    drop(held);
    budget.acquire(Class::Interactive, PATIENCE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refreshes_leave_room_for_readers() {
    let (budget, _) = budget(8, 10);
    let limit = budget.limit();
    let mut refreshes = Vec::new();
    while let Ok(permit) = budget
        .acquire(Class::Refresh, Duration::from_millis(1))
        .await
    {
        refreshes.push(permit);
    }
    assert_eq!(refreshes.len(), limit / 2);
    budget.acquire(Class::Interactive, PATIENCE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_limit_grows_while_it_is_used_and_shrinks_when_the_origin_slows_or_fails() {
    let (budget, clock) = budget(16, 100);
    let start = budget.limit();
    let run = async |latency_ms: u64, succeeded: bool| {
        clock.advance(WINDOW);
        budget.state.lock().window.saturated = true;
        let permit = budget.acquire(Class::Interactive, PATIENCE).await.unwrap();
        permit.finish(single(), Duration::from_millis(latency_ms), succeeded);
    };
    for _ in 0..20 {
        run(10, true).await;
    }
    assert_eq!(budget.limit(), 16);
    run(100, true).await;
    assert!(budget.limit() < 16);
    for _ in 0..60 {
        run(10, false).await;
    }
    assert_eq!(budget.limit(), 1);
    assert!(start > 1);
}

#[tokio::test(start_paused = true)]
async fn one_failing_query_among_good_answers_does_not_shrink_the_limit() {
    let (budget, clock) = budget(16, 100);
    let start = budget.limit();
    for _ in 0..20 {
        for number in 0..10 {
            if number == 9 {
                clock.advance(WINDOW);
            }
            let permit = budget.acquire(Class::Interactive, PATIENCE).await.unwrap();
            permit.finish(single(), Duration::from_millis(10), number != 3);
        }
    }
    assert_eq!(budget.limit(), start);
}

#[tokio::test(start_paused = true)]
async fn large_statements_among_small_ones_are_no_slow_origin() {
    let (budget, clock) = budget(16, 100);
    let run = async |documents: usize, latency_ms: u64| {
        clock.advance(WINDOW);
        budget.state.lock().window.saturated = true;
        let permit = budget.acquire(Class::Interactive, PATIENCE).await.unwrap();
        let kind = StatementKind::of(&products(), documents);
        permit.finish(kind, Duration::from_millis(latency_ms), true);
    };
    for _ in 0..20 {
        run(1, 2).await;
        run(200, 90).await;
    }
    assert_eq!(budget.limit(), 16);
    run(200, 400).await;
    assert!(budget.limit() < 16, "slow among its own kind");
}

#[tokio::test(start_paused = true)]
async fn a_warm_up_learns_that_readers_or_the_origin_need_the_room() {
    let (budget, clock) = budget(8, 100);
    clock.advance(Duration::from_secs(10));
    let mut permits = Vec::new();
    let share = share(budget.limit(), 25);
    for _ in 0..share {
        permits.push(budget.acquire(Class::Warm, PATIENCE).await.unwrap());
    }
    let patience = Duration::from_millis(1);
    budget.acquire(Class::Warm, patience).await.unwrap_err();
    assert!(!budget.is_pressed(), "it has its share and no more");

    while permits.len() < budget.limit() {
        permits.push(budget.acquire(Class::Interactive, PATIENCE).await.unwrap());
    }
    budget.acquire(Class::Warm, patience).await.unwrap_err();
    assert!(budget.is_pressed(), "readers have the rest");
    clock.advance(Duration::from_secs(1));
    assert!(!budget.is_pressed(), "a while ago");

    let finish = |permit: Permit, latency| permit.finish(single(), latency, true);
    finish(permits.pop().unwrap(), Duration::from_millis(10));
    clock.advance(WINDOW);
    finish(permits.pop().unwrap(), Duration::from_secs(1));
    assert!(budget.is_pressed(), "the origin is slow");
}
