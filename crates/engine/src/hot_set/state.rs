//! The keys of the hot set, with what is reserved for each.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;

use hotshelf_model::{Boot, Key};

use super::{HotReason, HotReasons, Listed, PromotionOutcome};
use crate::l1::KeyHasher;

/// Whether there is room for a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Reserved,
    /// The share of L1 is used up; told once for each change of the answer.
    Refused,
    /// Still not.
    None,
}

#[derive(Debug)]
struct Hot {
    /// Counts promotions: the order in which keys are walked, and the last one gives way first.
    order: u64,
    since: Boot,
    reasons: HotReasons,
    /// What its last copy weighed.
    bytes: u64,
    /// Whether `bytes` are reserved; `None` before there was a copy.
    has_room: Option<bool>,
    /// Until then the keeper leaves it alone, because it has tried.
    again_at: Boot,
    is_tried: bool,
    /// Whether something has happened to its copy during an attempt.
    is_changed: bool,
    is_wanted: bool,
}

impl Hot {
    fn reserved(&self) -> u64 {
        if self.has_room == Some(true) {
            self.bytes
        } else {
            0
        }
    }

    fn is_pinned(&self) -> bool {
        self.reasons.contains(HotReason::Pinned)
    }

    fn listed(&self, key: &Key) -> Listed {
        Listed {
            key: key.clone(),
            reasons: self.reasons,
            since: self.since,
            has_room: self.has_room == Some(true),
            bytes: self.bytes,
        }
    }
}

type Hashing = BuildHasherDefault<KeyHasher>;

/// Invariant: `bytes` is what is reserved, and never above `bytes_max`; there are never more than `keys_max` keys.
#[derive(Debug)]
pub(super) struct State {
    keys_max: usize,
    bytes_max: u64,
    hot: HashMap<Key, Hot, Hashing>,
    banned: HashSet<Key, Hashing>,
    bytes: u64,
    promotions: u64,
    /// Keys for the keeper, each once.
    wanted: Vec<Key>,
}

impl State {
    pub(super) fn new(keys_max: usize, bytes_max: u64) -> Self {
        State {
            keys_max,
            bytes_max,
            hot: HashMap::default(),
            banned: HashSet::default(),
            bytes: 0,
            promotions: 0,
            wanted: Vec::new(),
        }
    }

    pub(super) fn room(&self) -> (usize, u64) {
        (self.keys_max, self.bytes_max)
    }

    pub(super) fn len(&self) -> usize {
        self.hot.len()
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.hot.contains_key(key)
    }

    pub(super) fn has_room(&self, key: &Key) -> bool {
        self.hot
            .get(key)
            .is_some_and(|hot| hot.has_room == Some(true))
    }

    /// Returns also whether another key had to give way.
    pub(super) fn promote(
        &mut self,
        key: &Key,
        reason: HotReason,
        now: Boot,
    ) -> (PromotionOutcome, bool) {
        if self.banned.contains(key) {
            return (PromotionOutcome::Banned, false);
        }
        if let Some(hot) = self.hot.get_mut(key) {
            hot.reasons = hot.reasons.with(reason);
            return (PromotionOutcome::Known, false);
        }
        let is_full = self.hot.len() >= self.keys_max;
        if is_full && !(reason == HotReason::Pinned && self.give_way()) {
            return (PromotionOutcome::Full, false);
        }
        self.promotions += 1;
        let hot = Hot {
            order: self.promotions,
            since: now,
            reasons: HotReasons::default().with(reason),
            bytes: 0,
            has_room: None,
            again_at: Boot::default(),
            is_tried: true,
            is_changed: false,
            is_wanted: false,
        };
        self.hot.insert(key.clone(), hot);
        (PromotionOutcome::Promoted, is_full)
    }

    /// Removes the last promoted key that is not pinned; says whether there was one.
    fn give_way(&mut self) -> bool {
        let Some(last) = self.last_unpinned(|_| true) else {
            return false;
        };
        self.remove(&last);
        true
    }

    fn last_unpinned(&self, fits: impl Fn(&Hot) -> bool) -> Option<Key> {
        let unpinned = self
            .hot
            .iter()
            .filter(|(_, hot)| !hot.is_pinned() && fits(hot));
        unpinned
            .max_by_key(|(_, hot)| hot.order)
            .map(|(key, _)| key.clone())
    }

    fn remove(&mut self, key: &Key) {
        if let Some(hot) = self.hot.remove(key) {
            self.bytes -= hot.reserved();
            if hot.is_wanted {
                self.wanted.retain(|wanted| wanted != key);
            }
        }
    }

    /// Says whether the key is hot no longer.
    pub(super) fn demote(&mut self, key: &Key, reason: HotReason) -> bool {
        let Some(hot) = self.hot.get_mut(key) else {
            return false;
        };
        hot.reasons = hot.reasons.without(reason);
        let is_gone = hot.reasons == HotReasons::default();
        if is_gone {
            self.remove(key);
        }
        is_gone
    }

    /// Returns how many keys are hot no longer.
    pub(super) fn ban(&mut self, banned: HashSet<Key, Hashing>) -> usize {
        self.banned = banned;
        let gone: Vec<Key> = self
            .hot
            .keys()
            .filter(|key| self.banned.contains(key))
            .cloned()
            .collect();
        gone.iter().for_each(|key| self.remove(key));
        gone.len()
    }

    pub(super) fn weigh(&mut self, key: &Key, bytes: u64) -> Room {
        let Some(hot) = self.hot.get(key) else {
            return Room::None;
        };
        let (before, is_pinned) = (hot.has_room, hot.is_pinned());
        self.bytes -= hot.reserved();
        // Without room, so that it does not give way to itself.
        self.set_room(key, bytes, false);
        while is_pinned && bytes > self.bytes_max - self.bytes {
            let Some(last) = self.last_unpinned(|hot| hot.reserved() > 0) else {
                break;
            };
            let reserved = self.hot.get(&last).map_or(0, |hot| hot.bytes);
            self.bytes -= reserved;
            self.set_room(&last, reserved, false);
        }
        if bytes <= self.bytes_max - self.bytes {
            self.bytes += bytes;
            self.set_room(key, bytes, true);
            return Room::Reserved;
        }
        if before == Some(false) {
            Room::None
        } else {
            Room::Refused
        }
    }

    fn set_room(&mut self, key: &Key, bytes: u64, has_room: bool) {
        if let Some(hot) = self.hot.get_mut(key) {
            hot.bytes = bytes;
            hot.has_room = Some(has_room);
        }
    }

    pub(super) fn may_grow(&self, key: &Key, bytes: u64) -> bool {
        self.has_room(key) && bytes <= self.bytes_max - self.bytes
    }

    /// Says whether the keeper is to be told.
    pub(super) fn changed(&mut self, key: &Key) -> bool {
        let Some(hot) = self.hot.get_mut(key) else {
            return false;
        };
        if hot.is_tried {
            hot.is_changed = true;
            return false;
        }
        hot.again_at = Boot::default();
        if !hot.is_wanted {
            hot.is_wanted = true;
            self.wanted.push(key.clone());
        }
        true
    }

    pub(super) fn try_for(&mut self, key: &Key, now: Boot, again_at: Boot) -> bool {
        let may_try = |hot: &&mut Hot| !hot.is_tried && hot.again_at <= now;
        let Some(hot) = self.hot.get_mut(key).filter(may_try) else {
            return false;
        };
        hot.is_tried = true;
        hot.again_at = again_at;
        true
    }

    /// Says whether the keeper is to be told.
    pub(super) fn tried(&mut self, key: &Key, is_mended: bool) -> bool {
        let Some(hot) = self.hot.get_mut(key) else {
            return false;
        };
        hot.is_tried = false;
        if is_mended {
            hot.again_at = Boot::default();
        }
        std::mem::take(&mut hot.is_changed) && self.changed(key)
    }

    pub(super) fn take_wanted(&mut self) -> Vec<Key> {
        let wanted = std::mem::take(&mut self.wanted);
        for key in &wanted {
            if let Some(hot) = self.hot.get_mut(key) {
                hot.is_wanted = false;
            }
        }
        wanted
    }

    /// Every key, in the order of promotion: the map's own differs from process to process.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.list().into_iter().map(|listed| listed.key).collect()
    }

    pub(super) fn list(&self) -> Vec<Listed> {
        let mut hot: Vec<_> = self.hot.iter().collect();
        hot.sort_unstable_by_key(|(_, hot)| hot.order);
        hot.into_iter().map(|(key, hot)| hot.listed(key)).collect()
    }

    pub(super) fn find(&self, key: &Key) -> Option<Listed> {
        self.hot.get(key).map(|hot| hot.listed(key))
    }

    pub(super) fn is_banned(&self, key: &Key) -> bool {
        self.banned.contains(key)
    }
}
