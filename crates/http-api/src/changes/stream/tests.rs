//! Those who follow the changes miss none without being told, and are told when the node knows nothing newer.

use hotshelf_model::ErrorKind;
use hotshelf_testkit::{ManualClock, names, wait_until_async};
use http::Method;
use http_body_util::BodyExt;

use super::*;
use crate::HttpSettings;
use crate::body::AnswerBody;
use crate::testing::{LIMIT, Shop, answer};

const PATH: &str = "/v1/changes";

/// One event as a client sees it.
#[derive(Debug, PartialEq)]
struct Seen {
    name: String,
    id: String,
    data: String,
}

/// A client that reads events.
struct Events {
    body: AnswerBody,
    text: String,
}

impl Events {
    async fn open(shop: &Shop, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = http::Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(axum::body::Body::empty()).unwrap();
        let answer = shop.public.answer(request, true).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        Events {
            body: answer.into_body(),
            text: String::new(),
        }
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Seen> {
        let come = async {
            while !self.text.contains("\n\n") {
                let bytes = self.body.frame().await?.unwrap().into_data().unwrap();
                self.text += std::str::from_utf8(&bytes).unwrap();
            }
            let (event, rest) = self.text.split_once("\n\n").unwrap();
            let field = |name: &str| {
                let value = event.lines().find_map(|line| line.strip_prefix(name));
                value.unwrap_or_default().trim_start().to_owned()
            };
            let seen = Seen {
                name: field("event:"),
                id: field("id:"),
                data: field("data:"),
            };
            self.text = rest.to_owned();
            Some(seen)
        };
        tokio::time::timeout(LIMIT, come).await.unwrap()
    }

    async fn next_named(&mut self, name: &str) -> Seen {
        loop {
            let seen = self.next().await.expect("the stream goes on");
            if seen.name == name {
                return seen;
            }
        }
    }

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
async fn a_node_says_that_it_knows_everything_only_while_it_does() {
    let clock = Arc::new(ManualClock::new());
    let shop = Shop::with_clock(&clock).await;
    let mut events = Events::open(&shop, PATH, &[]).await;
    assert_eq!(events.next_named("proof").await.data, r#"{"age_ms":0}"#);
    let permits = Arc::clone(&shop.state.subscribers.permits);
    let permit = permits.try_acquire_owned().unwrap();
    let mut subscriber = Subscriber::new(Arc::clone(&shop.state), None, permit);
    let reset = subscriber.next().await;
    assert!(reset.is_some());
    subscriber.proof = subscriber.fresh_proof();
    let taken = subscriber.proof.unwrap();
    shop.origin.fail(ErrorKind::OriginFailed);
    let bound = shop.state.cache.staleness_bound();
    clock.advance(bound);
    assert!(subscriber.tell_proof(taken).is_some());
    clock.advance(Duration::from_millis(1));
    assert!(subscriber.tell_proof(taken).is_none(), "it waited too long");
    wait_until_async("no poll is under way", LIMIT, async || {
        clock.advance(bound + Duration::from_millis(1));
        subscriber.fresh_proof().is_none()
    })
    .await;
    shop.origin.recover();
    wait_until_async("the node is proven again", LIMIT, async || {
        subscriber.fresh_proof().is_some()
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
