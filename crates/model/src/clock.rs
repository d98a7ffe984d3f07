//! Two kinds of time that must not mix: this machine's boot clock, and the database's wall clock.

use std::fmt::Debug;
use std::time::Duration;

/// Nanoseconds since this machine booted, suspend included (`CLOCK_BOOTTIME`). Never compared between machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Boot(pub u64);

impl Boot {
    /// The time from `earlier` to `self`, zero when `earlier` is later.
    pub fn since(self, earlier: Boot) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment plus a duration.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Boot {
        Boot(
            self.0
                .saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    /// This moment minus a duration, not before boot.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Boot {
        Boot(
            self.0
                .saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

/// Milliseconds since 1970 on the database's clock; the only wall clock that hotshelf compares anything with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DbTime(pub u64);

impl DbTime {
    /// The time from `earlier` to `self`, zero when `earlier` is later.
    pub fn since(self, earlier: DbTime) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This moment minus a duration, not before 1970.
    #[must_use]
    pub fn minus(self, duration: Duration) -> DbTime {
        DbTime(
            self.0
                .saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// This moment plus a duration.
    #[must_use]
    pub fn plus(self, duration: Duration) -> DbTime {
        DbTime(
            self.0
                .saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

/// Where the engine gets the time from, so that tests can hand in another.
pub trait Clock: Send + Sync + Debug {
    /// Now. Never goes back.
    fn now(&self) -> Boot;
}

/// The machine's own boot clock. It counts while the machine is suspended, which `std::time::Instant` does not.
#[derive(Clone, Copy, Debug, Default)]
pub struct BootClock;

impl Clock for BootClock {
    fn now(&self) -> Boot {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let part = |value: i64| u64::try_from(value).unwrap_or_default();
        Boot(part(now.tv_sec) * 1_000_000_000 + part(now.tv_nsec))
    }
}
