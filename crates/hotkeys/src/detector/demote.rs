//! When a hot key becomes ordinary.

use std::time::Duration;

use crate::hash::KeyHash;
use crate::rules::{Rules, Verdict};
use crate::slices::number;

use super::decision::{Decision, Demotion, DemotionReason};
use super::source::COVERED;
use super::status::Health;
use super::tracked::Tracked;
use super::{Detector, GATE_SHARE};

/// A key that is read at less than this part of its threshold is no longer hot; between this and the threshold it stays what it is.
const COOL_SHARE: f64 = 0.6;

/// For so long.
const COOL_FOR: Duration = Duration::from_secs(3);

/// With more than this missing of a node, what it did not say could be what kept a key hot.
const COVERAGE_MIN: f64 = 0.5;

impl Detector {
    /// Demotes what has been read too little for long enough.
    pub(super) fn cool(&mut self, slot: u64) {
        let now = self.now;
        match self.health {
            Health::Live | Health::Late => {}
            Health::Frozen => return self.stay(),
            Health::Blind => {
                for hash in self.hot_where(|_, _| true) {
                    self.demote(hash, DemotionReason::Blind);
                }
                return;
            }
        }
        let coverage = self.coverage(now);
        if coverage < COVERAGE_MIN {
            return self.stay();
        }
        let mut cooled = Vec::new();
        for hash in self.hot.iter() {
            let Some(tracked) = self.tracked.get_mut(&hash) else {
                continue;
            };
            // Were every node's losses those of the worst, and of this key, it would be read so much at most.
            let rate = ten_second_rate(tracked, slot) / coverage;
            let is_below = rate < cool_rate(tracked, &self.rules);
            if let Some(hot) = &mut tracked.hot {
                hot.below = is_below.then(|| hot.below.unwrap_or(now));
                let for_long = hot.below.is_some_and(|since| now.since(since) >= COOL_FOR);
                if for_long && now.since(hot.since) >= hot.residence {
                    cooled.push(hash);
                }
            }
        }
        for hash in cooled {
            self.demote(hash, DemotionReason::Cooled);
        }
    }

    /// What is not known does not count as being read too little.
    fn stay(&mut self) {
        for tracked in self.tracked.values_mut() {
            if let Some(hot) = &mut tracked.hot {
                hot.below = None;
            }
        }
    }

    pub(super) fn demote(&mut self, hash: KeyHash, why: DemotionReason) {
        let Some(tracked) = self.tracked.get_mut(&hash) else {
            return;
        };
        let Some(hot) = tracked.cool(self.now) else {
            return;
        };
        self.hot.take(hash, hot.promotion.bytes);
        let demotion = Demotion {
            hash,
            rate: ten_second_rate(tracked, number(self.now)),
            key: hot.promotion.key,
            why,
        };
        self.decide(Decision::Demote(demotion));
    }

    /// The hot keys of which something is true.
    pub(super) fn hot_where(&self, is_so: impl Fn(&Tracked, &Rules) -> bool) -> Vec<KeyHash> {
        let of = |hash: &KeyHash| {
            let tracked = self.tracked.get(hash);
            tracked.is_some_and(|tracked| is_so(tracked, &self.rules))
        };
        self.hot.iter().filter(of).collect()
    }
}

/// Reads per second in the last ten seconds, without the slot that is being counted.
fn ten_second_rate(tracked: &Tracked, slot: u64) -> f64 {
    tracked.ring.sum(slot.saturating_sub(1), COVERED) / 10.0
}

fn cool_rate(tracked: &Tracked, rules: &Rules) -> f64 {
    let threshold = match tracked.verdict(rules) {
        Some(Verdict::Threshold(triggers)) => triggers.threshold,
        Some(Verdict::Always) => rules.threshold_min() * GATE_SHARE,
        Some(Verdict::Never) | None => f64::INFINITY,
    };
    threshold * COOL_SHARE
}
