//! When a candidate becomes hot.

use hotshelf_model::Boot;

use crate::hash::KeyHash;
use crate::poisson::Fired;
use crate::rules::Verdict;
use crate::slices::SLICE_NANOS;

use super::decision::{Decision, DemotionReason, Promotion, PromotionReason};
use super::status::Health;
use super::tracked::Tracked;
use super::{Detector, GATE_SHARE};

/// A key displaces one that is read less only by this factor: keys of like rates would take turns.
const DISPLACES: f64 = 1.25;

/// A slot belongs to a surge when it has this part of the threshold's reads.
const SURGE_SHARE: f64 = 0.5;

/// A candidate that is to be hot.
struct Due {
    why: PromotionReason,
    window_slots: u64,
    count: f64,
    end: u64,
}

impl Detector {
    /// Promotes a candidate if it is due, and there is room. `slot` is the one that has just changed.
    pub(super) fn consider(&mut self, hash: KeyHash, slot: u64) {
        if matches!(self.health, Health::Frozen | Health::Blind) {
            return;
        }
        let Some(tracked) = self.candidate(hash) else {
            return;
        };
        // A late frame may complete a window that ended then, or one that ends now.
        let due = self.due(tracked, slot).or_else(|| {
            let is_late = slot < self.newest;
            is_late.then(|| self.due(tracked, self.newest)).flatten()
        });
        let Some((due, (_, bytes))) = due.zip(tracked.key()) else {
            return;
        };
        if self.hot.has_room(bytes, self.limits) {
            self.promote(hash, &due);
        } else {
            self.is_crowded = true;
        }
    }

    fn due(&self, tracked: &Tracked, end: u64) -> Option<Due> {
        match tracked.verdict(&self.rules)? {
            Verdict::Never => None,
            Verdict::Threshold(triggers) => {
                let fired = triggers.fired(&tracked.ring.windows(end))?;
                let Fired {
                    window,
                    count,
                    sigmas,
                } = fired;
                Some(Due {
                    why: PromotionReason::Surge { window, sigmas },
                    window_slots: u64::from(window.slots()),
                    count,
                    end,
                })
            }
            Verdict::Always => {
                let count = tracked.ring.sum(end, 10);
                let is_read = count >= self.rules.threshold_min() * GATE_SHARE;
                is_read.then_some(Due {
                    why: PromotionReason::Rule,
                    window_slots: 10,
                    count,
                    end,
                })
            }
        }
    }

    fn promote(&mut self, hash: KeyHash, due: &Due) {
        let all = self.reads.sum(due.end, due.window_slots);
        let Some(tracked) = self.tracked.get_mut(&hash) else {
            return;
        };
        let Some((key, bytes)) = tracked.key() else {
            return;
        };
        let threshold = match tracked.triggers(&self.rules) {
            Some(triggers) => triggers.threshold,
            None => self.rules.threshold_min() * GATE_SHARE,
        };
        let promotion = Promotion {
            hash,
            key: key.clone(),
            bytes,
            rate: due.count * 10.0 / due.window_slots as f64,
            share: if all > 0.0 {
                (due.count / all).min(1.0)
            } else {
                0.0
            },
            onset: onset(tracked, due.end, threshold),
            why: due.why,
        };
        tracked.become_hot(promotion.clone(), self.now);
        self.hot.put(hash, bytes);
        self.decide(Decision::Promote(promotion));
    }

    /// What is known of a key that is not hot.
    fn candidate(&self, hash: KeyHash) -> Option<&Tracked> {
        let tracked = self.tracked.get(&hash)?;
        tracked.hot.is_none().then_some(tracked)
    }

    /// Promotes without a count.
    pub(super) fn promote_for(&mut self, hash: KeyHash, slot: u64, why: PromotionReason) {
        let Some(tracked) = self.candidate(hash) else {
            return;
        };
        let is_never = matches!(tracked.verdict(&self.rules), Some(Verdict::Never));
        let Some((_, bytes)) = tracked.key().filter(|_| !is_never) else {
            return;
        };
        if !self.hot.has_room(bytes, self.limits) {
            self.tallies.promotions_refused += 1;
            return;
        }
        let due = Due {
            why,
            window_slots: 10,
            count: tracked.ring.sum(slot, 10),
            end: slot,
        };
        self.promote(hash, &due);
    }

    /// Keeps to the limits: the least read leave, first because there are too many, then because others are read more.
    pub(super) fn make_room(&mut self, slot: u64) {
        if matches!(self.health, Health::Frozen | Health::Blind) {
            return;
        }
        while !self.limits.fit(self.hot.keys(), self.hot.bytes()) {
            let Some((_, weakest)) = self.weakest(slot) else {
                return;
            };
            self.demote(weakest, DemotionReason::Room);
        }
        if !std::mem::take(&mut self.is_crowded) {
            return;
        }
        let mut due: Vec<(f64, KeyHash)> = self
            .tracked
            .iter()
            .filter_map(|(hash, tracked)| {
                let is_due =
                    tracked.hot.is_none() && self.due(tracked, slot.saturating_sub(1)).is_some();
                is_due.then(|| (tracked.rate(slot), *hash))
            })
            .collect();
        due.sort_unstable_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        for (rate, hash) in due {
            if !self.displace(hash, rate, slot) {
                self.tallies.promotions_refused += 1;
            }
        }
    }

    /// Demotes the weakest until a stronger key has room, if that is possible; then promotes it.
    fn displace(&mut self, hash: KeyHash, rate: f64, slot: u64) -> bool {
        let Some(bytes) = self
            .tracked
            .get(&hash)
            .and_then(Tracked::key)
            .map(|(_, bytes)| bytes)
        else {
            return false;
        };
        if !self.limits.fit(1, u64::from(bytes)) {
            return false;
        }
        while !self.hot.has_room(bytes, self.limits) {
            match self.weakest(slot) {
                Some((weaker, weakest)) if weaker * DISPLACES < rate => {
                    self.demote(weakest, DemotionReason::Room);
                }
                _ => return false,
            }
        }
        let due = self
            .tracked
            .get(&hash)
            .and_then(|tracked| self.due(tracked, slot.saturating_sub(1)));
        if let Some(due) = due {
            self.promote(hash, &due);
        }
        true
    }

    /// The hot key that is read least.
    fn weakest(&self, slot: u64) -> Option<(f64, KeyHash)> {
        let rates = self.hot.iter().filter_map(|hash| {
            let tracked = self.tracked.get(&hash)?;
            Some((tracked.rate(slot), hash))
        });
        rates.min_by(|one, other| one.0.total_cmp(&other.0))
    }

    pub(super) fn decide(&mut self, decision: Decision) {
        self.tallies.decide(&decision);
        self.decisions.push(decision);
    }
}

/// The beginning of the unbroken run of slots, up to the deciding window's end, that have half of the threshold's reads or more. The last
/// slot may still be filling.
fn onset(tracked: &Tracked, end: u64, threshold: f64) -> Boot {
    let least = threshold / 10.0 * SURGE_SHARE;
    let before_end = (1..99).take_while(|back| tracked.ring.at(end.saturating_sub(*back)) >= least);
    let slots = before_end.last().unwrap_or(0);
    Boot(end.saturating_sub(slots) * SLICE_NANOS)
}
