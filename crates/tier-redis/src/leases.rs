//! Leases across nodes: a key in Redis that holds its owner's random token and expires unless it is renewed.

use std::time::Duration;

use bytes::Bytes;
use hotshelf_model::{BoxFuture, LeaseOutcome, LeaseToken, Leases, TierKey};
use rand::RngExt;
use redis::Value;

use crate::call::{Action, Call, Reply, token_text};
use crate::tier::RedisTier;

impl RedisTier {
    /// Apart from every entry's key, because a history is written in hexadecimal digits.
    fn lease_key(&self, key: &TierKey) -> String {
        format!("{}:lease:{key}", self.settings.prefix)
    }

    async fn acquire(&self, keys: &[TierKey]) -> Vec<LeaseOutcome> {
        let tokens: Vec<LeaseToken> = {
            let mut random = self.random.lock();
            keys.iter().map(|_| LeaseToken(random.random())).collect()
        };
        let ttl = self.settings.lease_ttl;
        let calls: Vec<Call> = keys
            .iter()
            .zip(&tokens)
            .map(|(key, &token)| Call::new(self.lease_key(key), Action::Acquire { token, ttl }))
            .collect();
        let replies = self.exchange.make(&calls, self.settings.deadline).await;
        let outcomes = tokens.into_iter().zip(replies);
        outcomes
            .map(|(token, reply)| outcome(token, &reply))
            .collect()
    }

    async fn act(&self, leases: &[(TierKey, LeaseToken)], action: impl Fn(LeaseToken) -> Action) {
        let calls: Vec<Call> = leases
            .iter()
            .map(|(key, token)| Call::new(self.lease_key(key), action(*token)))
            .collect();
        self.exchange.make(&calls, self.settings.deadline).await;
    }

    fn renew(&self, token: LeaseToken) -> Action {
        let ttl = self.settings.lease_ttl;
        Action::Renew { token, ttl }
    }
}

/// `SET NX` answers nil when somebody holds the lease.
fn outcome(token: LeaseToken, reply: &Reply) -> LeaseOutcome {
    match reply {
        Ok(Value::Okay) => LeaseOutcome::Acquired(token),
        Ok(Value::Nil) => LeaseOutcome::Held,
        Ok(_) | Err(_) => LeaseOutcome::Unavailable,
    }
}

fn release(token: LeaseToken) -> Action {
    let beginning = Bytes::from(token_text(token));
    Action::RemoveSame { beginning }
}

impl Leases for RedisTier {
    fn acquire_many<'a>(&'a self, keys: &'a [TierKey]) -> BoxFuture<'a, Vec<LeaseOutcome>> {
        Box::pin(self.acquire(keys))
    }

    fn renew_many<'a>(&'a self, leases: &'a [(TierKey, LeaseToken)]) -> BoxFuture<'a, ()> {
        Box::pin(self.act(leases, |token| self.renew(token)))
    }

    fn release_many<'a>(&'a self, leases: &'a [(TierKey, LeaseToken)]) -> BoxFuture<'a, ()> {
        Box::pin(self.act(leases, release))
    }

    fn ttl(&self) -> Duration {
        self.settings.lease_ttl
    }
}
