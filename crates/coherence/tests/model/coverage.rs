//! Which branches of the protocol an exploration took, so that one that never takes them is not called safe.

use std::sync::atomic::{AtomicU64, Ordering};

use hotshelf_coherence::{Admission, Place, PollStep, Refusal, ResyncReason};

use crate::actions::Tier;
use crate::node::Flight;

/// A branch that some exploration has to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Branch {
    FreshFromL2,
    FreshFromL3,
    FreshFromOrigin,
    FreshFromReplica,
    FreshByRevalidation,
    SuspectInTier,
    SuspectAtLanding,
    DeadInTier,
    DeadAtLanding,
    Unchanged,
    VersionChanged,
    ParentChanged,
    ParentsLive,
    ParentsDead,
    RowAhead,
    RowForeign,
    RowOfNewTimeline,
    PollIgnored,
    ResyncPruned,
    ResyncTimeline,
    OtherHistory,
    LostHistory,
    HistRenewed,
    HintExpired,
    WentOnFromCheckpoint,
    StartedAnew,
    JoinRefused,
    LastAttempt,
}

impl Branch {
    pub(crate) const ALL: [Branch; 28] = [
        Branch::FreshFromL2,
        Branch::FreshFromL3,
        Branch::FreshFromOrigin,
        Branch::FreshFromReplica,
        Branch::FreshByRevalidation,
        Branch::SuspectInTier,
        Branch::SuspectAtLanding,
        Branch::DeadInTier,
        Branch::DeadAtLanding,
        Branch::Unchanged,
        Branch::VersionChanged,
        Branch::ParentChanged,
        Branch::ParentsLive,
        Branch::ParentsDead,
        Branch::RowAhead,
        Branch::RowForeign,
        Branch::RowOfNewTimeline,
        Branch::PollIgnored,
        Branch::ResyncPruned,
        Branch::ResyncTimeline,
        Branch::OtherHistory,
        Branch::LostHistory,
        Branch::HistRenewed,
        Branch::HintExpired,
        Branch::WentOnFromCheckpoint,
        Branch::StartedAnew,
        Branch::JoinRefused,
        Branch::LastAttempt,
    ];
}

/// The branches taken so far, by every exploration of a run. Beside the state, so that it does not multiply the states.
#[derive(Debug, Default)]
pub(crate) struct Coverage(AtomicU64);

impl Coverage {
    pub(crate) fn reached(&self, branch: Branch) {
        let bit = 1 << branch as u32;
        // Relaxed: bits are only ever added, and read when the explorers have ended. The load keeps the line shared.
        if self.0.load(Ordering::Relaxed) & bit == 0 {
            self.0.fetch_or(bit, Ordering::Relaxed);
        }
    }

    pub(crate) fn reached_if(&self, is_so: bool, branch: Branch) {
        if is_so {
            self.reached(branch);
        }
    }

    pub(crate) fn has(&self, branch: Branch) -> bool {
        self.0.load(Ordering::Relaxed) & 1 << branch as u32 != 0
    }

    pub(crate) fn admitted(&self, tier: Tier, admission: Admission) {
        self.reached(match (admission, tier) {
            (Admission::Fresh, Tier::L3) => Branch::FreshFromL3,
            (Admission::Fresh, Tier::L1 | Tier::L2) => Branch::FreshFromL2,
            (Admission::Suspect, _) => Branch::SuspectInTier,
            (Admission::Refused(Refusal::Dead | Refusal::Expired), _) => Branch::DeadInTier,
        });
    }

    pub(crate) fn rechecked(&self, admission: Admission) {
        match admission {
            Admission::Fresh => self.reached(Branch::ParentsLive),
            Admission::Refused(_) => self.reached(Branch::ParentsDead),
            Admission::Suspect => {}
        }
    }

    pub(crate) fn landed(&self, flight: &Flight, admission: Admission) {
        self.reached(match admission {
            Admission::Fresh if flight.is_revalidation => Branch::FreshByRevalidation,
            Admission::Fresh if flight.as_of == 0 => Branch::FreshFromReplica,
            Admission::Fresh => Branch::FreshFromOrigin,
            Admission::Suspect => Branch::SuspectAtLanding,
            Admission::Refused(_) => Branch::DeadAtLanding,
        });
    }

    pub(crate) fn placed(&self, place: Place) {
        match place {
            Place::Next | Place::Behind => {}
            Place::Ahead => self.reached(Branch::RowAhead),
            Place::Foreign => self.reached(Branch::RowForeign),
            Place::NewTimeline => self.reached(Branch::RowOfNewTimeline),
        }
    }

    pub(crate) fn stepped(&self, step: PollStep) {
        match step {
            PollStep::UpToDate | PollStep::Behind | PollStep::Resync(ResyncReason::Start) => {}
            PollStep::Ignored => self.reached(Branch::PollIgnored),
            PollStep::Resync(ResyncReason::Pruned) => self.reached(Branch::ResyncPruned),
            PollStep::Resync(ResyncReason::Timeline) => self.reached(Branch::ResyncTimeline),
            PollStep::OtherHistory => self.reached(Branch::OtherHistory),
            PollStep::LostHistory => self.reached(Branch::LostHistory),
        }
    }
}
