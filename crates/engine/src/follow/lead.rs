//! Leading the sequencing: of all nodes one gives positions to changes every few milliseconds, so that they are known soon. The others
//! do so only with their polls.
//!
//! Nothing depends on who leads, or on there being one leader: a position is given once, whoever gives it.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_model::{ClusterLeases, LeaseToken};

use super::{Follower, RowSource};

/// The name of the lease in the database.
const LEASE: &str = "sequencer";
/// How long the leader may be silent before another node leads.
const LEASE_TTL: Duration = Duration::from_secs(3);

impl Follower {
    /// Leads whenever this node gets the lease, for ever.
    pub(super) async fn lead(&self, leases: &Arc<dyn ClusterLeases>) {
        loop {
            let acquired = self.guarded(async { leases.acquire(LEASE, LEASE_TTL).await });
            match acquired.await {
                Ok(Some(token)) => {
                    self.counters.leads.set(1.0);
                    self.sequence(leases, token).await;
                    self.counters.leads.set(0.0);
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(?error, "the sequencer's lease cannot be asked for"),
            }
            tokio::time::sleep(LEASE_TTL / 2).await;
        }
    }

    /// Sequences until the lease is lost.
    async fn sequence(&self, leases: &Arc<dyn ClusterLeases>, token: LeaseToken) {
        let mut renewed = self.clock.now();
        loop {
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
                    self.missed(&error);
                    self.poll_interval
                }
            };
            tokio::time::sleep(pause).await;
            let now = self.clock.now();
            if now.since(renewed) >= LEASE_TTL / 3 {
                let renewal = self.guarded(async { leases.renew(LEASE, token, LEASE_TTL).await });
                if !matches!(renewal.await, Ok(true)) {
                    return;
                }
                renewed = now;
            }
        }
    }
}
