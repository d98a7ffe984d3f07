//! What unit tests begin with.

use hotshelf_hotkeys::PromotionReason;
use hotshelf_hotkeys::message::Told;
use hotshelf_model::{Hist, Key};

pub(crate) const HIST: Hist = Hist(7);

pub(crate) fn key(id: &str) -> Key {
    Key::parse(&format!("products//{id}")).unwrap()
}

/// A hot key, as it is told.
pub(crate) fn told(id: &str) -> Told {
    Told {
        key: key(id),
        bytes: 100,
        rate: 700.0,
        share: 0.1,
        onset_ms: 300,
        decided_ms: 2,
        why: PromotionReason::Rule,
    }
}
