//! PostgreSQL: migrations and writes to hotshelf's own schema.

use hotshelf_model::Error;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Row as _, SqlStr};

use super::Postgres;
use crate::failure::failed;
use crate::lent::{Lent, within};
use crate::migrate::{self, Done};
use crate::snapshot::unsigned;
use crate::upsert::{Batch, Changed};

const PRODUCT: SqlStr = SqlStr::from_static(include_str!("../../sql/postgres/upsert_product.sql"));
const CHANGED: SqlStr = SqlStr::from_static(include_str!("../../sql/postgres/changed_prices.sql"));
const REMOVE: SqlStr =
    SqlStr::from_static("DELETE FROM hotshelf.price WHERE product_id = ANY ($1::text[])");
const PRICES: SqlStr = SqlStr::from_static(include_str!("../../sql/postgres/insert_prices.sql"));
const STOCK: SqlStr = SqlStr::from_static(include_str!("../../sql/postgres/upsert_stock.sql"));

/// Statements of one upsert at most, begin and commit included.
const STATEMENTS: u32 = 7;

impl Postgres {
    /// Runs the migrations, then registers namespaces. When there is nothing to run, no lock is taken, which a pooler could leave held, and no
    /// right to make tables is needed.
    pub(crate) async fn migrate(&self, namespaces: &[&str]) -> Result<(), Error> {
        let exists = "SELECT to_regnamespace('hotshelf') IS NOT NULL";
        let exists: bool = sqlx::query_scalar(exists)
            .fetch_one(&self.documents)
            .await
            .map_err(|error| failed("looking for the schema hotshelf", error))?;
        let migrator = migrate::postgres(exists);
        let done = self.migrations_done().await;
        let done = done.map_err(|error| failed("reading which migrations were run", error))?;
        if !migrate::is_current(&migrator, &done) {
            let run = migrator.run(&self.documents).await;
            run.map_err(migrate::failed)?;
        }
        sqlx::query("SELECT hotshelf.register_namespace(name) FROM unnest($1::text[]) AS n (name)")
            .bind(namespaces)
            .execute(&self.documents)
            .await
            .map_err(|error| failed("registering namespaces", error))?;
        Ok(())
    }

    pub(crate) async fn migrations_done(&self) -> Result<Vec<Done>, sqlx::Error> {
        let there = "SELECT to_regclass('hotshelf.schema_migration') IS NOT NULL AS answer";
        let there: bool = self
            .one(SqlStr::from_static(there))
            .await?
            .try_get("answer")?;
        if !there {
            return Ok(Vec::new());
        }
        let done = "SELECT version, checksum FROM hotshelf.schema_migration WHERE success ORDER BY version";
        let rows = self.read(&self.documents, || sqlx::query(done)).await?;
        let row = |row: &PgRow| Ok((row.try_get("version")?, row.try_get("checksum")?));
        rows.iter().map(row).collect()
    }

    pub(crate) async fn renew_history(&self) -> Result<(), Error> {
        let sql = SqlStr::from_static("SELECT hotshelf.renew_hist()::text");
        let renewed = self.one(sql).await;
        renewed
            .map(drop)
            .map_err(|error| failed("renewing the history", error))
    }

    pub(crate) async fn upsert(&self, batch: &Batch) -> Result<Changed, sqlx::Error> {
        let mut lent = Lent::acquire(&self.documents).await?;
        let outcome = within(self.limit * STATEMENTS, write(lent.connection(), batch)).await;
        lent.end(outcome)
    }

    pub(crate) async fn count(&self) -> Result<u64, sqlx::Error> {
        let sql = SqlStr::from_static("SELECT count(*) AS answer FROM hotshelf.product");
        let row = self.one(sql).await?;
        Ok(unsigned(row.try_get("answer")?))
    }

    pub(crate) async fn any_id(&self) -> Result<Option<String>, sqlx::Error> {
        let sql = "SELECT (SELECT id FROM hotshelf.product WHERE status = 'active' ORDER BY id LIMIT 1) AS answer";
        let row = self.one(SqlStr::from_static(sql)).await?;
        row.try_get("answer")
    }

    /// One row of a statement that is not tried again.
    async fn one(&self, sql: SqlStr) -> Result<PgRow, sqlx::Error> {
        let mut lent = Lent::acquire(&self.documents).await?;
        let query = sqlx::query(sql);
        let outcome = within(self.limit, query.fetch_one(lent.connection())).await;
        lent.end(outcome)
    }
}

async fn write(connection: &mut PgConnection, batch: &Batch) -> Result<Changed, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let mut changed = Changed::default();
    let rows = sqlx::query(PRODUCT)
        .bind(&batch.json)
        .fetch_all(&mut *transaction)
        .await?;
    for row in &rows {
        changed.product(row.try_get("id")?, row.try_get("inserted")?);
    }
    let prices: Vec<String> = sqlx::query_scalar(CHANGED)
        .bind(&batch.json)
        .fetch_all(&mut *transaction)
        .await?;
    if !prices.is_empty() {
        sqlx::query(REMOVE)
            .bind(&prices)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(PRICES)
            .bind(&batch.json)
            .bind(&prices)
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
