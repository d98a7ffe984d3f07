//! The change log of PostgreSQL under load: several writers, several sequencers.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hotshelf_model::{ChangeLog, Position};

use super::shop::{Shop, product, shop};
use crate::{Database, Dialect, SqlSettings};

const KEYS: usize = 20;
const WRITERS: usize = 8;
const ROUNDS: usize = 60;
const SEQUENCERS: usize = 3;

/// Writes two contended products in one transaction, in an order that would deadlock if their versions were taken at once.
async fn write(shop: &Shop, writer: usize) {
    let Database::Postgres(database) = &shop.origin.database else {
        panic!("the shop is on PostgreSQL")
    };
    for round in 0..ROUNDS {
        let one = (writer * 7 + round * 3) % KEYS;
        let other = (one + 1 + round % (KEYS - 1)) % KEYS;
        let mut transaction = database.pool().begin().await.unwrap();
        for (key, table) in [(one, "price"), (other, "stock")] {
            let sql = format!("INSERT INTO hotshelf.{table}_note (product_id) VALUES ('k{key}')");
            sqlx::query(sqlx::AssertSqlSafe(sql))
                .execute(&mut *transaction)
                .await
                .unwrap();
        }
        transaction.commit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn contended_keys_are_logged_exactly_once_at_dense_positions() {
    let shop = shop(Dialect::Postgres, "contended", Vec::new()).await;
    let products: Vec<_> = (0..KEYS).map(|n| product(&format!("k{n}"), "K")).collect();
    shop.upsert(&products).await;
    // Child tables that only grow: writers meet nowhere but at the versions of their products.
    for table in ["price", "stock"] {
        shop.sql(&format!(
            "CREATE TABLE {table}_note (id bigserial PRIMARY KEY, product_id text NOT NULL, availability text DEFAULT 'in_stock');
             CREATE CONSTRAINT TRIGGER t AFTER INSERT ON {table}_note DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW WHEN (touch('000010' || NEW.product_id)) EXECUTE FUNCTION seal()"
        ))
        .await;
    }
    let nodes: Vec<_> = (0..SEQUENCERS)
        .map(|_| shop.another(&SqlSettings::default()))
        .collect();
    let done = AtomicBool::new(false);
    let mut versions_seen: Vec<i64> = Vec::new();
    tokio::join!(
        async {
            let writers = (0..WRITERS).map(|writer| write(&shop, writer));
            futures_util::future::join_all(writers).await;
            done.store(true, Ordering::SeqCst);
        },
        async {
            let sequencers = nodes.iter().map(|node| async {
                while !done.load(Ordering::SeqCst) {
                    node.poll(Position(0)).await.unwrap();
                    tokio::task::yield_now().await;
                }
            });
            futures_util::future::join_all(sequencers).await;
        },
    );
    let records = shop.records_after(0).await;
    versions_seen.extend(records.iter().map(|record| record.2));
    let unique: HashSet<i64> = versions_seen.iter().copied().collect();
    assert_eq!(unique.len(), records.len(), "each version is logged once");
    assert_eq!(records.len(), KEYS + 2 * WRITERS * ROUNDS);
    let mut greatest: HashMap<String, i64> = HashMap::new();
    for (_, key, version, _) in records {
        let held = greatest.entry(key).or_default();
        *held = version.max(*held);
    }
    for (key, version) in greatest {
        let sql = format!("SELECT ver FROM cache_version WHERE key = '{key}'");
        assert_eq!(shop.number(&sql).await, version, "{key}");
    }
    let gaps = "SELECT max(pos) + 1 - count(*) FROM cache_log";
    assert_eq!(shop.number(gaps).await, 0, "positions are dense");
    assert_eq!(shop.number("SELECT count(*) FROM cache_outbox").await, 0);
}

#[tokio::test]
async fn a_large_statement_costs_in_proportion_even_after_small_ones() {
    let shop = shop(Dialect::Postgres, "large", Vec::new()).await;
    shop.sql(
        "INSERT INTO product (id, title) SELECT 'p' || i, 't' FROM generate_series(1, 50000) AS i",
    )
    .await;
    let before = shop.settle().await.head.position.0;
    let small = "UPDATE product SET title = title || 'x' WHERE id = 'p1';".repeat(8);
    // A plan that is kept from the small updates and nests loops over 50,000 rows would take minutes.
    shop.sql(&format!(
        "SET statement_timeout = '60s'; {small} UPDATE product SET title = title || 'y';
         UPDATE price SET list_minor = 1; RESET statement_timeout"
    ))
    .await;
    let records = shop.records_after(before).await;
    let keys: HashSet<&String> = records.iter().map(|record| &record.1).collect();
    assert_eq!(keys.len(), 50_000);
    let rows: HashSet<i64> = records.iter().map(|record| record.0).collect();
    assert!(rows.len() <= 50_000 / 512 + 1 + 8, "{} rows", rows.len());
    let largest = shop
        .number("SELECT max(cardinality(key))::bigint FROM cache_log")
        .await;
    assert_eq!(largest, 512);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn imports_that_overlap_do_not_deadlock() {
    let shop = shop(Dialect::Postgres, "overlap", Vec::new()).await;
    let import = |title: &'static str, reverse: bool| {
        let shop = &shop;
        async move {
            for round in 0..10 {
                let mut products: Vec<_> = (0..100)
                    .map(|n| product(&format!("p{n}"), &format!("{title}{round}")))
                    .collect();
                if reverse {
                    products.reverse();
                }
                shop.upsert(&products).await;
            }
        }
    };
    let imports = tokio::time::timeout(
        Duration::from_secs(60),
        futures_util::future::join3(import("a", false), import("b", true), import("c", false)),
    );
    imports.await.unwrap();
    assert_eq!(shop.origin.count_products().await.unwrap(), 100);
    assert_eq!(shop.number("SELECT count(*) FROM price").await, 100);
}

#[tokio::test]
async fn what_is_not_committed_holds_no_proof_up() {
    let shop = shop(Dialect::Postgres, "open", Vec::new()).await;
    shop.upsert(&[product("a", "A"), product("b", "B")]).await;
    let Database::Postgres(database) = &shop.origin.database else {
        panic!("the shop is on PostgreSQL")
    };
    let mut open = database.pool().begin().await.unwrap();
    for sql in [
        "UPDATE hotshelf.product SET title = 'open' WHERE id = 'a'",
        "SET CONSTRAINTS ALL IMMEDIATE",
    ] {
        sqlx::query(sql).execute(&mut *open).await.unwrap();
    }
    shop.sql("UPDATE product SET title = 'later' WHERE id = 'b'")
        .await;
    let during = shop.settle().await;
    open.commit().await.unwrap();
    let records = shop.records_after(during.head.position.0).await;
    let keys: Vec<&str> = records.iter().map(|record| record.1.as_str()).collect();
    assert_eq!(
        keys,
        ["a"],
        "its row has the lower id and gets the later position"
    );
}
