//! A shop: a database with products, which tests change behind the node's back.

use std::sync::atomic::{AtomicU32, Ordering};

use hotshelf_model::product::Price;
use hotshelf_model::{NamespaceName, Product, VariantSchema};
use hotshelf_origin_sql::{Dialect, NamespaceQuery, SqlOrigin, SqlSettings};
use hotshelf_testkit::PostgresServer;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use tempfile::TempDir;

use crate::runtime::block_on;

/// Products of a shop whose test does not say how many.
const PRODUCTS: usize = 200;

#[derive(Debug)]
enum Database {
    Shared(&'static PostgresServer, String),
    Own(Box<PostgresServer>, String),
    Sqlite(TempDir),
}

/// A database with products.
#[derive(Debug)]
pub struct Shop {
    database: Database,
    ids: Vec<String>,
}

/// The product of a number: `sku-0007` with its title, a price, and a description that makes its document larger than 1 KiB.
pub fn product(number: usize) -> Product {
    let id = format!("sku-{number:04}");
    Product {
        title: format!("Product {id}"),
        brand: Some("Nordlicht".to_owned()),
        category_path: vec!["Home".to_owned(), "Lamps".to_owned()],
        description: Some(format!("A lamp of number {number}. ").repeat(60)),
        attributes: vec![("Colour".to_owned(), "green".to_owned())],
        images: vec![format!("https://img.example/{id}.webp")],
        active: true,
        prices: vec![Price {
            currency: "EUR".to_owned(),
            list_minor: 1999,
            sale_minor: None,
            valid_from: None,
            valid_to: None,
        }],
        stock: 100,
        id,
    }
}

impl Shop {
    /// 200 products in a SQLite file of their own.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn sqlite() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("hotshelf-shop-")
            .tempdir()
            .unwrap();
        Self::open(Database::Sqlite(dir)).filled()
    }

    /// 200 products in a database of their own on a PostgreSQL that all tests of this process share.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn postgres() -> Self {
        let server = PostgresServer::shared();
        let name = name();
        server.database(&name).unwrap();
        Self::open(Database::Shared(server, name)).filled()
    }

    /// 200 products on a PostgreSQL of their own, which the test may pause, kill and restart.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn own_postgres() -> Self {
        let server = Box::new(PostgresServer::start().unwrap());
        let name = name();
        server.database(&name).unwrap();
        Self::open(Database::Own(server, name)).filled()
    }

    fn open(database: Database) -> Self {
        let shop = Shop {
            database,
            ids: Vec::new(),
        };
        let origin = shop.origin();
        block_on(origin.migrate()).unwrap();
        shop
    }

    fn filled(mut self) -> Self {
        self.put(&(0..PRODUCTS).map(product).collect::<Vec<_>>());
        self
    }

    fn origin(&self) -> SqlOrigin {
        origin(self.url())
    }

    /// Writes products; those that are there already are brought to this form.
    ///
    /// # Panics
    /// When the database refuses them.
    pub fn put(&mut self, products: &[Product]) {
        let origin = self.origin();
        block_on(origin.upsert_products(products)).unwrap();
        for product in products {
            if !self.ids.contains(&product.id) {
                self.ids.push(product.id.clone());
            }
        }
    }

    /// The ids of its products.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The database's URL.
    pub fn url(&self) -> String {
        match &self.database {
            Database::Shared(server, name) => server.url(name),
            Database::Own(server, name) => server.url(name),
            Database::Sqlite(dir) => format!("sqlite:{}", dir.path().join("shop.sqlite").display()),
        }
    }

    /// The database's URL by way of another port, such as a proxy's.
    ///
    /// # Panics
    /// For SQLite, which has no port.
    pub fn url_at(&self, port: u16) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/{}", self.name())
    }

    /// The part of a node's configuration that says where the database is.
    pub fn toml(&self) -> String {
        toml(&self.url())
    }

    /// The same by way of another port.
    ///
    /// # Panics
    /// For SQLite, which has no port.
    pub fn toml_at(&self, port: u16) -> String {
        toml(&self.url_at(port))
    }

    /// The PostgreSQL server.
    ///
    /// # Panics
    /// For SQLite.
    pub fn server(&self) -> &PostgresServer {
        match &self.database {
            Database::Shared(server, _) => server,
            Database::Own(server, _) => server,
            Database::Sqlite(_) => panic!("SQLite is no server"),
        }
    }

    fn name(&self) -> &str {
        match &self.database {
            Database::Shared(_, name) | Database::Own(_, name) => name,
            Database::Sqlite(_) => panic!("SQLite is no server"),
        }
    }

    /// Whether it is SQLite, and not PostgreSQL.
    pub fn is_sqlite(&self) -> bool {
        matches!(self.database, Database::Sqlite(_))
    }

    /// Runs SQL as another program would; answers rows as lines with `|` between the columns.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        match &self.database {
            Database::Shared(server, name) => server.sql(name, sql).unwrap(),
            Database::Own(server, name) => server.sql(name, sql).unwrap(),
            Database::Sqlite(_) => block_on(self.sqlite_rows(sql)).unwrap(),
        }
    }

    async fn sqlite_rows(&self, sql: &str) -> Result<String, sqlx::Error> {
        let options: SqliteConnectOptions = self.url().parse()?;
        let mut connection: SqliteConnection = options.connect().await?;
        let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .fetch_all(&mut connection)
            .await?;
        let mut lines = Vec::new();
        for row in rows {
            let columns: Result<Vec<Option<String>>, _> =
                (0..row.len()).map(|at| row.try_get_unchecked(at)).collect();
            let columns: Vec<String> = columns?
                .into_iter()
                .map(Option::unwrap_or_default)
                .collect();
            lines.push(columns.join("|"));
        }
        Ok(lines.join("\n"))
    }

    /// The name of a table of hotshelf's own schema in this database.
    pub fn table(&self, name: &str) -> String {
        if self.is_sqlite() {
            return name.to_owned();
        }
        format!("hotshelf.{name}")
    }

    /// Gives a product another title.
    ///
    /// # Panics
    /// When the database refuses it.
    #[track_caller]
    pub fn rename(&self, id: &str, title: &str) {
        let table = self.table("product");
        self.sql(&format!(
            "UPDATE {table} SET title = '{title}' WHERE id = '{id}'"
        ));
    }
}

fn origin(url: String) -> SqlOrigin {
    let products = NamespaceName::new("products").unwrap();
    let dialect = Dialect::of(&url).unwrap();
    let query = NamespaceQuery::products(products, dialect, VariantSchema::default());
    let settings = SqlSettings {
        url,
        connections_max: 2,
        ..SqlSettings::default()
    };
    // Connections live on the runtime on which they are used.
    block_on(async { SqlOrigin::connect_lazy(&settings, vec![query]) }).unwrap()
}

/// Makes hotshelf's own schema in a database.
///
/// # Panics
/// When the database refuses it.
pub fn migrate(url: &str) {
    block_on(origin(url.to_owned()).migrate()).unwrap();
}

fn toml(url: &str) -> String {
    format!("[database]\nurl = \"{url}\"\n")
}

/// A name that no other database has.
fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("shop_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
