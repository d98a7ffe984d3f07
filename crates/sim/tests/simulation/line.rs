//! The line between one node and one server: takes time in both directions, and breaks.

use std::time::Duration;

use hotshelf_sim::Random;
use parking_lot::Mutex;

/// How often a stalled line is looked at.
const STALL_STEP: Duration = Duration::from_millis(20);

/// What a line does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// It takes up to so many milliseconds.
    Takes(u32),
    /// Nothing comes through until it is mended.
    Stalled,
    /// Whoever uses it is told so at once.
    Cut,
}

/// There is no line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Broken;

/// A line.
#[derive(Debug)]
pub(crate) struct Line(Mutex<State>);

#[derive(Debug)]
struct State {
    random: Random,
    usual_ms: u32,
    condition: Condition,
}

impl Line {
    pub(crate) fn new(random: Random, usual_ms: u32) -> Self {
        Line(Mutex::new(State {
            random,
            usual_ms,
            condition: Condition::Takes(usual_ms),
        }))
    }

    pub(crate) fn set(&self, condition: Condition) {
        self.0.lock().condition = condition;
    }

    pub(crate) fn mend(&self) {
        let mut state = self.0.lock();
        state.condition = Condition::Takes(state.usual_ms);
    }

    /// One direction.
    pub(crate) async fn pass(&self) -> Result<(), Broken> {
        loop {
            let takes = {
                let mut state = self.0.lock();
                match state.condition {
                    Condition::Takes(most) => Some(state.random.millis(0, most)),
                    Condition::Stalled => None,
                    Condition::Cut => return Err(Broken),
                }
            };
            match takes {
                Some(takes) if takes.is_zero() => return Ok(()),
                Some(takes) => {
                    tokio::time::sleep(takes).await;
                    return Ok(());
                }
                None => tokio::time::sleep(STALL_STEP).await,
            }
        }
    }
}
