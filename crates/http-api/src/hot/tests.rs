//! What is hot is told whole and decision by decision; rules change while the node runs, or stay whole.

use hotshelf_hotkeys::message::{Announced, Decided, Snapshot, Told};
use hotshelf_hotkeys::{DemotionReason, HotCursor, HotMessage, Window};
use hotshelf_model::{AccessToken, ErrorKind, Hist};
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use crate::testing::{Events, Reply, Shop, answer};
use crate::{Access, ApiParts, ApiState, Front, Writing, admin_router, public_router};

const HIST: Hist = Hist(7);
const RULES: &str = "/admin/v1/hot/rules";
const REASON: (&str, &str) = ("hotshelf-reason", "the sale begins");

fn told(id: &str) -> Told {
    Told {
        key: Key::parse(&format!("products/locale=de/{id}")).unwrap(),
        bytes: 100,
        rate: 700.5,
        share: 0.25,
        onset_ms: 300,
        decided_ms: 100,
        why: PromotionReason::Surge {
            window: Window::Half,
            sigmas: 9.5,
        },
    }
}

fn at(number: u64) -> HotCursor {
    HotCursor { term: 3, number }
}

impl Shop {
    /// A leader begins with these hot keys.
    fn lead(&self, ids: &[&str]) {
        self.hot.set_hist(HIST);
        let keys: Vec<Told> = ids.iter().map(|id| told(id)).collect();
        for part in Snapshot::parts_of(at(0), &keys) {
            self.hot.take(HIST, &HotMessage::Snapshot(part));
        }
    }

    fn decide(&self, first: HotCursor, decision: Announced) {
        let decisions = vec![decision];
        self.hot
            .take(HIST, &HotMessage::Decided(Decided { first, decisions }));
    }

    async fn admin(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        answer(&self.admin, method, path, headers, body).await
    }

    async fn put_rules(&self, headers: &[(&str, &str)], body: &Value) -> Reply {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        self.admin(Method::PUT, RULES, &all, &body.to_string())
            .await
    }
}

fn field(reply: &Reply) -> String {
    assert_eq!(reply.code(), "invalid");
    reply.json()["errors"][0]["field"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn key(id: &str) -> Value {
    json!({ "namespace": "products", "id": id, "variant": "locale=de", "key": format!("products/locale=de/{id}") })
}

#[tokio::test]
async fn an_operator_sees_what_is_hot_and_why() {
    let shop = Shop::open().await;
    let nothing = shop.admin(Method::GET, "/admin/v1/hot", &[], "").await;
    assert_eq!(nothing.json()["cursor"], Value::Null);
    assert_eq!(nothing.json()["health"], "blind");
    assert_eq!(nothing.json()["keys"], json!([]));
    shop.lead(&["a"]);
    let reply = shop.admin(Method::GET, "/admin/v1/hot", &[], "").await;
    assert_eq!(reply.header("cache-control"), "no-store");
    let body = reply.json();
    assert_eq!(body["cursor"], "3.0");
    let hot = &body["keys"][0];
    for (name, value) in key("a").as_object().unwrap() {
        assert_eq!(&hot[name], value);
    }
    assert_eq!((&hot["rate"], &hot["share"]), (&json!(700.5), &json!(0.25)));
    assert_eq!(
        (&hot["why"], &hot["window"], &hot["sigmas"]),
        (&json!("surge"), &json!("0.5s"), &json!(9.5))
    );
    assert_eq!(hot["reasons"], json!(["detected"]));
    assert!(hot["onset_ms"].as_u64().unwrap() >= 300);
}

#[tokio::test]
async fn a_follower_is_told_the_whole_set_and_then_each_decision() {
    let shop = Shop::open().await;
    let mut events = Events::open(&shop, "/v1/hot", &[]).await;
    shop.lead(&["a"]);
    let reset = events.next_named("reset").await;
    let data = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(
        (&*reset.id, data(&reset.data)),
        ("3.0", json!({ "keys": [key("a")] }))
    );
    shop.decide(at(1), Announced::Promoted(told("long")));
    let promote = events.next_named("promote").await;
    let mut expected = key("long");
    expected["rate"] = json!(700.5);
    expected["why"] = json!("surge");
    assert_eq!((&*promote.id, data(&promote.data)), ("3.1", expected));
    drop(events);
    shop.decide(
        at(2),
        Announced::Demoted(told("a").key, DemotionReason::Cooled),
    );
    let last = [("last-event-id", "3.1")];
    let mut again = Events::open(&shop, "/v1/hot?since=3.0", &last).await;
    let demote = again.next_named("demote").await;
    let mut expected = key("a");
    expected["why"] = json!("cooled");
    assert_eq!((&*demote.id, data(&demote.data)), ("3.2", expected));
    let mut lost = Events::open(&shop, "/v1/hot?since=2.9", &[]).await;
    let reset = lost.next_named("reset").await;
    assert_eq!(data(&reset.data), json!({ "keys": [key("long")] }));
    assert_eq!(field(&shop.get("/v1/hot?since=1-1").await), "since");
}

#[tokio::test(start_paused = true)]
async fn a_stream_in_which_nothing_happens_shows_that_it_is_there() {
    let shop = Shop::open().await;
    let mut events = Events::open(&shop, "/v1/hot", &[]).await;
    let started = tokio::time::Instant::now();
    for _beat in 0..3 {
        let comment = events.next().await.unwrap();
        assert_eq!((&*comment.name, &*comment.id, &*comment.data), ("", "", ""));
    }
    assert_eq!(
        started.elapsed().as_secs(),
        10,
        "at once, and then every five seconds"
    );
}

#[tokio::test]
async fn rules_hold_at_once_and_say_who_set_them() {
    let shop = Shop::open().await;
    let before = shop.admin(Method::GET, RULES, &[], "").await.json();
    assert_eq!(
        before,
        json!({ "version": 0, "threshold": 500, "rules": [] })
    );
    let rules = json!({ "threshold": 800, "rules": [{ "name": "vouchers", "id": "V-.*", "action": "never" }] });
    let set = shop
        .put_rules(&[REASON, ("hotshelf-if-version", "0")], &rules)
        .await;
    assert_eq!(set.status, StatusCode::OK, "{set:?}");
    let now = shop.admin(Method::GET, RULES, &[], "").await.json();
    assert_eq!(set.json(), now);
    assert_eq!(
        (&now["threshold"], &now["rules"]),
        (&rules["threshold"], &rules["rules"])
    );
    assert_eq!(now["set"]["why"], "the sale begins");
    assert_eq!(now["set"]["who"], "anybody on this machine");
    assert_eq!(
        (&now["set"]["version"], &now["version"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(shop.hot.rules().threshold(), 800);
    let late = shop
        .put_rules(&[REASON, ("hotshelf-if-version", "0")], &json!({}))
        .await;
    assert_eq!(
        (late.status, late.code()),
        (
            StatusCode::PRECONDITION_FAILED,
            "version_mismatch".to_owned()
        )
    );
    assert_eq!(shop.hot.rules().threshold(), 800);
    let cleared = shop.admin(Method::DELETE, RULES, &[REASON], "").await;
    assert_eq!(
        cleared.json(),
        json!({ "version": 2, "threshold": 500, "rules": [] })
    );
    assert_eq!(shop.hot.rules().threshold(), 500);
}

#[tokio::test]
async fn bad_rules_are_refused_field_by_field_and_change_nothing() {
    let shop = Shop::open().await;
    shop.put_rules(&[REASON], &json!({ "threshold": 800 }))
        .await;
    let bad = json!({ "threshold": 1, "rules": [
        { "name": "a", "action": "never", "id": "(" },
        { "name": "b", "action": "threshold" },
    ]});
    let refused = shop.put_rules(&[REASON], &bad).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let errors = refused.json()["errors"].clone();
    let fields: Vec<&str> = errors
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["rules.b.threshold", "threshold", "rules.a.id"]);
    assert_eq!(
        field(&shop.put_rules(&[], &json!({})).await),
        "hotshelf-reason"
    );
    assert_eq!(
        field(
            &shop
                .put_rules(&[("hotshelf-reason", " ")], &json!({}))
                .await
        ),
        "hotshelf-reason"
    );
    assert_eq!(
        field(
            &shop
                .put_rules(&[REASON, ("hotshelf-if-version", "x")], &json!({}))
                .await
        ),
        "hotshelf-if-version"
    );
    let plain = shop.admin(Method::PUT, RULES, &[REASON], "{}").await;
    assert_eq!(plain.code(), "unsupported_media_type");
    let known = shop.admin(Method::GET, RULES, &[], "").await.json();
    assert_eq!(
        (&known["version"], shop.hot.rules().threshold()),
        (&json!(1), 800)
    );
}

#[tokio::test]
async fn rules_that_cannot_be_written_or_read_leave_those_in_force() {
    let shop = Shop::open().await;
    shop.put_rules(&[REASON], &json!({ "threshold": 800 }))
        .await;
    shop.settings.fail(ErrorKind::OriginFailed);
    let failed = shop
        .put_rules(&[REASON], &json!({ "threshold": 900 }))
        .await;
    assert_eq!(
        (failed.status, failed.code()),
        (StatusCode::SERVICE_UNAVAILABLE, "origin_failed".to_owned())
    );
    shop.settings.recover();
    shop.settings.put("hot_rules", Some("{\"format\": 2}"));
    shop.watcher.look().await.unwrap();
    let known = shop.admin(Method::GET, RULES, &[], "").await.json();
    assert!(
        known["unreadable"].as_str().unwrap().contains("format"),
        "{known}"
    );
    assert_eq!(
        (
            &known["threshold"],
            &known["version"],
            &known["set"]["version"]
        ),
        (&json!(800), &json!(2), &json!(1))
    );
}

#[tokio::test]
async fn who_looks_needs_a_viewer_and_who_decides_an_operator() {
    let token = |name: &str, role| AccessToken {
        name: name.to_owned(),
        role,
        sha256: Sha256::digest(name).into(),
    };
    let shop = Shop::with_writing(|writing| Writing {
        access: Access {
            tokens: vec![
                token("see", Role::Viewer),
                token("put", Role::Writer),
                token("ops", Role::Operator),
            ],
            ..Access::default()
        },
        ..writing
    })
    .await;
    let bearer = |name: &str| format!("Bearer {name}");
    for (name, sees, decides) in [
        ("nobody", 401, 401),
        ("see", 200, 403),
        ("put", 200, 403),
        ("ops", 200, 200),
    ] {
        let authorization = bearer(name);
        let token = ("authorization", &*authorization);
        for path in ["/admin/v1/hot", RULES] {
            let seen = shop.admin(Method::GET, path, &[token], "").await;
            assert_eq!(seen.status.as_u16(), sees, "{name} {path}");
        }
        let set = shop.put_rules(&[REASON, token], &json!({})).await;
        let cleared = shop
            .admin(Method::DELETE, RULES, &[REASON, token], "")
            .await;
        assert_eq!(
            (set.status.as_u16(), cleared.status.as_u16()),
            (decides, decides),
            "{name}"
        );
        if decides == 200 {
            assert_eq!(set.json()["set"]["who"], name);
        }
    }
    // The events are for everybody who may read documents.
    Events::open(&shop, "/v1/hot", &[]).await;
    assert_eq!(
        shop.get("/admin/v1/hot").await.code(),
        "unknown_route",
        "not on the public listener"
    );
}

#[tokio::test]
async fn a_node_that_looks_for_no_hot_keys_says_so() {
    let shop = Shop::open().await;
    let state = ApiState::new(ApiParts {
        decided: shop.state.decided.clone(),
        cache: shop.state.cache.clone(),
        recorder: shop.state.recorder.clone(),
        clock: Arc::clone(&shop.state.clock),
        settings: shop.state.settings,
        writing: shop.state.writing.clone(),
        warmer: None,
        hot: None,
        membership: Arc::clone(&shop.state.membership),
    });
    let admin = Front::admin(Arc::clone(&state), admin_router(Arc::clone(&state)));
    let public = Front::public(Arc::clone(&state), public_router(state));
    for (front, path) in [
        (&admin, "/admin/v1/hot"),
        (&admin, RULES),
        (&public, "/v1/hot"),
    ] {
        let reply = answer(front, Method::GET, path, &[], "").await;
        assert_eq!(
            (reply.status, reply.code()),
            (StatusCode::NOT_FOUND, "hot_off".to_owned()),
            "{path}"
        );
    }
}
