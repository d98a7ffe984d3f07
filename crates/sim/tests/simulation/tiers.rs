//! L2, L3 and the leases as one node sees them: over a line, within a deadline.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_model::{
    BoxFuture, Entry, Hist, LeaseOutcome, LeaseToken, Leases, Lookup, PutOutcome, Tier, TierKey,
    TierName, TierStatus, UnavailableReason,
};
use hotshelf_testkit::{FakeLeases, FakeTier};
use tokio::time::timeout;

use crate::line::Line;
use crate::plan::Rule;

/// How long a tier may take, as an operator would set it.
const DEADLINE: Duration = Duration::from_millis(50);

/// A tier behind a line.
#[derive(Debug)]
pub(crate) struct FarTier {
    pub(crate) tier: Arc<FakeTier>,
    pub(crate) line: Arc<Line>,
    pub(crate) broken: Option<Rule>,
}

impl FarTier {
    async fn ask<T>(&self, answer: impl Future<Output = T>) -> Result<T, UnavailableReason> {
        let both_ways = async {
            self.line.pass().await?;
            let answer = answer.await;
            self.line.pass().await?;
            Ok(answer)
        };
        match timeout(DEADLINE, both_ways).await {
            Ok(answer) => answer.map_err(|crate::line::Broken| UnavailableReason::Failed),
            Err(_) => Err(UnavailableReason::Deadline),
        }
    }

    fn stored(&self, key: &TierKey) -> TierKey {
        let mut key = key.clone();
        if self.broken == Some(Rule::HistoriesAreApart) {
            key.hist = Hist(0);
        }
        key
    }
}

impl Tier for FarTier {
    fn name(&self) -> TierName {
        self.tier.name()
    }

    fn get_many<'a>(&'a self, keys: &'a [TierKey]) -> BoxFuture<'a, Vec<Lookup>> {
        Box::pin(async move {
            let stored: Vec<TierKey> = keys.iter().map(|key| self.stored(key)).collect();
            let answers = self.ask(self.tier.get_many(&stored)).await;
            answers.unwrap_or_else(|reason| vec![Lookup::Unavailable(reason); keys.len()])
        })
    }

    fn put_many<'a>(&'a self, entries: &'a [(TierKey, Entry)]) -> BoxFuture<'a, Vec<PutOutcome>> {
        Box::pin(async move {
            let stored = entries
                .iter()
                .map(|(key, entry)| (self.stored(key), entry.clone()));
            let stored: Vec<(TierKey, Entry)> = stored.collect();
            let outcomes = self.ask(self.tier.put_many(&stored)).await;
            outcomes.unwrap_or_else(|reason| vec![PutOutcome::Unavailable(reason); entries.len()])
        })
    }

    fn remove_many<'a>(&'a self, keys: &'a [TierKey]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let stored: Vec<TierKey> = keys.iter().map(|key| self.stored(key)).collect();
            self.ask(self.tier.remove_many(&stored)).await.ok();
        })
    }

    fn status(&self) -> TierStatus {
        self.tier.status()
    }
}

/// Leases behind a line.
#[derive(Debug)]
pub(crate) struct FarLeases {
    pub(crate) leases: Arc<FakeLeases>,
    pub(crate) line: Arc<Line>,
}

impl FarLeases {
    async fn ask<T>(&self, answer: impl Future<Output = T>) -> Option<T> {
        let both_ways = async {
            self.line.pass().await.ok()?;
            let answer = answer.await;
            self.line.pass().await.ok()?;
            Some(answer)
        };
        timeout(DEADLINE, both_ways).await.ok().flatten()
    }
}

impl Leases for FarLeases {
    fn acquire_many<'a>(&'a self, keys: &'a [TierKey]) -> BoxFuture<'a, Vec<LeaseOutcome>> {
        Box::pin(async move {
            let outcomes = self.ask(self.leases.acquire_many(keys)).await;
            outcomes.unwrap_or_else(|| vec![LeaseOutcome::Unavailable; keys.len()])
        })
    }

    fn renew_many<'a>(&'a self, leases: &'a [(TierKey, LeaseToken)]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.ask(self.leases.renew_many(leases)).await;
        })
    }

    fn release_many<'a>(&'a self, leases: &'a [(TierKey, LeaseToken)]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.ask(self.leases.release_many(leases)).await;
        })
    }

    fn ttl(&self) -> Duration {
        self.leases.ttl()
    }
}
