//! What PostgreSQL's triggers record when sessions are old, statements fail, writers mean ill, and other triggers note keys first.

use std::time::Duration;

use hotshelf_model::{
    ChangeLog, NamespaceName, ProductChange, ProductFields, ProductWrite, ProductWriter,
    WriteEffect, WriteOutcome,
};
use hotshelf_testkit::wait_until_async;

use super::shop::{Shop, id, json, product, products, run, settle, shop};
use crate::{Attachment, Dialect, SqlSettings};

impl Shop {
    async fn attach_products(&self, namespace: &str) {
        let attachment = Attachment {
            table: "hotshelf.product".to_owned(),
            namespace: NamespaceName::new(namespace).unwrap(),
            keys: "id".to_owned(),
            columns: vec!["title".to_owned()],
        };
        self.origin
            .attach(&[attachment], Duration::from_secs(1), false)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn versions_grow_and_are_sequenced_in_sessions_older_than_the_history() {
    let shop = shop(Dialect::Postgres, "old_sessions", Vec::new()).await;
    shop.upsert(&[product("a", "A")]).await;
    let mut session = shop.session().await;
    let node = shop.another(&SqlSettings::default());
    // More often than a statement is planned anew, so that every plan of the sessions is kept.
    for round in 0..8 {
        let sql = format!("UPDATE hotshelf.product SET title = '{round}'");
        run(&mut session, &sql).await.unwrap();
        node.sequence().await.unwrap();
        settle(&node).await;
    }
    let before = shop.fetch("a").await.version;
    shop.sql("SELECT hotshelf.renew_hist()").await;
    settle(&node).await;
    run(&mut session, "UPDATE hotshelf.product SET title = 'new'")
        .await
        .unwrap();
    let after = shop.fetch("a").await.version;
    assert_eq!(after.timeline(), before.timeline() + 1);
    let rows = node.sequence().await.unwrap();
    assert_eq!(rows.len(), 1, "the node sequences on the new timeline");
}

fn titled(title: &str) -> ProductFields {
    ProductFields {
        title: Some(title.to_owned()),
        ..ProductFields::default()
    }
}

#[tokio::test]
async fn a_write_says_its_version_whichever_trigger_noted_the_first_key() {
    let shop = shop(Dialect::Postgres, "noted_first", Vec::new()).await;
    // Triggers fire in the order of their names, so the attachment's are the first.
    shop.attach_products("cards").await;
    // And one of the shop's own touches another product only when the transaction ends.
    shop.upsert(&[product("other", "Other")]).await;
    shop.sql(
        "CREATE FUNCTION public.echo() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            UPDATE hotshelf.product SET title = NEW.title WHERE id = 'other'; RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER echo AFTER INSERT OR UPDATE ON hotshelf.product DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW WHEN (NEW.id <> 'other') EXECUTE FUNCTION public.echo()",
    )
    .await;
    let write = async |change| {
        let write = ProductWrite {
            id: id("mug"),
            change,
            if_version: None,
        };
        match shop.origin.write(&write).await.unwrap() {
            WriteOutcome::Written { version, effect } => {
                assert_eq!(shop.fetch("mug").await.version, version, "{effect:?}");
                (effect, version)
            }
            other => panic!("{other:?}"),
        }
    };
    let created = write(ProductChange::Put(titled("Mug"))).await;
    assert_eq!(created.0, WriteEffect::Created);
    let updated = write(ProductChange::Patch(titled("Cup"))).await;
    assert_eq!(
        (updated.0, updated.1 > created.1),
        (WriteEffect::Updated, true)
    );
    assert_eq!(json(&shop.fetch("other").await)["title"], "Cup");
    let deleted = write(ProductChange::Delete).await;
    assert_eq!(
        (deleted.0, deleted.1 > updated.1),
        (WriteEffect::Deleted, true)
    );
}

/// Functions, operators and a type that would be taken for PostgreSQL's own where they come first in the search path.
const SNARES: &str = r"
    CREATE FUNCTION snares.caught() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught as %', current_user; END $$;
    CREATE FUNCTION snares.strpos(text, text) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT snares.caught(); SELECT 0';
    CREATE FUNCTION snares.octet_length(text) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT snares.caught(); SELECT 0';
    CREATE FUNCTION snares.current_setting(text, boolean) RETURNS text LANGUAGE sql VOLATILE AS 'SELECT snares.caught(); SELECT NULL::text';
    CREATE FUNCTION snares.set_config(text, text, boolean) RETURNS text LANGUAGE sql VOLATILE AS 'SELECT snares.caught(); SELECT $2';
    CREATE FUNCTION snares.joined(text, text) RETURNS text LANGUAGE sql VOLATILE AS 'SELECT snares.caught(); SELECT $1';
    CREATE FUNCTION snares.is(text, text) RETURNS boolean LANGUAGE sql VOLATILE AS 'SELECT snares.caught(); SELECT true';
    CREATE FUNCTION snares.is(varchar, varchar) RETURNS boolean LANGUAGE sql VOLATILE AS 'SELECT snares.caught(); SELECT true';
    CREATE FUNCTION snares.is(int, int) RETURNS boolean LANGUAGE sql VOLATILE AS 'SELECT snares.caught(); SELECT true';
    CREATE FUNCTION snares.is(hotshelf.product, hotshelf.product) RETURNS boolean LANGUAGE sql VOLATILE AS 'SELECT snares.caught(); SELECT true';
    CREATE OPERATOR snares.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = snares.joined);
    CREATE OPERATOR snares.= (LEFTARG = text, RIGHTARG = text, FUNCTION = snares.is);
    CREATE OPERATOR snares.= (LEFTARG = int, RIGHTARG = int, FUNCTION = snares.is);
    CREATE OPERATOR snares.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = snares.is);
    CREATE OPERATOR snares.= (LEFTARG = hotshelf.product, RIGHTARG = hotshelf.product, FUNCTION = snares.is);
    CREATE OPERATOR snares.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = snares.is);
    CREATE OPERATOR snares.> (LEFTARG = int, RIGHTARG = int, FUNCTION = snares.is);
    CREATE DOMAIN snares.text AS pg_catalog.text CHECK (snares.caught() IS NULL);";

#[tokio::test]
async fn nothing_in_a_writers_search_path_runs_with_the_rights_of_an_owner() {
    let shop = shop(Dialect::Postgres, "snares", Vec::new()).await;
    shop.upsert(&[product("a", "A"), product("b", "B")]).await;
    shop.sql(
        "CREATE ROLE intruder; CREATE SCHEMA snares AUTHORIZATION intruder; GRANT USAGE ON SCHEMA hotshelf TO intruder;
         GRANT SELECT, DELETE, UPDATE ON hotshelf.product TO intruder;
         CREATE TABLE snares.item (id varchar PRIMARY KEY, name varchar); GRANT ALL ON snares.item TO intruder;
         INSERT INTO snares.item VALUES ('x', 'X')",
    )
    .await;
    let attachment = Attachment {
        table: "snares.item".to_owned(),
        namespace: products(),
        keys: "id".to_owned(),
        columns: vec!["name".to_owned()],
    };
    shop.origin
        .attach(&[attachment], Duration::from_secs(1), false)
        .await
        .unwrap();
    let mut session = shop.session().await;
    run(&mut session, &format!("SET ROLE intruder; {SNARES}"))
        .await
        .unwrap();
    let recorded = shop
        .recorded_by(
            "SET ROLE intruder; SET search_path = snares, pg_catalog;
             UPDATE hotshelf.product SET title = 'x' WHERE hotshelf.product.id OPERATOR(pg_catalog.=) 'b';
             UPDATE snares.item SET name = 'y';
             DELETE FROM hotshelf.product WHERE hotshelf.product.id OPERATOR(pg_catalog.=) 'a';
             RESET ROLE; RESET search_path",
        )
        .await;
    let expected = [("a", 2), ("b", 1), ("x", 1)].map(|(key, op)| (key.to_owned(), op));
    assert_eq!(recorded, expected);
    // Nor may a role make triggers of hotshelf's functions on tables of its own.
    run(&mut session, "CREATE TABLE snares.own (id int)")
        .await
        .unwrap();
    for (event, function) in [
        ("TRUNCATE ON snares.own", "bump_trigger('products')"),
        ("INSERT ON snares.own FOR EACH ROW", "seal()"),
        ("INSERT ON snares.own FOR EACH ROW", "set_timeline_base()"),
    ] {
        let sql = format!("CREATE TRIGGER own AFTER {event} EXECUTE FUNCTION hotshelf.{function}");
        let error = run(&mut session, &sql).await.unwrap_err();
        let code = error
            .into_database_error()
            .unwrap()
            .code()
            .unwrap()
            .into_owned();
        assert_eq!(code, "42501", "{function}");
    }
}

/// PL/pgSQL plans an expression that has failed anew in each call of its transaction, with the values that it has then.
#[tokio::test]
async fn a_key_is_noted_in_a_transaction_in_which_noting_has_failed() {
    let shop = shop(Dialect::Postgres, "noted_after", Vec::new()).await;
    shop.sql("INSERT INTO hotshelf.product (id, title) VALUES ('a', 'A')")
        .await;
    let mut busy = shop.session().await;
    run(
        &mut busy,
        "BEGIN; LOCK TABLE hotshelf.cache_touched IN EXCLUSIVE MODE",
    )
    .await
    .unwrap();
    let mut session = shop.session().await;
    run(
        &mut session,
        "BEGIN; SET LOCAL lock_timeout = '10ms'; SAVEPOINT s",
    )
    .await
    .unwrap();
    let many = "INSERT INTO hotshelf.product (id, title) SELECT 'm' || i, 't' FROM generate_series(1, 200) AS i";
    assert!(run(&mut session, many).await.is_err(), "the list is long");
    run(&mut busy, "ROLLBACK").await.unwrap();
    let before = shop.settle().await.head.position.0;
    run(
        &mut session,
        "ROLLBACK TO s; UPDATE hotshelf.product SET id = 'b' WHERE id = 'a'; COMMIT",
    )
    .await
    .unwrap();
    let mut recorded: Vec<(String, i64)> = shop
        .records_after(before)
        .await
        .into_iter()
        .map(|(_, key, _, op)| (key, op))
        .collect();
    recorded.sort();
    assert_eq!(recorded, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
}

#[tokio::test]
async fn posted_changes_and_a_truncate_lock_in_one_order() {
    let shop = shop(Dialect::Postgres, "one_order", Vec::new()).await;
    shop.upsert(&[product("a", "A")]).await;
    let mut session = shop.session().await;
    run(
        &mut session,
        "BEGIN; TRUNCATE hotshelf.stock; UPDATE hotshelf.product SET title = 'x' WHERE id = 'a'",
    )
    .await
    .unwrap();
    let committing = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        wait_until_async("the other waits", Duration::from_secs(20), async || {
            shop.number(waiting).await == 1
        })
        .await;
        run(&mut session, "COMMIT").await
    };
    // As a statement of its own, because a node sends it again when it is a deadlock's victim.
    let mut other = shop.session().await;
    let post = "SELECT hotshelf.post_changes('{products}', '{a}', '{NULL}', '{products}')";
    let (posted, committed) = tokio::join!(run(&mut other, post), committing);
    committed.unwrap();
    posted.unwrap();
}
