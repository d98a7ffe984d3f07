//! The engine's metric handles, taken once.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hotshelf_coherence::{Admission, Refusal};
use hotshelf_model::{
    Kind, Lookup, MissReason, PutOutcome, ReadOutcome, TierName, UnavailableReason,
};
use hotshelf_telemetry::{Counter, Gauge, Histogram, metric};

use crate::answer::{Answer, Freshness};

/// One L1 hit in so many is timed: the histogram costs more than the hit's other bookkeeping together.
const L1_SAMPLE: u32 = 64;

const LOOKUPS: [&str; 4] = ["hit", "absent", "miss", "unavailable"];
const PUTS: [&str; 4] = ["stored", "fenced", "declined", "unavailable"];
const ADMISSIONS: [Admission; 4] = [
    Admission::Fresh,
    Admission::Suspect,
    Admission::Refused(Refusal::Expired),
    Admission::Refused(Refusal::Dead),
];

/// A count as gauges take it.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge needs no more than 53 bits"
)]
pub(crate) fn gauge(count: u64) -> f64 {
    count as f64
}

#[derive(Debug)]
struct TierCounters {
    reads: [Counter; 4],
    read_seconds: Histogram,
    lookups: [Counter; 4],
    lookup_seconds: Histogram,
    misses: [Counter; 4],
    unavailable: [Counter; 4],
    puts: [Counter; 4],
    admissions: [Counter; 4],
}

impl TierCounters {
    fn new(tier: TierName) -> Self {
        let tier = ("tier", tier.as_str());
        TierCounters {
            reads: ReadOutcome::ALL
                .map(|outcome| metric::READS.counter(&[tier, ("outcome", outcome.as_str())])),
            read_seconds: metric::READ_SECONDS.histogram(&[tier]),
            lookups: LOOKUPS.map(|outcome| metric::LOOKUPS.counter(&[tier, ("outcome", outcome)])),
            lookup_seconds: metric::LOOKUP_SECONDS.histogram(&[tier]),
            misses: MissReason::ALL
                .map(|reason| metric::MISSES.counter(&[tier, ("reason", reason.as_str())])),
            unavailable: UnavailableReason::ALL
                .map(|reason| metric::UNAVAILABLE.counter(&[tier, ("reason", reason.as_str())])),
            puts: PUTS.map(|outcome| metric::PUTS.counter(&[tier, ("outcome", outcome)])),
            admissions: ADMISSIONS
                .map(|verdict| metric::ADMISSIONS.counter(&[tier, ("verdict", verdict.as_str())])),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Counters {
    tiers: [TierCounters; 4],
    l1_hits: AtomicU32,
    stale_seconds: Histogram,
    pub(crate) refreshes_started: Counter,
    pub(crate) refreshes_skipped: Counter,
    /// Of attempts of the keeper for a copy, and for a document to come: those that brought it, and those that did not.
    pub(crate) kept: [[Counter; 2]; 2],
    pub(crate) flips: Counter,
    pub(crate) leases: LeaseCounters,
    pub(crate) entries: [Gauge; 2],
    pub(crate) bytes: [Gauge; 2],
}

#[derive(Debug)]
pub(crate) struct LeaseCounters {
    pub(crate) acquired: Counter,
    pub(crate) held: Counter,
    pub(crate) waited: Counter,
    pub(crate) expired: Counter,
    pub(crate) overdue: Counter,
    pub(crate) unavailable: Counter,
}

fn index(tier: TierName) -> usize {
    match tier {
        TierName::L1 => 0,
        TierName::L2 => 1,
        TierName::L3 => 2,
        TierName::Origin => 3,
    }
}

impl Counters {
    pub(crate) fn new() -> Self {
        let lease = |outcome: &'static str| metric::LEASES.counter(&[("outcome", outcome)]);
        let l1 = ["l1", "l1_absent"];
        let refresh = |outcome: &'static str| metric::REFRESHES.counter(&[("outcome", outcome)]);
        Counters {
            tiers: TierName::ALL.map(TierCounters::new),
            l1_hits: AtomicU32::new(0),
            stale_seconds: metric::STALE_SECONDS.histogram(&[]),
            refreshes_started: refresh("started"),
            refreshes_skipped: refresh("skipped"),
            kept: ["copy", "next"].map(|lack| {
                ["kept", "failed"].map(|outcome| {
                    metric::HOT_KEEPS.counter(&[("lack", lack), ("outcome", outcome)])
                })
            }),
            flips: metric::HOT_FLIPS.counter(&[]),
            leases: LeaseCounters {
                acquired: lease("acquired"),
                held: lease("held"),
                waited: lease("waited"),
                expired: lease("expired"),
                overdue: lease("overdue"),
                unavailable: lease("unavailable"),
            },
            entries: l1.map(|tier| metric::ENTRIES.gauge(&[("tier", tier)])),
            bytes: l1.map(|tier| metric::BYTES.gauge(&[("tier", tier)])),
        }
    }

    /// Counts a read that L1 answered; says whether this one is to be timed.
    #[inline]
    pub(crate) fn l1_hit(&self, answer: &Answer) -> bool {
        let l1 = &self.tiers[0];
        l1.reads[self.outcome(answer)].increment(1);
        l1.lookups[usize::from(answer.kind() == Kind::Absent)].increment(1);
        // Relaxed, and not exact under contention: it only chooses a sample.
        let count = self.l1_hits.load(Ordering::Relaxed).wrapping_add(1);
        self.l1_hits.store(count, Ordering::Relaxed);
        count.is_multiple_of(L1_SAMPLE)
    }

    pub(crate) fn l1_miss(&self) {
        self.tiers[0].lookups[2].increment(1);
    }

    pub(crate) fn l1_seconds(&self, took: Duration) {
        self.tiers[0].read_seconds.record(took.as_secs_f64());
    }

    /// Counts the answer to a read that L1 could not answer.
    pub(crate) fn read(&self, answer: &Answer, took: Duration) {
        let tier = &self.tiers[index(answer.tier)];
        tier.reads[self.outcome(answer)].increment(1);
        tier.read_seconds.record(took.as_secs_f64());
    }

    /// The place of an answer's outcome in `ReadOutcome::ALL`; notes how stale it is.
    #[inline]
    fn outcome(&self, answer: &Answer) -> usize {
        if let Freshness::Stale { by } = answer.freshness {
            self.stale_seconds.record(by.as_secs_f64());
        }
        answer.outcome() as usize
    }

    /// Counts a read without an answer.
    pub(crate) fn read_failed(&self) {
        self.tiers[index(TierName::Origin)].reads[3].increment(1);
    }

    pub(crate) fn lookup(&self, tier: TierName, lookup: &Lookup) {
        let tier = &self.tiers[index(tier)];
        match lookup {
            Lookup::Hit(_) => tier.lookups[0].increment(1),
            Lookup::Absent(_) => tier.lookups[1].increment(1),
            Lookup::Miss(reason) => {
                tier.lookups[2].increment(1);
                let at = MissReason::ALL
                    .iter()
                    .position(|candidate| candidate == reason);
                tier.misses[at.unwrap_or_default()].increment(1);
            }
            Lookup::Unavailable(reason) => {
                tier.lookups[3].increment(1);
                let at = UnavailableReason::ALL
                    .iter()
                    .position(|candidate| candidate == reason);
                tier.unavailable[at.unwrap_or_default()].increment(1);
            }
        }
    }

    pub(crate) fn lookup_seconds(&self, tier: TierName, took: Duration) {
        self.tiers[index(tier)]
            .lookup_seconds
            .record(took.as_secs_f64());
    }

    pub(crate) fn put(&self, tier: TierName, outcome: PutOutcome) {
        let at = match outcome {
            PutOutcome::Stored => 0,
            PutOutcome::Fenced => 1,
            PutOutcome::Declined => 2,
            PutOutcome::Unavailable(_) => 3,
        };
        self.tiers[index(tier)].puts[at].increment(1);
    }

    pub(crate) fn admission(&self, tier: TierName, admission: Admission) {
        let at = ADMISSIONS
            .iter()
            .position(|candidate| *candidate == admission);
        self.tiers[index(tier)].admissions[at.unwrap_or_default()].increment(1);
    }
}
