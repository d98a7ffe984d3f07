//! What a generated catalogue must look like.

use std::collections::{BTreeMap, BTreeSet};

use hotshelf_model::Id;

use super::*;

/// About the bytes of the document: its texts with the marks that JSON puts around them.
fn document_bytes(product: &Product) -> usize {
    let text = |text: &str| text.len() + 4;
    let attributes: usize = product
        .attributes
        .iter()
        .map(|(name, value)| text(name) + text(value))
        .sum();
    let images: usize = product.images.iter().map(|image| text(image)).sum();
    let description = product.description.as_deref().unwrap_or_default();
    200 + text(&product.title) + text(description) + attributes + images + 60 * product.prices.len()
}

#[test]
fn the_same_seed_gives_the_same_products_whatever_the_count() {
    let few: Vec<_> = generate(20, 7).collect();
    let many: Vec<_> = generate(2000, 7).take(20).collect();
    assert_eq!(few, many);
    assert_ne!(few, generate(20, 8).collect::<Vec<_>>());
}

#[test]
fn the_first_product_never_changes() {
    let first = generate(1, 1).next().unwrap();
    assert_eq!(first.id, "SHOE-00001-WHITE");
    assert_eq!(first.title, "Cedarline Breathable Running Shoe, White, Men");
    let last = generate(10_000, 1).last().unwrap();
    assert_eq!(last.id, "HDPHN-10000-SILVER");
    let prices: Vec<_> = last.prices.iter().map(|price| price.list_minor).collect();
    assert_eq!(prices, [2999, 2999, 2999, 2699, 2699, 2699]);
}

#[test]
fn ids_are_good_and_distinct_and_prices_and_pictures_are_there() {
    let mut ids = BTreeSet::new();
    for product in generate(10_000, 1) {
        Id::new(&product.id).unwrap();
        assert!(ids.insert(product.id.clone()), "{}", product.id);
        let parts: Vec<_> = product.id.split('-').collect();
        assert_eq!((parts.len(), parts[1].len()), (3, 5), "{}", product.id);
        assert!(
            product
                .images
                .iter()
                .all(|image| image.contains(".example.com/"))
        );
        assert!((3..=6).contains(&product.images.len()));
        let description = product.description.unwrap();
        assert!(!description.contains(['{', '}']), "{description}");
        for price in &product.prices {
            assert!(price.list_minor > 0);
            assert!(
                price
                    .sale_minor
                    .is_none_or(|sale| sale > 0 && sale < price.list_minor)
            );
        }
        let currencies: BTreeSet<_> = product
            .prices
            .iter()
            .map(|price| &*price.currency)
            .collect();
        assert_eq!(currencies, BTreeSet::from(["EUR", "USD"]));
    }
}

#[test]
fn descriptions_have_two_to_five_sentences_none_of_them_twice() {
    for product in generate(2000, 3) {
        let description = product.description.unwrap();
        let sentences: Vec<_> = description.trim_end_matches('.').split(". ").collect();
        let distinct: BTreeSet<_> = sentences.iter().collect();
        assert_eq!(distinct.len(), sentences.len(), "{description}");
        assert!((2..=5).contains(&sentences.len()), "{description}");
    }
}

#[test]
fn categories_stock_and_sales_are_spread_as_in_a_shop() {
    let products: Vec<_> = generate_at(10_000, 1, 1_700_000_000_000).collect();
    let mut leaves = BTreeMap::new();
    for product in &products {
        *leaves.entry(product.category_path.join(" > ")).or_insert(0) += 1;
    }
    assert!(leaves.len() >= 12);
    assert!(leaves.values().all(|&count| count > 300), "{leaves:?}");
    let share = |matches: &dyn Fn(&Product) -> bool| {
        products.iter().filter(|product| matches(product)).count()
    };
    assert!((400..800).contains(&share(&|product| product.stock == 0)));
    assert!((700..1300).contains(&share(&|product| (1..=5).contains(&product.stock))));
    let scheduled = |product: &Product| {
        product
            .prices
            .iter()
            .any(|price| price.valid_from > Some(1_700_000_000_000))
    };
    assert!((800..1200).contains(&share(&scheduled)));
}

#[test]
fn the_windows_of_a_price_meet_without_gap_or_overlap() {
    for product in generate(3000, 5) {
        for currency in ["USD", "EUR"] {
            let windows: Vec<_> = product
                .prices
                .iter()
                .filter(|price| price.currency == currency)
                .collect();
            assert_eq!(windows[0].valid_from, None);
            assert_eq!(windows[windows.len() - 1].valid_to, None);
            for pair in windows.windows(2) {
                assert_eq!(pair[0].valid_to, pair[1].valid_from);
                assert_eq!(pair[1].valid_from.unwrap() % DAY_MS, 0);
            }
        }
    }
}

#[test]
fn documents_are_between_one_and_three_kib() {
    let sizes: Vec<_> = generate(5000, 1)
        .map(|product| document_bytes(&product))
        .collect();
    let mean = sizes.iter().sum::<usize>() / sizes.len();
    let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
    assert!((1300..2200).contains(&mean), "{least} {mean} {most}");
    assert!(*least > 850 && *most < 3072, "{least} {mean} {most}");
}
