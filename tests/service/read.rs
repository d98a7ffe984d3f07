//! Reads as clients see them: headers, conditions, encodings, versions, batches, and changes made behind the node's back.

use std::io::Read as _;

use flate2::read::GzDecoder;
use hotshelf_model::product::Price;
use hotshelf_testkit::wait_until;
use hotshelf_tests::runtime::block_on;
use hotshelf_tests::{Address, Node, Reply, Shop, client, load, product};

use crate::parts::{NO_L3, SOON, field, title, token};

fn small_node(shop: &Shop) -> Node {
    Node::start(&(shop.toml() + NO_L3))
}

/// `timeline-sequence` in decimal.
fn is_token(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('-')
        .is_some_and(|(timeline, sequence)| digits(timeline) && digits(sequence))
}

#[test]
fn a_fetched_document_and_its_l1_hit_say_where_they_come_from() {
    let shop = Shop::sqlite();
    let node = small_node(&shop);

    let fetched = node.product("sku-0001").expect(200);
    assert_eq!(
        fetched.must("cache-status"),
        "hotshelf; fwd=miss; detail=origin"
    );
    assert_eq!(fetched.must("content-type"), "application/json");
    assert_eq!(
        fetched.must("content-length"),
        fetched.body.len().to_string()
    );
    assert_eq!(fetched.must("cache-control"), "no-cache");
    assert_eq!(fetched.must("vary"), "Accept-Encoding");
    assert!(is_token(fetched.must("hotshelf-version")), "{fetched}");
    let tag = fetched.must("etag").to_owned();
    let version = fetched.must("hotshelf-version");
    assert!(tag.starts_with(&format!("\"{version}-")), "{fetched}");
    assert!(load::belongs(&fetched, "sku-0001"), "{fetched}");

    let hit = node.product("sku-0001").expect(200);
    assert_eq!(hit.tier(), "l1", "{hit}");
    assert!(
        hit.must("cache-status").starts_with("hotshelf; hit; ttl="),
        "{hit}"
    );
    assert!(
        hit.ttl().is_some_and(|ttl| (0..=3600).contains(&ttl)),
        "{hit}"
    );
    let age: u64 = hit.must("age").parse().unwrap();
    assert!(
        age <= 2,
        "a fresh answer was proved within the bound: {hit}"
    );
    for same in ["etag", "hotshelf-version", "vary", "content-type"] {
        assert_eq!(hit.header(same), fetched.header(same), "{same}");
    }
    assert_eq!(hit.body, fetched.body);
    assert_eq!(hit.header("hotshelf-stale"), None);

    assert_eq!(node.origin_documents(), 1.0);
    let hits = [("tier", "l1"), ("outcome", "hit")];
    assert_eq!(node.metric("hotshelf_reads_total", &hits), 1.0);
    let fetches = [("class", "interactive"), ("outcome", "ok")];
    assert_eq!(node.metric("hotshelf_origin_fetches_total", &fetches), 1.0);
}

#[test]
fn a_conditional_request_is_answered_304_until_the_document_changes() {
    let shop = Shop::sqlite();
    let node = small_node(&shop);
    let first = node.product("sku-0002").expect(200);
    let tag = first.must("etag");

    let current = [
        tag.to_owned(),
        format!("W/{tag}"),
        format!("\"x\", {tag}"),
        "*".to_owned(),
    ];
    for held in current {
        let reply = node.get_with("/v1/products/sku-0002", &[("if-none-match", &held)]);
        let reply = reply.expect(304);
        assert_eq!(reply.header("etag"), Some(tag));
        assert_eq!(reply.must("cache-control"), "no-cache");
        assert_eq!(reply.must("vary"), "Accept-Encoding");
        assert!(reply.body.is_empty());
    }
    let other = node.get_with("/v1/products/sku-0002", &[("if-none-match", "\"1-1-0-0\"")]);
    assert_eq!(other.expect(200).body, first.body);

    shop.rename("sku-0002", "Renamed");
    let ask = || node.get_with("/v1/products/sku-0002", &[("if-none-match", tag)]);
    wait_until("the old tag no longer matches", SOON, || {
        ask().status == 200
    });
    let changed = ask().expect(200);
    assert_eq!(title(&changed), "Renamed");
    assert_ne!(changed.must("etag"), tag);
}

#[test]
fn each_encoding_has_its_own_tag_and_decodes_to_the_same_document() {
    let shop = Shop::sqlite();
    let node = small_node(&shop);
    let path = "/v1/products/sku-0003";
    let ask = |accept: &str| {
        node.get_with(path, &[("accept-encoding", accept)])
            .expect(200)
    };

    let plain = node.get(path).expect(200);
    let zstd = ask("gzip, deflate, br, zstd");
    assert_eq!(zstd.must("content-encoding"), "zstd");
    assert_eq!(zstd::decode_all(zstd.body.as_slice()).unwrap(), plain.body);
    let gzip = ask("gzip");
    assert_eq!(gzip.must("content-encoding"), "gzip");
    let mut decoded = Vec::new();
    GzDecoder::new(gzip.body.as_slice())
        .read_to_end(&mut decoded)
        .unwrap();
    assert_eq!(decoded, plain.body);
    for small in [&zstd, &gzip] {
        assert!(small.body.len() < plain.body.len());
        assert_eq!(small.must("content-length"), small.body.len().to_string());
        assert_eq!(small.must("vary"), "Accept-Encoding");
    }
    let tags = [plain.must("etag"), zstd.must("etag"), gzip.must("etag")];
    assert!(
        tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2],
        "{tags:?}"
    );

    for (accept, encoding) in [
        ("zstd;q=0, gzip", Some("gzip")),
        ("gzip;q=1, zstd;q=0.5", Some("gzip")),
        ("identity", None),
        ("br", None),
        ("*;q=0", None),
        ("", None),
    ] {
        assert_eq!(ask(accept).header("content-encoding"), encoding, "{accept}");
    }
    let held = [("accept-encoding", "gzip"), ("if-none-match", tags[2])];
    let unchanged = node.get_with(path, &held).expect(304);
    assert_eq!(unchanged.header("etag"), Some(tags[2]));
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let shop = Shop::sqlite();
    let node = small_node(&shop);
    let path = "/v1/products/sku-0004";
    let fetched = node.request("HEAD", path, &[], b"").expect(200);
    assert_eq!(fetched.tier(), "origin", "{fetched}");

    for accept in ["identity", "gzip"] {
        let headers = [("accept-encoding", accept)];
        let get = node.get_with(path, &headers).expect(200);
        let head = node.request("HEAD", path, &headers, b"").expect(200);
        assert!(head.body.is_empty());
        for name in [
            "content-length",
            "content-type",
            "content-encoding",
            "etag",
            "vary",
        ] {
            assert_eq!(head.header(name), get.header(name), "{name} with {accept}");
        }
    }
    let absent = node
        .request("HEAD", "/v1/products/none", &[], b"")
        .expect(404);
    assert_eq!(absent.must("content-type"), "application/problem+json");
}

#[test]
fn a_version_token_gets_that_version_or_newer_or_a_clear_refusal() {
    let shop = Shop::postgres();
    let node = small_node(&shop);
    let ask = |id: &str, token: &str| {
        node.get_with(
            &format!("/v1/products/{id}"),
            &[("hotshelf-min-version", token)],
        )
    };
    let old = node.product("sku-0005").expect(200);
    let old_token = old.must("hotshelf-version").to_owned();
    assert_eq!(ask("sku-0005", &old_token).expect(200).body, old.body);

    shop.rename("sku-0005", "Just written");
    let version = shop.sql("SELECT ver FROM hotshelf.cache_version WHERE key = 'sku-0005'");
    let new_token = token(&version);
    let new = ask("sku-0005", &new_token).expect(200);
    assert_eq!(
        title(&new),
        "Just written",
        "a writer reads its own write at once"
    );
    assert_eq!(new.must("hotshelf-version"), new_token);
    assert_eq!(
        title(&ask("sku-0005", &old_token).expect(200)),
        "Just written"
    );
    assert_eq!(ask("sku-0005", "0-999999").expect(200).body, new.body);

    let unknown = ask("sku-0005", "1-1000000000").expect(412);
    assert_eq!(unknown.code(), "version_unknown");
    let future_timeline = ask("sku-0005", "9-1").expect(412);
    assert_eq!(future_timeline.code(), "version_unknown");
    let late = ask("sku-0006", &new_token).expect(504);
    assert_eq!(
        late.code(),
        "version_timeout",
        "another product never had that version"
    );
    for bad in ["abc", "1", "1-", "-1", "1-2-3", "99999999999-1"] {
        let refused = ask("sku-0005", bad).expect(400);
        assert_eq!(
            refused.json()["errors"][0]["field"],
            "Hotshelf-Min-Version",
            "{bad}"
        );
    }
}

#[test]
fn an_absent_product_is_a_problem_that_says_what_is_known() {
    let shop = Shop::sqlite();
    let node = small_node(&shop);
    let first = node.product("nothing").expect(404);
    assert_eq!(first.code(), "absent");
    assert_eq!(first.tier(), "origin");
    let problem = first.json();
    assert_eq!(problem["status"], 404);
    assert_eq!(problem["title"], "Not Found");
    for name in ["type", "detail", "request_id"] {
        let text = problem[name].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "{name}: {first}");
    }
    let again = node.product("nothing").expect(404);
    assert_eq!(again.tier(), "l1");
    assert_eq!(again.code(), "absent");
    assert!(
        again
            .must("cache-status")
            .starts_with("hotshelf; hit; ttl=")
    );
    assert_eq!(again.must("cache-control"), "no-cache");
    assert!(is_token(again.must("hotshelf-version")));
    assert_eq!(node.origin_documents(), 1.0);

    let named = node.get_with("/v1/products/nothing", &[("x-request-id", "page-7")]);
    assert_eq!(named.must("x-request-id"), "page-7");
    assert_eq!(named.json()["request_id"], "page-7");
}

#[test]
fn a_product_that_comes_goes_and_comes_back_is_never_an_older_version() {
    let mut shop = Shop::sqlite();
    let node = small_node(&shop);
    let sequence = |reply: &Reply| -> u64 {
        let (_, sequence) = reply.must("hotshelf-version").split_once('-').unwrap();
        sequence.parse().unwrap()
    };
    node.product("sku-0777").expect(404);
    shop.put(&[product(777)]);
    wait_until("the product is there", SOON, || {
        node.product("sku-0777").status == 200
    });
    let came = sequence(&node.product("sku-0777"));
    shop.sql("DELETE FROM product WHERE id = 'sku-0777'");
    wait_until("the product is gone", SOON, || {
        node.product("sku-0777").status == 404
    });
    let gone = sequence(&node.product("sku-0777"));
    shop.put(&[product(777)]);
    wait_until("the product is back", SOON, || {
        node.product("sku-0777").status == 200
    });
    let back = sequence(&node.product("sku-0777"));
    assert!(came < gone && gone < back, "{came} {gone} {back}");

    shop.put(&[product(777)]);
    shop.rename("sku-0778", "nobody");
    shop.rename("sku-0001", "Somebody");
    wait_until("the head has moved", SOON, || {
        title(&node.product("sku-0001")) == "Somebody"
    });
    assert_eq!(
        sequence(&node.product("sku-0777")),
        back,
        "writing the same again is no change"
    );
}

fn results(reply: &Reply) -> Vec<serde_json::Value> {
    reply.json()["results"].as_array().unwrap().clone()
}

#[test]
fn a_batch_answers_each_id_in_its_place_and_by_itself() {
    let shop = Shop::sqlite();
    let node = small_node(&shop);
    let known = node.product("sku-0010").expect(200);
    let version = known.must("hotshelf-version");
    let body = format!(
        r#"{{"ids": ["sku-0012", "none", "sku-0010", "sku-0012", "", "a/../b", {{"id": "sku-0010", "if_version": "{version}"}}, {{"id": "sku-0012", "if_version": "{version}"}}]}}"#
    );
    let reply = node.post("/v1/products:batchGet", &body).expect(200);
    let results = results(&reply);
    let statuses: Vec<&str> = results
        .iter()
        .map(|result| result["status"].as_str().unwrap())
        .collect();
    assert_eq!(
        statuses,
        [
            "present",
            "absent",
            "present",
            "present",
            "unavailable",
            "absent",
            "unchanged",
            "present"
        ]
    );
    assert_eq!(results[0]["document"]["id"], "sku-0012");
    assert_eq!(results[0]["tier"], "origin");
    assert_eq!(results[3], results[0], "a duplicate is answered in place");
    assert_eq!(results[2]["tier"], "l1");
    assert_eq!(results[2]["document"], known.json());
    assert_eq!(results[2]["version"], version);
    assert_eq!(results[2]["stale_s"], 0);
    assert_eq!(results[4]["error"]["code"], "invalid");
    assert!(results[6].get("document").is_none());
    assert!(results[1].get("document").is_none());
    assert_eq!(
        reply.must("cache-status"),
        "hotshelf; fwd=miss; detail=batch"
    );
    let interactive = [("class", "interactive"), ("outcome", "ok")];
    let statements = node.metric("hotshelf_origin_fetches_total", &interactive);
    assert_eq!(
        statements, 2.0,
        "one for the single read, one for the rest of the batch"
    );

    let again = node.post("/v1/products:batchGet", &body).expect(200);
    let hits = again.json()["results"].as_array().unwrap().clone();
    assert!(
        hits.iter()
            .all(|hit| hit["status"] == "unavailable" || hit["tier"] == "l1"),
        "{again}"
    );
}

#[test]
fn a_batch_in_the_url_reads_encoded_ids() {
    let mut shop = Shop::sqlite();
    let mut odd = product(1);
    "a,b/c %".clone_into(&mut odd.id);
    shop.put(&[odd]);
    let node = small_node(&shop);
    let reply = node
        .get("/v1/products?ids=sku-0001,a%2Cb%2Fc%20%25,none")
        .expect(200);
    let results = results(&reply);
    assert_eq!(results.len(), 3);
    assert_eq!(results[0]["document"]["id"], "sku-0001");
    assert_eq!(results[1]["id"], "a,b/c %");
    assert_eq!(results[1]["document"]["id"], "a,b/c %");
    assert_eq!(results[2]["status"], "absent");
    let single = node.get("/v1/products/a%2Cb%2Fc%20%25").expect(200);
    assert_eq!(single.tier(), "l1");

    let all: Vec<&str> = shop.ids()[..200].iter().map(String::as_str).collect();
    let reply = node
        .get(&format!("/v1/products?ids={}", all.join(",")))
        .expect(200);
    let documents = reply.json()["results"].as_array().unwrap().clone();
    assert_eq!(documents.len(), 200);
    assert!(
        documents
            .iter()
            .zip(&all)
            .all(|(result, id)| result["document"]["id"] == **id)
    );
}

#[test]
fn variants_have_documents_of_their_own() {
    let mut shop = Shop::sqlite();
    let mut both = product(900);
    both.prices.push(Price {
        currency: "USD".to_owned(),
        list_minor: 2199,
        ..both.prices[0].clone()
    });
    shop.put(&[both]);
    let variants = "[[namespace]]\nname = \"products\"\nkind = \"catalogue\"\nvariants = [{ name = \"currency\", values = [\"EUR\", \"USD\"] }]\n";
    let node = Node::start(&(shop.toml() + NO_L3 + variants));
    let euros = node.get("/v1/products/sku-0900").expect(200);
    let dollars = node.get("/v1/products/sku-0900?currency=USD").expect(200);
    assert_eq!(field(&euros, "price")["list_minor"], 1999);
    assert_eq!(field(&dollars, "price")["list_minor"], 2199);
    assert_eq!(
        euros.must("hotshelf-version"),
        dollars.must("hotshelf-version")
    );
    assert_ne!(euros.must("etag"), dollars.must("etag"));
    let named = node.get("/v1/products/sku-0900?currency=EUR").expect(200);
    assert_eq!(
        named.tier(),
        "l1",
        "the default by its name is the same key"
    );
    let batch = node.post(
        "/v1/products:batchGet",
        r#"{"ids": ["sku-0900"], "variant": {"currency": "USD"}}"#,
    );
    assert_eq!(results(&batch)[0]["document"]["price"]["list_minor"], 2199);
    assert_eq!(results(&batch)[0]["tier"], "l1");
}

fn change_is_seen(shop: &Shop) {
    let node = small_node(shop);
    let before = node.product("sku-0020").expect(200);
    let other = node.product("sku-0021").expect(200);
    let documents = node.origin_documents();
    shop.rename("sku-0020", "Changed by SQL");
    wait_until("the change is seen", SOON, || {
        title(&node.product("sku-0020")) == "Changed by SQL"
    });
    let after = node.product("sku-0020").expect(200);
    assert_ne!(
        after.must("hotshelf-version"),
        before.must("hotshelf-version")
    );
    let same = node.product("sku-0021").expect(200);
    for name in ["hotshelf-version", "etag"] {
        assert_eq!(same.header(name), other.header(name), "{name}");
    }
    assert_eq!(same.body, other.body);
    assert_eq!(
        node.origin_documents() - documents,
        1.0,
        "an unchanged document is checked by its version and not fetched again"
    );

    let price = shop.table("price");
    shop.sql(&format!(
        "UPDATE {price} SET list_minor = 1 WHERE product_id = 'sku-0021'"
    ));
    wait_until("a new price is seen", SOON, || {
        field(&node.product("sku-0021"), "price")["list_minor"] == 1
    });
    let stock = shop.table("stock");
    shop.sql(&format!(
        "UPDATE {stock} SET quantity = 0 WHERE product_id = 'sku-0021'"
    ));
    wait_until("an empty stock is seen", SOON, || {
        field(&node.product("sku-0021"), "availability") == "out_of_stock"
    });
}

#[test]
fn a_change_in_postgresql_is_seen_and_unchanged_documents_are_kept() {
    change_is_seen(&Shop::postgres());
}

#[test]
fn a_change_in_sqlite_is_seen_and_unchanged_documents_are_kept() {
    change_is_seen(&Shop::sqlite());
}

#[test]
fn the_description_health_and_metrics_are_where_they_belong() {
    let shop = Shop::sqlite();
    let node = small_node(&shop);
    let description = node.get("/openapi.json").expect(200).json();
    let format = description["openapi"].as_str().unwrap();
    assert!(format.starts_with("3.1"), "{format}");
    for path in [
        "/v1/{namespace}/{id}",
        "/v1/{namespace}:batchGet",
        "/v1/{namespace}",
        "/readyz",
    ] {
        assert!(description["paths"].get(path).is_some(), "{path}");
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(node.get(path).expect(200).must("cache-control"), "no-store");
        node.admin(path).expect(200);
    }
    node.admin("/metrics").expect(200);
    assert_eq!(node.get("/metrics").expect(404).code(), "unknown_route");
    assert_eq!(
        node.admin("/v1/products/sku-0001").expect(404).code(),
        "unknown_route"
    );
}

#[test]
fn a_unix_socket_serves_what_the_port_serves() {
    let shop = Shop::sqlite();
    let node = Node::start(&(shop.toml() + NO_L3 + "[http]\nunix_socket = \"api.sock\"\n"));
    let socket = Address::Unix(node.dir().join("api.sock"));
    let ask = |path: &str| client::request(&socket, "GET", path, &[], b"").unwrap();
    let fetched = ask("/v1/products/sku-0001").expect(200);
    assert!(load::belongs(&fetched, "sku-0001"));
    let hit = node.product("sku-0001").expect(200);
    assert_eq!(hit.tier(), "l1");
    assert_eq!(hit.body, fetched.body);
    ask("/readyz").expect(200);

    node.stop();
    node.restart();
    ask("/v1/products/sku-0001").expect(200);
}

#[test]
fn http_2_is_spoken_without_an_upgrade() {
    let shop = Shop::sqlite();
    let node = small_node(&shop);
    block_on(async {
        let client = reqwest::Client::builder()
            .http2_prior_knowledge()
            .build()
            .unwrap();
        let ask = |id: &str| client.get(node.url(&format!("/v1/products/{id}"))).send();
        let one = ask("sku-0001").await.unwrap();
        assert_eq!(one.version(), reqwest::Version::HTTP_2);
        assert_eq!(one.status(), 200);
        assert_eq!(
            one.headers()["cache-status"],
            "hotshelf; fwd=miss; detail=origin"
        );
        let document: serde_json::Value = one.json().await.unwrap();
        assert_eq!(document["id"], "sku-0001");
        let hit = ask("sku-0001").await.unwrap();
        assert!(
            hit.headers()["cache-status"]
                .to_str()
                .unwrap()
                .ends_with("detail=l1")
        );
        let absent = ask("none").await.unwrap();
        assert_eq!(absent.status(), 404);
    });
}
