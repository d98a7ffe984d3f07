//! Keeps a line out of the log that would come again and again.

use std::time::Duration;

use tokio::time::Instant;

const PAUSE: Duration = Duration::from_secs(60);

/// Lets one of many through: the first, and then one a minute.
#[derive(Debug, Default)]
pub(crate) struct Rarely {
    last: Option<Instant>,
    held_back: u64,
}

impl Rarely {
    /// How many were held back since the last one, if this one is to be said.
    pub(crate) fn say(&mut self) -> Option<u64> {
        let now = Instant::now();
        let early = self
            .last
            .is_some_and(|last| now.duration_since(last) < PAUSE);
        if early {
            self.held_back += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.held_back))
    }
}
