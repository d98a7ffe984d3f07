//! What only SQLite does.

use hotshelf_model::{ChangeLog as _, Position};

use super::shop::{product, shop};
use crate::Dialect;

#[tokio::test]
async fn who_followed_an_empty_log_goes_on_with_its_first_rows_until_they_are_pruned() {
    let shop = shop(Dialect::Sqlite, "", Vec::new()).await;
    let empty = shop.origin.poll(Position(0)).await.unwrap();
    assert_eq!(
        (empty.head.position, empty.known_nonce),
        (Position(0), Some(0))
    );
    shop.upsert(&[product("a", "A")]).await;
    let begun = shop.origin.poll(empty.head.position).await.unwrap();
    assert!(begun.head.position > Position(0));
    assert_eq!(begun.known_nonce, Some(empty.head_nonce));
    shop.recorded_by("DELETE FROM cache_log WHERE pos = 1")
        .await;
    let pruned = shop.origin.poll(empty.head.position).await.unwrap();
    assert_eq!(pruned.known_nonce, None);
}

#[tokio::test]
async fn the_file_is_made_with_its_folder_and_keeps_commits_through_a_power_loss() {
    let shop = shop(Dialect::Sqlite, "", Vec::new()).await;
    let full = 2;
    assert_eq!(
        shop.number("SELECT synchronous FROM pragma_synchronous")
            .await,
        full
    );
    let wal = "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'";
    assert_eq!(shop.number(wal).await, 1);
    assert_eq!(
        shop.number("SELECT foreign_keys FROM pragma_foreign_keys")
            .await,
        1
    );
}

#[tokio::test]
async fn replace_and_rollback_are_recorded_rightly() {
    let shop = shop(Dialect::Sqlite, "", Vec::new()).await;
    shop.upsert(&[product("a", "A"), product("b", "B")]).await;
    let touched = |keys: &[&str]| -> Vec<(String, i64)> {
        keys.iter().map(|key| ((*key).to_owned(), 1)).collect()
    };
    for (sql, keys) in [
        (
            "REPLACE INTO stock (product_id, quantity) VALUES ('a', 0)",
            touched(&["a"]),
        ),
        (
            "REPLACE INTO price (id, product_id, currency, list_minor)
             SELECT id, 'b', 'EUR', 1 FROM price WHERE product_id = 'a'",
            touched(&["a", "b"]),
        ),
        (
            "REPLACE INTO product (id, title) VALUES ('a', 'Again')",
            touched(&["a"]),
        ),
        (
            "BEGIN; UPDATE product SET title = 'x'; ROLLBACK",
            Vec::new(),
        ),
    ] {
        assert_eq!(shop.recorded_by(sql).await, keys, "{sql}");
    }
    let (rows, head) = (
        shop.number("SELECT count(*) FROM cache_log").await,
        shop.number("SELECT max(pos) FROM cache_log").await,
    );
    assert_eq!(rows, head, "positions are dense");
    let wrong = "SELECT count(*) FROM cache_version AS v WHERE ver <>
        (SELECT ver FROM cache_log AS l WHERE l.key = v.key ORDER BY pos DESC LIMIT 1)";
    assert_eq!(shop.number(wrong).await, 0);
}

#[tokio::test]
async fn readers_go_on_while_somebody_writes() {
    let shop = shop(Dialect::Sqlite, "", Vec::new()).await;
    shop.upsert(&[product("a", "A")]).await;
    let crate::Database::Sqlite(database) = &shop.origin.database else {
        panic!("the shop is on SQLite")
    };
    let mut writing = database.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("UPDATE product SET title = 'B'")
        .execute(&mut *writing)
        .await
        .unwrap();
    let before = shop.fetch("a").await;
    writing.commit().await.unwrap();
    let after = shop.fetch("a").await;
    assert!(after.version > before.version);
}
