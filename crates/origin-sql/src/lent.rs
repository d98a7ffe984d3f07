//! A connection that is lent for one statement and is closed, not kept, when the statement did not end.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Connection, Database, Pool};

use crate::failure;

/// A pool tests a connection before it takes it back, without a bound. One whose server hangs, or whose statement was
/// abandoned, would be missing for as long as that lasts; so it is closed and replaced instead.
#[derive(Debug)]
pub(crate) struct Lent<DB: Database> {
    connection: PoolConnection<DB>,
    ended: bool,
}

impl<DB: Database> Lent<DB> {
    pub(crate) async fn acquire(pool: &Pool<DB>) -> Result<Self, sqlx::Error> {
        let connection = pool.acquire().await?;
        Ok(Lent {
            connection,
            ended: false,
        })
    }

    /// A connection that has answered just now, within `limit`. Those that a restart of the server has left dead are closed on the way.
    pub(crate) async fn acquire_answering(
        pool: &Pool<DB>,
        limit: Duration,
    ) -> Result<Self, sqlx::Error> {
        let mut old = pool.size();
        loop {
            let mut lent = Self::acquire(pool).await?;
            match within(limit, lent.connection.ping()).await {
                Ok(()) => return Ok(lent),
                // Once every old one has been tried, the next one is new.
                Err(error) if failure::is_broken(&error) && old > 0 => old -= 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The connection, to send a statement on.
    pub(crate) fn connection(&mut self) -> &mut DB::Connection {
        &mut self.connection
    }

    /// Gives the connection back after the statement's outcome is known.
    pub(crate) fn end<T>(mut self, outcome: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        self.ended = match &outcome {
            Ok(_) => true,
            Err(error) => error.as_database_error().is_some() && !failure::is_lost(error),
        };
        outcome
    }
}

impl<DB: Database> Drop for Lent<DB> {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

/// Waits for a statement at most `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(limit, statement)
        .await
        .unwrap_or_else(|_| Err(failure::deadline()))
}
