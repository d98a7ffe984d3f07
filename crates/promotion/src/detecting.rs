//! The detecting side of a node that has a seat: frames and names in, messages out.
//!
//! A standby hears what the leader hears and finds what it finds, and says nothing of it. When it comes to lead, it holds what the
//! cluster held besides what it has found itself, so a change of the leader demotes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_hotkeys::message::{Announced, Decided, HASHES_MAX, KEYS_MAX, Snapshot, State, Told};
use hotshelf_hotkeys::{
    Decision, DemotionReason, Detector, Frame, Health, HotCursor, HotMessage, KeyHash, KeyMap,
    Limits, Refused, Rules, Sender, Status,
};
use hotshelf_model::{Boot, Hist, Key};

use crate::board::{Board, hash_of};
use crate::event::Promoted;

/// How often a standby says that it is there.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How often the leader says how much hot keys are read, and what is to be counted exactly.
const DETAILS: Duration = Duration::from_secs(1);
/// Between two snapshots for those who want one.
const SNAPSHOT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Detecting {
    detector: Detector,
    rules: Arc<Rules>,
    own: Sender,
    hist: Hist,
    seat: usize,
    /// The term in which it leads.
    term: Option<u64>,
    heartbeat: Option<Boot>,
    details: Boot,
    snapshot: Boot,
    is_wanted: bool,
}

impl Detecting {
    pub(crate) fn new(
        rules: Arc<Rules>,
        limits: Limits,
        own: Sender,
        hist: Hist,
        seat: usize,
        now: Boot,
    ) -> Self {
        Detecting {
            detector: Detector::new((*rules).clone(), limits, now),
            rules,
            own,
            hist,
            seat,
            term: None,
            heartbeat: None,
            details: now,
            snapshot: now,
            is_wanted: false,
        }
    }

    pub(crate) fn hist(&self) -> Hist {
        self.hist
    }

    pub(crate) fn term(&self) -> Option<u64> {
        self.term
    }

    pub(crate) fn status(&self, now: Boot) -> Status {
        self.detector.status(now)
    }

    pub(crate) fn set_rules(&mut self, rules: &Arc<Rules>) {
        if !Arc::ptr_eq(&self.rules, rules) {
            self.rules = Arc::clone(rules);
            self.detector.set_rules((**rules).clone());
        }
    }

    pub(crate) fn freeze(&mut self, is_frozen: bool) {
        self.detector.freeze(is_frozen);
    }

    pub(crate) fn frame(&mut self, frame: &Frame, now: Boot) -> Result<(), Refused> {
        self.detector.frame(frame, now)
    }

    pub(crate) fn name(&mut self, key: &Key, bytes: u32, now: Boot) {
        self.detector.name(hash_of(key, self.hist), key, bytes, now);
    }

    /// Somebody wants the whole hot set.
    pub(crate) fn want(&mut self) {
        self.is_wanted = true;
    }

    /// Begins to lead in a term: with what the cluster holds, what was `saved` of it if nobody knows, and what was found meanwhile.
    pub(crate) fn lead(
        &mut self,
        board: &Board,
        saved: &[Told],
        term: u64,
        now: Boot,
    ) -> Vec<HotMessage> {
        self.term = Some(term);
        self.seat = 0;
        for (hash, hot) in board.hot() {
            self.detector.hold(hash, &hot.key, hot.bytes, now);
        }
        if board.cursor().is_none() {
            for told in saved {
                let hash = hash_of(&told.key, self.hist);
                self.detector.hold(hash, &told.key, told.bytes, now);
            }
        }
        self.detector.decisions();
        let hot = self.detector.hot().into_iter();
        let hot: BTreeMap<KeyHash, Promoted> = hot
            .map(|hot| (hot.promotion.hash, Promoted::new(hot.promotion, hot.since)))
            .collect();
        // What the cluster holds comes first and as it is, so that who follows the decisions goes on where the one before ended.
        let is_known = board.cursor().is_some();
        let base: Vec<Told> = match is_known {
            true => board
                .hot()
                .map(|(_, promoted)| promoted.told(now))
                .collect(),
            false => hot.values().map(|promoted| promoted.told(now)).collect(),
        };
        let cursor = HotCursor { term, number: 0 };
        let parts = Snapshot::parts_of(cursor, &base).into_iter();
        let mut messages: Vec<HotMessage> = parts.map(HotMessage::Snapshot).collect();
        if is_known {
            messages.extend(decided(cursor.next(), &self.departures(board, &hot, now)));
        }
        messages
    }

    /// What this detector decides otherwise than the one before: what it may not hold, and what it has found.
    fn departures(
        &self,
        board: &Board,
        hot: &BTreeMap<KeyHash, Promoted>,
        now: Boot,
    ) -> Vec<Announced> {
        let let_go = board.hot().filter(|(hash, _)| !hot.contains_key(hash));
        let let_go = let_go.map(|(_, promoted)| {
            let why = match self.rules.forbids(&promoted.key) {
                true => DemotionReason::Rule,
                false => DemotionReason::Room,
            };
            Announced::Demoted(promoted.key.clone(), why)
        });
        let found = hot.iter().filter(|(hash, _)| !board.is_hot(**hash));
        let found = found.map(|(_, promoted)| Announced::Promoted(promoted.told(now)));
        let_go.chain(found).collect()
    }

    /// What there is to say at once: decisions and questions. A standby says nothing.
    pub(crate) fn tell(&mut self, board: &Board, now: Boot) -> Vec<HotMessage> {
        let (decisions, mut questions) = (self.detector.decisions(), self.detector.questions());
        let Some(cursor) = board
            .cursor()
            .filter(|cursor| self.term == Some(cursor.term))
        else {
            return Vec::new();
        };
        let announced = announced(decisions, board, now);
        let mut messages = decided(cursor.next(), &announced);
        questions.sort_unstable();
        questions.dedup();
        questions.truncate(HASHES_MAX);
        if !questions.is_empty() {
            messages.push(HotMessage::Questions(questions));
        }
        messages
    }

    /// Lets time pass; what it says now and then.
    pub(crate) fn tick(&mut self, board: &Board, now: Boot) -> Vec<HotMessage> {
        self.detector.tick(now);
        let mut messages = self.tell(board, now);
        let leads = self.term.is_some();
        let is_due = |last: Boot| now.since(last) >= HEARTBEAT;
        if leads || self.heartbeat.is_none_or(is_due) {
            self.heartbeat = Some(now);
            let decided = messages.iter().filter_map(|message| match message {
                HotMessage::Decided(decided) => Some(decided.decisions.len() as u64),
                _ => None,
            });
            // As of the decisions above.
            let cursor = board.cursor().map(|cursor| HotCursor {
                number: cursor.number.saturating_add(decided.sum()),
                ..cursor
            });
            messages.push(HotMessage::State(self.state(cursor, now)));
        }
        if leads && now.since(self.details) >= DETAILS {
            self.details = now;
            messages.extend(self.details());
        }
        if leads && self.is_wanted && now.since(self.snapshot) >= SNAPSHOT_PAUSE {
            self.is_wanted = false;
            self.snapshot = now;
            messages.extend(snapshot(board, now));
        }
        messages
    }

    fn state(&self, cursor: Option<HotCursor>, now: Boot) -> State {
        let status = self.detector.status(now);
        State {
            from: self.own,
            seat: self.seat,
            cursor,
            health: status.health,
            lag: match status.health {
                Health::Blind => Duration::ZERO,
                _ => status.lag,
            },
            nodes: u32::try_from(status.nodes).unwrap_or(u32::MAX),
        }
    }

    fn details(&self) -> impl Iterator<Item = HotMessage> {
        let hot = self.detector.hot();
        let mut rates: Vec<(KeyHash, f64)> = hot
            .iter()
            .map(|hot| (hot.promotion.hash, hot.rate))
            .collect();
        rates.sort_unstable_by_key(|(hash, _)| *hash);
        rates.truncate(HASHES_MAX);
        let mut watched: Vec<KeyHash> = self.detector.watched().take(HASHES_MAX).collect();
        watched.sort_unstable();
        [HotMessage::Rates(rates), HotMessage::Watched(watched)].into_iter()
    }
}

/// The whole hot set, as the board knows it.
pub(crate) fn snapshot(board: &Board, now: Boot) -> Vec<HotMessage> {
    let Some(cursor) = board.cursor() else {
        return Vec::new();
    };
    let keys: Vec<Told> = board.hot().map(|(_, hot)| hot.told(now)).collect();
    let parts = Snapshot::parts_of(cursor, &keys).into_iter();
    parts.map(HotMessage::Snapshot).collect()
}

/// Messages that tell decisions, the first of which has this cursor.
fn decided(mut first: HotCursor, announced: &[Announced]) -> Vec<HotMessage> {
    let mut messages = Vec::new();
    for decisions in announced.chunks(KEYS_MAX) {
        messages.push(HotMessage::Decided(Decided {
            first,
            decisions: decisions.to_vec(),
        }));
        first.number = first.number.saturating_add(decisions.len() as u64);
    }
    messages
}

/// Decisions as they are told, without those that change nothing.
fn announced(decisions: Vec<Decision>, board: &Board, now: Boot) -> Vec<Announced> {
    let mut changed: KeyMap<bool> = KeyMap::default();
    let mut announced = Vec::new();
    for decision in decisions {
        let (hash, becomes_hot) = match &decision {
            Decision::Promote(promotion) => (promotion.hash, true),
            Decision::Demote(demotion) => (demotion.hash, false),
        };
        let is_hot = changed.insert(hash, becomes_hot);
        if is_hot.unwrap_or_else(|| board.is_hot(hash)) == becomes_hot {
            continue;
        }
        announced.push(match decision {
            Decision::Promote(promotion) => {
                Announced::Promoted(Promoted::new(promotion, now).told(now))
            }
            Decision::Demote(demotion) => Announced::Demoted(demotion.key, demotion.why),
        });
    }
    announced
}

#[cfg(test)]
mod tests;
