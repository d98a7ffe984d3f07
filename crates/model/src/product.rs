//! A product of hotshelf's own schema, as it is imported or written; a shop's own tables have no use for it.

/// One product with its price and stock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Product {
    /// The id (a SKU); checked with [`crate::Id`].
    pub id: String,
    /// What the page's heading says.
    pub title: String,
    /// The brand, if known.
    pub brand: Option<String>,
    /// From the root of the tree to the leaf.
    pub category_path: Vec<String>,
    /// Running text, if any.
    pub description: Option<String>,
    /// Names and values shown in a table, in order.
    pub attributes: Vec<(String, String)>,
    /// Addresses of images, the main one first.
    pub images: Vec<String>,
    /// Whether the product is on sale at all.
    pub active: bool,
    /// What it costs now and later.
    pub prices: Vec<Price>,
    /// Pieces on hand.
    pub stock: i64,
}

/// A price with the time in which it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// ISO 4217.
    pub currency: String,
    /// The list price in the currency's minor unit (cents).
    pub list_minor: i64,
    /// The lower price asked during a sale, in the minor unit.
    pub sale_minor: Option<i64>,
    /// First moment at which it holds, in milliseconds since 1970; `None` is since ever.
    pub valid_from: Option<u64>,
    /// First moment at which it no longer holds; `None` is for ever.
    pub valid_to: Option<u64>,
}

impl Price {
    /// The last millisecond of the year 9999, which every database can hold and print.
    pub const MOMENT_MAX: u64 = 253_402_300_799_999;

    /// Whether this is the code of a currency, as far as its form tells: three capital letters (ISO 4217).
    pub fn is_currency(code: &str) -> bool {
        code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())
    }
}
