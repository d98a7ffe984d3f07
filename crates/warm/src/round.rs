//! One step of a job: some ids in all their variants, many statements at once as long as nobody else needs the room.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use hotshelf_engine::WarmBatch;
use hotshelf_model::{
    Error, ErrorKind, Id, Variant, WarmCounts, WarmJob, WarmPart, WarmState, WarmTiers,
};
use tokio::time::sleep;

use crate::plan::STATEMENT;
use crate::warmer::Warmer;

/// Batches under way at once; the origin budget lets fewer through.
const BATCHES: usize = 8;
/// Pieces of ids in one step, while nobody else needs the room.
const PIECES: usize = 4;
/// How long a batch waits for the origin budget.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// Who gives way works for half of the time, and pauses no longer than this.
const YIELD_MAX: Duration = Duration::from_secs(1);
/// Keys that fail so often while others do not are given up.
const ATTEMPTS: u32 = 6;
/// The share of the latest step in the rate that is shown.
const NEWEST: f64 = 0.3;

/// Ids of one variant.
#[derive(Clone, Debug)]
struct Piece {
    variant: Variant,
    ids: Vec<Id>,
}

impl Warmer {
    /// Works on a part until so many ids are done, or the job is not to go on.
    ///
    /// # Errors
    /// When the database does not say how far the job is; the part is then taken up again where it was last written.
    pub(crate) async fn advance(
        &self,
        job: &WarmJob,
        part: &mut WarmPart,
        until: u64,
    ) -> Result<Option<WarmState>, Error> {
        let mut state = Some(WarmState::Running);
        while part.cursor < until && state == Some(WarmState::Running) {
            state = self.step(job, part, until).await?;
        }
        Ok(state)
    }

    async fn step(
        &self,
        job: &WarmJob,
        part: &mut WarmPart,
        until: u64,
    ) -> Result<Option<WarmState>, Error> {
        let parts = self.parts();
        let started = parts.clock.now();
        let pressed = parts.cache.is_pressed();
        let ids = self
            .read_ids(job, part.cursor, until, if pressed { 1 } else { PIECES })
            .await?;
        if ids.is_empty() {
            let context = format!("the ids of job {} are gone", job.id);
            return Err(Error::new(ErrorKind::Internal, context));
        }
        let mut open = pieces(job, &ids);
        let keys = ids.len() * job.variants.len();
        let (mut attempts, mut pause) = (0, PAUSE_MIN);
        let mut counts = WarmCounts::default();
        loop {
            let (done, later, trouble) = self.warm_all(job, part.node.is_empty(), open).await;
            counts.add(done);
            part.trouble = trouble.unwrap_or_default();
            open = later;
            let left: usize = open.iter().map(|piece| piece.ids.len()).sum();
            attempts += 1;
            if left == 0 {
                break;
            }
            if attempts >= ATTEMPTS && left < keys {
                counts.failed += u64::try_from(left).unwrap_or(u64::MAX);
                break;
            }
            // The cursor stays; what is written says why.
            part.yielding = parts.cache.is_pressed();
            let state = parts.jobs.advance(job.id, part).await?;
            if state != Some(WarmState::Running) {
                return Ok(state);
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        part.cursor += u64::try_from(ids.len()).unwrap_or(u64::MAX);
        part.counts.add(counts);
        part.yielding = pressed || parts.cache.is_pressed();
        let took = parts.clock.now().since(started);
        self.pace(keys, took, part.yielding).await;
        let took = parts.clock.now().since(started);
        note_rate(part, keys, took);
        parts.jobs.advance(job.id, part).await
    }

    async fn read_ids(
        &self,
        job: &WarmJob,
        cursor: u64,
        until: u64,
        pieces: usize,
    ) -> Result<Vec<Id>, Error> {
        let mut ids: Vec<Id> = Vec::new();
        for _ in 0..pieces {
            let at = cursor + u64::try_from(ids.len()).unwrap_or(u64::MAX);
            if at >= until {
                break;
            }
            let piece = self.parts().jobs.ids(job.id, at).await?;
            let left = usize::try_from(until - at).unwrap_or(usize::MAX);
            ids.extend(piece.into_iter().take(left));
        }
        Ok(ids)
    }

    /// Warms pieces; gives what is to be tried again, and why.
    async fn warm_all(
        &self,
        job: &WarmJob,
        shared: bool,
        open: Vec<Piece>,
    ) -> (WarmCounts, Vec<Piece>, Option<String>) {
        let at_once = match self.parts().cache.is_pressed() {
            true => 1,
            false => BATCHES,
        };
        let mut warmed = stream::iter(open)
            .map(|piece| async move {
                let batch = self.warm_piece(job, shared, &piece).await;
                (piece.variant, batch)
            })
            .buffer_unordered(at_once);
        let (mut counts, mut later, mut trouble) = (WarmCounts::default(), Vec::new(), None);
        while let Some((variant, batch)) = warmed.next().await {
            counts.add(batch.counts);
            trouble = trouble.or(batch.trouble);
            if !batch.later.is_empty() {
                later.push(Piece {
                    variant,
                    ids: batch.later,
                });
            }
        }
        (counts, later, trouble)
    }

    async fn warm_piece(&self, job: &WarmJob, shared: bool, piece: &Piece) -> WarmBatch {
        let cache = &self.parts().cache;
        let Piece { variant, ids } = piece;
        let outside = match shared {
            true => WarmTiers {
                l2: true,
                ..WarmTiers::default()
            },
            false => WarmTiers {
                l3: job.tiers.l3 && cache.tiers().l3,
                ..WarmTiers::default()
            },
        };
        let mut warmed = WarmBatch::default();
        if outside.l2 || outside.l3 {
            let warm = cache
                .warm(&job.namespace, variant, ids, outside, PATIENCE)
                .await;
            warmed = warm.unwrap_or_else(|error| refused(ids, &error));
        }
        if shared || !job.tiers.l1 {
            return warmed;
        }
        let in_l1 = cache.warm_l1(&job.namespace, variant, ids).await;
        let mut in_l1 = in_l1.unwrap_or_else(|error| refused(ids, &error));
        // A key counts once, by what became of it in L1; what is to be tried again there finds the other tier filled.
        in_l1.counts.fetched += warmed.counts.fetched;
        let again = warmed
            .later
            .into_iter()
            .filter(|id| !in_l1.later.contains(id));
        let again: Vec<Id> = again.collect();
        in_l1.later.extend(again);
        in_l1.trouble = in_l1.trouble.or(warmed.trouble);
        in_l1
    }

    /// Waits as long as the allowed rate asks for; and who gives way rests as long as it has worked.
    async fn pace(&self, keys: usize, took: Duration, yields: bool) {
        let rate = f64::from(self.parts().settings.keys_per_second_max.max(1));
        let keys = u32::try_from(keys).unwrap_or(u32::MAX);
        let due = Duration::from_secs_f64(f64::from(keys) / rate);
        let rest = if yields {
            took.min(YIELD_MAX)
        } else {
            Duration::ZERO
        };
        let pause = due.saturating_sub(took).max(rest);
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }
}

fn refused(ids: &[Id], error: &Error) -> WarmBatch {
    let mut batch = WarmBatch {
        trouble: Some(error.to_string()),
        ..WarmBatch::default()
    };
    batch.counts.failed = u64::try_from(ids.len()).unwrap_or(u64::MAX);
    batch
}

fn pieces(job: &WarmJob, ids: &[Id]) -> Vec<Piece> {
    let variants = job.variants.iter().filter_map(|text| Variant::parse(text));
    let piece = |variant: Variant| {
        ids.chunks(STATEMENT).map(move |ids| Piece {
            variant: variant.clone(),
            ids: ids.to_vec(),
        })
    };
    variants.flat_map(piece).collect()
}

fn note_rate(part: &mut WarmPart, keys: usize, took: Duration) {
    let keys = f64::from(u32::try_from(keys).unwrap_or(u32::MAX));
    let rate = keys / took.as_secs_f64().max(0.001);
    part.rate = match part.rate > 0.0 {
        true => part.rate * (1.0 - NEWEST) + rate * NEWEST,
        false => rate,
    };
}
