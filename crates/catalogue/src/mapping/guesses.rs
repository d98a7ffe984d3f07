//! Which field the name of a column suggests.

use std::collections::HashMap;
use std::sync::LazyLock;

use hotshelf_model::product::Price;

use super::Field;

/// Columns that feed a field when nobody says otherwise, the likeliest first; in lower case, letters and digits only.
pub(super) const GUESSES: [(Field, &[&str]); 12] = [
    (
        Field::Id,
        &[
            "id",
            "sku",
            "productid",
            "objectid",
            "itemid",
            "productsku",
            "itemnumber",
            "productcode",
            "articlenumber",
            "variantsku",
            "asin",
            "gtin",
            "ean",
            "upc",
            "handle",
            "slug",
            "code",
            "uuid",
        ],
    ),
    (
        Field::Title,
        &[
            "title",
            "name",
            "productname",
            "producttitle",
            "displayname",
            "itemname",
            "label",
        ],
    ),
    (
        Field::Brand,
        &[
            "brand",
            "brandname",
            "vendor",
            "manufacturer",
            "maker",
            "designer",
        ],
    ),
    (
        Field::Category,
        &[
            "categorypath",
            "categoryfullpath",
            "categories",
            "category",
            "categoryname",
            "productcategory",
            "googleproductcategory",
            "producttype",
            "department",
            "type",
        ],
    ),
    (
        Field::Description,
        &[
            "description",
            "longdescription",
            "fulldescription",
            "productdescription",
            "body",
            "bodyhtml",
            "details",
            "shortdescription",
            "summary",
        ],
    ),
    (
        Field::Image,
        &[
            "images",
            "image",
            "imageurls",
            "imageurl",
            "imagelink",
            "imagesrc",
            "featuredimage",
            "featuredimageurl",
            "mainimage",
            "picture",
            "pictureurl",
            "photo",
            "img",
            "imgurl",
            "additionalimagelink",
            "thumbnail",
            "thumbnailurl",
        ],
    ),
    (
        Field::Price,
        &[
            "price",
            "prices",
            "listprice",
            "regularprice",
            "retailprice",
            "unitprice",
            "variantprice",
            "priceamount",
            "pricemin",
            "minprice",
            "pricefrom",
            "msrp",
        ],
    ),
    (
        Field::SalePrice,
        &[
            "saleprice",
            "specialprice",
            "discountprice",
            "discountedprice",
            "offerprice",
            "promoprice",
        ],
    ),
    (
        Field::CompareAtPrice,
        &[
            "compareatprice",
            "variantcompareatprice",
            "originalprice",
            "wasprice",
            "oldprice",
        ],
    ),
    (
        Field::Currency,
        &["currency", "currencycode", "pricecurrency"],
    ),
    (
        Field::Stock,
        &[
            "stock",
            "stockquantity",
            "quantity",
            "qty",
            "inventory",
            "inventoryquantity",
            "variantinventoryqty",
            "onhand",
            "stocklevel",
            "availability",
            "instock",
            "instockany",
            "isinstock",
            "available",
        ],
    ),
    (
        Field::Active,
        &[
            "active",
            "isactive",
            "published",
            "ispublished",
            "enabled",
            "status",
        ],
    ),
];

/// The field that a column's name suggests, how likely it is (0 is likeliest), and the currency that the name ends in.
pub(super) fn guess(column: &str) -> Option<(Field, usize, Option<String>)> {
    if let Some((field, rank)) = guess_letters(column) {
        return Some((field, rank, None));
    }
    let (stem, currency) = suffix_currency(column);
    let (field, rank) = guess_letters(stem)?;
    let priced = currency.is_some() && field.is_price();
    priced.then_some((field, rank, currency))
}

fn guess_letters(column: &str) -> Option<(Field, usize)> {
    static FIELDS: LazyLock<HashMap<&str, (Field, usize)>> = LazyLock::new(|| {
        let ranked = |(field, guesses): &(Field, &[&'static str])| {
            let field = *field;
            let ranked = guesses.iter().enumerate();
            ranked
                .map(move |(rank, &guess)| (guess, (field, rank)))
                .collect::<Vec<_>>()
        };
        GUESSES.iter().flat_map(ranked).collect()
    });
    FIELDS.get(letters(column).as_str()).copied()
}

fn letters(column: &str) -> String {
    let letters = column
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric());
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Splits `price_min_usd` into its stem and the currency that it ends in.
pub(super) fn suffix_currency(column: &str) -> (&str, Option<String>) {
    const KNOWN: [&str; 20] = [
        "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HUF", "INR", "JPY", "KRW",
        "MXN", "NOK", "NZD", "PLN", "SEK", "TRY", "USD",
    ];
    let Some((stem, end)) = column.rsplit_once(['_', '-', ' ', '.']) else {
        return (column, None);
    };
    let code = end.to_ascii_uppercase();
    if Price::is_currency(&code) && KNOWN.contains(&code.as_str()) {
        (stem, Some(code))
    } else {
        (column, None)
    }
}
