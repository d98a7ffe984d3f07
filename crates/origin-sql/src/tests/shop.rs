//! A shop on one of the two databases, and what tests do with it.

use std::time::Duration;

use hotshelf_model::product::Price;
use hotshelf_model::{
    self as model, BoxFuture, ChangeLog, ChangeRecorder, DbTime, Dimension, Error, Fetch,
    FetchRequest, FetchedDocument, Id, NamespaceName, Origin, Poll, Position, Product,
    ProductChange, ProductWrite, Variant, VariantSchema, Version,
};
use hotshelf_testkit::conformance::ProductWriter;
use hotshelf_testkit::{PostgresServer, wait_until_async};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

use crate::{Database, Dialect, NamespaceQuery, SqlOrigin, SqlSettings};

/// A shop with hotshelf's own schema; `currency` chooses the price.
#[derive(Debug)]
pub(super) struct Shop {
    pub(super) origin: SqlOrigin,
    pub(super) dialect: Dialect,
    pub(super) url: String,
    _folder: TempDir,
}

/// One record of the change log: position, key, version and operation.
pub(super) type Record = (i64, String, i64, i64);

pub(super) fn products() -> NamespaceName {
    NamespaceName::new("products").unwrap()
}

pub(super) fn currencies() -> VariantSchema {
    let values = ["EUR".to_owned(), "USD".to_owned()];
    VariantSchema::new(vec![Dimension::new("currency", &values).unwrap()]).unwrap()
}

pub(super) fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

/// A product that is sold in euros and lies in stock.
pub(super) fn product(id: &str, title: &str) -> Product {
    Product {
        id: id.to_owned(),
        title: title.to_owned(),
        brand: Some("Brand".to_owned()),
        category_path: vec!["Home".to_owned(), "Kitchen".to_owned()],
        description: Some("It's \"good\"\nand cheap.".to_owned()),
        attributes: vec![
            ("Colour".to_owned(), "red, {blue}".to_owned()),
            ("Size".to_owned(), "M".to_owned()),
        ],
        images: vec!["https://images.example/1.jpg".to_owned()],
        active: true,
        prices: vec![price("EUR", 1299)],
        stock: 100,
    }
}

pub(super) fn price(currency: &str, list_minor: i64) -> Price {
    Price {
        currency: currency.to_owned(),
        list_minor,
        sale_minor: None,
        valid_from: None,
        valid_to: None,
    }
}

/// An empty shop on each database.
pub(super) async fn shops(name: &str) -> [Shop; 2] {
    [
        shop(Dialect::Postgres, name, Vec::new()).await,
        shop(Dialect::Sqlite, name, Vec::new()).await,
    ]
}

/// A shop that has further namespaces.
pub(super) async fn shop(dialect: Dialect, name: &str, further: Vec<NamespaceQuery>) -> Shop {
    let folder = tempfile::tempdir().unwrap();
    let url = match dialect {
        Dialect::Postgres => PostgresServer::shared().database(name).unwrap(),
        Dialect::Sqlite => format!(
            "sqlite:{}",
            folder.path().join("new/folder/shop.db").display()
        ),
    };
    let mut namespaces = further;
    namespaces.push(NamespaceQuery::products(products(), dialect, currencies()));
    let settings = SqlSettings {
        url: url.clone(),
        ..SqlSettings::default()
    };
    let origin = SqlOrigin::connect_lazy(&settings, namespaces).unwrap();
    origin.migrate().await.unwrap();
    if dialect == Dialect::Postgres {
        // So that tests name tables the same way on both.
        let sql = format!("ALTER DATABASE {name} SET search_path = hotshelf, public");
        PostgresServer::shared().sql(name, &sql).unwrap();
    }
    let (url, folder) = (settings.url, folder);
    let origin = if dialect == Dialect::Postgres {
        reconnect(&url, origin)
    } else {
        origin
    };
    Shop {
        origin,
        dialect,
        url,
        _folder: folder,
    }
}

/// Connections made before keep the old search path.
fn reconnect(url: &str, origin: SqlOrigin) -> SqlOrigin {
    let namespaces = origin
        .namespaces
        .into_values()
        .map(|prepared| prepared.query)
        .collect();
    let settings = SqlSettings {
        url: url.to_owned(),
        ..SqlSettings::default()
    };
    SqlOrigin::connect_lazy(&settings, namespaces).unwrap()
}

impl Shop {
    /// Another node on the same database.
    pub(super) fn another(&self, settings: &SqlSettings) -> SqlOrigin {
        let settings = SqlSettings {
            url: self.url.clone(),
            ..settings.clone()
        };
        let query = NamespaceQuery::products(products(), self.dialect, currencies());
        SqlOrigin::connect_lazy(&settings, vec![query]).unwrap()
    }

    /// Runs SQL as another program of the shop does.
    pub(super) async fn sql(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match &self.origin.database {
            Database::Postgres(database) => {
                sqlx::raw_sql(sql).execute(database.pool()).await.unwrap();
            }
            Database::Sqlite(database) => {
                sqlx::raw_sql(sql).execute(database.pool()).await.unwrap();
            }
        }
    }

    /// A session of another program, on PostgreSQL.
    pub(super) async fn session(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// One number that the database says.
    pub(super) async fn number(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        match &self.origin.database {
            Database::Postgres(database) => {
                let number = sqlx::query_scalar(sql).fetch_one(database.pool()).await;
                number.unwrap()
            }
            Database::Sqlite(database) => {
                let number = sqlx::query_scalar(sql).fetch_one(database.pool()).await;
                number.unwrap()
            }
        }
    }

    pub(super) async fn upsert(&self, products: &[Product]) -> crate::UpsertReport {
        self.origin.upsert_products(products).await.unwrap()
    }

    /// Bumps the products.
    pub(super) async fn bump(&self) -> Version {
        let recorded = self.origin.record(&[], &[products()]).await.unwrap();
        recorded.bumps[0]
    }

    pub(super) async fn settle(&self) -> Poll {
        settle(&self.origin).await
    }

    /// Every record after a position, once the log has settled.
    pub(super) async fn records_after(&self, position: u64) -> Vec<Record> {
        self.settle().await;
        let records: Vec<Record> = match &self.origin.database {
            Database::Postgres(database) => {
                let sql = "SELECT pos, r.key, r.ver, r.op::bigint FROM hotshelf.cache_log
                    CROSS JOIN LATERAL unnest(key, ver, op) AS r (key, ver, op) ORDER BY pos";
                let records = sqlx::query_as(sql).fetch_all(database.pool()).await;
                records.unwrap()
            }
            Database::Sqlite(database) => {
                let sql = "SELECT pos, key, ver, op FROM cache_log ORDER BY pos";
                let records = sqlx::query_as(sql).fetch_all(database.pool()).await;
                records.unwrap()
            }
        };
        let after = i64::try_from(position).unwrap();
        records
            .into_iter()
            .filter(|record| record.0 > after)
            .collect()
    }

    /// The keys and operations that `sql` recorded, sorted and each once.
    pub(super) async fn recorded_by(&self, sql: &str) -> Vec<(String, i64)> {
        let before = self.settle().await.head.position.0;
        self.sql(sql).await;
        let records = self.records_after(before).await;
        let mut keys: Vec<(String, i64)> = records
            .into_iter()
            .map(|(_, key, _, op)| (key, op))
            .collect();
        keys.sort();
        keys.dedup();
        keys
    }

    pub(super) async fn fetch_as_of(
        &self,
        ids: &[&str],
        currency: &str,
        as_of: Option<DbTime>,
    ) -> Fetch {
        let ids: Vec<Id> = ids.iter().map(|text| id(text)).collect();
        let variant = Variant::parse(&format!("currency={currency}")).unwrap();
        let request = FetchRequest {
            namespace: &products(),
            variant: &variant,
            ids: &ids,
            as_of,
        };
        self.origin.fetch_many(request).await.unwrap()
    }

    pub(super) async fn fetch(&self, id: &str) -> FetchedDocument {
        let fetch = self.fetch_as_of(&[id], "EUR", None).await;
        fetch.documents.into_iter().next().unwrap().unwrap()
    }
}

/// Fetches from a namespace without variants.
pub(super) async fn fetch_from(
    origin: &SqlOrigin,
    namespace: &NamespaceName,
    variant: &str,
    ids: &[&str],
) -> Result<Fetch, Error> {
    let ids: Vec<Id> = ids.iter().map(|text| id(text)).collect();
    let request = FetchRequest {
        namespace,
        variant: &Variant::parse(variant).unwrap(),
        ids: &ids,
        as_of: None,
    };
    origin.fetch_many(request).await
}

/// Polls until the log is settled.
pub(super) async fn settle(origin: &SqlOrigin) -> Poll {
    let last = std::cell::Cell::new(None);
    let limit = Duration::from_secs(30);
    wait_until_async("the change log settles", limit, async || {
        let poll = origin.poll(Position(0)).await.unwrap();
        last.set(Some(poll));
        poll.settled
    })
    .await;
    last.get().unwrap()
}

/// Runs SQL in a session of its own.
pub(super) async fn run(session: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    let sql = AssertSqlSafe(sql.to_owned());
    sqlx::raw_sql(sql).execute(session).await.map(drop)
}

/// What a document says.
pub(super) fn json(document: &FetchedDocument) -> Value {
    serde_json::from_slice(document.body.as_ref().unwrap()).unwrap()
}

impl ProductWriter for Shop {
    fn put<'a>(&'a self, id: &'a Id, text: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.upsert(&[product(id.as_str(), text)]).await;
        })
    }

    fn delete<'a>(&'a self, id: &'a Id) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let write = ProductWrite {
                id: id.clone(),
                change: ProductChange::Delete,
                if_version: None,
            };
            model::ProductWriter::write(&self.origin, &write)
                .await
                .unwrap();
        })
    }
}
