//! Floors: the least version that a copy of a key, or of a parent, must have.

use std::collections::hash_map::Entry as MapEntry;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};

use hotshelf_model::{Boot, NamespaceName, Position, Timeline, Version};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// What a floor is kept under: a hash of namespace and id, or of a parent's name.
///
/// The same in every process, because floors outlive one. Two keys that shared a hash would share a floor, which refuses copies
/// that are good and never passes one that is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FloorKey(pub u128);

impl FloorKey {
    /// The key of a product in a namespace, whichever the variant.
    pub fn of(namespace: &str, id: &str) -> Self {
        let mut text = Vec::with_capacity(namespace.len() + id.len() + 1);
        text.extend_from_slice(namespace.as_bytes());
        // No name of a namespace holds it.
        text.push(b'/');
        text.extend_from_slice(id.as_bytes());
        FloorKey(xxh3_128(&text))
    }

    /// The key of a parent, by the hash that entries hold ([`hotshelf_model::Parent::name_hash`]).
    pub fn parent(name_hash: u64) -> Self {
        FloorKey(u128::from(name_hash))
    }

    /// The key of a namespace as a parent.
    pub fn namespace(name: &NamespaceName) -> Self {
        Self::parent(xxh3_64(name.as_str().as_bytes()))
    }
}

/// A floor that a record of the log has raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Floor {
    /// The least version that will do.
    pub version: Version,
    /// The position of the last record that raised it.
    pub position: Position,
}

/// A floor that runs ahead of the log, until the log confirms it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct HintFloor {
    /// The last write of this node, which is known to be committed and therefore waits for the log for ever.
    own: Version,
    /// What another node has said, with when it is dropped unconfirmed. Beside `own`, so that its end is not that of `own`.
    heard: Option<(Version, Boot)>,
    /// The version that brought the last news, which tells this floor's item in the order from void ones.
    news: Version,
}

impl HintFloor {
    fn version(&self) -> Version {
        let heard = self.heard.map(|(version, _)| version);
        heard.map_or(self.own, |heard| heard.max(self.own))
    }

    fn is_void(&self) -> bool {
        self.version() == Version::NONE
    }

    /// Drops what the log says as well.
    fn confirm(&mut self, logged: Version) {
        if self.own <= logged {
            self.own = Version::NONE;
        }
        self.heard = self.heard.filter(|&(version, _)| version > logged);
    }
}

/// What became of a hint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hinted {
    /// Whether it raised the floor.
    pub is_news: bool,
    /// Other keys whose hints there was no room for any longer. A write of this node is given up last; what is given up is not seen by this
    /// node until the log says it.
    pub given_up: usize,
}

/// Floors of keys (or of parents), at most so many.
///
/// A hint's floor lies beside the log's and never replaces it, so that dropping one that the log does not confirm leaves what the log
/// has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Floors {
    log: HashMap<FloorKey, Floor>,
    /// What was raised when, so that the oldest are given up first; an item is void when its key was raised again later.
    order: VecDeque<(Position, FloorKey)>,
    hints: HashMap<FloorKey, HintFloor>,
    /// As `order`, with the version that was news.
    hint_order: VecDeque<(FloorKey, Version)>,
    max: usize,
}

impl Floors {
    /// No floors yet; at most `max` of the log and as many of hints, at least 1.
    pub fn new(max: usize) -> Self {
        Floors {
            log: HashMap::new(),
            order: VecDeque::new(),
            hints: HashMap::new(),
            hint_order: VecDeque::new(),
            max: max.max(1),
        }
    }

    /// The least version of a copy.
    pub fn of(&self, key: FloorKey) -> Version {
        let log = self.log.get(&key).map(|floor| floor.version);
        let hint = self.hints.get(&key).map(HintFloor::version);
        log.max(hint).unwrap_or(Version::NONE)
    }

    /// Raises a floor to a record of the log, and confirms hints at or below it. Idempotent, and indifferent to the order of records.
    ///
    /// Returns the position to which the low mark has to rise before any copy is admitted again, because floors were given up.
    #[must_use = "the low mark has to rise with it"]
    pub fn raise(
        &mut self,
        key: FloorKey,
        version: Version,
        position: Position,
    ) -> Option<Position> {
        if let MapEntry::Occupied(mut hint) = self.hints.entry(key) {
            hint.get_mut().confirm(version);
            if hint.get().is_void() {
                hint.remove();
            }
        }
        match self.log.entry(key) {
            MapEntry::Occupied(mut floor) => {
                let floor = floor.get_mut();
                floor.version = floor.version.max(version);
                if position <= floor.position {
                    return None;
                }
                floor.position = position;
            }
            MapEntry::Vacant(vacant) => {
                vacant.insert(Floor { version, position });
            }
        }
        self.order.push_back((position, key));
        // A key that is raised again and again leaves void items only, and takes no room from the floors of others.
        if self.order.len() > 2 * self.max {
            let log = &self.log;
            self.order.retain(|(position, key)| {
                log.get(key)
                    .is_some_and(|floor| floor.position == *position)
            });
        }
        (self.log.len() > self.max)
            .then(|| self.give_up())
            .flatten()
    }

    /// Gives up the oldest eighth, so that it is done seldom.
    fn give_up(&mut self) -> Option<Position> {
        let keep = self.max - self.max / 8;
        let mut low = None;
        while self.log.len() > keep {
            let Some((position, key)) = self.order.pop_front() else {
                break;
            };
            let held = self.log.get(&key);
            if held.is_some_and(|floor| floor.position == position) {
                self.log.remove(&key);
                low = low.max(Some(position));
            }
        }
        low
    }

    /// Raises a floor to what a hint says, until `until` or until the log confirms it; a write of this node has no end.
    pub fn hint(&mut self, key: FloorKey, version: Version, until: Option<Boot>) -> Hinted {
        let is_news = self.of(key) < version;
        let is_logged = self
            .log
            .get(&key)
            .is_some_and(|floor| floor.version >= version);
        if is_logged || (!is_news && until.is_some()) {
            return Hinted::default();
        }
        let hint = self.hints.entry(key).or_default();
        match until {
            // Also when it is no news: what another node has said of a later write may be dropped before this one is confirmed.
            None => hint.own = hint.own.max(version),
            Some(until) => hint.heard = Some((version, until)),
        }
        // Said again after it was dropped, beside an own write: its item is still there.
        if is_news && hint.news != version {
            hint.news = version;
            self.hint_order.push_back((key, version));
        }
        if self.hint_order.len() > 2 * self.max {
            self.drop_void_hints();
        }
        let is_full = self.hints.len() > self.max;
        let given_up = if is_full { self.give_up_hints() } else { 0 };
        Hinted { is_news, given_up }
    }

    /// Gives up the oldest eighth of the hints, what others have said before what this node has written; returns how many.
    fn give_up_hints(&mut self) -> usize {
        self.drop_void_hints();
        let keep = self.max - self.max / 8;
        let excess = self.hints.len() - keep;
        let mut left = excess;
        let hints = &mut self.hints;
        for gives_own in [false, true] {
            self.hint_order.retain(|(key, _)| {
                let is_own = hints.get(key).is_some_and(|hint| hint.own != Version::NONE);
                let gives_up = left > 0 && is_own == gives_own;
                if gives_up {
                    hints.remove(key);
                    left -= 1;
                }
                !gives_up
            });
        }
        excess - left
    }

    /// Drops what other nodes have said and the log has not confirmed in time; returns how many.
    pub fn expire_hints(&mut self, now: Boot) -> usize {
        let mut dropped = 0;
        self.hints.retain(|_, hint| {
            let before = hint.heard;
            hint.heard = before.filter(|&(_, until)| now < until);
            dropped += usize::from(hint.heard != before);
            !hint.is_void()
        });
        self.drop_void_hints();
        dropped
    }

    fn drop_void_hints(&mut self) {
        let mut order = std::mem::take(&mut self.hint_order);
        order.retain(|&(key, version)| self.is_hinted(key, version));
        self.hint_order = order;
    }

    fn is_hinted(&self, key: FloorKey, version: Version) -> bool {
        self.hints
            .get(&key)
            .is_some_and(|hint| hint.news == version)
    }

    /// After a resync in the same history, to a log on `timeline`: forgets what the log has said, because the low mark says it, and what
    /// was said of older timelines, because it may have been lost. Writes of this timeline that have no position yet stay: a copy
    /// from before one of them can stand at the very head, and is not below the low mark.
    pub fn resync(&mut self, timeline: Timeline) {
        self.log.clear();
        self.order.clear();
        let is_lost = |version: Version| version.timeline() < u64::from(timeline.0);
        self.hints.retain(|_, hint| {
            if is_lost(hint.own) {
                hint.own = Version::NONE;
            }
            hint.heard = hint.heard.filter(|&(version, _)| !is_lost(version));
            !hint.is_void()
        });
        self.drop_void_hints();
    }

    /// Forgets everything: what was said in another history says nothing in this one.
    pub fn clear(&mut self) {
        self.log.clear();
        self.order.clear();
        self.hints.clear();
        self.hint_order.clear();
    }

    /// Forgets what the low mark says as well.
    pub fn forget_below(&mut self, low: Position) {
        while let Some(&(position, key)) = self.order.front()
            && position <= low
        {
            self.order.pop_front();
            if self
                .log
                .get(&key)
                .is_some_and(|floor| floor.position <= low)
            {
                self.log.remove(&key);
            }
        }
    }

    /// The log's floors, for a checkpoint; hints are not remembered.
    pub fn iter(&self) -> impl Iterator<Item = (FloorKey, Floor)> + '_ {
        self.log.iter().map(|(&key, &floor)| (key, floor))
    }

    /// How many floors of the log there are.
    pub fn len(&self) -> usize {
        self.log.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.log.is_empty() && self.hints.is_empty()
    }
}

/// Equal floors have one hash, in whatever order their tables hold them.
impl Hash for Floors {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_table(&self.log, state);
        self.order.hash(state);
        hash_table(&self.hints, state);
        self.hint_order.hash(state);
        self.max.hash(state);
    }
}

fn hash_table<V: Copy + Ord + Hash, H: Hasher>(table: &HashMap<FloorKey, V>, state: &mut H) {
    let mut rows: Vec<_> = table.iter().map(|(&key, &value)| (key, value)).collect();
    rows.sort_unstable();
    rows.hash(state);
}

#[cfg(test)]
mod tests;
