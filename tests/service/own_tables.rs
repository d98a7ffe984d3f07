//! Namespaces with queries of their own over a schema that is not ours: variants, TTLs, scheduled prices, changed and broken queries.

use std::time::Duration;

use hotshelf_testkit::{RedisServer, wait_until};
use hotshelf_tests::time::now_ms;
use hotshelf_tests::{Node, Reply, Shop, stopwatch};
use serde_json::{Value, json};

use crate::parts::{L3, NO_L3, SOON, l2};
use crate::program::{folder, hotshelf};

/// Deadlines are kept in tenths of a second, and a request takes its time.
const SLACK_MS: u64 = 500;

/// A shop as somebody else made it: numbers for ids, a column for each language, prices with their times, shelves for list pages.
const POSTGRES_SCHEMA: &str = "
    CREATE SCHEMA shop;
    CREATE TABLE shop.items (
        item_no int PRIMARY KEY, name_en text NOT NULL, name_de text, maker text, withdrawn boolean NOT NULL DEFAULT false
    );
    CREATE TABLE shop.prices (
        item_no int NOT NULL REFERENCES shop.items, currency char(3) NOT NULL, amount numeric(10, 2) NOT NULL,
        valid_from timestamptz, valid_to timestamptz
    );
    CREATE TABLE shop.shelves (shelf text NOT NULL, place int NOT NULL, item_no int NOT NULL REFERENCES shop.items);
    INSERT INTO shop.items VALUES
        (7, 'Mug', 'Becher', 'Nordlicht', false), (8, 'Café table', NULL, NULL, false), (9, 'Gone', 'Weg', NULL, true);
    INSERT INTO shop.prices VALUES (7, 'EUR', 12.50, NULL, NULL), (7, 'USD', 13.99, NULL, NULL), (8, 'EUR', 249.00, NULL, NULL);
    INSERT INTO shop.shelves VALUES ('kitchen', 2, 7), ('kitchen', 1, 8);";

const SQLITE_SCHEMA: &str = "
    CREATE TABLE items (
        item_no INTEGER PRIMARY KEY, name_en TEXT NOT NULL, name_de TEXT, maker TEXT, withdrawn INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE prices (item_no INTEGER NOT NULL, currency TEXT NOT NULL, amount TEXT NOT NULL, valid_from INTEGER, valid_to INTEGER);
    CREATE TABLE shelves (shelf TEXT NOT NULL, place INTEGER NOT NULL, item_no INTEGER NOT NULL);
    INSERT INTO items VALUES
        (7, 'Mug', 'Becher', 'Nordlicht', 0), (8, 'Café table', NULL, NULL, 0), (9, 'Gone', 'Weg', NULL, 1);
    INSERT INTO prices VALUES (7, 'EUR', '12.50', NULL, NULL), (7, 'USD', '13.99', NULL, NULL), (8, 'EUR', '249.00', NULL, NULL);
    INSERT INTO shelves VALUES ('kitchen', 2, 7), ('kitchen', 1, 8);";

const POSTGRES_ITEMS: &str = "
    SELECT i.item_no::text AS id, json_build_object(
        'item', i.item_no, 'name', CASE :locale WHEN 'de' THEN coalesce(i.name_de, i.name_en) ELSE i.name_en END,
        'maker', i.maker, 'price', p.amount::text, 'currency', :currency
    ) AS document, (
        SELECT min(b.moment) FROM shop.prices f CROSS JOIN LATERAL (VALUES (f.valid_from), (f.valid_to)) AS b (moment)
        WHERE f.item_no = i.item_no AND f.currency = :currency AND b.moment > :as_of
    ) AS valid_until
    FROM shop.items i LEFT JOIN shop.prices p ON p.item_no = i.item_no AND p.currency = :currency
        AND coalesce(p.valid_from <= :as_of, true) AND coalesce(p.valid_to > :as_of, true)
    WHERE i.item_no::text = ANY(:ids) AND NOT i.withdrawn -- one row for each id; it's not: 'why?'";

const SQLITE_ITEMS: &str = "
    SELECT i.item_no AS id, json_object(
        'item', i.item_no, 'name', CASE :locale WHEN 'de' THEN coalesce(i.name_de, i.name_en) ELSE i.name_en END,
        'maker', i.maker, 'price', p.amount, 'currency', :currency
    ) AS document, (
        SELECT min(b.moment) FROM (
            SELECT valid_from AS moment, item_no, currency FROM prices UNION ALL SELECT valid_to, item_no, currency FROM prices
        ) AS b WHERE b.item_no = i.item_no AND b.currency = :currency AND b.moment > :as_of
    ) AS valid_until
    FROM items AS i LEFT JOIN prices AS p ON p.item_no = i.item_no AND p.currency = :currency
        AND coalesce(p.valid_from <= :as_of, true) AND coalesce(p.valid_to > :as_of, true)
    WHERE i.item_no IN (SELECT value FROM json_each(:ids)) AND NOT i.withdrawn -- one row for each id; it's not: 'why?'";

const POSTGRES_CARDS: &str = "
    SELECT s.shelf AS id, json_build_object('shelf', s.shelf, 'items', json_agg(i.name_en ORDER BY s.place)) AS document
    FROM shop.shelves s JOIN shop.items i USING (item_no) WHERE s.shelf = ANY(:ids) GROUP BY s.shelf";

const SQLITE_CARDS: &str = "
    SELECT s.shelf AS id, json_object('shelf', s.shelf, 'items', json_group_array(s.name_en)) AS document
    FROM (SELECT shelf, name_en FROM shelves JOIN items USING (item_no) ORDER BY shelf, place) AS s
    WHERE s.shelf IN (SELECT value FROM json_each(:ids)) GROUP BY s.shelf";

/// A shop with its own tables beside ours.
struct OwnTables(Shop);

impl OwnTables {
    fn postgres() -> Self {
        let shop = Shop::postgres();
        shop.sql(POSTGRES_SCHEMA);
        OwnTables(shop)
    }

    fn sqlite() -> Self {
        let shop = Shop::sqlite();
        shop.sql(SQLITE_SCHEMA);
        OwnTables(shop)
    }

    fn by_dialect<'a>(&self, postgres: &'a str, sqlite: &'a str) -> &'a str {
        if self.0.is_sqlite() { sqlite } else { postgres }
    }

    fn items(&self) -> &'static str {
        self.by_dialect(POSTGRES_ITEMS, SQLITE_ITEMS)
    }

    /// A name that the shop gave a table.
    fn table(&self, name: &str) -> String {
        format!("{}{name}", self.by_dialect("shop.", ""))
    }

    /// A node's configuration: our products, this query for items, and list pages that live for a second.
    fn toml(&self, items: &str, rest: &str) -> String {
        let cards = self.by_dialect(POSTGRES_CARDS, SQLITE_CARDS);
        format!(
            "{}\n{rest}\n\
             [[namespace]]\nname = \"products\"\nkind = \"catalogue\"\n\
             [[namespace]]\nname = \"items\"\nkind = \"sql\"\nsql = \"\"\"{items}\"\"\"\n\
             variants = [{{ name = \"locale\", values = [\"en\", \"de\"] }}, {{ name = \"currency\", values = [\"EUR\", \"USD\"] }}]\n\
             [[namespace]]\nname = \"cards\"\nkind = \"sql\"\nsql = \"\"\"{cards}\"\"\"\nttl_soft_s = 1\nttl_hard_s = 1\njitter_percent = 0\n",
            self.0.toml()
        )
    }

    fn node(&self) -> Node {
        Node::start(&self.toml(self.items(), NO_L3))
    }
}

fn mug(name: &str, price: &str, currency: &str) -> Value {
    json!({"item": 7, "name": name, "maker": "Nordlicht", "price": price, "currency": currency})
}

#[track_caller]
fn etag(reply: &Reply) -> String {
    reply.must("etag").to_owned()
}

fn each_variant_is_a_document_of_its_own(shop: &OwnTables) {
    let node = shop.node();
    let wanted = [
        ("", mug("Mug", "12.50", "EUR")),
        ("?locale=de", mug("Becher", "12.50", "EUR")),
        ("?currency=USD", mug("Mug", "13.99", "USD")),
        ("?locale=de&currency=USD", mug("Becher", "13.99", "USD")),
    ];
    let mut etags = Vec::new();
    for (query, document) in &wanted {
        let reply = node.get(&format!("/v1/items/7{query}")).expect(200);
        assert_eq!(reply.tier(), "origin", "{query}: {reply}");
        assert_eq!(reply.json(), *document, "{query}");
        etags.push(etag(&reply));
    }
    for (at, (query, document)) in wanted.iter().enumerate() {
        let reply = node.get(&format!("/v1/items/7{query}")).expect(200);
        assert_eq!(reply.tier(), "l1", "{query}: {reply}");
        assert_eq!(reply.json(), *document, "{query}");
        assert_eq!(etag(&reply), etags[at]);
        assert_eq!(etags.iter().filter(|&one| *one == etags[at]).count(), 1);
    }
    // However the same variant is written, it is the same document.
    for query in ["?currency=USD&locale=de", "?locale=de&currency=%55SD"] {
        let reply = node.get(&format!("/v1/items/7{query}")).expect(200);
        assert_eq!((reply.tier(), etag(&reply)), ("l1", etags[3].clone()));
    }
    assert_eq!(node.get("/v1/items/7?locale=en").expect(200).tier(), "l1");
    assert_eq!(node.origin_documents(), 4.0);
    // A language that the shop has no text for, and a price that it does not have.
    let table = node.get("/v1/items/8?locale=de&currency=USD").expect(200);
    assert_eq!(table.json()["name"], "Café table");
    assert_eq!(table.json()["price"], Value::Null);
    // Ours are served beside them from the same database.
    assert_eq!(
        node.product("sku-0001").expect(200).json()["id"],
        "sku-0001"
    );
}

#[test]
fn each_variant_of_a_foreign_schema_is_a_document_of_its_own_in_postgres() {
    each_variant_is_a_document_of_its_own(&OwnTables::postgres());
}

#[test]
fn each_variant_of_a_foreign_schema_is_a_document_of_its_own_in_sqlite() {
    each_variant_is_a_document_of_its_own(&OwnTables::sqlite());
}

fn what_is_not_there_and_what_is_not_declared(shop: &OwnTables) {
    let node = shop.node();
    // Never there, withdrawn, no number, and numbers written in another way.
    for id in [
        "12",
        "9",
        "mug",
        "07",
        "7.0",
        "%207",
        "99999999999999999999",
        "7'--",
    ] {
        let reply = node.get(&format!("/v1/items/{id}"));
        if id == "%207" {
            assert_eq!(reply.expect(400).code(), "invalid");
            continue;
        }
        assert_eq!(reply.expect(404).code(), "absent", "{id}");
    }
    let reply = node.get("/v1/items/12").expect(404);
    assert_eq!(reply.tier(), "l1", "an absent item is remembered");
    for (query, field, way_out) in [
        ("?locale=fr", "locale", "en, de"),
        ("?currency=eur", "currency", "EUR, USD"),
        ("?color=red", "color", "locale, currency"),
        ("?locale=de&locale=de", "locale", "twice"),
    ] {
        let reply = node.get(&format!("/v1/items/7{query}")).expect(400);
        assert_eq!(reply.code(), "invalid");
        let errors = reply.json()["errors"].clone();
        assert_eq!(errors[0]["field"], field, "{errors}");
        assert!(
            errors[0]["reason"].as_str().unwrap().contains(way_out),
            "{errors}"
        );
    }
    // A namespace without dimensions refuses all of them.
    let reply = node.get("/v1/cards/kitchen?locale=de").expect(400);
    assert_eq!(reply.json()["errors"][0]["field"], "locale");
}

#[test]
fn a_missing_item_is_404_and_an_undeclared_variant_400_in_postgres() {
    what_is_not_there_and_what_is_not_declared(&OwnTables::postgres());
}

#[test]
fn a_missing_item_is_404_and_an_undeclared_variant_400_in_sqlite() {
    what_is_not_there_and_what_is_not_declared(&OwnTables::sqlite());
}

fn a_batch_has_one_variant(shop: &OwnTables) {
    let node = shop.node();
    node.get("/v1/items/7").expect(200);
    let body = r#"{"ids": ["8", "12", "7", "8", "mug"], "variant": {"locale": "de"}}"#;
    let reply = node.post("/v1/items:batchGet", body).expect(200);
    let results = reply.json()["results"].clone();
    let results = results.as_array().unwrap();
    let of = |name: &str| -> Vec<Value> { results.iter().map(|one| one[name].clone()).collect() };
    assert_eq!(of("id"), ["8", "12", "7", "8", "mug"]);
    assert_eq!(
        of("status"),
        ["present", "absent", "present", "present", "absent"]
    );
    assert_eq!(results[2]["document"], mug("Becher", "12.50", "EUR"));
    assert_eq!(results[0]["document"]["name"], "Café table");
    assert!(
        of("tier").iter().all(|tier| tier == "origin"),
        "{results:?}"
    );
    // The single read fetched one document, the batch four: each distinct id once.
    assert_eq!(node.origin_documents(), 5.0);
    let list = node.get("/v1/items?ids=8,7&locale=de").expect(200).json();
    assert_eq!(
        list["results"][1]["document"],
        mug("Becher", "12.50", "EUR")
    );
    assert_eq!(list["results"][1]["tier"], "l1");
    assert_eq!(node.origin_documents(), 5.0);
    let refused = node.post(
        "/v1/items:batchGet",
        r#"{"ids": ["7"], "variant": {"locale": "fr"}}"#,
    );
    assert_eq!(refused.expect(400).code(), "invalid");
}

#[test]
fn a_batch_over_a_foreign_schema_has_one_variant_in_postgres() {
    a_batch_has_one_variant(&OwnTables::postgres());
}

#[test]
fn a_batch_over_a_foreign_schema_has_one_variant_in_sqlite() {
    a_batch_has_one_variant(&OwnTables::sqlite());
}

/// Nobody records the changes of these tables, so the namespace's TTL is what bounds the age of an answer.
fn a_changed_row_is_seen_after_the_ttl(shop: &OwnTables) {
    let node = shop.node();
    let kitchen = || node.get("/v1/cards/kitchen").expect(200);
    assert_eq!(kitchen().json()["items"], json!(["Café table", "Mug"]));
    node.get("/v1/items/7").expect(200);
    shop.0.sql(&format!(
        "UPDATE {} SET name_en = 'Big mug' WHERE item_no = 7",
        shop.table("items")
    ));
    let changed = stopwatch();
    wait_until("the list page shows the new name", SOON, || {
        let began = changed.elapsed();
        let reply = kitchen();
        let is_new = reply.json()["items"][1] == "Big mug";
        let late = began > Duration::from_millis(1000 + SLACK_MS);
        assert!(is_new || !late || reply.is_stale(), "{began:?}: {reply}");
        is_new
    });
    let reply = node.get("/v1/items/7").expect(200);
    let (name, tier) = (reply.json()["name"].clone(), reply.tier());
    assert_eq!(
        (name, tier),
        (json!("Mug"), "l1"),
        "its TTL is its namespace's, an hour"
    );
    // A shelf that is emptied goes, and one that is filled comes.
    shop.0.sql(&format!(
        "UPDATE {} SET shelf = 'bath'",
        shop.table("shelves")
    ));
    wait_until("the shelf is gone", SOON, || {
        node.get("/v1/cards/kitchen").status == 404
    });
    node.get("/v1/cards/bath").expect(200);
}

#[test]
fn a_changed_row_of_a_foreign_schema_is_seen_after_the_ttl_in_postgres() {
    a_changed_row_is_seen_after_the_ttl(&OwnTables::postgres());
}

#[test]
fn a_changed_row_of_a_foreign_schema_is_seen_after_the_ttl_in_sqlite() {
    a_changed_row_is_seen_after_the_ttl(&OwnTables::sqlite());
}

/// The query says until when a document holds, so the price flips without a write and long before its TTL.
fn a_scheduled_price_flips(shop: &OwnTables) {
    let node = shop.node();
    let flips_at = now_ms() + 4000;
    let (prices, moment) = (
        shop.table("prices"),
        shop.by_dialect("to_timestamp({} / 1000.0)", "{}")
            .replace("{}", &flips_at.to_string()),
    );
    shop.0.sql(&format!(
        "UPDATE {prices} SET valid_to = {moment} WHERE item_no = 8;
         INSERT INTO {prices} VALUES (8, 'EUR', 199.00, {moment}, NULL);"
    ));
    let first = node.get("/v1/items/8").expect(200);
    assert_eq!(first.json()["price"], "249.00");
    let held = node.get("/v1/items/8").expect(200);
    assert_eq!(held.tier(), "l1");
    assert!(held.ttl().is_some_and(|ttl| ttl <= 4), "{held}");
    wait_until("the price flips", SOON, || {
        let began = now_ms();
        let reply = node.get("/v1/items/8").expect(200);
        let price = reply.json()["price"]
            .as_str()
            .unwrap()
            .parse::<f64>()
            .unwrap();
        let is_late = began > flips_at + SLACK_MS;
        assert!(price < 200.0 || !is_late || reply.is_stale(), "{reply}");
        assert!(
            price > 200.0 || now_ms() + SLACK_MS > flips_at,
            "too early: {reply}"
        );
        price < 200.0
    });
    let after = node.get("/v1/items/8").expect(200);
    assert!(
        after.ttl().is_none_or(|ttl| ttl > 60),
        "nothing more is scheduled: {after}"
    );
}

#[test]
fn a_scheduled_price_of_a_foreign_schema_flips_without_a_write_in_postgres() {
    a_scheduled_price_flips(&OwnTables::postgres());
}

#[test]
fn a_scheduled_price_of_a_foreign_schema_flips_without_a_write_in_sqlite() {
    a_scheduled_price_flips(&OwnTables::sqlite());
}

/// The query of the next release: the same tables, another document.
fn next_query(query: &str) -> String {
    query.replace("'maker', i.maker", "'brand', i.maker")
}

#[test]
fn nodes_of_two_queries_share_redis_and_never_serve_each_others_bytes() {
    let shop = OwnTables::postgres();
    let redis = RedisServer::start().unwrap();
    let l2 = format!("{NO_L3}{}", l2(&redis));
    let start = |query: &str| Node::start(&shop.toml(query, &l2));
    let read = |node: &Node| node.get("/v1/items/7").expect(200);
    let old = start(shop.items());
    let first = read(&old);
    assert_eq!(first.json()["maker"], "Nordlicht");
    wait_until("the document is in Redis", SOON, || {
        redis.command(&["DBSIZE"]).unwrap() != "0"
    });
    // A rolling deploy: both run, and read the same key by turns.
    let new = start(&next_query(shop.items()));
    let renewed = read(&new);
    assert_eq!(renewed.tier(), "origin", "{renewed}");
    assert_eq!(renewed.json()["brand"], "Nordlicht");
    assert_eq!(renewed.json().get("maker"), None);
    assert_ne!(etag(&first), etag(&renewed));
    let conditional = [("if-none-match", first.must("etag"))];
    let unlike = new.get_with("/v1/items/7", &conditional);
    assert_eq!(
        unlike.status, 200,
        "another shape is never unchanged: {unlike}"
    );
    old.restart();
    new.restart();
    for (node, wanted) in [(&old, &first), (&new, &renewed)] {
        let reply = read(node);
        assert_eq!(reply.tier(), "l2", "{reply}");
        assert_eq!(
            (reply.body.clone(), etag(&reply)),
            (wanted.body.clone(), etag(wanted))
        );
    }
}

#[test]
fn a_changed_query_never_serves_what_the_old_one_left_in_l3() {
    let shop = OwnTables::sqlite();
    let node = Node::start(&shop.toml(shop.items(), L3));
    let first = node.get("/v1/items/7").expect(200);
    let restart_with = |query: &str| {
        // What is held in memory is written out when a node stops.
        assert!(node.stop().status.success());
        std::fs::write(node.dir().join("node.toml"), shop.toml(query, L3)).unwrap();
        node.restart();
        node.get("/v1/items/7").expect(200)
    };
    wait_until("the document is put to L3", SOON, || {
        node.metric(
            "hotshelf_puts_total",
            &[("tier", "l3"), ("outcome", "stored")],
        ) > 0.0
    });
    let renewed = restart_with(&next_query(shop.items()));
    assert_eq!(renewed.tier(), "origin", "{renewed}");
    assert_eq!(renewed.json()["brand"], "Nordlicht");
    let again = restart_with(shop.items());
    assert_eq!(
        again.tier(),
        "l3",
        "the first query's documents were there all the time: {again}"
    );
    assert_eq!(
        (again.body.clone(), etag(&again)),
        (first.body.clone(), etag(&first))
    );
}

fn a_query_that_the_database_refuses(shop: &OwnTables, column: &str) {
    let query = shop.items().replace("i.maker", &format!("i.{column}"));
    let node = Node::start(&shop.toml(&query, NO_L3));
    let reply = node.get("/v1/items/7").expect(503);
    assert_eq!(reply.code(), "origin_failed");
    assert!(reply.header("retry-after").is_some(), "{reply}");
    let detail = reply.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("items"), "{detail}");
    assert!(
        !detail.contains("SELECT"),
        "the query is nobody else's business: {detail}"
    );
    let batch = node
        .post("/v1/items:batchGet", r#"{"ids": ["7"]}"#)
        .expect(200);
    assert_eq!(batch.json()["results"][0]["status"], "unavailable");
    // Whoever wrote the query reads in the log what is wrong with it.
    wait_until("the log names the column", SOON, || {
        node.log().contains(column)
    });
    node.get("/v1/cards/kitchen").expect(200);
    node.product("sku-0001").expect(200);
}

#[test]
fn a_query_that_postgres_refuses_fails_its_namespace_alone_and_is_explained_in_the_log() {
    a_query_that_the_database_refuses(&OwnTables::postgres(), "makers");
}

#[test]
fn a_query_that_sqlite_refuses_fails_its_namespace_alone_and_is_explained_in_the_log() {
    a_query_that_the_database_refuses(&OwnTables::sqlite(), "makers");
}

#[test]
fn config_check_explains_each_broken_query() {
    let folder = folder();
    let check = |toml: &str| {
        std::fs::write(folder.path().join("node.toml"), toml).unwrap();
        hotshelf(folder.path(), &["config", "check", "--config", "node.toml"])
    };
    let namespace = |name: &str, sql: &str| {
        format!(
            "[[namespace]]\nname = \"{name}\"\nkind = \"sql\"\nsql = \"{sql}\"\n\
             variants = [{{ name = \"locale\", values = [\"en\"] }}]\n"
        )
    };
    let good = "SELECT value AS id, '1' AS document FROM json_each(:ids)";
    check(&namespace("items", good)).expect(0);
    for (sql, parts) in [
        (
            "SELECT '1' AS id, '1' AS document",
            &["namespace.items.sql", ":ids", "json_each(:ids)"][..],
        ),
        (
            "SELECT value AS id, :colour AS document FROM json_each(:ids)",
            &[
                "items",
                "unknown placeholder `:colour`",
                ":ids, :as_of, :locale",
            ],
        ),
        (
            "SELECT value AS id, '1' AS document FROM json_each(:ids); DROP TABLE items",
            &["items", "one `SELECT`"],
        ),
        (
            "SELECT value AS id, '1' AS document FROM json_each(:ids",
            &["items", "not closed"],
        ),
        (
            "SELECT value AS id, ?1 AS document FROM json_each(:ids)",
            &["items", "named ones"],
        ),
        (
            "SELECT ':ids' AS id, '1' AS document",
            &["items", "which ids"],
        ),
    ] {
        check(&namespace("items", sql)).expect(1).says(parts);
    }
    // Several broken queries are one report.
    let two = [
        namespace(
            "items",
            "SELECT value AS id, :colour AS document FROM json_each(:ids)",
        ),
        namespace(
            "cards",
            "SELECT value AS id, :size AS document FROM json_each(:ids)",
        ),
    ];
    check(&two.concat())
        .expect(1)
        .says(&["items", ":colour", "cards", ":size"]);
}

#[test]
fn a_query_may_lie_in_a_file_beside_the_configuration() {
    let shop = OwnTables::sqlite();
    let folder = folder();
    std::fs::write(folder.path().join("items.sql"), shop.items()).unwrap();
    let toml = shop.toml(shop.items(), NO_L3).replace(
        &format!("sql = \"\"\"{}\"\"\"", shop.items()),
        "sql_file = \"items.sql\"",
    );
    assert!(toml.contains("sql_file"));
    std::fs::write(folder.path().join("node.toml"), &toml).unwrap();
    let file = folder.path().join("node.toml");
    hotshelf(
        std::env::temp_dir().as_path(),
        &["config", "check", "--config", file.to_str().unwrap()],
    )
    .expect(0);
    std::fs::remove_file(folder.path().join("items.sql")).unwrap();
    let missing = hotshelf(folder.path(), &["config", "check", "--config", "node.toml"]);
    missing
        .expect(1)
        .says(&["namespace.items.sql_file", "items.sql", "cannot be opened"]);
}
