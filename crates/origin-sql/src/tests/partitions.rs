//! A partitioned table, attached.

use std::time::Duration;

use super::shop::{Shop, products, run, shop};
use crate::{Attachment, Dialect};

/// One partition is partitioned itself, and one has its columns in another order.
const SCHEMA: &str = "
    CREATE TABLE item (item_no int, name text, year int, PRIMARY KEY (item_no, year)) PARTITION BY RANGE (year);
    CREATE TABLE item_old PARTITION OF item FOR VALUES FROM (0) TO (2000);
    CREATE TABLE item_new PARTITION OF item FOR VALUES FROM (2000) TO (3000) PARTITION BY RANGE (year);
    CREATE TABLE item_first (year int NOT NULL, name text, item_no int NOT NULL, PRIMARY KEY (item_no, year));
    ALTER TABLE item_new ATTACH PARTITION item_first FOR VALUES FROM (2000) TO (2500);
    INSERT INTO item VALUES (1, 'Mug', 1990), (2, 'Cup', 2010)";

async fn attach(shop: &Shop) -> Vec<String> {
    let attachment = Attachment {
        table: "hotshelf.item".to_owned(),
        namespace: products(),
        keys: "item_no".to_owned(),
        columns: vec!["name".to_owned()],
    };
    shop.origin
        .attach(&[attachment], Duration::from_secs(1), false)
        .await
        .unwrap()
}

#[tokio::test]
async fn every_change_of_a_partitioned_table_is_recorded_and_new_partitions_are_found() {
    let shop = shop(Dialect::Postgres, "partitions", Vec::new()).await;
    shop.sql(SCHEMA).await;
    attach(&shop).await;
    let bumped = || vec![(String::new(), 3)];
    let touched = |keys: &[&str]| -> Vec<(String, i64)> {
        keys.iter().map(|&key| (key.to_owned(), 1)).collect()
    };
    for (sql, expected) in [
        ("INSERT INTO item VALUES (3, 'Jug', 2100)", touched(&["3"])),
        ("UPDATE item SET name = 'x'", touched(&["1", "2", "3"])),
        (
            "UPDATE item_first SET name = 'y' WHERE item_no = 2",
            touched(&["2"]),
        ),
        ("UPDATE item SET name = name", vec![]),
        // From one partition to the other.
        (
            "UPDATE item SET year = 2200, item_no = 11 WHERE item_no = 1",
            touched(&["1", "11"]),
        ),
        ("DELETE FROM item WHERE item_no = 3", touched(&["3"])),
        ("TRUNCATE item_first", bumped()),
        ("TRUNCATE item_new", bumped()),
        ("TRUNCATE item", bumped()),
    ] {
        assert_eq!(shop.recorded_by(sql).await, expected, "{sql}");
    }
    assert_eq!(attach(&shop).await, Vec::<String>::new());
    // What a partition brought with it was recorded by nobody, and it may be truncated from now on.
    shop.sql("CREATE TABLE item_late PARTITION OF item_new FOR VALUES FROM (2500) TO (3000)")
        .await;
    let before = shop.settle().await.head.position.0;
    assert!(!attach(&shop).await.is_empty());
    assert_eq!(shop.records_after(before).await.len(), 1, "it is bumped");
    let late = "INSERT INTO item_late VALUES (4, 'Can', 2600)";
    assert_eq!(shop.recorded_by(late).await, touched(&["4"]));
    assert_eq!(shop.recorded_by("TRUNCATE item_late").await, bumped());
    // A partition that is detached has nothing of hotshelf's once the command has run again.
    shop.sql("ALTER TABLE item DETACH PARTITION item_old").await;
    attach(&shop).await;
    let left = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'item_old'::regclass";
    assert_eq!(shop.number(left).await, 0);
}

/// PostgreSQL refuses such a statement while an event waits for the commit.
#[tokio::test]
async fn a_transaction_that_truncates_or_alters_what_it_wrote_seals_first() {
    let shop = shop(Dialect::Postgres, "seal_first", Vec::new()).await;
    shop.sql("CREATE TABLE item (item_no int PRIMARY KEY, name text)")
        .await;
    attach(&shop).await;
    let statement = |seal: &str, ddl: &str| {
        format!("BEGIN; INSERT INTO hotshelf.item VALUES (1, 'Mug'); {seal} {ddl}; COMMIT")
    };
    for ddl in [
        "TRUNCATE hotshelf.item",
        "ALTER TABLE hotshelf.item ADD COLUMN other text",
    ] {
        let refused = run(&mut shop.session().await, &statement("", ddl)).await;
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("pending trigger events"), "{error}");
        let sealed = statement("SET CONSTRAINTS ALL IMMEDIATE;", ddl);
        let recorded = shop.recorded_by(&sealed).await;
        assert!(recorded.contains(&("1".to_owned(), 1)), "{recorded:?}");
        shop.sql("DELETE FROM hotshelf.item").await;
    }
}
