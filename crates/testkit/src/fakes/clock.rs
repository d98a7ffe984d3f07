//! A clock that moves only when told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hotshelf_model::{Boot, Clock};

/// Begins an hour after boot, so that there is a past to subtract from.
const START: Boot = Boot(3_600_000_000_000);

/// A clock for tests. It never goes back.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl Default for ManualClock {
    fn default() -> Self {
        ManualClock(AtomicU64::new(START.0))
    }
}

impl ManualClock {
    /// A clock that shows one hour after boot.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock to `now`, if that is later than what it shows.
    pub fn set(&self, now: Boot) {
        self.0.fetch_max(now.0, Ordering::SeqCst);
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Boot {
        // One order of all changes and readings is what a test reasons with.
        Boot(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_on_and_never_back() {
        let clock = ManualClock::new();
        let begun = clock.now();
        clock.advance(Duration::from_millis(5));
        assert_eq!(clock.now().since(begun), Duration::from_millis(5));
        clock.set(begun);
        assert_eq!(clock.now().since(begun), Duration::from_millis(5));
    }
}
