//! Pins and switches are decided whole or not at all, say what is wrong, and are told with who decided them.

use hotshelf_engine::{HotReason, Part};
use hotshelf_model::ErrorKind;
use http::Method;
use serde_json::{Value, json};

use crate::testing::{Reply, Shop, answer};

const PINS: &str = "/admin/v1/pins";
const SWITCHES: &str = "/admin/v1/switches";
const REASON: (&str, &str) = ("hotshelf-reason", "the sale begins");

impl Shop {
    async fn decided(
        &self,
        method: Method,
        path: &str,
        more: &[(&str, &str)],
        body: &Value,
    ) -> Reply {
        let mut headers = vec![("content-type", "application/json"), REASON];
        headers.extend(more);
        answer(&self.admin, method, path, &headers, &body.to_string()).await
    }

    async fn post_pins(&self, body: Value) -> Reply {
        self.decided(Method::POST, PINS, &[], &body).await
    }

    async fn set(&self, switch: &str, body: Value) -> Reply {
        let path = format!("{SWITCHES}/{switch}");
        self.decided(Method::PUT, &path, &[], &body).await
    }

    fn pinned(&self) -> Vec<String> {
        let hot = self.state.cache.hot_keys().into_iter();
        let pinned = hot.filter(|hot| hot.reasons.contains(HotReason::Pinned));
        let mut keys: Vec<String> = pinned.map(|hot| hot.key.as_str().to_owned()).collect();
        keys.sort_unstable();
        keys
    }
}

fn field(reply: &Reply) -> String {
    assert_eq!(reply.code(), "invalid", "{reply:?}");
    let body = reply.json();
    body["errors"][0]["field"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn ids_are_pinned_in_every_variant_and_let_go() {
    let shop = Shop::open().await;
    let body = json!({ "ids": ["a"], "for_ms": 60_000 });
    let reply = shop.post_pins(body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let told = reply.json();
    assert_eq!(
        (&told["version"], told["pins"].as_array().unwrap().len()),
        (&json!(1), 2)
    );
    let pin = &told["pins"][0];
    assert_eq!(
        (&pin["id"], &pin["why"], &pin["here"]),
        (&json!("a"), &json!("the sale begins"), &json!(true))
    );
    assert!(pin["until_ms"].as_u64() > told["now_ms"].as_u64());
    assert!(told["bytes"].as_u64().unwrap() > 0);
    assert_eq!(
        shop.pinned(),
        ["products/locale=de/a", "products/locale=en/a"]
    );

    let category = json!({ "category": ["Jackets"], "no_expiry": true });
    assert_eq!(shop.post_pins(category).await.status, 200);
    assert_eq!(shop.pinned().len(), 4);
    let ids = json!({ "ids": ["a"] });
    let reply = shop.decided(Method::DELETE, PINS, &[], &ids).await;
    assert_eq!(reply.json()["pins"].as_array().unwrap().len(), 2);
    assert_eq!(
        shop.pinned(),
        ["products/locale=de/long", "products/locale=en/long"]
    );
    let all = json!({ "all": true });
    shop.decided(Method::DELETE, PINS, &[], &all).await;
    assert_eq!(shop.pinned(), [""; 0]);
    let reply = answer(&shop.admin, Method::GET, PINS, &[], "").await;
    assert_eq!(
        (&reply.json()["version"], &reply.json()["pins"]),
        (&json!(4), &json!([]))
    );
}

#[tokio::test]
async fn what_cannot_be_pinned_pins_nothing_and_says_why() {
    let shop = Shop::open().await;
    for (wanted, body) in [
        ("ids", json!({ "ids": ["a", "nowhere"], "for_ms": 1000 })),
        ("ids", json!({ "ids": [], "for_ms": 1000 })),
        ("ids", json!({ "for_ms": 1000 })),
        ("ids[1]", json!({ "ids": ["a", ""], "for_ms": 1000 })),
        ("until_ms", json!({ "ids": ["a"] })),
        ("until_ms", json!({ "ids": ["a"], "until_ms": 7 })),
        (
            "until_ms",
            json!({ "ids": ["a"], "for_ms": 7, "no_expiry": true }),
        ),
        ("body", json!({ "ids": ["a"], "for_ever": true })),
    ] {
        let reply = shop.post_pins(body.clone()).await;
        assert_eq!(field(&reply), wanted, "{body}");
    }
    let many: Vec<String> = (0..600).map(|id| id.to_string()).collect();
    let reply = shop.post_pins(json!({ "ids": many, "for_ms": 1000 })).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code()),
        (409, "no_room".to_owned())
    );
    let elsewhere = json!({ "ids": ["a"], "namespace": "elsewhere", "for_ms": 1000 });
    assert_eq!(shop.post_pins(elsewhere).await.code(), "unknown_namespace");
    assert_eq!(shop.pinned(), [""; 0]);
    let reply = answer(&shop.admin, Method::GET, PINS, &[], "").await;
    assert_eq!(reply.json()["version"], 0, "nothing was written");
}

#[tokio::test]
async fn the_origin_is_switched_off_and_on_again_and_it_is_remembered_who_did_it() {
    let shop = Shop::open().await;
    let before = shop.get("/v1/products/a").await;
    assert_eq!(before.status, 200);
    let reply = shop.set("origin", json!({ "value": "off" })).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let told = reply.json();
    let set = &told["switches"][0];
    assert_eq!(
        (&set["switch"], &set["value"], &set["here"]),
        (&json!("origin"), &json!("off"), &json!(true))
    );
    let lasts = set["until_ms"].as_u64().unwrap() - told["now_ms"].as_u64().unwrap();
    assert!((3_590_000..=3_600_000).contains(&lasts), "an hour: {lasts}");
    let missing = shop.get("/v1/products/long").await;
    assert_eq!(
        (missing.status.as_u16(), missing.code()),
        (503, "origin_off".to_owned())
    );
    assert_eq!(shop.get("/v1/products/a").await.status, 200);

    let path = format!("{SWITCHES}/origin");
    let stale = ("hotshelf-if-version", "7");
    let none = Value::Null;
    let reply = shop.decided(Method::DELETE, &path, &[stale], &none).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code()),
        (412, "version_mismatch".to_owned())
    );
    let reply = shop.decided(Method::DELETE, &path, &[], &none).await;
    assert_eq!(reply.json()["switches"], json!([]));
    assert_eq!(shop.get("/v1/products/long").await.status, 200);
    let path = format!("{SWITCHES}/history");
    let history = answer(&shop.admin, Method::GET, &path, &[], "")
        .await
        .json();
    let changes = history["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2);
    assert_eq!(
        (&changes[1]["set"], &changes[1]["ended"]),
        (&json!(["origin off"]), &json!([]))
    );
    assert_eq!(changes[1]["why"], "the sale begins");
    assert_eq!(changes[0]["set"], json!([]));
}

#[tokio::test]
async fn a_switch_for_another_node_is_told_but_not_in_force_here() {
    let shop = Shop::open().await;
    let reply = shop
        .set(
            "l3",
            json!({ "value": "off", "node": "there", "no_expiry": true }),
        )
        .await;
    let set = &reply.json()["switches"][0];
    assert_eq!(
        (&set["node"], &set["here"], &set["until_ms"]),
        (&json!("there"), &json!(false), &Value::Null)
    );
    assert!(!shop.state.cache.switches().is_off(Part::L3));
    shop.set("l3", json!({ "value": "off", "node": "here" }))
        .await;
    assert!(shop.state.cache.switches().is_off(Part::L3));
}

#[tokio::test]
async fn what_is_no_switch_changes_nothing() {
    let shop = Shop::open().await;
    let reply = shop.set("l4", json!({ "value": "off" })).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code()),
        (404, "unknown_switch".to_owned())
    );
    for (wanted, switch, body) in [
        ("value", "l2", json!({ "value": "out" })),
        ("value", "stale-cap", json!({ "value": "off" })),
        ("value", "log", json!({ "value": "hotshelf=loud" })),
        (
            "node",
            "promotion",
            json!({ "value": "frozen", "node": "here" }),
        ),
        ("until_ms", "l2", json!({ "value": "off", "until_ms": 7 })),
    ] {
        assert_eq!(field(&shop.set(switch, body).await), wanted);
    }
    let path = format!("{SWITCHES}/l2");
    let headers = [("content-type", "application/json")];
    let reply = answer(
        &shop.admin,
        Method::PUT,
        &path,
        &headers,
        r#"{"value":"off"}"#,
    )
    .await;
    assert_eq!(field(&reply), "hotshelf-reason");
    shop.settings.fail(ErrorKind::OriginFailed);
    assert_eq!(
        shop.set("l2", json!({ "value": "off" })).await.code(),
        "origin_failed"
    );
    shop.settings.recover();
    let told = answer(&shop.admin, Method::GET, SWITCHES, &[], "")
        .await
        .json();
    assert_eq!(
        (&told["version"], &told["switches"]),
        (&json!(0), &json!([]))
    );
}
