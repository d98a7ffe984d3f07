//! PostgreSQL: settings of the whole cluster.

use hotshelf_model::{SettingChange, SettingOutcome};
use sqlx::postgres::PgRow;
use sqlx::{Row as _, SqlStr};

use super::Postgres;
use crate::product::WriteFailure;
use crate::setting::SettingRow;
use crate::snapshot::unsigned;

const READ: SqlStr = SqlStr::from_static(
    "SELECT version, CASE WHEN version IS DISTINCT FROM $2 THEN text END AS text, \
     (extract(epoch FROM at) * 1000)::bigint AS at_ms, who, why \
     FROM hotshelf.cache_setting WHERE name = $1 ORDER BY version DESC LIMIT 1",
);
const CHANGE: SqlStr = SqlStr::from_static(include_str!("../../sql/postgres/change_setting.sql"));

impl Postgres {
    pub(crate) async fn read_setting(
        &self,
        name: &str,
        known: Option<i64>,
    ) -> Result<Option<SettingRow>, sqlx::Error> {
        let build = || sqlx::query(READ).bind(name).bind(known);
        let rows = self.read(&self.documents, build).await?;
        rows.first().map(row).transpose()
    }

    pub(crate) async fn change_setting(
        &self,
        change: &SettingChange<'_>,
        if_version: Option<i64>,
    ) -> Result<SettingOutcome, WriteFailure> {
        let build = || {
            sqlx::query(CHANGE)
                .bind(change.name)
                .bind(change.text)
                .bind(change.who)
                .bind(change.why)
                .bind(if_version)
        };
        let row = self.commit(build).await?;
        outcome(&row).map_err(WriteFailure::Sent)
    }
}

fn row(row: &PgRow) -> Result<SettingRow, sqlx::Error> {
    Ok((
        row.try_get("version")?,
        row.try_get("text")?,
        row.try_get("at_ms")?,
        row.try_get("who")?,
        row.try_get("why")?,
    ))
}

fn outcome(row: &PgRow) -> Result<SettingOutcome, sqlx::Error> {
    let written: Option<i64> = row.try_get("written")?;
    Ok(match written.map(unsigned) {
        Some(version) => SettingOutcome::Written { version },
        None => SettingOutcome::VersionMismatch {
            current: unsigned(row.try_get("current")?),
        },
    })
}
