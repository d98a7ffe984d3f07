//! SQLite: migrations and writes to hotshelf's own schema.

use std::collections::HashSet;

use hotshelf_model::Error;
use serde_json::json;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row as _, SqlStr};

use super::Sqlite;
use crate::failure::failed;
use crate::lent::{Lent, within};
use crate::migrate::{self, Done};
use crate::snapshot::unsigned;
use crate::upsert::{Batch, Changed};

const HELD: SqlStr =
    SqlStr::from_static("SELECT id FROM product WHERE id IN (SELECT value FROM json_each(?1))");
const PRODUCT: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/upsert_product.sql"));
const CHANGED: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/changed_prices.sql"));
const REMOVE: SqlStr =
    SqlStr::from_static("DELETE FROM price WHERE product_id IN (SELECT value FROM json_each(?1))");
const PRICES: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/insert_prices.sql"));
const STOCK: SqlStr = SqlStr::from_static(include_str!("../../sql/sqlite/upsert_stock.sql"));

/// Statements of one upsert at most, begin and commit included.
const STATEMENTS: u32 = 8;

impl Sqlite {
    /// Runs the migrations, then registers namespaces.
    pub(crate) async fn migrate(&self, namespaces: &[&str]) -> Result<(), Error> {
        migrate::sqlite()
            .run(&self.writer)
            .await
            .map_err(migrate::failed)?;
        for namespace in namespaces {
            sqlx::query(
                "INSERT INTO cache_parent (name) VALUES (?1) ON CONFLICT (name) DO NOTHING",
            )
            .bind(*namespace)
            .execute(&self.writer)
            .await
            .map_err(|error| failed("registering namespaces", error))?;
        }
        Ok(())
    }

    pub(crate) async fn migrations_done(&self) -> Result<Vec<Done>, sqlx::Error> {
        let there =
            "SELECT count(*) AS answer FROM sqlite_master WHERE name = 'cache_schema_migration'";
        if answer(&self.read(sqlx::query(there)).await?)? == 0 {
            return Ok(Vec::new());
        }
        let done =
            sqlx::query("SELECT version, checksum FROM cache_schema_migration ORDER BY version");
        let rows = self.read(done).await?;
        let row = |row: &SqliteRow| Ok((row.try_get("version")?, row.try_get("checksum")?));
        rows.iter().map(row).collect()
    }

    pub(crate) async fn upsert(&self, batch: &Batch) -> Result<Changed, sqlx::Error> {
        let mut lent = Lent::acquire(&self.writer).await?;
        let outcome = within(self.limit * STATEMENTS, write(lent.connection(), batch)).await;
        lent.end(outcome)
    }

    pub(crate) async fn count(&self) -> Result<u64, sqlx::Error> {
        let rows = self
            .read(sqlx::query("SELECT count(*) AS answer FROM product"))
            .await?;
        answer(&rows).map(unsigned)
    }

    pub(crate) async fn any_id(&self) -> Result<Option<String>, sqlx::Error> {
        let sql = "SELECT id FROM product WHERE status = 'active' ORDER BY id LIMIT 1";
        let rows = self.read(sqlx::query(sql)).await?;
        rows.first().map(|row| row.try_get("id")).transpose()
    }
}

async fn write(connection: &mut SqliteConnection, batch: &Batch) -> Result<Changed, sqlx::Error> {
    // Immediate, so that another process that writes is waited for at the start and not in the middle, where it is an error.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mut changed = Changed::default();
    let held: Vec<String> = sqlx::query_scalar(HELD)
        .bind(&batch.ids)
        .fetch_all(&mut *transaction)
        .await?;
    let held: HashSet<String> = held.into_iter().collect();
    let written: Vec<String> = sqlx::query_scalar(PRODUCT)
        .bind(&batch.json)
        .fetch_all(&mut *transaction)
        .await?;
    for id in written {
        let inserted = !held.contains(&id);
        changed.product(id, inserted);
    }
    let prices: Vec<String> = sqlx::query_scalar(CHANGED)
        .bind(&batch.json)
        .fetch_all(&mut *transaction)
        .await?;
    if !prices.is_empty() {
        let ids = json!(prices).to_string();
        sqlx::query(REMOVE)
            .bind(&ids)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(PRICES)
            .bind(&batch.json)
            .bind(&ids)
            .execute(&mut *transaction)
            .await?;
    }
    let stock: Vec<String> = sqlx::query_scalar(STOCK)
        .bind(&batch.json)
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    changed.children(prices);
    changed.children(stock);
    Ok(changed)
}

fn answer(rows: &[SqliteRow]) -> Result<i64, sqlx::Error> {
    rows.first()
        .ok_or(sqlx::Error::RowNotFound)?
        .try_get("answer")
}
