//! Leases in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hotshelf_model::{Boot, BoxFuture, Clock, LeaseOutcome, LeaseToken, Leases, TierKey};
use parking_lot::Mutex;

use crate::names::random;

#[derive(Clone, Copy, Debug)]
struct Lease {
    token: LeaseToken,
    until: Boot,
}

/// A table of leases. Nodes that share it are told apart by their tokens.
#[derive(Debug)]
pub struct FakeLeases {
    clock: Arc<dyn Clock>,
    ttl: Duration,
    table: Mutex<HashMap<TierKey, Lease>>,
    unavailable: Mutex<bool>,
    acquired: AtomicU64,
    refused: AtomicU64,
    released: AtomicU64,
}

impl FakeLeases {
    /// An empty table whose leases last `ttl` on `clock`.
    pub fn new(clock: Arc<dyn Clock>, ttl: Duration) -> Self {
        FakeLeases {
            clock,
            ttl,
            table: Mutex::default(),
            unavailable: Mutex::new(false),
            acquired: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            released: AtomicU64::new(0),
        }
    }

    /// Cannot be asked from now on, until [`FakeLeases::recover`].
    pub fn fail(&self) {
        *self.unavailable.lock() = true;
    }

    /// Works again.
    pub fn recover(&self) {
        *self.unavailable.lock() = false;
    }

    /// Takes a lease that no node of the test holds: a node that is elsewhere, or that died.
    pub fn hold_elsewhere(&self, key: &TierKey) -> LeaseToken {
        let lease = self.fresh_lease();
        self.table.lock().insert(key.clone(), lease);
        lease.token
    }

    /// How many leases are held now.
    pub fn held(&self) -> usize {
        let now = self.clock.now();
        self.table
            .lock()
            .values()
            .filter(|lease| lease.until > now)
            .count()
    }

    /// How often a lease was given.
    pub fn acquired(&self) -> u64 {
        self.acquired.load(Ordering::SeqCst)
    }

    /// How often a lease was refused, because another node held it.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::SeqCst)
    }

    /// How often a holder gave its lease up.
    pub fn released(&self) -> u64 {
        self.released.load(Ordering::SeqCst)
    }

    fn fresh_lease(&self) -> Lease {
        Lease {
            token: LeaseToken(random()),
            until: self.clock.now().plus(self.ttl),
        }
    }

    fn acquire(&self, key: &TierKey) -> LeaseOutcome {
        if *self.unavailable.lock() {
            return LeaseOutcome::Unavailable;
        }
        let lease = self.fresh_lease();
        let mut table = self.table.lock();
        let now = self.clock.now();
        if table.get(key).is_some_and(|held| held.until > now) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return LeaseOutcome::Held;
        }
        table.insert(key.clone(), lease);
        self.acquired.fetch_add(1, Ordering::SeqCst);
        LeaseOutcome::Acquired(lease.token)
    }

    fn renew(&self, key: &TierKey, token: LeaseToken) {
        let now = self.clock.now();
        if *self.unavailable.lock() {
            return;
        }
        match self.table.lock().get_mut(key) {
            Some(held) if held.token == token && held.until > now => {
                held.until = now.plus(self.ttl);
            }
            Some(_) | None => {}
        }
    }

    fn release(&self, key: &TierKey, token: LeaseToken) {
        let mut table = self.table.lock();
        let own = table.get(key).is_some_and(|held| held.token == token);
        if own && !*self.unavailable.lock() {
            table.remove(key);
            self.released.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Leases for FakeLeases {
    fn acquire_many<'a>(&'a self, keys: &'a [TierKey]) -> BoxFuture<'a, Vec<LeaseOutcome>> {
        Box::pin(async move { keys.iter().map(|key| self.acquire(key)).collect() })
    }

    fn renew_many<'a>(&'a self, leases: &'a [(TierKey, LeaseToken)]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            for (key, token) in leases {
                self.renew(key, *token);
            }
        })
    }

    fn release_many<'a>(&'a self, leases: &'a [(TierKey, LeaseToken)]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            for (key, token) in leases {
                self.release(key, *token);
            }
        })
    }

    fn ttl(&self) -> Duration {
        self.ttl
    }
}
