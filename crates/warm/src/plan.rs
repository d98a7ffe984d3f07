//! What a warm-up would take, and whether it fits, before the first of its reads is made.
//!
//! Bytes and time are estimated from the documents of a sample, which are fetched in the warm class: ids at equal distances.

use std::time::Duration;

use hotshelf_engine::Sample;
use hotshelf_model::{Error, Id, TierName, Variant};

use crate::warmer::Warmer;
use crate::wish::WarmWish;

/// Ids of a sample, which share a statement.
const SAMPLE: usize = 200;
/// Documents of one statement, as the engine asks for them.
pub(crate) const STATEMENT: usize = 200;
/// Missing ids that are named.
const NAMED: usize = 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// What a tier would need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierPlan {
    /// Which tier; of L1 and L3 that of the node that was asked.
    pub tier: TierName,
    /// Bytes that the documents would take, estimated.
    pub bytes: u64,
    /// Bytes that it holds at most; `None` without a bound that it could tell.
    pub bytes_max: Option<u64>,
    /// Bytes that it holds now, in part perhaps of the same documents.
    pub bytes_held: Option<u64>,
    /// Bytes that the documents would take beyond its bound.
    pub bytes_short: u64,
}

/// What a warm-up would take.
#[derive(Clone, Debug, PartialEq)]
pub struct WarmPlan {
    /// Ids that the wish comes to.
    pub ids: u64,
    /// Of these, products that there are.
    pub found: u64,
    /// Of these, ids without a product.
    pub missing: u64,
    /// The first of them.
    pub missing_ids: Vec<Id>,
    /// Whether `found` and `missing` were counted in the database, and not estimated from the sample.
    pub counted: bool,
    /// Documents of the sample.
    pub sampled: u64,
    /// Bytes of a document in L1 on average, with what it takes beside itself.
    pub tiers: Vec<TierPlan>,
    /// Documents that are read from the database at most; fewer if a tier holds some already.
    pub reads: u64,
    /// Statements that they take.
    pub statements: u64,
    /// How long that takes at the allowed rate, estimated.
    pub time: Duration,
    /// Whether every tier that is to be filled has the room.
    pub fits: bool,
    /// What would make it fit; empty when it does.
    pub advice: Vec<String>,
}

impl Warmer {
    /// Says what a wish would take.
    ///
    /// # Errors
    /// As [`Warmer::start`], and when no document of the sample could be had.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn plan(&self, wish: &WarmWish) -> Result<WarmPlan, Error> {
        self.check(wish)?;
        let ids = self.resolve(wish).await?;
        let exist = match self.parts().finders.get(&wish.namespace) {
            Some(finder) => Some(finder.exist(&ids).await?),
            None => None,
        };
        let mut missing_ids = Vec::new();
        let there: Vec<&Id> = match &exist {
            None => ids.iter().collect(),
            Some(exist) => {
                let pairs = ids.iter().zip(exist);
                let (there, missing): (Vec<_>, Vec<_>) = pairs.partition(|(_, there)| **there);
                missing_ids.extend(missing.into_iter().map(|(id, _)| id.clone()));
                there.into_iter().map(|(id, _)| id).collect()
            }
        };
        let counted = exist.is_some();
        let mut plan = WarmPlan {
            ids: count(ids.len()),
            found: count(there.len()),
            missing: count(missing_ids.len()),
            missing_ids: missing_ids.into_iter().take(NAMED).collect(),
            counted,
            sampled: 0,
            tiers: Vec::new(),
            reads: 0,
            statements: 0,
            time: Duration::ZERO,
            fits: true,
            advice: Vec::new(),
        };
        let picked: Vec<Id> = spread(&there, SAMPLE);
        if picked.is_empty() {
            return Ok(plan);
        }
        for variant in &wish.variants {
            let sample = self.sample(wish, variant, &picked).await?;
            plan.add(wish, &sample);
        }
        plan.judge(wish.variants.len() as u64);
        let settings = &self.parts().settings;
        let at_rate = plan.reads as f64 / f64::from(settings.keys_per_second_max.max(1));
        plan.time = plan
            .time
            .div_f64(settings.statements_at_once.max(1) as f64)
            .max(Duration::from_secs_f64(at_rate));
        Ok(plan)
    }

    async fn sample(
        &self,
        wish: &WarmWish,
        variant: &Variant,
        ids: &[Id],
    ) -> Result<Sample, Error> {
        let cache = &self.parts().cache;
        cache.sample(&wish.namespace, variant, ids, PATIENCE).await
    }
}

impl WarmPlan {
    /// Takes the sample of one variant in.
    fn add(&mut self, wish: &WarmWish, sample: &Sample) {
        let answered = sample.documents + sample.absent;
        if !self.counted {
            // The sample speaks for those that were not looked for.
            let share = ratio(sample.documents, answered);
            self.found = scaled(self.ids, share);
            self.missing = self.ids - self.found;
        }
        self.sampled += sample.documents;
        let statements = self.found.div_ceil(count(STATEMENT));
        self.reads += self.found;
        self.statements += statements;
        self.time += sample
            .took
            .saturating_mul(u32::try_from(statements).unwrap_or(u32::MAX));
        for weight in &sample.tiers {
            if !wish.tiers.has(weight.tier) {
                continue;
            }
            let bytes = scaled(weight.bytes, ratio(self.found, sample.documents));
            match self.tiers.iter_mut().find(|plan| plan.tier == weight.tier) {
                Some(plan) => plan.bytes += bytes,
                None => self.tiers.push(TierPlan {
                    tier: weight.tier,
                    bytes,
                    bytes_max: weight.room.bytes_max,
                    bytes_held: weight.room.bytes,
                    bytes_short: 0,
                }),
            }
        }
    }

    /// Says what does not fit, and what would.
    fn judge(&mut self, variants: u64) {
        for plan in &mut self.tiers {
            let Some(bytes_max) = plan.bytes_max else {
                continue;
            };
            plan.bytes_short = plan.bytes.saturating_sub(bytes_max);
            if plan.bytes_short == 0 {
                continue;
            }
            self.fits = false;
            let tier = plan.tier.as_str();
            let setting = match plan.tier {
                TierName::L2 => "`maxmemory` of Redis".to_owned(),
                TierName::L1 | TierName::L3 | TierName::Origin => format!("`{tier}.bytes_max`"),
            };
            let fitting = scaled(self.found, ratio(bytes_max, plan.bytes));
            self.advice.push(format!(
                "{tier} lacks {} bytes: raise {setting} to {}, or warm at most {fitting} ids{}, or leave {tier} out",
                plan.bytes_short,
                plan.bytes,
                if variants > 1 { " or fewer variants" } else { "" },
            ));
        }
    }
}

/// Items at equal distances, at most so many.
pub(crate) fn spread(ids: &[&Id], most: usize) -> Vec<Id> {
    let step = ids.len().div_ceil(most).max(1);
    ids.iter().step_by(step).map(|id| (*id).clone()).collect()
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "an estimate is no more precise than that"
)]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate of a number that is not negative"
)]
fn scaled(count: u64, factor: f64) -> u64 {
    (count as f64 * factor).round() as u64
}
