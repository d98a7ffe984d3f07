//! The database as origin and change log: PostgreSQL for production, SQLite for one machine.
//!
//! [`SqlOrigin`] reads documents with one statement each, so that a document, its version and the head of the change log come from one snapshot; that
//! is what an entry's stamp stands on. `migrations/` holds the tables and the triggers that record changes; in PostgreSQL a poll also gives recorded
//! changes their positions ([`hotshelf_model::ChangeLog::poll`]).
//!
//! **Invariant:** nothing here joins two statements into one answer, except a poll, whose two readings prove something together.

mod attach;
mod dialect;
mod failure;
mod find;
mod lent;
mod log;
mod migrate;
mod node;
mod placeholders;
mod product;
mod setting;
mod settings;
mod snapshot;
#[cfg(test)]
mod tests;
mod upsert;
mod warm;
mod write;

use std::collections::HashMap;
use std::time::Duration;

use hotshelf_model::seams::poll_each;
use hotshelf_model::{
    BoxFuture, ChangeLog, ClusterLeases, DbTime, Error, ErrorKind, Fetch, FetchRequest, Hist, Id,
    LeaseToken, LogRead, LogRow, NamespaceName, Origin, Poll, Position, Product, Variant, Versions,
};

pub use attach::Attachment;
use dialect::postgres::Postgres;
use dialect::sqlite::Sqlite;
use dialect::{FetchParameters, Statement};
use failure::failed;
use settings::invalid;
pub use settings::{Dialect, NamespaceQuery, Retention, SqlSettings};
use snapshot::{Reading, UntrackedVersions, assemble, signed};
use upsert::Batch;
pub use upsert::{UPSERT_BATCH_MAX, UpsertReport, check_product};

/// Most ids of one statement.
pub const IDS_MAX: usize = 512;

/// The database of documents and of the change log.
#[derive(Debug)]
pub struct SqlOrigin {
    database: Database,
    namespaces: HashMap<NamespaceName, Prepared>,
    untracked: UntrackedVersions,
}

#[derive(Debug)]
enum Database {
    Postgres(Postgres),
    Sqlite(Sqlite),
}

/// A namespace with its statement in the form that is sent.
#[derive(Debug)]
struct Prepared {
    query: NamespaceQuery,
    statement: Statement,
}

impl SqlOrigin {
    /// Prepares connections without making one, so that a node starts while its database is down.
    ///
    /// # Errors
    /// `Invalid` when a setting or a query is; `Unavailable` when the folder of a SQLite file cannot be created.
    pub fn connect_lazy(
        settings: &SqlSettings,
        namespaces: Vec<NamespaceQuery>,
    ) -> Result<Self, Error> {
        if let Some(problem) = settings.problems().first() {
            return Err(invalid("connecting to the database", problem));
        }
        let dialect =
            Dialect::of(&settings.url).map_err(|problem| invalid("reading the URL", &problem))?;
        let mut prepared = HashMap::new();
        for query in namespaces {
            let ready = prepare(query, dialect)?;
            let name = ready.query.name.clone();
            if prepared.insert(name.clone(), ready).is_some() {
                let context = format!("the namespace `{name}` is given twice; remove one");
                return Err(Error::new(ErrorKind::Invalid, context));
            }
        }
        let database = match dialect {
            Dialect::Postgres => Database::Postgres(Postgres::connect_lazy(settings)?),
            Dialect::Sqlite => Database::Sqlite(Sqlite::connect_lazy(settings)?),
        };
        Ok(SqlOrigin {
            database,
            namespaces: prepared,
            untracked: UntrackedVersions::default(),
        })
    }

    /// Brings the database's tables to this program's form, and gives each namespace its number. When there is something to migrate,
    /// it is to be run on a direct connection: behind a pooler in transaction mode its lock does not hold.
    ///
    /// # Errors
    /// `OriginFailed` or `OriginTimeout`; each migration is whole or not there.
    pub async fn migrate(&self) -> Result<(), Error> {
        let mut names: Vec<&str> = self.namespaces.keys().map(NamespaceName::as_str).collect();
        names.sort_unstable();
        match &self.database {
            Database::Postgres(database) => database.migrate(&names).await,
            Database::Sqlite(database) => database.migrate(&names).await,
        }
    }

    /// Writes products with their prices and stock, at most 1,000 in one transaction. What is there already is left alone and
    /// recorded nowhere; the prices of a product are replaced when they differ. Of two products with one id the later wins.
    ///
    /// # Errors
    /// `Invalid` for a product that [`check_product`] refuses, before anything is written; `OriginFailed` or `OriginTimeout`,
    /// after which earlier batches are written and later ones are not.
    pub async fn upsert_products(&self, products: &[Product]) -> Result<UpsertReport, Error> {
        for product in products {
            check_product(product).map_err(|problem| {
                invalid(&format!("writing product `{}`", product.id), &problem)
            })?;
        }
        let mut report = UpsertReport::default();
        for products in products.chunks(UPSERT_BATCH_MAX) {
            let batch = Batch::new(products);
            let changed = match &self.database {
                Database::Postgres(database) => database.upsert(&batch).await,
                Database::Sqlite(database) => database.upsert(&batch).await,
            };
            let changed = changed.map_err(|error| failed("writing products", error))?;
            report.add(changed.report(batch.len));
        }
        Ok(report)
    }

    /// Counts the products of hotshelf's own schema, hidden ones included.
    ///
    /// # Errors
    /// `OriginFailed` or `OriginTimeout`.
    pub async fn count_products(&self) -> Result<u64, Error> {
        let count = match &self.database {
            Database::Postgres(database) => database.count().await,
            Database::Sqlite(database) => database.count().await,
        };
        count.map_err(|error| failed("counting products", error))
    }

    /// The least id of a product that is not hidden, to show somebody how to ask for one.
    ///
    /// # Errors
    /// `OriginFailed` or `OriginTimeout`.
    pub async fn any_id(&self) -> Result<Option<Id>, Error> {
        let id = match &self.database {
            Database::Postgres(database) => database.any_id().await,
            Database::Sqlite(database) => database.any_id().await,
        };
        let id = id.map_err(|error| failed("looking for a product", error))?;
        Ok(id.and_then(|id| Id::new(&id).ok()))
    }

    /// The migrations that [`SqlOrigin::migrate`] would run, each with its name and its SQL.
    ///
    /// # Errors
    /// `OriginFailed` or `OriginTimeout`.
    pub async fn pending_migrations(&self) -> Result<Vec<(String, String)>, Error> {
        let done = match &self.database {
            Database::Postgres(database) => database.migrations_done().await,
            Database::Sqlite(database) => database.migrations_done().await,
        };
        let done = done.map_err(|error| failed("reading which migrations were run", error))?;
        Ok(match &self.database {
            Database::Postgres(_) => migrate::pending(&migrate::postgres(true), &done),
            Database::Sqlite(_) => migrate::pending(&migrate::sqlite(), &done),
        })
    }

    /// Begins another history, so that every copy of the present one is dead: part of a restore, before the first node connects.
    ///
    /// # Errors
    /// `OriginFailed` or `OriginTimeout`.
    pub async fn renew_history(&self) -> Result<(), Error> {
        match &self.database {
            Database::Postgres(database) => database.renew_history().await,
            Database::Sqlite(database) => database.renew_history().await,
        }
    }

    /// Attaches tables of a shop's own, so that their changes are recorded, and detaches those that are not among `wanted`; with
    /// none, nothing of hotshelf is left on any table. What is so already is left alone. Gives the statements that were run, in
    /// order, or would be if `dry`. Everything is checked before anything is changed; each table is then whole or as it was. A lock
    /// on a PostgreSQL table is waited for at most `lock_timeout`.
    ///
    /// # Errors
    /// `Invalid` for a table, a column or keys that cannot be used; `OriginTimeout` for a lock that was not got; `OriginFailed`.
    pub async fn attach(
        &self,
        wanted: &[Attachment],
        lock_timeout: Duration,
        dry: bool,
    ) -> Result<Vec<String>, Error> {
        match &self.database {
            Database::Postgres(database) => database.attach(wanted, lock_timeout, dry).await,
            Database::Sqlite(database) => database.attach(wanted, dry).await,
        }
    }

    fn prepared(&self, namespace: &NamespaceName) -> Result<&Prepared, Error> {
        self.namespaces.get(namespace).ok_or_else(|| {
            let context = format!("the database has no query for namespace `{namespace}`");
            Error::new(ErrorKind::UnknownNamespace, context)
        })
    }

    async fn fetch(&self, request: FetchRequest<'_>) -> Result<Fetch, Error> {
        let prepared = self.prepared(request.namespace)?;
        let ids = texts(request.ids)?;
        let dimensions = values(&prepared.statement, request.variant)?;
        let parameters = FetchParameters {
            ids: &ids,
            as_of: request.as_of.map(|DbTime(moment)| signed(moment)),
            namespace: request.namespace.as_str(),
            bytes_max: i64::try_from(prepared.query.document_bytes_max).unwrap_or(i64::MAX),
            dimensions: &dimensions,
        };
        let fetched = match &self.database {
            Database::Postgres(database) => database.fetch(&prepared.statement, parameters).await,
            Database::Sqlite(database) => database.fetch(&prepared.statement, parameters).await,
        };
        let what = || format!("fetching from namespace `{}`", request.namespace);
        let (state, rows) = fetched.map_err(|error| failed(&what(), error))?;
        let untracked = (!prepared.query.tracked).then(|| self.untracked.next(state.now_us));
        let reading = Reading {
            namespace: request.namespace,
            bytes_max: prepared.query.document_bytes_max,
            untracked,
        };
        Ok(assemble(&state, request.ids, rows, reading))
    }

    async fn read_versions(
        &self,
        namespace: &NamespaceName,
        ids: &[Id],
    ) -> Result<Option<Versions>, Error> {
        self.prepared(namespace)?;
        self.recorded(namespace, ids).await.map(Some)
    }

    /// Reads the versions that the change log has recorded, of any namespace, for at most 512 ids; [`hotshelf_model::Version::NONE`] of what was never
    /// recorded.
    ///
    /// # Errors
    /// `OriginFailed` or `OriginTimeout`.
    pub async fn recorded(&self, namespace: &NamespaceName, ids: &[Id]) -> Result<Versions, Error> {
        let ids = texts(ids)?;
        let read = match &self.database {
            Database::Postgres(database) => database.versions(namespace.as_str(), &ids).await,
            Database::Sqlite(database) => database.versions(namespace.as_str(), &ids).await,
        };
        let what = || format!("reading versions of namespace `{namespace}`");
        let (state, versions) = read.map_err(|error| failed(&what(), error))?;
        Ok(Versions {
            head: state.head(),
            parents: state.parents(namespace),
            versions,
        })
    }
}

impl Origin for SqlOrigin {
    fn fetch_many<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Fetch, Error>> {
        Box::pin(self.fetch(request))
    }

    fn versions<'a>(
        &'a self,
        namespace: &'a NamespaceName,
        ids: &'a [Id],
    ) -> BoxFuture<'a, Result<Option<Versions>, Error>> {
        Box::pin(self.read_versions(namespace, ids))
    }
}

impl ChangeLog for SqlOrigin {
    fn poll(&self, known: Position) -> BoxFuture<'_, Result<Poll, Error>> {
        Box::pin(async move {
            match &self.database {
                Database::Postgres(database) => database.poll(known).await,
                Database::Sqlite(database) => database.poll(known).await,
            }
        })
    }

    fn poll_many<'a>(&'a self, known: &'a [Position]) -> BoxFuture<'a, Result<Vec<Poll>, Error>> {
        Box::pin(async move {
            match &self.database {
                Database::Postgres(database) => database.poll_many(known).await,
                // Nodes seldom share an embedded database, and a reading costs microseconds.
                Database::Sqlite(_) => poll_each(self, known).await,
            }
        })
    }

    fn sequence(&self) -> BoxFuture<'_, Result<Vec<LogRow>, Error>> {
        Box::pin(async move {
            match &self.database {
                Database::Postgres(database) => database.sequence().await,
                Database::Sqlite(_) => Ok(Vec::new()),
            }
        })
    }

    fn read(&self, position: Position, rows_max: usize) -> BoxFuture<'_, Result<LogRead, Error>> {
        Box::pin(async move {
            match &self.database {
                Database::Postgres(database) => database.read_rows(position, rows_max).await,
                Database::Sqlite(database) => database.read_rows(position, rows_max).await,
            }
        })
    }

    fn renew_hist(&self, known: Hist) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            match &self.database {
                Database::Postgres(database) => database.renew_history_if(known).await,
                Database::Sqlite(database) => database.renew_history_if(known).await,
            }
        })
    }
}

/// Nobody holds a lease on SQLite: its changes have their positions when they are written, so nobody needs to lead.
impl ClusterLeases for SqlOrigin {
    fn acquire<'a>(
        &'a self,
        name: &'a str,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Option<LeaseToken>, Error>> {
        Box::pin(async move {
            let token = match &self.database {
                Database::Postgres(database) => database.acquire_lease(name, ttl).await,
                Database::Sqlite(_) => Ok(None),
            };
            token.map_err(|error| failed(&format!("acquiring the lease `{name}`"), error))
        })
    }

    fn renew<'a>(
        &'a self,
        name: &'a str,
        token: LeaseToken,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let renewed = match &self.database {
                Database::Postgres(database) => database.renew_lease(name, token, ttl).await,
                Database::Sqlite(_) => Ok(false),
            };
            renewed.map_err(|error| failed(&format!("renewing the lease `{name}`"), error))
        })
    }

    fn release<'a>(&'a self, name: &'a str, token: LeaseToken) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let released = match &self.database {
                Database::Postgres(database) => database.release_lease(name, token).await,
                Database::Sqlite(_) => Ok(()),
            };
            released.map_err(|error| failed(&format!("releasing the lease `{name}`"), error))
        })
    }
}

fn prepare(query: NamespaceQuery, dialect: Dialect) -> Result<Prepared, Error> {
    let translated = query
        .translate(dialect)
        .map_err(|problem| invalid(&format!("preparing namespace `{}`", query.name), &problem))?;
    let statement = match dialect {
        Dialect::Postgres => Postgres::statement(translated),
        Dialect::Sqlite => Sqlite::statement(translated),
    };
    Ok(Prepared { query, statement })
}

fn texts(ids: &[Id]) -> Result<Vec<&str>, Error> {
    if ids.len() > IDS_MAX {
        let context = format!("asking for {} ids at once, more than {IDS_MAX}", ids.len());
        return Err(Error::new(ErrorKind::Invalid, context));
    }
    Ok(ids.iter().map(Id::as_str).collect())
}

/// The variant's values of the statement's dimensions, in the statement's order.
fn values<'a>(statement: &Statement, variant: &'a Variant) -> Result<Vec<&'a str>, Error> {
    let value = |name: &String| {
        let pair = variant.pairs().find(|(given, _)| given == name);
        pair.map(|(_, value)| value).ok_or_else(|| {
            let context = format!("the variant `{variant}` has no dimension `{name}`");
            Error::new(ErrorKind::Invalid, context)
        })
    };
    statement.dimensions.iter().map(value).collect()
}
