//! Which exploration finds each broken rule; and which rules can be broken without harm, because others hold as well.

use crate::rules::Mutant;

/// Each rule broken, with the exploration that must find it out.
pub(crate) const FOUND: &[(Mutant, &str)] = &[
    (Mutant::FloorIgnored, "changes"),
    (Mutant::PositionIgnored, "floors of keys"),
    (Mutant::TimelineIgnored, "failover, write"),
    (Mutant::ParentsIgnored, "changes"),
    (Mutant::HistIgnored, "restore, L2"),
    (Mutant::FetchedHistIgnored, "restore, lost branch"),
    (Mutant::FetchedWithLaterHead, "two keys, batches"),
    (Mutant::RevalidatedByVersionAlone, "failover, bump"),
    (Mutant::RevalidatedWithLaterHead, "restart, two keys"),
    (Mutant::GapSkipped, "changes"),
    (Mutant::RowsOfAnyTimeline, "failover, two writes"),
    (Mutant::RowsOfAnyHist, "restore"),
    (Mutant::HeldCopyNotDropped, "changes"),
    (Mutant::BumpNotNoticedByL1, "changes"),
    (Mutant::DoubtEndedByParentsAlone, "floors of parents"),
    (Mutant::FloorsOfKeysMixed, "two keys, batches"),
    (Mutant::FloorsOfParentsMixed, "two keys, bumps"),
    (Mutant::LowMarkNotRaised, "floors of keys"),
    (Mutant::LowMarkNotRaisedByParents, "floors of parents"),
    (Mutant::LowMarkRaisedToCursor, "floors of keys, wide rows"),
    (Mutant::ForgottenUpToCursor, "restart, write"),
    (Mutant::PollTimelineIgnored, "failover, write"),
    (Mutant::PollNonceIgnored, "silent restore"),
    (Mutant::PollPruningIgnored, "restart, write"),
    (Mutant::PollBelievedBeforeTimelineIsOpen, "failover, write"),
    (Mutant::ResyncWithoutGeneration, "restart, write"),
    (Mutant::ResyncWithoutLowMark, "restart, write"),
    (Mutant::ResyncForgetsOwnWrites, "own writes, pruning"),
    (Mutant::ResyncForgetsOwnWrites, "own writes, failover"),
    (Mutant::ProofFromReplica, "failover, replicas"),
    (Mutant::ProofWithoutOutbox, "changes"),
    (Mutant::ProofBeforeTimelineIsOpen, "failover, write"),
    (Mutant::ProofBeforeHeadIsReached, "changes"),
    (Mutant::ProofWithoutNonce, "silent restore"),
    (Mutant::AsOfFromReplica, "failover, replicas"),
    (Mutant::CheckpointWithoutFloors, "restart, write"),
    (Mutant::CheckpointWithoutLowMark, "restart, write"),
    (Mutant::CheckpointOfAnyTimeline, "failover, restart"),
    (Mutant::CheckpointOfAnyHist, "restore, restart"),
    (Mutant::HintRaisesTheLogsFloor, "failover, hints"),
    (Mutant::HintDropsTheLogsFloor, "own writes, hints"),
    (Mutant::OwnWriteTimesOut, "own writes, hints"),
    (Mutant::VersionsWithoutTimeline, "failover, two writes"),
    (Mutant::VersionsOfTheLogsTimeline, "failover, two writes"),
    (Mutant::RestoreWithoutNewHist, "restore, L2"),
    (Mutant::JoinedAfterInvalidation, "joins, floors"),
    (Mutant::JoinedAcrossResync, "joins, pruning"),
    (Mutant::JoinedByFloor, "joins, floors"),
    (Mutant::JoinedAndLandedUnchecked, "joins"),
];

/// Rules that others make unnecessary for safety, with the exploration that shows it.
pub(crate) const HARMLESS: &[(Mutant, &str)] = &[
    // An old hint only costs fetches until it times out.
    (Mutant::HintOfAnyTimeline, "failover, hints"),
    // Who joins late gets nothing that is not admitted when it lands; and who was there before the record may have what was refused.
    (Mutant::JoinedAfterInvalidation, "joins"),
    (Mutant::LandedUnchecked, "joins"),
];
