//! The lease suite passes on the fake and fails on wrong tables.

use std::sync::Arc;

use hotshelf_model::BoxFuture;

use super::*;
use crate::{FakeLeases, ManualClock};

/// What a wrong table does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    NeverExpires,
    RenewsNothing,
    RenewsTheLost,
    AnybodyReleases,
    ReusesTokens,
    Reversed,
}

#[derive(Debug)]
struct Table {
    fault: Fault,
    clock: Arc<ManualClock>,
    inner: FakeLeases,
}

impl Table {
    fn new(fault: Fault) -> Self {
        let clock = Arc::new(ManualClock::new());
        let inner = FakeLeases::new(clock.clone(), Duration::from_secs(1));
        Table {
            fault,
            clock,
            inner,
        }
    }

    async fn run(&self) {
        leases(self, async |time| {
            if self.fault != Fault::NeverExpires {
                self.clock.advance(time);
            }
        })
        .await;
    }
}

impl Leases for Table {
    fn acquire_many<'a>(&'a self, keys: &'a [TierKey]) -> BoxFuture<'a, Vec<LeaseOutcome>> {
        Box::pin(async {
            let mut outcomes = self.inner.acquire_many(keys).await;
            if self.fault == Fault::Reversed {
                outcomes.reverse();
            }
            for outcome in &mut outcomes {
                if let (Fault::ReusesTokens, LeaseOutcome::Acquired(token)) = (self.fault, outcome)
                {
                    token.0 = 7;
                }
            }
            outcomes
        })
    }

    fn renew_many<'a>(&'a self, leases: &'a [(TierKey, LeaseToken)]) -> BoxFuture<'a, ()> {
        Box::pin(async {
            match self.fault {
                Fault::RenewsNothing => {}
                Fault::RenewsTheLost => {
                    let keys: Vec<TierKey> = leases.iter().map(|(key, _)| key.clone()).collect();
                    self.inner.acquire_many(&keys).await;
                    self.inner.renew_many(leases).await;
                }
                _ => self.inner.renew_many(leases).await,
            }
        })
    }

    fn release_many<'a>(&'a self, leases: &'a [(TierKey, LeaseToken)]) -> BoxFuture<'a, ()> {
        Box::pin(async {
            self.inner.release_many(leases).await;
            if self.fault == Fault::AnybodyReleases {
                self.clock.advance(self.inner.ttl());
            }
        })
    }

    fn ttl(&self) -> Duration {
        self.inner.ttl()
    }
}

#[tokio::test]
async fn the_fake_leases_pass() {
    Table::new(Fault::None).run().await;
}

#[tokio::test]
async fn every_wrong_table_is_found_out() {
    let faults = [
        Fault::NeverExpires,
        Fault::RenewsNothing,
        Fault::RenewsTheLost,
        Fault::AnybodyReleases,
        Fault::ReusesTokens,
        Fault::Reversed,
    ];
    let here = tokio::task::LocalSet::new();
    for fault in faults {
        let table = Table::new(fault);
        let run = here.spawn_local(async move { table.run().await });
        let found = here.run_until(run).await.is_err();
        assert!(found, "{fault:?} was not found out");
    }
}

#[tokio::test]
async fn fake_leases_fail_and_are_held_elsewhere_as_told() {
    let table = Table::new(Fault::None).inner;
    let key = tier_key(fresh_hist(), "A-1");
    table.fail();
    assert_eq!(acquire(&table, &key).await, LeaseOutcome::Unavailable);
    table.recover();
    table.hold_elsewhere(&key);
    assert_eq!(acquire(&table, &key).await, LeaseOutcome::Held);
    assert_eq!(
        (
            table.held(),
            table.acquired(),
            table.refused(),
            table.released()
        ),
        (1, 0, 1, 0)
    );
}
