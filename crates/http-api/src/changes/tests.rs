//! Posted changes over HTTP.

use http::Method;

use crate::testing::{Reply, Shop, answer};
use crate::{HttpSettings, Writing};

const PATH: &str = "/admin/v1/changes";

impl Shop {
    async fn post(&self, path: &str, body: &str) -> Reply {
        let headers = [("content-type", "application/json")];
        answer(&self.admin, Method::POST, path, &headers, body).await
    }
}

#[tokio::test]
async fn changes_are_recorded_and_waited_for() {
    let shop = Shop::open().await;
    let body = r#"{"changes":[{"namespace":"products","id":"a"},{"namespace":"products","id":"b"}],"bump":["products"]}"#;
    let reply = shop.post(PATH, body).await;
    assert_eq!(
        (reply.status.as_u16(), reply.json()["status"].as_str()),
        (202, Some("recorded"))
    );
    assert_eq!(reply.json()["versions"], serde_json::json!(["0-1", "0-1"]));
    assert_eq!(reply.json()["bumps"].as_array().unwrap().len(), 1);
    let reply = shop.post(&format!("{PATH}?wait=applied"), body).await;
    assert_eq!(
        (reply.status.as_u16(), reply.json()["status"].as_str()),
        (200, Some("applied"))
    );
    assert_eq!(shop.writer.posted().len(), 4);
}

#[tokio::test]
async fn a_node_that_cannot_apply_in_time_says_that_it_is_recorded() {
    let settings = HttpSettings {
        request_timeout: std::time::Duration::from_millis(50),
        ..HttpSettings::default()
    };
    let shop = Shop::with_settings(settings).await;
    shop.origin
        .fail_polls(hotshelf_model::ErrorKind::OriginFailed);
    let reply = shop
        .post(&format!("{PATH}?wait=applied"), r#"{"bump":["products"]}"#)
        .await;
    assert_eq!(
        (reply.code(), reply.status.as_u16()),
        ("not_applied".to_owned(), 504)
    );
}

#[tokio::test]
async fn what_is_malformed_is_refused_by_its_path_and_nothing_is_recorded() {
    let settings = HttpSettings {
        changes_max: 2,
        ..HttpSettings::default()
    };
    let shop = Shop::with_settings(settings).await;
    let a = r#"{"namespace":"products","id":"a"}"#;
    for (body, field) in [
        ("[]".to_owned(), "body"),
        ("{}".to_owned(), "changes"),
        (r#"{"changes":7}"#.to_owned(), "changes"),
        (format!(r#"{{"changes":[{a},{a},{a}]}}"#), "changes"),
        (r#"{"changes":[7]}"#.to_owned(), "changes[0]"),
        (
            r#"{"changes":[{"namespace":"nothing","id":"a"}]}"#.to_owned(),
            "changes[0].namespace",
        ),
        (
            r#"{"changes":[{"namespace":"products"}]}"#.to_owned(),
            "changes[0].id",
        ),
        (
            r#"{"changes":[{"namespace":"products","id":" a"}]}"#.to_owned(),
            "changes[0].id",
        ),
        (
            r#"{"changes":[{"namespace":"products","id":"a","version":1}]}"#.to_owned(),
            "changes[0].version",
        ),
        (
            r#"{"changes":[{"namespace":"products","id":"a","time":1}]}"#.to_owned(),
            "changes[0].time",
        ),
        (r#"{"bump":["nothing"]}"#.to_owned(), "bump[0]"),
        (r#"{"bump":[],"more":1}"#.to_owned(), "more"),
    ] {
        let reply = shop.post(PATH, &body).await;
        assert_eq!(reply.code(), "invalid", "{body}");
        assert_eq!(reply.json()["errors"][0]["field"], field, "{body}");
    }
    let reply = shop
        .post(
            &format!("{PATH}?wait=yes"),
            &format!(r#"{{"changes":[{a}]}}"#),
        )
        .await;
    assert_eq!(reply.json()["errors"][0]["field"], "query");
    assert_eq!(shop.writer.posted(), []);
}

#[tokio::test]
async fn a_service_of_the_shop_gives_the_versions_of_its_namespace() {
    let shop = Shop::with_writing(|writing| Writing {
        versioned_outside: [hotshelf_testkit::names::products()].into(),
        ..writing
    })
    .await;
    let change =
        |version: &str| format!(r#"{{"changes":[{{"namespace":"products","id":"a"{version}}}]}}"#);
    assert_eq!(
        shop.post(PATH, &change(r#","version":17"#)).await.json()["versions"][0],
        "0-17"
    );
    for version in [
        "",
        r#","version":-1"#,
        r#","version":"17""#,
        r#","version":9223372036854775808"#,
    ] {
        let reply = shop.post(PATH, &change(version)).await;
        assert_eq!(
            reply.json()["errors"][0]["field"],
            "changes[0].version",
            "{version}"
        );
    }
}

#[tokio::test]
async fn changes_need_a_writer_and_are_not_posted_to_the_public_listener() {
    let shop = Shop::with_writing(|writing| Writing {
        access: crate::Access::default(),
        ..writing
    })
    .await;
    assert_eq!(shop.post(PATH, "{}").await.status.as_u16(), 403);
    let open = Shop::open().await;
    let reply = open.send(Method::POST, PATH, &[], "{}").await;
    assert_eq!(reply.code(), "unknown_route");
}
