//! The database as [`ProductWriter`] and [`ChangeRecorder`].

use hotshelf_model::{
    BoxFuture, ChangeRecorder, Error, NamespaceName, PostedChange, ProductWrite, ProductWriter,
    Recorded, WriteOutcome,
};

use crate::product::{Posted, Written};
use crate::settings::{NamespaceQuery, invalid};
use crate::{Database, SqlOrigin};

/// The namespace under which hotshelf's own tables record their changes.
const PRODUCTS: &str = "products";

impl SqlOrigin {
    async fn write_product(&self, write: &ProductWrite) -> Result<WriteOutcome, Error> {
        let what = format!("writing product `{}`", write.id);
        let written = Written::new(write, self.product_bytes_max())
            .map_err(|problem| invalid(&what, &problem))?;
        let outcome = match &self.database {
            Database::Postgres(database) => database.write_product(&written).await,
            Database::Sqlite(database) => database.write_product(&written).await,
        };
        outcome.map_err(|failure| failure.error(&what))
    }

    fn product_bytes_max(&self) -> usize {
        let mut namespaces = self.namespaces.iter();
        let products = namespaces.find(|(name, _)| name.as_str() == PRODUCTS);
        products.map_or(NamespaceQuery::DOCUMENT_BYTES_MAX, |(_, products)| {
            products.query.document_bytes_max
        })
    }

    async fn post(
        &self,
        changes: &[PostedChange],
        bumps: &[NamespaceName],
    ) -> Result<Recorded, Error> {
        let posted = Posted::new(changes, bumps);
        let recorded = match &self.database {
            Database::Postgres(database) => database.post(&posted).await,
            Database::Sqlite(database) => database.post(&posted).await,
        };
        recorded.map_err(|failure| failure.error("recording changes"))
    }
}

impl ProductWriter for SqlOrigin {
    fn write<'a>(&'a self, write: &'a ProductWrite) -> BoxFuture<'a, Result<WriteOutcome, Error>> {
        Box::pin(self.write_product(write))
    }
}

impl ChangeRecorder for SqlOrigin {
    fn record<'a>(
        &'a self,
        changes: &'a [PostedChange],
        bumps: &'a [NamespaceName],
    ) -> BoxFuture<'a, Result<Recorded, Error>> {
        Box::pin(self.post(changes, bumps))
    }
}
