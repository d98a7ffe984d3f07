//! A product as it is written, read from JSON with every problem found at its path.

use hotshelf_model::product::Price;
use hotshelf_model::{FieldProblem, ProductFields};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::json_body::{self, Problems};

const NAME_BYTES_MAX: usize = 1024;
const ADDRESS_BYTES_MAX: usize = 4096;
const CATEGORIES_MAX: usize = 32;
const ATTRIBUTES_MAX: usize = 1000;
const IMAGES_MAX: usize = 200;
const PRICES_MAX: usize = 200;
/// Beyond every real number of pieces, and exact in every client's numbers.
const PIECES_MAX: i64 = 1 << 53;

/// The writable fields of a product. `price` and `availability`, which documents show, follow from `prices` and `stock`.
#[derive(ToSchema)]
#[schema(as = Product)]
#[expect(
    dead_code,
    reason = "describes the body, which is read from JSON field by field"
)]
pub(crate) struct ProductBody {
    /// The same as in the path, if it is given at all.
    id: Option<String>,
    /// 1 to 1024 bytes. Needed by PUT.
    #[schema(example = "Desk lamp")]
    title: String,
    /// 1 to 1024 bytes.
    brand: Option<String>,
    /// From the root of the tree to the leaf; at most 32 of 1 to 1024 bytes.
    category_path: Option<Vec<String>>,
    /// Running text.
    description: Option<String>,
    /// Pairs of name and value, in order; at most 1000.
    #[schema(value_type = Option<Vec<Vec<String>>>, example = json!([["Colour", "red"]]))]
    attributes: Option<Vec<(String, String)>>,
    /// Addresses, the main one first; at most 200 of 1 to 4096 bytes.
    images: Option<Vec<String>>,
    /// `active` or `hidden`; a hidden product is answered as absent.
    status: Option<String>,
    /// What it costs now and later; at most 200. Where several hold, the one that began last does.
    prices: Option<Vec<PriceBody>>,
    /// What is on hand.
    stock: Option<StockBody>,
}

/// A price with the time in which it holds.
#[derive(ToSchema)]
#[schema(as = Price)]
#[expect(
    dead_code,
    reason = "describes the body, which is read from JSON field by field"
)]
pub(crate) struct PriceBody {
    /// ISO 4217.
    #[schema(example = "EUR")]
    currency: String,
    /// In the currency's minor unit (cents).
    #[schema(minimum = 0)]
    list_minor: i64,
    /// The lower price asked during a sale, in the minor unit.
    #[schema(minimum = 0)]
    sale_minor: Option<i64>,
    /// First moment at which it holds, in milliseconds since 1970; without it, since ever.
    valid_from: Option<i64>,
    /// First moment at which it no longer holds; without it, for ever.
    valid_to: Option<i64>,
}

/// Pieces on hand. Documents show only the class that follows: `in_stock`, `low_stock` or `out_of_stock`.
#[derive(ToSchema)]
#[schema(as = Stock)]
#[expect(
    dead_code,
    reason = "describes the body, which is read from JSON field by field"
)]
pub(crate) struct StockBody {
    /// Pieces; negative when more were sold than there are.
    quantity: Option<i64>,
    /// Up to how many pieces the stock is low; 5 by default.
    low_at: Option<i64>,
}

/// Reads the body of a PUT (`whole`) or of a PATCH, in which `null` removes what a field held.
pub(super) fn read(body: &[u8], id: &str, whole: bool) -> Result<ProductFields, Vec<FieldProblem>> {
    let object = json_body::object(body, "{\"title\": \"Desk lamp\"}")?;
    let mut reader = Reader::default();
    let fields = reader.product(object, id);
    let mut problems = reader.problems;
    if whole && fields.title.is_none() && problems.is_empty() {
        problems.refuse("title", "is needed");
    }
    problems.none_or(fields)
}

/// Reads fields and collects what is wrong with them.
#[derive(Default)]
struct Reader {
    problems: Problems,
}

impl Reader {
    fn refuse(&mut self, path: &str, reason: impl Into<String>) {
        self.problems.refuse(path, reason);
    }

    fn product(&mut self, object: Map<String, Value>, id: &str) -> ProductFields {
        let mut fields = ProductFields::default();
        for (name, value) in object {
            match name.as_str() {
                "id" if value == id => {}
                "id" => self.refuse("id", "is not the id in the path; leave it out"),
                "title" => fields.title = self.text("title", value, NAME_BYTES_MAX),
                "brand" => fields.brand = self.removable("brand", value, NAME_BYTES_MAX),
                "description" => {
                    fields.description = self.removable("description", value, usize::MAX);
                }
                "category_path" => {
                    let (items_max, bytes_max) = (CATEGORIES_MAX, NAME_BYTES_MAX);
                    fields.category_path = self.texts(&name, value, items_max, bytes_max);
                }
                "images" => {
                    fields.images = self.texts(&name, value, IMAGES_MAX, ADDRESS_BYTES_MAX);
                }
                "attributes" => fields.attributes = self.attributes(value),
                "status" => fields.active = self.status(&value),
                "prices" => fields.prices = self.prices(value),
                "stock" => self.stock(value, &mut fields),
                "price" => self.refuse("price", "follows from `prices`; write those"),
                "availability" => self.refuse("availability", "follows from `stock`; write that"),
                _ => self.refuse(
                    &name,
                    "is not a field of a product; /openapi.json lists them",
                ),
            }
        }
        fields
    }

    fn text(&mut self, path: &str, value: Value, bytes_max: usize) -> Option<String> {
        match value {
            Value::String(text) if text.contains('\0') => {
                self.refuse(
                    path,
                    "holds a NUL character, which no database text can hold",
                );
            }
            Value::String(text) if text.trim().is_empty() => self.refuse(path, "is empty"),
            Value::String(text) if text.len() > bytes_max => {
                let reason = format!("has {} bytes; at most {bytes_max} are allowed", text.len());
                self.refuse(path, reason);
            }
            Value::String(text) => return Some(text),
            Value::Null => self.refuse(path, "cannot be removed"),
            _ => self.refuse(path, "must be text"),
        }
        None
    }

    /// A text that `null` removes.
    #[expect(
        clippy::option_option,
        reason = "not given, removed, and a text are three things"
    )]
    fn removable(&mut self, path: &str, value: Value, bytes_max: usize) -> Option<Option<String>> {
        if value.is_null() {
            return Some(None);
        }
        self.text(path, value, bytes_max).map(Some)
    }

    fn texts(
        &mut self,
        path: &str,
        value: Value,
        items_max: usize,
        bytes_max: usize,
    ) -> Option<Vec<String>> {
        let items = self.problems.items(path, value, items_max)?;
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            texts.extend(self.text(&format!("{path}[{index}]"), item, bytes_max));
        }
        Some(texts)
    }

    fn attributes(&mut self, value: Value) -> Option<Vec<(String, String)>> {
        let items = self.problems.items("attributes", value, ATTRIBUTES_MAX)?;
        let mut attributes = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let path = format!("attributes[{index}]");
            let pair: Option<[Value; 2]> = match item {
                Value::Array(pair) => pair.try_into().ok(),
                _ => None,
            };
            let Some([name, value]) = pair else {
                self.refuse(&path, "must be a pair such as [\"Colour\", \"red\"]");
                continue;
            };
            let name = self.text(&format!("{path}[0]"), name, NAME_BYTES_MAX);
            let value = self.text(&format!("{path}[1]"), value, ADDRESS_BYTES_MAX);
            attributes.extend(name.zip(value));
        }
        Some(attributes)
    }

    fn status(&mut self, value: &Value) -> Option<bool> {
        match value.as_str() {
            Some("active") => Some(true),
            Some("hidden") => Some(false),
            None if value.is_null() => Some(true),
            _ => {
                self.refuse("status", "must be `active` or `hidden`");
                None
            }
        }
    }

    fn prices(&mut self, value: Value) -> Option<Vec<Price>> {
        let items = self.problems.items("prices", value, PRICES_MAX)?;
        let mut prices = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let path = format!("prices[{index}]");
            match item {
                Value::Object(object) => prices.extend(self.price(&path, object)),
                _ => self.refuse(
                    &path,
                    "must be an object such as {\"currency\": \"EUR\", \"list_minor\": 1999}",
                ),
            }
        }
        Some(prices)
    }

    fn price(&mut self, path: &str, object: Map<String, Value>) -> Option<Price> {
        let before = self.problems.count();
        let mut currency = None;
        let (mut list, mut sale, mut from, mut to) = (None, None, None, None);
        for (name, value) in object {
            let at = format!("{path}.{name}");
            let number = match name.as_str() {
                "currency" => {
                    currency = self.currency(&at, &value);
                    continue;
                }
                "list_minor" => &mut list,
                "sale_minor" => &mut sale,
                "valid_from" => &mut from,
                "valid_to" => &mut to,
                _ => {
                    let known =
                        "`currency`, `list_minor`, `sale_minor`, `valid_from` and `valid_to`";
                    self.refuse(&at, format!("is not a field of a price; there are {known}"));
                    continue;
                }
            };
            let greatest = if name.starts_with("valid") {
                Price::MOMENT_MAX.cast_signed()
            } else {
                PIECES_MAX
            };
            if !value.is_null() {
                *number = self.number(&at, &value, 0, greatest);
            }
        }
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            self.refuse(
                &format!("{path}.valid_to"),
                "must be later than `valid_from`",
            );
        }
        if self.problems.count() == before {
            for (missing, name) in [
                (currency.is_none(), "currency"),
                (list.is_none(), "list_minor"),
            ] {
                if missing {
                    self.refuse(&format!("{path}.{name}"), "is needed");
                }
            }
        }
        Some(Price {
            currency: currency?,
            list_minor: list?,
            sale_minor: sale,
            valid_from: from.map(i64::cast_unsigned),
            valid_to: to.map(i64::cast_unsigned),
        })
    }

    fn currency(&mut self, path: &str, value: &Value) -> Option<String> {
        let code = value.as_str().unwrap_or_default();
        if Price::is_currency(code) {
            return Some(code.to_owned());
        }
        self.refuse(path, "must be a code of ISO 4217 such as `EUR`");
        None
    }

    fn stock(&mut self, value: Value, fields: &mut ProductFields) {
        let object = match value {
            Value::Object(object) => object,
            Value::Null => {
                (fields.quantity, fields.low_at) = (Some(0), Some(ProductFields::LOW_AT));
                return;
            }
            _ => return self.refuse("stock", "must be an object such as {\"quantity\": 7}"),
        };
        for (name, value) in object {
            let at = format!("stock.{name}");
            match name.as_str() {
                "quantity" if value.is_null() => fields.quantity = Some(0),
                "low_at" if value.is_null() => fields.low_at = Some(ProductFields::LOW_AT),
                "quantity" => {
                    fields.quantity = self.number(&at, &value, -PIECES_MAX, PIECES_MAX);
                }
                "low_at" => fields.low_at = self.number(&at, &value, 0, PIECES_MAX),
                _ => self.refuse(
                    &at,
                    "is not a field of stock; there are `quantity` and `low_at`",
                ),
            }
        }
    }

    fn number(&mut self, path: &str, value: &Value, least: i64, greatest: i64) -> Option<i64> {
        let number = value
            .as_i64()
            .filter(|number| (least..=greatest).contains(number));
        if number.is_none() {
            self.refuse(
                path,
                format!("must be a whole number from {least} to {greatest}"),
            );
        }
        number
    }
}

#[cfg(test)]
mod tests;
