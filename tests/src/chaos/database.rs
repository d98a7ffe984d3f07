//! Writes by SQL, as another program makes them, on a connection that is opened again when it breaks.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_model::Version;
use hotshelf_testkit::PostgresServer;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row};

use super::document;
use super::world::{DATABASE, World};
use crate::runtime::block_on;

/// Longer than a database in good order takes, shorter than it is paused.
const LIMIT: Duration = Duration::from_secs(8);

const PUT_PRODUCTS: &str = "INSERT INTO hotshelf.product (id, title, description) \
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS n (id, title, description) ORDER BY id \
    ON CONFLICT (id) DO UPDATE SET title = EXCLUDED.title, description = EXCLUDED.description";
const REMOVE_PRICES: &str = "DELETE FROM hotshelf.price WHERE product_id = ANY ($1)";
const PUT_PRICES: &str = "INSERT INTO hotshelf.price (product_id, currency, list_minor) \
    SELECT id, 'EUR', number FROM unnest($1::text[], $2::bigint[]) AS n (id, number)";
const DELETE: &str = "DELETE FROM hotshelf.product WHERE id = ANY ($1)";
const SEALED: &str = "SELECT key, ver FROM hotshelf.cache_version WHERE ns = 1 AND key = ANY ($1)";
const HELD: &str = "SELECT v.key, v.ver, p.title FROM hotshelf.cache_version v \
    LEFT JOIN hotshelf.product p ON p.id = v.key WHERE v.ns = 1";

/// What the database holds of a product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) product: u32,
    pub(super) version: Version,
    /// The number of its last write; `None` when it is deleted.
    pub(super) number: Option<u64>,
}

/// What became of a transaction.
#[derive(Debug)]
pub(super) enum Committed {
    /// It committed, with these versions.
    Yes(Vec<(u32, Version)>),
    /// There was nothing to do.
    Nothing,
    /// The connection broke; it may have committed.
    Unknown,
}

/// A program that writes by SQL.
#[derive(Debug)]
pub(super) struct Database {
    server: Option<Arc<PostgresServer>>,
    connection: Option<PgConnection>,
}

impl Database {
    /// On this server.
    pub(super) fn of(server: &Arc<PostgresServer>) -> Self {
        Database {
            server: Some(Arc::clone(server)),
            connection: None,
        }
    }

    /// On the present primary of a world.
    pub(super) fn new() -> Self {
        Database {
            server: None,
            connection: None,
        }
    }

    /// Goes over to the present primary.
    pub(super) fn follow(&mut self, world: &World) {
        let server = world.database();
        let same = self
            .server
            .as_ref()
            .is_some_and(|held| held.port() == server.port());
        if !same {
            self.connection = None;
            self.server = Some(server);
        }
    }

    /// Writes documents in one transaction.
    pub(super) fn put(&mut self, writes: &[(u32, u64)]) -> Committed {
        self.run(async |connection: &mut PgConnection| put(connection, writes).await)
    }

    /// Deletes a product.
    pub(super) fn delete(&mut self, product: u32) -> Committed {
        self.run(async |connection: &mut PgConnection| delete(connection, product).await)
    }

    /// Runs a statement of which nothing is to be known.
    pub(super) fn execute(&mut self, statement: &'static str) -> bool {
        let done = self.run(async |connection: &mut PgConnection| {
            sqlx::query(statement).execute(connection).await?;
            Ok(Vec::new())
        });
        !matches!(done, Committed::Unknown)
    }

    fn run(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<Vec<(u32, Version)>, sqlx::Error>,
    ) -> Committed {
        let done = self.with(work);
        match done {
            Some(versions) if versions.is_empty() => Committed::Nothing,
            Some(versions) => Committed::Yes(versions),
            None => Committed::Unknown,
        }
    }

    /// Every product that was ever written.
    pub(super) fn held(&mut self) -> Option<Vec<Held>> {
        self.with(async |connection: &mut PgConnection| {
            let rows = sqlx::query(HELD).fetch_all(connection).await?;
            let held = rows.iter().filter_map(|row| {
                let title: Option<String> = row.get("title");
                Some(Held {
                    product: document::product_of(row.get("key"))?,
                    version: version(row.get("ver")),
                    number: title.and_then(|title| document::number_of(&title)),
                })
            });
            Ok(held.collect())
        })
    }

    /// Runs work on the connection within its time; one that failed is not used again.
    fn with<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Option<T> {
        let kept = self.connection.take();
        let url = self.server.as_ref()?.url(DATABASE);
        let attempt = async {
            let mut connection = match kept {
                Some(connection) => connection,
                None => PgConnection::connect(&url).await?,
            };
            let value = work(&mut connection).await?;
            Ok::<_, sqlx::Error>((connection, value))
        };
        // The time-out belongs to the runtime and is made within it.
        let outcome = block_on(async { tokio::time::timeout(LIMIT, attempt).await });
        let (connection, value) = outcome.ok()?.ok()?;
        self.connection = Some(connection);
        Some(value)
    }
}

/// The transaction is sealed before its commit, so that the versions it got are known.
async fn put(
    connection: &mut PgConnection,
    writes: &[(u32, u64)],
) -> Result<Vec<(u32, Version)>, sqlx::Error> {
    let ids: Vec<String> = writes
        .iter()
        .map(|&(product, _)| document::id(product))
        .collect();
    let titles: Vec<String> = writes
        .iter()
        .map(|&(_, number)| document::title(number))
        .collect();
    let descriptions: Vec<String> = writes
        .iter()
        .map(|&(product, number)| document::description(product, number))
        .collect();
    let numbers: Vec<i64> = writes
        .iter()
        .map(|&(_, number)| i64::try_from(number).unwrap())
        .collect();
    let mut transaction = connection.begin().await?;
    sqlx::query(PUT_PRODUCTS)
        .bind(&ids)
        .bind(titles)
        .bind(descriptions)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(REMOVE_PRICES)
        .bind(&ids)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(PUT_PRICES)
        .bind(&ids)
        .bind(numbers)
        .execute(&mut *transaction)
        .await?;
    let versions = sealed(&mut transaction, &ids).await?;
    transaction.commit().await?;
    Ok(versions)
}

async fn delete(
    connection: &mut PgConnection,
    product: u32,
) -> Result<Vec<(u32, Version)>, sqlx::Error> {
    let ids = vec![document::id(product)];
    let mut transaction = connection.begin().await?;
    let done = sqlx::query(DELETE)
        .bind(&ids)
        .execute(&mut *transaction)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(Vec::new());
    }
    let versions = sealed(&mut transaction, &ids).await?;
    transaction.commit().await?;
    Ok(versions)
}

async fn sealed(
    connection: &mut PgConnection,
    ids: &[String],
) -> Result<Vec<(u32, Version)>, sqlx::Error> {
    sqlx::query("SET CONSTRAINTS ALL IMMEDIATE")
        .execute(&mut *connection)
        .await?;
    let rows = sqlx::query(SEALED).bind(ids).fetch_all(connection).await?;
    let versions = rows.iter().filter_map(|row| {
        Some((
            document::product_of(row.get("key"))?,
            version(row.get("ver")),
        ))
    });
    Ok(versions.collect())
}

fn version(stored: i64) -> Version {
    Version(u64::try_from(stored).unwrap())
}
