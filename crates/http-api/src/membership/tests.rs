//! Nodes that are there, that have gone, and that nobody can ask about.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_model::{AccessToken, ClusterNodes, Role};
use hotshelf_testkit::ManualClock;
use http::{Method, StatusCode};
use sha2::{Digest, Sha256};

use super::*;
use crate::Access;
use crate::testing::{Shop, answer, node};

fn told(reply: &crate::testing::Reply) -> Vec<String> {
    let json = reply.json();
    let node = |node: &serde_json::Value| {
        let is = |word: &'static str| if node[word] == true { word } else { "-" };
        let name = node["name"].as_str().unwrap_or_default();
        format!("{name} {} {}", is("present"), is("answering"))
    };
    let mut told: Vec<String> = json["nodes"].as_array().unwrap().iter().map(node).collect();
    told.push(json["source"].as_str().unwrap().to_owned());
    told
}

#[tokio::test]
async fn nodes_are_told_with_those_that_have_gone_without_a_word() {
    let clock = Arc::new(ManualClock::new());
    let shop = Shop::with_clock(&clock).await;
    let gone = node("shelf-2", 2);
    shop.nodes.beat(&gone, Duration::ZERO).await.unwrap();
    shop.state.membership.beat().await.unwrap();
    let both = ["shelf-1 present answering", "shelf-2 present -", "database"];
    let reply = shop.ask_admin("/admin/v1/nodes").await;
    assert_eq!(
        (reply.status, told(&reply)),
        (StatusCode::OK, both.map(str::to_owned).into())
    );
    assert_eq!(reply.json()["nodes"][1]["admin"], "http://shelf-2:7401");
    clock.advance(MISSING_AFTER);
    shop.state.membership.beat().await.unwrap();
    let reply = shop.ask_admin("/admin/v1/nodes").await;
    assert_eq!(
        told(&reply),
        ["shelf-1 present answering", "shelf-2 - -", "database"]
    );
    assert_eq!(reply.json()["nodes"][1]["seen_ms_ago"], 15_000);
    shop.state.membership.leave().await;
    let reply = shop.ask_admin("/admin/v1/nodes").await;
    let own = &reply.json()["nodes"][0]["seen_ms_ago"];
    assert_eq!(*own, serde_json::Value::Null, "nobody has heard of it");
    let still = ["shelf-1 present answering", "shelf-2 - -", "database"];
    assert_eq!(told(&reply), still);
}

#[tokio::test]
async fn without_the_database_the_nodes_are_those_that_it_told_of_last() {
    let clock = Arc::new(ManualClock::new());
    let shop = Shop::with_clock(&clock).await;
    shop.nodes
        .beat(&node("shelf-2", 2), Duration::ZERO)
        .await
        .unwrap();
    shop.state.membership.beat().await.unwrap();
    shop.nodes.fail(true);
    clock.advance(Duration::from_secs(3600));
    let reply = shop.ask_admin("/admin/v1/nodes").await;
    assert_eq!(
        told(&reply),
        ["shelf-1 present answering", "shelf-2 present -", "memory"]
    );
    assert_eq!(reply.json()["nodes"][1]["seen_ms_ago"], 3_600_000);
}

#[tokio::test(start_paused = true)]
async fn a_node_says_again_and_again_that_it_is_there() {
    let clock = Arc::new(ManualClock::new());
    let nodes = Arc::new(hotshelf_testkit::FakeNodes::new(Arc::clone(&clock) as _));
    let membership = Membership::new(
        node("shelf-1", 1),
        Arc::clone(&nodes) as _,
        Arc::clone(&clock) as _,
    );
    nodes.fail(true);
    let beating = tokio::spawn(membership.keep_beating());
    sleep(BEAT_INTERVAL).await;
    nodes.fail(false);
    sleep(BEAT_INTERVAL).await;
    assert_eq!(
        nodes.nodes().await.unwrap().len(),
        1,
        "after one that failed"
    );
    beating.abort();
}

#[tokio::test]
async fn who_looks_needs_a_viewer() {
    let token = |name: &str, role| AccessToken {
        name: name.to_owned(),
        role,
        sha256: Sha256::digest(name).into(),
    };
    let shop = Shop::with_writing(|writing| crate::Writing {
        access: Access {
            tokens: vec![token("watch", Role::Viewer)],
            ..Access::default()
        },
        ..writing
    })
    .await;
    for path in ["/admin/v1/nodes", "/admin/v1/explain/products/a"] {
        let with = |header: &'static str| {
            let headers = [("authorization", header)];
            let admin = shop.admin.clone();
            async move { answer(&admin, Method::GET, path, &headers, "").await.status }
        };
        assert_eq!(
            shop.ask_admin(path).await.status,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
        assert_eq!(
            with("Bearer nope").await,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
        assert_eq!(with("Bearer watch").await, StatusCode::OK, "{path}");
        assert_eq!(
            shop.get(path).await.status,
            StatusCode::NOT_FOUND,
            "not public: {path}"
        );
    }
}
