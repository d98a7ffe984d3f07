//! Namespaces whose documents come from a service over HTTP, with the service failing in every way that services do.

use std::time::Duration;

use hotshelf_testkit::{RedisServer, wait_until};
use hotshelf_tests::time::now_ms;
use hotshelf_tests::{Node, Reply, stopwatch};
use serde_json::{Value, json};

use crate::parts::{NO_L3, SOON, l2, start_with_l2, stored, wait_stored};

mod service;

use service::{Mode, Service};

const TOKEN: &str = "Bearer hunter2";

/// A node without L3 and with these namespaces.
fn node(namespaces: &[String]) -> Node {
    let origin = "[origin]\nstale_after_ms = 100\nretry_after_ms = 100\nfill_timeout_ms = 4000\n";
    Node::start(&format!("{NO_L3}{origin}{}", namespaces.concat()))
}

/// Single documents, whose version is in a header.
fn articles(service: &Service, rest: &str) -> String {
    format!(
        "[[namespace]]\nname = \"articles\"\nkind = \"http\"\nurl = \"{}\"\n\
         version_header = \"X-Article-Version\"\nheaders = {{ authorization = \"{TOKEN}\" }}\n{LOCALES}{rest}\n",
        service.url("/{locale}/articles/{id}")
    )
}

/// Documents that hold their version, many in one answer.
fn tiles(service: &Service, rest: &str) -> String {
    format!(
        "[[namespace]]\nname = \"tiles\"\nkind = \"http\"\nurl = \"{}\"\nbatch_url = \"{}\"\n\
         version_pointer = \"/meta/version\"\n{LOCALES}{rest}\n",
        service.url("/{locale}/articles/{id}"),
        service.url("/{locale}/articles?ids={ids}&fields=all")
    )
}

const LOCALES: &str =
    "variants = [{ name = \"locale\", values = [\"en\", \"de\"] }]\njitter_percent = 0\n";
/// A copy is fresh for a second.
const SHORT: &str = "ttl_soft_s = 1\nttl_hard_s = 1\nttl_absent_s = 1\n";

fn name(reply: &Reply) -> String {
    reply.json()["name"].as_str().unwrap().to_owned()
}

#[test]
fn documents_come_from_a_url_and_versions_from_a_header() {
    let service = Service::start();
    service.put("7", 41, "Mug");
    let node = node(&[articles(&service, SHORT)]);
    let first = node.get("/v1/articles/7").expect(200);
    assert_eq!(
        (first.tier(), name(&first)),
        ("origin", "Mug (en)".to_owned())
    );
    let german = node.get("/v1/articles/7?locale=de").expect(200);
    assert_eq!(
        (german.tier(), name(&german)),
        ("origin", "Mug (de)".to_owned())
    );
    let held = node.get("/v1/articles/7").expect(200);
    assert_eq!((held.tier(), held.body.clone()), ("l1", first.body.clone()));
    let seen = service.take_seen();
    let targets: Vec<&str> = seen.iter().map(|seen| seen.target.as_str()).collect();
    assert_eq!(targets, ["/en/articles/7", "/de/articles/7"]);
    assert!(
        seen.iter()
            .all(|seen| seen.authorization.as_deref() == Some(TOKEN)),
        "{seen:?}"
    );
    assert!(first.must("hotshelf-version").ends_with("-41"), "{first}");
    service.put("7", 42, "Big mug");
    wait_until("the new version is served", SOON, || {
        let reply = node.get("/v1/articles/7").expect(200);
        let version = reply.must("hotshelf-version");
        assert_eq!(
            version.ends_with("-42"),
            name(&reply) == "Big mug (en)",
            "{reply}"
        );
        version.ends_with("-42")
    });
    assert!(!node.log().contains("hunter2"), "a token is never logged");
}

#[test]
fn a_posted_change_is_served_from_then_on_whichever_tier_holds_the_old_document() {
    let (service, redis) = (Service::start(), RedisServer::start().unwrap());
    service.put("7", 41, "Mug");
    let origin = "[origin]\nfill_timeout_ms = 4000\n";
    let catalogue = "[[namespace]]\nname = \"products\"\nkind = \"catalogue\"\n";
    let articles = articles(&service, "");
    let node = start_with_l2(&format!(
        "{NO_L3}{origin}{}{catalogue}{articles}",
        l2(&redis)
    ));
    let post = |version: u64| {
        let body = json!({"changes": [{"namespace": "articles", "id": "7", "version": version}]});
        let headers = [("content-type", "application/json")];
        let path = "/admin/v1/changes?wait=applied";
        node.admin_request("POST", path, &headers, body.to_string().as_bytes())
            .expect(200);
    };
    let stored = stored(&node, "l2");
    assert_eq!(name(&node.get("/v1/articles/7").expect(200)), "Mug (en)");
    wait_stored(&node, "l2", stored + 1.0);
    service.put("7", 42, "Big mug");
    post(42);
    let reply = node.get("/v1/articles/7").expect(200);
    assert_eq!(name(&reply), "Big mug (en)", "L1 and L2 held the old one");
    wait_stored(&node, "l2", stored + 2.0);
    service.put("7", 43, "Bigger mug");
    post(43);
    node.restart();
    let reply = node.get("/v1/articles/7").expect(200);
    assert_eq!(name(&reply), "Bigger mug (en)", "L2 held the old one");
}

#[test]
fn versions_may_stand_in_the_documents() {
    let service = Service::start();
    service.put("7", 41, "Mug");
    service.write(
        "text",
        "en",
        1,
        r#"{"name": "Text", "meta": {"version": "18446744073709551615"}}"#,
        None,
    );
    service.write("none", "en", 1, r#"{"name": "Without a version"}"#, None);
    service.write(
        "zero",
        "en",
        1,
        r#"{"name": "Zero", "meta": {"version": 0}}"#,
        None,
    );
    let node = node(&[tiles(&service, "")]);
    let reply = node.get("/v1/tiles/7").expect(200);
    assert!(reply.must("hotshelf-version").ends_with("-41"), "{reply}");
    node.get("/v1/tiles/text").expect(200);
    for id in ["none", "zero"] {
        let reply = node.get(&format!("/v1/tiles/{id}")).expect(503);
        assert_eq!(reply.code(), "origin_failed");
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.contains("version") && detail.contains("/meta/version"),
            "{detail}"
        );
    }
}

#[test]
fn a_404_is_remembered_until_its_ttl_and_a_new_document_is_found() {
    let service = Service::start();
    let node = node(&[articles(&service, SHORT)]);
    assert_eq!(node.get("/v1/articles/9").expect(404).code(), "absent");
    let held = node.get("/v1/articles/9").expect(404);
    assert_eq!((held.tier(), held.code()), ("l1", "absent".to_owned()));
    assert_eq!(service.count_seen(), 1);
    service.put("9", 3, "Spoon");
    wait_until("the new document is served", SOON, || {
        node.get("/v1/articles/9").status == 200
    });
    service.remove("9");
    wait_until("the removed document is gone", SOON, || {
        node.get("/v1/articles/9").status == 404
    });
}

#[test]
fn odd_ids_arrive_as_they_were_sent() {
    let service = Service::start();
    let ids = [
        "Möbel/Stühle 100%",
        "a/../b",
        "a,b",
        "q?x=1&y=2#z",
        "+ plus",
        "{id}",
        "日本",
        "..x",
    ];
    for (version, id) in (1..).zip(ids) {
        service.put(id, version, id);
    }
    let node = node(&[articles(&service, ""), tiles(&service, "")]);
    for id in ids {
        let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let reply = node.get(&format!("/v1/articles/{encoded}")).expect(200);
        assert_eq!(name(&reply), format!("{id} (en)"));
    }
    let asked: Vec<String> = service
        .take_seen()
        .into_iter()
        .flat_map(|seen| seen.ids)
        .collect();
    assert_eq!(asked, ids);
    let body = json!({ "ids": ids }).to_string();
    let batch = node.post("/v1/tiles:batchGet", &body).expect(200).json();
    for (at, id) in ids.iter().enumerate() {
        let result = &batch["results"][at];
        assert_eq!(
            (&result["id"], &result["document"]["sku"]),
            (&json!(id), &json!(id)),
            "{result}"
        );
    }
    // The id with a comma cannot stand in a list.
    let mut sizes: Vec<usize> = service
        .take_seen()
        .iter()
        .map(|seen| seen.ids.len())
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, ids.len() - 1]);
}

fn expired(service: &Service, namespace: &str) -> (Node, Reply) {
    service.put("7", 1, "Mug");
    let node = node(&[
        articles(service, &format!("{SHORT}timeout_ms = 3500\n")),
        tiles(service, SHORT),
    ]);
    let first = node.get(&format!("/v1/{namespace}/7")).expect(200);
    (node, first)
}

fn labelled_stale(reply: &Reply) -> bool {
    if !reply.is_stale() {
        return false;
    }
    assert!(
        reply.must("hotshelf-stale").parse::<u64>().unwrap() >= 1,
        "{reply}"
    );
    assert_eq!(reply.must("cache-control"), "no-store");
    assert!(reply.ttl().is_some_and(|ttl| ttl < 0), "{reply}");
    true
}

#[test]
fn a_failing_service_is_covered_by_labelled_copies_and_its_recovery_is_noticed() {
    let service = Service::start();
    let (node, first) = expired(&service, "articles");
    for mode in [
        Mode::Failing(500),
        Mode::Failing(429),
        Mode::Failing(302),
        Mode::Garbled,
    ] {
        service.set(mode);
        wait_until("a stale copy is served", SOON, || {
            let reply = node.get("/v1/articles/7").expect(200);
            assert_eq!(reply.body, first.body, "{mode:?}: {reply}");
            labelled_stale(&reply)
        });
        // What it never had, it cannot serve.
        let reply = node.get("/v1/articles/8").expect(503);
        assert_eq!(reply.code(), "origin_failed", "{mode:?}");
        assert!(reply.header("retry-after").is_some(), "{reply}");
        service.set(Mode::Good);
        wait_until("a fresh copy is served", SOON, || {
            !node.get("/v1/articles/7").expect(200).is_stale()
        });
    }
}

#[test]
fn a_failing_service_is_not_asked_once_per_read() {
    let service = Service::start();
    let (node, _) = expired(&service, "articles");
    service.set(Mode::Failing(500));
    wait_until("a stale copy is served", SOON, || {
        node.get("/v1/articles/7").expect(200).is_stale()
    });
    service.take_seen();
    let began = stopwatch();
    for _ in 0..300 {
        assert!(node.get("/v1/articles/7").expect(200).is_stale());
    }
    // Pauses of 100 ms are kept in tenths of a second, so one may be shorter.
    let pauses = began.elapsed().as_millis() / 50 + 3;
    let asked = service.count_seen();
    assert!(
        asked as u128 <= pauses,
        "{asked} requests, {pauses} at most"
    );
}

#[test]
fn a_slow_service_is_covered_by_stale_copies_and_is_a_504_without_one() {
    let service = Service::start();
    let (node, first) = expired(&service, "articles");
    service.set(Mode::Silent);
    let slowest = Duration::from_secs(3);
    wait_until("a stale copy is served", SOON, || {
        let began = stopwatch();
        let reply = node.get("/v1/articles/7").expect(200);
        assert!(
            began.elapsed() < slowest,
            "waited {:?} with a copy at hand",
            began.elapsed()
        );
        assert_eq!(reply.body, first.body);
        labelled_stale(&reply)
    });
    let began = stopwatch();
    let reply = node.get("/v1/articles/8").expect(504);
    assert_eq!(reply.code(), "origin_timeout", "{reply}");
    assert!(
        began.elapsed() > slowest,
        "it was waited for as long as configured"
    );
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    service.set(Mode::Good);
    wait_until("a fresh copy is served", SOON, || {
        !node.get("/v1/articles/7").expect(200).is_stale()
    });
}

#[test]
fn a_service_that_is_not_there_is_a_503_and_the_node_is_ready_all_the_same() {
    let service = Service::start();
    let nobody = hotshelf_testkit::free_port();
    let absent =
        articles(&service, "").replace(&service.url(""), &format!("http://127.0.0.1:{nobody}"));
    let node = node(&[absent]);
    let reply = node.get("/v1/articles/7").expect(503);
    assert_eq!(reply.code(), "origin_failed");
    let detail = reply.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("articles") && detail.contains('7'),
        "{detail}"
    );
    assert_eq!(node.get("/readyz").status, 200);
}

#[test]
fn an_oversize_document_is_refused_and_fails_alone() {
    let service = Service::start();
    let filling = "x".repeat(3000);
    for id in ["big", "7"] {
        service.put(id, 1, if id == "big" { &filling } else { "Mug" });
    }
    let limit = "document_bytes_max = 2048\n";
    let node = node(&[articles(&service, limit), tiles(&service, limit)]);
    for mode in [Mode::Good, Mode::Chunked] {
        service.set(mode);
        let reply = node.get("/v1/articles/big").expect(502);
        assert_eq!(reply.code(), "too_large", "{mode:?}: {reply}");
        node.get("/v1/articles/7").expect(200);
    }
    service.set(Mode::Good);
    let batch = node
        .post("/v1/tiles:batchGet", r#"{"ids": ["7", "big", "none"]}"#)
        .expect(200)
        .json();
    let results = &batch["results"];
    assert_eq!(results[0]["status"], "present");
    assert_eq!(results[1]["status"], "unavailable");
    assert_eq!(results[1]["error"]["code"], "too_large");
    assert_eq!(results[2]["status"], "absent");
}

fn batch(node: &Node, namespace: &str, ids: &[String]) -> Vec<Value> {
    let body = json!({"ids": ids, "variant": {"locale": "de"}}).to_string();
    let answer = node
        .post(&format!("/v1/{namespace}:batchGet"), &body)
        .expect(200)
        .json();
    let results = answer["results"].as_array().unwrap().clone();
    let answered: Vec<&str> = results
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    assert_eq!(answered, *ids);
    results
}

/// 50 ids, of which the service has the first 40.
fn fifty(service: &Service) -> Vec<String> {
    let ids: Vec<String> = (0..50).map(|number| format!("sku-{number}")).collect();
    for id in &ids[..40] {
        service.put(id, 5, id);
    }
    ids
}

fn is_there(results: &[Value]) {
    for (at, result) in results.iter().enumerate() {
        let id = format!("sku-{at}");
        if at < 40 {
            assert_eq!(result["document"]["name"], format!("{id} (de)"), "{result}");
            assert!(
                result["version"].as_str().unwrap().ends_with("-5"),
                "{result}"
            );
        } else {
            assert_eq!(result["status"], "absent", "{result}");
        }
    }
}

#[test]
fn a_batch_is_one_request_to_the_batch_url() {
    let service = Service::start();
    let ids = fifty(&service);
    let node = node(&[tiles(&service, "")]);
    is_there(&batch(&node, "tiles", &ids));
    let seen = service.take_seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].ids, ids);
    assert!(
        seen[0].target.starts_with("/de/articles?ids=sku-0,sku-1,"),
        "{}",
        seen[0].target
    );
    assert!(
        seen[0].target.ends_with("&fields=all"),
        "{}",
        seen[0].target
    );
    // Everything is held now, what is absent too; and a single read finds what a batch has filled.
    is_there(&batch(&node, "tiles", &ids));
    assert_eq!(
        node.get("/v1/tiles/sku-3?locale=de").expect(200).tier(),
        "l1"
    );
    assert_eq!(service.count_seen(), 0);
    // Only what is missing is asked for.
    let mut more = ids.clone();
    more.push("sku-51".to_owned());
    batch(&node, "tiles", &more);
    assert_eq!(service.take_seen()[0].ids, ["sku-51"]);
}

#[test]
fn a_batch_may_be_answered_by_a_list_in_any_order() {
    let service = Service::start();
    let ids = fifty(&service);
    let listed = tiles(&service, "id_pointer = \"/sku\"\n").replace("/articles?ids", "/listed?ids");
    let node = node(&[listed]);
    is_there(&batch(&node, "tiles", &ids));
    assert_eq!(service.count_seen(), 1);
}

#[test]
fn a_batch_has_no_more_ids_than_configured() {
    let service = Service::start();
    let ids = fifty(&service);
    let node = node(&[tiles(&service, "batch_ids_max = 20\n")]);
    is_there(&batch(&node, "tiles", &ids));
    let mut sizes: Vec<usize> = service
        .take_seen()
        .iter()
        .map(|seen| seen.ids.len())
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [10, 20, 20]);
}

#[test]
fn a_batch_without_a_batch_url_asks_for_each_document() {
    let service = Service::start();
    let ids = fifty(&service);
    let node = node(&[articles(&service, "")]);
    is_there(&batch(&node, "articles", &ids));
    let mut asked: Vec<String> = service
        .take_seen()
        .into_iter()
        .flat_map(|seen| seen.ids)
        .collect();
    asked.sort();
    let mut wanted = ids.clone();
    wanted.sort();
    assert_eq!(asked, wanted);
}

#[test]
fn a_failing_service_makes_a_batch_stale_where_copies_are_held() {
    let service = Service::start();
    let (node, _) = expired(&service, "tiles");
    service.set(Mode::Failing(500));
    wait_until("the batch is stale", SOON, || {
        let answer = node
            .post("/v1/tiles:batchGet", r#"{"ids": ["7", "8"]}"#)
            .expect(200)
            .json();
        let results = &answer["results"];
        assert_eq!(results[0]["document"]["sku"], "7");
        assert_eq!(results[1]["status"], "unavailable");
        assert_eq!(results[1]["error"]["code"], "origin_failed");
        results[0]["stale_s"].as_u64().unwrap() > 0
    });
}

/// A document that changes at a known moment is fetched again then, however long its TTL is.
fn flips(rest: &str, document: impl Fn(u64) -> (String, Option<u64>)) {
    let service = Service::start();
    let flips_at = now_ms() + 2500;
    let (before, until) = document(flips_at);
    service.write("7", "en", 1, &before, until);
    let node = node(&[articles(&service, rest)]);
    let first = node.get("/v1/articles/7").expect(200);
    assert_eq!(name(&first), "before");
    service.write("7", "en", 2, r#"{"name": "after"}"#, None);
    wait_until("the document flips", SOON, || {
        let began = now_ms();
        let reply = node.get("/v1/articles/7").expect(200);
        let is_new = name(&reply) == "after";
        assert!(
            is_new || began < flips_at + 500 || reply.is_stale(),
            "{reply}"
        );
        assert!(
            !is_new || now_ms() + 500 > flips_at,
            "before its time: {reply}"
        );
        is_new
    });
}

#[test]
fn a_header_may_say_until_when_a_document_holds() {
    let document = |until| (r#"{"name": "before"}"#.to_owned(), Some(until));
    flips("valid_until_header = \"X-Valid-Until\"\n", document);
}

#[test]
fn a_document_may_say_until_when_it_holds() {
    let document = |until| (json!({"name": "before", "until": until}).to_string(), None);
    flips("valid_until_pointer = \"/until\"\n", document);
}
