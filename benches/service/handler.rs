//! A bare axum handler over a moka: what the HTTP stack costs without a cache that knows whether its copies are current.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::{Path as PathOf, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use hotshelf_benches::shelf;

type Documents = moka::sync::Cache<Arc<str>, Bytes>;

/// Serves `count` copies of a file's bytes under their ids until the process is ended.
pub(crate) fn serve(port: u16, document: &Path, count: usize) -> anyhow::Result<()> {
    let document = Bytes::from(std::fs::read(document).context("reading the document")?);
    let documents: Documents = moka::sync::Cache::new(count as u64 * 6 / 5);
    for number in 0..count {
        documents.insert(
            shelf::id(number).as_str().into(),
            Bytes::copy_from_slice(&document),
        );
    }
    let routes = Router::new()
        .route("/v1/products/{id}", get(read))
        .with_state(documents);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        axum::serve(listener, routes).await?;
        anyhow::Ok(())
    })
}

async fn read(State(documents): State<Documents>, PathOf(id): PathOf<String>) -> Response {
    match documents.get(id.as_str()) {
        Some(document) => ([(CONTENT_TYPE, "application/json")], document).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
