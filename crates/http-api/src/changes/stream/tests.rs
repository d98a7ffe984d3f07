//! Those who follow the changes miss none without being told, and are told when the node knows nothing newer.

use hotshelf_model::ErrorKind;
use hotshelf_testkit::{ManualClock, names, wait_until_async};
use http::Method;

use super::*;
use crate::HttpSettings;
use crate::testing::{Events, LIMIT, Shop, answer};

const PATH: &str = "/v1/changes";

impl Events {
    async fn next_ids(&mut self) -> Vec<String> {
        let data: serde_json::Value =
            serde_json::from_str(&self.next_named("change").await.data).unwrap();
        let changes = data["changes"].as_array().unwrap();
        changes
            .iter()
            .map(|change| change["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[tokio::test]
async fn a_subscriber_begins_with_a_reset_and_is_told_each_change_with_its_version() {
    let shop = Shop::open().await;
    let mut events = Events::open(&shop, PATH, &[]).await;
    let reset = events.next().await.unwrap();
    assert_eq!((&*reset.name, &*reset.data), ("reset", "{}"));
    let version = shop.origin.put("a", "1").token().to_string();
    let change = events.next_named("change").await;
    let expected =
        format!(r#"{{"changes":[{{"namespace":"products","id":"a","version":"{version}"}}]}}"#);
    assert_eq!(change.data, expected);
    assert_eq!(
        shop.get("/v1/products/a").await.header("hotshelf-version"),
        version
    );
    let bump = shop.origin.bump(&names::products()).token().to_string();
    let expected = format!(r#"{{"bumps":[{{"namespace":"products","version":"{bump}"}}]}}"#);
    assert_eq!(events.next_named("change").await.data, expected);
}

#[tokio::test]
async fn who_comes_back_goes_on_after_the_last_event_it_has_seen() {
    let shop = Shop::open().await;
    let mut events = Events::open(&shop, PATH, &[]).await;
    let start = events.next_named("reset").await.id;
    shop.origin.put("a", "1");
    let first = events.next_named("change").await.id;
    drop(events);
    shop.origin.put("b", "1");
    let since = format!("{PATH}?since={start}");
    let mut again = Events::open(&shop, &since, &[]).await;
    assert_eq!(again.next_ids().await, ["a"]);
    assert_eq!(again.next_ids().await, ["b"]);
    let mut later = Events::open(&shop, &since, &[("last-event-id", &first)]).await;
    assert_eq!(
        later.next_ids().await,
        ["b"],
        "the header is newer than the URL"
    );
    let elsewhere = format!("{PATH}?since=1-f00");
    let mut lost = Events::open(&shop, &elsewhere, &[]).await;
    assert_eq!(lost.next().await.unwrap().name, "reset");
}

#[tokio::test]
async fn when_commits_were_lost_every_copy_is_dropped() {
    let shop = Shop::open().await;
    let mut events = Events::open(&shop, PATH, &[]).await;
    events.next_named("reset").await;
    shop.origin.put("a", "1");
    events.next_named("change").await;
    shop.origin.fail_over_losing(1);
    events.next_named("reset").await;
    shop.origin.put("b", "1");
    assert_eq!(events.next_ids().await, ["b"]);
}

#[tokio::test]
async fn a_proof_says_how_long_after_the_beginning_of_the_stream_it_was() {
    let clock = Arc::new(ManualClock::new());
    let shop = Shop::with_clock(&clock).await;
    let feed = ChangeFeed::new(Arc::clone(&shop.state), None);
    let of = |proof: Boot| {
        let age = shop.state.clock.now().since(proof);
        let body = feed.proof_body(proof, age);
        (body.age_ms, body.until_ms)
    };
    let begun = shop.state.clock.now();
    clock.advance(Duration::from_millis(700));
    assert_eq!(of(shop.state.clock.now()), (0, 700));
    assert_eq!(of(begun.plus(Duration::from_micros(1_900))), (698, 1));
    assert_eq!(of(begun), (700, 0));
    let before = begun.minus(Duration::from_micros(1_100));
    assert_eq!(of(before), (701, -2), "never later than it was");
}

#[tokio::test]
async fn a_node_says_that_it_knows_everything_only_while_it_does() {
    let clock = Arc::new(ManualClock::new());
    let shop = Shop::with_clock(&clock).await;
    let mut events = Events::open(&shop, PATH, &[]).await;
    let proof = events.next_named("proof").await.data;
    assert_eq!(proof, r#"{"age_ms":0,"until_ms":0}"#);
    let feed = ChangeFeed::new(Arc::clone(&shop.state), None);
    let taken = feed.fresh_proof().unwrap();
    shop.origin.fail(ErrorKind::OriginFailed);
    let bound = shop.state.cache.staleness_bound();
    clock.advance(bound);
    assert!(feed.tell_proof(taken).is_some());
    clock.advance(Duration::from_millis(1));
    assert!(feed.tell_proof(taken).is_none(), "it waited too long");
    wait_until_async("no poll is under way", LIMIT, async || {
        clock.advance(bound + Duration::from_millis(1));
        feed.fresh_proof().is_none()
    })
    .await;
    shop.origin.recover();
    wait_until_async("the node is proven again", LIMIT, async || {
        feed.fresh_proof().is_some()
    })
    .await;
    events.next_named("proof").await;
}

#[tokio::test]
async fn one_subscriber_too_many_is_turned_away_until_another_leaves() {
    let shop = Shop::with_settings(HttpSettings {
        subscribers_max: 1,
        ..HttpSettings::default()
    })
    .await;
    let events = Events::open(&shop, PATH, &[]).await;
    let refused = shop.get(PATH).await;
    assert_eq!(refused.code(), "too_many_subscribers");
    assert_eq!(refused.header("retry-after"), "1");
    drop(events);
    Events::open(&shop, PATH, &[]).await;
}

#[tokio::test]
async fn a_node_that_stops_ends_its_streams_and_begins_none() {
    let shop = Shop::open().await;
    let mut events = Events::open(&shop, PATH, &[]).await;
    events.next_named("reset").await;
    shop.state.start_draining();
    while events.next().await.is_some() {}
    assert_eq!(shop.get(PATH).await.code(), "draining");
}

#[tokio::test]
async fn what_is_no_event_id_is_refused_by_its_field() {
    let shop = Shop::open().await;
    for (path, header, field) in [
        ("/v1/changes?since=12", None, "since"),
        ("/v1/changes?since=", None, "since"),
        ("/v1/changes?since=1-1&since=1-1", None, "query"),
        ("/v1/changes?from=1-1", None, "query"),
        ("/v1/changes?since=1-1", Some("x"), "Last-Event-ID"),
    ] {
        let headers: Vec<_> = header
            .map(|value| ("last-event-id", value))
            .into_iter()
            .collect();
        let reply = shop.get_with(path, &headers).await;
        assert_eq!(reply.code(), "invalid", "{path}");
        assert_eq!(reply.json()["errors"][0]["field"], field, "{path}");
    }
    let post = answer(&shop.public, Method::POST, PATH, &[], "").await;
    assert_eq!(post.code(), "method_not_allowed");
}
