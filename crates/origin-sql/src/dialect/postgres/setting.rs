//! PostgreSQL: settings of the whole cluster.

use hotshelf_model::{SettingChange, SettingOutcome};
use sqlx::postgres::PgRow;
use sqlx::{Row as _, SqlStr};

use super::Postgres;
use crate::product::WriteFailure;
use crate::setting::{PlacedRow, SettingRow};
use crate::snapshot::{signed, unsigned};

const READ: SqlStr = SqlStr::from_static(
    "SELECT version, CASE WHEN version IS DISTINCT FROM $2 THEN text END AS text, \
     (extract(epoch FROM at) * 1000)::bigint AS at_ms, who, why \
     FROM hotshelf.cache_setting WHERE name = $1 ORDER BY version DESC LIMIT 1",
);
const READ_CHANGED: SqlStr = SqlStr::from_static(
    "SELECT w.place, s.version, CASE WHEN s.version <> w.known THEN s.text END AS text, \
     (extract(epoch FROM s.at) * 1000)::bigint AS at_ms, s.who, s.why \
     FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS w (name, known, place) CROSS JOIN LATERAL \
     (SELECT * FROM hotshelf.cache_setting AS c WHERE c.name = w.name ORDER BY version DESC LIMIT 1) AS s",
);
const HISTORY: SqlStr = SqlStr::from_static(
    "SELECT version, text, (extract(epoch FROM at) * 1000)::bigint AS at_ms, who, why \
     FROM hotshelf.cache_setting WHERE name = $1 ORDER BY version DESC LIMIT $2",
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

    pub(crate) async fn read_changed_settings(
        &self,
        known: &[(&str, u64)],
    ) -> Result<Vec<PlacedRow>, sqlx::Error> {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let versions: Vec<i64> = known.iter().map(|(_, version)| signed(*version)).collect();
        let build = || sqlx::query(READ_CHANGED).bind(&names).bind(&versions);
        let rows = self.read(&self.documents, build).await?;
        let placed = |found: &PgRow| {
            let place = found.try_get("place")?;
            let (version, text, at, who, why) = row(found)?;
            Ok((place, version, text, at, who, why))
        };
        rows.iter().map(placed).collect()
    }

    pub(crate) async fn setting_history(
        &self,
        name: &str,
        changes_max: i64,
    ) -> Result<Vec<SettingRow>, sqlx::Error> {
        let build = || sqlx::query(HISTORY).bind(name).bind(changes_max);
        let rows = self.read(&self.documents, build).await?;
        rows.iter().map(row).collect()
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
