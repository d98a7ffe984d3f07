//! PostgreSQL: products for a warm-up.

use hotshelf_model::Selection;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Row as _, SqlStr};

use super::Postgres;
use crate::find::{condition, page_sql};
use crate::lent::{Lent, within};

const CATEGORY: &str = "p.category_path[1:cardinality($2::text[])] = $2::text[]";
/// So that a condition finds the tables by their bare names, and nobody else's.
const PATH: SqlStr = SqlStr::from_static("SET LOCAL search_path = hotshelf, pg_catalog");
const THERE: SqlStr = SqlStr::from_static(
    "SELECT id FROM hotshelf.product WHERE status = 'active' AND id = ANY ($1::text[])",
);
/// Statements of one page, begin and end included.
const STATEMENTS: u32 = 4;

impl Postgres {
    /// In a transaction that cannot write, because the condition is an operator's.
    pub(crate) async fn product_page(
        &self,
        selection: &Selection<'_>,
        after: &str,
    ) -> Result<Vec<String>, sqlx::Error> {
        let mut lent = Lent::acquire(&self.documents).await?;
        let page = page(lent.connection(), selection, after);
        let outcome = within(self.limit * STATEMENTS, page).await;
        lent.end(outcome)
    }

    pub(crate) async fn products_there(&self, ids: &[&str]) -> Result<Vec<String>, sqlx::Error> {
        let rows = self
            .read(&self.documents, || sqlx::query(THERE).bind(ids))
            .await?;
        rows.iter().map(|row| row.try_get("id")).collect()
    }
}

async fn page(
    connection: &mut PgConnection,
    selection: &Selection<'_>,
    after: &str,
) -> Result<Vec<String>, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN READ ONLY").await?;
    sqlx::query(PATH).execute(&mut *transaction).await?;
    let sql = page_sql("hotshelf.product", condition(selection, CATEGORY));
    let query = sqlx::query(AssertSqlSafe(sql)).bind(after);
    let query = match selection {
        Selection::Category(path) => query.bind(*path),
        Selection::Everything | Selection::Where(_) => query,
    };
    let rows = query.persistent(false).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    rows.iter().map(|row: &PgRow| row.try_get("id")).collect()
}
