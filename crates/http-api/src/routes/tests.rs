//! The routes over a real engine.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_model::{ErrorKind, VersionToken};
use hotshelf_testkit::{ManualClock, wait_until_async};
use http::Method;
use serde_json::{Value, json};

use crate::HttpSettings;
use crate::testing::{LIMIT, Reply, Shop, answer, long_document};

#[tokio::test]
async fn a_miss_is_fetched_and_then_hit_in_l1_with_the_same_bytes() {
    let shop = Shop::open().await;
    let miss = shop.get("/v1/products/a").await;
    assert_eq!(
        (miss.status.as_u16(), &miss.body[..]),
        (200, br#"{"id":"a"}"#.as_slice())
    );
    assert_eq!(
        miss.header("cache-status"),
        "hotshelf; fwd=miss; detail=origin"
    );
    let hit = shop.get("/v1/products/a").await;
    assert_eq!(hit.status, 200);
    assert_eq!(hit.body, miss.body);
    let cache_status = hit.header("cache-status");
    assert!(
        cache_status.starts_with("hotshelf; hit; ttl=") && cache_status.ends_with("; detail=l1"),
        "{cache_status}"
    );
    assert_eq!(hit.header("content-type"), "application/json");
    assert_eq!(hit.header("cache-control"), "no-cache");
    assert_eq!(hit.header("vary"), "Accept-Encoding");
    assert_eq!(hit.header("age"), "0");
    assert_eq!(hit.header("etag"), miss.header("etag"));
    let version: VersionToken = hit.header("hotshelf-version").parse().unwrap();
    assert!(
        hit.header("etag")
            .starts_with(&format!("\"{version}-1a2b3c4d-")),
        "{hit:?}"
    );
    for absent in ["hotshelf-stale", "content-encoding", "x-request-id"] {
        assert!(!hit.headers.contains_key(absent), "{absent}");
    }
}

#[tokio::test]
async fn ids_and_variants_come_from_the_url() {
    let shop = Shop::open().await;
    shop.origin.put("v", r#""{variant}""#);
    assert_eq!(shop.get("/v1/products/a%2Fb").await.body, r#"{"id":"a/b"}"#);
    assert_eq!(shop.get("/v1/products/v").await.body, r#""locale=en""#);
    assert_eq!(
        shop.get("/v1/products/v?locale=de").await.body,
        r#""locale=de""#
    );
    for (path, field) in [
        ("/v1/products/", "id"),
        ("/v1/products/%FF", "id"),
        ("/v1/products/%2E", "id"),
        ("/v1/products/a?locale=fr", "locale"),
        ("/v1/products/a?color=red", "color"),
        ("/v1/products/a?locale=de&locale=en", "locale"),
        ("/v1/products/a?locale=%F", "query"),
    ] {
        let reply = shop.get(path).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (400, "invalid"),
            "{path}"
        );
        assert_eq!(reply.json()["errors"][0]["field"], field, "{path}");
    }
    let long = "x".repeat(129);
    assert_eq!(shop.get(&format!("/v1/products/{long}")).await.status, 400);
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_bytes() {
    let shop = Shop::open().await;
    let get = shop.get("/v1/products/a").await;
    for _ in 0..2 {
        let head = shop.send(Method::HEAD, "/v1/products/a", &[], "").await;
        assert_eq!(head.status, 200);
        assert_eq!(head.header("content-length"), get.body.len().to_string());
        assert_eq!(head.header("etag"), get.header("etag"));
        assert!(head.body.is_empty());
    }
    let absent = shop.send(Method::HEAD, "/v1/products/none", &[], "").await;
    assert_eq!(absent.status, 404);
    assert!(absent.body.is_empty() && absent.header("content-length") != "0");
}

#[tokio::test]
async fn a_copy_that_is_current_is_confirmed_with_the_same_headers() {
    let shop = Shop::open().await;
    let first = shop.get("/v1/products/a").await;
    let etag = first.header("etag").to_owned();
    for condition in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"x\", {etag}"),
        "*".to_owned(),
    ] {
        let reply = shop
            .get_with("/v1/products/a", &[("if-none-match", &condition)])
            .await;
        assert_eq!(reply.status, 304, "{condition}");
        assert!(reply.body.is_empty());
        for name in ["etag", "vary", "cache-control", "hotshelf-version"] {
            assert_eq!(reply.header(name), first.header(name), "{name}");
        }
        assert!(reply.header("cache-status").contains("; detail=l1"));
        assert_eq!(reply.header("age"), "0");
    }
    let reply = shop
        .get_with("/v1/products/a", &[("if-none-match", "\"other\"")])
        .await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn each_encoding_is_sent_under_its_own_tag() {
    let shop = Shop::open().await;
    let plain = shop.get("/v1/products/long").await;
    assert_eq!(plain.body, long_document());
    for (accepted, encoding, magic) in [
        ("gzip, zstd", "zstd", &b"\x28\xb5\x2f\xfd"[..]),
        ("gzip", "gzip", b"\x1f\x8b"),
    ] {
        let reply = shop
            .get_with("/v1/products/long", &[("accept-encoding", accepted)])
            .await;
        assert_eq!(reply.header("content-encoding"), encoding);
        assert!(reply.body.starts_with(magic) && reply.body.len() < plain.body.len());
        assert!(
            reply.header("etag").ends_with(&format!("-{encoding}\"")),
            "{reply:?}"
        );
        assert_eq!(reply.header("vary"), "Accept-Encoding");
        let etag = reply.header("etag").to_owned();
        let held = [("accept-encoding", accepted), ("if-none-match", &*etag)];
        assert_eq!(shop.get_with("/v1/products/long", &held).await.status, 304);
        assert_eq!(
            shop.get_with("/v1/products/long", &[("if-none-match", &etag)])
                .await
                .status,
            200,
            "another representation"
        );
    }
    let small = shop
        .get_with("/v1/products/a", &[("accept-encoding", "zstd")])
        .await;
    assert!(
        !small.headers.contains_key("content-encoding"),
        "too small to be worth it"
    );
}

#[tokio::test]
async fn an_absent_product_is_a_problem_that_says_what_is_known() {
    let shop = Shop::open().await;
    for detail in ["fwd=miss; detail=origin", "detail=l1"] {
        let reply = shop
            .get_with("/v1/products/none", &[("x-request-id", "r-1")])
            .await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (404, "absent")
        );
        assert!(reply.header("cache-status").ends_with(detail), "{reply:?}");
        assert_eq!(reply.header("hotshelf-version"), "0-0");
        assert_eq!(reply.header("age"), "0");
        assert_eq!(reply.header("cache-control"), "no-cache");
        assert_eq!(reply.json()["request_id"], "r-1");
        assert_eq!(reply.header("x-request-id"), "r-1");
    }
    shop.origin.remove("a");
    let gone = shop.get("/v1/products/a").await;
    assert_eq!(gone.status, 404);
    assert_ne!(
        gone.header("hotshelf-version"),
        "0-0",
        "a deletion has a version"
    );
}

#[tokio::test]
async fn a_client_cannot_force_a_read_of_the_origin() {
    let shop = Shop::open().await;
    shop.get("/v1/products/a").await;
    let headers = [
        ("cache-control", "no-cache, no-store, max-age=0"),
        ("pragma", "no-cache"),
    ];
    let reply = shop.get_with("/v1/products/a", &headers).await;
    assert!(reply.header("cache-status").contains("; hit;"), "{reply:?}");
}

#[tokio::test]
async fn a_request_id_is_repeated_and_a_mad_one_replaced() {
    let shop = Shop::open().await;
    for path in ["/v1/products/a", "/v1/products/a", "/v1/none/a", "/livez"] {
        assert_eq!(
            shop.get_with(path, &[("x-request-id", "abc")])
                .await
                .header("x-request-id"),
            "abc",
            "{path}"
        );
    }
    let reply = shop
        .get_with("/v1/none/a", &[("x-request-id", "a b")])
        .await;
    assert_eq!(reply.header("x-request-id"), reply.json()["request_id"]);
    assert_ne!(reply.header("x-request-id"), "a b");
}

#[tokio::test]
async fn a_token_is_met_by_its_version_refused_when_malformed_or_unknown() {
    let shop = Shop::open().await;
    let version = shop.origin.put("a", "2").token().to_string();
    wait_until_async("the version is known", LIMIT, async || {
        shop.get_with("/v1/products/a", &[("hotshelf-min-version", &version)])
            .await
            .body
            == "2"
    })
    .await;
    let hit = shop
        .get_with("/v1/products/a", &[("hotshelf-min-version", &version)])
        .await;
    assert!(hit.header("cache-status").contains("detail=l1"), "{hit:?}");
    for bad in ["", "3", "x-1", "3-1-1"] {
        let reply = shop
            .get_with("/v1/products/a", &[("hotshelf-min-version", bad)])
            .await;
        assert_eq!(reply.status, 400, "{bad}");
        assert_eq!(reply.json()["errors"][0]["field"], "Hotshelf-Min-Version");
    }
    let reply = shop
        .get_with(
            "/v1/products/a",
            &[("hotshelf-min-version", "1-1099511627775")],
        )
        .await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (412, "version_unknown")
    );
}

#[tokio::test]
async fn an_origin_that_fails_or_hangs_with_nothing_to_serve_is_a_503_or_504() {
    let shop = Shop::with_settings(HttpSettings {
        request_timeout: Duration::from_millis(50),
        ..HttpSettings::default()
    })
    .await;
    shop.origin.fail_fetches(ErrorKind::OriginFailed);
    let failed = shop.get("/v1/products/a").await;
    assert_eq!(
        (failed.status.as_u16(), failed.code().as_str()),
        (503, "origin_failed")
    );
    assert_eq!(failed.header("retry-after"), "1");
    assert_eq!(
        failed.header("cache-status"),
        "hotshelf; fwd=miss; detail=origin_failed"
    );
    assert_eq!(failed.header("cache-control"), "no-store");
    shop.origin.recover();
    shop.origin.requests.hold();
    let slow = shop.get("/v1/products/long").await;
    assert_eq!(
        (slow.status.as_u16(), slow.code().as_str()),
        (504, "origin_timeout")
    );
    shop.origin.requests.release();
}

#[tokio::test]
async fn a_stale_answer_is_labelled_for_clients_and_caches() {
    let clock = Arc::new(ManualClock::new());
    let shop = Shop::with_clock(&clock).await;
    shop.get("/v1/products/a").await;
    shop.origin.fail(ErrorKind::OriginFailed);
    clock.advance(Duration::from_secs(30));
    let reply = shop.get("/v1/products/a").await;
    assert_eq!(
        (reply.status.as_u16(), &reply.body[..]),
        (200, br#"{"id":"a"}"#.as_slice())
    );
    assert_eq!(reply.header("cache-control"), "no-store");
    let seconds: u64 = reply.header("hotshelf-stale").parse().unwrap();
    assert!((1..=31).contains(&seconds), "{reply:?}");
    assert!(
        reply
            .header("cache-status")
            .starts_with("hotshelf; hit; ttl=-"),
        "{reply:?}"
    );
    let batch = shop.batch(r#"{"ids": ["a"]}"#).await;
    assert_eq!(batch.header("cache-control"), "no-store");
    assert_eq!(
        batch.json()["results"][0]["stale_s"].to_string(),
        batch.header("hotshelf-stale")
    );
}

#[tokio::test]
async fn a_document_that_changes_by_time_alone_is_not_confirmed_by_its_old_tag() {
    let clock = Arc::new(ManualClock::new());
    let shop = Shop::with_clock(&clock).await;
    let now = shop.origin.now();
    let flip = now.plus(Duration::from_millis(500));
    shop.origin.schedule("sale", &[(now, "100"), (flip, "80")]);
    let before = shop.get("/v1/products/sale").await;
    assert_eq!(before.body, "100");
    clock.advance(Duration::from_secs(1));
    let etag = before.header("etag").to_owned();
    let after = shop
        .get_with("/v1/products/sale", &[("if-none-match", &etag)])
        .await;
    assert_eq!((after.status.as_u16(), &after.body[..]), (200, &b"80"[..]));
    assert_eq!(
        after.header("hotshelf-version"),
        before.header("hotshelf-version"),
        "nothing was written"
    );
    let held = json!({"ids": [{"id": "sale", "if_version": etag}]});
    assert_eq!(
        results(&shop.batch(&held.to_string()).await)[0]["status"],
        "present"
    );
}

#[tokio::test]
async fn what_is_no_route_or_method_is_a_problem() {
    let shop = Shop::open().await;
    for path in [
        "/",
        "/v1",
        "/v1/",
        "//v1/products/a",
        "/v1//a",
        "/v1/products//a",
        "/v1/products/a/",
        "/v2/products/a",
        "/metrics",
    ] {
        let reply = shop.get(path).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (404, "unknown_route"),
            "{path}"
        );
    }
    let unknown = shop.get("/v1/cards/a").await;
    assert_eq!(unknown.code(), "unknown_namespace");
    assert!(
        unknown.json()["detail"]
            .as_str()
            .unwrap()
            .contains("products")
    );
    for (method, path, allowed) in [
        (Method::POST, "/v1/products/a", "GET,HEAD,PUT,PATCH,DELETE"),
        (Method::DELETE, "/livez", "GET,HEAD"),
        (Method::PUT, "/v1/products", "GET,HEAD,POST"),
        (
            Method::OPTIONS,
            "/v1/products/a",
            "GET,HEAD,PUT,PATCH,DELETE",
        ),
    ] {
        let reply = shop.send(method, path, &[], "").await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (405, "method_not_allowed"),
            "{path}"
        );
        assert_eq!(reply.header("allow"), allowed, "{path}");
    }
    assert_eq!(
        shop.send(Method::POST, "/v1/products", &[], "{}")
            .await
            .code(),
        "unknown_route"
    );
    assert_eq!(
        shop.send(Method::POST, "/v1/cards:batchGet", &[], "{}")
            .await
            .code(),
        "unknown_namespace"
    );
    let long = shop
        .get(&format!("/v1/products/a?locale={}", "x".repeat(8 << 10)))
        .await;
    assert_eq!(
        (long.status.as_u16(), long.code().as_str()),
        (414, "url_too_long")
    );
}

fn results(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["results"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_batch_answers_in_order_and_no_id_spoils_it() {
    let shop = Shop::open().await;
    shop.origin.fail_id("broken", ErrorKind::OriginFailed);
    let a = shop.get("/v1/products/a").await;
    let reply = shop.batch(r#"{"ids": ["long", "none", "a", " \n", "a", "broken", "a/b"], "variant": {"locale": "en"}}"#).await;
    let results = results(&reply);
    let column = |name: &str| {
        results
            .iter()
            .map(|result| result[name].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        column("id"),
        ["long", "none", "a", " \n", "a", "broken", "a/b"]
    );
    assert_eq!(
        column("status"),
        [
            "present",
            "absent",
            "present",
            "unavailable",
            "present",
            "unavailable",
            "present"
        ]
    );
    assert_eq!(results[2]["document"], json!({"id": "a"}));
    assert_eq!(results[2], results[4], "duplicates are answered in place");
    assert_eq!(results[2]["version"], a.header("hotshelf-version"));
    assert_eq!(format!("{}", results[2]["etag"]), a.header("etag"));
    assert_eq!(
        (&results[2]["tier"], &results[2]["stale_s"]),
        (&json!("l1"), &json!(0))
    );
    assert_eq!(results[0]["tier"], "origin");
    assert_eq!(results[3]["error"]["code"], "invalid");
    assert_eq!(results[5]["error"]["code"], "origin_failed");
    assert!(results[1].get("document").is_none() && results[1]["version"] == "0-0");
    assert_eq!(
        reply.header("cache-status"),
        "hotshelf; fwd=miss; detail=batch"
    );
    assert_eq!(reply.header("content-type"), "application/json");
    let raw = String::from_utf8(reply.body.to_vec()).unwrap();
    assert!(
        raw.contains(&format!("\"document\":{}}}", long_document())),
        "the document's bytes are not touched"
    );
    let again = shop.batch(r#"{"ids": ["a", "long"]}"#).await;
    assert_eq!(again.header("cache-status"), "hotshelf; hit; detail=batch");
    assert_eq!(again.header("cache-control"), "no-cache");
}

#[tokio::test]
async fn what_the_client_holds_is_not_sent_again() {
    let shop = Shop::open().await;
    let a = shop.get("/v1/products/a").await;
    let version = a.header("hotshelf-version");
    let etag = a.header("etag");
    let body = json!({"ids": [
        {"id": "a", "if_version": version},
        {"id": "a", "if_version": etag.trim_matches('"')},
        {"id": "a", "if_version": etag},
        {"id": "a", "if_version": "9-9"},
        {"id": "none", "if_version": version},
    ]});
    let results = results(&shop.batch(&body.to_string()).await);
    let statuses: Vec<_> = results
        .iter()
        .map(|result| result["status"].as_str().unwrap())
        .collect();
    assert_eq!(
        statuses,
        ["unchanged", "unchanged", "unchanged", "present", "absent"]
    );
    assert!(results[0].get("document").is_none());
    assert_eq!(results[0]["version"], version);
}

#[tokio::test]
async fn a_list_in_the_url_is_answered_like_a_batch() {
    let shop = Shop::open().await;
    shop.origin.put("v,w", r#""{variant}""#);
    let reply = shop
        .get("/v1/products?ids=a,a%2Fb,v%2Cw,%zz,none&locale=de")
        .await;
    let results = results(&reply);
    let column = |name: &str| {
        results
            .iter()
            .map(|result| result[name].as_str().unwrap_or("-").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(column("id"), ["a", "a/b", "v,w", "%zz", "none"]);
    assert_eq!(
        column("status"),
        ["present", "present", "present", "unavailable", "absent"]
    );
    assert_eq!(results[2]["document"], "locale=de");
    assert_eq!(
        shop.get("/v1/products?ids=").await.json(),
        json!({"results": []})
    );
    for bad in [
        "/v1/products",
        "/v1/products?locale=de",
        "/v1/products?ids=a&color=red",
    ] {
        assert_eq!(shop.get(bad).await.code(), "invalid", "{bad}");
    }
}

#[tokio::test]
async fn a_batch_that_cannot_be_read_is_refused_as_a_whole() {
    let shop = Shop::open().await;
    let many: Vec<String> = (0..201).map(|number| number.to_string()).collect();
    let many = json!({"ids": many}).to_string();
    for (body, field) in [
        ("nonsense", "body"),
        (r#"{"ids": [1]}"#, "ids[0]"),
        (
            r#"{"ids": ["a"], "variant": {"locale": "fr"}}"#,
            "variant.locale",
        ),
        (many.as_str(), "ids"),
    ] {
        let reply = shop.batch(body).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (400, "invalid"),
            "{body}"
        );
        assert_eq!(reply.json()["errors"][0]["field"], field);
    }
    let large = shop.batch(&" ".repeat((256 << 10) + 1)).await;
    assert_eq!(
        (large.status.as_u16(), large.code().as_str()),
        (413, "body_too_large")
    );
    let token = shop
        .send(
            Method::POST,
            "/v1/products:batchGet",
            &[("hotshelf-min-version", "1-1")],
            r#"{"ids": ["a"]}"#,
        )
        .await;
    assert_eq!(token.status, 400);
}

#[tokio::test]
async fn documents_that_do_not_fit_the_answer_say_so_and_the_rest_is_answered() {
    let shop = Shop::with_settings(HttpSettings {
        batch_bytes_max: 64 << 10,
        ..HttpSettings::default()
    })
    .await;
    let document = format!("\"{}\"", "x".repeat(20 << 10));
    for id in ["1", "2", "3"] {
        shop.origin.put(id, document.clone());
    }
    let reply = shop.batch(r#"{"ids": ["1", "2", "3", "a"]}"#).await;
    let results = results(&reply);
    let statuses: Vec<_> = results
        .iter()
        .map(|result| result["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["present", "present", "unavailable", "present"]);
    assert_eq!(results[2]["error"]["code"], "answer_too_large");
    assert!(reply.body.len() <= 64 << 10);
}

#[tokio::test]
async fn a_batch_has_no_room_while_the_answers_to_others_are_not_taken() {
    let shop = Shop::with_settings(HttpSettings {
        batch_bytes_max: 64 << 10,
        batches_bytes_max: 100 << 10,
        ..HttpSettings::default()
    })
    .await;
    shop.origin
        .put("1", format!("\"{}\"", "x".repeat(60 << 10)));
    let ask = r#"{"ids": ["1"]}"#;
    let untaken = shop.batch(ask).await;
    assert_eq!(untaken.status, 200);
    let refused = shop.batch(ask).await;
    assert_eq!(refused.code(), "shed");
    assert_eq!(refused.header("retry-after"), "1");
    // What is small may still fit.
    assert_eq!(shop.batch(r#"{"ids": ["a"]}"#).await.status, 200);
    drop(untaken);
    assert_eq!(shop.batch(ask).await.status, 200);
}

#[tokio::test]
async fn a_node_is_ready_until_it_drains() {
    let shop = Shop::open().await;
    for front in [&shop.public, &shop.admin] {
        let live = answer(front, Method::GET, "/livez", &[], "").await;
        assert_eq!(
            (live.status.as_u16(), live.json()),
            (200, json!({"status": "live"}))
        );
        let ready = answer(front, Method::GET, "/readyz", &[], "").await;
        assert_eq!(
            (ready.status.as_u16(), &ready.json()["status"]),
            (200, &json!("ready"))
        );
        assert!(
            ["position", "timeline", "proof_age_ms"]
                .iter()
                .all(|field| ready.json()[field].is_u64()),
            "{ready:?}"
        );
    }
    shop.origin.fail(ErrorKind::OriginFailed);
    assert_eq!(
        shop.get("/readyz").await.status,
        200,
        "a shared dependency takes no node out"
    );
    shop.state.start_draining();
    let draining = shop.get("/readyz").await;
    assert_eq!(
        (draining.status.as_u16(), &draining.json()["status"]),
        (503, &json!("draining"))
    );
    assert_eq!(shop.get("/livez").await.status, 200);
}

#[tokio::test]
async fn the_admin_listener_has_metrics_and_no_documents() {
    let shop = Shop::open().await;
    shop.get("/v1/products/a").await;
    shop.get("/v1/products/a").await;
    let metrics = answer(&shop.admin, Method::GET, "/metrics", &[], "").await;
    assert_eq!(
        metrics.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    for line in [
        "hotshelf_http_requests_total{listener=\"public\",status=\"200\"}",
        "hotshelf_http_request_duration_seconds_bucket{listener=\"public\"",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert_eq!(
        answer(&shop.admin, Method::GET, "/v1/products/a", &[], "")
            .await
            .code(),
        "unknown_route"
    );
}

#[tokio::test]
async fn the_description_is_served() {
    let shop = Shop::open().await;
    let reply = shop.get("/openapi.json").await;
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.json()["openapi"], "3.1.0");
}

#[tokio::test]
async fn a_panicking_origin_is_an_answer_and_not_a_hang() {
    let shop = Shop::open().await;
    shop.origin.panic_once();
    let reply = shop.get("/v1/products/a").await;
    assert!(reply.status.is_server_error(), "{reply:?}");
    assert_eq!(shop.get("/v1/products/a").await.status, 200);
}
