//! The part of a fill that takes leases, so that of all nodes one fetches a key, and waits for what the others fetch.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, join, select};
use hotshelf_model::{Boot, BoxFuture, LeaseOutcome, LeaseToken, Leases, TierKey};

use super::{Fill, Pending};
use crate::switches::Part;

const WAIT_MIN: Duration = Duration::from_millis(3);
const WAIT_MAX: Duration = Duration::from_millis(50);

impl Fill {
    /// Fetches what this node gets leases for, and waits meanwhile for what other nodes fetch.
    pub(super) async fn fetch_leased(&self, pending: Vec<Pending>) {
        // Half of the time is for others: a node whose own line to the database is cut must not use up all of it.
        let patient_until = self.engine.clock.now().plus(self.left() / 2);
        let (mine, others) = self.lease(pending).await;
        let waiting = self.wait_for_others(others, patient_until);
        join(self.fetch_mine(mine), waiting).await;
    }

    /// Splits flights into those that this node fetches and those that another node is fetching. A warm-up takes no lease: it may have
    /// to wait for its turn, and readers of all nodes would wait with it.
    async fn lease(&self, pending: Vec<Pending>) -> (Vec<Pending>, Vec<Pending>) {
        let leases = self.engine.leases.as_ref();
        let leases = leases.filter(|_| !self.engine.switches.is_off(Part::L2));
        let (Some(leases), Some(knowledge)) = (
            leases.filter(|_| !self.class.gives_way()),
            self.engine.follower.knowledge(),
        ) else {
            return (pending, Vec::new());
        };
        let keys = self.tier_keys(&knowledge, &pending);
        let mut outcomes = leases.acquire_many(&keys).await;
        outcomes.resize(keys.len(), LeaseOutcome::Unavailable);
        let counters = &self.engine.counters.leases;
        let (mut mine, mut others) = (Vec::new(), Vec::new());
        for ((mut pending, key), outcome) in pending.into_iter().zip(keys).zip(outcomes) {
            match outcome {
                LeaseOutcome::Acquired(token) => {
                    counters.acquired.increment(1);
                    pending.lease = Some((key, token));
                    mine.push(pending);
                }
                LeaseOutcome::Unavailable => {
                    counters.unavailable.increment(1);
                    mine.push(pending);
                }
                LeaseOutcome::Held => {
                    counters.held.increment(1);
                    others.push(pending);
                }
            }
        }
        (mine, others)
    }

    /// Looks into L2 again for hot keys that this node has got leases for: all nodes fetch such a key anew at the same moment, and the lease
    /// of one that was quick is free again before the next one asks for it. Who gives a lease up has put its copy to L2 before.
    pub(super) async fn look_up_leased(
        &self,
        open: Vec<Pending>,
        leases: &[(TierKey, LeaseToken)],
    ) -> Vec<Pending> {
        if leases.is_empty() {
            return open;
        }
        let hot = &self.engine.l1.hot;
        let is_hot = |pending: &Pending| hot.contains(pending.guard.key());
        let (again, mut open): (Vec<_>, Vec<_>) = open.into_iter().partition(is_hot);
        if !again.is_empty() {
            open.extend(self.look_up_l2(again).await);
        }
        open
    }

    /// Waits for the copies of other nodes in L2 as long as their leases live, but not beyond `patient_until`: what is missing then is
    /// fetched without a lease.
    fn wait_for_others(&self, mut others: Vec<Pending>, patient_until: Boot) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let counters = &self.engine.counters.leases;
            let mut pause = WAIT_MIN;
            while !others.is_empty() {
                let left = patient_until.since(self.engine.clock.now());
                if left.is_zero() {
                    counters.overdue.increment(others.len() as u64);
                    return self.fetch_mine(others).await;
                }
                tokio::time::sleep(pause.min(left)).await;
                pause = (pause * 3 / 2).min(WAIT_MAX);
                let before = others.len();
                let open = self.look_up_l2(others).await;
                counters.waited.increment((before - open.len()) as u64);
                let (mine, still) = self.lease(open).await;
                if !mine.is_empty() {
                    counters.expired.increment(mine.len() as u64);
                    // Beside each other: copies of the rest may come before this fetch is done.
                    let waiting = self.wait_for_others(still, patient_until);
                    join(self.fetch_mine(mine), waiting).await;
                    return;
                }
                others = still;
            }
        })
    }

    /// Renews leases while `work` goes on, so that a lease can be short and a dead holder is soon known.
    pub(super) async fn renewing<T>(
        &self,
        leases: &[(TierKey, LeaseToken)],
        work: impl Future<Output = T>,
    ) -> T {
        let Some(table) = self.engine.leases.as_ref().filter(|_| !leases.is_empty()) else {
            return work.await;
        };
        let (work, renewals) = (Box::pin(work), Box::pin(renew(table, leases)));
        match select(work, renewals).await {
            Either::Left((done, _)) => done,
            Either::Right((never, _)) => match never {},
        }
    }
}

/// Extends leases until it is dropped. Beside the work and not in turns with it: a table that hangs must not hold up what was fetched.
async fn renew(table: &Arc<dyn Leases>, leases: &[(TierKey, LeaseToken)]) -> Infallible {
    loop {
        tokio::time::sleep(table.ttl() / 3).await;
        table.renew_many(leases).await;
    }
}
