//! The database and the other origins.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use hotshelf_config::raw::RawAttachment;
use hotshelf_config::{Config, HttpSource, NamespaceConfig, NamespaceSource};
use hotshelf_engine::Builder;
use hotshelf_http_api::Writing;
use hotshelf_model::{
    BoxFuture, ChangeLog, ChangeRecorder, ClusterLeases, ClusterNodes, ClusterSettings, Error,
    Fetch, FetchRequest, Id, NamespaceName, Origin, ProductFinder, ProductWriter, Versions,
};
use hotshelf_origin_http::{HttpBatch, HttpNamespace, HttpOrigin, HttpOriginSettings};
use hotshelf_origin_sql::{Attachment, Dialect, NamespaceQuery, SqlOrigin, SqlSettings};
use tokio::task::AbortHandle;

use crate::settings;

/// A database that cannot be migrated at the start is tried again this often.
const MIGRATE_PAUSE: Duration = Duration::from_secs(1);
/// How long a start waits for the database before it goes on without.
const MIGRATE_TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) struct Origins {
    pub(crate) sql: Arc<SqlOrigin>,
    http: Option<Arc<HttpOrigin>>,
    pub(crate) background: Vec<AbortHandle>,
}

/// Prepares the configured database without connecting to it.
///
/// # Errors
/// When a setting or a namespace's query is malformed.
pub fn open_database(config: &Config) -> anyhow::Result<SqlOrigin> {
    let (settings, queries) = prepared(config)?;
    SqlOrigin::connect_lazy(&settings, queries).context("preparing the database")
}

/// The tables that the configuration attaches.
pub fn attachments(config: &Config) -> Vec<Attachment> {
    let of_namespace = |namespace: &NamespaceConfig| -> Vec<Attachment> {
        let NamespaceSource::Sql { attachments, .. } = &namespace.source else {
            return Vec::new();
        };
        let attachment = |raw: &RawAttachment| Attachment {
            table: raw.table.clone(),
            namespace: namespace.namespace.name.clone(),
            keys: raw.keys.clone(),
            columns: raw.columns.clone(),
        };
        attachments.iter().map(attachment).collect()
    };
    config.namespaces().iter().flat_map(of_namespace).collect()
}

/// Checks what only the database's crate can: each namespace's query. Makes no connection and no file.
///
/// # Errors
/// As [`open_database`].
pub fn check_queries(config: &Config) -> anyhow::Result<()> {
    prepared(config).map(drop)
}

/// The database's settings with the query of each namespace that it serves.
fn prepared(config: &Config) -> anyhow::Result<(SqlSettings, Vec<NamespaceQuery>)> {
    let settings = settings::sql(config);
    let dialect = Dialect::of(&settings.url).map_err(|problem| anyhow!("database.{problem}"))?;
    let queries: Vec<NamespaceQuery> = config
        .namespaces()
        .iter()
        .filter_map(|namespace| query(namespace, dialect))
        .collect();
    let problem = |query: &NamespaceQuery| {
        let problem = query.check(dialect).err()?;
        Some(format!("namespace.{}.{problem}", query.name))
    };
    let problems: Vec<String> = queries.iter().filter_map(problem).collect();
    ensure!(problems.is_empty(), "{}", problems.join("\n  "));
    Ok((settings, queries))
}

fn query(namespace: &NamespaceConfig, dialect: Dialect) -> Option<NamespaceQuery> {
    let model = &namespace.namespace;
    let (name, variants) = (model.name.clone(), model.variants.clone());
    let query = match &namespace.source {
        NamespaceSource::Catalogue => NamespaceQuery::products(name, dialect, variants),
        NamespaceSource::Sql { sql, tracked, .. } => NamespaceQuery {
            variants,
            tracked: *tracked,
            ..NamespaceQuery::new(name, sql)
        },
        NamespaceSource::Http(_) => return None,
    };
    Some(NamespaceQuery {
        document_bytes_max: model.document_bytes_max,
        ..query
    })
}

/// Opens the origins and brings the database's tables up to date; goes on in the background if the database is down.
pub(crate) async fn open(config: &Config) -> anyhow::Result<Origins> {
    let sql = Arc::new(open_database(config)?);
    let migrating = tokio::spawn(migrate(Arc::clone(&sql)));
    let background = vec![migrating.abort_handle()];
    if tokio::time::timeout(MIGRATE_TIMEOUT, migrating)
        .await
        .is_err()
    {
        tracing::warn!("the database is not there yet; starting without it");
    }
    Ok(Origins {
        sql,
        http: http(config)?,
        background,
    })
}

async fn migrate(sql: Arc<SqlOrigin>) {
    while let Err(error) = sql.migrate().await {
        tracing::warn!(error = %anyhow::Error::new(error).root_cause(), "the database's tables cannot be brought up to date yet");
        tokio::time::sleep(MIGRATE_PAUSE).await;
    }
}

fn http(config: &Config) -> anyhow::Result<Option<Arc<HttpOrigin>>> {
    let namespaces = config
        .namespaces()
        .iter()
        .filter_map(|namespace| match &namespace.source {
            NamespaceSource::Http(source) => Some(http_namespace(namespace, source)),
            NamespaceSource::Catalogue | NamespaceSource::Sql { .. } => None,
        });
    let namespaces: Vec<HttpNamespace> = namespaces.collect();
    if namespaces.is_empty() {
        return Ok(None);
    }
    let settings = HttpOriginSettings {
        namespaces,
        ..HttpOriginSettings::default()
    };
    let origin = HttpOrigin::new(&settings).context("preparing the HTTP origin")?;
    Ok(Some(Arc::new(origin)))
}

fn http_namespace(namespace: &NamespaceConfig, source: &HttpSource) -> HttpNamespace {
    let model = &namespace.namespace;
    let batch = source.batch_url.as_ref().map(|url| HttpBatch {
        id_pointer: source.id_pointer.clone(),
        ids_max: source.batch_ids_max,
        ..HttpBatch::new(url.expose())
    });
    let headers = source
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.expose().to_owned()));
    HttpNamespace {
        dimensions: model
            .variants
            .dimensions()
            .iter()
            .map(|dimension| dimension.name().to_owned())
            .collect(),
        batch,
        version_header: source.version_header.clone(),
        version_pointer: source.version_pointer.clone(),
        valid_until_header: source.valid_until_header.clone(),
        valid_until_pointer: source.valid_until_pointer.clone(),
        absent_pointer: source.absent_pointer.clone(),
        requests_max: source.requests_max,
        headers: headers.collect(),
        timeout: source.timeout,
        document_bytes_max: model.document_bytes_max,
        ..HttpNamespace::new(model.name.clone(), source.url.expose())
    }
}

impl Origins {
    pub(crate) fn change_log(&self) -> Arc<dyn ChangeLog> {
        Arc::clone(&self.sql) as _
    }

    /// The settings of the whole cluster.
    pub(crate) fn settings(&self) -> Arc<dyn ClusterSettings> {
        Arc::<SqlOrigin>::clone(&self.sql)
    }

    /// Finds products of hotshelf's own tables.
    pub(crate) fn finder(&self) -> Arc<dyn ProductFinder> {
        Arc::<SqlOrigin>::clone(&self.sql)
    }

    /// Lets the node ask whether it leads the sequencing. SQLite's changes have their positions when they are written.
    pub(crate) fn add_leases(&self, config: &Config, builder: Builder) -> Builder {
        match self.leases(config) {
            Some(leases) => builder.cluster_leases(leases),
            None => builder,
        }
    }

    /// Leases on the work of the whole cluster; SQLite, whose nodes share a machine, keeps none.
    pub(crate) fn leases(&self, config: &Config) -> Option<Arc<dyn ClusterLeases>> {
        let keeps = !config.database().is_sqlite();
        keeps.then(|| Arc::<SqlOrigin>::clone(&self.sql) as Arc<dyn ClusterLeases>)
    }

    /// Where the nodes find each other.
    pub(crate) fn nodes(&self) -> Arc<dyn ClusterNodes> {
        Arc::clone(&self.sql) as _
    }

    /// Which namespaces are written through the API, and who may do it.
    pub(crate) fn writing(&self, config: &Config) -> Writing {
        let named = |wanted: fn(&NamespaceSource) -> bool| {
            let namespaces = config.namespaces().iter();
            let wanted = namespaces.filter(move |namespace| wanted(&namespace.source));
            wanted.map(|namespace| namespace.namespace.name.clone())
        };
        let own = named(|source| matches!(source, NamespaceSource::Catalogue));
        let outside = named(|source| matches!(source, NamespaceSource::Http(_)));
        Writing {
            products: own
                .map(|name| (name, Arc::clone(&self.sql) as Arc<dyn ProductWriter>))
                .collect(),
            changes: Some(Arc::clone(&self.sql) as Arc<dyn ChangeRecorder>),
            versioned_outside: outside.collect(),
            access: settings::access(config),
        }
    }

    /// Gives each namespace its origin.
    pub(crate) fn add_namespaces(
        &self,
        config: &Config,
        mut builder: Builder,
    ) -> anyhow::Result<Builder> {
        let (_, queries) = prepared(config)?;
        for namespace in config.namespaces() {
            let mut model = namespace.namespace.clone();
            // The database's crate knows the whole statement, its own documents' included.
            if let Some(query) = queries.iter().find(|query| query.name == model.name) {
                model.shape = query.shape();
            }
            let origin: Arc<dyn Origin> = match &namespace.source {
                NamespaceSource::Catalogue | NamespaceSource::Sql { .. } => {
                    Arc::clone(&self.sql) as _
                }
                NamespaceSource::Http(_) => {
                    let http = self.http.as_ref().context("the HTTP origin is missing")?;
                    Arc::new(Service {
                        documents: Arc::clone(http),
                        log: Arc::clone(&self.sql),
                    })
                }
            };
            builder = builder.namespace(model, origin);
        }
        Ok(builder)
    }
}

/// A service whose documents come over HTTP, and whose changes are posted to the database.
#[derive(Debug)]
struct Service {
    documents: Arc<HttpOrigin>,
    log: Arc<SqlOrigin>,
}

impl Origin for Service {
    fn fetch_many<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Fetch, Error>> {
        self.documents.fetch_many(request)
    }

    fn versions<'a>(
        &'a self,
        namespace: &'a NamespaceName,
        ids: &'a [Id],
    ) -> BoxFuture<'a, Result<Option<Versions>, Error>> {
        Box::pin(async { self.log.recorded(namespace, ids).await.map(Some) })
    }
}
