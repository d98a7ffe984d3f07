//! The database's clock, as measured from here.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use hotshelf_model::{Boot, DbTime};

/// A clock sample with a wider bound is taken all the same after so many polls, because clocks drift.
const CLOCK_SAMPLES: u32 = 16;

/// The database's clock as seen from here. Unknown until the first poll.
#[derive(Debug, Default)]
pub(crate) struct DbClock {
    /// The most that the database's milliseconds can be ahead of boot milliseconds. One number, so that no reader sees the offset of
    /// one sample with the bound of another.
    ahead_ms: AtomicI64,
    /// How much that may be too much, in each direction from the middle.
    bound_ms: AtomicU64,
    age: AtomicU32,
}

fn millis(at: Boot) -> u64 {
    at.0 / 1_000_000
}

impl DbClock {
    /// The answer was made between `sent` and `received`; so the offset is known to half the time between.
    pub(crate) fn sample(&self, db_now: DbTime, sent: Boot, received: Boot) {
        let bound = received.since(sent).as_millis() / 2 + 1;
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        let middle = millis(sent) / 2 + millis(received) / 2;
        let offset = db_now.0.cast_signed() - middle.cast_signed();
        let age = self.age.fetch_add(1, Ordering::Relaxed);
        let is_worse = bound > self.bound_ms.load(Ordering::Relaxed);
        if age != 0 && age < CLOCK_SAMPLES && is_worse && !self.is_contradicted_by(offset, bound) {
            return;
        }
        let ahead = offset.saturating_add_unsigned(bound);
        self.ahead_ms.store(ahead, Ordering::Relaxed);
        self.bound_ms.store(bound, Ordering::Relaxed);
        self.age.store(1, Ordering::Relaxed);
    }

    /// Whether both samples cannot be of one clock: it was set, or another server has taken over.
    fn is_contradicted_by(&self, offset: i64, bound: u64) -> bool {
        let known_bound = self.bound_ms.load(Ordering::Relaxed);
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        let known_offset = ahead.saturating_sub_unsigned(known_bound);
        offset.abs_diff(known_offset) > bound.saturating_add(known_bound)
    }

    /// The latest time that the database's clock can show at `now`.
    #[inline]
    pub(crate) fn latest(&self, now: Boot) -> DbTime {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        let latest = millis(now).cast_signed().saturating_add(ahead).max(0);
        DbTime(latest.cast_unsigned())
    }

    /// The earliest moment on this machine's clock at which the database's clock can have shown `at`, not before boot.
    pub(crate) fn boot(&self, at: DbTime) -> Boot {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        let ms = at.0.cast_signed().saturating_sub(ahead).max(0);
        Boot(ms.cast_unsigned().saturating_mul(1_000_000))
    }

    /// Whether there has been a sample.
    pub(crate) fn is_known(&self) -> bool {
        self.age.load(Ordering::Relaxed) != 0
    }

    /// The largest possible error.
    pub(crate) fn bound(&self) -> Duration {
        Duration::from_millis(self.bound_ms.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests;
