//! A shop's own tables, which no trigger watches.

use hotshelf_model::{Dimension, ErrorKind, NamespaceName, Origin, VariantSchema, Version};

use super::shop::{Shop, fetch_from, id, json, shop};
use crate::{Dialect, NamespaceQuery, SqlOrigin, SqlSettings};

fn cards() -> NamespaceName {
    NamespaceName::new("cards").unwrap()
}

fn variants() -> VariantSchema {
    let words = |words: [&str; 2]| words.map(str::to_owned);
    let dimension = |name, values| Dimension::new(name, &words(values)).unwrap();
    VariantSchema::new(vec![
        dimension("locale", ["en", "de"]),
        dimension("sales-channel", ["web", "app"]),
    ])
    .unwrap()
}

/// Two languages in a table of the shop's, with ids that are numbers.
fn query(dialect: Dialect) -> NamespaceQuery {
    let sql = match dialect {
        Dialect::Postgres => {
            "SELECT sku::text AS id, json_build_object('name', name, 'channel', :sales_channel) AS document
             FROM public.article JOIN public.article_text USING (sku) -- each :locale has a row
             WHERE sku::text = ANY(:ids) AND locale = :locale;"
        }
        Dialect::Sqlite => {
            "SELECT sku AS id, json_object('name', name, 'channel', :sales_channel) AS document
             FROM article JOIN article_text USING (sku) -- each :locale has a row
             WHERE sku IN (SELECT value FROM json_each(:ids)) AND locale = :locale;"
        }
    };
    NamespaceQuery {
        variants: variants(),
        ..NamespaceQuery::new(cards(), sql)
    }
}

async fn shop_with_articles(dialect: Dialect, name: &str) -> Shop {
    let shop = shop(dialect, name, vec![query(dialect)]).await;
    let schema = match dialect {
        Dialect::Postgres => "public.",
        Dialect::Sqlite => "",
    };
    shop.sql(&format!(
        "CREATE TABLE {schema}article (sku INTEGER PRIMARY KEY);
         CREATE TABLE {schema}article_text (sku INTEGER NOT NULL, locale TEXT NOT NULL, name TEXT NOT NULL);
         INSERT INTO {schema}article VALUES (7), (8);
         INSERT INTO {schema}article_text VALUES (7, 'en', 'Mug'), (7, 'de', 'Becher'), (8, 'en', 'Cup')"
    ))
    .await;
    shop
}

#[tokio::test]
async fn a_foreign_table_is_read_by_its_own_query_with_variants() {
    for dialect in [Dialect::Postgres, Dialect::Sqlite] {
        let shop = shop_with_articles(dialect, "articles").await;
        let variant = "locale=de;sales-channel=app";
        let fetch = fetch_from(&shop.origin, &cards(), variant, &["8", "7", "no number"]).await;
        let fetch = fetch.unwrap();
        let documents: Vec<_> = fetch.documents.into_iter().map(Result::unwrap).collect();
        assert_eq!(documents[0].body, None);
        assert_eq!(
            json(&documents[1]),
            serde_json::json!({"name": "Becher", "channel": "app"})
        );
        assert_eq!(documents[2].body, None);
        assert!(fetch.head.is_some());
    }
}

#[tokio::test]
async fn versions_of_an_untracked_namespace_grow_and_none_is_recorded() {
    for dialect in [Dialect::Postgres, Dialect::Sqlite] {
        let shop = shop_with_articles(dialect, "untracked").await;
        let mut last = Version::NONE;
        for _ in 0..3 {
            let variant = "locale=en;sales-channel=web";
            let fetch = fetch_from(&shop.origin, &cards(), variant, &["7", "9"])
                .await
                .unwrap();
            let [one, other] = [0, 1].map(|index| fetch.documents[index].clone().unwrap().version);
            assert_eq!(one, other);
            assert!(one > last && one.0 < 1 << 62, "{one:?}");
            last = one;
        }
        let ids = [id("7")];
        let versions = shop.origin.versions(&cards(), &ids).await.unwrap();
        assert_eq!(versions.unwrap().versions, [Version::NONE]);
    }
}

/// Runs one query on a database without articles and gives the outcome for the id `a`.
async fn outcome(
    dialect: Dialect,
    name: &str,
    sql: &str,
) -> Result<Option<String>, (ErrorKind, String)> {
    let shop = shop(dialect, name, vec![NamespaceQuery::new(cards(), sql)]).await;
    let fetch = fetch_from(&shop.origin, &cards(), "", &["a"]).await;
    let failed = |error: hotshelf_model::Error| (error.kind(), format!("{error}: {error:?}"));
    let document = fetch.map_err(failed)?.documents.remove(0).map_err(failed)?;
    let text = document
        .body
        .map(|body| String::from_utf8(body.to_vec()).unwrap());
    Ok(document
        .valid_until
        .map(|until| format!("{until:?} {text:?}"))
        .or(text))
}

#[tokio::test]
async fn a_document_keeps_its_bytes_whatever_its_type() {
    let text = r#"{ "b" : 1.0,  "a":"é" }"#;
    for (name, sql) in [
        (
            "as_json",
            "SELECT unnest(:ids) AS id, $x${ \"b\" : 1.0,  \"a\":\"é\" }$x$::json AS document",
        ),
        (
            "as_text",
            "SELECT unnest(:ids) AS id, '{ \"b\" : 1.0,  \"a\":\"é\" }' AS document;",
        ),
        (
            "as_bytea",
            "SELECT unnest(:ids) AS id, convert_to('{ \"b\" : 1.0,  \"a\":\"é\" }', 'UTF8') AS document",
        ),
    ] {
        assert_eq!(
            outcome(Dialect::Postgres, name, sql).await,
            Ok(Some(text.to_owned())),
            "{name}"
        );
    }
    let jsonb = "SELECT unnest(:ids) AS id, '{\"a\":1}'::jsonb AS document";
    let normalised = Ok(Some("{\"a\": 1}".to_owned()));
    assert_eq!(
        outcome(Dialect::Postgres, "as_jsonb", jsonb).await,
        normalised
    );
    for sql in [
        "SELECT value AS id, '{ \"b\" : 1.0,  \"a\":\"é\" }' AS document FROM json_each(:ids)",
        "SELECT value AS id, CAST('{ \"b\" : 1.0,  \"a\":\"é\" }' AS BLOB) AS document FROM json_each(:ids)",
    ] {
        assert_eq!(
            outcome(Dialect::Sqlite, "", sql).await,
            Ok(Some(text.to_owned()))
        );
    }
}

#[tokio::test]
async fn valid_until_may_be_a_time_or_a_number_or_missing() {
    let expected = Ok(Some("DbTime(4000000000001) Some(\"1\")".to_owned()));
    for (name, until) in [
        ("until_number", "4000000000001"),
        ("until_time", "to_timestamp(4000000000.0019)"),
        (
            "until_local",
            "(to_timestamp(4000000000.001) AT TIME ZONE 'UTC')",
        ),
    ] {
        let sql = format!("SELECT unnest(:ids) AS id, '1' AS document, {until} AS valid_until");
        assert_eq!(
            outcome(Dialect::Postgres, name, &sql).await,
            expected,
            "{name}"
        );
    }
    let sql =
        "SELECT value AS id, '1' AS document, 4000000000001 AS valid_until FROM json_each(:ids)";
    assert_eq!(outcome(Dialect::Sqlite, "", sql).await, expected);
}

#[tokio::test]
async fn a_wrong_query_says_what_is_wrong() {
    let (postgres, sqlite) = (Dialect::Postgres, Dialect::Sqlite);
    for (dialect, name, sql, word) in [
        (
            postgres,
            "wrong_column",
            "SELECT unnest(:ids) AS id, '1' AS body",
            "document",
        ),
        (
            postgres,
            "wrong_json",
            "SELECT unnest(:ids) AS id, '{' AS document",
            "not JSON",
        ),
        (
            postgres,
            "two_rows",
            "SELECT unnest(:ids || :ids) AS id, '1' AS document",
            "more than one row",
        ),
        (
            sqlite,
            "",
            "SELECT value AS id, '1' AS body FROM json_each(:ids)",
            "document",
        ),
        (
            sqlite,
            "",
            "SELECT value AS id, 'x' AS document FROM json_each(:ids)",
            "not JSON",
        ),
        (
            sqlite,
            "",
            "SELECT a.value AS id, '1' AS document FROM json_each(:ids) a, json_each('[1,2]') b",
            "more than one row",
        ),
    ] {
        let (kind, text) = outcome(dialect, name, sql).await.unwrap_err();
        assert_eq!(kind, ErrorKind::OriginFailed);
        assert!(text.contains(word), "{sql}: {text}");
    }
}

#[tokio::test]
async fn a_variant_without_the_dimension_is_refused() {
    let shop = shop_with_articles(Dialect::Sqlite, "").await;
    let error = fetch_from(&shop.origin, &cards(), "locale=de", &["7"])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("sales-channel"), "{error}");
}

#[test]
fn settings_and_queries_are_checked_before_anything_is_connected() {
    let wrong = |url: &str, connections_max| {
        let settings = SqlSettings {
            url: url.to_owned(),
            connections_max,
            ..SqlSettings::default()
        };
        settings.problems()
    };
    assert_eq!(wrong("sqlite:a.db", 16), []);
    let fields = |problems: Vec<hotshelf_model::FieldProblem>| {
        problems
            .into_iter()
            .map(|problem| problem.field)
            .collect::<Vec<_>>()
    };
    assert_eq!(fields(wrong("mysql://x/y", 0)), ["url", "connections_max"]);
    assert_eq!(fields(wrong("sqlite::memory:", 16)), ["url"]);
    let query = NamespaceQuery::new(cards(), "SELECT 1 AS id, '1' AS document");
    let problem = query.check(Dialect::Postgres).unwrap_err();
    assert_eq!(problem.field, "sql");
    let error = SqlOrigin::connect_lazy(&SqlSettings::default(), vec![query]).unwrap_err();
    assert!(error.to_string().contains("`cards`"), "{error}");
}

#[test]
fn the_url_is_not_printed_because_it_may_hold_a_password() {
    let settings = SqlSettings {
        url: "postgres://u:secret@h/d".to_owned(),
        ..SqlSettings::default()
    };
    assert!(!format!("{settings:?}").contains("secret"));
}

#[test]
fn another_query_or_dimension_is_another_shape() {
    let dialect = Dialect::Postgres;
    let plain = NamespaceQuery::products(cards(), dialect, VariantSchema::default());
    let other = NamespaceQuery::products(cards(), dialect, variants());
    assert_ne!(plain.shape(), other.shape());
    assert_eq!(other.shape(), other.clone().shape());
}
