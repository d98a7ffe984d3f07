//! What a fill would do with a copy that a tier holds, without doing it.

use hotshelf_coherence::{Admission, FloorKey, Held, HitContext, Refusal, admit, judge};
use hotshelf_model::{Boot, Version};

use super::{BEFORE_POLLS, Fill, Found};
use crate::explain::Standing;

impl Fill {
    /// What would become of a copy if its key were read now, and what L1 would then know of it. `context` is of this moment.
    pub(crate) fn standing(
        &self,
        floor_key: FloorKey,
        found: &Found,
        context: &HitContext,
    ) -> (Standing, Held) {
        let tracked = self.source.namespace.tracked;
        let sight = self.ledger().sight(floor_key);
        let known = sight.known();
        let candidate = self.candidate(&sight, (floor_key, Version::NONE), found);
        let admission = known.map(|(known, _)| admit(&known, &candidate, self.db_now()));
        drop(sight);
        let proof = known.map_or(Boot::default(), |(_, proof)| proof);
        let as_of = if tracked {
            found.as_of.max(proof)
        } else {
            self.untracked_as_of(found)
        };
        let lifetime = self.lifetime(floor_key, &found.entry, as_of, context.now);
        let held = Held {
            generation: known.map_or(BEFORE_POLLS, |(known, _)| known.generation),
            as_of,
            soft_at: lifetime.soft_at,
            hard_at: lifetime.hard_at,
            valid_until: found.entry.valid_until,
            tracked,
        };
        let is_of_another_history = known.is_some_and(|(known, _)| known.hist != found.hist);
        let is_unproved = tracked && proof == Boot::default();
        let standing = match admission {
            Some(Admission::Fresh) if is_unproved || self.is_too_old(&held, as_of, context) => {
                Standing::Suspect
            }
            Some(Admission::Fresh) => Standing::of(judge(&held, context)),
            Some(Admission::Suspect) | None => Standing::Suspect,
            Some(Admission::Refused(Refusal::Expired)) => Standing::Stale,
            Some(Admission::Refused(Refusal::Dead)) if is_of_another_history => {
                Standing::OtherHistory
            }
            Some(Admission::Refused(Refusal::Dead)) => Standing::Refused,
        };
        (standing, held)
    }
}
