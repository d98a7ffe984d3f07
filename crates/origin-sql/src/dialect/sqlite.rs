//! SQLite: one connection that writes, several that read, and the statements that read.

mod attach;
mod find;
mod follow;
mod lead;
mod node;
mod product;
mod setting;
mod warm;
mod write;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use hotshelf_model::{Error, ErrorKind, Position, Timeline, Version};
use hotshelf_telemetry::Counter;
use hotshelf_telemetry::metric::{LOG_PRUNED, LOG_SKIPPED};
use parking_lot::Mutex;
use serde_json::json;
use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Row as _, SqlSafeStr, SqlStr};

use super::{FetchParameters, Statement};
use crate::failure::failed;
use crate::lent::{Lent, within};
use crate::placeholders::Translated;
use crate::settings::{Retention, SqlSettings};
use crate::snapshot::{Row, State, hist, unsigned};

const STATE: &str = include_str!("../sql/sqlite/state.sql");

/// Each connection is a thread; more than the machine's disk and cores can use only cost memory.
const READERS_MAX: u32 = 8;

/// SQLite knows no failover.
const TIMELINE: Timeline = Timeline(1);

/// A SQLite database.
#[derive(Debug)]
pub(crate) struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    limit: Duration,
    versions: SqlStr,
    poll: SqlStr,
    retention: Retention,
    node: Mutex<Option<node::OwnNode>>,
    pruned: Counter,
    skipped: Counter,
}

impl Sqlite {
    /// Opens nothing yet, but creates the folder of the file.
    pub(crate) fn connect_lazy(settings: &SqlSettings) -> Result<Self, Error> {
        let options = SqliteConnectOptions::from_str(&settings.url)
            .map_err(|error| failed("reading the URL of the database", error))?
            .create_if_missing(true)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(settings.statement_timeout)
            .statement_cache_capacity(settings.statement_cache_max.max(1));
        create_folder(options.get_filename())?;
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(settings.acquire_timeout)
                .test_before_acquire(false)
        };
        let framed = |sql: &str| AssertSqlSafe(sql.replace("{state}", STATE)).into_sql_str();
        let writer = options.clone().journal_mode(SqliteJournalMode::Wal);
        let reader = options.pragma("query_only", "ON");
        Ok(Sqlite {
            writer: pool(1).connect_lazy_with(writer),
            readers: pool(settings.connections_max.min(READERS_MAX)).connect_lazy_with(reader),
            limit: settings.statement_timeout,
            versions: framed(include_str!("../sql/sqlite/versions.sql")),
            poll: framed(include_str!("../sql/sqlite/poll.sql")),
            retention: settings.retention,
            node: Mutex::default(),
            pruned: LOG_PRUNED.counter(&[]),
            skipped: LOG_SKIPPED.counter(&[]),
        })
    }

    #[cfg(test)]
    pub(crate) fn pool(&self) -> &SqlitePool {
        &self.writer
    }

    pub(crate) fn statement(query: Translated) -> Statement {
        Statement::framed(include_str!("../sql/sqlite/fetch.sql"), STATE, query)
    }

    pub(crate) async fn fetch(
        &self,
        statement: &Statement,
        parameters: FetchParameters<'_>,
    ) -> Result<(State, Vec<Row>), sqlx::Error> {
        let query = sqlx::query(AssertSqlSafe(statement.sql.clone()))
            .bind(json!(parameters.ids).to_string())
            .bind(parameters.as_of)
            .bind(parameters.namespace)
            .bind(parameters.bytes_max);
        let query = parameters
            .dimensions
            .iter()
            .fold(query, |query, value| query.bind(*value));
        let rows = self.read(query).await?;
        let state = state(rows.first().ok_or(sqlx::Error::RowNotFound)?)?;
        let rows: Result<Vec<Row>, sqlx::Error> = rows.iter().map(row).collect();
        Ok((state, rows?))
    }

    pub(crate) async fn versions(
        &self,
        namespace: &str,
        ids: &[&str],
    ) -> Result<(State, Vec<Version>), sqlx::Error> {
        let query = sqlx::query(self.versions.clone())
            .bind(json!(ids).to_string())
            .bind(namespace);
        let rows = self.read(query).await?;
        let state = state(rows.first().ok_or(sqlx::Error::RowNotFound)?)?;
        let mut versions = vec![Version::NONE; ids.len()];
        for row in &rows {
            let place: Option<i64> = row.try_get("ord")?;
            let place = place.and_then(|place| usize::try_from(place).ok());
            if let Some(version) = place.and_then(|place| versions.get_mut(place)) {
                *version = Version(unsigned(row.try_get("ver")?));
            }
        }
        Ok((state, versions))
    }

    async fn read(
        &self,
        query: Query<'_, sqlx::Sqlite, SqliteArguments>,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let mut lent = Lent::acquire(&self.readers).await?;
        let outcome = within(self.limit, query.fetch_all(lent.connection())).await;
        lent.end(outcome)
    }
}

fn create_folder(file: &Path) -> Result<(), Error> {
    let Some(folder) = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    else {
        return Ok(());
    };
    std::fs::create_dir_all(folder).map_err(|error| {
        let context = format!("creating the folder {} of the database", folder.display());
        Error::new(ErrorKind::Unavailable, context).with_source(error)
    })
}

fn state(row: &SqliteRow) -> Result<State, sqlx::Error> {
    let now_ms: i64 = row.try_get("now_ms")?;
    Ok(State {
        hist: hist(row.try_get("uuid")?, 0),
        timeline: TIMELINE,
        position: Position(unsigned(row.try_get("pos")?)),
        now_us: unsigned(now_ms) * 1000,
        primary: true,
        parent: Version(unsigned(row.try_get("parent_ver")?)),
    })
}

/// The document is read unchecked, because a query may give it as text or as a blob; and so may the columns that are NULL in one row and a number in
/// another, which SQLite gives another type.
fn row(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    let number = |column: &str| row.try_get_unchecked::<Option<i64>, _>(column);
    let size = |value: i64| usize::try_from(value).ok();
    Ok(Row {
        index: number("ord")?.and_then(size),
        version: number("ver")?.map(unsigned),
        bytes: number("bytes")?.and_then(size),
        document: row.try_get_unchecked("document")?,
        valid_until: number("valid_until")?.map(unsigned),
    })
}
