//! Waiting for a state, never for a time; the only place of this crate that looks at the machine's clock.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(3);

/// Probes until the answer is true.
///
/// # Panics
/// With `what` when the limit has passed.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut probe: impl FnMut() -> bool) {
    let reached = poll(limit, || probe().then_some(()));
    assert!(reached.is_some(), "waited {limit:?} in vain: {what}");
}

/// As [`wait_until`], with a probe that awaits and pauses that let the runtime's other tasks run.
///
/// # Panics
/// With `what` when the limit has passed.
pub async fn wait_until_async(what: &str, limit: Duration, mut probe: impl AsyncFnMut() -> bool) {
    let reached = tokio::time::timeout(limit, async {
        while !probe().await {
            tokio::time::sleep(PAUSE).await;
        }
    });
    let reached = reached.await;
    assert!(reached.is_ok(), "waited {limit:?} in vain: {what}");
}

/// Probes until there is an answer or the limit has passed; at least once.
#[expect(
    clippy::disallowed_methods,
    reason = "a blocking wait with a bound needs the clock and a pause"
)]
pub(crate) fn poll<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        if let Some(answer) = probe() {
            return Some(answer);
        }
        if begun.elapsed() >= limit {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}
