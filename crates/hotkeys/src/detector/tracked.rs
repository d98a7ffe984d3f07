//! A key that is counted exactly: a candidate, or hot.

use std::time::Duration;

use hotshelf_model::{Boot, Key};

use crate::frame::Entry;
use crate::poisson::Triggers;
use crate::ring::{Ring, WINDOW_SLOTS};
use crate::rules::{RuleAt, Rules, Verdict};
use crate::spread::Spread;

use super::decision::Promotion;

/// The least time that a key stays hot.
const RESIDENCE: Duration = Duration::from_secs(10);

/// The most that coming back makes of it.
const RESIDENCE_MAX: Duration = Duration::from_mins(5);

/// A key that becomes hot again within this time stays twice as long as the last time.
pub(super) const RETURN: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) ring: Ring<100>,
    /// The slot in which it became a candidate.
    pub(super) since: u64,
    named: Option<Named>,
    pub(super) hot: Option<HotState>,
    /// When it was last demoted, and how long it had to stay before.
    lapsed: Option<(Boot, Duration)>,
}

#[derive(Debug)]
struct Named {
    key: Key,
    bytes: u32,
    rule: RuleAt,
}

/// What is known of a key that is hot.
#[derive(Debug)]
pub(super) struct HotState {
    pub(super) promotion: Promotion,
    pub(super) since: Boot,
    pub(super) residence: Duration,
    /// Since when it has been read too little.
    pub(super) below: Option<Boot>,
}

impl Tracked {
    pub(super) fn new(slot: u64) -> Self {
        Tracked {
            ring: Ring::new(slot),
            since: slot,
            named: None,
            hot: None,
            lapsed: None,
        }
    }

    /// Adds a frame's count of it.
    #[inline]
    pub(super) fn add(&mut self, entry: &Entry, spread: &Spread, offset: i64) {
        let unit = entry.unit as f32;
        spread.add(&mut self.ring, offset, entry.count as f32, unit * unit);
    }

    /// Whether the name was news.
    pub(super) fn name(&mut self, key: &Key, bytes: u32, rules: &Rules) -> bool {
        let is_news = self.named.is_none();
        if is_news {
            let rule = rules.find(key);
            let key = key.clone();
            self.named = Some(Named { key, bytes, rule });
        }
        is_news
    }

    pub(super) fn is_named(&self) -> bool {
        self.named.is_some()
    }

    pub(super) fn key(&self) -> Option<(&Key, u32)> {
        let named = self.named.as_ref()?;
        Some((&named.key, named.bytes))
    }

    pub(super) fn judge_by(&mut self, rules: &Rules) {
        if let Some(named) = &mut self.named {
            named.rule = rules.find(&named.key);
        }
    }

    /// What the rules say; nothing of a key without a name.
    pub(super) fn verdict<'a>(&self, rules: &'a Rules) -> Option<Verdict<'a>> {
        self.named.as_ref().map(|named| rules.at(named.rule))
    }

    pub(super) fn triggers<'a>(&self, rules: &'a Rules) -> Option<&'a Triggers> {
        match self.verdict(rules)? {
            Verdict::Threshold(triggers) => Some(triggers),
            Verdict::Never | Verdict::Always => None,
        }
    }

    /// Reads per second in the last ten slots before `slot`, which is still being counted.
    pub(super) fn rate(&self, slot: u64) -> f64 {
        self.ring.sum(slot.saturating_sub(1), 10)
    }

    /// Reads per second in the last two seconds, or since it is tracked.
    pub(super) fn mean_rate(&self, slot: u64) -> f64 {
        let slots = (slot.saturating_sub(self.since) + 1).min(WINDOW_SLOTS);
        self.ring.sum(slot, slots) * 10.0 / slots as f64
    }

    pub(super) fn become_hot(&mut self, promotion: Promotion, now: Boot) {
        let came_back = |&(at, residence): &(Boot, Duration)| {
            (now.since(at) <= RETURN).then(|| (residence * 2).min(RESIDENCE_MAX))
        };
        let residence = self.lapsed.as_ref().and_then(came_back);
        self.hot = Some(HotState {
            promotion,
            since: now,
            residence: residence.unwrap_or(RESIDENCE),
            below: None,
        });
    }

    /// Ends its being hot.
    pub(super) fn cool(&mut self, now: Boot) -> Option<HotState> {
        let hot = self.hot.take()?;
        self.lapsed = Some((now, hot.residence));
        Some(hot)
    }

    /// Whether nothing would be forgotten with it but counts.
    pub(super) fn may_go(&self, now: Boot) -> bool {
        let may_return = self.lapsed.is_some_and(|(at, _)| now.since(at) <= RETURN);
        self.hot.is_none() && !may_return
    }
}
