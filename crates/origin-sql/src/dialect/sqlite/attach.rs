//! SQLite: the triggers of attachments.

use std::collections::BTreeSet;

use hotshelf_model::{Error, ErrorKind};
use sqlx::{AssertSqlSafe, Connection, Row as _};

use super::Sqlite;
use crate::attach::{Attachment, NO_HASH, TRIGGER_PREFIX, Table, hash, literal, quoted};
use crate::failure::failed;
use crate::lent::{Lent, within};
use crate::settings::{Dialect, invalid};

const COLUMNS: &str = "SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid";
const ATTACHED: &str = r"SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'hotshelf\_attach\_%' ESCAPE '\'";

impl Sqlite {
    /// Makes the attachments that there are those that are wanted; gives the statements, which are only written down if `dry`.
    pub(crate) async fn attach(
        &self,
        wanted: &[Attachment],
        dry: bool,
    ) -> Result<Vec<String>, Error> {
        let reading = self.read(sqlx::query(ATTACHED)).await;
        let attached: Result<Vec<String>, sqlx::Error> =
            reading.and_then(|rows| rows.iter().map(|row| row.try_get("name")).collect());
        let attached = attached.map_err(|error| failed("looking for attached tables", error))?;
        let mut names = BTreeSet::new();
        let mut made = Vec::new();
        for attachment in wanted {
            for (name, statements) in self.triggers(attachment).await? {
                if !attached.contains(&name) {
                    made.extend(statements);
                }
                names.insert(name);
            }
        }
        let gone = attached.iter().filter(|name| !names.contains(*name));
        let mut all: Vec<String> = gone
            .map(|name| format!("DROP TRIGGER {}", quoted(name)))
            .collect();
        all.extend(made);
        if !dry {
            self.make(&all).await?;
        }
        Ok(all)
    }

    /// Each trigger's name with the statements that make it, once the attachment is checked against the database.
    async fn triggers(&self, attachment: &Attachment) -> Result<Vec<(String, Vec<String>)>, Error> {
        let what = format!("attaching {}", attachment.table);
        let problem = |problem| invalid(&what, &problem);
        let parts = attachment.parts(Dialect::Sqlite).map_err(problem)?;
        let name = parts.into_iter().next().unwrap_or_default();
        let rows = self.read(sqlx::query(COLUMNS).bind(&name)).await;
        let rows = rows.map_err(|error| failed(&what, error))?;
        let read = |row: &sqlx::sqlite::SqliteRow| -> Result<(String, i64), sqlx::Error> {
            Ok((row.try_get("name")?, row.try_get("pk")?))
        };
        let columns: Result<Vec<(String, i64)>, sqlx::Error> = rows.iter().map(read).collect();
        let columns = columns.map_err(|error| failed(&what, error))?;
        if columns.is_empty() {
            let context = format!("{what}: there is no such table");
            return Err(Error::new(ErrorKind::Invalid, context));
        }
        let is_key = |(column, place): &(String, i64)| (*place > 0).then(|| column.clone());
        let table = Table {
            schema: None,
            name,
            primary_key: columns.iter().filter_map(is_key).collect(),
            columns: columns.into_iter().map(|(column, _)| column).collect(),
            partitions: Vec::new(),
        };
        let watched = attachment.watched(&table).map_err(problem)?;
        self.check(attachment, &table).await?;
        let triggers = |hash: &str| triggers(attachment, &table, &watched, hash);
        let plain = triggers(NO_HASH).into_iter();
        let plain: Vec<String> = plain.flat_map(|(_, statements)| statements).collect();
        Ok(triggers(&hash(&table, &plain)))
    }

    /// Has the database read the keys of no row, so that what is wrong is found before anything is made.
    async fn check(&self, attachment: &Attachment, table: &Table) -> Result<(), Error> {
        let rows = format!("(SELECT * FROM {} LIMIT 0)", table.quoted());
        let sql = keys(attachment, &[rows]);
        let checked = self.read(sqlx::query(AssertSqlSafe(sql))).await;
        checked.map(drop).map_err(|error| {
            let context = format!("attaching {}: `keys` cannot be used", attachment.table);
            Error::new(ErrorKind::Invalid, context).with_source(error)
        })
    }

    async fn make(&self, statements: &[String]) -> Result<(), Error> {
        let mut lent = Lent::acquire(&self.writer)
            .await
            .map_err(|error| failed("attaching tables", error))?;
        let attaching = async {
            let mut transaction = lent.connection().begin_with("BEGIN IMMEDIATE").await?;
            for statement in statements {
                sqlx::raw_sql(AssertSqlSafe(statement.clone()))
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await
        };
        let outcome = within(self.limit, attaching).await;
        lent.end(outcome)
            .map_err(|error| failed("attaching tables", error))
    }
}

/// The ids that rows make, under the name `id`.
fn keys(attachment: &Attachment, rows: &[String]) -> String {
    // The first part gives the column its name and no row.
    let mut union = "SELECT NULL AS id WHERE false".to_owned();
    for one in rows {
        union.push_str(" UNION SELECT * FROM (");
        union.push_str(&attachment.keys_over(one));
        union.push(')');
    }
    format!(
        "SELECT CAST(id AS TEXT) AS id FROM ({union}) WHERE length(CAST(id AS BLOB)) BETWEEN 1 AND 128"
    )
}

/// Each trigger's name with the statements that make it.
fn triggers(
    attachment: &Attachment,
    table: &Table,
    watched: &[String],
    hash: &str,
) -> Vec<(String, Vec<String>)> {
    let namespace = literal(attachment.namespace.as_str());
    let row = |row: &str| {
        let columns = table.columns.iter().map(|column| {
            let column = quoted(column);
            format!("{row}.{column} AS {column}")
        });
        format!("(SELECT {})", columns.collect::<Vec<_>>().join(", "))
    };
    let list = |row: &str| {
        // Byte by byte, whatever collation a column has: another case is another document.
        let columns = watched
            .iter()
            .map(|column| format!("{row}.{} COLLATE BINARY", quoted(column)));
        columns.collect::<Vec<_>>().join(", ")
    };
    let changed = format!(" WHEN ({}) IS NOT ({})", list("NEW"), list("OLD"));
    let operations = [
        ("insert", "INSERT", String::new(), vec![row("NEW")]),
        ("update", "UPDATE", changed, vec![row("OLD"), row("NEW")]),
        ("delete", "DELETE", String::new(), vec![row("OLD")]),
    ];
    let trigger = |(what, operation, when, rows): (&str, &str, String, Vec<String>)| {
        let name = format!("{TRIGGER_PREFIX}{hash}_{what}");
        let create = format!(
            "CREATE TRIGGER {} AFTER {operation} ON {}{when} BEGIN INSERT INTO cache_touch (ns, key, deleted) \
             SELECT p.id, k.id, 0 FROM cache_parent AS p, ({}) AS k WHERE p.name = {namespace}; END",
            quoted(&name),
            table.quoted(),
            keys(attachment, &rows)
        );
        let register = format!(
            "INSERT INTO cache_parent (name) VALUES ({namespace}) ON CONFLICT (name) DO NOTHING"
        );
        // What changed before was recorded by nobody.
        let bump = format!("INSERT INTO cache_bump (name) VALUES ({namespace})");
        (name, vec![register, create, bump])
    };
    operations.into_iter().map(trigger).collect()
}
