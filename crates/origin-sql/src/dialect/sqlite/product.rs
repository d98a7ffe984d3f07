//! SQLite: single products and posted changes, each in one transaction.

use hotshelf_model::{Recorded, Version, WriteOutcome};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, SqlStr};

use super::Sqlite;
use crate::lent::{Lent, within};
use crate::product::{Posted, WriteFailure, Written};
use crate::snapshot::unsigned;

const VERSION: SqlStr =
    SqlStr::from_static("SELECT ver FROM cache_version WHERE ns = 1 AND key = ?1");
const THERE: SqlStr = SqlStr::from_static("SELECT EXISTS (SELECT 1 FROM product WHERE id = ?1)");
const CREATE: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/create_product.sql"));
const UPDATE: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/write_product.sql"));
const ROW_BYTES: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/row_bytes.sql"));
const SAME_PRICES: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/same_prices.sql"));
const REMOVE_PRICES: SqlStr = SqlStr::from_static("DELETE FROM price WHERE product_id = ?1");
const PRICES: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/write_prices.sql"));
const STOCK: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/write_stock.sql"));
const DELETE: SqlStr = SqlStr::from_static("DELETE FROM product WHERE id = ?1");
const REGISTER: SqlStr = SqlStr::from_static(
    "INSERT INTO cache_parent (name) SELECT value FROM json_each(?1) WHERE true ON CONFLICT (name) DO NOTHING",
);
const TOUCHED: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/post_touched.sql"));
const GIVEN: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/post_given.sql"));
const POSTED: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/posted_versions.sql"));
const BUMP: SqlStr =
    SqlStr::from_static("INSERT INTO cache_bump (name) SELECT DISTINCT value FROM json_each(?1)");
const BUMPED: SqlStr = SqlStr::from_static(
    "SELECT p.ver FROM json_each(?1) AS j JOIN cache_parent AS p ON p.name = j.value ORDER BY j.key",
);

/// Statements of one transaction at most, begin and commit included.
const STATEMENTS: u32 = 12;

impl Sqlite {
    pub(crate) async fn write_product(
        &self,
        written: &Written<'_>,
    ) -> Result<WriteOutcome, WriteFailure> {
        let mut lent = Lent::acquire(&self.writer)
            .await
            .map_err(WriteFailure::Unsent)?;
        let writing = write(lent.connection(), written);
        let outcome = within(self.limit * STATEMENTS, writing).await;
        let (word, version) = lent.end(outcome).map_err(WriteFailure::Sent)?;
        written
            .outcome(word, version)
            .ok_or(WriteFailure::Sent(sqlx::Error::RowNotFound))
    }

    pub(crate) async fn post(&self, posted: &Posted<'_>) -> Result<Recorded, WriteFailure> {
        let mut lent = Lent::acquire(&self.writer)
            .await
            .map_err(WriteFailure::Unsent)?;
        let posting = post(lent.connection(), posted);
        let outcome = within(self.limit * STATEMENTS, posting).await;
        let (changed, bumped) = lent.end(outcome).map_err(WriteFailure::Sent)?;
        posted
            .recorded(changed, bumped)
            .ok_or(WriteFailure::Sent(sqlx::Error::RowNotFound))
    }
}

/// Writes, or finds out why not; what is not committed is rolled back.
async fn write(
    connection: &mut SqliteConnection,
    written: &Written<'_>,
) -> Result<(&'static str, Version), sqlx::Error> {
    // Immediate, so that what is read first is still so when it is written.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let before = version(&mut transaction, written.id).await?;
    let there: bool = sqlx::query_scalar(THERE)
        .bind(written.id)
        .fetch_one(&mut *transaction)
        .await?;
    if let Some(refusal) = refusal(written, before, there) {
        return Ok((refusal, before));
    }
    match &written.fields {
        None => {
            sqlx::query(DELETE)
                .bind(written.id)
                .execute(&mut *transaction)
                .await?;
        }
        Some(fields) => {
            if !write_fields(&mut transaction, written, fields, there).await? {
                return Ok(("too_large", before));
            }
        }
    }
    let after = version(&mut transaction, written.id).await?;
    transaction.commit().await?;
    let word = match (written.fields.is_some(), there) {
        (false, _) => "deleted",
        (true, false) => "created",
        (true, true) if after == before => "unchanged",
        (true, true) => "updated",
    };
    Ok((word, after))
}

fn refusal(written: &Written<'_>, before: Version, there: bool) -> Option<&'static str> {
    if written.must_exist && !there {
        return Some("absent");
    }
    let met = written.if_version.is_none_or(|wanted| {
        if wanted == 0 {
            !there
        } else {
            unsigned(wanted) == before.0
        }
    });
    (!met).then_some("mismatch")
}

/// Writes the product, its prices and its stock; says whether the document is small enough.
async fn write_fields(
    connection: &mut SqliteConnection,
    written: &Written<'_>,
    fields: &str,
    there: bool,
) -> Result<bool, sqlx::Error> {
    let bind = |sql: SqlStr| sqlx::query(sql).bind(written.id).bind(fields);
    let product = if there { UPDATE } else { CREATE };
    bind(product).execute(&mut *connection).await?;
    let bytes: i64 = sqlx::query_scalar(ROW_BYTES)
        .bind(written.id)
        .fetch_one(&mut *connection)
        .await?;
    if bytes > written.row_bytes_max() {
        return Ok(false);
    }
    let given: Value = serde_json::from_str(fields).unwrap_or_default();
    if given.get("prices").is_some() {
        let same: bool = sqlx::query_scalar(SAME_PRICES)
            .bind(written.id)
            .bind(fields)
            .fetch_one(&mut *connection)
            .await?;
        if !same {
            sqlx::query(REMOVE_PRICES)
                .bind(written.id)
                .execute(&mut *connection)
                .await?;
            bind(PRICES).execute(&mut *connection).await?;
        }
    }
    if given.get("quantity").is_some() || given.get("low_at").is_some() {
        bind(STOCK).execute(&mut *connection).await?;
    }
    Ok(true)
}

async fn version(connection: &mut SqliteConnection, id: &str) -> Result<Version, sqlx::Error> {
    let version: Option<i64> = sqlx::query_scalar(VERSION)
        .bind(id)
        .fetch_optional(connection)
        .await?;
    Ok(Version(version.map_or(0, unsigned)))
}

async fn post(
    connection: &mut SqliteConnection,
    posted: &Posted<'_>,
) -> Result<(Vec<Version>, Vec<Version>), sqlx::Error> {
    let keys = posted.namespaces.iter().zip(&posted.ids);
    let changes = keys
        .zip(&posted.versions)
        .map(|((name, id), version)| json!([name, id, version]));
    let changes = Value::from_iter(changes).to_string();
    let bumps = json!(posted.bumps).to_string();
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for names in [json!(posted.namespaces).to_string(), bumps.clone()] {
        sqlx::query(REGISTER)
            .bind(names)
            .execute(&mut *transaction)
            .await?;
    }
    for (sql, given) in [(GIVEN, &changes), (TOUCHED, &changes), (BUMP, &bumps)] {
        sqlx::query(sql)
            .bind(given)
            .execute(&mut *transaction)
            .await?;
    }
    let changed: Vec<i64> = sqlx::query_scalar(POSTED)
        .bind(&changes)
        .fetch_all(&mut *transaction)
        .await?;
    let bumped: Vec<i64> = sqlx::query_scalar(BUMPED)
        .bind(&bumps)
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    let versions = |versions: Vec<i64>| versions.into_iter().map(|one| Version(unsigned(one)));
    Ok((versions(changed).collect(), versions(bumped).collect()))
}
