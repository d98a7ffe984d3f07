//! What a follower does at the same time: polling, listening to the bus, leading.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use futures_util::future::join3;

use super::Follower;

/// What a follower does at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Polling,
    Listening,
    Leading,
}

impl Lane {
    pub(crate) const ALL: [Lane; 3] = [Lane::Polling, Lane::Listening, Lane::Leading];

    /// The word in metrics and logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Lane::Polling => "polling",
            Lane::Listening => "listening",
            Lane::Leading => "leading",
        }
    }
}

impl Follower {
    pub(super) async fn run_lanes(&self) {
        // In one task: what one of them applies, none of the others interrupts.
        let [polling, listening, leading] = Lane::ALL.map(|lane| self.watched(lane));
        join3(polling, listening, leading).await;
    }

    /// Begins a lane anew whenever it panics: what one row or one message brought about must not be the end of all proofs.
    async fn watched(&self, lane: Lane) {
        while AssertUnwindSafe(self.work(lane))
            .catch_unwind()
            .await
            .is_err()
        {
            self.counters.panicked(lane);
            tracing::error!(
                lane = lane.as_str(),
                "following the change log panicked; it begins anew"
            );
            tokio::time::sleep(self.poll_interval).await;
        }
    }

    /// For ever, unless the node has neither bus nor leases.
    async fn work(&self, lane: Lane) {
        match (lane, &self.bus, &self.leases) {
            (Lane::Polling, ..) => self.keep_polling().await,
            (Lane::Listening, Some(bus), _) => self.listen(bus).await,
            (Lane::Leading, _, Some(leases)) => self.lead(leases).await,
            (Lane::Listening, None, _) | (Lane::Leading, _, None) => {}
        }
    }
}
