//! Class and caller, over the routes.

use http::Method;

use crate::testing::Shop;

#[tokio::test]
async fn the_observer_is_told_who_asked_by_every_way_of_reading() {
    let shop = Shop::open().await;
    let asker = [("x-request-id", "r-1"), ("hotshelf-caller", "pages")];
    for _miss_and_hit in 0..2 {
        shop.get_with("/v1/products/a", &asker).await;
        assert_eq!(shop.ears.take(), ["a r-1/pages"]);
    }
    shop.get_with("/v1/products?ids=a,a%2Fb,a", &asker).await;
    assert_eq!(shop.ears.take(), ["a r-1/pages", "a/b r-1/pages"]);
    let (path, body) = ("/v1/products:batchGet", r#"{"ids":["long"]}"#);
    let headers = [&asker[..], &[("content-type", "application/json")]].concat();
    shop.send(Method::POST, path, &headers, body).await;
    assert_eq!(shop.ears.take(), ["long r-1/pages"]);
}

#[tokio::test]
async fn a_hit_whose_encoding_is_made_elsewhere_is_one_read() {
    let shop = Shop::open().await;
    shop.origin
        .put("huge", format!("\"{}\"", "jacket ".repeat(10_000)));
    for encoding in ["identity", "zstd", "zstd"] {
        let headers = [("accept-encoding", encoding)];
        let reply = shop.get_with("/v1/products/huge", &headers).await;
        assert_eq!(
            reply.headers.contains_key("content-encoding"),
            encoding == "zstd"
        );
        assert_eq!(shop.ears.take(), ["huge /"], "{encoding}");
    }
}

#[tokio::test]
async fn a_caller_that_is_not_sane_is_nobody() {
    let shop = Shop::open().await;
    let long = "x".repeat(65);
    for caller in ["", "a b", &long] {
        shop.get_with("/v1/products/a", &[("hotshelf-caller", caller)])
            .await;
        assert_eq!(shop.ears.take(), ["a /"], "{caller}");
    }
}

#[tokio::test]
async fn a_read_of_the_background_does_not_count_and_is_not_kept() {
    let shop = Shop::open().await;
    let background = [("hotshelf-class", "background")];
    for _each_time in 0..2 {
        let reply = shop.get_with("/v1/products/a", &background).await;
        assert_eq!(
            reply.header("cache-status"),
            "hotshelf; fwd=miss; detail=origin"
        );
        shop.get_with("/v1/products?ids=a", &background).await;
        assert_eq!(shop.ears.take(), ["a / uncounted", "a / uncounted"]);
    }
    let interactive = [("hotshelf-class", "interactive")];
    shop.get_with("/v1/products/a", &interactive).await;
    assert_eq!(shop.ears.take(), ["a /"]);
    let reply = shop.get_with("/v1/products/a", &background).await;
    assert!(reply.header("cache-status").ends_with("detail=l1"));
    assert_eq!(shop.ears.take(), ["a / uncounted"]);
}

#[tokio::test]
async fn an_unknown_class_is_refused_whether_or_not_l1_has_the_document() {
    let shop = Shop::open().await;
    shop.get("/v1/products/a").await;
    shop.ears.take();
    let headers = [("hotshelf-class", "Background")];
    for path in ["/v1/products/a", "/v1/products/b", "/v1/products?ids=a"] {
        let reply = shop.get_with(path, &headers).await;
        assert_eq!((reply.status.as_u16(), &*reply.code()), (400, "invalid"));
        assert_eq!(reply.json()["errors"][0]["field"], "Hotshelf-Class");
    }
    let both = [headers[0], ("hotshelf-min-version", "x")];
    let reply = shop.get_with("/v1/products/a", &both).await;
    assert_eq!(reply.json()["errors"].as_array().unwrap().len(), 2);
    assert_eq!(shop.ears.take(), [""; 0]);
}
