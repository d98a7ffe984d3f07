//! `hotshelf migrate`: a shop's own tables, attached, followed and left without a trace.

use hotshelf_testkit::wait_until;
use hotshelf_tests::{Node, Shop};
use serde_json::json;

use crate::parts::{NO_L3, SOON};
use crate::program::{Run, folder, hotshelf};

/// A namespace over a table of the shop, attached to it.
fn toml(shop: &Shop, prefix: &str, ids: &str) -> String {
    format!(
        "{}{NO_L3}
[[namespace]]
name = \"items\"
kind = \"sql\"
tracked = true
sql = \"SELECT item_no AS id, '{{\\\"name\\\":\\\"' || name || '\\\"}}' AS document FROM {prefix}items WHERE item_no {ids}\"
[[namespace.attach]]
table = \"{prefix}items\"
keys = \"item_no\"
columns = [\"name\"]
",
        shop.toml()
    )
}

fn check(shop: &Shop, prefix: &str, ids: &str) {
    shop.sql(&format!(
        "CREATE TABLE {prefix}items (item_no text PRIMARY KEY, name text, seen text); \
         INSERT INTO {prefix}items VALUES ('7', 'Mug', '')"
    ));
    let toml = toml(shop, prefix, ids);
    let dir = folder();
    std::fs::write(dir.path().join("node.toml"), &toml).unwrap();
    let migrate = |args: &[&str]| -> Run {
        let args = [&["--config", "node.toml", "migrate"], args].concat();
        hotshelf(dir.path(), &args)
    };
    let planned = migrate(&["--dry-run"]).expect(0).stdout;
    assert!(
        planned.contains("TRIGGER") && planned.contains("hotshelf_attach_"),
        "{planned}"
    );
    assert_eq!(
        migrate(&["--dry-run"]).expect(0).stdout,
        planned,
        "it changed nothing"
    );
    assert!(
        migrate(&[])
            .expect(0)
            .stdout
            .contains("1 tables are attached")
    );
    assert!(
        migrate(&[])
            .expect(0)
            .stdout
            .contains("nothing was to be done")
    );

    let node = Node::start(&toml);
    let name = || node.get("/v1/items/7").expect(200).json()["name"].clone();
    assert_eq!(name(), json!("Mug"));
    shop.sql(&format!(
        "UPDATE {prefix}items SET name = 'Cup' WHERE item_no = '7'"
    ));
    wait_until("the node sees the change", SOON, || name() == json!("Cup"));
    drop(node);

    migrate(&["--detach"]).expect(0);
    assert!(
        migrate(&["--detach"])
            .expect(0)
            .stdout
            .contains("nothing was to be done")
    );
    migrate(&["--renew-history"]).expect(2);
    migrate(&["--renew-history", "--yes"]).expect(0);
    std::fs::write(
        dir.path().join("node.toml"),
        toml.replace("[\"name\"]", "[\"nome\"]"),
    )
    .unwrap();
    migrate(&[]).expect(1).says(&["has no column `nome`"]);
}

#[test]
fn a_table_in_postgres_is_attached_and_detached() {
    check(&Shop::postgres(), "public.", "= ANY (:ids)");
}

#[test]
fn a_table_in_sqlite_is_attached_and_detached() {
    check(
        &Shop::sqlite(),
        "",
        "IN (SELECT value FROM json_each(:ids))",
    );
}
