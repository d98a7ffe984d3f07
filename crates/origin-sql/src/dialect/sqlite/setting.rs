//! SQLite: settings of the whole cluster.

use hotshelf_model::{SettingChange, SettingOutcome};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, SqlStr};

use super::Sqlite;
use crate::lent::{Lent, within};
use crate::product::WriteFailure;
use crate::setting::{PlacedRow, SettingRow};
use crate::snapshot::unsigned;

const READ: SqlStr = SqlStr::from_static(
    "SELECT version, CASE WHEN version IS NOT ?2 THEN text END AS text, at, who, why \
     FROM cache_setting WHERE name = ?1 ORDER BY version DESC LIMIT 1",
);
const READ_CHANGED: SqlStr = SqlStr::from_static(
    "SELECT w.key + 1, s.version, CASE WHEN s.version <> json_extract(w.value, '$[1]') THEN s.text END, s.at, s.who, s.why \
     FROM json_each(?1) AS w JOIN cache_setting AS s ON s.name = json_extract(w.value, '$[0]') \
     AND s.version = (SELECT max(version) FROM cache_setting WHERE name = json_extract(w.value, '$[0]'))",
);
const HISTORY: SqlStr = SqlStr::from_static(
    "SELECT version, text, at, who, why FROM cache_setting WHERE name = ?1 ORDER BY version DESC LIMIT ?2",
);
const CHANGE: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/change_setting.sql"));
const CURRENT: SqlStr =
    SqlStr::from_static("SELECT coalesce(max(version), 0) FROM cache_setting WHERE name = ?1");

/// Statements of one change at most, begin and commit included.
const STATEMENTS: u32 = 4;

impl Sqlite {
    pub(crate) async fn read_setting(
        &self,
        name: &str,
        known: Option<i64>,
    ) -> Result<Option<SettingRow>, sqlx::Error> {
        let mut lent = Lent::acquire(&self.readers).await?;
        let query = sqlx::query_as(READ).bind(name).bind(known);
        let outcome = within(self.limit, query.fetch_optional(lent.connection())).await;
        lent.end(outcome)
    }

    pub(crate) async fn read_changed_settings(
        &self,
        known: &[(&str, u64)],
    ) -> Result<Vec<PlacedRow>, sqlx::Error> {
        let mut lent = Lent::acquire(&self.readers).await?;
        let query = sqlx::query_as(READ_CHANGED).bind(serde_json::json!(known).to_string());
        let outcome = within(self.limit, query.fetch_all(lent.connection())).await;
        lent.end(outcome)
    }

    pub(crate) async fn setting_history(
        &self,
        name: &str,
        changes_max: i64,
    ) -> Result<Vec<SettingRow>, sqlx::Error> {
        let mut lent = Lent::acquire(&self.readers).await?;
        let query = sqlx::query_as(HISTORY).bind(name).bind(changes_max);
        let outcome = within(self.limit, query.fetch_all(lent.connection())).await;
        lent.end(outcome)
    }

    pub(crate) async fn change_setting(
        &self,
        change: &SettingChange<'_>,
        if_version: Option<i64>,
    ) -> Result<SettingOutcome, WriteFailure> {
        let mut lent = Lent::acquire(&self.writer)
            .await
            .map_err(WriteFailure::Unsent)?;
        let changing = write(lent.connection(), change, if_version);
        let outcome = within(self.limit * STATEMENTS, changing).await;
        lent.end(outcome).map_err(WriteFailure::Sent)
    }
}

async fn write(
    connection: &mut SqliteConnection,
    change: &SettingChange<'_>,
    if_version: Option<i64>,
) -> Result<SettingOutcome, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let written: Option<i64> = sqlx::query_scalar(CHANGE)
        .bind(change.name)
        .bind(change.text)
        .bind(change.who)
        .bind(change.why)
        .bind(if_version)
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(version) = written.map(unsigned) else {
        let current: i64 = sqlx::query_scalar(CURRENT)
            .bind(change.name)
            .fetch_one(&mut *transaction)
            .await?;
        let current = unsigned(current);
        return Ok(SettingOutcome::VersionMismatch { current });
    };
    transaction.commit().await?;
    Ok(SettingOutcome::Written { version })
}
