//! The freshness check by itself: `coherence::judge`, with what a node knows taken as the engine takes it.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hotshelf_coherence::{Generation, Held, HitContext, Verdict, judge};
use hotshelf_model::{Boot, BootClock, Clock, DbTime, Key};
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use crate::passing::PassingHasher;

const BOUND: Duration = Duration::from_secs(3600);

/// A document with what L1 knows of it.
struct Copy {
    document: Bytes,
    held: Held,
}

/// The map of L1 with copies that can be judged, and what a node knows.
pub(crate) struct Judged {
    copies: Cache<Key, Arc<Copy>, UnitWeighter, PassingHasher>,
    clock: BootClock,
    generation: Generation,
    proof: AtomicU64,
    database_ahead_ms: AtomicU64,
}

impl Judged {
    pub(crate) fn new(count: usize) -> Self {
        let clock = BootClock;
        Judged {
            copies: Cache::with(
                count,
                count as u64,
                UnitWeighter,
                PassingHasher,
                DefaultLifecycle::default(),
            ),
            generation: Generation::default(),
            proof: AtomicU64::new(clock.now().0),
            database_ahead_ms: AtomicU64::new(0),
            clock,
        }
    }

    pub(crate) fn insert(&self, key: Key, document: Bytes) {
        let now = self.clock.now();
        let held = Held {
            generation: self.generation,
            as_of: now,
            soft_at: now.plus(BOUND),
            hard_at: now.plus(BOUND),
            valid_until: None,
            tracked: true,
        };
        self.copies.insert(key, Arc::new(Copy { document, held }));
    }

    fn context(&self) -> HitContext {
        let now = self.clock.now();
        let ahead = self.database_ahead_ms.load(Ordering::Relaxed);
        HitContext {
            generation: *black_box(&self.generation),
            proof: Boot(self.proof.load(Ordering::Acquire)),
            now,
            db_now: DbTime(now.0 / 1_000_000 + ahead),
            staleness_bound: BOUND,
        }
    }

    /// A hit without the check, which looks at the same memory; the document's length.
    pub(crate) fn get(&self, key: &Key) -> usize {
        let copy = self.copies.get(key);
        copy.map_or(0, |copy| {
            black_box(copy.held);
            copy.document.len()
        })
    }

    /// The same, and one reading of the clock.
    pub(crate) fn get_timed(&self, key: &Key) -> usize {
        black_box(self.clock.now());
        self.get(key)
    }

    /// The same with the check.
    pub(crate) fn get_judged(&self, key: &Key) -> usize {
        let context = self.context();
        let copy = self.copies.get(key);
        copy.map_or(0, |copy| match judge(&black_box(copy.held), &context) {
            Verdict::Fresh => copy.document.len(),
            _ => 0,
        })
    }
}
