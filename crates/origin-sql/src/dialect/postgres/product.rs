//! PostgreSQL: single products and posted changes, each one statement, one transaction and one round trip.

use hotshelf_model::{Recorded, Version, WriteOutcome};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Row as _, SqlStr};

use super::Postgres;
use crate::failure::is_conflict;
use crate::lent::Lent;
use crate::product::{Posted, WriteFailure, Written};
use crate::snapshot::unsigned;

const WRITE: SqlStr = SqlStr::from_static(
    "SELECT outcome, version FROM hotshelf.write_product($1, $2::jsonb, $3, $4, $5)",
);
const DELETE: SqlStr =
    SqlStr::from_static("SELECT outcome, version FROM hotshelf.delete_product($1, $2)");
const POST: SqlStr =
    SqlStr::from_static("SELECT changed, bumped FROM hotshelf.post_changes($1, $2, $3, $4)");

/// How often a write is sent when others are faster: a deadlock's victim, or a product that came and went meanwhile.
const ATTEMPTS_MAX: u32 = 5;

impl Postgres {
    pub(crate) async fn write_product(
        &self,
        written: &Written<'_>,
    ) -> Result<WriteOutcome, WriteFailure> {
        let build = || match &written.fields {
            Some(fields) => sqlx::query(WRITE)
                .bind(written.id)
                .bind(fields)
                .bind(written.must_exist)
                .bind(written.if_version)
                .bind(written.row_bytes_max()),
            None => sqlx::query(DELETE)
                .bind(written.id)
                .bind(written.if_version),
        };
        let row = self.commit(build).await?;
        let outcome = || {
            let version = Version(unsigned(row.try_get("version")?));
            written
                .outcome(row.try_get("outcome")?, version)
                .ok_or(sqlx::Error::RowNotFound)
        };
        outcome().map_err(WriteFailure::Sent)
    }

    pub(crate) async fn post(&self, posted: &Posted<'_>) -> Result<Recorded, WriteFailure> {
        let build = || {
            sqlx::query(POST)
                .bind(&posted.namespaces)
                .bind(&posted.ids)
                .bind(&posted.versions)
                .bind(&posted.bumps)
        };
        let row = self.commit(build).await?;
        let recorded = || {
            posted
                .recorded(versions(&row, "changed")?, versions(&row, "bumped")?)
                .ok_or(sqlx::Error::RowNotFound)
        };
        recorded().map_err(WriteFailure::Sent)
    }

    /// Sends a statement that writes, again when another transaction was faster.
    pub(super) async fn commit<'q>(
        &self,
        build: impl Fn() -> Query<'q, sqlx::Postgres, PgArguments>,
    ) -> Result<PgRow, WriteFailure> {
        let mut attempts = 1;
        loop {
            match self.commit_once(build()).await {
                Err(failure)
                    if attempts < ATTEMPTS_MAX && failure.refused().is_some_and(is_conflict) =>
                {
                    attempts += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn commit_once(
        &self,
        query: Query<'_, sqlx::Postgres, PgArguments>,
    ) -> Result<PgRow, WriteFailure> {
        let mut lent = Lent::acquire(&self.writes)
            .await
            .map_err(WriteFailure::Unsent)?;
        let outcome = self.send(lent.connection(), query).await;
        let rows = lent.end(outcome).map_err(WriteFailure::Sent)?;
        rows.into_iter()
            .next()
            .ok_or(WriteFailure::Sent(sqlx::Error::RowNotFound))
    }
}

fn versions(row: &PgRow, column: &str) -> Result<Vec<Version>, sqlx::Error> {
    let versions: Vec<i64> = row.try_get(column)?;
    let version = |version| Version(unsigned(version));
    Ok(versions.into_iter().map(version).collect())
}
