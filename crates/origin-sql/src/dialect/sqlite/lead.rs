//! Pruning the change log in small steps.

use sqlx::SqlStr;

use super::Sqlite;
use crate::settings::Retention;

const PRUNE: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/prune_log.sql"));

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
}
