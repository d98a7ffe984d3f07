//! Redis down, hung, restarted, flushed: bounded answers, and back without help.

use hotshelf_model::{BreakerState, MissReason};
use hotshelf_testkit::ManualClock;
use tokio::time::Instant;

use super::*;

const DEADLINE: Duration = Duration::from_millis(150);
const DOWN: [Option<UnavailableReason>; 3] = [Some(UnavailableReason::Deadline); 3];

fn hasty(server: &RedisServer) -> RedisSettings {
    RedisSettings {
        deadline: DEADLINE,
        put_deadline: DEADLINE,
        connect_timeout: Duration::from_secs(1),
        ..patient(vec![server.url()])
    }
}

async fn reasons(tier: &RedisTier, key: &TierKey, count: usize) -> Vec<Option<UnavailableReason>> {
    let mut reasons = Vec::new();
    for _ in 0..count {
        reasons.push(reason(&get(tier, key).await));
    }
    reasons
}

async fn open(tier: &RedisTier) {
    let key = one_key();
    wait_until_async("the breaker opens", LIMIT, async || {
        get(tier, &key).await;
        tier.status().breaker == BreakerState::Open
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_redis_costs_three_deadlines_and_then_nothing() {
    let server = RedisServer::start().unwrap();
    let clock = Arc::new(ManualClock::new());
    let tier = RedisTier::connect(hasty(&server), clock.clone(), 7).unwrap();
    answers(&tier).await;
    let key = one_key();
    server.pause();
    assert_eq!(reasons(&tier, &key, 3).await, DOWN);
    let begun = Instant::now();
    let shut = vec![Some(UnavailableReason::Open); 1000];
    assert_eq!(reasons(&tier, &key, 1000).await, shut);
    let put = put(&tier, &key, &entry("{}", 1)).await;
    assert_eq!(put, PutOutcome::Unavailable(UnavailableReason::Open));
    assert!(begun.elapsed() < DEADLINE, "nothing waits while it is open");

    clock.advance(Duration::from_secs(10));
    let (one, other) = tokio::join!(get(&tier, &key), get(&tier, &key));
    let outcomes = [reason(&one), reason(&other)];
    assert!(
        outcomes.contains(&Some(UnavailableReason::Open)),
        "one lookup tries at a time: {outcomes:?}"
    );

    server.resume();
    wait_until_async("it answers again", LIMIT, async || {
        clock.advance(Duration::from_secs(10));
        get(&tier, &key).await == Lookup::Miss(MissReason::NotFound)
    })
    .await;
    assert_eq!(tier.status().breaker, BreakerState::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_on_a_hung_redis_ends_at_the_deadline_and_is_one_failure() {
    let server = RedisServer::start().unwrap();
    let tier = connect(hasty(&server));
    answers(&tier).await;
    server.pause();
    let begun = Instant::now();
    let lookups = tier.get_many(&some_keys(200)).await;
    assert!(begun.elapsed() < DEADLINE * 4, "{:?}", begun.elapsed());
    let late = vec![Some(UnavailableReason::Deadline); 200];
    assert_eq!(lookups.iter().map(reason).collect::<Vec<_>>(), late);
    let one_failure = BreakerState::Closed;
    assert_eq!(tier.status().breaker, one_failure);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_redis_is_back_after_its_restart_without_help() {
    let server = RedisServer::start().unwrap();
    let tier = connect(hasty(&server));
    answers(&tier).await;
    let key = one_key();
    put(&tier, &key, &entry("{}", 1)).await;
    server.kill();
    open(&tier).await;
    server.restart().unwrap();
    wait_until_async("it answers again, empty", LIMIT, async || {
        get(&tier, &key).await == Lookup::Miss(MissReason::NotFound)
    })
    .await;
    assert_eq!(tier.status().breaker, BreakerState::Closed);
    // Its scripts are forgotten, too.
    let outcome = put(&tier, &key, &entry("{}", 1)).await;
    assert_eq!(outcome, PutOutcome::Stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn lookups_that_find_no_connection_fail_at_once() {
    let server = RedisServer::start().unwrap();
    server.kill();
    let tier = connect(RedisSettings {
        deadline: Duration::from_secs(10),
        ..hasty(&server)
    });
    let key = one_key();
    let begun = Instant::now();
    let (failed, shut) = (UnavailableReason::Failed, UnavailableReason::Open);
    assert_eq!(
        reasons(&tier, &key, 4).await,
        [Some(failed), Some(failed), Some(failed), Some(shut)]
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
    server.restart().unwrap();
    answers(&tier).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_kills_pauses_and_flushes_give_bounded_answers() {
    let server = RedisServer::start().unwrap();
    let tier = connect(hasty(&server));
    answers(&tier).await;
    let keys: Arc<[TierKey]> = some_keys(8).into();
    let stop = Arc::new(tokio::sync::Notify::new());
    let readers: Vec<_> = (0..16)
        .map(|_| tokio::spawn(read_until(tier.clone(), keys.clone(), stop.clone())))
        .collect();
    for _ in 0..2 {
        server.pause();
        open(&tier).await;
        server.resume();
        answers(&tier).await;
        server.command(&["FLUSHALL"]).unwrap();
        server.command(&["SCRIPT", "FLUSH"]).unwrap();
        put_all(&tier, &keys, 1).await;
        server.kill();
        open(&tier).await;
        server.restart().unwrap();
        answers(&tier).await;
    }
    stop.notify_waiters();
    let mut longest = Duration::ZERO;
    for reader in readers {
        longest = longest.max(reader.await.unwrap());
    }
    assert!(longest < DEADLINE * 10, "a lookup took {longest:?}");
}

/// Reads until told to stop; the longest time of one lookup.
async fn read_until(
    tier: Arc<RedisTier>,
    keys: Arc<[TierKey]>,
    stop: Arc<tokio::sync::Notify>,
) -> Duration {
    let mut longest = Duration::ZERO;
    let stopped = stop.notified();
    tokio::pin!(stopped);
    loop {
        let begun = Instant::now();
        let lookups = tier.get_many(&keys).await;
        assert_eq!(lookups.len(), keys.len());
        longest = longest.max(begun.elapsed());
        // While the breaker is open a lookup never waits, so a reader has to let others run.
        let pause = tokio::time::sleep(Duration::from_millis(1));
        tokio::select! {
            () = &mut stopped => return longest,
            () = pause => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_under_way_are_bounded() {
    let server = RedisServer::start().unwrap();
    let tier = connect(RedisSettings {
        ops_max: 2,
        ..patient(vec![server.url()])
    });
    answers(&tier).await;
    server.pause();
    let key = one_key();
    let third = async {
        let lookup = get(&tier, &key).await;
        server.resume();
        lookup
    };
    // The three begin in this order, and the first two cannot end before the third has.
    let (one, other, third) = tokio::join!(get(&tier, &key), get(&tier, &key), third);
    assert_eq!(reason(&third), Some(UnavailableReason::Busy));
    assert_eq!([reason(&one), reason(&other)], [None, None]);
    assert_eq!(reason(&get(&tier, &key).await), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_lookups_leave_nothing_behind() {
    let (server, tier) = single().await;
    let key = one_key();
    server.pause();
    for _ in 0..100 {
        let dropped = tokio::time::timeout(Duration::from_millis(1), get(&tier, &key)).await;
        assert!(dropped.is_err());
    }
    server.resume();
    assert_eq!(
        get(&tier, &key).await,
        Lookup::Miss(MissReason::NotFound),
        "the replies that nobody waits for are skipped"
    );
    assert_eq!(tier.status().breaker, BreakerState::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_that_is_dropped_closes_its_connections() {
    let (server, tier) = single().await;
    let clients = || {
        let list = server.command(&["CLIENT", "LIST"]).unwrap();
        list.lines().count()
    };
    wait_until_async("all connections are made", LIMIT, async || clients() == 5).await;
    drop(tier);
    wait_until_async("only this test's own is left", LIMIT, async || {
        clients() == 1
    })
    .await;
}

#[test]
fn bad_settings_are_said_before_anything_is_started() {
    let settings = RedisSettings {
        urls: Vec::new(),
        ops_max: 0,
        ..RedisSettings::default()
    };
    let problems = RedisTier::connect(settings, Arc::new(BootClock), 7).unwrap_err();
    let fields: Vec<_> = problems
        .iter()
        .map(|problem| problem.field.as_str())
        .collect();
    assert_eq!(fields, ["urls", "ops_max"]);
}
