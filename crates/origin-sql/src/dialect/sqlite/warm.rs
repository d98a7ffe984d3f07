//! SQLite: warm-ups.

use hotshelf_model::WarmPart;
use serde_json::json;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, FromRow, Row as _, SqlStr};

use super::Sqlite;
use crate::lent::{Lent, within};
use crate::snapshot::signed;
use crate::warm::{JobRow, OVER_MAX, PartRow, SentJob};

const CREATE: SqlStr = SqlStr::from_static(
    "INSERT INTO warm_job (namespace, variants, tiers, nodes, ids, source, who, changed_by) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) RETURNING id",
);
const PIECE: SqlStr =
    SqlStr::from_static("INSERT INTO warm_ids (job, start, ids) VALUES (?1, ?2, ?3)");
const FORGET: SqlStr = SqlStr::from_static(
    "DELETE FROM warm_job WHERE id IN (SELECT id FROM warm_job WHERE state IN ('cancelled', 'done') \
     ORDER BY id DESC LIMIT -1 OFFSET ?1)",
);
const JOBS: SqlStr = SqlStr::from_static(
    "SELECT id, namespace, variants, tiers, nodes, ids, source, state, who, created, changed, changed_by \
     FROM warm_job WHERE NOT ?1 OR state IN ('running', 'paused') ORDER BY id DESC",
);
const PARTS: SqlStr = SqlStr::from_static(
    "SELECT job, node, cursor, filled, held, absent, failed, fetched, rate, yielding, trouble, runner, \
     max(CAST(unixepoch('subsec') * 1000 AS INTEGER) - seen, 0) FROM warm_part \
     WHERE job IN (SELECT value FROM json_each(?1)) ORDER BY job, node",
);
const IDS: SqlStr = SqlStr::from_static("SELECT ids FROM warm_ids WHERE job = ?1 AND start = ?2");
const STATE: SqlStr = SqlStr::from_static("SELECT state FROM warm_job WHERE id = ?1");
const CHANGE: SqlStr = SqlStr::from_static(
    "UPDATE warm_job SET state = ?2, changed = CAST(unixepoch('subsec') * 1000 AS INTEGER), changed_by = ?3 \
     WHERE id = ?1 AND state IN ('running', 'paused')",
);
const ADVANCE: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/advance_warm_part.sql"));

/// Statements of one change at most, begin and commit included.
const STATEMENTS: u32 = 4;

impl Sqlite {
    pub(crate) async fn create_warm_job(&self, sent: &SentJob<'_>) -> Result<i64, sqlx::Error> {
        let mut lent = Lent::acquire(&self.writer).await?;
        let statements = u32::try_from(sent.pieces().count()).unwrap_or(u32::MAX);
        let limit = self
            .limit
            .saturating_mul(statements.saturating_add(STATEMENTS));
        let outcome = within(limit, create(lent.connection(), sent)).await;
        lent.end(outcome)
    }

    pub(crate) async fn warm_jobs(
        &self,
        open: bool,
    ) -> Result<(Vec<JobRow>, Vec<PartRow>), sqlx::Error> {
        let rows = self.read(sqlx::query(JOBS).bind(open)).await?;
        let jobs: Vec<JobRow> = rows.iter().map(row).collect::<Result<_, _>>()?;
        if jobs.is_empty() {
            return Ok((jobs, Vec::new()));
        }
        let ids: Vec<i64> = jobs.iter().map(|job| job.0).collect();
        let parts = sqlx::query(PARTS).bind(json!(ids).to_string());
        let rows = self.read(parts).await?;
        let parts: Result<Vec<PartRow>, _> = rows.iter().map(row).collect();
        Ok((jobs, parts?))
    }

    pub(crate) async fn warm_ids(&self, job: i64, start: i64) -> Result<String, sqlx::Error> {
        let rows = self.read(sqlx::query(IDS).bind(job).bind(start)).await?;
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
        let mut lent = Lent::acquire(&self.writer).await?;
        let changing = change(lent.connection(), job, state, who);
        let outcome = within(self.limit * STATEMENTS, changing).await;
        lent.end(outcome)
    }

    pub(crate) async fn advance_warm_part(
        &self,
        job: i64,
        part: &WarmPart,
    ) -> Result<Option<String>, sqlx::Error> {
        let mut lent = Lent::acquire(&self.writer).await?;
        let advancing = advance(lent.connection(), job, part);
        let outcome = within(self.limit * STATEMENTS, advancing).await;
        lent.end(outcome)
    }
}

fn row<T: for<'r> FromRow<'r, SqliteRow>>(row: &SqliteRow) -> Result<T, sqlx::Error> {
    T::from_row(row)
}

async fn create(connection: &mut SqliteConnection, sent: &SentJob<'_>) -> Result<i64, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
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
            .bind(json!(ids).to_string())
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

async fn change(
    connection: &mut SqliteConnection,
    job: i64,
    state: &str,
    who: &str,
) -> Result<(bool, Option<String>), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let before = sqlx::query_scalar(STATE)
        .bind(job)
        .fetch_optional(&mut *transaction)
        .await?;
    let changed = sqlx::query(CHANGE)
        .bind(job)
        .bind(state)
        .bind(who)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok((changed.rows_affected() > 0, before))
}

async fn advance(
    connection: &mut SqliteConnection,
    job: i64,
    part: &WarmPart,
) -> Result<Option<String>, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
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
        .execute(&mut *transaction)
        .await?;
    let state = sqlx::query_scalar(STATE)
        .bind(job)
        .fetch_optional(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(state)
}
