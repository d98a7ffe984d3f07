//! Documents that tell which write they are of, in every part, so that a mixed or torn one shows.

use hotshelf_sim::Seen;
use serde_json::{Value, json};

const PREFIX: &str = "p-";

/// The id of a product.
pub(super) fn id(product: u32) -> String {
    format!("{PREFIX}{product:04}")
}

/// The product of an id.
pub(super) fn product_of(id: &str) -> Option<u32> {
    id.strip_prefix(PREFIX)?.parse().ok()
}

/// The title that the write of a number gives a product.
pub(super) fn title(number: u64) -> String {
    format!("w{number}")
}

/// The number of the write that gave a product its title.
pub(super) fn number_of(title: &str) -> Option<u64> {
    title.strip_prefix('w')?.parse().ok()
}

/// The description that a write gives a product: of another length each time, up to 8 KiB, so that all together are more than L1 holds.
pub(super) fn description(product: u32, number: u64) -> String {
    let words = 10 + usize::try_from(number * 37 % 600).unwrap();
    format!("{product}.{number} ").repeat(words)
}

/// The body of a PUT or PATCH.
pub(super) fn body(product: u32, number: u64) -> Vec<u8> {
    let body = json!({
        "title": title(number),
        "description": description(product, number),
        "prices": [{ "currency": "EUR", "list_minor": number }],
    });
    body.to_string().into_bytes()
}

/// What a document shows. Its title and description are of one table, its price is of another.
pub(super) fn seen(document: &Value) -> Seen {
    whole(document).unwrap_or(Seen::Torn)
}

fn whole(document: &Value) -> Option<Seen> {
    let product = product_of(document["id"].as_str()?)?;
    let number = number_of(document["title"].as_str()?)?;
    let is_whole = document["description"].as_str()? == description(product, number)
        && document["price"]["list_minor"].as_u64()? == number;
    is_whole.then_some(Seen::Document { product, number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixed_document_is_torn() {
        let of = |title: u64, description_of: u64, price: u64| {
            seen(&json!({
                "id": id(7), "title": super::title(title),
                "description": description(7, description_of), "price": { "list_minor": price },
            }))
        };
        let number = 12;
        assert_eq!(
            of(number, number, number),
            Seen::Document { product: 7, number }
        );
        for mixed in [
            of(13, number, number),
            of(number, 13, number),
            of(number, number, 13),
        ] {
            assert_eq!(mixed, Seen::Torn);
        }
        assert_eq!(seen(&Value::Null), Seen::Torn);
    }
}
