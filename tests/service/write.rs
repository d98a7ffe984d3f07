//! Writes as clients make them: durable, visible at once on the node that took them, and with their version on every other.

use hotshelf_testkit::wait_until;
use hotshelf_tests::{Load, Node, Reply, Shop};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::parts::{NO_L3, SOON};

const LAMP: &str = r#"{"title":"Lamp","brand":"Nordlicht","attributes":[["Colour","red"]],
    "prices":[{"currency":"EUR","list_minor":1999}],"stock":{"quantity":7}}"#;

fn write(node: &Node, method: &str, id: &str, body: &str, headers: &[(&str, &str)]) -> Reply {
    let headers = [&[("content-type", "application/json")], headers].concat();
    let path = format!("/v1/products/{id}");
    node.request(method, &path, &headers, body.as_bytes())
}

/// The shop's TOML with a token that may write, which is `secret`.
fn guarded(shop: &Shop) -> String {
    let hash: String = Sha256::digest("secret")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let token = format!(
        "[auth]\ntokens = [{{ name = \"shop\", role = \"writer\", sha256 = \"{hash}\" }}]\n"
    );
    shop.toml() + NO_L3 + &token
}

const TOKEN: (&str, &str) = ("authorization", "Bearer secret");

fn title_of(reply: &Reply) -> Value {
    reply.json()["title"].clone()
}

#[test]
fn a_node_sees_its_own_writes_at_once_and_after_a_restart() {
    let shop = Shop::sqlite();
    let node = Node::start(&(shop.toml() + NO_L3));
    node.product("lamp").expect(404);
    let created = write(&node, "PUT", "lamp", LAMP, &[]).expect(201);
    assert_eq!(created.json()["status"], "created");
    let read = node.product("lamp").expect(200);
    assert_eq!(
        (title_of(&read), read.header("hotshelf-version")),
        (json!("Lamp"), created.header("hotshelf-version"))
    );
    for round in 0..50 {
        let title = format!("Lamp {round}");
        let body = json!({ "title": title }).to_string();
        write(&node, "PATCH", "lamp", &body, &[]).expect(200);
        assert_eq!(title_of(&node.product("lamp").expect(200)), json!(title));
    }
    let read = node.product("lamp").expect(200).json();
    assert_eq!(
        (&read["brand"], &read["price"]["list_minor"]),
        (&json!("Nordlicht"), &json!(1999))
    );
    assert!(
        node.metric(
            "hotshelf_writes_total",
            &[("method", "patch"), ("outcome", "updated")]
        ) >= 50.0
    );
    node.kill();
    node.restart();
    assert_eq!(
        title_of(&node.product("lamp").expect(200)),
        json!("Lamp 49")
    );
    write(&node, "DELETE", "lamp", "", &[]).expect(200);
    assert_eq!(node.product("lamp").expect(404).code(), "absent");
    assert_eq!(
        write(&node, "DELETE", "lamp", "", &[]).expect(404).code(),
        "absent"
    );
}

#[test]
fn the_version_of_a_write_is_seen_on_every_node() {
    let shop = Shop::postgres();
    let nodes = [Node::start(&guarded(&shop)), Node::start(&guarded(&shop))];
    for round in 0..20 {
        let (writer, reader) = (&nodes[round % 2], &nodes[(round + 1) % 2]);
        reader.product("sku-0001").expect(200);
        let body = json!({ "title": format!("round {round}") }).to_string();
        let written = write(writer, "PATCH", "sku-0001", &body, &[TOKEN]).expect(200);
        let version = written.must("hotshelf-version");
        assert_eq!(
            title_of(&writer.product("sku-0001").expect(200)),
            json!(format!("round {round}"))
        );
        let headers = [("hotshelf-min-version", version)];
        let read = reader
            .get_with("/v1/products/sku-0001", &headers)
            .expect(200);
        assert_eq!(title_of(&read), json!(format!("round {round}")));
    }
}

#[test]
fn a_condition_is_kept_between_nodes() {
    let shop = Shop::postgres();
    let nodes = [Node::start(&guarded(&shop)), Node::start(&guarded(&shop))];
    let none = ("hotshelf-if-version", "0-0");
    let created = write(&nodes[0], "PUT", "new", LAMP, &[TOKEN, none]).expect(201);
    let version = created.must("hotshelf-version").to_owned();
    let refused = write(&nodes[1], "PUT", "new", LAMP, &[TOKEN, none]).expect(412);
    assert_eq!(refused.json()["version"], json!(version));
    let condition = ("hotshelf-if-version", version.as_str());
    let body = r#"{"title":"Once"}"#;
    write(&nodes[1], "PATCH", "new", body, &[TOKEN, condition]).expect(200);
    let refused = write(&nodes[0], "PATCH", "new", body, &[TOKEN, condition]).expect(412);
    assert_eq!(refused.code(), "version_mismatch");
}

#[test]
fn a_shared_database_is_written_only_with_a_token() {
    let shop = Shop::postgres();
    let open = Node::start(&(shop.toml() + NO_L3));
    assert_eq!(
        write(&open, "PUT", "lamp", LAMP, &[]).expect(403).code(),
        "no_token"
    );
    let node = Node::start(&guarded(&shop));
    assert_eq!(
        write(&node, "PUT", "lamp", LAMP, &[]).expect(401).code(),
        "unauthorized"
    );
    let wrong = ("authorization", "Bearer guess");
    write(&node, "DELETE", "sku-0001", "", &[wrong]).expect(401);
    node.product("sku-0001").expect(200);
    write(&node, "PUT", "lamp", LAMP, &[TOKEN]).expect(201);
    let page = ("origin", "https://elsewhere.example");
    let embedded = Node::start(NO_L3);
    assert_eq!(
        write(&embedded, "PUT", "lamp", LAMP, &[page])
            .expect(403)
            .code(),
        "forbidden"
    );
}

#[test]
fn a_product_that_changes_all_the_time_is_fetched_once_for_each_change() {
    const WRITES: u32 = 400;
    let shop = Shop::postgres();
    let nodes = [(); 2].map(|()| Node::start(&guarded(&shop)));
    write(&nodes[0], "PUT", "lamp", LAMP, &[TOKEN]).expect(201);
    for node in &nodes {
        wait_until("the node has seen the product", SOON, || {
            node.product("lamp").status == 200
        });
    }
    let before = [0, 1].map(|node: usize| nodes[node].origin_documents());
    let load = Load::start(&[&nodes[0], &nodes[1]], &["lamp".to_owned()], 8);
    for round in 0..WRITES {
        let node = &nodes[round as usize % 2];
        let body = json!({ "title": format!("Lamp {round}") }).to_string();
        write(node, "PATCH", "lamp", &body, &[TOKEN]).expect(200);
    }
    let last = json!(format!("Lamp {}", WRITES - 1));
    for node in &nodes {
        wait_until("the node has the last write", SOON, || {
            title_of(&node.product("lamp")) == last
        });
    }
    load.wait_reads(100);
    let counts = load.stop();
    assert_eq!(counts.failed() + counts.stale, 0, "{counts:?}");
    for (node, before) in nodes.iter().zip(before) {
        let fetched = node.origin_documents() - before;
        assert!(
            fetched <= f64::from(WRITES),
            "{fetched} for {WRITES} changes"
        );
    }
}

#[test]
fn bad_products_are_refused_with_every_problem_and_not_written() {
    let node = Node::start(NO_L3);
    let body =
        r#"{"title":"","price":{},"prices":[{"currency":"euro","list_minor":-1}],"colour":"red"}"#;
    let refused = write(&node, "PUT", "lamp", body, &[]).expect(400);
    let mut fields: Vec<String> = refused.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap().to_owned())
        .collect();
    fields.sort();
    assert_eq!(
        fields,
        [
            "colour",
            "price",
            "prices[0].currency",
            "prices[0].list_minor",
            "title"
        ]
    );
    node.product("lamp").expect(404);
    let large = format!(
        r#"{{"title":"a","description":"{}"}}"#,
        "x".repeat(300 << 10)
    );
    write(&node, "PUT", "lamp", &large, &[]).expect(413);
    node.product("lamp").expect(404);
}

#[test]
fn a_write_while_the_database_is_away_says_so_and_the_next_one_works() {
    let shop = Shop::own_postgres();
    let node = Node::start(&guarded(&shop));
    write(&node, "PUT", "lamp", LAMP, &[TOKEN]).expect(201);
    shop.server().kill();
    let failed = write(&node, "PATCH", "lamp", r#"{"title":"Torch"}"#, &[TOKEN]);
    assert!(
        ["write_unknown", "origin_failed", "origin_timeout"].contains(&failed.code().as_str()),
        "{failed}"
    );
    shop.server().restart().unwrap();
    wait_until("a write works again", SOON, || {
        write(&node, "PATCH", "lamp", r#"{"title":"Torch"}"#, &[TOKEN]).status == 200
    });
    assert_eq!(title_of(&node.product("lamp").expect(200)), json!("Torch"));
}

#[test]
fn posted_changes_make_a_node_look_again() {
    let shop = Shop::postgres();
    let node = Node::start(&guarded(&shop));
    let before = node.product("sku-0001").expect(200);
    let body = r#"{"changes":[{"namespace":"products","id":"sku-0001"}]}"#;
    let post = |headers: &[(&str, &str)]| {
        let headers = [&[("content-type", "application/json")], headers].concat();
        node.admin_request(
            "POST",
            "/admin/v1/changes?wait=applied",
            &headers,
            body.as_bytes(),
        )
    };
    post(&[]).expect(401);
    let posted = post(&[TOKEN]).expect(200);
    assert_eq!(posted.json()["status"], "applied");
    let after = node.product("sku-0001").expect(200);
    assert_eq!(
        json!(after.must("hotshelf-version")),
        posted.json()["versions"][0]
    );
    assert_ne!(
        after.must("hotshelf-version"),
        before.must("hotshelf-version")
    );
}
