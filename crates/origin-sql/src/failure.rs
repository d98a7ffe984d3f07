//! From an error of the database driver to ours.

use hotshelf_model::{Error, ErrorKind};

/// SQLSTATE of a statement that its timeout ended.
const QUERY_CANCELED: &str = "57014";
/// SQLSTATEs of a table, a schema or a function that is not there.
const NOT_THERE: [&str; 3] = ["42P01", "3F000", "42883"];
/// SQLSTATEs with which a server ends a connection, or does not know whether it committed.
const LOST: [&str; 3] = ["57P01", "57P02", "40003"];
/// The class of SQLSTATEs that a pooler gives when it has lost its connection to the server: `PgBouncer` says `08P01`.
const CONNECTION: &str = "08";
/// `SQLite` result codes of a database that another connection keeps locked.
const BUSY: [&str; 3] = ["5", "261", "517"];

/// Our error for `error`, which happened while doing `what`.
pub(crate) fn failed(what: &str, error: sqlx::Error) -> Error {
    let kind = if is_timeout(&error) {
        ErrorKind::OriginTimeout
    } else {
        ErrorKind::OriginFailed
    };
    let hint = if lacks_schema(&error) {
        "; hotshelf's tables are not in this database yet: run its migrations"
    } else {
        ""
    };
    Error::new(kind, format!("{what}{hint}")).with_source(error)
}

/// Our error for a statement whose time ran out here, because the server did not even say so.
pub(crate) fn deadline() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

/// Whether the connection broke, so that a read may be tried again on another.
pub(crate) fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(cause) => cause.kind() != std::io::ErrorKind::TimedOut,
        _ => is_lost(error),
    }
}

/// Whether the database's own error says that a connection was lost in the middle of something, its own or a pooler's before it.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| LOST.contains(&code.as_str()) || code.starts_with(CONNECTION))
}

/// Whether a lock was not got within its time.
pub(crate) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code == "55P03")
}

/// Whether another transaction was faster, so that the same statement may succeed now.
pub(crate) fn is_conflict(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| matches!(code.as_str(), "23505" | "40001" | "40P01"))
}

/// Whether the time of a statement, or of waiting for a connection, ran out.
pub(crate) fn is_timeout(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Io(cause) => cause.kind() == std::io::ErrorKind::TimedOut,
        _ => {
            code(error).is_some_and(|code| code == QUERY_CANCELED || BUSY.contains(&code.as_str()))
        }
    }
}

fn lacks_schema(error: &sqlx::Error) -> bool {
    let Some(cause) = error.as_database_error() else {
        return false;
    };
    let ours = cause.message().contains("hotshelf.") || cause.message().contains("table: cache_");
    let gone = cause.code().is_some_and(|code| NOT_THERE.contains(&&*code));
    ours && (gone || cause.message().starts_with("no such table"))
}

fn code(error: &sqlx::Error) -> Option<String> {
    let code = error.as_database_error()?.code()?;
    Some(code.into_owned())
}
