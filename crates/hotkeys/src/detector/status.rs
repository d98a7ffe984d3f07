//! How the detector fares: lag, health and counts.

use std::time::Duration;

use hotshelf_model::Boot;

use super::decision::{Decision, HotKey, Refused};
use super::{Detector, Source};

/// Nodes rely on what they count themselves from this lag on.
pub const LATE: Duration = Duration::from_millis(500);

/// From this lag on nothing is promoted or demoted.
pub const FROZEN: Duration = Duration::from_secs(2);

/// A node, or all of them, of which nothing was heard for so long is gone.
pub const GONE: Duration = Duration::from_secs(30);

/// What the detector's decisions are worth, by its lag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Health {
    /// It is up to date.
    #[default]
    Live,
    /// It lags by more than [`LATE`]: it decides, and nodes promote by themselves besides.
    Late,
    /// It lags by more than [`FROZEN`], or was told to: the hot set stays as it is.
    Frozen,
    /// It has heard nothing for [`GONE`]: the hot set was let go.
    Blind,
}

impl Health {
    /// The word in metrics and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Live => "live",
            Health::Late => "late",
            Health::Frozen => "frozen",
            Health::Blind => "blind",
        }
    }
}

/// The detector in figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// What its decisions are worth.
    pub health: Health,
    /// The age of the newest slice of the node in the middle, or the time since anything was heard.
    pub lag: Duration,
    /// Nodes that are heard, or were in the last 30 s.
    pub nodes: usize,
    /// The least part of its frames that came, of all nodes, in the last ten seconds; below a half nothing is demoted.
    pub coverage: f64,
    /// Hot keys.
    pub hot_keys: usize,
    /// Bytes of their entries.
    pub hot_bytes: u64,
    /// Keys that are counted exactly, the hot ones among them.
    pub tracked: usize,
    /// Keys that were read in the last seconds, some counted twice.
    pub live_keys: usize,
    /// What part of the least threshold makes a candidate; above 0.1 when there are too many.
    pub gate_share: f64,
    /// Bytes on the heap, but for names.
    pub heap_bytes: usize,
}

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tallies {
    /// Frames that were counted.
    pub frames: u64,
    /// Entries in them.
    pub entries: u64,
    /// Frames that were not, by [`Refused::ALL`].
    pub refused: [u64; 5],
    /// Reads that the nodes lost before they could count them.
    pub dropped_reads: u64,
    /// Keys that there was no room to count exactly.
    pub candidates_refused: u64,
    /// Times that a flood of keys has shortened the gate's memory.
    pub early_turns: u64,
    /// Promotions that there was no room for, once for each tick.
    pub promotions_refused: u64,
    /// Promotions.
    pub promotions: u64,
    /// Demotions.
    pub demotions: u64,
}

impl Tallies {
    pub(super) fn refuse(&mut self, why: Refused) {
        let at = Refused::ALL.iter().position(|refused| *refused == why);
        self.refused[at.unwrap_or_default()] += 1;
    }

    pub(super) fn decide(&mut self, decision: &Decision) {
        match decision {
            Decision::Promote(_) => self.promotions += 1,
            Decision::Demote(_) => self.demotions += 1,
        }
    }
}

impl Detector {
    /// The detector in figures.
    pub fn status(&self, now: Boot) -> Status {
        Status {
            health: self.health,
            lag: self.lag(now),
            nodes: self.sources.len(),
            coverage: self.coverage(now),
            hot_keys: self.hot.keys(),
            hot_bytes: self.hot.bytes(),
            tracked: self.tracked.len(),
            live_keys: self.gate.len(),
            gate_share: self.gate_share,
            heap_bytes: self.gate.heap_bytes()
                + self.tracked.capacity() * (size_of::<super::Tracked>() + size_of::<u64>()),
        }
    }

    /// What happened since the start.
    pub fn tallies(&self) -> Tallies {
        Tallies {
            early_turns: self.gate.early_turns,
            ..self.tallies
        }
    }

    /// The hot keys, by their hash.
    pub fn hot(&self) -> Vec<HotKey> {
        let keys = self.hot.iter().filter_map(|hash| {
            let tracked = self.tracked.get(&hash)?;
            let hot = tracked.hot.as_ref()?;
            Some(HotKey {
                promotion: hot.promotion.clone(),
                since: hot.since,
                rate: tracked.rate(self.newest),
            })
        });
        keys.collect()
    }

    /// What the decisions are worth, as of the last tick.
    pub fn health(&self) -> Health {
        self.health
    }

    /// One silent node among others is not a lag: the node in the middle tells. Of two, the better one does.
    pub(super) fn lag(&self, now: Boot) -> Duration {
        let mut ages: Vec<u64> = self
            .sources
            .values()
            .map(|source| source.age(now))
            .collect();
        if ages.is_empty() {
            return now.since(self.heard);
        }
        let middle = (ages.len() - 1) / 2;
        Duration::from_nanos(*ages.select_nth_unstable(middle).1)
    }

    pub(super) fn coverage(&self, now: Boot) -> f64 {
        let coverages = self.sources.values().map(|source| source.coverage(now));
        coverages.fold(1.0, f64::min)
    }

    pub(super) fn measure(&self, now: Boot) -> Health {
        if self.is_frozen {
            return Health::Frozen;
        }
        if now.since(self.heard) > GONE {
            return Health::Blind;
        }
        match self.lag(now) {
            lag if lag > FROZEN => Health::Frozen,
            lag if lag > LATE => Health::Late,
            _ => Health::Live,
        }
    }

    pub(super) fn forget_silent(&mut self, now: Boot) {
        let gone = u64::try_from(GONE.as_nanos()).unwrap_or(u64::MAX);
        self.sources
            .retain(|_, source: &mut Source| source.age(now) <= gone);
    }
}
