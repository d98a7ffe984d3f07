//! A snapshot of which not all parts have come yet.

use hotshelf_hotkeys::HotCursor;
use hotshelf_hotkeys::message::Snapshot;
use hotshelf_model::Boot;

use crate::event::Promoted;

/// Invariant: `missing` is how many of `parts` are `None`.
#[derive(Debug)]
pub(super) struct Assembly {
    cursor: HotCursor,
    parts: Vec<Option<Vec<Promoted>>>,
    missing: usize,
}

impl Assembly {
    pub(super) fn new(cursor: HotCursor, parts: u32) -> Self {
        // A message says 128 at most.
        let missing = usize::try_from(parts).unwrap_or_default();
        Assembly {
            cursor,
            parts: vec![None; missing],
            missing,
        }
    }

    pub(super) fn cursor(&self) -> HotCursor {
        self.cursor
    }

    /// Puts a part; with the last one, gives the whole.
    pub(super) fn put(&mut self, part: &Snapshot, now: Boot) -> Option<Vec<Promoted>> {
        let at = usize::try_from(part.part).ok()?;
        let place = self.parts.get_mut(at)?;
        if part.cursor != self.cursor || place.is_some() {
            return None;
        }
        let keys = part.keys.iter().map(|told| Promoted::heard(told, now));
        *place = Some(keys.collect());
        self.missing -= 1;
        let parts = std::mem::take(&mut self.parts);
        if self.missing > 0 {
            self.parts = parts;
            return None;
        }
        Some(parts.into_iter().flatten().flatten().collect())
    }
}
