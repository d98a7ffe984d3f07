//! What the observer is told of a read that has ended.

use std::time::Duration;

use hotshelf_model::{Boot, KeyRef, Read, ReadOutcome, TierName, Version};

use crate::answer::Answer;
use crate::cache::Engine;
use crate::settings::{Class, ReadOptions};

/// When a read ended, and how long it took if that was measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) at: Boot,
    pub(super) latency: Option<Duration>,
}

impl Engine {
    /// Tells the observer, if there is one, of a read and its answer.
    #[inline]
    pub(super) fn observe(
        &self,
        key: KeyRef<'_>,
        answer: Option<&Answer>,
        timing: Timing,
        options: &ReadOptions<'_>,
    ) {
        let Some(observer) = &self.observer else {
            return;
        };
        let (tier, outcome, version, bytes) = match answer {
            Some(answer) => (
                answer.tier,
                answer.outcome(),
                answer.version(),
                answer.document().len() as u64,
            ),
            None => (TierName::Origin, ReadOutcome::Failed, Version::NONE, 0),
        };
        observer.read(&Read {
            key,
            at: timing.at,
            latency: timing.latency,
            tier,
            outcome,
            version,
            bytes,
            is_interactive: options.class == Class::Interactive,
            asker: options.asker,
        });
    }
}
