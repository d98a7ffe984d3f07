//! A shop's own tables, attached and detached, on both databases.

use std::time::Duration;

use hotshelf_model::{ErrorKind, NamespaceName};
use sqlx::AssertSqlSafe;

use super::shop::{Shop, shop, shops};
use crate::{Attachment, Database, Dialect};

const LOCK_TIMEOUT: Duration = Duration::from_millis(200);

/// A table with a name that needs quotes, and shelves that show its rows.
const SCHEMA: &str = r#"
    CREATE TABLE "Order ""x"" Items" (item_no int PRIMARY KEY, "Name" text, price int, updated_at text);
    CREATE TABLE shelves (shelf text NOT NULL, item_no int NOT NULL, PRIMARY KEY (shelf, item_no));
    INSERT INTO "Order ""x"" Items" VALUES (1, 'Mug', 5, ''), (2, 'Cup', 6, ''), (3, 'Jug', 7, '');
    INSERT INTO shelves VALUES ('kitchen', 1), ('kitchen', 2), ('sale', 2)"#;

fn attachment(namespace: &str, table: &str, keys: &str, columns: &[&str]) -> Attachment {
    Attachment {
        table: table.to_owned(),
        namespace: NamespaceName::new(namespace).unwrap(),
        keys: keys.to_owned(),
        columns: columns.iter().map(|&column| column.to_owned()).collect(),
    }
}

/// The items as documents of their own, and the shelves on which they stand.
fn attachments(shop: &Shop) -> Vec<Attachment> {
    let (items, shelves, prefix) = match shop.dialect {
        Dialect::Postgres => (
            r#"hotshelf."Order ""x"" Items""#,
            "hotshelf.shelves",
            "hotshelf.",
        ),
        Dialect::Sqlite => (r#""Order ""x"" Items""#, "shelves", ""),
    };
    let shown = format!(
        "SELECT s.shelf FROM :rows AS r JOIN {prefix}shelves AS s ON s.item_no = r.item_no"
    );
    vec![
        attachment("items", items, "item_no", &["Name", "price"]),
        attachment("shelves", items, &shown, &["Name"]),
        attachment("shelves", shelves, "shelf", &[]),
    ]
}

impl Shop {
    async fn attach(&self, wanted: &[Attachment]) -> Vec<String> {
        self.origin
            .attach(wanted, LOCK_TIMEOUT, false)
            .await
            .unwrap()
    }

    async fn keys(&self, sql: &str) -> Vec<String> {
        let recorded = self.recorded_by(sql).await;
        recorded.into_iter().map(|(key, _)| key).collect()
    }

    /// Everything that the database's catalogue says of its tables, triggers and functions.
    async fn catalogue(&self) -> Vec<String> {
        let sql = match self.dialect {
            Dialect::Postgres => {
                "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
                 UNION ALL SELECT pg_get_functiondef(p.oid) FROM pg_proc AS p WHERE pronamespace = 'hotshelf'::regnamespace
                 UNION ALL SELECT relname || relkind::text || relnatts::text FROM pg_class WHERE relnamespace = 'hotshelf'::regnamespace
                 UNION ALL SELECT conrelid::regclass::text || conname FROM pg_constraint WHERE connamespace = 'hotshelf'::regnamespace
                 UNION ALL SELECT d.objid::text || d.refobjid::text FROM pg_depend AS d WHERE d.classid = 'pg_trigger'::regclass
                 ORDER BY 1"
            }
            Dialect::Sqlite => "SELECT type || name || coalesce(sql, '') FROM sqlite_master ORDER BY 1",
        };
        match &self.origin.database {
            Database::Postgres(database) => {
                let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(database.pool());
                rows.await.unwrap()
            }
            Database::Sqlite(database) => {
                let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(database.pool());
                rows.await.unwrap()
            }
        }
    }
}

const ITEMS: &str = r#""Order ""x"" Items""#;

#[tokio::test]
async fn an_attached_table_records_what_its_rows_make_and_only_when_it_matters() {
    for shop in shops("attached").await {
        shop.sql(SCHEMA).await;
        shop.attach(&attachments(&shop)).await;
        for (sql, keys) in [
            ("UPDATE T SET updated_at = 'now'", vec![]),
            ("UPDATE T SET \"Name\" = \"Name\", price = price", vec![]),
            ("UPDATE T SET price = 9 WHERE item_no = 1", vec!["1"]),
            (
                "UPDATE T SET \"Name\" = 'Beaker' WHERE item_no = 2",
                vec!["2", "kitchen", "sale"],
            ),
            ("UPDATE T SET \"Name\" = NULL WHERE item_no = 3", vec!["3"]),
            (
                "UPDATE T SET item_no = 33 WHERE item_no = 3",
                vec!["3", "33"],
            ),
            ("INSERT INTO T VALUES (4, NULL, NULL, NULL)", vec!["4"]),
            (
                "DELETE FROM T WHERE item_no IN (1, 4)",
                vec!["1", "4", "kitchen"],
            ),
            (
                "UPDATE shelves SET shelf = 'hall' WHERE shelf = 'sale'",
                vec!["hall", "sale"],
            ),
            ("DELETE FROM shelves", vec!["hall", "kitchen"]),
        ] {
            let sql = sql.replace(" T ", &format!(" {ITEMS} "));
            assert_eq!(shop.keys(&sql).await, keys, "{:?}: {sql}", shop.dialect);
        }
    }
}

/// What is equal to a database may make another document.
#[tokio::test]
async fn a_row_has_changed_when_a_byte_of_it_has() {
    for shop in shops("bytes").await {
        let (types, table) = match shop.dialect {
            Dialect::Postgres => ("amount numeric, note json", "hotshelf.cost"),
            Dialect::Sqlite => ("amount text COLLATE NOCASE, note text", "cost"),
        };
        shop.sql(&format!(
            "CREATE TABLE cost (id int PRIMARY KEY, {types}); INSERT INTO cost VALUES (1, '1.0', '{{}}')"
        ))
        .await;
        let columns = ["amount", "note"];
        shop.attach(&[attachment("costs", table, "id", &columns)])
            .await;
        let other = match shop.dialect {
            Dialect::Postgres => ["1.0", "1.00"],
            Dialect::Sqlite => ["1e1", "1E1"],
        };
        let update = |amount| format!("UPDATE cost SET amount = '{amount}'");
        shop.sql(&update(other[0])).await;
        let none: [&str; 0] = [];
        assert_eq!(shop.keys(&update(other[0])).await, none);
        assert_eq!(
            shop.keys(&update(other[1])).await,
            ["1"],
            "{:?}",
            shop.dialect
        );
        assert_eq!(shop.keys("UPDATE cost SET note = '[]'").await, ["1"]);
    }
}

#[tokio::test]
async fn attaching_again_does_nothing_and_detaching_leaves_no_trace() {
    for shop in shops("detached").await {
        shop.sql(SCHEMA).await;
        let before = shop.catalogue().await;
        let wanted = attachments(&shop);
        let planned = shop
            .origin
            .attach(&wanted, LOCK_TIMEOUT, true)
            .await
            .unwrap();
        assert_eq!(shop.catalogue().await, before, "a dry run changes nothing");
        assert_eq!(shop.attach(&wanted).await, planned);
        let attached = shop.catalogue().await;
        assert!(attached.len() > before.len());
        assert_eq!(shop.attach(&wanted).await, Vec::<String>::new());
        assert_eq!(shop.catalogue().await, attached);
        // One that is no longer configured goes, the others stay.
        shop.attach(&wanted[..1]).await;
        let sql = format!("UPDATE {ITEMS} SET \"Name\" = 'x' WHERE item_no = 1");
        assert_eq!(shop.keys(&sql).await, ["1"], "{:?}", shop.dialect);
        shop.attach(&[]).await;
        assert_eq!(shop.catalogue().await, before, "{:?}", shop.dialect);
    }
}

#[tokio::test]
async fn what_is_not_there_is_named_before_anything_is_made() {
    for shop in shops("not_attached").await {
        shop.sql(SCHEMA).await;
        let before = shop.catalogue().await;
        let good = attachments(&shop).remove(0);
        let table = |table: &str| Attachment {
            table: table.to_owned(),
            ..good.clone()
        };
        for (bad, reason) in [
            (table("nothing"), "no such table"),
            (table("a b"), "no table's name"),
            (
                Attachment {
                    columns: vec!["name".to_owned()],
                    ..good.clone()
                },
                "no column `name`; it has item_no, Name, price, updated_at",
            ),
            (
                Attachment {
                    keys: "sku".to_owned(),
                    ..good.clone()
                },
                "keys",
            ),
            (
                Attachment {
                    keys: "item_no); DROP TABLE shelves; --".to_owned(),
                    ..good.clone()
                },
                "keys",
            ),
        ] {
            let wanted = [good.clone(), bad];
            let error = shop
                .origin
                .attach(&wanted, LOCK_TIMEOUT, false)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error:?}");
            assert!(error.to_string().contains(reason), "{error}");
            assert_eq!(
                shop.catalogue().await,
                before,
                "{:?}: {reason}",
                shop.dialect
            );
        }
    }
}

#[tokio::test]
async fn truncate_bumps_and_a_busy_table_is_left_alone() {
    let shop = shop(Dialect::Postgres, "busy_table", Vec::new()).await;
    shop.sql(SCHEMA).await;
    let Database::Postgres(database) = &shop.origin.database else {
        unreachable!("it is PostgreSQL")
    };
    let mut busy = database.pool().begin().await.unwrap();
    let lock = format!("LOCK TABLE hotshelf.{ITEMS} IN ROW EXCLUSIVE MODE");
    sqlx::raw_sql(AssertSqlSafe(lock))
        .execute(&mut *busy)
        .await
        .unwrap();
    let wanted = attachments(&shop);
    let error = shop
        .origin
        .attach(&wanted, LOCK_TIMEOUT, false)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("was not got within 200 ms"),
        "{error}"
    );
    busy.rollback().await.unwrap();
    shop.attach(&wanted).await;
    let recorded = shop.recorded_by("TRUNCATE shelves").await;
    assert_eq!(recorded, [(String::new(), 3)]);
    // Somebody who may only write the table writes it.
    shop.sql(&format!(
        "CREATE ROLE clerk_of_busy_table; GRANT USAGE ON SCHEMA hotshelf TO clerk_of_busy_table;
         GRANT SELECT, UPDATE ON hotshelf.{ITEMS} TO clerk_of_busy_table"
    ))
    .await;
    let sql = format!(
        "BEGIN; SET LOCAL ROLE clerk_of_busy_table; UPDATE hotshelf.{ITEMS} SET price = 1 WHERE item_no = 1; COMMIT"
    );
    assert_eq!(shop.keys(&sql).await, ["1"]);
}
