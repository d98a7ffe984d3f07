//! The poll, and reading the rows of the change log, of which each is one record.

use std::time::Duration;

use hotshelf_model::{Error, Hist, LogRead, NamespaceName, Poll, Position, Version};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqlStr};

use super::{Sqlite, TIMELINE, state};
use crate::failure::failed;
use crate::lent::{Lent, within};
use crate::log::{Names, ROWS_MAX, RawRecord, RawRow, decode};
use crate::snapshot::{hist, nonce, signed, unsigned};

const READ: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/read_log.sql"));

const RENEW_HIST: SqlStr =
    SqlStr::from_static("UPDATE cache_hist SET uuid = lower(hex(randomblob(16)))");

impl Sqlite {
    /// The log is written by the triggers themselves, so a poll is one reading and always settled.
    pub(crate) async fn poll(&self, known: Position) -> Result<Poll, Error> {
        let query = sqlx::query(self.poll.clone()).bind(signed(known.0));
        let rows = self.read(query).await;
        let polled = rows.and_then(|rows| poll(rows.first().ok_or(sqlx::Error::RowNotFound)?));
        let (poll, age) =
            polled.map_err(|error| failed("reading the head of the change log", error))?;
        if self
            .retention
            .is_exceeded(age, poll.oldest, poll.head.position)
        {
            self.prune().await;
        }
        Ok(poll)
    }

    pub(crate) async fn renew_history_if(&self, known: Hist) -> Result<(), Error> {
        if self.poll(Position(0)).await?.head.hist == known {
            self.renew_history().await?;
        }
        Ok(())
    }

    pub(crate) async fn renew_history(&self) -> Result<(), Error> {
        let renewing = async {
            let mut lent = Lent::acquire(&self.writer).await?;
            let executed = sqlx::query(RENEW_HIST).execute(lent.connection());
            let outcome = within(self.limit, executed).await;
            lent.end(outcome)
        };
        let renewed = renewing.await.map(drop);
        renewed.map_err(|error| failed("renewing the history", error))
    }

    pub(crate) async fn read_rows(
        &self,
        after: Position,
        rows_max: usize,
    ) -> Result<LogRead, Error> {
        let query = sqlx::query(READ)
            .bind(signed(after.0))
            .bind(signed(rows_max.min(ROWS_MAX) as u64));
        let rows = self.read(query).await;
        rows.and_then(|rows| self.log_rows(after, &rows))
            .map_err(|error| failed("reading the change log", error))
    }

    fn log_rows(&self, after: Position, rows: &[SqliteRow]) -> Result<LogRead, sqlx::Error> {
        let Some(first) = rows.first() else {
            return Ok(LogRead::Rows(Vec::new()));
        };
        let hist = hist(first.try_get("uuid")?, 0);
        let mut names = Names::new();
        let raw: Result<Vec<RawRow>, sqlx::Error> = rows
            .iter()
            .map(|row| {
                let name: Option<&str> = row.try_get("name")?;
                if let Some(name) = name.and_then(|name| NamespaceName::new(name).ok()) {
                    names.insert(row.try_get("ns")?, name);
                }
                raw_row(row)
            })
            .collect();
        let raw = raw?;
        let (read, skipped) = decode(hist, after, &names, raw);
        self.skipped.increment(skipped);
        Ok(read)
    }
}

/// The poll, and the age of the oldest row.
fn poll(row: &SqliteRow) -> Result<(Poll, Duration), sqlx::Error> {
    let known_nonce: Option<i64> = row.try_get_unchecked("known_nonce")?;
    let age = Duration::from_millis(unsigned(row.try_get("oldest_age_ms")?));
    let poll = Poll {
        head: state(row)?.head(),
        head_nonce: nonce(row.try_get("head_nonce")?),
        known_nonce: known_nonce.map(nonce),
        oldest: Position(unsigned(row.try_get("oldest")?)),
        version_max: Version(unsigned(row.try_get("version")?)),
        settled: true,
        sequenced: None,
    };
    Ok((poll, age))
}

fn raw_row(row: &SqliteRow) -> Result<RawRow, sqlx::Error> {
    Ok(RawRow {
        timeline: TIMELINE,
        position: Position(unsigned(row.try_get("pos")?)),
        nonce: nonce(row.try_get("nonce")?),
        records: vec![RawRecord {
            namespace: row.try_get("ns")?,
            key: row.try_get("key")?,
            version: Version(unsigned(row.try_get("ver")?)),
            operation: row.try_get("op")?,
        }],
    })
}
