//! Placeholders are found where they are meant, and nowhere else.

use hotshelf_model::Dimension;
use proptest::prelude::*;

use super::*;

fn variants() -> VariantSchema {
    let values = ["a".to_owned(), "b".to_owned()];
    let dimension = |name| Dimension::new(name, &values).unwrap();
    VariantSchema::new(vec![dimension("locale"), dimension("sales-channel")]).unwrap()
}

fn postgres(sql: &str) -> Result<Translated, String> {
    translate(sql, Dialect::Postgres, &variants())
}

fn sqlite(sql: &str) -> Result<Translated, String> {
    translate(sql, Dialect::Sqlite, &variants())
}

#[test]
fn placeholders_are_numbered_in_the_order_of_their_first_use() {
    let out =
        postgres("SELECT :sales_channel, :locale, :sales_channel WHERE id = ANY(:ids)").unwrap();
    assert_eq!(
        out.sql,
        "SELECT $5::text, $6::text, $5::text WHERE id = ANY($1::text[])"
    );
    assert_eq!(out.dimensions, ["sales-channel", "locale"]);
    let out = sqlite("SELECT :locale, :as_of FROM json_each(:ids)").unwrap();
    assert_eq!(
        out.sql,
        "SELECT ?5, (SELECT as_of FROM hotshelf_clock) FROM json_each(?1)"
    );
}

#[test]
fn what_only_looks_like_a_placeholder_is_left_alone() {
    for text in [
        "':nope'",
        "'it''s :nope'",
        "E'\\' :nope'",
        "\"a\"\":nope\"",
        "-- :nope\n1",
        "/* :nope /* :nope */ :nope */ 1",
        "$$ :nope ' $$",
        "$tag$ $$ :nope $tag$",
        "1::text",
        "a[1 : 2]",
        "a$1",
        "U&'\\0041 :nope'",
    ] {
        let out = postgres(&format!("SELECT {text}, :ids")).unwrap();
        assert_eq!(out.sql, format!("SELECT {text}, $1::text[]"));
    }
    for text in ["[a:nope]", "`a``:nope`", "/* /* :nope */ 1", "E'\\'"] {
        let out = sqlite(&format!("SELECT {text}, :ids")).unwrap();
        assert_eq!(out.sql, format!("SELECT {text}, ?1"));
    }
}

#[test]
fn an_unknown_placeholder_is_named_with_those_that_are_known() {
    let problem = postgres("SELECT :country WHERE id = ANY(:ids)").unwrap_err();
    assert!(problem.contains("`:country`"), "{problem}");
    assert!(
        problem.contains(":ids, :as_of, :locale, :sales_channel"),
        "{problem}"
    );
}

#[test]
fn a_query_without_ids_is_told_how_to_name_them() {
    assert!(
        postgres("SELECT 1 -- :ids")
            .unwrap_err()
            .contains("= ANY(:ids)")
    );
    assert!(
        sqlite("SELECT ':ids'")
            .unwrap_err()
            .contains("json_each(:ids)")
    );
}

#[test]
fn a_final_semicolon_is_dropped_and_a_second_statement_refused() {
    let out = postgres("SELECT :ids ; -- the end\n ; ").unwrap();
    assert_eq!(out.sql, "SELECT $1::text[] ");
    for sql in [
        "SELECT :ids; DELETE FROM product",
        "SELECT :ids; 'x'",
        "SELECT 1; SELECT :ids",
    ] {
        assert!(postgres(sql).unwrap_err().contains("one `SELECT`"), "{sql}");
    }
}

#[test]
fn what_is_malformed_is_refused() {
    for (sql, word) in [
        ("SELECT 'a, :ids", "not closed"),
        ("SELECT /* :ids", "not closed"),
        ("SELECT $x$ :ids", "not closed"),
        ("SELECT (:ids", "not closed"),
        ("SELECT :ids)", "not opened"),
        ("SELECT $1, :ids", "`$`"),
        (" ; ", "is empty"),
    ] {
        let problem = postgres(sql).unwrap_err();
        assert!(problem.contains(word), "{sql}: {problem}");
    }
    for sql in ["SELECT ?, :ids", "SELECT @a, :ids", "SELECT $a, :ids"] {
        assert!(sqlite(sql).unwrap_err().contains("named ones"), "{sql}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_scan_panic(sql in "[a-z:;$'\"/*\\-\\[\\]()?@`E\\\\ \n€]{0,40}") {
        for dialect in [Dialect::Postgres, Dialect::Sqlite] {
            let _outcome = translate(&sql, dialect, &variants());
        }
    }
}
