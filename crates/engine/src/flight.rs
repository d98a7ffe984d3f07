//! Flights: at most one fill per key is under way; later readers of the key wait for its outcome.
//!
//! A flight belongs to a guard that the fill's own task holds. Whatever happens to the task, the guard's drop lands the flight, so
//! no reader waits for ever; and because the task is nobody's child, a reader that goes away takes no fill with it.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use hotshelf_coherence::Generation;
use hotshelf_model::{Boot, Error, ErrorKind, Key, TierName, Version};
use hotshelf_telemetry::{Counter, Gauge, metric};
use tokio::sync::Notify;

use crate::l1::KeyHasher;
use crate::settings::Class;
use crate::slot::Slot;
use crate::sync::Mutex;

const SHARDS: usize = 64;

/// What a fill found.
#[derive(Clone, Debug)]
pub(crate) struct Landed {
    pub(crate) slot: Arc<Slot>,
    pub(crate) tier: TierName,
    /// Whether it is only served because the origin has no answer.
    pub(crate) stale: bool,
}

pub(crate) type Outcome = Result<Landed, Error>;

/// What a reader needs of a flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// The least version that will do.
    pub(crate) floor: Version,
    pub(crate) class: Class,
    /// The generation when the reader came.
    pub(crate) generation: Generation,
    /// The parents' generation when the reader came.
    pub(crate) parent_generation: u32,
    /// When the reader came.
    pub(crate) now: Boot,
    /// When a fill gives up that begins for this reader.
    pub(crate) until: Boot,
}

/// A fill under way.
#[derive(Debug)]
pub(crate) struct Flight {
    /// The least version that this fill accepts.
    floor: Version,
    /// The generation when it began: nobody joins it after a resync, because as a last resort it may land with what was read before.
    generation: Generation,
    /// The parents' generation when it began: nobody joins it after a bump.
    parent_generation: u32,
    class: Class,
    /// When the fill gives up.
    until: Boot,
    outcome: OnceLock<Outcome>,
    landed: Notify,
    /// Told when somebody joins who is more urgent than the fill.
    urged: Notify,
}

impl Flight {
    /// How urgent the fill is.
    pub(crate) fn class(&self) -> Class {
        self.class
    }

    /// Whether a reader may wait for it. A warm-up may have to wait for everybody else, so only its like wait for it; what a caller in the
    /// background begins is not kept, so it is for such callers alone; and for a flight whose time is over nobody begins to wait, because
    /// what holds it up may never end.
    fn will_do(&self, wanted: Wanted) -> bool {
        self.floor >= wanted.floor
            && self.until > wanted.now
            && self.generation == wanted.generation
            && self.parent_generation == wanted.parent_generation
            && (!self.class.gives_way() || self.class <= wanted.class)
    }

    /// Whether it has landed with a copy that is not stale.
    #[cfg(all(test, feature = "interleavings"))]
    pub(crate) fn has_landed_well(&self) -> bool {
        matches!(self.outcome.get(), Some(Ok(landed)) if !landed.stale)
    }

    /// Waits for the outcome. Cancel safe.
    pub(crate) async fn wait(&self) -> Outcome {
        let notified = self.landed.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if self.outcome.get().is_none() {
            notified.await;
        }
        self.outcome
            .get()
            .cloned()
            .unwrap_or_else(|| Err(abandoned()))
    }
}

/// What a reader is told that would have begun one flight too many.
pub(crate) fn too_many_flights() -> Error {
    Error::new(ErrorKind::Shed, "too many fills are under way")
}

fn abandoned() -> Error {
    Error::new(ErrorKind::Internal, "the fill ended without an outcome")
}

type Shard = Mutex<HashMap<Key, Arc<Flight>, BuildHasherDefault<KeyHasher>>>;

/// The flights under way.
#[derive(Debug)]
pub(crate) struct Flights {
    shards: Box<[Shard]>,
    under_way: AtomicUsize,
    max: usize,
    gauge: Gauge,
    joins: Counter,
    abandoned: Counter,
}

/// What became of an attempt to begin a flight.
#[derive(Debug)]
pub(crate) enum Begun {
    /// This caller fills.
    Leader(FlightGuard),
    /// Another fill of the key is under way.
    Joined(Arc<Flight>),
    /// Too many fills are under way.
    Full,
}

impl Flights {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Flights {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            under_way: AtomicUsize::new(0),
            max,
            gauge: metric::FLIGHTS.gauge(&[]),
            joins: metric::FLIGHT_JOINS.counter(&[]),
            abandoned: metric::FLIGHTS_ABANDONED.counter(&[]),
        })
    }

    fn shard(&self, key: &Key) -> &Shard {
        &self.shards[usize::try_from(key.hash_u64() % SHARDS as u64).unwrap_or_default()]
    }

    /// Joins the key's flight if it will do, else begins one; one that will not do is left to its waiters.
    pub(crate) fn begin(self: &Arc<Self>, key: &Key, wanted: Wanted) -> Begun {
        let mut shard = self.shard(key).lock();
        let under_way = shard.get(key);
        if let Some(flight) = under_way.filter(|flight| flight.will_do(wanted)) {
            self.joins.increment(1);
            if wanted.class < flight.class {
                flight.urged.notify_one();
            }
            return Begun::Joined(Arc::clone(flight));
        }
        // Relaxed: the count is a bound, not a guard of other memory.
        if self.under_way.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            return Begun::Full;
        }
        self.gauge.increment(1.0);
        let flight = Arc::new(Flight {
            floor: wanted.floor,
            generation: wanted.generation,
            parent_generation: wanted.parent_generation,
            class: wanted.class,
            until: wanted.until,
            outcome: OnceLock::new(),
            landed: Notify::new(),
            urged: Notify::new(),
        });
        shard.insert(key.clone(), Arc::clone(&flight));
        Begun::Leader(FlightGuard {
            flights: Arc::clone(self),
            key: key.clone(),
            flight,
        })
    }

    /// The class of the key's flight, if one is under way that somebody may join.
    pub(crate) fn class_of(&self, key: &Key) -> Option<Class> {
        self.shard(key).lock().get(key).map(|flight| flight.class)
    }

    /// Lets nobody join the key's flight from now on; those who did wait on.
    pub(crate) fn detach(&self, key: &Key) {
        self.shard(key).lock().remove(key);
    }

    fn forget(&self, key: &Key, flight: &Arc<Flight>) {
        let mut shard = self.shard(key).lock();
        if let MapEntry::Occupied(entry) = shard.entry(key.clone())
            && Arc::ptr_eq(entry.get(), flight)
        {
            entry.remove();
        }
        drop(shard);
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        self.gauge.decrement(1.0);
    }

    pub(crate) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }
}

/// The right, and the duty, to land a flight.
#[derive(Debug)]
pub(crate) struct FlightGuard {
    flights: Arc<Flights>,
    key: Key,
    flight: Arc<Flight>,
}

impl FlightGuard {
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// When the fill gives up.
    pub(crate) fn until(&self) -> Boot {
        self.flight.until
    }

    /// Waits until somebody has joined who is more urgent than the fill. For one waiter.
    pub(crate) async fn urged(&self) {
        self.flight.urged.notified().await;
    }

    /// The flight, for the reader that began it.
    pub(crate) fn flight(&self) -> Arc<Flight> {
        Arc::clone(&self.flight)
    }

    /// Tells the waiters. What they may find in L1 must be there before.
    pub(crate) fn land(self, outcome: Outcome) {
        self.flight.outcome.set(outcome).ok();
    }
}

impl Drop for FlightGuard {
    fn drop(&mut self) {
        self.flights.forget(&self.key, &self.flight);
        if self.flight.outcome.set(Err(abandoned())).is_ok() {
            self.flights.abandoned.increment(1);
        }
        self.flight.landed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
