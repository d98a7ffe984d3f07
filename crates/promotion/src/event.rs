//! What those who follow the hot set are told.

use std::time::Duration;

use hotshelf_hotkeys::message::Told;
use hotshelf_hotkeys::{DemotionReason, HotCursor, Promotion, PromotionReason};
use hotshelf_model::{Boot, Key};

/// A key that became hot, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Promoted {
    /// The key.
    pub key: Key,
    /// What its entry takes, as the node said that named it.
    pub bytes: u32,
    /// Reads per second over all nodes when it was decided.
    pub rate: f64,
    /// Its part of all reads then, 0 to 1.
    pub share: f64,
    /// When it began to be read so much, on this node's clock and as exactly as messages are quick.
    pub onset: Boot,
    /// When it was decided, likewise.
    pub decided: Boot,
    /// What decided.
    pub why: PromotionReason,
}

impl Promoted {
    /// As this node's detector has decided at `decided`.
    pub(crate) fn new(promotion: Promotion, decided: Boot) -> Self {
        Promoted {
            key: promotion.key,
            bytes: promotion.bytes,
            rate: promotion.rate,
            share: promotion.share,
            onset: promotion.onset,
            decided,
            why: promotion.why,
        }
    }

    /// As it was told at `now`.
    pub(crate) fn heard(told: &Told, now: Boot) -> Self {
        let ago = |ms| now.minus(Duration::from_millis(ms));
        Promoted {
            key: told.key.clone(),
            bytes: told.bytes,
            rate: told.rate,
            share: told.share,
            onset: ago(told.onset_ms),
            decided: ago(told.decided_ms),
            why: told.why,
        }
    }

    /// As it is to be told at `now`.
    pub fn told(&self, now: Boot) -> Told {
        let ms = |at: Boot| u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX);
        Told {
            key: self.key.clone(),
            bytes: self.bytes,
            rate: self.rate,
            share: self.share,
            onset_ms: ms(self.onset),
            decided_ms: ms(self.decided),
            why: self.why,
        }
    }
}

/// What comes next in the sequence of decisions.
#[derive(Clone, Debug, PartialEq)]
pub enum HotEvent {
    /// What was decided since then cannot be told: these keys are hot and no others. The decisions go on after this cursor.
    Reset(HotCursor, Vec<Promoted>),
    /// A key is hot from now on.
    Promoted(HotCursor, Promoted),
    /// A key is no longer hot.
    Demoted(HotCursor, Key, DemotionReason),
}

impl HotEvent {
    /// Up to where one knows who has taken it.
    pub fn cursor(&self) -> HotCursor {
        match self {
            HotEvent::Reset(cursor, _)
            | HotEvent::Promoted(cursor, _)
            | HotEvent::Demoted(cursor, _, _) => *cursor,
        }
    }
}
