//! How far the tiers of this node hold what a job has warmed, looked at a stretch at a time.

use std::time::Duration;

use hotshelf_engine::TierCoverage;
use hotshelf_model::{Error, Id, Variant, WarmJob};

use crate::plan::STATEMENT;
use crate::warmer::Warmer;

/// Keys of one stretch.
const STRETCH: usize = 2000;
const PATIENCE: Duration = Duration::from_secs(5);

/// Which of a job's ids to look at.
#[derive(Clone, Copy, Debug)]
pub struct CoverageAsked {
    /// The place of the first.
    pub from: u64,
    /// Each so-manieth, at least 1.
    pub step: u64,
}

/// What the tiers of this node hold of some keys of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Keys that were looked at.
    pub keys: u64,
    /// Keys left out, because there is no product of their id.
    pub absent: u64,
    /// Each tier of this node, in the order of a read.
    pub tiers: Vec<TierCoverage>,
    /// Where the next stretch begins; `None` at the end.
    pub next: Option<u64>,
}

impl Coverage {
    fn add(&mut self, tiers: Vec<TierCoverage>) {
        for one in tiers {
            match self.tiers.iter_mut().find(|sum| sum.tier == one.tier) {
                None => self.tiers.push(one),
                Some(sum) => {
                    sum.current += one.current;
                    sum.outdated += one.outdated;
                    sum.missing += one.missing;
                    sum.unavailable += one.unavailable;
                }
            }
        }
    }
}

impl Warmer {
    /// Looks at a stretch of a job's ids, at most some thousand keys. It is no read and changes nothing.
    ///
    /// # Errors
    /// `OriginFailed` and `OriginTimeout` when the database does not say the versions.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn coverage(&self, job: &WarmJob, asked: CoverageAsked) -> Result<Coverage, Error> {
        let ids_max = (STRETCH / job.variants.len().max(1)).max(1);
        let (ids, next) = self.stretch(job, asked, ids_max).await?;
        let mut coverage = Coverage {
            next: next.filter(|&next| next < job.ids),
            ..Coverage::default()
        };
        let variants = job.variants.iter().filter_map(|text| Variant::parse(text));
        let variants: Vec<Variant> = variants.collect();
        let there = match self.parts().finders.get(&job.namespace) {
            None => ids,
            Some(finder) => {
                let exist = finder.exist(&ids).await?;
                let pairs = ids.into_iter().zip(exist);
                let (there, absent): (Vec<_>, Vec<_>) = pairs.partition(|(_, there)| *there);
                coverage.absent = count(absent.len() * variants.len());
                there.into_iter().map(|(id, _)| id).collect()
            }
        };
        for variant in &variants {
            for ids in there.chunks(STATEMENT) {
                let cache = &self.parts().cache;
                let tiers = cache.coverage(&job.namespace, variant, ids, PATIENCE);
                coverage.add(tiers.await?);
                coverage.keys += count(ids.len());
            }
        }
        Ok(coverage)
    }

    /// The ids of a stretch, and the place of the one after it.
    async fn stretch(
        &self,
        job: &WarmJob,
        asked: CoverageAsked,
        ids_max: usize,
    ) -> Result<(Vec<Id>, Option<u64>), Error> {
        let mut ids = Vec::new();
        let (mut at, mut start, mut piece) = (asked.from, asked.from, Vec::new());
        while ids.len() < ids_max {
            let place = usize::try_from(at - start).unwrap_or(usize::MAX);
            if place >= piece.len() {
                start = at;
                piece = self.parts().jobs.ids(job.id, at).await?;
                if piece.is_empty() {
                    return Ok((ids, None));
                }
                continue;
            }
            ids.push(piece[place].clone());
            at += asked.step.max(1);
        }
        Ok((ids, Some(at)))
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
