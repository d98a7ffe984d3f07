//! What only PostgreSQL does, and what a server that fails does to us.

use std::time::Duration;

use hotshelf_model::{ChangeLog, ErrorKind, Origin, Position, Timeline, Version};
use hotshelf_testkit::{PostgresServer, free_port, wait_until_async};

use super::shop::{currencies, fetch_from, id, product, products, settle, shop};
use crate::{Database, Dialect, NamespaceQuery, SqlOrigin, SqlSettings};

#[tokio::test]
async fn truncate_bumps_the_parent() {
    let shop = shop(Dialect::Postgres, "truncated", Vec::new()).await;
    shop.upsert(&[product("a", "A")]).await;
    let before = shop.fetch_as_of(&["a"], "EUR", None).await;
    for table in ["price", "stock", "product CASCADE"] {
        let recorded = shop.recorded_by(&format!("TRUNCATE {table}")).await;
        assert_eq!(recorded, [(String::new(), 3)], "{table}");
    }
    let after = shop.fetch_as_of(&["a"], "EUR", None).await;
    assert!(after.parents.as_slice()[0].version > before.parents.as_slice()[0].version);
    assert_eq!(after.documents[0].clone().unwrap().body, None);
}

#[tokio::test]
async fn a_seal_in_the_middle_of_a_transaction_records_both_halves_and_commits_synchronously() {
    let shop = shop(Dialect::Postgres, "halves", Vec::new()).await;
    shop.upsert(&[product("a", "A"), product("b", "B")]).await;
    let recorded = shop
        .recorded_by(
            "SET synchronous_commit = off; BEGIN;
             UPDATE product SET title = 'x' WHERE id = 'a'; SET CONSTRAINTS ALL IMMEDIATE;
             DO $$ BEGIN ASSERT current_setting('synchronous_commit') = 'on'; END $$;
             SAVEPOINT s; DELETE FROM product; ROLLBACK TO s;
             UPDATE product SET title = 'y' WHERE id = 'b'; COMMIT",
        )
        .await;
    assert_eq!(recorded, [("a".to_owned(), 1), ("b".to_owned(), 1)]);
    assert_eq!(shop.number("SELECT count(*) FROM cache_touched").await, 0);
}

#[tokio::test]
async fn a_key_that_is_touched_often_has_the_last_word_of_its_own_table() {
    let shop = shop(Dialect::Postgres, "last_word", Vec::new()).await;
    shop.upsert(&[product("a", "A"), product("b", "B")]).await;
    // Enough keys that they do not stay in the setting; the others are compared with what was moved.
    let many =
        "INSERT INTO product (id, title) SELECT 'm' || i, 't' FROM generate_series(1, 2000) AS i";
    for (sql, expected) in [
        (
            format!("BEGIN; UPDATE product SET title = 'x'; {many}; DELETE FROM product; COMMIT"),
            2,
        ),
        (
            format!(
                "BEGIN; INSERT INTO product (id, title) VALUES ('a', 'A'), ('b', 'B'); {many};
                INSERT INTO stock VALUES ('a', 9); DELETE FROM product WHERE id LIKE 'm%'; COMMIT"
            ),
            1,
        ),
    ] {
        let before = shop.settle().await.head.position.0;
        shop.sql(&sql).await;
        let records = shop.records_after(before).await;
        let own: Vec<_> = records
            .iter()
            .filter(|record| record.1.as_str() < "m")
            .collect();
        let operations: Vec<_> = own.iter().map(|record| record.3).collect();
        assert_eq!(operations, [expected; 2]);
        assert_eq!(records.len(), 2002, "each key is recorded once");
    }
    assert_eq!(shop.number("SELECT count(*) FROM cache_touched").await, 0);
}

#[tokio::test]
async fn what_a_savepoint_sealed_is_sealed_again_after_its_rollback() {
    let shop = shop(Dialect::Postgres, "resealed", Vec::new()).await;
    shop.upsert(&[product("a", "A"), product("b", "B"), product("c", "C")])
        .await;
    let recorded = shop
        .recorded_by(
            "CREATE FUNCTION write() RETURNS void LANGUAGE plpgsql SET work_mem = '9MB' AS $$
                BEGIN UPDATE product SET title = 'x' WHERE id = 'a'; END $$;
             BEGIN; SELECT write(); SAVEPOINT s; UPDATE product SET title = 'x' WHERE id = 'b';
             SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK TO s; SET CONSTRAINTS ALL DEFERRED;
             UPDATE product SET title = 'x' WHERE id = 'c'; COMMIT",
        )
        .await;
    assert_eq!(recorded, [("a".to_owned(), 1), ("c".to_owned(), 1)]);
}

#[tokio::test]
async fn a_transaction_that_forgets_what_it_touched_does_not_commit() {
    let shop = shop(Dialect::Postgres, "forgotten", Vec::new()).await;
    shop.upsert(&[product("a", "A"), product("b", "B")]).await;
    let Database::Postgres(database) = &shop.origin.database else {
        panic!("the shop is on PostgreSQL")
    };
    for again in [
        "",
        "UPDATE hotshelf.product SET title = 'x' WHERE id = 'b';",
    ] {
        let sql = format!(
            "BEGIN; UPDATE hotshelf.product SET title = 'x' WHERE id = 'a'; RESET ALL; {again} COMMIT"
        );
        let outcome = sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(database.pool())
            .await;
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("hotshelf.touched was reset"), "{error}");
    }
    assert_eq!(
        shop.recorded_by("UPDATE product SET title = 'y'")
            .await
            .len(),
        2
    );
}

#[tokio::test]
async fn a_prepared_transaction_is_sealed_when_it_is_prepared() {
    let server = PostgresServer::start_with(&["max_prepared_transactions=2"]).unwrap();
    let settings = SqlSettings {
        url: server.database("prepared").unwrap(),
        ..SqlSettings::default()
    };
    let query = NamespaceQuery::products(products(), Dialect::Postgres, currencies());
    let origin = SqlOrigin::connect_lazy(&settings, vec![query]).unwrap();
    origin.migrate().await.unwrap();
    let sql = "BEGIN; INSERT INTO hotshelf.product (id, title) VALUES ('a', 'A'); PREPARE TRANSACTION 'one'";
    server.sql("prepared", sql).unwrap();
    let before = settle(&origin).await;
    server.restart().unwrap();
    server.sql("prepared", "COMMIT PREPARED 'one'").unwrap();
    wait_until_async("the node reconnects", Duration::from_secs(10), async || {
        origin.poll(Position(0)).await.is_ok()
    })
    .await;
    assert!(settle(&origin).await.head.position > before.head.position);
}

/// A cluster that was promoted counts one timeline more; the base stands in for that here.
#[tokio::test]
async fn a_new_timeline_is_opened_before_anything_is_proved() {
    let shop = shop(Dialect::Postgres, "timeline", Vec::new()).await;
    shop.upsert(&[product("a", "A")]).await;
    let before = shop.settle().await;
    let version = shop.fetch("a").await.version;
    shop.sql("UPDATE cache_hist SET timeline_base = 1").await;
    shop.upsert(&[product("a", "B")]).await;
    let after = shop.settle().await;
    assert_eq!(after.head.timeline, Timeline(before.head.timeline.0 + 1));
    assert_eq!(after.version_max.timeline(), version.timeline() + 1);
    assert!(shop.fetch("a").await.version > version);
    let records = shop.records_after(before.head.position.0).await;
    let ops: Vec<i64> = records.iter().map(|record| record.3).collect();
    assert_eq!(ops, [4, 1], "the timeline is opened first");
}

#[tokio::test]
async fn a_copied_database_proves_nothing_until_its_history_is_renewed() {
    let shop = shop(Dialect::Postgres, "copied", Vec::new()).await;
    shop.sql("UPDATE cache_hist SET timeline_base = 5").await;
    shop.upsert(&[product("a", "A")]).await;
    let original = shop.settle().await;
    let version = shop.fetch("a").await.version;
    shop.sql("UPDATE cache_hist SET timeline_base = 0").await;
    let error = shop.origin.poll(Position(0)).await.unwrap_err();
    assert!(error.to_string().contains("renew_hist"), "{error}");
    shop.sql("SELECT hotshelf.renew_hist()").await;
    let copy = shop.settle().await;
    assert_ne!(copy.head.hist, original.head.hist);
    assert!(copy.head.timeline > original.head.timeline);
    shop.upsert(&[product("a", "B")]).await;
    assert!(
        shop.fetch("a").await.version > version,
        "versions never go back"
    );
}

#[tokio::test]
async fn without_a_statement_cache_each_statement_is_a_transaction() {
    let shop = shop(Dialect::Postgres, "uncached", Vec::new()).await;
    shop.upsert(&[product("a", "A")]).await;
    let origin = shop.another(&SqlSettings {
        statement_cache_max: 0,
        ..SqlSettings::default()
    });
    let ids = ["a", "b"];
    let fetch = fetch_from(&origin, &products(), "currency=EUR", &ids)
        .await
        .unwrap();
    assert!(fetch.documents[0].clone().unwrap().body.is_some());
    assert!(settle(&origin).await.version_max > Version::NONE);
}

#[tokio::test]
async fn a_node_starts_while_its_database_is_down() {
    let settings = SqlSettings {
        url: format!("postgres://postgres@127.0.0.1:{}/none", free_port()),
        acquire_timeout: Duration::from_millis(200),
        ..SqlSettings::default()
    };
    let query = NamespaceQuery::products(products(), Dialect::Postgres, currencies());
    let origin = SqlOrigin::connect_lazy(&settings, vec![query]).unwrap();
    let error = origin.poll(Position(0)).await.unwrap_err();
    assert!(error.kind().is_retryable(), "{error:?}");
}

fn impatient(url: String) -> SqlOrigin {
    let settings = SqlSettings {
        url,
        acquire_timeout: Duration::from_millis(500),
        statement_timeout: Duration::from_millis(500),
        connections_max: 2,
        ..SqlSettings::default()
    };
    let namespaces = vec![
        NamespaceQuery::products(products(), Dialect::Postgres, currencies()),
        NamespaceQuery::new(
            hotshelf_model::NamespaceName::new("slow").unwrap(),
            "SELECT unnest(:ids) AS id, '1' AS document FROM pg_sleep(60)",
        ),
    ];
    SqlOrigin::connect_lazy(&settings, namespaces).unwrap()
}

/// `PgBouncer` tells the client about a server that it has lost.
#[tokio::test]
async fn a_reading_whose_pooler_lost_the_server_is_sent_again() {
    let lost = hotshelf_model::NamespaceName::new("lost").unwrap();
    let query = "SELECT unnest(:ids) AS id, public.lose() AS document";
    let further = vec![NamespaceQuery::new(lost.clone(), query)];
    let shop = shop(Dialect::Postgres, "lost_server", further).await;
    // A sequence is not rolled back, so that only the first call fails.
    shop.sql(
        "CREATE SEQUENCE public.calls; CREATE FUNCTION public.lose() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('public.calls') = 1 THEN RAISE EXCEPTION 'server conn crashed?' USING ERRCODE = '08P01'; END IF;
            RETURN '1'; END $$",
    )
    .await;
    let fetch = fetch_from(&shop.origin, &lost, "", &["a"]).await.unwrap();
    assert!(fetch.documents[0].is_ok());
}

/// A pooler could leave the migrator's lock with another session.
#[tokio::test]
async fn a_start_with_nothing_to_migrate_takes_no_lock_and_makes_nothing() {
    let shop = shop(Dialect::Postgres, "nothing_to_migrate", Vec::new()).await;
    shop.sql(
        "CREATE ROLE starter LOGIN; GRANT USAGE ON SCHEMA hotshelf TO starter; GRANT SELECT ON hotshelf.schema_migration TO starter;
         GRANT EXECUTE ON FUNCTION hotshelf.register_namespace(text) TO starter",
    )
    .await;
    let settings = SqlSettings {
        url: shop.url.replace("postgres@", "starter@"),
        ..SqlSettings::default()
    };
    let query = NamespaceQuery::products(products(), Dialect::Postgres, currencies());
    let node = SqlOrigin::connect_lazy(&settings, vec![query]).unwrap();
    node.migrate().await.unwrap();
    // One that a newer program has migrated is refused all the same.
    shop.sql(
        "INSERT INTO hotshelf.schema_migration (version, description, success, checksum, execution_time) VALUES (9999, 'new', true, '', 0)",
    )
    .await;
    let error = shop.origin.migrate().await.unwrap_err();
    assert!(error.to_string().contains("newer hotshelf"), "{error}");
}

#[tokio::test]
async fn a_slow_query_times_out_and_gives_its_connection_back() {
    let shop = shop(Dialect::Postgres, "slow", Vec::new()).await;
    let origin = impatient(shop.url.clone());
    let slow = hotshelf_model::NamespaceName::new("slow").unwrap();
    for _ in 0..4 {
        let error = fetch_from(&origin, &slow, "", &["a"]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OriginTimeout, "{error:?}");
    }
    fetch_from(&origin, &products(), "currency=EUR", &["a"])
        .await
        .unwrap();
}

#[tokio::test]
async fn an_abandoned_fetch_leaves_no_connection_missing() {
    let shop = shop(Dialect::Postgres, "abandoned", Vec::new()).await;
    let origin = impatient(shop.url.clone());
    let slow = hotshelf_model::NamespaceName::new("slow").unwrap();
    for _ in 0..6 {
        let fetch = fetch_from(&origin, &slow, "", &["a"]);
        let outcome = tokio::time::timeout(Duration::from_millis(20), fetch).await;
        assert!(outcome.is_err(), "the fetch was still under way");
    }
    wait_until_async("a connection is free", Duration::from_secs(5), async || {
        fetch_from(&origin, &products(), "currency=EUR", &["a"])
            .await
            .is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_server_that_hangs_or_is_killed_fails_in_time_and_is_found_again() {
    let server = PostgresServer::start().unwrap();
    let origin = impatient(server.database("failing").unwrap());
    origin.migrate().await.unwrap();
    let read = async || fetch_from(&origin, &products(), "currency=EUR", &["a"]).await;
    let back = async || {
        wait_until_async(
            "the server answers again",
            Duration::from_secs(10),
            async || {
                read().await.is_ok()
                    && origin
                        .poll(Position(0))
                        .await
                        .is_ok_and(|poll| poll.settled)
            },
        )
        .await;
    };
    back().await;
    server.pause();
    for _ in 0..3 {
        let error = read().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OriginTimeout, "{error:?}");
    }
    assert_eq!(
        origin.poll(Position(0)).await.unwrap_err().kind(),
        ErrorKind::OriginTimeout
    );
    server.resume();
    back().await;
    server.kill();
    assert!(read().await.unwrap_err().kind().is_retryable());
    assert!(
        origin
            .poll(Position(0))
            .await
            .unwrap_err()
            .kind()
            .is_retryable()
    );
    server.restart().unwrap();
    back().await;
}

#[tokio::test]
async fn a_role_that_only_writes_products_needs_no_right_on_the_change_log() {
    let shop = shop(Dialect::Postgres, "rights", Vec::new()).await;
    shop.sql(
        "CREATE ROLE clerk; GRANT USAGE ON SCHEMA hotshelf TO clerk;
         GRANT SELECT, INSERT, UPDATE, DELETE ON product, price, stock TO clerk;
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA hotshelf TO clerk",
    )
    .await;
    let recorded = shop
        .recorded_by(
            "BEGIN; SET LOCAL ROLE clerk; INSERT INTO product (id, title) VALUES ('a', 'A');
             INSERT INTO price (product_id, currency, list_minor) VALUES ('a', 'EUR', 1); COMMIT",
        )
        .await;
    assert_eq!(recorded, [("a".to_owned(), 1)]);
    let Database::Postgres(database) = &shop.origin.database else {
        panic!("the shop is on PostgreSQL")
    };
    for sql in [
        "SELECT hotshelf.renew_hist()",
        "DELETE FROM hotshelf.cache_log",
    ] {
        let mut transaction = database.pool().begin().await.unwrap();
        sqlx::query("SET LOCAL ROLE clerk")
            .execute(&mut *transaction)
            .await
            .unwrap();
        let outcome = sqlx::query(sql).execute(&mut *transaction).await;
        let code = outcome.unwrap_err().into_database_error().unwrap();
        assert_eq!(code.code().as_deref(), Some("42501"), "{sql}");
    }
}

/// Compiling costs a hundred times what running such a statement does, or a second on a busy machine, where polls are given that long.
#[tokio::test]
async fn no_statement_seems_so_dear_that_the_database_compiles_it() {
    let watched = [
        "shared_preload_libraries=pg_stat_statements",
        "pg_stat_statements.track=all",
        "jit=on",
    ];
    let server = PostgresServer::start_with(&watched).unwrap();
    let settings = SqlSettings {
        url: server.database("compiled").unwrap(),
        ..SqlSettings::default()
    };
    let query = NamespaceQuery::products(products(), Dialect::Postgres, currencies());
    let origin = SqlOrigin::connect_lazy(&settings, vec![query]).unwrap();
    origin.migrate().await.unwrap();
    let sql = |sql: &str| server.sql("compiled", sql).unwrap();
    sql("CREATE EXTENSION pg_stat_statements");
    sql("SELECT pg_stat_statements_reset()");
    // More often than a statement is planned anew, so that its general plan is met as well.
    for round in 0..8 {
        let title = round.to_string();
        let written = [product("a", &title), product("b", &title)];
        origin.upsert_products(&written).await.unwrap();
        origin.sequence().await.unwrap();
        let poll = origin.poll(Position(round)).await.unwrap();
        origin.read(Position(0), 100).await.unwrap();
        let (namespace, variant) = (products(), "currency=EUR");
        fetch_from(&origin, &namespace, variant, &["a", "b", "c"])
            .await
            .unwrap();
        let ids = [id("a"), id("c")];
        origin.versions(&namespace, &ids).await.unwrap();
        assert!(poll.settled, "round {round}");
    }
    let ran = sql("SELECT count(*) FROM pg_stat_statements WHERE query LIKE '%cache_log_oldest%'");
    assert_ne!(ran, "0", "the statements are watched");
    let compiled = sql("SELECT query FROM pg_stat_statements WHERE jit_functions > 0");
    assert_eq!(compiled, "");
}

#[tokio::test]
async fn a_read_after_a_restart_passes_by_every_dead_connection() {
    let server = PostgresServer::start().unwrap();
    let settings = SqlSettings {
        url: server.database("restarted").unwrap(),
        ..SqlSettings::default()
    };
    let query = NamespaceQuery::products(products(), Dialect::Postgres, currencies());
    let origin = SqlOrigin::connect_lazy(&settings, vec![query]).unwrap();
    origin.migrate().await.unwrap();
    let read = async || fetch_from(&origin, &products(), "currency=EUR", &["a"]).await;
    // At once, so that as many connections are in the pool afterwards.
    for outcome in futures_util::future::join_all((0..4).map(|_| read())).await {
        outcome.unwrap();
    }
    server.restart().unwrap();
    read().await.unwrap();
}
