//! A database of products whose documents have the size that the bench is about.

use std::path::Path;

use anyhow::{Context, ensure};
use hotshelf_benches::shelf;
use hotshelf_model::product::Price;
use hotshelf_model::{FetchRequest, Origin, Product, Variant, VariantSchema};
use hotshelf_origin_sql::{Dialect, NamespaceQuery, SqlOrigin, SqlSettings};

const DOCUMENT_BYTES: usize = 2048;
/// The name that the node gives its database in its folder.
const FILE: &str = "hotshelf.sqlite";

/// Creates the node's database in its folder, with `count` products.
pub(crate) fn write(folder: &Path, count: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(write_products(folder, count))
}

async fn write_products(folder: &Path, count: usize) -> anyhow::Result<()> {
    let query =
        NamespaceQuery::products(shelf::products(), Dialect::Sqlite, VariantSchema::default());
    let settings = SqlSettings {
        url: format!("sqlite:{}", folder.join(FILE).display()),
        ..SqlSettings::default()
    };
    let origin = SqlOrigin::connect_lazy(&settings, vec![query])?;
    origin.migrate().await?;
    origin.upsert_products(&[product(0, 0)]).await?;
    let bare = document_bytes(&origin).await?;
    let description = DOCUMENT_BYTES.saturating_sub(bare);
    let products: Vec<Product> = (0..count)
        .map(|number| product(number, description))
        .collect();
    origin.upsert_products(&products).await?;
    Ok(())
}

async fn document_bytes(origin: &SqlOrigin) -> anyhow::Result<usize> {
    let request = FetchRequest {
        namespace: &shelf::products(),
        variant: &Variant::default(),
        ids: &[shelf::id(0)],
        as_of: None,
    };
    let fetch = origin.fetch_many(request).await?;
    let document = fetch.documents.into_iter().next().context("no answer")??;
    let body = document.body.unwrap_or_default();
    ensure!(
        !body.is_empty(),
        "the product that was written is not there"
    );
    Ok(body.len())
}

fn product(number: usize, description_bytes: usize) -> Product {
    let text = shelf::document(number, description_bytes * 2 + 256);
    let letters = text
        .iter()
        .filter(|byte| byte.is_ascii_alphabetic() || **byte == b' ');
    let description = letters
        .take(description_bytes)
        .map(|&byte| char::from(byte));
    Product {
        id: shelf::id(number).as_str().to_owned(),
        title: format!("Product {number:08}"),
        brand: Some("Example".to_owned()),
        category_path: vec!["Home".to_owned(), "Kitchen".to_owned()],
        description: Some(description.collect()),
        attributes: vec![("colour".to_owned(), "steel".to_owned())],
        images: vec![format!("https://images.example/{number:08}.jpg")],
        active: true,
        prices: vec![Price {
            currency: "EUR".to_owned(),
            list_minor: 4999,
            sale_minor: None,
            valid_from: None,
            valid_to: None,
        }],
        stock: 100,
    }
}
