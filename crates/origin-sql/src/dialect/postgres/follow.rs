//! Reading the rows of the change log.

use std::iter::zip;

use hotshelf_model::{Error, Hist, LogRead, NamespaceName, Position, Timeline, Version};
use sqlx::postgres::PgRow;
use sqlx::{Row as _, SqlStr};

use super::Postgres;
use crate::failure::failed;
use crate::log::{Names, RECORDS_MAX, ROWS_MAX, RawRecord, RawRow, decode};
use crate::snapshot::{hist, nonce, signed, unsigned};

const READ: SqlStr = SqlStr::from_static(include_str!("../../sql/postgres/read_log.sql"));

impl Postgres {
    pub(crate) async fn read_rows(
        &self,
        after: Position,
        rows_max: usize,
    ) -> Result<LogRead, Error> {
        let build = || {
            sqlx::query(READ)
                .bind(signed(after.0))
                .bind(signed(rows_max.min(ROWS_MAX) as u64))
                .bind(RECORDS_MAX)
        };
        let rows = self.read(&self.log, build).await;
        rows.and_then(|rows| self.log_rows(after, &rows))
            .map_err(|error| failed("reading the change log", error))
    }

    pub(super) fn log_rows(&self, after: Position, rows: &[PgRow]) -> Result<LogRead, sqlx::Error> {
        let Some(first) = rows.first() else {
            return Ok(LogRead::Rows(Vec::new()));
        };
        let hist: Hist = hist(first.try_get("uuid")?, first.try_get("system")?);
        let raw: Result<Vec<RawRow>, sqlx::Error> = rows.iter().map(raw_row).collect();
        let (read, skipped) = decode(hist, after, &names(first)?, raw?);
        self.skipped.increment(skipped);
        Ok(read)
    }
}

/// The names of the namespaces; `NULL` in a first row that does not follow the position, and then of no use.
fn names(row: &PgRow) -> Result<Names, sqlx::Error> {
    let ids: Option<Vec<i16>> = row.try_get("ids")?;
    let names: Option<Vec<String>> = row.try_get("names")?;
    let pairs = zip(ids.unwrap_or_default(), names.unwrap_or_default());
    let named = pairs.filter_map(|(id, name)| Some((id.into(), NamespaceName::new(&name).ok()?)));
    Ok(named.collect())
}

fn raw_row(row: &PgRow) -> Result<RawRow, sqlx::Error> {
    let timeline: i64 = row.try_get("tl")?;
    let (namespaces, keys): (Vec<i16>, Vec<String>) = (row.try_get("ns")?, row.try_get("key")?);
    let (versions, operations): (Vec<i64>, Vec<i16>) = (row.try_get("ver")?, row.try_get("op")?);
    let columns = zip(zip(namespaces, keys), zip(versions, operations));
    let records = columns.map(|((namespace, key), (version, operation))| RawRecord {
        namespace: namespace.into(),
        key,
        version: Version(unsigned(version)),
        operation: operation.into(),
    });
    Ok(RawRow {
        timeline: Timeline(u32::try_from(timeline).unwrap_or_default()),
        position: Position(unsigned(row.try_get("pos")?)),
        nonce: nonce(row.try_get("nonce")?),
        records: records.collect(),
    })
}
