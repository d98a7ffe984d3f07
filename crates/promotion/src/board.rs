//! What a node knows of the cluster's hot set: a plain struct that takes messages.
//!
//! Decisions are carried out in their order. One that is missing makes the node *behind*, until it has a snapshot; nothing that is
//! missing demotes a key. A later leader's decisions begin with a snapshot of its own; what an earlier one still says is passed over.
//! A snapshot of just the keys that are hot is a step without an event, so those who follow the decisions go on across it.

use std::collections::BTreeMap;
use std::time::Duration;

use hotshelf_hotkeys::message::{Announced, Decided, Held, SEATS, Snapshot, State};
use hotshelf_hotkeys::provisional::SILENT_AFTER;
use hotshelf_hotkeys::{Alone, Health, HotCursor, HotMessage, KeyHash, Sender};
use hotshelf_model::{Boot, Hist, Key};

use crate::event::{HotEvent, Promoted};

mod assembly;
mod steps;
mod view;

use assembly::Assembly;
use steps::Steps;
pub use view::{HotKeyView, HotView};

/// A node that has said nothing of what it holds for so long is not counted.
const REPORT_TTL: Duration = Duration::from_secs(5);
/// Nodes whose reports are kept.
const REPORTS_MAX: usize = 1024;
/// A gap that a message on its way may still fill.
const GAP_PATIENCE: Duration = Duration::from_millis(30);
/// Between two wishes for a snapshot.
const WANT_INTERVAL: Duration = Duration::from_millis(500);

/// The cluster's hot set as one node knows it.
#[derive(Debug, Default)]
pub struct Board {
    hist: Option<Hist>,
    cursor: Option<HotCursor>,
    hot: BTreeMap<KeyHash, Hot>,
    /// What led to `cursor`.
    steps: Steps,
    /// The greatest cursor of which was heard.
    heard: Option<HotCursor>,
    behind: Option<Behind>,
    assembly: Option<Assembly>,
    leader: Option<Leader>,
    /// When the holder of each seat was last heard.
    seats: [Option<Boot>; SEATS],
    reports: BTreeMap<u64, Report>,
}

/// A hot key.
#[derive(Debug)]
struct Hot {
    promoted: Promoted,
    cursor: HotCursor,
    /// Reads per second as the leader said last.
    rate: f64,
}

#[derive(Debug)]
struct Leader {
    state: State,
    heard: Boot,
}

#[derive(Debug)]
struct Behind {
    since: Boot,
    wanted: Option<Boot>,
}

#[derive(Debug)]
struct Report {
    held: Held,
    heard: Boot,
}

/// How much a node knows of the hot set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// There may be none.
    Nothing,
    /// Others have carried out what it has not.
    LessThanOthers,
    All,
}

/// What a message changes: what this node is to hold, and what it need not hold any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Keys to be promoted.
    pub promoted: Vec<Key>,
    /// Keys to be demoted.
    pub demoted: Vec<Key>,
}

impl Changed {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.promoted.is_empty() && self.demoted.is_empty()
    }
}

impl Board {
    /// Knows nothing, not even the history.
    pub fn new() -> Self {
        Self::default()
    }

    /// The history by which hashes are seeded. Another one than before begins everything anew.
    pub fn set_hist(&mut self, hist: Hist) -> Changed {
        if self.hist == Some(hist) {
            return Changed::default();
        }
        let before = std::mem::take(self);
        self.hist = Some(hist);
        let keys = before.hot.into_values().map(|hot| hot.promoted.key);
        Changed {
            promoted: Vec::new(),
            demoted: keys.collect(),
        }
    }

    /// The history, once it is known.
    pub fn hist(&self) -> Option<Hist> {
        self.hist
    }

    /// The last decision that was carried out; `None` before the first snapshot.
    pub fn cursor(&self) -> Option<HotCursor> {
        self.cursor
    }

    /// The greatest term of which was heard; 0 before.
    pub fn term(&self) -> u64 {
        let of = |cursor: Option<HotCursor>| cursor.map_or(0, |cursor| cursor.term);
        of(self.heard).max(of(self.cursor))
    }

    /// Whether the cluster holds a key.
    pub fn is_hot(&self, hash: KeyHash) -> bool {
        self.hot.contains_key(&hash)
    }

    /// The hot set, by hash.
    pub fn hot(&self) -> impl Iterator<Item = (KeyHash, &Promoted)> {
        self.hot.iter().map(|(hash, hot)| (*hash, &hot.promoted))
    }

    /// How many keys are hot.
    pub fn len(&self) -> usize {
        self.hot.len()
    }

    /// Whether no key is hot.
    pub fn is_empty(&self) -> bool {
        self.hot.is_empty()
    }

    /// Takes what a node tells; `now` is when it was heard, on this node's clock. What is of another history is passed over.
    pub fn take(&mut self, hist: Hist, message: &HotMessage, now: Boot) -> Changed {
        let mut changed = Changed::default();
        if self.hist != Some(hist) {
            return changed;
        }
        match message {
            HotMessage::Decided(decided) => self.decided(hist, decided, now, &mut changed),
            HotMessage::Snapshot(snapshot) => self.snapshot(hist, snapshot, now, &mut changed),
            HotMessage::State(state) => self.state(state, now),
            HotMessage::Rates(rates) => {
                for (hash, rate) in rates {
                    if let Some(hot) = self.hot.get_mut(hash) {
                        hot.rate = *rate;
                    }
                }
            }
            HotMessage::Held(held) => self.report(held, now),
            HotMessage::Want(_)
            | HotMessage::Questions(_)
            | HotMessage::Names(_)
            | HotMessage::Watched(_) => {}
        }
        self.look_behind(now);
        changed
    }

    fn decided(&mut self, hist: Hist, decided: &Decided, now: Boot, changed: &mut Changed) {
        let mut at = decided.first;
        for decision in &decided.decisions {
            self.hear(at);
            let is_next = self.cursor.is_some_and(|cursor| cursor.next() == at);
            if is_next {
                self.carry_out(hist, at, decision, now, changed);
            }
            at = at.next();
        }
    }

    fn carry_out(
        &mut self,
        hist: Hist,
        at: HotCursor,
        decision: &Announced,
        now: Boot,
        changed: &mut Changed,
    ) {
        let event = match decision {
            Announced::Promoted(told) => {
                let promoted = Promoted::heard(told, now);
                changed.demoted.retain(|key| *key != promoted.key);
                changed.promoted.push(promoted.key.clone());
                let hot = Hot {
                    promoted: promoted.clone(),
                    cursor: at,
                    rate: promoted.rate,
                };
                self.hot.insert(hash_of(&promoted.key, hist), hot);
                HotEvent::Promoted(at, promoted)
            }
            Announced::Demoted(key, why) => {
                self.hot.remove(&hash_of(key, hist));
                changed.promoted.retain(|promoted| promoted != key);
                changed.demoted.push(key.clone());
                HotEvent::Demoted(at, key.clone(), *why)
            }
        };
        self.cursor = Some(at);
        self.steps.push(at, Some(event));
    }

    fn snapshot(&mut self, hist: Hist, part: &Snapshot, now: Boot, changed: &mut Changed) {
        if self.cursor >= Some(part.cursor) {
            return;
        }
        self.hear(part.cursor);
        let is_older = |assembly: &Assembly| assembly.cursor() < part.cursor;
        if self.assembly.as_ref().is_none_or(is_older) {
            self.assembly = Some(Assembly::new(part.cursor, part.parts));
        }
        let whole = self
            .assembly
            .as_mut()
            .and_then(|assembly| assembly.put(part, now));
        let Some(keys) = whole else {
            return;
        };
        self.assembly = None;
        let mut before = std::mem::take(&mut self.hot);
        for promoted in keys {
            let hash = hash_of(&promoted.key, hist);
            let known = before.remove(&hash);
            if known.is_none() {
                changed.promoted.push(promoted.key.clone());
            }
            let hot = Hot {
                cursor: known.as_ref().map_or(part.cursor, |known| known.cursor),
                rate: known.map_or(promoted.rate, |known| known.rate),
                promoted,
            };
            self.hot.insert(hash, hot);
        }
        let gone = before.into_values().map(|hot| hot.promoted.key);
        changed.demoted.extend(gone);
        if self.cursor.is_some() && changed.is_empty() {
            self.steps.push(part.cursor, None);
        } else {
            self.steps = Steps::from(part.cursor);
        }
        self.cursor = Some(part.cursor);
    }

    fn state(&mut self, state: &State, now: Boot) {
        if state.seat == 0 {
            if state.cursor.map_or(0, |cursor| cursor.term) < self.term() {
                // It has been replaced and does not know it.
                return;
            }
            if let Some(cursor) = state.cursor {
                self.hear(cursor);
            }
            let state = state.clone();
            self.leader = Some(Leader { state, heard: now });
        }
        if let Some(seat) = self.seats.get_mut(state.seat) {
            *seat = Some(now);
        }
    }

    fn report(&mut self, held: &Held, now: Boot) {
        self.hear(held.cursor);
        self.reports
            .retain(|_, report| now.since(report.heard) <= REPORT_TTL);
        let incarnation = held.from.incarnation;
        if self.reports.len() < REPORTS_MAX || self.reports.contains_key(&incarnation) {
            let held = held.clone();
            self.reports
                .insert(incarnation, Report { held, heard: now });
        }
    }

    fn hear(&mut self, cursor: HotCursor) {
        self.heard = self.heard.max(Some(cursor));
    }

    fn look_behind(&mut self, now: Boot) {
        if self.heard <= self.cursor {
            self.behind = None;
        } else if self.behind.is_none() {
            self.behind = Some(Behind {
                since: now,
                wanted: None,
            });
        }
    }

    /// Whether it is time to ask for a snapshot; who is told so asks.
    pub fn wants(&mut self, now: Boot) -> bool {
        let Some(behind) = &mut self.behind else {
            return false;
        };
        let is_due = match behind.wanted {
            None => now.since(behind.since) >= GAP_PATIENCE,
            Some(wanted) => now.since(wanted) >= WANT_INTERVAL,
        };
        if is_due {
            behind.wanted = Some(now);
        }
        is_due
    }

    /// What this node knows beside what it has heard of.
    pub(crate) fn knowledge(&self) -> Known {
        match (self.cursor, self.heard) {
            (cursor, heard) if cursor < heard => Known::LessThanOthers,
            (None, _) => Known::Nothing,
            (Some(_), _) => Known::All,
        }
    }

    /// How long ago the holder of a seat was heard; `None` when it never was.
    pub fn silence_of(&self, seat: usize, now: Boot) -> Option<Duration> {
        let heard = self.seats.get(seat).copied().flatten()?;
        Some(now.since(heard))
    }

    /// Who leads, as was heard last.
    pub fn leader(&self) -> Option<Sender> {
        self.leader.as_ref().map(|leader| leader.state.from)
    }

    /// How alone this node is with what it counts.
    pub fn alone(&self, now: Boot) -> Alone {
        let Some(leader) = &self.leader else {
            return Alone {
                nodes: 1,
                is_silent: true,
            };
        };
        Alone {
            nodes: leader.state.nodes.max(1),
            is_silent: now.since(leader.heard) > SILENT_AFTER
                || leader.state.health != Health::Live,
        }
    }

    /// The decision after `since`, or the whole hot set where that is not remembered; `None` when there is nothing new, or nothing known.
    pub fn after(&self, since: Option<HotCursor>) -> Option<HotEvent> {
        let cursor = self.cursor?;
        if since == Some(cursor) {
            return None;
        }
        let Some(next) = since.and_then(|since| self.steps.after(since)) else {
            let keys = self.hot.values().map(|hot| hot.promoted.clone());
            return Some(HotEvent::Reset(cursor, keys.collect()));
        };
        next.cloned()
    }
}

/// The hash of a key in a history.
pub(crate) fn hash_of(key: &Key, hist: Hist) -> KeyHash {
    KeyHash::of(key.as_str(), hist.0)
}

#[cfg(test)]
mod tests;
