//! Single products written through hotshelf, and posted changes, on both databases.

use std::time::Duration;

use futures_util::future::join_all;
use hotshelf_model::{
    ChangeRecorder, ErrorKind, NamespaceName, PostedChange, ProductChange, ProductFields,
    ProductWrite, ProductWriter, Version, WriteEffect, WriteOutcome,
};
use hotshelf_testkit::{PostgresServer, wait_until_async};
use serde_json::json;

use super::shop::{Shop, fetch_from, id, json as document, price, product, products, shop, shops};
use crate::{Database, Dialect, SqlSettings};

fn write(id_text: &str, change: ProductChange, if_version: Option<Version>) -> ProductWrite {
    ProductWrite {
        id: id(id_text),
        change,
        if_version,
    }
}

/// A whole product.
fn whole(title: &str) -> ProductFields {
    ProductFields {
        title: Some(title.to_owned()),
        brand: Some(Some("Brand".to_owned())),
        category_path: Some(vec!["Home".to_owned()]),
        attributes: Some(vec![("Colour".to_owned(), "red".to_owned())]),
        prices: Some(vec![price("EUR", 1299)]),
        quantity: Some(100),
        ..ProductFields::default()
    }
}

fn titled(title: &str) -> ProductFields {
    ProductFields {
        title: Some(title.to_owned()),
        ..ProductFields::default()
    }
}

impl Shop {
    async fn write(
        &self,
        id: &str,
        change: ProductChange,
        if_version: Option<Version>,
    ) -> WriteOutcome {
        let write = write(id, change, if_version);
        ProductWriter::write(&self.origin, &write).await.unwrap()
    }

    /// Writes, and says what the write did, whether it was recorded, and that the version it gave is the one that is read.
    #[track_caller]
    fn effect(&self, outcome: WriteOutcome) -> (WriteEffect, Version) {
        match outcome {
            WriteOutcome::Written { version, effect } => (effect, version),
            other => panic!("{:?}: {other:?}", self.dialect),
        }
    }

    async fn patch(&self, id: &str, fields: ProductFields) -> (WriteEffect, Version) {
        let outcome = self.write(id, ProductChange::Patch(fields), None).await;
        let (effect, version) = self.effect(outcome);
        assert_eq!(self.fetch(id).await.version, version);
        (effect, version)
    }
}

#[tokio::test]
async fn a_product_is_created_replaced_and_deleted_with_the_version_that_is_read() {
    for shop in shops("write_written").await {
        let put = |title: &str| ProductChange::Put(whole(title));
        let outcome = shop.write("mug", put("Mug"), None).await;
        let (effect, created) = shop.effect(outcome);
        assert_eq!(effect, WriteEffect::Created);
        let read = shop.fetch("mug").await;
        assert_eq!(read.version, created);
        let expected = json!({
            "id": "mug", "title": "Mug", "brand": "Brand", "category_path": ["Home"], "description": null,
            "attributes": [["Colour", "red"]], "images": [],
            "price": {"currency": "EUR", "list_minor": 1299, "sale_minor": null}, "availability": "in_stock",
        });
        assert_eq!(document(&read), expected, "{:?}", shop.dialect);
        // What a put leaves out gets its default.
        let outcome = shop
            .write("mug", ProductChange::Put(titled("Cup")), None)
            .await;
        let (effect, replaced) = shop.effect(outcome);
        assert_eq!((effect, replaced > created), (WriteEffect::Updated, true));
        let read = document(&shop.fetch("mug").await);
        assert_eq!(
            (&read["brand"], &read["price"], &read["availability"]),
            (&json!(null), &json!(null), &json!("out_of_stock"))
        );
        let outcome = shop.write("mug", ProductChange::Delete, None).await;
        let (effect, deleted) = shop.effect(outcome);
        assert_eq!((effect, deleted > replaced), (WriteEffect::Deleted, true));
        let read = shop.fetch("mug").await;
        assert_eq!((read.version, read.body), (deleted, None));
        let again = shop.write("mug", ProductChange::Delete, None).await;
        assert_eq!(again, WriteOutcome::NotFound { version: deleted });
        let (effect, back) = shop.effect(shop.write("mug", put("Mug"), Some(deleted)).await);
        assert_eq!((effect, back > deleted), (WriteEffect::Created, true));
    }
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_nothing_else() {
    for shop in shops("write_patched").await {
        let absent = shop
            .write("mug", ProductChange::Patch(titled("Mug")), None)
            .await;
        let version = Version::NONE;
        assert_eq!(absent, WriteOutcome::NotFound { version });
        shop.write("mug", ProductChange::Put(whole("Mug")), None)
            .await;
        let before = document(&shop.fetch("mug").await);
        let fields = ProductFields {
            brand: Some(None),
            attributes: Some(Vec::new()),
            ..titled("Cup")
        };
        let (effect, _) = shop.patch("mug", fields).await;
        assert_eq!(effect, WriteEffect::Updated);
        let mut expected = before;
        expected["title"] = json!("Cup");
        expected["brand"] = json!(null);
        expected["attributes"] = json!([]);
        assert_eq!(document(&shop.fetch("mug").await), expected);
        let fields = ProductFields {
            prices: Some(vec![price("EUR", 5), price("USD", 6)]),
            active: Some(false),
            ..ProductFields::default()
        };
        shop.patch("mug", fields).await;
        assert_eq!(shop.fetch("mug").await.body, None, "hidden");
        assert_eq!(shop.number("SELECT count(*) FROM price").await, 2);
    }
}

#[tokio::test]
async fn what_changes_no_document_is_recorded_nowhere() {
    for shop in shops("write_unchanged").await {
        let put = || ProductChange::Put(whole("Mug"));
        let (_, created) = shop.effect(shop.write("mug", put(), None).await);
        let position = shop.settle().await.head.position;
        let stock = |quantity| ProductFields {
            quantity: Some(quantity),
            ..ProductFields::default()
        };
        let same = shop.effect(shop.write("mug", put(), None).await);
        assert_eq!(same, (WriteEffect::Unchanged, created));
        let tick = shop.patch("mug", stock(99)).await;
        assert_eq!(tick, (WriteEffect::Unchanged, created));
        assert_eq!(shop.number("SELECT quantity FROM stock").await, 99);
        assert_eq!(
            shop.patch("mug", ProductFields::default()).await,
            (WriteEffect::Unchanged, created)
        );
        shop.write("bare", ProductChange::Put(titled("Bare")), None)
            .await;
        let bare = shop.write("bare", ProductChange::Put(titled("Bare")), None);
        assert_eq!(shop.effect(bare.await).0, WriteEffect::Unchanged);
        let recorded = shop.records_after(position.0).await;
        assert!(
            recorded.iter().all(|record| record.1 == "bare"),
            "{recorded:?}"
        );
        let (effect, class) = shop.patch("mug", stock(3)).await;
        assert_eq!((effect, class > created), (WriteEffect::Updated, true));
    }
}

#[tokio::test]
async fn a_condition_that_is_not_met_writes_nothing_and_says_the_version() {
    for shop in shops("write_conditional").await {
        let put = |title: &str| ProductChange::Put(whole(title));
        let none = Some(Version::NONE);
        let (_, version) = shop.effect(shop.write("mug", put("Mug"), none).await);
        let mismatch = WriteOutcome::VersionMismatch { current: version };
        let other = Some(Version(version.0 + 1));
        for if_version in [none, other] {
            for change in [
                put("Cup"),
                ProductChange::Patch(titled("Cup")),
                ProductChange::Delete,
            ] {
                let outcome = shop.write("mug", change, if_version).await;
                assert_eq!(outcome, mismatch, "{:?} {if_version:?}", shop.dialect);
            }
        }
        assert_eq!(shop.fetch("mug").await.version, version);
        let never = WriteOutcome::VersionMismatch {
            current: Version::NONE,
        };
        assert_eq!(shop.write("new", put("New"), other).await, never);
        let outcome = shop.write("mug", put("Cup"), Some(version)).await;
        assert_eq!(shop.effect(outcome).0, WriteEffect::Updated);
    }
}

#[tokio::test]
async fn of_twenty_conditional_writers_exactly_one_wins_each_version() {
    for shop in shops("write_contended").await {
        let settings = SqlSettings {
            write_connections_max: 20,
            acquire_timeout: Duration::from_secs(30),
            statement_timeout: Duration::from_secs(30),
            ..SqlSettings::default()
        };
        let node = shop.another(&settings);
        let mut version = Version::NONE;
        for round in 0..5 {
            let writes: Vec<ProductWrite> = (0..20)
                .map(|writer| {
                    let fields = whole(&format!("{round} by {writer}"));
                    write("mug", ProductChange::Put(fields), Some(version))
                })
                .collect();
            let outcomes = join_all(writes.iter().map(|write| node.write(write))).await;
            let (won, lost): (Vec<_>, Vec<_>) = outcomes
                .into_iter()
                .map(|outcome| match outcome.unwrap() {
                    WriteOutcome::Written { version, .. } => Ok(version),
                    WriteOutcome::VersionMismatch { current } => Err(current),
                    other => panic!("{other:?}"),
                })
                .partition(Result::is_ok);
            assert_eq!((won.len(), lost.len()), (1, 19), "{:?}", shop.dialect);
            version = won[0].unwrap();
            let seen = lost.into_iter().map(Result::unwrap_err);
            assert!(seen.into_iter().all(|current| current == version));
        }
    }
}

#[tokio::test]
async fn writes_that_wait_for_a_row_take_no_connection_from_fetches() {
    let shop = shop(Dialect::Postgres, "write_waiting", Vec::new()).await;
    let put = |title| ProductChange::Put(whole(title));
    shop.write("mug", put("Mug"), None).await;
    let settings = SqlSettings {
        connections_max: 1,
        write_connections_max: 1,
        ..SqlSettings::default()
    };
    let node = shop.another(&settings);
    let Database::Postgres(database) = &shop.origin.database else {
        panic!("it is PostgreSQL")
    };
    let mut holder = database.pool().begin().await.unwrap();
    let lock = "SELECT 1 FROM hotshelf.product WHERE id = 'mug' FOR UPDATE";
    sqlx::query(lock).execute(&mut *holder).await.unwrap();
    let write = write("mug", put("Cup"), None);
    let limit = Duration::from_secs(30);
    let reading = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        wait_until_async("the write waits", limit, async || {
            let count: i64 = sqlx::query_scalar(waits)
                .fetch_one(database.pool())
                .await
                .unwrap();
            count == 1
        })
        .await;
        let fetch = fetch_from(&node, &products(), "currency=EUR", &["mug"]).await;
        holder.rollback().await.unwrap();
        fetch.unwrap()
    };
    let (written, fetch) = tokio::join!(node.write(&write), reading);
    assert!(matches!(written.unwrap(), WriteOutcome::Written { .. }));
    assert!(fetch.documents[0].is_ok());
}

#[tokio::test]
async fn writers_of_every_kind_lose_no_update_and_do_not_lock_each_other_out() {
    for shop in shops("write_mixed").await {
        shop.write("mug", ProductChange::Put(whole("Mug")), None)
            .await;
        let settings = SqlSettings {
            acquire_timeout: Duration::from_secs(30),
            statement_timeout: Duration::from_secs(30),
            ..SqlSettings::default()
        };
        let (node, other) = (shop.another(&settings), shop.another(&settings));
        let raise = async || {
            let mut raised = 0;
            while raised < 20 {
                let version = shop.fetch("mug").await.version;
                let title = format!("raised {raised}");
                let change = ProductChange::Patch(titled(&title));
                let outcome = node.write(&write("mug", change, Some(version))).await;
                if matches!(outcome.unwrap(), WriteOutcome::Written { .. }) {
                    raised += 1;
                }
            }
        };
        let import = async || {
            for round in 0..20 {
                let mut mug = product("mug", &format!("imported {round}"));
                mug.prices[0].list_minor = round;
                other.upsert_products(&[mug]).await.unwrap();
            }
        };
        tokio::join!(raise(), import());
        let last = shop.fetch("mug").await;
        let records = shop.records_after(0).await;
        let greatest = records.iter().map(|record| record.2).max();
        assert_eq!(greatest, i64::try_from(last.version.0).ok());
    }
}

#[tokio::test]
async fn a_document_that_would_be_too_large_is_not_written() {
    for shop in shops("write_large").await {
        let long = |length| ProductFields {
            description: Some(Some("\u{1}".repeat(length))),
            ..whole("Mug")
        };
        // Each of these characters has six bytes in JSON.
        let change = ProductChange::Put(long(200_000));
        let outcome = shop.write("mug", change, None).await;
        let bytes_max = crate::NamespaceQuery::DOCUMENT_BYTES_MAX;
        assert_eq!(outcome, WriteOutcome::TooLarge { bytes_max });
        let read = shop.fetch("mug").await;
        assert_eq!((read.version, read.body), (Version::NONE, None));
        shop.write("mug", ProductChange::Put(long(100_000)), None)
            .await;
        let fields = ProductFields {
            images: Some(vec!["i".repeat(600_000)]),
            ..ProductFields::default()
        };
        let outcome = shop.write("mug", ProductChange::Patch(fields), None).await;
        assert_eq!(outcome, WriteOutcome::TooLarge { bytes_max });
        assert_eq!(document(&shop.fetch("mug").await)["images"], json!([]));
    }
}

#[tokio::test]
async fn what_no_database_can_hold_is_refused_by_name() {
    for shop in shops("write_nul").await {
        for (fields, field) in [
            (titled("a\0b"), "title"),
            (ProductFields::default(), "title"),
            (
                ProductFields {
                    prices: Some(vec![price("EUR", -1)]),
                    ..titled("a")
                },
                "prices",
            ),
        ] {
            let write = write("mug", ProductChange::Put(fields), None);
            let error = shop.origin.write(&write).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(field), "{error}");
        }
    }
}

fn posted(namespace: &str, id_text: &str, version: Option<u64>) -> PostedChange {
    PostedChange {
        namespace: NamespaceName::new(namespace).unwrap(),
        id: id(id_text),
        version: version.map(Version),
    }
}

#[tokio::test]
async fn posted_changes_get_versions_that_grow_and_are_recorded_once() {
    for shop in shops("write_posted").await {
        shop.write("mug", ProductChange::Put(whole("Mug")), None)
            .await;
        let version = shop.fetch("mug").await.version;
        let position = shop.settle().await.head.position.0;
        let cards = NamespaceName::new("cards").unwrap();
        let changes = [
            posted("cards", "x", Some(17)),
            posted("products", "mug", None),
            posted("cards", "y", Some(3)),
            posted("products", "mug", None),
        ];
        let recorded = shop
            .origin
            .record(&changes, std::slice::from_ref(&cards))
            .await;
        let recorded = recorded.unwrap();
        let raised = recorded.changes[1];
        assert!(raised > version);
        assert_eq!(
            recorded.changes,
            [Version(17), raised, Version(3), raised],
            "{:?}",
            shop.dialect
        );
        assert!(recorded.bumps[0] > version);
        assert_eq!(shop.fetch("mug").await.version, raised);
        let mut records: Vec<_> = shop.records_after(position).await;
        records.sort_by(|left, right| left.1.cmp(&right.1));
        let said: Vec<_> = records
            .iter()
            .map(|record| (record.1.as_str(), record.2, record.3))
            .collect();
        let bump = i64::try_from(recorded.bumps[0].0).unwrap();
        let raised = i64::try_from(raised.0).unwrap();
        assert_eq!(
            said,
            [("", bump, 3), ("mug", raised, 1), ("x", 17, 1), ("y", 3, 1)]
        );
        // An older version is known already, and a newer one is not.
        let position = shop.settle().await.head.position.0;
        let changes = [
            posted("cards", "x", Some(16)),
            posted("cards", "y", Some(4)),
        ];
        let recorded = shop.origin.record(&changes, &[]).await.unwrap();
        assert_eq!(recorded.changes, [Version(17), Version(4)]);
        let records = shop.records_after(position).await;
        assert_eq!(records.len(), 1, "{records:?}");
    }
}

#[tokio::test]
async fn ten_thousand_changes_are_one_transaction() {
    for shop in shops("write_many_posted").await {
        let changes: Vec<PostedChange> = (0..10_000)
            .map(|number| posted("products", &format!("sku-{number}"), None))
            .collect();
        let recorded = shop.origin.record(&changes, &[products()]).await.unwrap();
        assert_eq!(recorded.changes.len(), 10_000);
        assert!(
            recorded
                .changes
                .iter()
                .all(|version| *version > Version::NONE)
        );
        let records = shop.records_after(0).await;
        assert_eq!(records.len(), 10_001, "{:?}", shop.dialect);
    }
}

#[tokio::test]
async fn a_server_that_dies_under_a_write_leaves_all_of_it_or_nothing() {
    let server = PostgresServer::start_with(&[]).unwrap();
    let settings = SqlSettings {
        url: server.database("dying").unwrap(),
        ..SqlSettings::default()
    };
    let query = crate::NamespaceQuery::products(products(), Dialect::Postgres, Default::default());
    let origin = crate::SqlOrigin::connect_lazy(&settings, vec![query]).unwrap();
    origin.migrate().await.unwrap();
    let mut acknowledged = 0_i64;
    let writing = async {
        for number in 0.. {
            let fields = whole(&format!("Mug {number}"));
            let write = write(&format!("mug-{number}"), ProductChange::Put(fields), None);
            match origin.write(&write).await {
                Ok(_) => acknowledged = number + 1,
                Err(error) => return error,
            }
        }
        unreachable!("the server dies");
    };
    let killing = async {
        tokio::task::yield_now().await;
        hotshelf_testkit::wait_until_async(
            "some are written",
            Duration::from_secs(30),
            async || {
                server
                    .sql("dying", "SELECT count(*) > 20 FROM hotshelf.product")
                    .is_ok_and(|answer| answer.contains('t'))
            },
        )
        .await;
        server.kill();
    };
    let (error, ()) = tokio::join!(writing, killing);
    assert!(
        matches!(
            error.kind(),
            ErrorKind::WriteUnknown | ErrorKind::OriginFailed
        ),
        "{error:?}"
    );
    server.restart().unwrap();
    let count = |sql: &str| -> i64 { server.sql("dying", sql).unwrap().trim().parse().unwrap() };
    let products = count("SELECT count(*) FROM hotshelf.product");
    assert!(
        products == acknowledged || products == acknowledged + 1,
        "{products} products, {acknowledged} acknowledged"
    );
    let whole = "SELECT count(*) FROM hotshelf.product p JOIN hotshelf.price r ON r.product_id = p.id
        JOIN hotshelf.stock s ON s.product_id = p.id JOIN hotshelf.cache_version v ON v.ns = 1 AND v.key = p.id";
    assert_eq!(
        count(whole),
        products,
        "each with its price, stock and version"
    );
}

#[tokio::test]
async fn a_write_whose_answer_never_comes_is_neither_written_nor_failed() {
    let shop = shop(Dialect::Postgres, "unknown_write", Vec::new()).await;
    shop.write("mug", ProductChange::Put(whole("Mug")), None)
        .await;
    // The server ends the connection in the middle of the statement.
    shop.sql(
        "CREATE FUNCTION public.die() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NEW; END';
         CREATE TRIGGER die BEFORE UPDATE ON hotshelf.product FOR EACH ROW EXECUTE FUNCTION public.die()",
    )
    .await;
    let write = write("mug", ProductChange::Patch(titled("Cup")), None);
    let error = shop.origin.write(&write).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WriteUnknown, "{error:?}");
    assert!(
        error.to_string().contains("may have been written"),
        "{error}"
    );
    // A pooler that has lost its server says so as if it were one.
    for code in ["08P01", "40003"] {
        shop.sql(&format!(
            "CREATE OR REPLACE FUNCTION public.die() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN RAISE EXCEPTION ''lost'' USING ERRCODE = ''{code}''; END'",
        ))
        .await;
        let error = shop.origin.write(&write).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WriteUnknown, "{error:?}");
    }
    // What the database refuses is not written, and known not to be.
    shop.sql(
        "CREATE OR REPLACE FUNCTION public.die() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN RAISE EXCEPTION ''no''; END'",
    )
    .await;
    let error = shop.origin.write(&write).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OriginFailed, "{error:?}");
    assert_eq!(document(&shop.fetch("mug").await)["title"], "Mug");
}
