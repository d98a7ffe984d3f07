//! The database as [`WarmJobs`].

use std::time::Duration;

use hotshelf_model::{
    BoxFuture, DbTime, Error, ErrorKind, Id, NamespaceName, NewWarmJob, WarmChange, WarmCounts,
    WarmJob, WarmJobId, WarmJobs, WarmPart, WarmState, WarmTiers,
};
use serde_json::json;

use crate::failure::failed;
use crate::snapshot::{signed, unsigned};
use crate::{Database, SqlOrigin};

/// Ids that are kept in one row.
pub(crate) const PIECE: usize = 1000;
/// Jobs that are over and still remembered.
pub(crate) const OVER_MAX: i64 = 50;

/// A job's row: id, namespace, variants, tiers, nodes, ids, source, state, who, created, changed, changed by. Lists are JSON.
pub(crate) type JobRow = (
    i64,
    String,
    String,
    String,
    String,
    i64,
    String,
    String,
    String,
    i64,
    i64,
    String,
);

/// A part's row: job, node, cursor, filled, held, absent, failed, fetched, rate, yielding, trouble, runner, milliseconds since seen.
pub(crate) type PartRow = (
    i64,
    String,
    i64,
    i64,
    i64,
    i64,
    i64,
    i64,
    f64,
    bool,
    String,
    String,
    i64,
);

/// A job in the form that is sent.
pub(crate) struct SentJob<'a> {
    pub(crate) job: &'a NewWarmJob,
    pub(crate) variants: String,
    pub(crate) tiers: String,
    pub(crate) nodes: String,
    pub(crate) ids: i64,
}

impl SentJob<'_> {
    /// The pieces in which its ids are kept, each with the place of its first.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (i64, Vec<&str>)> {
        let pieces = self.job.ids.chunks(PIECE).enumerate();
        pieces.map(|(at, ids)| {
            let start = i64::try_from(at * PIECE).unwrap_or(i64::MAX);
            (start, ids.iter().map(Id::as_str).collect())
        })
    }
}

fn list(json: &str) -> Vec<String> {
    // What stands there was written by this program.
    serde_json::from_str(json).unwrap_or_default()
}

fn state_of(word: &str) -> Option<WarmState> {
    WarmState::ALL
        .into_iter()
        .find(|state| state.as_str() == word)
}

fn job(row: JobRow) -> Option<WarmJob> {
    let (id, namespace, variants, tiers, nodes, ids, source, state, who, created, changed, by) =
        row;
    let mut filled = WarmTiers::default();
    for tier in list(&tiers) {
        filled.add(&tier);
    }
    Some(WarmJob {
        id: unsigned(id),
        namespace: NamespaceName::new(&namespace).ok()?,
        variants: list(&variants),
        tiers: filled,
        nodes: list(&nodes),
        ids: unsigned(ids),
        source,
        state: state_of(&state)?,
        who,
        created: DbTime(unsigned(created)),
        changed: DbTime(unsigned(changed)),
        changed_by: by,
        parts: Vec::new(),
    })
}

fn part(row: PartRow) -> (WarmJobId, WarmPart) {
    let (
        job,
        node,
        cursor,
        filled,
        held,
        absent,
        failed,
        fetched,
        rate,
        yielding,
        trouble,
        runner,
        seen,
    ) = row;
    let counts = WarmCounts {
        filled: unsigned(filled),
        held: unsigned(held),
        absent: unsigned(absent),
        failed: unsigned(failed),
        fetched: unsigned(fetched),
    };
    let part = WarmPart {
        node,
        cursor: unsigned(cursor),
        counts,
        rate,
        yielding,
        trouble,
        runner,
        seen: Duration::from_millis(unsigned(seen)),
    };
    (unsigned(job), part)
}

impl SqlOrigin {
    async fn create_job(&self, job: &NewWarmJob) -> Result<WarmJobId, Error> {
        let sent = SentJob {
            job,
            variants: json!(job.variants).to_string(),
            tiers: json!(job.tiers.words()).to_string(),
            nodes: json!(job.nodes).to_string(),
            ids: i64::try_from(job.ids.len()).unwrap_or(i64::MAX),
        };
        let created = match &self.database {
            Database::Postgres(database) => database.create_warm_job(&sent).await,
            Database::Sqlite(database) => database.create_warm_job(&sent).await,
        };
        let id = created.map_err(|error| failed("keeping a warm-up", error))?;
        Ok(unsigned(id))
    }

    async fn warm_jobs(&self, open: bool) -> Result<Vec<WarmJob>, Error> {
        let read = match &self.database {
            Database::Postgres(database) => database.warm_jobs(open).await,
            Database::Sqlite(database) => database.warm_jobs(open).await,
        };
        let (jobs, parts) = read.map_err(|error| failed("reading the warm-ups", error))?;
        let mut jobs: Vec<WarmJob> = jobs.into_iter().filter_map(job).collect();
        for (of, part) in parts.into_iter().map(part) {
            if let Some(job) = jobs.iter_mut().find(|job| job.id == of) {
                job.parts.push(part);
            }
        }
        Ok(jobs)
    }

    async fn warm_ids(&self, job: WarmJobId, cursor: u64) -> Result<Vec<Id>, Error> {
        let piece = PIECE as u64;
        let start = cursor / piece * piece;
        let read = match &self.database {
            Database::Postgres(database) => database.warm_ids(signed(job), signed(start)).await,
            Database::Sqlite(database) => database.warm_ids(signed(job), signed(start)).await,
        };
        let ids = read.map_err(|error| failed("reading the ids of a warm-up", error))?;
        let skipped = usize::try_from(cursor - start).unwrap_or(PIECE);
        let id = |id: &String| Id::new(id).map_err(|problem| bad_id(&problem));
        list(&ids).iter().skip(skipped).map(id).collect()
    }

    async fn change_job(
        &self,
        job: WarmJobId,
        state: WarmState,
        who: &str,
    ) -> Result<WarmChange, Error> {
        let (number, word) = (signed(job), state.as_str());
        let changed = match &self.database {
            Database::Postgres(database) => database.change_warm_job(number, word, who).await,
            Database::Sqlite(database) => database.change_warm_job(number, word, who).await,
        };
        let changed = changed.map_err(|error| failed("changing a warm-up", error))?;
        Ok(match changed {
            (true, _) => WarmChange::Changed,
            (false, Some(word)) => state_of(&word).map_or(WarmChange::NotFound, WarmChange::Over),
            (false, None) => WarmChange::NotFound,
        })
    }

    async fn advance_part(
        &self,
        job: WarmJobId,
        part: &WarmPart,
    ) -> Result<Option<WarmState>, Error> {
        let advanced = match &self.database {
            Database::Postgres(database) => database.advance_warm_part(signed(job), part).await,
            Database::Sqlite(database) => database.advance_warm_part(signed(job), part).await,
        };
        let word = advanced.map_err(|error| failed("writing how far a warm-up is", error))?;
        Ok(word.as_deref().and_then(state_of))
    }
}

fn bad_id(problem: &hotshelf_model::FieldProblem) -> Error {
    let context = format!("an id of a warm-up is none: {problem}");
    Error::new(ErrorKind::Internal, context)
}

impl WarmJobs for SqlOrigin {
    fn create<'a>(&'a self, job: &'a NewWarmJob) -> BoxFuture<'a, Result<WarmJobId, Error>> {
        Box::pin(self.create_job(job))
    }

    fn jobs(&self, open: bool) -> BoxFuture<'_, Result<Vec<WarmJob>, Error>> {
        Box::pin(self.warm_jobs(open))
    }

    fn ids(&self, job: WarmJobId, cursor: u64) -> BoxFuture<'_, Result<Vec<Id>, Error>> {
        Box::pin(self.warm_ids(job, cursor))
    }

    fn change<'a>(
        &'a self,
        job: WarmJobId,
        state: WarmState,
        who: &'a str,
    ) -> BoxFuture<'a, Result<WarmChange, Error>> {
        Box::pin(self.change_job(job, state, who))
    }

    fn advance<'a>(
        &'a self,
        job: WarmJobId,
        part: &'a WarmPart,
    ) -> BoxFuture<'a, Result<Option<WarmState>, Error>> {
        Box::pin(self.advance_part(job, part))
    }
}
