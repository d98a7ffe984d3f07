//! The handle by which the rest of a node asks for warm-ups.

use std::collections::HashMap;
use std::sync::Arc;

use hotshelf_engine::Cache;
use hotshelf_model::{
    Clock, ClusterLeases, ClusterNodes, Error, ErrorKind, NamespaceName, NewWarmJob, ProductFinder,
    WarmChange, WarmJob, WarmJobId, WarmJobs, WarmState,
};

use crate::wish::WarmWish;

/// What an operator decides about warm-ups.
#[derive(Clone, Copy, Debug)]
pub struct WarmSettings {
    /// Ids of one job at most.
    pub ids_max: usize,
    /// Keys that a runner warms in a second at most.
    pub keys_per_second_max: u32,
    /// Statements that the origin budget lets a warm-up have at once, at best; for estimates.
    pub statements_at_once: usize,
}

/// What a [`Warmer`] works with.
#[derive(Debug)]
pub struct WarmParts {
    /// What is filled.
    pub cache: Cache,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where jobs are kept.
    pub jobs: Arc<dyn WarmJobs>,
    /// The namespaces whose products can be looked for.
    pub finders: HashMap<NamespaceName, Arc<dyn ProductFinder>>,
    /// Who runs what the nodes share; `None` where there is one node.
    pub leases: Option<Arc<dyn ClusterLeases>>,
    /// Which nodes there are.
    pub nodes: Arc<dyn ClusterNodes>,
    /// What this node is called.
    pub node: String,
    /// What this process is called: another one of the node has another name, and nothing of what this one holds in L1.
    pub process: String,
    /// The bounds.
    pub settings: WarmSettings,
}

/// Plans, starts and runs warm-ups. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Warmer(Arc<WarmParts>);

impl Warmer {
    /// Runs nothing until [`Warmer::run`].
    pub fn new(parts: WarmParts) -> Self {
        Warmer(Arc::new(parts))
    }

    /// What this node is called.
    pub fn node(&self) -> &str {
        &self.0.node
    }

    pub(crate) fn parts(&self) -> &WarmParts {
        &self.0
    }

    /// Makes a wish a job, which begins within a second on whichever node runs jobs.
    ///
    /// # Errors
    /// `Invalid` for a wish that comes to no id, or to too many, or whose condition the database does not take; `OriginFailed` and
    /// `OriginTimeout` when nothing, or nothing that is known of, was kept.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether the job was kept.
    pub async fn start(&self, wish: &WarmWish, who: &str) -> Result<WarmJobId, Error> {
        self.check(wish)?;
        let job = NewWarmJob {
            namespace: wish.namespace.clone(),
            variants: wish
                .variants
                .iter()
                .map(|variant| variant.as_str().to_owned())
                .collect(),
            tiers: wish.tiers,
            nodes: wish.nodes.clone(),
            ids: self.resolve(wish).await?,
            source: wish.words(),
            who: who.to_owned(),
        };
        self.0.jobs.create(&job).await
    }

    pub(crate) fn check(&self, wish: &WarmWish) -> Result<(), Error> {
        let invalid = |context: &str| Err(Error::new(ErrorKind::Invalid, context));
        if wish.tiers.l2 && !self.0.cache.tiers().l2 {
            return invalid("this node has no l2; leave it out of `tiers`");
        }
        if wish.tiers.words().is_empty() {
            return invalid("`tiers` names no tier; there are l1, l2 and l3");
        }
        if self.0.cache.namespace(wish.namespace.as_str()).is_none() {
            return invalid("there is no such namespace");
        }
        Ok(())
    }

    /// Every job that is remembered, the newest first.
    ///
    /// # Errors
    /// `OriginFailed` and `OriginTimeout`.
    pub async fn jobs(&self) -> Result<Vec<WarmJob>, Error> {
        self.0.jobs.jobs(false).await
    }

    /// A job.
    ///
    /// # Errors
    /// `OriginFailed` and `OriginTimeout`.
    pub async fn job(&self, id: WarmJobId) -> Result<Option<WarmJob>, Error> {
        Ok(self.jobs().await?.into_iter().find(|job| job.id == id))
    }

    /// Pauses, resumes or cancels a job; who runs it hears of it with its next step.
    ///
    /// # Errors
    /// `OriginFailed` and `OriginTimeout`.
    pub async fn change(
        &self,
        id: WarmJobId,
        state: WarmState,
        who: &str,
    ) -> Result<WarmChange, Error> {
        self.0.jobs.change(id, state, who).await
    }
}
