//! Products of hotshelf's own tables as a warm-up asks for them: all, by category, or by a condition of an operator's.

use std::collections::HashSet;

use hotshelf_model::{BoxFuture, Error, ErrorKind, Id, ProductFinder, Selection};

use crate::failure::{failed, is_broken, is_timeout};
use crate::{Database, SqlOrigin};

/// Ids of one statement.
pub(crate) const PAGE: usize = 10_000;

/// The condition that stands for a selection; `category` is how a dialect compares a path with the second parameter.
pub(crate) fn condition<'a>(selection: &Selection<'a>, category: &'a str) -> &'a str {
    match selection {
        Selection::Everything => "TRUE",
        Selection::Category(_) => category,
        Selection::Where(sql) => sql,
    }
}

/// A page of ids after the first parameter. A condition stands on lines of its own, so that a comment in it ends with it.
pub(crate) fn page_sql(product: &str, condition: &str) -> String {
    format!(
        "SELECT p.id FROM {product} AS p WHERE p.status = 'active' AND p.id > $1 AND (\n{condition}\n) ORDER BY p.id LIMIT {PAGE}"
    )
}

/// SQLite would run what stands behind a semicolon as a statement of its own.
fn check(selection: &Selection<'_>) -> Result<(), Error> {
    match selection {
        Selection::Where(sql) if sql.contains(';') || sql.trim().is_empty() => {
            let context =
                "a condition is one expression over the columns of `product`, without a semicolon";
            Err(Error::new(ErrorKind::Invalid, context))
        }
        Selection::Where(_) | Selection::Everything | Selection::Category(_) => Ok(()),
    }
}

/// What the database does not take of an operator's condition is the operator's to mend.
fn error_of(selection: &Selection<'_>, error: sqlx::Error) -> Error {
    let said = error
        .as_database_error()
        .map(|said| said.message().to_owned());
    let is_ours = is_timeout(&error) || is_broken(&error);
    match (selection, said) {
        (Selection::Where(_), Some(said)) if !is_ours => Error::new(
            ErrorKind::Invalid,
            format!("the database does not take the condition: {said}"),
        ),
        _ => failed("looking for products", error),
    }
}

impl SqlOrigin {
    async fn select_ids(&self, selection: Selection<'_>, ids_max: usize) -> Result<Vec<Id>, Error> {
        check(&selection)?;
        let mut ids: Vec<Id> = Vec::new();
        while ids.len() < ids_max {
            let after = ids.last().map_or("", Id::as_str);
            let page = match &self.database {
                Database::Postgres(database) => database.product_page(&selection, after).await,
                Database::Sqlite(database) => database.product_page(&selection, after).await,
            };
            let page = page.map_err(|error| error_of(&selection, error))?;
            let is_last = page.len() < PAGE;
            ids.extend(page.iter().filter_map(|id| Id::new(id).ok()));
            if is_last {
                break;
            }
        }
        ids.truncate(ids_max);
        Ok(ids)
    }

    async fn which_exist(&self, ids: &[Id]) -> Result<Vec<bool>, Error> {
        let mut exist = Vec::with_capacity(ids.len());
        for ids in ids.chunks(PAGE) {
            let texts: Vec<&str> = ids.iter().map(Id::as_str).collect();
            let there = match &self.database {
                Database::Postgres(database) => database.products_there(&texts).await,
                Database::Sqlite(database) => database.products_there(&texts).await,
            };
            let there = there.map_err(|error| failed("looking for products", error))?;
            let there: HashSet<String> = there.into_iter().collect();
            exist.extend(texts.into_iter().map(|id| there.contains(id)));
        }
        Ok(exist)
    }
}

impl ProductFinder for SqlOrigin {
    fn select<'a>(
        &'a self,
        selection: Selection<'a>,
        ids_max: usize,
    ) -> BoxFuture<'a, Result<Vec<Id>, Error>> {
        Box::pin(self.select_ids(selection, ids_max))
    }

    fn exist<'a>(&'a self, ids: &'a [Id]) -> BoxFuture<'a, Result<Vec<bool>, Error>> {
        Box::pin(self.which_exist(ids))
    }
}
