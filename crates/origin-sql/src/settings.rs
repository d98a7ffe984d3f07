//! How to reach the database, and which query makes the documents of a namespace.

use std::fmt;
use std::time::Duration;

use hotshelf_model::{
    Error, ErrorKind, FieldProblem, NamespaceName, Position, Shape, VariantSchema,
};

use crate::placeholders::{self, Translated};

/// Which database answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL 15 or later.
    Postgres,
    /// SQLite, a file of this machine.
    Sqlite,
}

impl Dialect {
    /// The database that a URL names.
    ///
    /// # Errors
    /// When the URL is neither of PostgreSQL nor of a SQLite file.
    pub fn of(url: &str) -> Result<Self, FieldProblem> {
        let scheme = url.split(':').next().unwrap_or_default();
        match scheme {
            "postgres" | "postgresql" => Ok(Dialect::Postgres),
            "sqlite" if url.contains(":memory:") || url.contains("mode=memory") => {
                let reason = "a SQLite database in memory cannot be shared by connections; name a file, `sqlite:hotshelf.db`";
                Err(FieldProblem::new("url", reason))
            }
            "sqlite" => Ok(Dialect::Sqlite),
            _ => Err(FieldProblem::new(
                "url",
                "is neither `postgres://user@host/database` nor `sqlite:path/to/file.db`",
            )),
        }
    }
}

/// How to reach the database.
#[derive(Clone, PartialEq, Eq)]
pub struct SqlSettings {
    /// `postgres://user:password@host:port/database` or `sqlite:path/to/file.db`.
    pub url: String,
    /// Connections for documents, 1 to 1,000. PostgreSQL gets 2 more, so that the change log is followed when all of these are busy;
    /// SQLite has one that writes, and at most 8 that read.
    pub connections_max: u32,
    /// Connections for writes of products and for changes that are told, 1 to 1,000; further ones wait for `acquire_timeout` at most.
    /// SQLite has no more than one.
    pub write_connections_max: u32,
    /// How long a statement may wait for a connection, 1 ms to 1 minute.
    pub acquire_timeout: Duration,
    /// How long a statement may run, 1 ms to 10 minutes.
    pub statement_timeout: Duration,
    /// Prepared statements kept by each connection, at most 10,000. `PgBouncer` in transaction mode needs 1.21 or later with
    /// `max_prepared_statements`; for an older one set 0, which wraps each statement in a transaction of its own.
    pub statement_cache_max: usize,
    /// How much of the change log is kept, so that nodes that were away can read what they missed.
    pub retention: Retention,
}

/// How much of the change log is kept. What exceeds either bound is removed, in small steps, by a node that sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The age of the oldest row, 1 hour to 7 days.
    pub age: Duration,
    /// How many rows, 1,000 to 1,000,000,000.
    pub rows_max: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Retention {
            age: Duration::from_hours(6),
            rows_max: 5_000_000,
        }
    }
}

impl Retention {
    /// Rows looked at in one step of pruning: a few milliseconds of work, and more in a second than a sequencer writes.
    pub(crate) const STEP: i64 = 128;

    /// Whether a log that reaches back so far is due to be pruned.
    pub(crate) fn is_exceeded(&self, age: Duration, oldest: Position, head: Position) -> bool {
        age > self.age || head.0.saturating_sub(oldest.0) >= self.rows_max
    }
}

impl Default for SqlSettings {
    fn default() -> Self {
        SqlSettings {
            url: "sqlite:hotshelf.db".to_owned(),
            connections_max: 16,
            write_connections_max: 8,
            acquire_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(5),
            statement_cache_max: 128,
            retention: Retention::default(),
        }
    }
}

impl fmt::Debug for SqlSettings {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlSettings")
            .field("connections_max", &self.connections_max)
            .field("write_connections_max", &self.write_connections_max)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field("statement_cache_max", &self.statement_cache_max)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}

impl SqlSettings {
    /// Says what is out of bounds; empty when nothing is.
    pub fn problems(&self) -> Vec<FieldProblem> {
        let mut problems: Vec<FieldProblem> = Dialect::of(&self.url).err().into_iter().collect();
        let mut check = |good: bool, field: &str, reason: &str| {
            if !good {
                problems.push(FieldProblem::new(field, reason));
            }
        };
        let shortest = Duration::from_millis(1);
        check(
            (1..=1000).contains(&self.connections_max),
            "connections_max",
            "must be 1 to 1000",
        );
        check(
            (1..=1000).contains(&self.write_connections_max),
            "write_connections_max",
            "must be 1 to 1000",
        );
        check(
            (shortest..=Duration::from_mins(1)).contains(&self.acquire_timeout),
            "acquire_timeout",
            "must be 1 ms to 1 minute",
        );
        check(
            (shortest..=Duration::from_mins(10)).contains(&self.statement_timeout),
            "statement_timeout",
            "must be 1 ms to 10 minutes",
        );
        check(
            self.statement_cache_max <= 10_000,
            "statement_cache_max",
            "must be at most 10000",
        );
        let (hour, week) = (Duration::from_hours(1), Duration::from_hours(7 * 24));
        check(
            (hour..=week).contains(&self.retention.age),
            "retention.age",
            "must be 1 hour to 7 days",
        );
        check(
            (1000..=1_000_000_000).contains(&self.retention.rows_max),
            "retention.rows_max",
            "must be 1000 to 1000000000",
        );
        problems
    }
}

/// The query that makes a namespace's documents.
///
/// It is one `SELECT` that gives the columns `id` (text), `document` (JSON as `json`, `jsonb`, `text` or `bytea`; `json` keeps the
/// bytes as they are made, `jsonb` does not) and, if the document changes by time alone, `valid_until` (`timestamptz`, or
/// milliseconds since 1970), at most one row for each id. It names what it needs:
///
/// * `:ids`, required: the ids asked for; `text[]` in PostgreSQL (`id = ANY(:ids)`), a JSON array in SQLite
///   (`id IN (SELECT value FROM json_each(:ids))`). Where ids are numbers, compare as text (`id::text = ANY(:ids)`), as one that
///   is no number would fail the whole batch.
/// * `:as_of`: the time to answer for; `timestamptz` in PostgreSQL, milliseconds since 1970 in SQLite. Use it and never `now()`.
/// * `:dimension`: the variant's value of that dimension, text; `-` and `.` in its name become `_`.
///
/// Functions that it calls must be `STABLE` or `IMMUTABLE`: a `VOLATILE` one may read another snapshot.
#[derive(Clone, Debug)]
pub struct NamespaceQuery {
    /// The namespace.
    pub name: NamespaceName,
    /// The query.
    pub sql: String,
    /// The dimensions of its documents.
    pub variants: VariantSchema,
    /// Whether triggers record every change of its tables. If not, versions are the time of the fetch and are never compared.
    pub tracked: bool,
    /// The largest document that is accepted, in bytes.
    pub document_bytes_max: usize,
}

impl NamespaceQuery {
    /// The largest document unless another limit is set: 1 MiB.
    pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;

    /// A query over a shop's own tables, without variants, whose changes nobody records.
    pub fn new(name: NamespaceName, sql: impl Into<String>) -> Self {
        NamespaceQuery {
            name,
            sql: sql.into(),
            variants: VariantSchema::default(),
            tracked: false,
            document_bytes_max: Self::DOCUMENT_BYTES_MAX,
        }
    }

    /// The documents of hotshelf's own schema. A dimension `currency` chooses the price; without one it is the first currency's.
    pub fn products(name: NamespaceName, dialect: Dialect, variants: VariantSchema) -> Self {
        let sql = match dialect {
            Dialect::Postgres => include_str!("sql/postgres/products.sql"),
            Dialect::Sqlite => include_str!("sql/sqlite/products.sql"),
        };
        let chosen = variants
            .dimensions()
            .iter()
            .any(|dimension| dimension.name() == "currency");
        let sql = if chosen {
            sql.to_owned()
        } else {
            sql.replace(":currency", "NULL")
        };
        NamespaceQuery {
            variants,
            tracked: true,
            ..Self::new(name, sql)
        }
    }

    /// The shape of the documents: another query or other dimensions give another.
    pub fn shape(&self) -> Shape {
        let mut parts = vec!["sql", self.sql.as_str()];
        for dimension in self.variants.dimensions() {
            parts.push(dimension.name());
        }
        Shape::of(&parts)
    }

    /// Checks the query's placeholders and its limit without asking a database.
    ///
    /// # Errors
    /// Names the part that is wrong, and the way out.
    pub fn check(&self, dialect: Dialect) -> Result<(), FieldProblem> {
        self.translate(dialect).map(|_| ())
    }

    pub(crate) fn translate(&self, dialect: Dialect) -> Result<Translated, FieldProblem> {
        if self.document_bytes_max == 0 || i64::try_from(self.document_bytes_max).is_err() {
            return Err(FieldProblem::new(
                "document_bytes_max",
                "must be at least 1 byte",
            ));
        }
        placeholders::translate(&self.sql, dialect, &self.variants)
            .map_err(|reason| FieldProblem::new("sql", reason))
    }
}

/// A problem with the settings as the error that stops a start.
pub(crate) fn invalid(what: &str, problem: &FieldProblem) -> Error {
    Error::new(ErrorKind::Invalid, format!("{what}: {problem}"))
}
