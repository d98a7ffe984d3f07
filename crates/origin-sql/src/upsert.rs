//! Products on their way into hotshelf's own schema: checked, made into one JSON text for the database, and counted by what became of them.

use std::collections::{BTreeMap, HashSet};

use hotshelf_model::product::Price;
use hotshelf_model::{FieldProblem, Id, Product};
use serde_json::{Value, json};

/// Most products of one transaction.
pub const UPSERT_BATCH_MAX: usize = 1000;

/// What became of products that were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpsertReport {
    /// Products that were not there before.
    pub inserted: usize,
    /// Products of which something changed: themselves, a price or the stock.
    pub updated: usize,
    /// Products that were there already, with the same in every column; nothing was recorded for them.
    pub unchanged: usize,
}

impl UpsertReport {
    /// Adds another batch's numbers.
    pub(crate) fn add(&mut self, other: UpsertReport) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
    }
}

/// Says why a product cannot be written.
///
/// # Errors
/// Names the first field that is wrong, and what would be right.
pub fn check_product(product: &Product) -> Result<(), FieldProblem> {
    Id::new(&product.id)?;
    let texts = [
        ("title", Some(&product.title)),
        ("brand", product.brand.as_ref()),
        ("description", product.description.as_ref()),
    ];
    for (field, text) in texts {
        check_text(field, text)?;
    }
    check_text("category_path", &product.category_path)?;
    check_text("images", &product.images)?;
    for (name, value) in &product.attributes {
        check_text("attributes", [name, value])?;
    }
    product.prices.iter().try_for_each(check_price)
}

pub(crate) fn check_text<'a>(
    field: &str,
    texts: impl IntoIterator<Item = &'a String>,
) -> Result<(), FieldProblem> {
    let bad = texts.into_iter().any(|text| text.contains('\0'));
    if bad {
        return Err(FieldProblem::new(
            field,
            "holds a NUL character, which no database text can hold; remove it",
        ));
    }
    Ok(())
}

pub(crate) fn check_price(price: &Price) -> Result<(), FieldProblem> {
    if !Price::is_currency(&price.currency) {
        return Err(FieldProblem::new(
            "prices.currency",
            "must be three capital letters, such as EUR (ISO 4217)",
        ));
    }
    if price.list_minor < 0 || price.sale_minor.is_some_and(|sale| sale < 0) {
        return Err(FieldProblem::new("prices", "must not be negative"));
    }
    let moments = [price.valid_from, price.valid_to];
    if moments.into_iter().flatten().max() > Some(Price::MOMENT_MAX) {
        return Err(FieldProblem::new(
            "prices",
            "holds after the year 9999; give milliseconds since 1970",
        ));
    }
    if let (Some(from), Some(to)) = (price.valid_from, price.valid_to)
        && from >= to
    {
        return Err(FieldProblem::new(
            "prices.valid_to",
            "must be later than valid_from",
        ));
    }
    Ok(())
}

/// Products of one transaction: each id once, in order, as a JSON array.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) json: String,
    pub(crate) len: usize,
    /// The ids as a JSON array.
    pub(crate) ids: String,
}

impl Batch {
    /// Of two products with one id the later one wins.
    pub(crate) fn new(products: &[Product]) -> Self {
        let last: BTreeMap<&str, &Product> = products
            .iter()
            .map(|product| (product.id.as_str(), product))
            .collect();
        let ids: Vec<&str> = last.keys().copied().collect();
        let rows: Vec<Value> = last.values().map(|product| row(product)).collect();
        Batch {
            json: Value::Array(rows).to_string(),
            len: last.len(),
            ids: json!(ids).to_string(),
        }
    }
}

/// A price under the names of its columns.
pub(crate) fn price_json(price: &Price) -> Value {
    json!({
        "currency": price.currency, "list_minor": price.list_minor, "sale_minor": price.sale_minor,
        "valid_from": price.valid_from, "valid_to": price.valid_to,
    })
}

fn row(product: &Product) -> Value {
    let prices: Vec<Value> = product.prices.iter().map(price_json).collect();
    json!({
        "id": product.id, "title": product.title, "brand": product.brand, "category_path": product.category_path,
        "description": product.description, "attributes": product.attributes, "images": product.images,
        "status": if product.active { "active" } else { "hidden" }, "prices": prices, "stock": product.stock,
    })
}

/// The ids of a batch that changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changed {
    inserted: HashSet<String>,
    updated: HashSet<String>,
}

impl Changed {
    /// Notes a product row that was written.
    pub(crate) fn product(&mut self, id: String, inserted: bool) {
        let into = if inserted {
            &mut self.inserted
        } else {
            &mut self.updated
        };
        into.insert(id);
    }

    /// Notes products whose prices or stock were written.
    pub(crate) fn children(&mut self, ids: Vec<String>) {
        for id in ids {
            if !self.inserted.contains(&id) {
                self.updated.insert(id);
            }
        }
    }

    /// Counts a batch of `len` products.
    pub(crate) fn report(&self, len: usize) -> UpsertReport {
        let (inserted, updated) = (self.inserted.len(), self.updated.len());
        UpsertReport {
            inserted,
            updated,
            unchanged: len.saturating_sub(inserted + updated),
        }
    }
}
