//! What the node that leads does often: sequencing as one cheap call, pruning in small steps, and the leases that say who leads.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use hotshelf_model::{Error, LeaseToken, LogRead, LogRow, Position};
use sqlx::postgres::PgRow;
use sqlx::{Row as _, SqlStr};

use super::Postgres;
use crate::failure::{failed, is_conflict};
use crate::settings::Retention;
use crate::snapshot::{millis, unsigned};

const SEQUENCE: SqlStr = SqlStr::from_static(include_str!("../../sql/postgres/sequence_rows.sql"));
const PRUNE: SqlStr = SqlStr::from_static(
    "SELECT hotshelf.prune_log($1::bigint * interval '1 millisecond', $2, $3) AS pruned",
);
const ACQUIRE: SqlStr = SqlStr::from_static(include_str!("../../sql/postgres/acquire_lease.sql"));
const RENEW: SqlStr = SqlStr::from_static(include_str!("../../sql/postgres/renew_lease.sql"));
const RELEASE: SqlStr =
    SqlStr::from_static("DELETE FROM hotshelf.cache_lease WHERE name = $1 AND token = $2");

/// Records of one call: a few milliseconds of work; what is more is taken by the next call.
const RECORDS_MAX: i32 = 5120;

/// Below which ids the outbox is not looked at between polls: under an old snapshot its index still names every row that was there, and passing
/// them every few milliseconds would be most of the work. It lags two polls behind, because a transaction that took its id before
/// may commit after; the polls themselves look at everything.
#[derive(Debug, Default)]
pub(super) struct LowIds {
    last: AtomicI64,
    before: AtomicI64,
}

impl LowIds {
    // Relaxed throughout: a bound that is out of date only leaves more to look at, or something for the next poll.
    pub(super) fn polled(&self, id: i64) {
        let before = self.last.swap(id, Ordering::Relaxed);
        // After a failover ids may begin again below the old ones.
        self.before.store(before.min(id), Ordering::Relaxed);
    }

    fn low(&self) -> i64 {
        self.before.load(Ordering::Relaxed)
    }
}

impl Postgres {
    pub(crate) async fn sequence(&self) -> Result<Vec<LogRow>, Error> {
        let query = sqlx::query(SEQUENCE).bind(self.low.low()).bind(RECORDS_MAX);
        let rows = match self.read_once(&self.log, query).await {
            Err(error) if is_conflict(&error) => {
                self.conflicts.increment(1);
                return Ok(Vec::new());
            }
            outcome => outcome.and_then(|rows| self.sequenced_rows(&rows)),
        };
        rows.map_err(|error| failed("sequencing changes", error))
    }

    fn sequenced_rows(&self, rows: &[PgRow]) -> Result<Vec<LogRow>, sqlx::Error> {
        let Some(first) = rows.first() else {
            return Ok(Vec::new());
        };
        let mut records = 0;
        for row in rows {
            records += row.try_get::<Vec<i64>, _>("ver")?.len() as u64;
        }
        self.note_sequenced(records);
        let first = unsigned(first.try_get("pos")?);
        match self.log_rows(Position(first.saturating_sub(1)), rows)? {
            LogRead::Rows(rows) => Ok(rows),
            LogRead::Pruned => Ok(Vec::new()),
        }
    }

    pub(super) fn note_sequenced(&self, records: u64) {
        if records > 0 {
            self.sequenced.increment(records);
            self.sequenced_lately.store(true, Ordering::Relaxed);
        }
    }

    /// Removes a few rows that are past their retention. The log grows only where somebody sequences, so nobody else needs to; and what fails is
    /// tried again soon.
    pub(super) async fn prune(&self) {
        if !self.sequenced_lately.swap(false, Ordering::Relaxed) {
            return;
        }
        let rows_max = i64::try_from(self.retention.rows_max).unwrap_or(i64::MAX);
        let query = sqlx::query(PRUNE)
            .bind(millis(self.retention.age))
            .bind(rows_max)
            .bind(i32::try_from(Retention::STEP).unwrap_or(i32::MAX));
        let rows = self.read_once(&self.log, query).await;
        let pruned = rows.and_then(|rows| rows.first().map_or(Ok(0), |row| row.try_get("pruned")));
        match pruned {
            Ok(rows) => {
                self.pruned.increment(unsigned(rows));
                // A full step is likely not the last.
                self.sequenced_lately
                    .fetch_or(rows >= Retention::STEP, Ordering::Relaxed);
            }
            Err(error) => tracing::warn!(%error, "could not prune the change log"),
        }
    }

    pub(crate) async fn acquire_lease(
        &self,
        name: &str,
        ttl: Duration,
    ) -> Result<Option<LeaseToken>, sqlx::Error> {
        let query = sqlx::query(ACQUIRE).bind(name).bind(millis(ttl));
        let rows = self.read_once(&self.log, query).await?;
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
        Ok(!self.read_once(&self.log, query).await?.is_empty())
    }

    pub(crate) async fn release_lease(
        &self,
        name: &str,
        token: LeaseToken,
    ) -> Result<(), sqlx::Error> {
        let query = sqlx::query(RELEASE).bind(name).bind(token.0.cast_signed());
        self.read_once(&self.log, query).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_ids_lag_two_polls_and_follow_a_failover_down() {
        let low = LowIds::default();
        let lows = [10, 20, 30, 5, 6].map(|id| {
            low.polled(id);
            low.low()
        });
        assert_eq!(lows, [0, 10, 20, 5, 5]);
    }
}
