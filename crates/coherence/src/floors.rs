//! Floors: the least version that a copy of a key, or of a parent, must have.

use std::collections::{HashMap, VecDeque};

use hotshelf_model::{Boot, NamespaceName, Position, Version};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// The least version that will do.
    pub version: Version,
    /// The position of the last record that raised it.
    pub position: Position,
}

/// A floor that a hint has raised, until the log confirms it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HintFloor {
    version: Version,
    /// When it is dropped unconfirmed; never for a write of this node, which is known to be committed.
    until: Option<Boot>,
}

/// Floors of keys (or of parents), at most so many.
///
/// A hint's floor lies beside the log's and never replaces it, so that dropping one that the log does not confirm leaves what the log
/// has said.
#[derive(Clone, Debug)]
pub struct Floors {
    log: HashMap<FloorKey, Floor>,
    /// What was raised when, so that the oldest are given up first; an item is void when its key was raised again later.
    order: VecDeque<(Position, FloorKey)>,
    hints: HashMap<FloorKey, HintFloor>,
    /// As `order`, with the version of each hint.
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
        let hint = self.hints.get(&key).map(|floor| floor.version);
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
        if self
            .hints
            .get(&key)
            .is_some_and(|hint| hint.version <= version)
        {
            self.hints.remove(&key);
        }
        let floor = self.log.entry(key).or_insert(Floor { version, position });
        floor.version = floor.version.max(version);
        floor.position = floor.position.max(position);
        // Also when the record brings nothing new: the item is void then, and dropped with its turn.
        if self.order.back() != Some(&(position, key)) {
            self.order.push_back((position, key));
        }
        let is_full = self.log.len() > self.max || self.order.len() > 2 * self.max;
        is_full.then(|| self.give_up()).flatten()
    }

    /// Gives up the oldest eighth, so that it is done seldom.
    fn give_up(&mut self) -> Option<Position> {
        let keep = self.max - self.max / 8;
        let mut low = None;
        while self.log.len() > keep || self.order.len() > 2 * keep {
            let Some((position, key)) = self.order.pop_front() else {
                break;
            };
            let held = self.log.get(&key);
            if held.is_some_and(|floor| floor.position <= position) {
                self.log.remove(&key);
                low = low.max(Some(position));
            }
        }
        low
    }

    /// Raises a floor to what a hint says, until `until` or until the log confirms it; a write of this node has no end. Returns
    /// whether it was news.
    pub fn hint(&mut self, key: FloorKey, version: Version, until: Option<Boot>) -> bool {
        if self.of(key) >= version {
            return false;
        }
        self.hints.insert(key, HintFloor { version, until });
        self.hint_order.push_back((key, version));
        while self.hint_order.len() > self.max {
            if let Some((oldest, version)) = self.hint_order.pop_front()
                && self.is_hinted(oldest, version)
            {
                self.hints.remove(&oldest);
            }
        }
        true
    }

    /// Drops hints that the log has not confirmed in time; returns how many.
    pub fn expire_hints(&mut self, now: Boot) -> usize {
        let before = self.hints.len();
        self.hints
            .retain(|_, hint| hint.until.is_none_or(|until| now < until));
        let mut order = std::mem::take(&mut self.hint_order);
        order.retain(|&(key, version)| self.is_hinted(key, version));
        self.hint_order = order;
        before - self.hints.len()
    }

    fn is_hinted(&self, key: FloorKey, version: Version) -> bool {
        self.hints
            .get(&key)
            .is_some_and(|hint| hint.version == version)
    }

    /// Forgets everything: after a resync the low mark says it all.
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

#[cfg(test)]
mod tests;
