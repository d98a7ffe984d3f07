//! A gate at which calls wait until a test lets them through.

use std::time::Duration;

use tokio::sync::watch;

const ARRIVAL_LIMIT: Duration = Duration::from_secs(10);

/// Open at first. While it is held, whoever comes to it waits.
#[derive(Debug, Default)]
pub struct Gate {
    held: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Gate {
    /// From now on, whoever comes waits.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    /// Lets everybody through, those who wait and those who come later.
    pub fn release(&self) {
        self.held.send_replace(false);
    }

    /// How many wait now.
    pub fn waiting(&self) -> usize {
        *self.waiting.borrow()
    }

    /// Returns when at least `count` calls wait.
    ///
    /// # Panics
    /// When they have not come after ten seconds.
    pub async fn arrived(&self, count: usize) {
        let mut waiting = self.waiting.subscribe();
        let arrived = waiting.wait_for(|&waiting| waiting >= count);
        let arrived = tokio::time::timeout(ARRIVAL_LIMIT, arrived).await.is_ok();
        assert!(
            arrived,
            "{} calls instead of {count} came to the gate",
            self.waiting()
        );
    }

    pub(super) async fn pass(&self) {
        let mut held = self.held.subscribe();
        if !*held.borrow() {
            return;
        }
        let _waiting = Waiting::new(&self.waiting);
        held.wait_for(|held| !held).await.ok();
    }
}

/// Counts a waiting call also when it is dropped.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|waiting| *waiting += 1);
        Waiting(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_held_gate_counts_who_waits_and_lets_them_through_together() {
        let gate = Arc::new(Gate::default());
        gate.pass().await;
        gate.hold();
        let pass = || {
            let gate = gate.clone();
            tokio::spawn(async move { gate.pass().await })
        };
        let (one, other) = (pass(), pass());
        gate.arrived(2).await;
        other.abort();
        other.await.unwrap_err();
        assert_eq!(gate.waiting(), 1);
        gate.release();
        one.await.unwrap();
        assert_eq!(gate.waiting(), 0);
    }
}
