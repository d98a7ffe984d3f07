//! SQLite: products for a warm-up, on connections that cannot write.

use hotshelf_model::Selection;
use serde_json::json;
use sqlx::{AssertSqlSafe, Row as _, SqlStr};

use super::Sqlite;
use crate::find::{condition, page_sql};

const CATEGORY: &str = "(SELECT json_group_array(value) FROM (SELECT value FROM json_each(p.category_path) ORDER BY key \
                        LIMIT json_array_length($2))) = json($2)";
const THERE: SqlStr = SqlStr::from_static(
    "SELECT id FROM product WHERE status = 'active' AND id IN (SELECT value FROM json_each(?1))",
);

impl Sqlite {
    pub(crate) async fn product_page(
        &self,
        selection: &Selection<'_>,
        after: &str,
    ) -> Result<Vec<String>, sqlx::Error> {
        let sql = page_sql("product", condition(selection, CATEGORY));
        let query = sqlx::query(AssertSqlSafe(sql)).bind(after);
        let query = match selection {
            Selection::Category(path) => query.bind(json!(path).to_string()),
            Selection::Everything | Selection::Where(_) => query,
        };
        let rows = self.read(query.persistent(false)).await?;
        rows.iter().map(|row| row.try_get("id")).collect()
    }

    pub(crate) async fn products_there(&self, ids: &[&str]) -> Result<Vec<String>, sqlx::Error> {
        let rows = self
            .read(sqlx::query(THERE).bind(json!(ids).to_string()))
            .await?;
        rows.iter().map(|row| row.try_get("id")).collect()
    }
}
