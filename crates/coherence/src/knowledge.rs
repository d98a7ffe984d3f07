//! What a node knows of the change log.

use hotshelf_model::{Hist, Poll, Position, Timeline};

/// Counts resyncs: a copy of an earlier generation is suspect.
///
/// The generations of a node's knowledge are even. The odd number below one belongs to copies of the same history that this
/// knowledge proves nothing about; so they are newer than all that was proved before, and still never taken for proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub u32);

impl Generation {
    #[must_use]
    fn next(self) -> Self {
        Generation(self.0.wrapping_add(2))
    }

    /// The generation of a copy that was found in this one without being proved.
    #[must_use]
    pub fn unproved(self) -> Self {
        Generation(self.0.saturating_sub(1))
    }
}

/// What a node knows of the change log.
///
/// Invariant: every copy with `timeline` and a position at or above `low` reflects all records at or below `low`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knowledge {
    /// The database's history.
    pub hist: Hist,
    /// The log's timeline.
    pub timeline: Timeline,
    /// The low mark: a copy read below it is suspect.
    pub low: Position,
    /// How often everything became suspect.
    pub generation: Generation,
}

/// What a poll changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollChange {
    /// The head is where it was.
    Unmoved,
    /// The head has moved, or the log has a new timeline: every copy is suspect.
    Moved,
    /// Another history: no copy of the former one will ever be found again.
    OtherHistory,
}

impl Knowledge {
    /// What a node knows after its first poll.
    pub fn first(poll: &Poll) -> Self {
        let head = poll.head;
        Knowledge {
            hist: head.hist,
            timeline: head.timeline,
            low: head.position,
            generation: Generation::default().next(),
        }
    }

    /// What a node knows after a further poll.
    ///
    /// A timeline below the known one is a primary that was replaced; it is not listened to, and neither is a standby, which may lag
    /// or belong to a branch that was lost. A head of a primary below the low mark on the same timeline means that the log lost
    /// records: every copy becomes suspect and is then judged by its version.
    #[must_use]
    pub fn after(self, poll: &Poll) -> (Self, PollChange) {
        let head = poll.head;
        if !head.primary {
            return (self, PollChange::Unmoved);
        }
        if head.hist != self.hist {
            let first = Self::first(poll);
            return (
                Knowledge {
                    generation: self.generation.next(),
                    ..first
                },
                PollChange::OtherHistory,
            );
        }
        if head.timeline < self.timeline
            || (head.timeline == self.timeline && head.position == self.low)
        {
            return (self, PollChange::Unmoved);
        }
        let moved = Knowledge {
            timeline: head.timeline,
            low: head.position,
            generation: self.generation.next(),
            ..self
        };
        (moved, PollChange::Moved)
    }

    /// Whether `poll`, sent at some moment, proves that this node then knew every committed change.
    pub fn is_proved_by(&self, poll: &Poll) -> bool {
        let head = poll.head;
        poll.settled
            && head.primary
            && head.hist == self.hist
            && head.timeline == self.timeline
            && head.position == self.low
    }
}

#[cfg(test)]
mod tests {
    use hotshelf_model::{DbTime, Head, Version};
    use proptest::prelude::*;

    use super::*;

    fn poll(hist: u64, timeline: u32, position: u64) -> Poll {
        let head = Head {
            hist: Hist(hist),
            timeline: Timeline(timeline),
            position: Position(position),
            now: DbTime(0),
            primary: true,
        };
        Poll {
            head,
            version_max: Version::NONE,
            settled: true,
        }
    }

    #[test]
    fn a_head_that_stays_keeps_the_generation_and_proves() {
        let knowledge = Knowledge::first(&poll(1, 1, 7));
        assert_eq!(
            knowledge.after(&poll(1, 1, 7)),
            (knowledge, PollChange::Unmoved)
        );
        assert!(knowledge.is_proved_by(&poll(1, 1, 7)));
    }

    #[test]
    fn a_head_that_moves_makes_everything_suspect() {
        let knowledge = Knowledge::first(&poll(1, 1, 7));
        let (moved, change) = knowledge.after(&poll(1, 1, 8));
        assert_eq!(change, PollChange::Moved);
        assert!(moved.generation > knowledge.generation);
        assert_eq!(moved.low, Position(8));
        assert!(
            !knowledge.is_proved_by(&poll(1, 1, 8)),
            "what was known before the move proves nothing after it"
        );
    }

    #[test]
    fn a_replaced_primary_is_not_listened_to_and_proves_nothing() {
        let knowledge = Knowledge::first(&poll(1, 2, 7));
        let old = poll(1, 1, 90);
        assert_eq!(knowledge.after(&old), (knowledge, PollChange::Unmoved));
        assert!(!knowledge.is_proved_by(&old));
    }

    #[test]
    fn a_standby_that_lags_or_has_another_history_moves_nothing() {
        let knowledge = Knowledge::first(&poll(1, 1, 7));
        for (hist, timeline, position) in [(1, 1, 3), (1, 1, 9), (1, 2, 9), (2, 1, 7)] {
            let mut standby = poll(hist, timeline, position);
            standby.head.primary = false;
            assert_eq!(
                knowledge.after(&standby),
                (knowledge, PollChange::Unmoved),
                "with a low mark below the last proof, copies without what was proved would pass"
            );
        }
    }

    #[test]
    fn an_unproved_generation_lies_between_the_proved_ones() {
        let before = Knowledge::first(&poll(1, 1, 7));
        let (after, _) = before.after(&poll(1, 1, 8));
        assert!(before.generation < after.generation.unproved());
        assert!(after.generation.unproved() < after.generation);
    }

    #[test]
    fn a_replica_or_an_unsettled_poll_proves_nothing() {
        let knowledge = Knowledge::first(&poll(1, 1, 7));
        let mut replica = poll(1, 1, 7);
        replica.head.primary = false;
        assert!(!knowledge.is_proved_by(&replica));
        let mut unsettled = poll(1, 1, 7);
        unsettled.settled = false;
        assert!(!knowledge.is_proved_by(&unsettled));
    }

    #[test]
    fn another_history_starts_over() {
        let knowledge = Knowledge::first(&poll(1, 4, 900));
        let (other, change) = knowledge.after(&poll(2, 1, 3));
        assert_eq!(change, PollChange::OtherHistory);
        assert_eq!(
            (other.hist, other.timeline, other.low),
            (Hist(2), Timeline(1), Position(3))
        );
        assert_ne!(other.generation, knowledge.generation);
    }

    proptest! {
        #[test]
        fn the_generation_changes_exactly_when_the_low_mark_may_have(
            polls in proptest::collection::vec((1_u64..3, 1_u32..4, 0_u64..5), 1..40),
        ) {
            let mut knowledge = Knowledge::first(&poll(1, 1, 0));
            for (hist, timeline, position) in polls {
                let (after, change) = knowledge.after(&poll(hist, timeline, position));
                prop_assert_eq!(change == PollChange::Unmoved, after.generation == knowledge.generation);
                prop_assert_eq!(change == PollChange::Unmoved, after == knowledge);
                knowledge = after;
            }
        }
    }
}
