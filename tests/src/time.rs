//! The only place of the tests that looks at the machine's clock.
#![expect(
    clippy::disallowed_methods,
    reason = "black-box tests measure durations and keep readers at a pace"
)]

use std::time::{Duration, Instant, SystemTime};

/// A moment to measure from.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

/// Starts measuring.
pub fn stopwatch() -> Stopwatch {
    Stopwatch(Instant::now())
}

impl Stopwatch {
    /// The time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Keeps a reader at its pace; never used to wait for something to happen.
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Milliseconds since 1970.
///
/// # Panics
/// When the machine's clock stands before 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
