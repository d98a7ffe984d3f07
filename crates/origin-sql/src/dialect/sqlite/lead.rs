//! Pruning the change log in small steps, and leases.

use std::time::Duration;

use hotshelf_model::LeaseToken;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row as _, SqlStr};

use super::Sqlite;
use crate::lent::{Lent, within};
use crate::settings::Retention;
use crate::snapshot::millis;

const PRUNE: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/prune_log.sql"));
const ACQUIRE: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/acquire_lease.sql"));
const RENEW: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/renew_lease.sql"));
const RELEASE: SqlStr =
    SqlStr::from_static("DELETE FROM cache_lease WHERE name = ?1 AND token = ?2");

impl Sqlite {
    /// Removes a few rows that are past their retention, unless somebody writes; the next poll tries again.
    pub(super) async fn prune(&self) {
        let Some(mut connection) = self.writer.try_acquire() else {
            return;
        };
        let rows_max = i64::try_from(self.retention.rows_max).unwrap_or(i64::MAX);
        let pruned = sqlx::query(PRUNE)
            .bind(i64::try_from(self.retention.age.as_secs()).unwrap_or(i64::MAX))
            .bind(rows_max)
            .bind(Retention::STEP)
            .execute(&mut *connection)
            .await;
        match pruned {
            Ok(done) => self.pruned.increment(done.rows_affected()),
            Err(error) => tracing::warn!(%error, "could not prune the change log"),
        }
    }

    pub(crate) async fn acquire_lease(
        &self,
        name: &str,
        ttl: Duration,
    ) -> Result<Option<LeaseToken>, sqlx::Error> {
        let rows = self
            .write_rows(sqlx::query(ACQUIRE).bind(name).bind(millis(ttl)))
            .await?;
        let token = rows.first().map(|row| row.try_get("token")).transpose()?;
        Ok(token.map(|token: i64| LeaseToken(token.cast_unsigned())))
    }

    pub(crate) async fn renew_lease(
        &self,
        name: &str,
        token: LeaseToken,
        ttl: Duration,
    ) -> Result<bool, sqlx::Error> {
        let query = sqlx::query(RENEW)
            .bind(name)
            .bind(token.0.cast_signed())
            .bind(millis(ttl));
        Ok(!self.write_rows(query).await?.is_empty())
    }

    pub(crate) async fn release_lease(
        &self,
        name: &str,
        token: LeaseToken,
    ) -> Result<(), sqlx::Error> {
        let query = sqlx::query(RELEASE).bind(name).bind(token.0.cast_signed());
        self.write_rows(query).await.map(drop)
    }

    async fn write_rows(
        &self,
        query: Query<'_, sqlx::Sqlite, SqliteArguments>,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let mut lent = Lent::acquire(&self.writer).await?;
        let outcome = within(self.limit, query.fetch_all(lent.connection())).await;
        lent.end(outcome)
    }
}
