//! What the engine relies on in the leases of a cluster.
#![expect(
    clippy::expect_used,
    reason = "a suite fails by panicking with the sentence that does not hold"
)]

use std::time::Duration;

use hotshelf_model::ClusterLeases;

use crate::names::random;

/// Runs the suite on the leases as two nodes see them. `elapse` lets that much time pass for the database. A lease should last long enough for a
/// busy machine to make some calls meanwhile: a second.
///
/// # Panics
/// When the leases do not keep the contract of [`ClusterLeases`].
pub async fn cluster_leases(
    one: &dyn ClusterLeases,
    other: &dyn ClusterLeases,
    ttl: Duration,
    elapse: impl AsyncFn(Duration),
) {
    let name = &format!("lease-{:x}", random());
    let held = one
        .acquire(name, ttl)
        .await
        .expect("a lease can be asked for");
    let held = held.expect("a lease that nobody holds can be had");
    let refused = other.acquire(name, ttl).await;
    assert_eq!(refused.ok(), Some(None), "a held lease cannot be had");
    let again = one.acquire(name, ttl).await;
    assert_eq!(again.ok(), Some(None), "not even by its holder");
    let another = other.acquire(&format!("{name}-2"), ttl).await;
    assert!(matches!(another, Ok(Some(_))), "names are told apart");

    for _ in 0..3 {
        elapse(ttl / 2).await;
        let renewed = one.renew(name, held, ttl).await;
        assert_eq!(renewed.ok(), Some(true), "a held lease is renewed");
    }
    let refused = other.acquire(name, ttl).await;
    assert_eq!(refused.ok(), Some(None), "a renewed lease lasts");

    elapse(ttl * 3 / 2).await;
    let late = one.renew(name, held, ttl).await;
    assert_eq!(late.ok(), Some(false), "an expired lease is not renewed");
    let next = other.acquire(name, ttl).await.ok().flatten();
    let next = next.expect("an expired lease passes on");
    assert_ne!(next, held, "a token is never reused");
    let lost = one.renew(name, held, ttl).await;
    assert_eq!(lost.ok(), Some(false), "who lost a lease cannot renew it");
    one.release(name, held)
        .await
        .expect("a release is answered");
    let kept = other.renew(name, next, ttl).await;
    assert_eq!(kept.ok(), Some(true), "nor release the next holder's");

    other
        .release(name, next)
        .await
        .expect("a release is answered");
    let free = one.acquire(name, ttl).await;
    assert!(matches!(free, Ok(Some(_))), "a released lease can be had");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{FakeOrigin, ManualClock};

    #[tokio::test]
    async fn the_fake_keeps_the_contract() {
        let clock = Arc::new(ManualClock::new());
        let origin = FakeOrigin::with_clock(clock.clone());
        let elapse = async |span| clock.advance(span);
        cluster_leases(&origin, &origin, Duration::from_secs(1), elapse).await;
    }
}
