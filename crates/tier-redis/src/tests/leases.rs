//! Leases on one Redis.

use hotshelf_model::{LeaseOutcome, LeaseToken, Leases};

use super::*;

/// Long enough that a busy machine does not lose it within a test.
fn long(server: &RedisServer) -> RedisSettings {
    RedisSettings {
        lease_ttl: Duration::from_secs(60),
        ..patient(vec![server.url()])
    }
}

async fn two_nodes() -> (RedisServer, Arc<RedisTier>, Arc<RedisTier>) {
    let server = RedisServer::start().unwrap();
    let one = RedisTier::connect(long(&server), Arc::new(BootClock), 1).unwrap();
    let other = RedisTier::connect(long(&server), Arc::new(BootClock), 2).unwrap();
    answers(&one).await;
    answers(&other).await;
    (server, one, other)
}

async fn acquire(tier: &RedisTier, key: &TierKey) -> LeaseOutcome {
    tier.acquire_many(std::slice::from_ref(key)).await.remove(0)
}

async fn acquired(tier: &RedisTier, key: &TierKey) -> LeaseToken {
    match acquire(tier, key).await {
        LeaseOutcome::Acquired(token) => token,
        other => panic!("the lease is free: {other:?}"),
    }
}

fn pttl(server: &RedisServer, key: &TierKey) -> i64 {
    let text = format!("hs:lease:{key}");
    let answer = server.command(&["PTTL", &text]).unwrap();
    answer.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_has_one_holder_until_it_is_released() {
    let (_server, one, other) = two_nodes().await;
    let keys = some_keys(3);
    let token = acquired(&one, &keys[1]).await;
    let outcomes = other.acquire_many(&keys).await;
    let free = |outcome: &LeaseOutcome| matches!(outcome, LeaseOutcome::Acquired(_));
    assert!(free(&outcomes[0]) && free(&outcomes[2]), "{outcomes:?}");
    assert_eq!(outcomes[1], LeaseOutcome::Held);
    assert_eq!(acquire(&one, &keys[1]).await, LeaseOutcome::Held);
    one.release_many(&[(keys[1].clone(), token)]).await;
    acquired(&other, &keys[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_nodes_that_ask_at_once_one_gets_it() {
    let (_server, one, other) = two_nodes().await;
    for key in some_keys(20) {
        let asks = (0..16).map(|number| {
            let tier = if number % 2 == 0 { &one } else { &other };
            acquire(tier, &key)
        });
        let outcomes = futures_util::future::join_all(asks).await;
        let holders = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, LeaseOutcome::Acquired(_)));
        assert_eq!(holders.count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_not_renewed_expires() {
    let server = RedisServer::start().unwrap();
    let tier = connect(RedisSettings {
        lease_ttl: Duration::from_millis(200),
        ..patient(vec![server.url()])
    });
    answers(&tier).await;
    let key = one_key();
    let first = acquired(&tier, &key).await;
    let text = format!("hs:lease:{key}");
    wait_until_async("the lease is another's", LIMIT, async || {
        let is_free = acquire(&tier, &key).await != LeaseOutcome::Held;
        // Longer than a renewal would make it.
        is_free && server.command(&["PEXPIRE", &text, "20000"]).unwrap().trim() == "1"
    })
    .await;
    tier.renew_many(&[(key.clone(), first)]).await;
    assert!(pttl(&server, &key) > 200, "a lost lease is not renewed");
}

#[tokio::test(flavor = "multi_thread")]
async fn renewing_extends_a_lease_of_its_holder_only() {
    let (server, one, other) = two_nodes().await;
    let key = one_key();
    let token = acquired(&one, &key).await;
    let text = format!("hs:lease:{key}");
    server.command(&["PEXPIRE", &text, "20000"]).unwrap();
    other
        .renew_many(&[(key.clone(), LeaseToken(token.0 ^ 1))])
        .await;
    assert!(pttl(&server, &key) <= 20_000, "a stranger extends nothing");
    one.renew_many(&[(key.clone(), token)]).await;
    assert!(pttl(&server, &key) > 20_000);
    server.command(&["DEL", &text]).unwrap();
    one.renew_many(&[(key.clone(), token)]).await;
    assert_eq!(pttl(&server, &key), -2, "a lost lease is not taken again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_cannot_release() {
    let (server, one, other) = two_nodes().await;
    let key = one_key();
    let token = acquired(&one, &key).await;
    for wrong in [0, token.0 ^ 1, token.0 >> 4] {
        other
            .release_many(&[(key.clone(), LeaseToken(wrong))])
            .await;
    }
    assert!(pttl(&server, &key) > 0);
    assert_eq!(acquire(&other, &key).await, LeaseOutcome::Held);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_leases_are_unavailable() {
    let (server, one, _other) = two_nodes().await;
    let keys = some_keys(2);
    let token = acquired(&one, &keys[0]).await;
    server.kill();
    for _ in 0..5 {
        let outcomes = one.acquire_many(&keys).await;
        assert_eq!(outcomes, [LeaseOutcome::Unavailable; 2]);
    }
    one.renew_many(&[(keys[0].clone(), token)]).await;
    one.release_many(&[(keys[0].clone(), token)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_of_leases_survive_a_flush() {
    let (server, one, other) = two_nodes().await;
    let key = one_key();
    let token = acquired(&one, &key).await;
    server.command(&["SCRIPT", "FLUSH"]).unwrap();
    one.release_many(&[(key.clone(), token)]).await;
    acquired(&other, &key).await;
}
