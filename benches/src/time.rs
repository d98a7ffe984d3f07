//! Measuring time: the only place of this package that looks at the machine's clock.

use std::time::{Duration, Instant};

/// Runs from its making.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(
        clippy::disallowed_methods,
        reason = "a bench measures time; it decides nothing by it"
    )]
    pub fn start() -> Self {
        Stopwatch(Instant::now())
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// The same in nanoseconds.
    pub fn nanos(&self) -> f64 {
        self.elapsed().as_secs_f64() * 1e9
    }
}
