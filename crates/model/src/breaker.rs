//! A circuit breaker: after a few failures in a row a tier is not asked for a while, then one call tries whether it is back.
//!
//! The state is one word, changed by compare-and-swap; each transition is a pure function of the state and the time.
//!
//! ```text
//! closed ──(failures_max failures in a row)──► open ──(its time is over: one pass)──► half open
//!    ▲                                          ▲  ▲                                   │  │  │
//!    │                                          │  └──────(the pass was dropped)───────┘  │  │
//!    │                                          └──(it failed: a longer time)─────────────┘  │
//!    └─────────────────────────────────────────────(it succeeded)────────────────────────────┘
//! ```
//!
//! Invariant: while it is half open there is exactly one pass that may end it. Outcomes of calls that began before the
//! breaker opened are ignored, because they say nothing about now.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Boot;
use crate::seams::BreakerState;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    /// It opens after this many failures in a row, 1 to 1000.
    pub failures_max: u16,
    /// How long it stays open the first time; doubled each time that the tier is still down.
    pub open_min: Duration,
    /// How long it stays open at most, before jitter.
    pub open_max: Duration,
    /// Where the jitter starts: with different seeds, nodes do not probe at one moment.
    pub seed: u64,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        BreakerSettings {
            failures_max: 3,
            open_min: Duration::from_millis(500),
            open_max: Duration::from_secs(5),
            seed: 0,
        }
    }
}

/// A breaker; shared by all calls to one tier, or to one node of a tier.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    state: AtomicU64,
    jitter: AtomicU64,
}

/// The right to make one call; its outcome goes to [`Breaker::record`].
///
/// Dropped without an outcome, it says nothing: if it was the one that tries a half-open breaker, the next call may try.
#[derive(Debug)]
#[must_use = "a pass that is dropped has no outcome"]
pub struct Pass<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Pass<'_> {
    /// Whether this call tries if the tier is back.
    pub fn is_probe(&self) -> bool {
        self.probe
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.update(State::abandoned);
        }
    }
}

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: BreakerSettings) -> Self {
        let (state, jitter) = (State::Closed { failures: 0 }.pack(), settings.seed);
        Breaker {
            settings,
            state: AtomicU64::new(state),
            jitter: AtomicU64::new(jitter),
        }
    }

    /// Asks to make a call; `None` while the breaker is open or another call is trying.
    pub fn try_pass(&self, now: Boot) -> Option<Pass<'_>> {
        if let State::Closed { .. } = self.load() {
            return Some(self.pass(false));
        }
        match self.update(|state| state.probe(now)) {
            Some((_, State::HalfOpen { .. })) => Some(self.pass(true)),
            Some((_, State::Closed { .. } | State::Open { .. })) => None,
            // Another thread closed it meanwhile, or it stays shut.
            None => matches!(self.load(), State::Closed { .. }).then(|| self.pass(false)),
        }
    }

    /// Whether [`Breaker::try_pass`] would let a call pass, without taking the pass.
    pub fn may_pass(&self, now: Boot) -> bool {
        let state = self.load();
        matches!(state, State::Closed { .. }) || state.probe(now).is_some()
    }

    /// Takes in a call's outcome. Answers the new state when this outcome changed it.
    pub fn record(&self, pass: Pass<'_>, ok: bool, now: Boot) -> Option<BreakerState> {
        debug_assert!(
            std::ptr::eq(pass.breaker, self),
            "a pass belongs to one breaker"
        );
        let probe = pass.probe;
        // What follows is the outcome, so the pass must not also report that it has none.
        std::mem::forget(pass);
        if ok && !probe && self.load() == (State::Closed { failures: 0 }) {
            return None;
        }
        let (before, after) = if ok {
            self.update(|state| state.succeeded(probe))
        } else {
            let jitter = self.next_jitter();
            self.update(|state| state.failed(probe, now, &self.settings, jitter))
        }?;
        (before.name() != after.name()).then(|| after.name())
    }

    /// Ends the wait of an open breaker, because something suggests that the tier is back: the next call tries.
    pub fn retry_now(&self) {
        self.update(State::without_wait);
    }

    /// The state.
    pub fn state(&self) -> BreakerState {
        self.load().name()
    }

    fn pass(&self, probe: bool) -> Pass<'_> {
        Pass {
            breaker: self,
            probe,
        }
    }

    fn load(&self) -> State {
        // Relaxed here and below: the word guards no other memory.
        State::unpack(self.state.load(Ordering::Relaxed))
    }

    /// Makes a transition; answers the states before and after, or `None` if there was none to make.
    fn update(&self, transition: impl Fn(State) -> Option<State>) -> Option<(State, State)> {
        let mut word = self.state.load(Ordering::Relaxed);
        loop {
            let before = State::unpack(word);
            let after = transition(before)?;
            let swapped = self.state.compare_exchange_weak(
                word,
                after.pack(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match swapped {
                Ok(_) => return Some((before, after)),
                Err(current) => word = current,
            }
        }
    }

    /// SplitMix64: enough to spread probes, and the same for the same seed.
    fn next_jitter(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self
            .jitter
            .fetch_add(STEP, Ordering::Relaxed)
            .wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The state with its numbers. `until` is in microseconds since boot, of which 48 bits last nine years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Failures in a row.
    Closed { failures: u16 },
    /// No call until then; `streak` counts how often it opened without closing.
    Open { streak: u16, until: u64 },
    /// One call is trying.
    HalfOpen { streak: u16, until: u64 },
}

const TIME_BITS: u32 = 48;
const COUNT_BITS: u32 = 14;
const COUNT_MAX: u16 = (1 << COUNT_BITS) - 1;

impl State {
    fn pack(self) -> u64 {
        let (tag, count, until) = match self {
            State::Closed { failures } => (0_u64, failures, 0),
            State::Open { streak, until } => (1, streak, until),
            State::HalfOpen { streak, until } => (2, streak, until),
        };
        let until = until.min((1 << TIME_BITS) - 1);
        tag << (TIME_BITS + COUNT_BITS) | u64::from(count.min(COUNT_MAX)) << TIME_BITS | until
    }

    fn unpack(word: u64) -> State {
        let count = (word >> TIME_BITS) & u64::from(COUNT_MAX);
        let count = u16::try_from(count).unwrap_or(COUNT_MAX);
        let until = word & ((1 << TIME_BITS) - 1);
        match word >> (TIME_BITS + COUNT_BITS) {
            0 => State::Closed { failures: count },
            1 => State::Open {
                streak: count,
                until,
            },
            _ => State::HalfOpen {
                streak: count,
                until,
            },
        }
    }

    fn name(self) -> BreakerState {
        match self {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// An open breaker whose time is over lets one call try.
    fn probe(self, now: Boot) -> Option<State> {
        match self {
            State::Open { streak, until } if micros(now) >= until => {
                Some(State::HalfOpen { streak, until })
            }
            State::Open { .. } | State::HalfOpen { .. } | State::Closed { .. } => None,
        }
    }

    fn succeeded(self, probe: bool) -> Option<State> {
        match self {
            State::HalfOpen { .. } if probe => Some(State::Closed { failures: 0 }),
            State::Closed { failures } if failures > 0 => Some(State::Closed { failures: 0 }),
            State::HalfOpen { .. } | State::Closed { .. } | State::Open { .. } => None,
        }
    }

    fn failed(
        self,
        probe: bool,
        now: Boot,
        settings: &BreakerSettings,
        jitter: u64,
    ) -> Option<State> {
        let streak = match self {
            State::Closed { failures } if failures.saturating_add(1) < settings.failures_max => {
                return Some(State::Closed {
                    failures: failures + 1,
                });
            }
            State::Closed { .. } => 1,
            State::HalfOpen { streak, .. } if probe => streak.saturating_add(1),
            State::HalfOpen { .. } | State::Open { .. } => return None,
        };
        let until = micros(now.plus(wait(settings, streak, jitter)));
        Some(State::Open { streak, until })
    }

    /// The trying call was dropped: its time is over already, so the next call tries.
    fn abandoned(self) -> Option<State> {
        match self {
            State::HalfOpen { streak, until } => Some(State::Open { streak, until }),
            State::Open { .. } | State::Closed { .. } => None,
        }
    }

    fn without_wait(self) -> Option<State> {
        match self {
            State::Open { streak, .. } => Some(State::Open { streak, until: 0 }),
            State::HalfOpen { .. } | State::Closed { .. } => None,
        }
    }
}

fn micros(moment: Boot) -> u64 {
    moment.0 / 1_000
}

/// The wait doubles with each opening up to its maximum; jitter adds up to a quarter.
fn wait(settings: &BreakerSettings, streak: u16, jitter: u64) -> Duration {
    let doublings = u32::from(streak.saturating_sub(1)).min(20);
    let wait = settings
        .open_min
        .saturating_mul(1 << doublings)
        .min(settings.open_max);
    let share = u32::try_from(jitter % 256).unwrap_or_default();
    wait.saturating_add(wait.saturating_mul(share) / 1024)
}

#[cfg(test)]
mod tests;
