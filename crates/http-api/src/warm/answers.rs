//! What is answered of warm-ups.

use hotshelf_model::{WarmJob, WarmPart};
use hotshelf_warm::{Coverage, WarmPlan};
use serde::Serialize;
use utoipa::ToSchema;

/// What a tier would need.
#[derive(Serialize, ToSchema)]
#[schema(as = WarmTierPlan)]
pub(crate) struct TierPlanBody {
    /// `l1`, `l2` or `l3`; of `l1` and `l3` those of the node that was asked.
    tier: &'static str,
    /// Bytes that the documents would take, estimated from a sample.
    bytes: u64,
    /// Bytes that the tier holds at most, if it is bounded.
    bytes_max: Option<u64>,
    /// Bytes that it holds now, in part perhaps of the same documents.
    bytes_held: Option<u64>,
    /// Bytes that the documents would take beyond its bound.
    bytes_short: u64,
}

/// What a warm-up would take.
#[derive(Serialize, ToSchema)]
#[schema(as = WarmPlan)]
pub(crate) struct PlanBody {
    /// Whether every tier that is to be filled has the room.
    fits: bool,
    /// What would make it fit.
    advice: Vec<String>,
    /// Ids that the wish comes to.
    ids: u64,
    /// Of these, products that there are.
    found: u64,
    /// Of these, ids without a product.
    missing: u64,
    /// The first of them.
    missing_ids: Vec<String>,
    /// Whether `found` and `missing` were counted in the database, and not estimated from the sample.
    counted: bool,
    /// Documents of the sample.
    sampled: u64,
    tiers: Vec<TierPlanBody>,
    /// Documents that are read from the database at most; fewer if a tier holds some already.
    database_documents: u64,
    /// Statements that this takes.
    database_statements: u64,
    /// How long it takes at the allowed rate, estimated.
    time_ms: u64,
}

impl PlanBody {
    pub(super) fn of(plan: &WarmPlan) -> Self {
        let tiers = plan.tiers.iter().map(|tier| TierPlanBody {
            tier: tier.tier.as_str(),
            bytes: tier.bytes,
            bytes_max: tier.bytes_max,
            bytes_held: tier.bytes_held,
            bytes_short: tier.bytes_short,
        });
        PlanBody {
            fits: plan.fits,
            advice: plan.advice.clone(),
            ids: plan.ids,
            found: plan.found,
            missing: plan.missing,
            missing_ids: plan
                .missing_ids
                .iter()
                .map(|id| id.as_str().to_owned())
                .collect(),
            counted: plan.counted,
            sampled: plan.sampled,
            tiers: tiers.collect(),
            database_documents: plan.reads,
            database_statements: plan.statements,
            time_ms: u64::try_from(plan.time.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// A job that was started.
#[derive(Serialize, ToSchema)]
#[schema(as = WarmStarted)]
pub(crate) struct StartedBody {
    /// Its number.
    pub(super) job: u64,
}

/// A part of a job.
#[derive(Serialize, ToSchema)]
#[schema(as = WarmPart)]
pub(crate) struct PartBody {
    /// The node whose own tiers it fills; absent in the part that the nodes share.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    /// Ids that are done.
    done: u64,
    /// Keys that a tier lacked and got.
    filled: u64,
    /// Keys of which every tier held a current copy.
    held: u64,
    /// Keys without a product.
    absent: u64,
    /// Keys that were given up.
    failed: u64,
    /// Documents read from the database.
    fetched: u64,
    /// Keys per second lately.
    keys_per_second: f64,
    /// Whether it works slower than it could, because readers or the database need the room.
    yielding: bool,
    /// Why it does not get on.
    #[serde(skip_serializing_if = "String::is_empty")]
    trouble: String,
    /// The node that works on it.
    runner: String,
    /// Milliseconds since it was last heard of.
    seen_ms_ago: u64,
}

impl PartBody {
    fn of(part: &WarmPart) -> Self {
        PartBody {
            node: Some(part.node.clone()).filter(|node| !node.is_empty()),
            done: part.cursor,
            filled: part.counts.filled,
            held: part.counts.held,
            absent: part.counts.absent,
            failed: part.counts.failed,
            fetched: part.counts.fetched,
            keys_per_second: part.rate,
            yielding: part.yielding,
            trouble: part.trouble.clone(),
            runner: part.runner.clone(),
            seen_ms_ago: u64::try_from(part.seen.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// A warm-up.
#[derive(Serialize, ToSchema)]
#[schema(as = WarmJob)]
pub(crate) struct JobBody {
    /// Its number.
    job: u64,
    /// `running`, `paused`, `cancelled` or `done`.
    state: &'static str,
    namespace: String,
    /// The variants of each id, as keys write them.
    variants: Vec<String>,
    tiers: Vec<&'static str>,
    /// The nodes whose own tiers are filled; all when empty.
    nodes: Vec<String>,
    /// How many ids it has.
    ids: u64,
    /// Where they came from.
    source: String,
    /// Who asked for it.
    who: String,
    /// When, in milliseconds since 1970.
    created_ms: u64,
    /// When its state last changed.
    changed_ms: u64,
    /// Who changed it.
    changed_by: String,
    /// Its parts that somebody has begun.
    parts: Vec<PartBody>,
}

impl JobBody {
    pub(super) fn of(job: &WarmJob) -> Self {
        JobBody {
            job: job.id,
            state: job.state.as_str(),
            namespace: job.namespace.as_str().to_owned(),
            variants: job.variants.clone(),
            tiers: job.tiers.words(),
            nodes: job.nodes.clone(),
            ids: job.ids,
            source: job.source.clone(),
            who: job.who.clone(),
            created_ms: job.created.0,
            changed_ms: job.changed.0,
            changed_by: job.changed_by.clone(),
            parts: job.parts.iter().map(PartBody::of).collect(),
        }
    }
}

/// The warm-ups that are remembered.
#[derive(Serialize, ToSchema)]
#[schema(as = WarmJobs)]
pub(crate) struct JobsBody {
    /// The newest first.
    pub(super) jobs: Vec<JobBody>,
}

/// What a tier holds.
#[derive(Serialize, ToSchema)]
#[schema(as = WarmTierCoverage)]
pub(crate) struct TierCoverageBody {
    tier: &'static str,
    /// Copies of the version that the database has recorded, which a reader would be given.
    current: u64,
    /// Copies that are too old, or of another version.
    outdated: u64,
    /// Keys without a copy.
    missing: u64,
    /// Keys about which the tier could not be asked.
    unavailable: u64,
}

/// What the tiers of a node hold.
#[derive(Serialize, ToSchema)]
#[schema(as = WarmCoverage)]
pub(crate) struct CoverageBody {
    /// The node that answers.
    node: String,
    /// Keys that were looked at.
    keys: u64,
    /// Keys left out, because there is no product of their id.
    absent: u64,
    tiers: Vec<TierCoverageBody>,
    /// Where the next stretch begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

impl CoverageBody {
    pub(super) fn of(coverage: &Coverage, node: &str) -> Self {
        let tiers = coverage.tiers.iter().map(|tier| TierCoverageBody {
            tier: tier.tier.as_str(),
            current: tier.current,
            outdated: tier.outdated,
            missing: tier.missing,
            unavailable: tier.unavailable,
        });
        CoverageBody {
            node: node.to_owned(),
            keys: coverage.keys,
            absent: coverage.absent,
            tiers: tiers.collect(),
            next: coverage.next,
        }
    }
}
