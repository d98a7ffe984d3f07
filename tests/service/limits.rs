//! What is too large, too many, too slow or malformed is refused with a clear problem, and harms nobody else.

use std::time::Duration;

use hotshelf_testkit::wait_until;
use hotshelf_tests::{Connection, Load, Node, Reply, Shop, client, load, product};

use crate::parts::{L3, NO_L3, SOON};

const MIB: usize = 1 << 20;

fn small_node(shop: &Shop) -> Node {
    Node::start(&(shop.toml() + NO_L3))
}

/// The fields that a refusal names.
#[track_caller]
fn refused_fields(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 400, "{reply}");
    assert_eq!(reply.code(), "invalid", "{reply}");
    let problem = reply.json();
    let errors = problem["errors"].as_array().unwrap();
    assert!(!errors.is_empty(), "{reply}");
    for error in errors {
        assert!(
            error["reason"]
                .as_str()
                .is_some_and(|reason| reason.len() > 5),
            "{reply}"
        );
    }
    errors
        .iter()
        .map(|error| error["field"].as_str().unwrap().to_owned())
        .collect()
}

fn shop_with_a_large_document(bytes: usize) -> Shop {
    let mut shop = Shop::sqlite();
    let mut large = product(5000);
    large.description = Some("x".repeat(bytes));
    let mut twin = large.clone();
    "sku-5001".clone_into(&mut twin.id);
    shop.put(&[large, twin]);
    shop
}

#[test]
fn a_document_above_the_limit_is_refused_and_the_others_are_unharmed() {
    let shop = shop_with_a_large_document(10 * MIB);
    let node = Node::start(&(shop.toml() + L3));
    for _ in 0..2 {
        let refused = node.product("sku-5000").expect(502);
        assert_eq!(refused.code(), "too_large");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.contains("sku-5000") && detail.contains("1048576"),
            "{detail}"
        );
    }
    let batch = node
        .get("/v1/products?ids=sku-0001,sku-5000,sku-0002")
        .expect(200);
    let results = batch.json()["results"].as_array().unwrap().clone();
    assert_eq!(results[0]["document"]["id"], "sku-0001");
    assert_eq!(results[1]["status"], "unavailable");
    assert_eq!(results[1]["error"]["code"], "too_large");
    assert_eq!(results[2]["document"]["id"], "sku-0002");
    node.product("sku-0003").expect(200);
}

#[test]
fn documents_of_ten_mebibytes_are_served_where_they_are_allowed() {
    let shop = shop_with_a_large_document(10 * MIB);
    let allowed = "[[namespace]]\nname = \"products\"\nkind = \"catalogue\"\ndocument_bytes_max = 16000000\n[http]\nwrite_timeout_s = 2\n";
    let node = Node::start(&(shop.toml() + L3 + allowed));
    let fetched = node.product("sku-5000").expect(200);
    assert!(fetched.body.len() > 10 * MIB);
    assert!(load::belongs(&fetched, "sku-5000"));
    assert_eq!(node.product("sku-5000").expect(200).body, fetched.body);
    let zstd = node.get_with("/v1/products/sku-5000", &[("accept-encoding", "zstd")]);
    assert!(zstd.body.len() < MIB);

    let batch = node
        .get("/v1/products?ids=sku-5000,sku-5001,sku-0001")
        .expect(200);
    assert!(batch.body.len() <= 16 * MIB);
    let results = batch.json()["results"].as_array().unwrap().clone();
    assert_eq!(results[0]["status"], "present");
    assert_eq!(results[1]["status"], "unavailable");
    assert_eq!(results[1]["error"]["code"], "answer_too_large");
    assert_eq!(results[2]["document"]["id"], "sku-0001");

    let mut reader = Connection::open(&node.address()).unwrap();
    for _ in 0..4 {
        reader
            .send("GET", "/v1/products/sku-5000", &[], b"")
            .unwrap();
    }
    let slow = [("listener", "public"), ("reason", "reading")];
    wait_until("a client that does not read is cut off", SOON, || {
        node.metric("hotshelf_http_connections_slow_total", &slow) >= 1.0
    });
    node.product("sku-0002").expect(200);
}

#[test]
fn bad_ids_are_refused_with_their_field() {
    let shop = Shop::sqlite();
    let node = small_node(&shop);
    let long = "a".repeat(129);
    let wide = "%C3%A4".repeat(65);
    let bad = [
        "..",
        ".",
        "%2e%2e",
        "%2E",
        "%ff",
        "%c3%28",
        "%zz",
        "%",
        "%4",
        "%00",
        "%0a",
        "%7f",
        "%20x",
        "x%20",
        "%E2%80%A8x%20",
        long.as_str(),
        wide.as_str(),
    ];
    for id in bad {
        let reply = node.get(&format!("/v1/products/{id}"));
        assert_eq!(refused_fields(&reply), ["id"], "{id}");
        let listed = node
            .get(&format!("/v1/products?ids=sku-0001,{id}"))
            .expect(200);
        let results = listed.json()["results"].as_array().unwrap().clone();
        assert_eq!(results[0]["status"], "present", "{id}: {listed}");
        assert_eq!(results[1]["status"], "unavailable", "{id}: {listed}");
        assert_eq!(results[1]["error"]["code"], "invalid", "{id}: {listed}");
    }
    let empty = node.get("/v1/products/");
    assert_eq!(refused_fields(&empty), ["id"]);
    for good in [
        &long[..128],
        &wide[..64 * 6],
        "a%2Fb",
        "...",
        "%25",
        "a%20b",
        "%F0%9F%9B%92",
    ] {
        let reply = node.get(&format!("/v1/products/{good}")).expect(404);
        assert_eq!(reply.code(), "absent", "{good}");
    }
    assert_eq!(
        node.get("/v1/products/a/b").expect(404).code(),
        "unknown_route"
    );
    assert_eq!(
        node.get("/v1/products/../products/sku-0001")
            .expect(404)
            .code(),
        "unknown_route"
    );
}

#[test]
fn malformed_batches_are_refused_as_a_whole_with_the_path_of_each_problem() {
    let shop = Shop::sqlite();
    let node = small_node(&shop);
    let ids: Vec<String> = (0..201).map(|number| format!("\"i{number}\"")).collect();
    let many = format!("{{\"ids\": [{}]}}", ids.join(","));
    for (body, field) in [
        (many.as_str(), "ids"),
        ("{}", "ids"),
        ("{\"ids\": \"a\"}", "ids"),
        ("{\"ids\": [1]}", "ids[0]"),
        (
            "{\"ids\": [{\"id\": \"a\", \"if_version\": 3}]}",
            "ids[0].if_version",
        ),
        (
            "{\"ids\": [\"a\"], \"variant\": {\"locale\": \"de\"}}",
            "variant.locale",
        ),
        ("{\"ids\": [\"a\"], \"else\": 1}", "else"),
        ("[\"a\"]", "body"),
        ("{\"ids\": [\"a\"", "body"),
        ("", "body"),
    ] {
        let reply = node.post("/v1/products:batchGet", body);
        assert!(
            refused_fields(&reply).iter().any(|named| named == field),
            "{body}: {reply}"
        );
    }
    let listed: Vec<String> = (0..201).map(|number| format!("i{number}")).collect();
    let reply = node.get(&format!("/v1/products?ids={}", listed.join(",")));
    assert_eq!(refused_fields(&reply), ["ids"]);
    assert_eq!(refused_fields(&node.get("/v1/products")), ["ids"]);
    let nobody = node
        .post("/v1/products:batchGet", "{\"ids\": []}")
        .expect(200);
    assert_eq!(nobody.json()["results"], serde_json::json!([]));
    let deep = format!("{{\"ids\": {}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    refused_fields(&node.post("/v1/products:batchGet", &deep));
}

#[test]
fn undeclared_variants_routes_methods_and_namespaces_are_named() {
    let shop = Shop::sqlite();
    let variants = "[[namespace]]\nname = \"products\"\nkind = \"catalogue\"\nvariants = [{ name = \"currency\", values = [\"EUR\", \"USD\"] }]\n";
    let node = Node::start(&(shop.toml() + NO_L3 + variants));
    for (query, field) in [
        ("locale=de", "locale"),
        ("currency=CHF", "currency"),
        ("currency=EUR&currency=USD", "currency"),
        ("currency=%ff", "query"),
        ("x", "x"),
    ] {
        let reply = node.get(&format!("/v1/products/sku-0001?{query}"));
        assert_eq!(refused_fields(&reply), [field], "{query}");
    }
    let twenty = vec!["currency=EUR"; 20].join("&");
    refused_fields(&node.get(&format!("/v1/products/sku-0001?{twenty}")));

    let unknown = node.get("/v1/nothing/sku-0001").expect(404);
    assert_eq!(unknown.code(), "unknown_namespace");
    assert!(
        unknown.text().contains("products"),
        "known ones are named: {unknown}"
    );
    assert_eq!(
        node.post("/v1/nothing:batchGet", "{\"ids\":[]}")
            .expect(404)
            .code(),
        "unknown_namespace"
    );
    for path in ["/", "/v1", "/v2/products/a", "/favicon.ico"] {
        assert_eq!(node.get(path).expect(404).code(), "unknown_route", "{path}");
    }
    for (method, path) in [
        ("POST", "/v1/products/sku-0001"),
        ("GET", "/v1/products:batchGet"),
        ("POST", "/readyz"),
        ("BREW", "/openapi.json"),
    ] {
        let reply = node.request(method, path, &[], b"");
        assert!(
            matches!(reply.status, 400 | 404 | 405),
            "{method} {path}: {reply}"
        );
        reply.code();
        if reply.status == 405 {
            assert!(reply.must("allow").contains("GET"), "{reply}");
        }
    }
}

/// What a node answers to bytes that are no decent request; nothing if it only closes the connection.
fn answer_to(node: &Node, bytes: &[u8]) -> Option<Reply> {
    let mut connection = Connection::open(&node.address()).unwrap();
    // The node may close before everything is sent.
    connection.send_raw(bytes).ok();
    connection.read_reply("GET").ok()
}

#[test]
fn overlong_heads_and_bodies_are_cut_off() {
    let shop = Shop::sqlite();
    let node = small_node(&shop);
    let long = node.get(&format!("/v1/products?ids={}", "a".repeat(8192)));
    assert_eq!(long.expect(414).code(), "url_too_long");
    let head = format!(
        "GET /livez HTTP/1.1\r\nhost: a\r\nx-long: {}\r\n\r\n",
        "a".repeat(40_000)
    );
    let url = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(90_000));
    let many = format!(
        "GET /livez HTTP/1.1\r\nhost: a\r\n{}\r\n",
        "x-a: b\r\n".repeat(3000)
    );
    for bytes in [&head, &url, &many] {
        if let Some(reply) = answer_to(&node, bytes.as_bytes()) {
            assert!(matches!(reply.status, 400 | 414 | 431), "{reply}");
        }
    }
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0\0\0\0",
    ] {
        if let Some(reply) = answer_to(&node, bytes) {
            assert_eq!(reply.status, 400, "{reply}");
        }
    }
    let announced =
        b"POST /v1/products:batchGet HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\n{";
    let refused = answer_to(&node, announced).unwrap();
    assert_eq!(refused.expect(413).code(), "body_too_large");
    let mut streamed =
        b"POST /v1/products:batchGet HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec();
    for _ in 0..8 {
        streamed.extend_from_slice(b"10000\r\n");
        streamed.extend_from_slice(&vec![b' '; 65536]);
        streamed.extend_from_slice(b"\r\n");
    }
    if let Some(reply) = answer_to(&node, &streamed) {
        assert_eq!(reply.expect(413).code(), "body_too_large");
    }
    assert!(load::belongs(
        &node.product("sku-0001").expect(200),
        "sku-0001"
    ));
}

#[test]
fn a_flood_of_unknown_ids_evicts_no_document() {
    let shop = Shop::sqlite();
    let small = "[l1]\nbytes_max = 1048576\nabsent_bytes_max = 65536\n";
    let node = Node::start(&(shop.toml() + NO_L3 + small));
    let hot = &shop.ids()[..50];
    for id in hot {
        node.product(id).expect(200);
    }
    for flood in 0..100 {
        let ids: Vec<String> = (0..200)
            .map(|number| format!("no-{flood}-{number}"))
            .collect();
        let reply = node
            .get(&format!("/v1/products?ids={}", ids.join(",")))
            .expect(200);
        assert_eq!(reply.text().matches("\"absent\"").count(), 200);
    }
    for id in hot {
        assert_eq!(node.product(id).expect(200).tier(), "l1", "{id}");
    }
    wait_until("absent entries stay within their own room", SOON, || {
        node.metric("hotshelf_tier_bytes", &[("tier", "l1_absent")]) <= 65536.0 * 1.1
    });
}

#[test]
fn a_slow_client_is_cut_off() {
    let shop = Shop::sqlite();
    let bounds = "[http]\nheader_timeout_s = 1\nbody_timeout_s = 1\n";
    let node = Node::start(&(shop.toml() + NO_L3 + bounds));
    let mut half = Connection::open(&node.address()).unwrap();
    half.send_raw(b"GET /v1/products/sku-0001 HTTP/1.1\r\nhost: a\r\nx-half: ")
        .unwrap();
    let mut silent = Connection::open(&node.address()).unwrap();
    silent.send_raw(b"G").unwrap();
    let mut body = Connection::open(&node.address()).unwrap();
    body.send_raw(
        b"POST /v1/products:batchGet HTTP/1.1\r\nhost: a\r\ncontent-length: 20\r\n\r\n{\"ids\"",
    )
    .unwrap();
    let late = body.read_reply("POST").unwrap().expect(408);
    assert_eq!(late.code(), "body_too_slow");
    for mut slow in [half, silent] {
        slow.read_to_end().unwrap();
    }
    let heads = [("listener", "public"), ("reason", "head")];
    assert!(node.metric("hotshelf_http_connections_slow_total", &heads) >= 2.0);
    node.product("sku-0001").expect(200);
}

#[test]
fn thousands_of_idle_connections_are_held_within_bounds() {
    let shop = Shop::sqlite();
    let bounds = "[http]\nconnections_max = 3000\nidle_timeout_s = 4\n";
    let node = Node::start(&(shop.toml() + NO_L3 + bounds));
    let open = || Connection::open(&node.address()).unwrap();
    let mut idle: Vec<Connection> = (0..3000).map(|_| open()).collect();
    let connections = || node.metric("hotshelf_http_connections", &[("listener", "public")]);
    wait_until("all are open", SOON, || connections() >= 2990.0);
    let mut further = open();
    further.send("GET", "/livez", &[], b"").ok();
    assert!(
        further.read_reply("GET").is_err(),
        "one above the limit is closed"
    );
    assert!(
        node.metric(
            "hotshelf_http_connections_refused_total",
            &[("listener", "public")]
        ) >= 1.0
    );

    let kept = &mut idle[1500];
    kept.send("GET", "/v1/products/sku-0001", &[], b"").unwrap();
    assert!(load::belongs(
        &kept.read_reply("GET").unwrap().expect(200),
        "sku-0001"
    ));
    wait_until("idle connections are closed", SOON, || connections() == 0.0);
    drop(idle);
    let load = Load::start(&[&node], shop.ids(), 4);
    load.wait_reads(200);
    let counts = load.stop();
    assert_eq!(counts.failed(), 0, "{counts:?}");
    assert!(counts.slowest < Duration::from_secs(5));
    client::request(&node.address(), "GET", "/readyz", &[], b"").unwrap();
}

#[test]
fn a_node_that_is_about_to_stop_answers_until_balancers_have_noticed() {
    let shop = Shop::sqlite();
    let node = Node::start(&(shop.toml() + "[node]\ndrain_delay_s = 300\n"));
    node.product("sku-0001").expect(200);
    node.terminate();
    wait_until("the node says that it drains", SOON, || {
        node.get("/readyz").status == 503
    });
    // On connections of their own, as a balancer's checks and requests are.
    assert!(node.get("/readyz").text().contains("draining"));
    node.product("sku-0001").expect(200);
    node.admin("/readyz").expect(503);
    // Nobody has to wait for that.
    node.terminate();
    node.wait_end();
}
