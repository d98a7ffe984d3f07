//! Who works on which jobs: one node on what the nodes share, by a lease; each node on its own tiers.
//!
//! A job goes on from what the database says of it, whoever ran it before: of a step that was not written the tiers hold what was put, and
//! the next runner finds it there.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::{Either, join, select};
use hotshelf_model::{ClusterLeases, Error, LeaseToken, WarmJob, WarmPart, WarmState};
use tokio::time::{Instant, sleep};

use crate::warmer::Warmer;

const LEASE: &str = "warm";
/// Another node takes over when the runner was not heard for so long.
const LEASE_TTL: Duration = Duration::from_secs(4);
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// How often a node looks for jobs.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A node that was not seen for so long is not waited for.
const GONE_AFTER: Duration = Duration::from_secs(15);
/// Who says that a job is done.
const RUNNER: &str = "runner";

impl Warmer {
    /// Works on jobs until the task is aborted.
    pub async fn run(self) {
        let shared = async {
            loop {
                if let Err(error) = self.run_shared().await {
                    tracing::debug!(?error, "a warm-up waits for the database");
                }
                sleep(LOOK_EVERY).await;
            }
        };
        let own = async {
            loop {
                if let Err(error) = self.run_own().await {
                    tracing::debug!(?error, "a warm-up of this node waits for the database");
                }
                sleep(LOOK_EVERY).await;
            }
        };
        join::<_, _>(Box::pin(shared), Box::pin(own)).await.0
    }

    async fn running(&self) -> Result<Vec<WarmJob>, Error> {
        let mut jobs = self.parts().jobs.jobs(true).await?;
        jobs.retain(|job| job.state == WarmState::Running);
        jobs.reverse();
        Ok(jobs)
    }

    /// Runs the jobs that there are, if this node gets the lease.
    async fn run_shared(&self) -> Result<(), Error> {
        if self.running().await?.is_empty() {
            return Ok(());
        }
        let Some(leases) = &self.parts().leases else {
            return self.work_shared().await;
        };
        let Some(token) = leases.acquire(LEASE, LEASE_TTL).await? else {
            return Ok(());
        };
        let work = Box::pin(self.work_shared());
        let lost = Box::pin(keep(leases.as_ref(), token));
        match select(work, lost).await {
            Either::Left((outcome, _)) => {
                leases.release(LEASE, token).await?;
                outcome
            }
            // Somebody else may run it from now on.
            Either::Right(((), _)) => Ok(()),
        }
    }

    /// Works until no job is running.
    async fn work_shared(&self) -> Result<(), Error> {
        loop {
            let jobs = self.running().await?;
            if jobs.is_empty() {
                return Ok(());
            }
            for job in &jobs {
                if job.tiers.l2 {
                    let mut part = self.part(job, "");
                    self.advance(job, &mut part, job.ids).await?;
                }
            }
            for job in self.running().await? {
                if self.is_done(&job).await? {
                    let jobs = &self.parts().jobs;
                    jobs.change(job.id, WarmState::Done, RUNNER).await?;
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Whether every part is done, of nodes that are there or were named.
    async fn is_done(&self, job: &WarmJob) -> Result<bool, Error> {
        let has_done = |node: &str| {
            let mut parts = job.parts.iter();
            parts.any(|part| part.node == node && part.cursor >= job.ids)
        };
        if job.tiers.l2 && !has_done("") {
            return Ok(false);
        }
        if !job.tiers.on_nodes() {
            return Ok(true);
        }
        let wanted: BTreeSet<String> = if job.nodes.is_empty() {
            let known = self.parts().nodes.nodes().await?.into_iter();
            let there = known.filter(|node| node.seen < GONE_AFTER);
            let working = job.parts.iter();
            let working = working.filter(|part| !part.node.is_empty() && part.seen < GONE_AFTER);
            there
                .map(|node| node.facts.name)
                .chain(working.map(|part| part.node.clone()))
                .chain([self.parts().node.clone()])
                .collect()
        } else {
            job.nodes.iter().cloned().collect()
        };
        Ok(wanted.iter().all(|node| has_done(node)))
    }

    /// Fills this node's own tiers, as far as what the nodes share is filled.
    async fn run_own(&self) -> Result<(), Error> {
        let node = &self.parts().node;
        for job in self.running().await? {
            let is_named = job.nodes.is_empty() || job.nodes.contains(node);
            if !job.tiers.on_nodes() || !is_named {
                continue;
            }
            let shared = || {
                let mut parts = job.parts.iter();
                let shared = parts.find(|part| part.node.is_empty());
                shared.map_or(0, |part| part.cursor)
            };
            let until = if job.tiers.l2 { shared() } else { job.ids };
            let mut part = self.part(&job, node);
            if part.cursor < until {
                self.advance(&job, &mut part, until).await?;
            }
        }
        Ok(())
    }

    /// A part as it was last written, worked on by this process from now on. What another process of this node has put to its L1 is gone.
    fn part(&self, job: &WarmJob, node: &str) -> WarmPart {
        let process = &self.parts().process;
        let is_gone = |part: &WarmPart| !node.is_empty() && job.tiers.l1 && part.runner != *process;
        let mut parts = job.parts.iter();
        let written = parts.find(|part| part.node == node && !is_gone(part));
        WarmPart {
            node: node.to_owned(),
            runner: process.clone(),
            ..written.cloned().unwrap_or_default()
        }
    }
}

/// Renews a lease until it is lost: given to another, or not renewed in its time.
async fn keep(leases: &dyn ClusterLeases, token: LeaseToken) {
    let mut renewed = Instant::now();
    while renewed.elapsed() + RENEW_EVERY < LEASE_TTL {
        sleep(RENEW_EVERY).await;
        let sent = Instant::now();
        let left = LEASE_TTL.saturating_sub(renewed.elapsed());
        match tokio::time::timeout(left, leases.renew(LEASE, token, LEASE_TTL)).await {
            Ok(Ok(true)) => renewed = sent,
            Ok(Ok(false)) => return,
            Ok(Err(_)) | Err(_) => {}
        }
    }
}
