//! PostgreSQL: warm-ups.

use hotshelf_model::WarmPart;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, FromRow, Row as _, SqlStr};

use super::Postgres;
use crate::lent::{Lent, within};
use crate::snapshot::signed;
use crate::warm::{JobRow, OVER_MAX, PartRow, SentJob};

const CREATE: SqlStr = SqlStr::from_static(
    "INSERT INTO hotshelf.warm_job (namespace, variants, tiers, nodes, ids, source, who, changed_by) \
     SELECT $1, ARRAY(SELECT json_array_elements_text($2::json)), ARRAY(SELECT json_array_elements_text($3::json)), \
     ARRAY(SELECT json_array_elements_text($4::json)), $5, $6, $7, $7 RETURNING id",
);
const PIECE: SqlStr =
    SqlStr::from_static("INSERT INTO hotshelf.warm_ids (job, start, ids) VALUES ($1, $2, $3)");
const FORGET: SqlStr = SqlStr::from_static(
    "DELETE FROM hotshelf.warm_job WHERE id IN (SELECT id FROM hotshelf.warm_job WHERE state IN ('cancelled', 'done') \
     ORDER BY id DESC OFFSET $1)",
);
const JOBS: SqlStr = SqlStr::from_static(
    "SELECT id, namespace, to_json(variants)::text, to_json(tiers)::text, to_json(nodes)::text, ids, source, state, who, \
     (extract(epoch FROM created) * 1000)::bigint, (extract(epoch FROM changed) * 1000)::bigint, changed_by \
     FROM hotshelf.warm_job WHERE NOT $1 OR state IN ('running', 'paused') ORDER BY id DESC",
);
const PARTS: SqlStr = SqlStr::from_static(
    "SELECT job, node, cursor, filled, held, absent, failed, fetched, rate, yielding, trouble, runner, \
     (extract(epoch FROM clock_timestamp() - seen) * 1000)::bigint FROM hotshelf.warm_part \
     WHERE job = ANY ($1::bigint[]) ORDER BY job, node",
);
const IDS: SqlStr = SqlStr::from_static(
    "SELECT to_json(ids)::text AS ids FROM hotshelf.warm_ids WHERE job = $1 AND start = $2",
);
const CHANGE: SqlStr = SqlStr::from_static(
    "WITH before AS (SELECT id, state FROM hotshelf.warm_job WHERE id = $1 FOR UPDATE), changed AS (\
     UPDATE hotshelf.warm_job AS j SET state = $2, changed = now(), changed_by = $3 FROM before AS b \
     WHERE j.id = b.id AND b.state IN ('running', 'paused') RETURNING j.id) \
     SELECT EXISTS (SELECT 1 FROM changed) AS changed, state FROM before",
);
const ADVANCE: SqlStr =
    SqlStr::from_static(include_str!("../../sql/postgres/advance_warm_part.sql"));

impl Postgres {
    pub(crate) async fn create_warm_job(&self, sent: &SentJob<'_>) -> Result<i64, sqlx::Error> {
        let mut lent = Lent::acquire(&self.writes).await?;
        let statements = u32::try_from(sent.pieces().count()).unwrap_or(u32::MAX);
        let limit = self.limit.saturating_mul(statements.saturating_add(4));
        let outcome = within(limit, create(lent.connection(), sent)).await;
        lent.end(outcome)
    }

    pub(crate) async fn warm_jobs(
        &self,
        open: bool,
    ) -> Result<(Vec<JobRow>, Vec<PartRow>), sqlx::Error> {
        let build = || sqlx::query(JOBS).bind(open);
        let rows = self.read(&self.documents, build).await?;
        let jobs: Vec<JobRow> = rows.iter().map(row).collect::<Result<_, _>>()?;
        if jobs.is_empty() {
            return Ok((jobs, Vec::new()));
        }
        let ids: Vec<i64> = jobs.iter().map(|job| job.0).collect();
        let build = || sqlx::query(PARTS).bind(&ids);
        let rows = self.read(&self.documents, build).await?;
        let parts: Result<Vec<PartRow>, _> = rows.iter().map(row).collect();
        Ok((jobs, parts?))
    }

    pub(crate) async fn warm_ids(&self, job: i64, start: i64) -> Result<String, sqlx::Error> {
        let build = || sqlx::query(IDS).bind(job).bind(start);
        let rows = self.read(&self.documents, build).await?;
        rows.first()
            .map_or(Ok(String::from("[]")), |row| row.try_get("ids"))
    }

    /// Whether it was changed, and the state before.
    pub(crate) async fn change_warm_job(
        &self,
        job: i64,
        state: &str,
        who: &str,
    ) -> Result<(bool, Option<String>), sqlx::Error> {
        // Again on a broken connection: what is so already is made so once more.
        let build = || sqlx::query(CHANGE).bind(job).bind(state).bind(who);
        let rows = self.read(&self.writes, build).await?;
        rows.first().map_or(Ok((false, None)), |row| {
            Ok((row.try_get("changed")?, row.try_get("state")?))
        })
    }

    pub(crate) async fn advance_warm_part(
        &self,
        job: i64,
        part: &WarmPart,
    ) -> Result<Option<String>, sqlx::Error> {
        let build = || {
            sqlx::query(ADVANCE)
                .bind(job)
                .bind(&part.node)
                .bind(signed(part.cursor))
                .bind(signed(part.counts.filled))
                .bind(signed(part.counts.held))
                .bind(signed(part.counts.absent))
                .bind(signed(part.counts.failed))
                .bind(signed(part.counts.fetched))
                .bind(part.rate)
                .bind(part.yielding)
                .bind(&part.trouble)
                .bind(&part.runner)
        };
        let rows = self.read(&self.writes, build).await?;
        rows.first().map(|row| row.try_get("state")).transpose()
    }
}

fn row<T: for<'r> FromRow<'r, PgRow>>(row: &PgRow) -> Result<T, sqlx::Error> {
    T::from_row(row)
}

async fn create(connection: &mut PgConnection, sent: &SentJob<'_>) -> Result<i64, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let job: i64 = sqlx::query_scalar(CREATE)
        .bind(sent.job.namespace.as_str())
        .bind(&sent.variants)
        .bind(&sent.tiers)
        .bind(&sent.nodes)
        .bind(sent.ids)
        .bind(&sent.job.source)
        .bind(&sent.job.who)
        .fetch_one(&mut *transaction)
        .await?;
    for (start, ids) in sent.pieces() {
        sqlx::query(PIECE)
            .bind(job)
            .bind(start)
            .bind(ids)
            .execute(&mut *transaction)
            .await?;
    }
    sqlx::query(FORGET)
        .bind(OVER_MAX)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(job)
}
