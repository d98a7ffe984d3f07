//! The engine inside another axum service: a product page that reads its details in-process, from an SQLite file of its own.
//!
//! `cargo run -p hotshelf --example embedded`, then `curl -i http://127.0.0.1:7410/page/LAMP-1`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Router, routing::get};
use hotshelf::model::{
    FreshnessPolicy, Id, Kind, Namespace, NamespaceName, Product, VariantSchema,
};
use hotshelf::sql::{Dialect, NamespaceQuery, SqlOrigin, SqlSettings};
use hotshelf::{Cache, ReadOptions};

async fn page(
    State(cache): State<Cache>,
    Path(id): Path<String>,
) -> Result<String, (StatusCode, String)> {
    let products = cache
        .namespace("products")
        .ok_or((StatusCode::NOT_FOUND, String::new()))?;
    let id = Id::new(&id).map_err(|problem| (StatusCode::BAD_REQUEST, problem.to_string()))?;
    let key = products.key(&id, products.variants.default_variant());
    let answer = cache.get(&key, ReadOptions::default()).await;
    let answer = answer.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    if answer.kind() == Kind::Absent {
        return Err((StatusCode::NOT_FOUND, "no such product".to_owned()));
    }
    let document = String::from_utf8_lossy(answer.document());
    Ok(format!("from {}: {document}\n", answer.tier().as_str()))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let name = NamespaceName::new("products")?;
    let query = NamespaceQuery::products(name.clone(), Dialect::Sqlite, VariantSchema::default());
    let shape = query.shape();
    let settings = SqlSettings {
        url: "sqlite:data/embedded.sqlite".to_owned(),
        ..SqlSettings::default()
    };
    let database = Arc::new(SqlOrigin::connect_lazy(&settings, vec![query])?);
    database.migrate().await?;
    let lamp = Product {
        id: "LAMP-1".to_owned(),
        title: "Desk lamp".to_owned(),
        active: true,
        ..Product::default()
    };
    database.upsert_products(&[lamp]).await?;

    let products = Namespace {
        name,
        shape,
        variants: VariantSchema::default(),
        policy: FreshnessPolicy::default(),
        tracked: true,
        document_bytes_max: 1 << 20,
    };
    let cache = Cache::builder(Arc::clone(&database) as _)
        .namespace(products, database)
        .start();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:7410").await?;
    axum::serve(
        listener,
        Router::new()
            .route("/page/{id}", get(page))
            .with_state(cache),
    )
    .await?;
    Ok(())
}
