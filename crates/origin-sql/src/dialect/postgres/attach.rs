//! PostgreSQL: the functions and triggers of attachments.
//!
//! An attachment is one function over a row before and after, and a deferred constraint trigger for each operation whose condition
//! calls it, as on hotshelf's own tables. The condition runs as whoever writes the table, so that one function stays executable
//! for everybody; it runs with its owner's rights and a search path of its own, and writes nothing but what it notes.

use std::collections::BTreeSet;
use std::time::Duration;

use hotshelf_model::{Error, ErrorKind};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::Postgres;
use crate::attach::{
    Attachment, FUNCTION_PREFIX, NO_HASH, TRIGGER_PREFIX, Table, hash, literal, quoted,
};
use crate::failure::{failed, is_lock_timeout};
use crate::lent::Lent;
use crate::settings::{Dialect, invalid};

const TABLE: &str = "
    SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
        ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum) AS columns,
        ARRAY(
            SELECT a.attname::text FROM pg_index AS i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
            JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number
            WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY k.place
        ) AS primary_key,
        ARRAY(
            SELECT format('%I.%I', pn.nspname, p.relname) FROM pg_partition_tree(c.oid) AS t
            JOIN pg_class AS p ON p.oid = t.relid JOIN pg_namespace AS pn ON pn.oid = p.relnamespace
            WHERE t.isleaf AND p.relkind = 'r' ORDER BY 1
        ) AS partitions
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)";

/// Every trigger of an attachment, partitions' copies left out, and every function, also one that has lost its triggers.
const ATTACHED: &str = "
    SELECT t.tgname::text AS trigger, format('%I.%I', n.nspname, c.relname) AS owner
    FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE t.tgname LIKE 'hotshelf\\_attach\\_%' AND t.tgparentid = 0
    UNION ALL
    SELECT NULL, p.proname::text FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname = 'hotshelf' AND p.proname LIKE 'attach\\_%'
    ORDER BY 2, 1";

/// What belongs to one attachment, under the hash in its names.
#[derive(Debug)]
struct Step {
    what: String,
    statements: Vec<String>,
}

impl Postgres {
    /// Makes the attachments that there are those that are wanted; gives the statements, which are only written down if `dry`.
    pub(crate) async fn attach(
        &self,
        wanted: &[Attachment],
        lock_timeout: Duration,
        dry: bool,
    ) -> Result<Vec<String>, Error> {
        let attached = self.rows(ATTACHED, None).await?;
        let there = |hash: &str| {
            let name = format!("{FUNCTION_PREFIX}{hash}");
            attached.iter().any(|row| {
                row.try_get("owner")
                    .is_ok_and(|owner: String| owner == name)
            })
        };
        let mut hashes = BTreeSet::new();
        let mut steps = Vec::new();
        for attachment in wanted {
            let (hash, step) = self.step(attachment).await?;
            if !there(&hash) {
                steps.push(step);
            }
            hashes.insert(hash);
        }
        // What takes the place of something is made first, so that no change goes unrecorded in between.
        let mut all = steps;
        all.extend(removal(&attached, &hashes)?);
        if !dry {
            for step in &all {
                self.make(step, lock_timeout).await?;
            }
        }
        Ok(all.into_iter().flat_map(|step| step.statements).collect())
    }

    /// Checks an attachment against the database, and says how it is made.
    async fn step(&self, attachment: &Attachment) -> Result<(String, Step), Error> {
        let what = format!("attaching {}", attachment.table);
        let problem = |problem| invalid(&what, &problem);
        let parts = attachment.parts(Dialect::Postgres).map_err(problem)?;
        let parts: Vec<String> = parts.iter().map(|part| quoted(part)).collect();
        let rows = self.rows(TABLE, Some(parts.join("."))).await?;
        let table = rows.first().map(table).transpose();
        let table = table.map_err(|error| failed(&what, error))?.flatten();
        let table = table.ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                format!("{what}: there is no such table"),
            )
        })?;
        let watched = attachment.watched(&table).map_err(problem)?;
        self.check(attachment, &table).await?;
        let statements = |hash: &str| statements(attachment, &table, &watched, hash);
        let hash = hash(&table, &statements(NO_HASH));
        let statements = statements(&hash);
        Ok((hash, Step { what, statements }))
    }

    /// Has the database read the keys of no row, so that what is wrong is found before anything is made.
    async fn check(&self, attachment: &Attachment, table: &Table) -> Result<(), Error> {
        let sql = format!(
            "WITH hotshelf_rows AS (SELECT t.* FROM {} AS t LIMIT 0) SELECT k.id::text FROM ({}) AS k (id) LIMIT 0",
            table.quoted(),
            attachment.keys_over("hotshelf_rows")
        );
        let what = format!("attaching {}: `keys` cannot be used", attachment.table);
        let mut lent = Lent::acquire(&self.documents)
            .await
            .map_err(|error| failed(&what, error))?;
        let path = path(table);
        let outcome = async {
            let mut transaction = sqlx::Connection::begin(lent.connection()).await?;
            let set = format!("SET LOCAL search_path = {path}");
            sqlx::raw_sql(AssertSqlSafe(set))
                .execute(&mut *transaction)
                .await?;
            sqlx::query(AssertSqlSafe(sql))
                .persistent(false)
                .fetch_all(&mut *transaction)
                .await?;
            transaction.rollback().await
        }
        .await;
        lent.end(outcome).map_err(|error| {
            let kind = match error.as_database_error() {
                Some(_) => ErrorKind::Invalid,
                None => ErrorKind::OriginFailed,
            };
            Error::new(kind, what).with_source(error)
        })
    }

    async fn rows(&self, sql: &'static str, argument: Option<String>) -> Result<Vec<PgRow>, Error> {
        let build = || {
            let query = sqlx::query(sql);
            match &argument {
                Some(argument) => query.bind(argument.clone()),
                None => query,
            }
        };
        let rows = self.read(&self.documents, build).await;
        rows.map_err(|error| failed("looking for attached tables", error))
    }

    /// One transaction for each attachment, so that no two tables are locked at once.
    async fn make(&self, step: &Step, lock_timeout: Duration) -> Result<(), Error> {
        let mut lent = Lent::acquire(&self.documents)
            .await
            .map_err(|error| failed(&step.what, error))?;
        let outcome = async {
            let mut transaction = sqlx::Connection::begin(lent.connection()).await?;
            let set = format!("SET LOCAL lock_timeout = {}", lock_timeout.as_millis());
            sqlx::raw_sql(AssertSqlSafe(set))
                .execute(&mut *transaction)
                .await?;
            for statement in &step.statements {
                sqlx::raw_sql(AssertSqlSafe(statement.clone()))
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await
        }
        .await;
        lent.end(outcome).map_err(|error| {
            if !is_lock_timeout(&error) {
                return failed(&step.what, error);
            }
            let context = format!(
                "{}: its lock was not got within {} ms, because a transaction holds the table; nothing of it was changed, try again",
                step.what,
                lock_timeout.as_millis()
            );
            Error::new(ErrorKind::OriginTimeout, context).with_source(error)
        })
    }
}

fn table(row: &PgRow) -> Result<Option<Table>, sqlx::Error> {
    let kind: String = row.try_get("kind")?;
    Ok(matches!(kind.as_str(), "r" | "p").then_some(Table {
        schema: row.try_get("schema")?,
        name: row.try_get("name")?,
        columns: row.try_get("columns")?,
        primary_key: row.try_get("primary_key")?,
        partitions: row.try_get("partitions")?,
    }))
}

fn path(table: &Table) -> String {
    let schema = table.schema.as_deref().unwrap_or("public");
    format!("pg_catalog, {}, pg_temp", quoted(schema))
}

fn watched_row(row: &str, watched: &[String]) -> String {
    let columns: Vec<String> = watched
        .iter()
        .map(|column| format!("({row}).{}", quoted(column)))
        .collect();
    format!("ROW({})::record", columns.join(", "))
}

fn statements(
    attachment: &Attachment,
    table: &Table,
    watched: &[String],
    hash: &str,
) -> Vec<String> {
    let (name, path) = (table.quoted(), path(table));
    let namespace = literal(attachment.namespace.as_str());
    let (before, after) = (
        watched_row("hotshelf_old", watched),
        watched_row("hotshelf_new", watched),
    );
    let body = format!(
        "
#variable_conflict use_column
DECLARE
    hotshelf_first boolean := false;
    hotshelf_id text;
BEGIN
    -- Byte by byte: a type's own equality may take for equal what makes another document, such as 1.0 and 1.00, and may be anybody's function.
    IF NOT (hotshelf_old IS NULL OR hotshelf_new IS NULL) AND {before} OPERATOR(pg_catalog.*=) {after} THEN
        RETURN false;
    END IF;
    FOR hotshelf_id IN
        WITH hotshelf_rows AS (
            SELECT (hotshelf_old).* WHERE NOT (hotshelf_old IS NULL) UNION ALL SELECT (hotshelf_new).* WHERE NOT (hotshelf_new IS NULL)
        )
        SELECT DISTINCT k.id::text FROM ({keys}) AS k (id) WHERE octet_length(k.id::text) BETWEEN 1 AND 128
    LOOP
        -- A condition of its own: in `touch(...) OR hotshelf_first` the planner may leave the call out once the variable is true.
        IF hotshelf.touch((
            SELECT lpad(p.id::text, 5, '0') FROM hotshelf.cache_parent AS p WHERE p.name = {namespace}
        ) || '0' || hotshelf_id) THEN
            hotshelf_first := true;
        END IF;
    END LOOP;
    RETURN hotshelf_first;
END ",
        keys = attachment.keys_over("hotshelf_rows"),
    );
    let function = format!("hotshelf.{}", quoted(&format!("{FUNCTION_PREFIX}{hash}")));
    let trigger = |what: &str| quoted(&format!("{TRIGGER_PREFIX}{hash}_{what}"));
    let on = |what: &str, operation: &str, rows: &str| {
        format!(
            "CREATE CONSTRAINT TRIGGER {} AFTER {operation} ON {name} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW \
             WHEN ({function}({rows})) EXECUTE FUNCTION hotshelf.seal()",
            trigger(what)
        )
    };
    let mut statements = vec![
        format!("SELECT hotshelf.register_namespace({namespace})"),
        format!(
            "CREATE FUNCTION {function}(hotshelf_old {name}, hotshelf_new {name}) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER \
             SET search_path = {path} AS {}",
            literal(&body)
        ),
        on("insert", "INSERT", "NULL, NEW"),
        on("update", "UPDATE", "OLD, NEW"),
        on("delete", "DELETE", "OLD, NULL"),
    ];
    // A statement's trigger is not copied to partitions, and each can be truncated by itself; the whole truncates them all.
    let whole = [name];
    let truncated = match table.partitions.as_slice() {
        [] => &whole,
        partitions => partitions,
    };
    statements.extend(truncated.iter().map(|name| {
        format!(
            "CREATE TRIGGER {} AFTER TRUNCATE ON {name} FOR EACH STATEMENT EXECUTE FUNCTION hotshelf.bump_trigger({namespace})",
            trigger("truncate")
        )
    }));
    // What changed before was recorded by nobody.
    statements.push(format!("SELECT hotshelf.bump({namespace})"));
    statements
}

/// How everything is removed that belongs to none of these hashes.
fn removal(attached: &[PgRow], wanted: &BTreeSet<String>) -> Result<Vec<Step>, Error> {
    let mut triggers = Vec::new();
    let mut functions = Vec::new();
    for row in attached {
        let read = || -> Result<(Option<String>, String), sqlx::Error> {
            Ok((row.try_get("trigger")?, row.try_get("owner")?))
        };
        let (trigger, owner) =
            read().map_err(|error| failed("looking for attached tables", error))?;
        let is_wanted = |name: &str, prefix: &str| {
            let hash = name.strip_prefix(prefix).unwrap_or_default();
            wanted.contains(hash.split('_').next().unwrap_or_default())
        };
        match trigger {
            Some(trigger) if !is_wanted(&trigger, TRIGGER_PREFIX) => {
                triggers.push((owner, trigger));
            }
            None if !is_wanted(&owner, FUNCTION_PREFIX) => functions.push(owner),
            Some(_) | None => {}
        }
    }
    let mut steps: Vec<Step> = Vec::new();
    for (owner, trigger) in triggers {
        let statement = format!("DROP TRIGGER {} ON {owner}", quoted(&trigger));
        let what = format!("detaching {owner}");
        match steps.last_mut().filter(|step| step.what == what) {
            Some(step) => step.statements.push(statement),
            None => steps.push(Step {
                what,
                statements: vec![statement],
            }),
        }
    }
    steps.extend(functions.into_iter().map(|name| Step {
        what: format!("removing the function {name}"),
        statements: vec![format!("DROP FUNCTION hotshelf.{}", quoted(&name))],
    }));
    Ok(steps)
}
