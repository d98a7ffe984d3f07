//! What the engine relies on in every table of leases.

use std::time::Duration;

use hotshelf_model::{LeaseOutcome, LeaseToken, Leases, TierKey};

use super::odd_ids::odd_ids;
use crate::names::{fresh_hist, tier_key};

/// Runs the suite. `elapse` lets that much time pass for the table. A lease should last long enough for a busy machine to make
/// some calls meanwhile, and no longer than a test may take: a second. Every case uses keys of its own.
///
/// # Panics
/// When the table does not keep the contract of [`Leases`].
pub async fn leases(leases: &dyn Leases, elapse: impl AsyncFn(Duration)) {
    one_node_holds_a_lease_and_gives_it_up(leases).await;
    a_batch_is_answered_in_its_order(leases).await;
    only_the_holder_can_release(leases).await;
    an_expired_lease_passes_on(leases, &elapse).await;
    a_renewed_lease_lasts(leases, &elapse).await;
    nothing_gives_nothing(leases).await;
}

async fn acquire(leases: &dyn Leases, key: &TierKey) -> LeaseOutcome {
    let mut outcomes = leases.acquire_many(std::slice::from_ref(key)).await;
    assert_eq!(outcomes.len(), 1, "each key has one outcome");
    outcomes.remove(0)
}

#[expect(clippy::panic, reason = "a suite fails by panicking")]
async fn acquired(leases: &dyn Leases, key: &TierKey) -> LeaseToken {
    match acquire(leases, key).await {
        LeaseOutcome::Acquired(token) => token,
        other @ (LeaseOutcome::Held | LeaseOutcome::Unavailable) => {
            panic!("a lease that nobody holds can be had: {other:?}")
        }
    }
}

async fn one_node_holds_a_lease_and_gives_it_up(leases: &dyn Leases) {
    let key = tier_key(fresh_hist(), "A-1");
    let token = acquired(leases, &key).await;
    assert_eq!(
        acquire(leases, &key).await,
        LeaseOutcome::Held,
        "a held lease cannot be had"
    );
    leases.release_many(&[(key.clone(), token)]).await;
    let next = acquired(leases, &key).await;
    assert_ne!(next, token, "a token is never reused");
}

async fn a_batch_is_answered_in_its_order(leases: &dyn Leases) {
    let hist = fresh_hist();
    let keys: Vec<TierKey> = odd_ids().iter().map(|id| tier_key(hist, id)).collect();
    for key in keys.iter().step_by(3) {
        acquired(leases, key).await;
    }
    let outcomes = leases.acquire_many(&keys).await;
    assert_eq!(outcomes.len(), keys.len(), "each key has one outcome");
    for (place, outcome) in outcomes.into_iter().enumerate() {
        let held = outcome == LeaseOutcome::Held;
        assert_eq!(
            held,
            place % 3 == 0,
            "key {} of a batch has its own outcome",
            keys[place]
        );
    }
}

async fn only_the_holder_can_release(leases: &dyn Leases) {
    let key = tier_key(fresh_hist(), "A-1");
    let token = acquired(leases, &key).await;
    let stranger = LeaseToken(token.0 ^ 1);
    leases.release_many(&[(key.clone(), stranger)]).await;
    assert_eq!(
        acquire(leases, &key).await,
        LeaseOutcome::Held,
        "a stranger cannot release a lease"
    );
    let other = tier_key(fresh_hist(), "A-1");
    leases
        .release_many(&[(other, token), (key.clone(), token)])
        .await;
    acquired(leases, &key).await;
}

async fn an_expired_lease_passes_on(leases: &dyn Leases, elapse: &impl AsyncFn(Duration)) {
    let key = tier_key(fresh_hist(), "A-1");
    let lost = acquired(leases, &key).await;
    elapse(leases.ttl() * 3 / 2).await;
    acquired(leases, &key).await;
    leases.renew_many(&[(key.clone(), lost)]).await;
    leases.release_many(&[(key.clone(), lost)]).await;
    assert_eq!(
        acquire(leases, &key).await,
        LeaseOutcome::Held,
        "who lost a lease cannot release the next holder's"
    );

    let gone = tier_key(fresh_hist(), "A-2");
    let lost = acquired(leases, &gone).await;
    elapse(leases.ttl() * 3 / 2).await;
    leases.renew_many(&[(gone.clone(), lost)]).await;
    acquired(leases, &gone).await;
}

async fn a_renewed_lease_lasts(leases: &dyn Leases, elapse: &impl AsyncFn(Duration)) {
    let key = tier_key(fresh_hist(), "A-1");
    let token = acquired(leases, &key).await;
    for _ in 0..4 {
        elapse(leases.ttl() / 2).await;
        leases.renew_many(&[(key.clone(), token)]).await;
    }
    assert_eq!(
        acquire(leases, &key).await,
        LeaseOutcome::Held,
        "a renewed lease lasts"
    );
}

async fn nothing_gives_nothing(leases: &dyn Leases) {
    assert!(
        leases.acquire_many(&[]).await.is_empty(),
        "no keys, no outcomes"
    );
    leases.renew_many(&[]).await;
    leases.release_many(&[]).await;
}

#[cfg(test)]
mod tests;
