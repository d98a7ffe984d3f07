//! Switches: what of the engine operators have switched off, or set otherwise than configured, while it runs.
//!
//! A read that L1 answers fresh asks nothing here. Everything else pays one relaxed load where it comes to a part that may be off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use hotshelf_model::{Error, ErrorKind, Tier};

use crate::cache::{Cache, Engine, Source};

/// A part of the engine that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// L2 and the leases in it: neither read nor written.
    L2,
    /// L3: neither read nor written.
    L3,
    /// The origin: no document is fetched and no version checked. What is held is served, labelled once it is no longer fresh, without a
    /// stale cap. The change log is still followed.
    Origin,
    /// Refreshes, and the keeper of hot copies: a copy is replaced when it is over and somebody reads it.
    Refresh,
}

impl Part {
    fn bit(self) -> u8 {
        match self {
            Part::L2 => 1,
            Part::L3 => 2,
            Part::Origin => 4,
            Part::Refresh => 8,
        }
    }
}

/// How all switches of an engine stand. The default is everything on, and as configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    off: u8,
    stale_cap: Option<Duration>,
}

impl Switches {
    /// The same with a part switched off.
    #[must_use]
    pub fn with_off(self, part: Part) -> Self {
        let off = self.off | part.bit();
        Switches { off, ..self }
    }

    /// The same with another stale cap for every namespace, in whole milliseconds.
    #[must_use]
    pub fn with_stale_cap(self, cap: Duration) -> Self {
        Switches {
            stale_cap: Some(cap),
            ..self
        }
    }

    /// Whether a part is switched off.
    pub fn is_off(self, part: Part) -> bool {
        self.off & part.bit() != 0
    }

    /// The stale cap instead of each namespace's own.
    pub fn stale_cap(self) -> Option<Duration> {
        self.stale_cap
    }
}

/// Each namespace's own stale cap holds.
const AS_CONFIGURED: u64 = u64::MAX;

/// The switches as the engine's parts see them. Each is a word about itself, so relaxed orders are enough.
#[derive(Debug)]
pub(crate) struct Switchboard {
    off: AtomicU8,
    stale_cap_ms: AtomicU64,
}

impl Switchboard {
    pub(crate) fn new() -> Self {
        Switchboard {
            off: AtomicU8::new(0),
            stale_cap_ms: AtomicU64::new(AS_CONFIGURED),
        }
    }

    pub(crate) fn is_off(&self, part: Part) -> bool {
        self.off.load(Ordering::Relaxed) & part.bit() != 0
    }

    fn stale_cap(&self) -> Option<Duration> {
        let ms = self.stale_cap_ms.load(Ordering::Relaxed);
        (ms != AS_CONFIGURED).then(|| Duration::from_millis(ms))
    }

    fn set(&self, switches: Switches) {
        let ms = |cap: Duration| u64::try_from(cap.as_millis()).unwrap_or(AS_CONFIGURED - 1);
        let cap = switches.stale_cap.map_or(AS_CONFIGURED, ms);
        self.stale_cap_ms.store(cap, Ordering::Relaxed);
        self.off.store(switches.off, Ordering::Relaxed);
    }

    fn standing(&self) -> Switches {
        Switches {
            off: self.off.load(Ordering::Relaxed),
            stale_cap: self.stale_cap(),
        }
    }
}

/// What is said instead of asking an origin that is switched off.
pub(crate) fn origin_off() -> Error {
    Error::new(ErrorKind::OriginOff, "the origin is switched off")
}

impl Engine {
    /// L2, unless there is none or it is switched off.
    pub(crate) fn l2_in_use(&self) -> Option<&Arc<dyn Tier>> {
        let l2 = self.l2.as_ref();
        l2.filter(|_| !self.switches.is_off(Part::L2))
    }

    /// L3, unless there is none or it is switched off.
    pub(crate) fn l3_in_use(&self) -> Option<&Arc<dyn Tier>> {
        let l3 = self.l3.as_ref();
        l3.filter(|_| !self.switches.is_off(Part::L3))
    }

    /// How long beyond freshness a copy is served, labelled, when there is no answer from the origin.
    pub(crate) fn stale_cap(&self, source: &Source) -> Duration {
        if self.switches.is_off(Part::Origin) {
            return Duration::MAX;
        }
        let cap = self.switches.stale_cap();
        cap.unwrap_or(source.namespace.policy.stale_cap)
    }
}

impl Cache {
    /// Sets every switch of this process, at once and until the next call.
    pub fn set_switches(&self, switches: Switches) {
        self.engine.switches.set(switches);
    }

    /// How the switches stand.
    pub fn switches(&self) -> Switches {
        self.engine.switches.standing()
    }
}
