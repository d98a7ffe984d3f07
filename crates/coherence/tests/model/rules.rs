//! The protocol's rules as nodes follow them: each calls the production function, and deviates where a mutant says so.

use hotshelf_coherence::{
    Admission, Candidate, Checkpoint, Claim, Cursor, FloorKey, Floors, Knowledge, Place, PollStep,
    ResyncReason, admit, parents_live, unchanged,
};
use hotshelf_model::{Boot, DbTime, Hist, Poll, Position, Version};

use crate::database::{Document, Row};
use crate::node::{entry_of, floor_key, parents_of};
use crate::scope::Subject;

/// A rule that is broken, so that the checker has to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    // Admission.
    FloorIgnored,
    PositionIgnored,
    TimelineIgnored,
    ParentsIgnored,
    HistIgnored,
    FetchedHistIgnored,
    // Revalidation.
    RevalidatedByVersionAlone,
    RevalidatedWithLaterHead,
    // Rows.
    GapSkipped,
    RowsOfAnyTimeline,
    RowsOfAnyHist,
    HeldCopyNotDropped,
    BumpNotNoticedByL1,
    DoubtEndedByParentsAlone,
    FloorsOfKeysMixed,
    FloorsOfParentsMixed,
    // The bound of floors.
    LowMarkNotRaised,
    LowMarkNotRaisedByParents,
    LowMarkRaisedToCursor,
    ForgottenUpToCursor,
    // Polls and resyncs.
    PollTimelineIgnored,
    PollNonceIgnored,
    PollPruningIgnored,
    PollBelievedBeforeTimelineIsOpen,
    ResyncWithoutGeneration,
    ResyncWithoutLowMark,
    ResyncForgetsOwnWrites,
    // Proofs.
    ProofFromReplica,
    ProofWithoutOutbox,
    ProofBeforeTimelineIsOpen,
    ProofBeforeHeadIsReached,
    ProofWithoutNonce,
    AsOfFromReplica,
    // Restarts.
    CheckpointWithoutFloors,
    CheckpointWithoutLowMark,
    CheckpointOfAnyTimeline,
    CheckpointOfAnyHist,
    // Hints.
    HintRaisesTheLogsFloor,
    HintDropsTheLogsFloor,
    HintOfAnyTimeline,
    OwnWriteTimesOut,
    // The database.
    VersionsWithoutTimeline,
    VersionsOfTheLogsTimeline,
    RestoreWithoutNewHist,
    // Flights.
    FetchedWithLaterHead,
    JoinedAfterInvalidation,
    JoinedAcrossResync,
    JoinedByFloor,
    JoinedAndLandedUnchecked,
    LandedUnchecked,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) mutant: Option<Mutant>,
}

impl Rules {
    /// Whether this is how the rules are broken.
    pub(crate) fn are(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn floor_key(&self, subject: Subject) -> FloorKey {
        match subject {
            Subject::Key(_) if self.are(Mutant::FloorsOfKeysMixed) => floor_key(Subject::Key(0)),
            Subject::Parent(_) if self.are(Mutant::FloorsOfParentsMixed) => {
                floor_key(Subject::Parent(0))
            }
            subject => floor_key(subject),
        }
    }

    pub(crate) fn floor(&self, floors: &Floors, subject: Subject) -> Version {
        floors.of(self.floor_key(subject))
    }

    pub(crate) fn place(&self, knowledge: &Knowledge, row: &Row) -> Place {
        let hist = if self.are(Mutant::RowsOfAnyHist) {
            knowledge.hist
        } else {
            row.hist
        };
        let timeline = if self.are(Mutant::RowsOfAnyTimeline) {
            knowledge.timeline
        } else {
            row.timeline
        };
        match knowledge.place(hist, timeline, row.cursor.position) {
            Place::Ahead if self.are(Mutant::GapSkipped) => Place::Next,
            place => place,
        }
    }

    pub(crate) fn advanced(&self, knowledge: Knowledge, cursor: Cursor) -> Knowledge {
        if self.are(Mutant::GapSkipped) {
            return Knowledge {
                cursor,
                ..knowledge
            };
        }
        knowledge.advanced(cursor)
    }

    /// Raises a floor, and with it the low mark if floors were given up.
    pub(crate) fn raise(
        &self,
        knowledge: Knowledge,
        floors: &mut Floors,
        subject: Subject,
        version: Version,
        position: Position,
    ) -> Knowledge {
        let Some(low) = floors.raise(self.floor_key(subject), version, position) else {
            return knowledge;
        };
        let not_raised = match subject {
            Subject::Key(_) => Mutant::LowMarkNotRaised,
            Subject::Parent(_) => Mutant::LowMarkNotRaisedByParents,
        };
        if self.are(not_raised) {
            return knowledge;
        }
        if self.are(Mutant::LowMarkRaisedToCursor) {
            return knowledge.raised(low.min(knowledge.cursor.position));
        }
        knowledge.raised(low)
    }

    /// What the low mark says as well need not be kept.
    pub(crate) fn forget(&self, knowledge: &Knowledge, floors: &mut Floors) {
        let low = if self.are(Mutant::ForgottenUpToCursor) {
            knowledge.cursor.position
        } else {
            knowledge.low
        };
        floors.forget_below(low);
    }

    /// A hint of another node: `true` if it was news.
    pub(crate) fn hint(
        &self,
        knowledge: &Knowledge,
        floors: &mut Floors,
        subject: Subject,
        version: Version,
    ) -> bool {
        let is_old = version.timeline() < u64::from(knowledge.timeline.0);
        let takes_old =
            self.are(Mutant::HintOfAnyTimeline) || self.are(Mutant::HintRaisesTheLogsFloor);
        if is_old && !takes_old {
            return false;
        }
        let key = self.floor_key(subject);
        if self.are(Mutant::HintRaisesTheLogsFloor) {
            let is_news = floors.of(key) < version;
            let _low = floors.raise(key, version, knowledge.cursor.position);
            return is_news;
        }
        floors.hint(key, version, Some(HINTS_UNTIL)).is_news
    }

    /// A write of this node.
    pub(crate) fn own_write(&self, floors: &mut Floors, subject: Subject, version: Version) {
        let until = self.are(Mutant::OwnWriteTimesOut).then_some(HINTS_UNTIL);
        floors.hint(self.floor_key(subject), version, until);
    }

    pub(crate) fn expire_hints(&self, floors: &mut Floors) {
        let dropped = floors.expire_hints(HINTS_UNTIL);
        if dropped > 0 && self.are(Mutant::HintDropsTheLogsFloor) {
            floors.clear();
        }
    }

    pub(crate) fn judge_poll(&self, knowledge: &Knowledge, asked: Cursor, poll: &Poll) -> PollStep {
        let mut poll = *poll;
        if self.are(Mutant::PollTimelineIgnored) {
            poll.head.timeline = knowledge.timeline;
        }
        if self.are(Mutant::PollNonceIgnored) {
            poll.known_nonce = Some(asked.nonce);
        }
        poll.settled |= self.are(Mutant::PollBelievedBeforeTimelineIsOpen);
        match knowledge.judge_poll(asked, &poll) {
            PollStep::Resync(ResyncReason::Pruned) if self.are(Mutant::PollPruningIgnored) => {
                PollStep::Behind
            }
            step => step,
        }
    }

    pub(crate) fn resynced(&self, knowledge: Knowledge, poll: &Poll) -> Knowledge {
        let after = knowledge.resynced(poll);
        if self.are(Mutant::ResyncWithoutGeneration) {
            let generation = knowledge.generation;
            return Knowledge {
                generation,
                ..after
            };
        }
        if self.are(Mutant::ResyncWithoutLowMark) {
            let low = knowledge.low;
            return Knowledge { low, ..after };
        }
        after
    }

    /// What is left of the floors after a resync to what `knowledge` says, or in another history.
    pub(crate) fn clear(&self, knowledge: &Knowledge, floors: &mut Floors, step: PollStep) {
        let is_same_history = step != PollStep::OtherHistory;
        if is_same_history && !self.are(Mutant::ResyncForgetsOwnWrites) {
            floors.resync(knowledge.timeline);
        } else {
            floors.clear();
        }
    }

    pub(crate) fn claim(&self, knowledge: &Knowledge, asked: Cursor, poll: &Poll) -> Option<Claim> {
        let mut poll = *poll;
        if self.are(Mutant::ProofFromReplica) {
            poll.head.primary = true;
        }
        if self.are(Mutant::ProofWithoutNonce) {
            poll.known_nonce = Some(asked.nonce);
        }
        knowledge.claim(asked, &poll)
    }

    pub(crate) fn is_reached(&self, claim: &Claim, knowledge: &Knowledge) -> bool {
        self.are(Mutant::ProofBeforeHeadIsReached) || claim.is_reached(knowledge)
    }

    pub(crate) fn start(
        &self,
        checkpoint: Option<Checkpoint>,
        poll: &Poll,
    ) -> (Knowledge, PollStep) {
        let mut poll = *poll;
        let head = poll.head;
        if let Some(checkpoint) = checkpoint {
            if self.are(Mutant::CheckpointOfAnyTimeline) {
                poll.head.timeline = checkpoint.timeline;
                poll.known_nonce = Some(checkpoint.cursor.nonce);
            }
            if self.are(Mutant::CheckpointOfAnyHist) {
                poll.head.hist = checkpoint.hist;
                poll.known_nonce = Some(checkpoint.cursor.nonce);
            }
        }
        let (mut knowledge, step) = Knowledge::start(checkpoint, &poll);
        if self.are(Mutant::CheckpointOfAnyHist) {
            knowledge.hist = head.hist;
        }
        if self.are(Mutant::CheckpointOfAnyTimeline) {
            knowledge.timeline = head.timeline;
        }
        if self.are(Mutant::CheckpointWithoutLowMark) {
            knowledge.low = Position(0);
        }
        (knowledge, step)
    }

    /// The history under which a document is looked for in tiers, or that a fetch names.
    pub(crate) fn is_found(&self, document: &Document, hist: Hist) -> bool {
        document.hist == hist || self.are(Mutant::HistIgnored)
    }

    pub(crate) fn parents_live(
        &self,
        document: &Document,
        parent: usize,
        parents: &Floors,
    ) -> bool {
        let FloorKey(asked) = self.floor_key(Subject::Parent(parent));
        self.are(Mutant::ParentsIgnored)
            || parents_live(&parents_of(asked, document.parent), parents)
    }

    pub(crate) fn admit(
        &self,
        knowledge: &Knowledge,
        document: &Document,
        floor: Version,
        parents_live: bool,
    ) -> Admission {
        let mut entry = entry_of(document);
        if self.are(Mutant::PositionIgnored) {
            entry.stamp.position = Position(u64::MAX);
        }
        if self.are(Mutant::TimelineIgnored) {
            entry.stamp.timeline = knowledge.timeline;
        }
        let hist_ignored = self.are(Mutant::HistIgnored) || self.are(Mutant::FetchedHistIgnored);
        let candidate = Candidate {
            entry: &entry,
            hist: if hist_ignored {
                knowledge.hist
            } else {
                document.hist
            },
            expires_at: DbTime(u64::MAX),
            floor: if self.are(Mutant::FloorIgnored) {
                Version::NONE
            } else {
                floor
            },
            parents_live,
        };
        admit(knowledge, &candidate, DbTime(0))
    }

    /// Whether a flight may end with a copy, though only for its readers.
    pub(crate) fn may_be_last_attempt(
        knowledge: &Knowledge,
        document: &Document,
        admission: Admission,
        as_of: u8,
    ) -> bool {
        admission == Admission::Suspect
            && as_of > 0
            && document.hist == knowledge.hist
            && knowledge.timeline <= document.stamp.timeline
    }

    /// What `known` becomes when the database has `now`; `None` if it has changed.
    pub(crate) fn revalidate(&self, known: &Document, now: &Document) -> Option<Document> {
        let same_hist = known.hist == now.hist || self.are(Mutant::FetchedHistIgnored);
        let parents = |document: &Document| parents_of(0, document.parent);
        let now_parents = if self.are(Mutant::RevalidatedByVersionAlone) {
            parents(known)
        } else {
            parents(now)
        };
        let same = unchanged(
            known.stamp.version,
            &parents(known),
            now.stamp.version,
            &now_parents,
        );
        if !same_hist || !same {
            return None;
        }
        Some(Document {
            stamp: now.stamp,
            parent: now.parent,
            ..*known
        })
    }
}

/// When hints time out; that is an action of its own, so one moment is enough.
const HINTS_UNTIL: Boot = Boot(1);
