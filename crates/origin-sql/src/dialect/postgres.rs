//! PostgreSQL: pools, and the statements that read.

mod attach;
mod find;
mod follow;
mod lead;
mod node;
mod product;
mod sequencer;
mod setting;
mod warm;
mod write;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hotshelf_model::{Error, Position, Timeline, Version};
use hotshelf_telemetry::Counter;
use hotshelf_telemetry::metric::{LOG_PRUNED, LOG_SEQUENCED, LOG_SKIPPED, SEQUENCER_CONFLICTS};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection, Row as _, SqlSafeStr, SqlStr};

use super::{FetchParameters, Statement};
use crate::failure::{failed, is_broken};
use crate::lent::{Lent, within};
use crate::placeholders::Translated;
use crate::settings::{Retention, SqlSettings};
use crate::snapshot::{Row, State, hist, unsigned};

const STATE: &str = include_str!("../sql/postgres/state.sql");

/// Connections that only follow the change log, so that a proof never waits behind documents.
const LOG_CONNECTIONS: u32 = 2;
/// How much longer than the server's own timeout a statement is waited for, before the server is taken to hang.
const GRACE: Duration = Duration::from_millis(250);
/// A connection that was idle longer is tested before it is used: a restarted server has closed it.
const TEST_AFTER_IDLE: Duration = Duration::from_secs(1);
/// How long a connection may take to answer that test.
const TEST_LIMIT: Duration = Duration::from_secs(1);

/// A PostgreSQL database.
#[derive(Debug)]
pub(crate) struct Postgres {
    documents: PgPool,
    /// Writes that wait for one row must not keep fetches from their connections.
    writes: PgPool,
    log: PgPool,
    limit: Duration,
    /// Without a statement cache each statement gets a transaction, which keeps it on one server connection behind a pooler.
    cached: bool,
    versions: SqlStr,
    poll: SqlStr,
    batch_limit: sequencer::BatchLimit,
    low: lead::LowIds,
    retention: Retention,
    /// Whether this node has given positions since it last looked for rows to prune.
    sequenced_lately: AtomicBool,
    pruned: Counter,
    skipped: Counter,
    sequenced: Counter,
    conflicts: Counter,
}

impl Postgres {
    pub(crate) fn connect_lazy(settings: &SqlSettings) -> Result<Self, Error> {
        let options: PgConnectOptions = settings
            .url
            .parse()
            .map_err(|error| failed("reading the URL of the database", error))?;
        let timeout = settings.statement_timeout.as_millis().to_string();
        let options = options
            .application_name("hotshelf")
            .extra_float_digits(None)
            .statement_cache_capacity(settings.statement_cache_max)
            // No statement of ours lives long enough to be worth compiling, and tables without statistics make some seem to.
            .options([("statement_timeout", timeout.as_str()), ("jit", "off")]);
        let pool =
            |connections| pool_options(settings, connections).connect_lazy_with(options.clone());
        let framed = |sql: &str| AssertSqlSafe(sql.replace("{state}", STATE)).into_sql_str();
        Ok(Postgres {
            documents: pool(settings.connections_max),
            writes: pool(settings.write_connections_max),
            log: pool(LOG_CONNECTIONS),
            limit: settings.statement_timeout + GRACE,
            cached: settings.statement_cache_max > 0,
            versions: framed(include_str!("../sql/postgres/versions.sql")),
            poll: framed(include_str!("../sql/postgres/poll.sql")),
            batch_limit: sequencer::BatchLimit::default(),
            low: lead::LowIds::default(),
            retention: settings.retention,
            sequenced_lately: AtomicBool::new(false),
            pruned: LOG_PRUNED.counter(&[]),
            skipped: LOG_SKIPPED.counter(&[]),
            sequenced: LOG_SEQUENCED.counter(&[]),
            conflicts: SEQUENCER_CONFLICTS.counter(&[]),
        })
    }

    #[cfg(test)]
    pub(crate) fn pool(&self) -> &PgPool {
        &self.documents
    }

    pub(crate) fn statement(query: Translated) -> Statement {
        Statement::framed(include_str!("../sql/postgres/fetch.sql"), STATE, query)
    }

    pub(crate) async fn fetch(
        &self,
        statement: &Statement,
        parameters: FetchParameters<'_>,
    ) -> Result<(State, Vec<Row>), sqlx::Error> {
        let build = || {
            let query = sqlx::query(AssertSqlSafe(statement.sql.clone()))
                .bind(parameters.ids)
                .bind(parameters.as_of)
                .bind(parameters.namespace)
                .bind(parameters.bytes_max);
            parameters
                .dimensions
                .iter()
                .fold(query, |query, value| query.bind(*value))
        };
        let rows = self.read(&self.documents, build).await?;
        let state = state(rows.first().ok_or(sqlx::Error::RowNotFound)?)?;
        let rows: Result<Vec<Row>, sqlx::Error> = rows.iter().map(row).collect();
        Ok((state, rows?))
    }

    pub(crate) async fn versions(
        &self,
        namespace: &str,
        ids: &[&str],
    ) -> Result<(State, Vec<Version>), sqlx::Error> {
        let build = || sqlx::query(self.versions.clone()).bind(ids).bind(namespace);
        let rows = self.read(&self.documents, build).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let versions: Vec<i64> = row.try_get("versions")?;
        let versions = versions
            .into_iter()
            .map(|version| Version(unsigned(version)));
        Ok((state(row)?, versions.collect()))
    }

    /// Reads, and once more when the connection turns out to be one that the server has closed: others are then likely to be as well.
    async fn read<'q>(
        &self,
        pool: &PgPool,
        build: impl Fn() -> Query<'q, sqlx::Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        match self.read_once(pool, build()).await {
            Err(error) if is_broken(&error) => {
                let answering = Lent::acquire_answering(pool, TEST_LIMIT).await?;
                self.read_on(answering, build()).await
            }
            outcome => outcome,
        }
    }

    async fn read_once(
        &self,
        pool: &PgPool,
        query: Query<'_, sqlx::Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        self.read_on(Lent::acquire(pool).await?, query).await
    }

    async fn read_on(
        &self,
        mut lent: Lent<sqlx::Postgres>,
        query: Query<'_, sqlx::Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let outcome = self.send(lent.connection(), query).await;
        lent.end(outcome)
    }

    /// Sends one statement, a transaction by itself.
    async fn send(
        &self,
        connection: &mut PgConnection,
        query: Query<'_, sqlx::Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        if self.cached {
            return within(self.limit, query.fetch_all(connection)).await;
        }
        within(self.limit, async {
            let mut transaction = connection.begin().await?;
            let rows = query.persistent(false).fetch_all(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(rows)
        })
        .await
    }
}

fn pool_options(settings: &SqlSettings, connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(settings.acquire_timeout)
        .test_before_acquire(false)
        .before_acquire(|connection, metadata| {
            Box::pin(async move {
                if metadata.idle_for > TEST_AFTER_IDLE {
                    within(TEST_LIMIT, connection.ping()).await?;
                }
                Ok(true)
            })
        })
}

fn state(row: &PgRow) -> Result<State, sqlx::Error> {
    let system: i64 = row.try_get("system")?;
    let timeline: i64 = row.try_get("tl")?;
    Ok(State {
        hist: hist(row.try_get("uuid")?, system),
        timeline: Timeline(u32::try_from(timeline).unwrap_or_default()),
        position: Position(unsigned(row.try_get("pos")?)),
        now_us: unsigned(row.try_get("now_us")?),
        primary: row.try_get("is_primary")?,
        parent: Version(unsigned(row.try_get("parent_ver")?)),
    })
}

fn row(row: &PgRow) -> Result<Row, sqlx::Error> {
    let place: Option<i64> = row.try_get("ord")?;
    let version: Option<i64> = row.try_get("ver")?;
    let bytes: Option<i64> = row.try_get("bytes")?;
    let valid_until: Option<i64> = row.try_get("valid_until")?;
    Ok(Row {
        // WITH ORDINALITY counts from 1.
        index: place.and_then(|place| usize::try_from(place - 1).ok()),
        version: version.map(unsigned),
        bytes: bytes.and_then(|bytes| usize::try_from(bytes).ok()),
        document: row.try_get("document")?,
        valid_until: valid_until.map(unsigned),
    })
}
