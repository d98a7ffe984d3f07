//! What an explanation says, and to whom.

use hotshelf_engine::HotReason;
use http::StatusCode;
use serde_json::{Value, json};

use crate::testing::Shop;

#[tokio::test]
async fn what_l1_holds_is_told_beside_what_the_database_says() {
    let shop = Shop::open().await;
    shop.get("/v1/products/a?locale=de").await;
    shop.ears.take();
    let reply = shop
        .ask_admin("/admin/v1/explain/products/a?locale=de")
        .await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_eq!(reply.header("cache-control"), "no-store");
    let told = reply.json();
    let of = |names: [&str; 4]| names.map(|name| told[name].clone());
    assert_eq!(
        of(["node", "namespace", "id", "variant"]),
        ["shelf-1", "products", "a", "locale=de"]
    );
    let version = &told["database"]["version"];
    assert!(version.is_string(), "{told}");
    let copy = &told["tiers"][0]["copy"];
    assert_eq!(
        (&told["tiers"][0]["state"], &copy["version"]),
        (&json!("held"), version)
    );
    assert_eq!(
        (&copy["standing"], &copy["unchanged"]),
        (&json!("current"), &json!(true))
    );
    assert_eq!(
        (&copy["kind"], &copy["encodings"]),
        (&json!("present"), &json!(["identity"]))
    );
    assert_eq!(told["hot"], Value::Null);
    assert_eq!(shop.ears.take(), Vec::<String>::new(), "it is no read");
}

#[tokio::test]
async fn what_is_not_held_is_told_and_stays_so() {
    let shop = Shop::open().await;
    for _ in 0..2 {
        let told = shop
            .ask_admin("/admin/v1/explain/products/a%2Fb")
            .await
            .json();
        let expected = json!([{ "tier": "l1", "state": "missed", "reason": "not_found" }]);
        assert_eq!((&told["id"], &told["tiers"]), (&json!("a/b"), &expected));
    }
    let told = shop
        .ask_admin("/admin/v1/explain/products/never")
        .await
        .json();
    assert_eq!(told["database"]["version"], Value::Null);
}

#[tokio::test]
async fn a_pin_and_an_encoding_are_told() {
    let shop = Shop::open().await;
    let key = hotshelf_model::Key::parse("products/locale=en/long");
    let gzip = [("accept-encoding", "gzip")];
    shop.get_with("/v1/products/long", &gzip).await;
    shop.state.cache.promote(&[key.unwrap()], HotReason::Pinned);
    let told = shop
        .ask_admin("/admin/v1/explain/products/long")
        .await
        .json();
    assert_eq!(told["hot"]["reasons"], json!(["pinned"]));
    assert_eq!(
        told["tiers"][0]["copy"]["encodings"],
        json!(["identity", "gzip"])
    );
}

#[tokio::test]
async fn bad_keys_are_refused_as_in_a_read() {
    let shop = Shop::open().await;
    for (path, code) in [
        ("/admin/v1/explain/nope/a", "unknown_namespace"),
        ("/admin/v1/explain/products/", "invalid"),
        ("/admin/v1/explain/products/a?size=1", "invalid"),
        ("/admin/v1/explain/products/%zz", "invalid"),
        ("/admin/v1/explain/products", "unknown_route"),
    ] {
        assert_eq!(shop.ask_admin(path).await.code(), code, "{path}");
    }
}
