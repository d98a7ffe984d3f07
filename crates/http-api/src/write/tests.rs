//! Writes over HTTP: what is answered, what is refused, and that nothing is written then.

use std::sync::Arc;

use hotshelf_model::{AccessToken, ErrorKind, Role};
use hotshelf_testkit::wait_until_async;
use http::Method;
use sha2::{Digest, Sha256};

use crate::testing::{LIMIT, Reply, Shop};
use crate::{Access, HttpSettings, Writing};

const PATH: &str = "/v1/products/lamp";
const LAMP: &str = r#"{"title":"Lamp"}"#;

impl Shop {
    async fn put(&self, body: &str, headers: &[(&str, &str)]) -> Reply {
        let headers = [&[("content-type", "application/json")], headers].concat();
        self.send(Method::PUT, PATH, &headers, body).await
    }

    async fn patch(&self, body: &str, headers: &[(&str, &str)]) -> Reply {
        let headers = [&[("content-type", "application/merge-patch+json")], headers].concat();
        self.send(Method::PATCH, PATH, &headers, body).await
    }

    async fn delete(&self, headers: &[(&str, &str)]) -> Reply {
        self.send(Method::DELETE, PATH, headers, "").await
    }
}

#[tokio::test]
async fn a_write_says_its_version_and_a_read_with_it_sees_it() {
    let shop = Shop::open().await;
    let created = shop.put(LAMP, &[]).await;
    assert_eq!(
        (created.status, created.header("cache-control")),
        (http::StatusCode::CREATED, "no-store")
    );
    let version = created.header("hotshelf-version").to_owned();
    let expected = serde_json::json!({"id": "lamp", "version": version, "status": "created"});
    assert_eq!(created.json(), expected);
    let read = shop
        .get_with(PATH, &[("hotshelf-min-version", &version)])
        .await;
    assert_eq!(
        (
            read.json()["title"].as_str(),
            read.header("hotshelf-version")
        ),
        (Some("Lamp"), &*version)
    );
    let same = shop.put(LAMP, &[]).await;
    assert_eq!(
        (same.status.as_u16(), same.json()["status"].as_str()),
        (200, Some("unchanged"))
    );
    assert_eq!(same.header("hotshelf-version"), version);
    let patched = shop
        .patch(r#"{"title":"Torch"}"#, &[("hotshelf-if-version", &version)])
        .await;
    assert_eq!(
        (patched.status.as_u16(), patched.json()["status"].as_str()),
        (200, Some("updated"))
    );
    let deleted = shop.delete(&[]).await;
    assert_eq!(
        (deleted.status.as_u16(), deleted.json()["status"].as_str()),
        (200, Some("deleted"))
    );
    let version = deleted.header("hotshelf-version").to_owned();
    let read = shop
        .get_with(PATH, &[("hotshelf-min-version", &version)])
        .await;
    assert_eq!(
        (read.code(), read.header("hotshelf-version")),
        ("absent".to_owned(), &*version)
    );
    let again = shop.delete(&[]).await;
    assert_eq!(
        (again.code(), again.status.as_u16()),
        ("absent".to_owned(), 404)
    );
    assert_eq!(again.header("hotshelf-version"), version);
}

#[tokio::test]
async fn a_condition_that_is_not_met_is_answered_with_the_present_version() {
    let shop = Shop::open().await;
    let created = shop.put(LAMP, &[("hotshelf-if-version", "0-0")]).await;
    let version = created.header("hotshelf-version").to_owned();
    for condition in ["0-0", "9-9"] {
        let reply = shop.put(LAMP, &[("hotshelf-if-version", condition)]).await;
        assert_eq!(
            (reply.code(), reply.status.as_u16()),
            ("version_mismatch".to_owned(), 412)
        );
        assert_eq!(
            (
                reply.json()["version"].as_str(),
                reply.header("hotshelf-version")
            ),
            (Some(&*version), &*version)
        );
    }
}

/// Method, path, headers, body, and what is answered.
const REFUSED: &[&str] = &[
    r#"PUT | /v1/products/lamp | | {"title":"a"} | 415 unsupported_media_type"#,
    r#"PUT | /v1/products/lamp | content-type: application/merge-patch+json | {"title":"a"} | 415 unsupported_media_type"#,
    r#"PUT | /v1/products/lamp | JSON, content-encoding: gzip | {"title":"a"} | 415 unsupported_media_type"#,
    r#"PATCH | /v1/products/lamp | content-type: text/plain | {"title":"a"} | 415 unsupported_media_type"#,
    r#"PUT | /v1/products/lamp | JSON | LONG | 413 body_too_large"#,
    r#"PUT | /v1/products/lamp | JSON | {} | 400 invalid"#,
    r#"PUT | /v1/products/lamp | JSON | {"title":"a","x":1} | 400 invalid"#,
    r#"PATCH | /v1/products/lamp | JSON | [] | 400 invalid"#,
    r#"PUT | /v1/products/lamp | JSON, if-match: * | {"title":"a"} | 400 invalid"#,
    r#"PUT | /v1/products/lamp | JSON, if-none-match: * | {"title":"a"} | 400 invalid"#,
    r#"DELETE | /v1/products/lamp | hotshelf-if-version: 7 | | 400 invalid"#,
    r#"PUT | /v1/products/lamp?locale=de | JSON | {"title":"a"} | 400 invalid"#,
    r#"PUT | /v1/products/ | JSON | {"title":"a"} | 400 invalid"#,
    r#"PUT | /v1/products/%20a | JSON | {"title":"a"} | 400 invalid"#,
    r#"PUT | /v1/nothing/lamp | JSON | {"title":"a"} | 404 unknown_namespace"#,
    r#"PUT | /v1/products | JSON | {"title":"a"} | 405 method_not_allowed"#,
];

#[tokio::test]
async fn what_is_malformed_is_refused_and_nothing_is_written() {
    let shop = Shop::open().await;
    let long = format!(r#"{{"title":"a","description":"{}"}}"#, "x".repeat(300_000));
    for line in REFUSED {
        let parts: Vec<&str> = line.split('|').map(str::trim).collect();
        let [method, path, headers, body, expected] = parts[..] else {
            panic!("{line}");
        };
        let headers = headers.replace("JSON", "content-type: application/json");
        let headers: Vec<(&str, &str)> = headers
            .split(", ")
            .filter_map(|header| header.split_once(": "))
            .collect();
        let body = if body == "LONG" { &long } else { body };
        let reply = shop
            .send(method.parse().unwrap(), path, &headers, body)
            .await;
        let answered = format!("{} {}", reply.status.as_u16(), reply.code());
        assert_eq!(answered, expected, "{line}");
    }
    assert_eq!(shop.writer.asked(), []);
    let json = [("content-type", "application/json; charset=utf-8")];
    let created = shop.send(Method::PUT, PATH, &json, LAMP).await;
    assert_eq!(created.status.as_u16(), 201);
}

#[tokio::test]
async fn a_foreign_namespace_is_not_written_here() {
    let shop = Shop::with_writing(|writing| Writing {
        products: [].into(),
        ..writing
    })
    .await;
    let reply = shop.put(LAMP, &[]).await;
    assert_eq!(
        (reply.code(), reply.status.as_u16()),
        ("writes_off".to_owned(), 405)
    );
    assert_eq!(reply.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn only_a_writer_writes() {
    let shop = |access: Access| Shop::with_writing(|writing| Writing { access, ..writing });
    let closed = shop(Access::default()).await;
    let reply = closed.put(LAMP, &[]).await;
    assert_eq!(
        (reply.code(), reply.status.as_u16()),
        ("no_token".to_owned(), 403)
    );
    assert!(
        reply.json()["detail"]
            .as_str()
            .unwrap()
            .contains("auth.tokens")
    );
    let token = |role: Role| AccessToken {
        name: role.to_string(),
        role,
        sha256: Sha256::digest(role.as_str()).into(),
    };
    let guarded = shop(Access {
        tokens: Role::ALL.map(token).into(),
        ..Access::default()
    })
    .await;
    for (value, status) in [
        ("", 401),
        ("Bearer nobody", 401),
        ("Bearer viewer", 403),
        ("Bearer writer", 201),
    ] {
        let reply = guarded.put(LAMP, &[("authorization", value)]).await;
        assert_eq!(reply.status.as_u16(), status, "{value}");
        let asks = reply.header("www-authenticate").starts_with("Bearer");
        assert_eq!(asks, status == 401, "{value}");
    }
    assert_eq!(guarded.writer.asked().len(), 1);
    // Reads need none.
    assert_eq!(guarded.get("/v1/products/a").await.status.as_u16(), 200);
}

#[tokio::test]
async fn one_write_too_many_is_shed_and_the_others_end() {
    let settings = HttpSettings {
        writes_max: 1,
        ..HttpSettings::default()
    };
    let shop = Arc::new(Shop::with_settings(settings).await);
    shop.writer.writes.hold();
    let first = tokio::spawn({
        let shop = Arc::clone(&shop);
        async move { shop.put(LAMP, &[]).await }
    });
    let places = || shop.state.writes.permits.available_permits();
    wait_until_async("the first is under way", LIMIT, async || places() == 0).await;
    let second = shop.put(LAMP, &[]).await;
    assert_eq!(
        (second.code(), second.header("retry-after")),
        ("shed".to_owned(), "1")
    );
    shop.writer.writes.release();
    assert_eq!(first.await.unwrap().status.as_u16(), 201);
    assert_eq!(places(), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_stops_no_write() {
    let shop = Arc::new(Shop::open().await);
    shop.writer.writes.hold();
    let gone = tokio::spawn({
        let shop = Arc::clone(&shop);
        async move { shop.put(LAMP, &[]).await }
    });
    let places = || shop.state.writes.permits.available_permits();
    let all = shop.state.settings.writes_max;
    wait_until_async("it is under way", LIMIT, async || places() == all - 1).await;
    gone.abort();
    shop.writer.writes.release();
    wait_until_async("it is written", LIMIT, async || places() == all).await;
    assert_eq!(shop.get(PATH).await.json()["title"], "Lamp");
}

#[tokio::test]
async fn a_failure_says_whether_something_was_written() {
    for (kind, status, code) in [
        (ErrorKind::OriginFailed, 503, "origin_failed"),
        (ErrorKind::OriginTimeout, 504, "origin_timeout"),
        (ErrorKind::WriteUnknown, 504, "write_unknown"),
        (ErrorKind::Invalid, 400, "invalid"),
        (ErrorKind::Internal, 500, "internal"),
    ] {
        let shop = Shop::open().await;
        shop.writer.fail(kind);
        let reply = shop.put(LAMP, &[]).await;
        assert_eq!(
            (reply.code(), reply.status.as_u16()),
            (code.to_owned(), status)
        );
    }
}
