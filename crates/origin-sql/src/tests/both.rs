//! What both databases do alike with hotshelf's own schema.

use hotshelf_model::{ChangeLog, DbTime, ErrorKind, Origin, Position, Variant, Version};
use hotshelf_testkit::conformance::{OriginSubject, origin};

use super::shop::{currencies, id, json, price, product, products, shops};
use crate::{Dialect, NamespaceQuery, SqlOrigin, SqlSettings};

#[tokio::test]
async fn every_origin_and_change_log_keeps_the_contract() {
    for shop in shops("contract").await {
        origin(OriginSubject {
            origin: &shop.origin,
            log: Some(&shop.origin),
            namespace: &products(),
            variant: &Variant::parse("currency=EUR").unwrap(),
            writer: &shop,
        })
        .await;
    }
}

#[tokio::test]
async fn a_document_says_what_was_written() {
    for shop in shops("document").await {
        let mut mug = product("mug", "Mug");
        mug.prices[0].sale_minor = Some(999);
        shop.upsert(&[mug]).await;
        let document = shop.fetch("mug").await;
        let expected = serde_json::json!({
            "id": "mug", "title": "Mug", "brand": "Brand", "category_path": ["Home", "Kitchen"],
            "description": "It's \"good\"\nand cheap.", "attributes": [["Colour", "red, {blue}"], ["Size", "M"]],
            "images": ["https://images.example/1.jpg"],
            "price": {"currency": "EUR", "list_minor": 1299, "sale_minor": 999}, "availability": "in_stock",
        });
        assert_eq!(json(&document), expected, "{:?}", shop.dialect);
        let text = document.body.unwrap();
        let text = std::str::from_utf8(&text).unwrap();
        assert!(
            text.starts_with(r#"{"id":"mug","title":"Mug","brand":"Brand","#),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_hidden_product_and_one_without_a_price_are_told_apart() {
    for shop in shops("hidden").await {
        let mut hidden = product("hidden", "Hidden");
        hidden.active = false;
        let mut bare = product("bare", "Bare");
        (bare.prices, bare.stock) = (Vec::new(), 0);
        bare.attributes.clear();
        shop.upsert(&[hidden, bare]).await;
        let hidden = shop.fetch("hidden").await;
        assert_eq!(hidden.body, None);
        assert!(hidden.version > Version::NONE);
        let bare = json(&shop.fetch("bare").await);
        assert_eq!(bare["price"], serde_json::Value::Null);
        assert_eq!(bare["availability"], "out_of_stock");
        assert_eq!(bare["attributes"], serde_json::json!([]));
        assert_eq!(shop.origin.any_id().await.unwrap(), Some(id("bare")));
        assert_eq!(shop.origin.count_products().await.unwrap(), 2);
    }
}

#[tokio::test]
async fn the_variant_chooses_the_price() {
    for shop in shops("currency").await {
        let mut mug = product("mug", "Mug");
        mug.prices.push(price("USD", 1399));
        shop.upsert(&[mug]).await;
        for (currency, list_minor) in [("EUR", 1299), ("USD", 1399)] {
            let fetch = shop.fetch_as_of(&["mug"], currency, None).await;
            let document = fetch.documents[0].clone().unwrap();
            assert_eq!(json(&document)["price"]["list_minor"], list_minor);
        }
    }
}

#[tokio::test]
async fn without_a_currency_dimension_the_first_currency_is_shown() {
    for shop in shops("no_currency").await {
        let mut mug = product("mug", "Mug");
        mug.prices.insert(0, price("USD", 1399));
        shop.upsert(&[mug]).await;
        let query = NamespaceQuery::products(products(), shop.dialect, Default::default());
        let settings = SqlSettings {
            url: shop.url.clone(),
            ..SqlSettings::default()
        };
        let origin = SqlOrigin::connect_lazy(&settings, vec![query]).unwrap();
        let fetch = super::shop::fetch_from(&origin, &products(), "", &["mug"]).await;
        let document = fetch.unwrap().documents[0].clone().unwrap();
        assert_eq!(json(&document)["price"]["currency"], "EUR");
    }
}

#[tokio::test]
async fn a_scheduled_price_flips_without_a_write() {
    for shop in shops("scheduled").await {
        let (flip, end) = (4_000_000_000_000, 4_000_000_060_000);
        let mut mug = product("mug", "Mug");
        mug.prices.push(hotshelf_model::product::Price {
            sale_minor: Some(500),
            valid_from: Some(flip),
            valid_to: Some(end),
            ..price("EUR", 1299)
        });
        mug.prices.push(hotshelf_model::product::Price {
            valid_from: Some(flip - 1),
            ..price("USD", 1)
        });
        shop.upsert(&[mug]).await;
        let version = shop.fetch("mug").await.version;
        for (as_of, sale, until) in [
            (None, None, Some(flip)),
            (Some(flip - 1), None, Some(flip)),
            (Some(flip), Some(500), Some(end)),
            (Some(end - 1), Some(500), Some(end)),
            (Some(end), None, None),
        ] {
            let fetch = shop.fetch_as_of(&["mug"], "EUR", as_of.map(DbTime)).await;
            let document = fetch.documents[0].clone().unwrap();
            let shown = json(&document)["price"]["sale_minor"].as_i64();
            assert_eq!(
                (shown, document.valid_until),
                (sale, until.map(DbTime)),
                "{as_of:?}"
            );
            assert_eq!(document.version, version);
        }
    }
}

#[tokio::test]
async fn an_update_that_changes_nothing_records_nothing() {
    for shop in shops("unchanged").await {
        shop.upsert(&[product("a", "A"), product("b", "B")]).await;
        for sql in [
            "UPDATE product SET title = title, images = images",
            "UPDATE price SET list_minor = list_minor",
            "UPDATE stock SET quantity = quantity",
            "UPDATE product SET title = 'x' WHERE id = 'nobody'",
            "DELETE FROM price WHERE product_id = 'nobody'",
        ] {
            assert_eq!(shop.recorded_by(sql).await, [], "{sql}");
        }
        let before = shop.settle().await;
        let report = shop.upsert(&[product("a", "A"), product("b", "B")]).await;
        assert_eq!(
            (report.inserted, report.updated, report.unchanged),
            (0, 0, 2)
        );
        assert_eq!(shop.settle().await.head.position, before.head.position);
    }
}

#[tokio::test]
async fn a_price_touches_its_product_old_and_new() {
    for shop in shops("price").await {
        shop.upsert(&[product("a", "A"), product("b", "B"), product("c", "C")])
            .await;
        let one = |key: &str| vec![(key.to_owned(), 1)];
        for (sql, keys) in [
            (
                "UPDATE price SET list_minor = 5 WHERE product_id = 'a'",
                one("a"),
            ),
            (
                "INSERT INTO price (product_id, currency, list_minor) VALUES ('b', 'USD', 1)",
                one("b"),
            ),
            (
                "UPDATE price SET product_id = 'c' WHERE product_id = 'a'",
                [one("a"), one("c")].concat(),
            ),
            ("DELETE FROM price WHERE product_id = 'b'", one("b")),
        ] {
            assert_eq!(shop.recorded_by(sql).await, keys, "{sql}");
        }
    }
}

#[tokio::test]
async fn stock_is_recorded_when_its_class_changes() {
    for shop in shops("stock").await {
        shop.upsert(&[product("a", "A")]).await;
        let touched = [("a".to_owned(), 1)];
        for (quantity, changes) in [
            (99, false),
            (6, false),
            (5, true),
            (1, false),
            (0, true),
            (-3, false),
            (7, true),
        ] {
            let sql = format!("UPDATE stock SET quantity = {quantity}");
            let recorded = shop.recorded_by(&sql).await;
            assert_eq!(recorded, &touched[..usize::from(changes)], "{quantity}");
        }
        let recorded = shop.recorded_by("UPDATE stock SET low_at = 10").await;
        assert_eq!(recorded, touched, "the threshold moves the class too");
        assert_eq!(json(&shop.fetch("a").await)["availability"], "low_stock");
        assert_eq!(shop.recorded_by("DELETE FROM stock").await, touched);
    }
}

#[tokio::test]
async fn a_deletion_with_children_is_recorded_as_one_and_an_id_that_changes_as_two() {
    for shop in shops("deletion").await {
        shop.upsert(&[product("a", "A"), product("b", "B")]).await;
        let before = shop.fetch("a").await.version;
        let recorded = shop.recorded_by("DELETE FROM product WHERE id = 'a'").await;
        assert_eq!(recorded, [("a".to_owned(), 2)]);
        let deleted = shop.fetch("a").await.version;
        assert!(deleted > before);
        shop.upsert(&[product("a", "A")]).await;
        assert!(shop.fetch("a").await.version > deleted);
        let recorded = shop
            .recorded_by("UPDATE product SET id = 'c' WHERE id = 'b'")
            .await;
        let ends = |key: &str| {
            recorded
                .iter()
                .filter(|record| record.0 == key)
                .map(|record| record.1)
                .max()
        };
        assert_eq!((ends("b"), ends("c")), (Some(2), Some(1)));
    }
}

#[tokio::test]
async fn a_bump_is_a_record_and_a_version_of_the_parent() {
    for shop in shops("bump").await {
        shop.upsert(&[product("a", "A")]).await;
        let before = shop.settle().await.head.position.0;
        let fetch = shop.fetch_as_of(&["a"], "EUR", None).await;
        let version = shop.bump().await;
        assert_eq!(
            shop.records_after(before).await,
            [(
                i64::try_from(before).unwrap() + 1,
                String::new(),
                i64::try_from(version.0).unwrap(),
                3
            )]
        );
        let later = shop.fetch_as_of(&["a"], "EUR", None).await;
        assert_eq!(fetch.parents.as_slice()[0].version, Version::NONE);
        assert_eq!(later.parents.as_slice()[0].version, version);
        assert_eq!(
            later.documents[0].clone().unwrap(),
            fetch.documents[0].clone().unwrap()
        );
        let poll = shop.settle().await;
        assert!(poll.version_max >= version);
    }
}

#[tokio::test]
async fn a_document_that_is_too_large_fails_alone() {
    for shop in shops("oversize").await {
        let mut large = product("large", "Large");
        large.description = Some("é".repeat(5_000_000));
        shop.upsert(&[large, product("small", "Small")]).await;
        let fetch = shop
            .fetch_as_of(&["large", "small", "none"], "EUR", None)
            .await;
        let error = fetch.documents[0].clone().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().contains("document_bytes_max"), "{error}");
        assert!(fetch.documents[1].clone().unwrap().body.is_some());
        assert!(fetch.documents[2].clone().unwrap().body.is_none());
    }
}

#[tokio::test]
async fn an_upsert_counts_what_it_changed_and_the_later_of_two_wins() {
    for shop in shops("upsert").await {
        let report = shop
            .upsert(&[
                product("a", "First"),
                product("b", "B"),
                product("a", "Second"),
            ])
            .await;
        assert_eq!(
            (report.inserted, report.updated, report.unchanged),
            (2, 0, 0)
        );
        assert_eq!(json(&shop.fetch("a").await)["title"], "Second");
        let mut dearer = product("b", "B");
        dearer.prices = vec![price("EUR", 1400), price("USD", 1500)];
        let mut fewer = product("a", "Second");
        fewer.stock = 3;
        let report = shop
            .upsert(&[dearer.clone(), fewer, product("c", "C")])
            .await;
        assert_eq!(
            (report.inserted, report.updated, report.unchanged),
            (1, 2, 0)
        );
        assert_eq!(json(&shop.fetch("b").await)["price"]["list_minor"], 1400);
        assert_eq!(json(&shop.fetch("a").await)["availability"], "low_stock");
        dearer.prices.remove(1);
        assert_eq!(shop.upsert(&[dearer]).await.updated, 1);
        assert_eq!(shop.number("SELECT count(*) FROM price").await, 3);
    }
}

#[tokio::test]
async fn a_product_that_no_database_can_hold_is_refused_before_anything_is_written() {
    for shop in shops("refused").await {
        let mut nul = product("nul", "a\0b");
        nul.brand = None;
        let error = shop
            .origin
            .upsert_products(&[product("a", "A"), nul])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("title"), "{error}");
        assert_eq!(shop.origin.count_products().await.unwrap(), 0);
        let mut backwards = product("b", "B");
        (backwards.prices[0].valid_from, backwards.prices[0].valid_to) = (Some(9), Some(9));
        let error = shop.origin.upsert_products(&[backwards]).await.unwrap_err();
        assert!(error.to_string().contains("valid_to"), "{error}");
    }
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    for shop in shops("again").await {
        shop.upsert(&[product("a", "A")]).await;
        let before = shop.settle().await;
        shop.origin.migrate().await.unwrap();
        shop.another(&SqlSettings::default())
            .migrate()
            .await
            .unwrap();
        assert_eq!(shop.settle().await.head.hist, before.head.hist);
        assert!(shop.fetch("a").await.body.is_some());
    }
}

#[tokio::test]
async fn a_database_that_was_never_migrated_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = hotshelf_testkit::PostgresServer::shared();
    let file = format!("sqlite:{}", folder.path().join("empty.db").display());
    for (dialect, url) in [
        (Dialect::Postgres, postgres.database("empty").unwrap()),
        (Dialect::Sqlite, file),
    ] {
        let query = NamespaceQuery::products(products(), dialect, currencies());
        let settings = SqlSettings {
            url,
            ..SqlSettings::default()
        };
        let origin = SqlOrigin::connect_lazy(&settings, vec![query]).unwrap();
        let error = origin.poll(Position(0)).await.unwrap_err();
        assert!(
            error.to_string().contains("run its migrations"),
            "{error}: {error:?}"
        );
        let ids = [id("a")];
        let error = origin.versions(&products(), &ids).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OriginFailed);
    }
}

#[tokio::test]
async fn more_ids_than_a_statement_takes_are_refused() {
    for shop in shops("ids").await {
        let ids: Vec<_> = (0..=crate::IDS_MAX).map(|n| id(&n.to_string())).collect();
        let error = shop.origin.versions(&products(), &ids).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let versions = shop
            .origin
            .versions(&products(), &ids[1..])
            .await
            .unwrap()
            .unwrap();
        assert_eq!(versions.versions, vec![Version::NONE; crate::IDS_MAX]);
    }
}
