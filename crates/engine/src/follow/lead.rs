//! Leading the sequencing: of all nodes one gives positions to changes every few milliseconds, so that they are known soon. The others
//! do so only with their polls.
//!
//! Nothing depends on who leads, or on there being one leader: a position is given once, whoever gives it.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_model::{Boot, ClusterLeases, LeaseToken};

use super::{Follower, RowSource};
use crate::follow_counters::LogCall;

/// The name of the lease in the database.
const LEASE: &str = "sequencer";
/// How long the leader may be silent before another node leads.
const LEASE_TTL: Duration = Duration::from_secs(3);

/// Whether this node leads.
#[derive(Debug, Default)]
pub(super) enum Leadership {
    #[default]
    Elsewhere,
    Here(LeaseToken),
    /// The node is about to stop, and leads no more.
    Resigned,
}

impl Follower {
    /// Leads whenever this node gets the lease, until it resigns.
    pub(super) async fn lead(&self, leases: &Arc<dyn ClusterLeases>) {
        loop {
            let asked = self.clock.now();
            let acquired = self.guarded(async { leases.acquire(LEASE, LEASE_TTL).await });
            match acquired.await {
                Ok(Some(token)) if self.take_office(token) => {
                    self.sequence(leases, token, asked).await;
                    self.leave_office();
                }
                Ok(Some(token)) => return self.release(leases, token).await,
                Ok(None) => {}
                Err(error) => tracing::debug!(?error, "the sequencer's lease cannot be asked for"),
            }
            tokio::time::sleep(LEASE_TTL / 2).await;
        }
    }

    fn take_office(&self, token: LeaseToken) -> bool {
        let mut leadership = self.leadership.lock();
        let may = !matches!(*leadership, Leadership::Resigned);
        if may {
            *leadership = Leadership::Here(token);
            self.counters.leads.set(1.0);
        }
        may
    }

    fn leave_office(&self) {
        let mut leadership = self.leadership.lock();
        if matches!(*leadership, Leadership::Here(_)) {
            *leadership = Leadership::Elsewhere;
        }
        self.counters.leads.set(0.0);
    }

    pub(super) fn leads(&self) -> bool {
        matches!(*self.leadership.lock(), Leadership::Here(_))
    }

    /// Gives the lease up, so that another node leads at once, and gets none again.
    pub(super) async fn resign(&self) {
        let before = std::mem::replace(&mut *self.leadership.lock(), Leadership::Resigned);
        if let (Leadership::Here(token), Some(leases)) = (before, &self.leases) {
            self.release(leases, token).await;
        }
    }

    async fn release(&self, leases: &Arc<dyn ClusterLeases>, token: LeaseToken) {
        let released = self.guarded(async { leases.release(LEASE, token).await });
        if let Err(error) = released.await {
            tracing::debug!(?error, "the sequencer's lease was not given up; it expires");
        }
    }

    /// Sequences until the lease is lost, which was asked for at `renewed`.
    async fn sequence(
        &self,
        leases: &Arc<dyn ClusterLeases>,
        token: LeaseToken,
        mut renewed: Boot,
    ) {
        while self.leads() {
            let rows = self.guarded(async { self.log.sequence().await }).await;
            let pause = match rows {
                Ok(rows) => {
                    for row in rows {
                        self.publish(&row);
                        self.take_row(row, RowSource::Log);
                        tokio::task::yield_now().await;
                    }
                    self.sequence_interval
                }
                Err(error) => {
                    self.missed(LogCall::Sequence, &error);
                    self.poll_interval
                }
            };
            tokio::time::sleep(pause).await;
            let now = self.clock.now();
            if now.since(renewed) < LEASE_TTL / 3 {
                continue;
            }
            let renewal = self.guarded(async { leases.renew(LEASE, token, LEASE_TTL).await });
            match renewal.await {
                Ok(true) => renewed = now,
                Ok(false) => return,
                // It lasts as long as it was last renewed for, however slow one answer is.
                Err(_) if now.since(renewed) >= LEASE_TTL => return,
                Err(error) => tracing::debug!(?error, "the sequencer's lease was not renewed yet"),
            }
        }
    }
}
