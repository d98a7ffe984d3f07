//! The origin against a small service over real TCP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hotshelf_model::{DbTime, Variant, Version};
use hotshelf_testkit::conformance::{self, OriginSubject, ProductWriter};
use parking_lot::Mutex;
use tokio::net::TcpListener;

use super::*;
use crate::settings::{HttpBatch, HttpNamespace};

/// Answers by the id: documents that were put, and ids that misbehave.
#[derive(Debug, Default)]
struct Shop {
    documents: Mutex<BTreeMap<String, String>>,
    /// Ids that once had a document, with the version of the deletion.
    deleted: Mutex<BTreeMap<String, u64>>,
    versions: AtomicU64,
    /// Path and query of every request, as they came.
    seen: Mutex<Vec<String>>,
    under_way: Mutex<(usize, usize)>,
}

impl Shop {
    fn put(&self, id: &str, document: &str) {
        self.documents
            .lock()
            .insert(id.to_owned(), document.to_owned());
    }

    fn seen(&self) -> Vec<String> {
        let mut seen = std::mem::take(&mut *self.seen.lock());
        seen.sort();
        seen
    }

    fn requests_at_once(&self) -> usize {
        self.under_way.lock().1
    }

    fn note(&self, uri: &Uri) {
        self.seen.lock().push(uri.to_string());
    }
}

impl ProductWriter for Shop {
    fn put<'a>(&'a self, id: &'a Id, text: &'a str) -> BoxFuture<'a, ()> {
        let mut documents = self.documents.lock();
        let same = format!("\"text\":\"{text}\"");
        if !documents
            .get(id.as_str())
            .is_some_and(|document| document.contains(&same))
        {
            let version = 1 + self.versions.fetch_add(1, Ordering::Relaxed);
            documents.insert(
                id.as_str().to_owned(),
                format!("{{{same},\"version\":{version}}}"),
            );
        }
        Box::pin(std::future::ready(()))
    }

    fn delete<'a>(&'a self, id: &'a Id) -> BoxFuture<'a, ()> {
        let mut documents = self.documents.lock();
        if documents.remove(id.as_str()).is_some() {
            let version = 1 + self.versions.fetch_add(1, Ordering::Relaxed);
            self.deleted.lock().insert(id.as_str().to_owned(), version);
        }
        Box::pin(std::future::ready(()))
    }
}

async fn one(
    State(shop): State<Arc<Shop>>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    shop.note(&uri);
    {
        let mut under_way = shop.under_way.lock();
        under_way.0 += 1;
        under_way.1 = under_way.1.max(under_way.0);
    }
    let response = answer(&shop, &id, &headers).await;
    shop.under_way.lock().0 -= 1;
    response
}

async fn answer(shop: &Shop, id: &str, headers: &HeaderMap) -> Response {
    match id {
        "slow" => std::future::pending().await,
        "slow-body" => {
            let chunks =
                futures_util::stream::once(async { Ok::<_, std::io::Error>("{\"version\":") })
                    .chain(futures_util::stream::pending());
            Body::from_stream(chunks).into_response()
        }
        "endless" => Body::from_stream(futures_util::stream::repeat_with(|| {
            Ok::<_, std::io::Error>("[".repeat(1024))
        }))
        .into_response(),
        "broken" => (StatusCode::INTERNAL_SERVER_ERROR, "key=secret").into_response(),
        "moved" => (StatusCode::FOUND, [("location", "/products/A-1")]).into_response(),
        "gone" => (StatusCode::GONE, [("x-version", "77")]).into_response(),
        "no-json" => "<html>".into_response(),
        "no-version" => "{}".into_response(),
        "header" => (
            [("x-version", " 41 "), ("x-until", "1700000000000")],
            "{\"version\":3}",
        )
            .into_response(),
        "bad-header" => ([("x-version", "v1")], "{\"version\":3}").into_response(),
        "whoami" => {
            let token = headers
                .get("authorization")
                .map(|value| value.to_str().unwrap().to_owned());
            format!("{{\"version\":1,\"token\":{token:?}}}")
                .replace("Some(", "")
                .replace(')', "")
                .into_response()
        }
        id => match shop.documents.lock().get(id) {
            Some(document) => document.clone().into_response(),
            None => match shop.deleted.lock().get(id) {
                Some(version) => {
                    (StatusCode::GONE, [("x-version", version.to_string())]).into_response()
                }
                None => StatusCode::NOT_FOUND.into_response(),
            },
        },
    }
}

async fn many(
    State(shop): State<Arc<Shop>>,
    Path(form): Path<String>,
    RawQuery(query): RawQuery,
    uri: Uri,
) -> Response {
    shop.note(&uri);
    let query = query.unwrap_or_default();
    let ids = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("ids="))
        .unwrap_or_default();
    let ids: Vec<String> = ids
        .split(',')
        .map(|id| {
            percent_encoding::percent_decode_str(id)
                .decode_utf8()
                .unwrap()
                .into_owned()
        })
        .collect();
    let mut documents = shop.documents.lock().clone();
    let deleted = shop.deleted.lock().clone();
    let told = deleted
        .into_iter()
        .map(|(id, version)| (id, format!("{{\"deleted\":true,\"version\":{version}}}")));
    for (id, document) in told {
        documents.entry(id).or_insert(document);
    }
    let found = ids
        .iter()
        .filter_map(|id| documents.get(id).map(|document| (id, document)));
    match form.as_str() {
        "object" => {
            let pairs: Vec<String> = found
                .map(|(id, document)| format!("{}: {document}", serde_json::to_string(id).unwrap()))
                .collect();
            format!("{{{}}}", pairs.join(",\n")).into_response()
        }
        "array" => {
            let documents: Vec<&str> = found.map(|(_, document)| document.as_str()).rev().collect();
            format!("[{}]", documents.join(" , ")).into_response()
        }
        "broken" => StatusCode::BAD_GATEWAY.into_response(),
        _ => "[1, 2".into_response(),
    }
}

/// The service and the address that it listens on.
async fn service() -> (Arc<Shop>, String) {
    let shop = Arc::new(Shop::default());
    let routes = Router::new()
        .route("/products/{id}", get(one))
        .route("/batch/{form}", get(many))
        .with_state(Arc::clone(&shop));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (shop, address)
}

fn products() -> NamespaceName {
    NamespaceName::new("products").unwrap()
}

fn namespace(address: &str) -> HttpNamespace {
    HttpNamespace::new(products(), format!("{address}/products/{{id}}"))
}

fn batched(address: &str, form: &str) -> HttpNamespace {
    let batch = HttpBatch::new(format!("{address}/batch/{form}?ids={{ids}}"));
    HttpNamespace {
        batch: Some(batch),
        ..namespace(address)
    }
}

fn try_open(namespace: HttpNamespace) -> Result<HttpOrigin, Error> {
    // Another test of this process may have installed it already.
    drop(rustls::crypto::ring::default_provider().install_default());
    HttpOrigin::new(&HttpOriginSettings {
        namespaces: vec![namespace],
        ..HttpOriginSettings::default()
    })
}

fn open(namespace: HttpNamespace) -> HttpOrigin {
    try_open(namespace).unwrap()
}

fn ids(ids: &[&str]) -> Vec<Id> {
    ids.iter().map(|id| Id::new(id).unwrap()).collect()
}

async fn fetch(
    origin: &HttpOrigin,
    asked: &[&str],
) -> Result<Vec<Result<FetchedDocument, Error>>, Error> {
    let (namespace, variant, ids) = (products(), Variant::default(), ids(asked));
    let request = FetchRequest {
        namespace: &namespace,
        variant: &variant,
        ids: &ids,
        as_of: None,
    };
    let fetch = origin.fetch_many(request).await?;
    assert_eq!(fetch.head, None);
    let parents = fetch.parents.as_slice();
    assert_eq!(
        parents,
        [hotshelf_model::Parent::namespace(&namespace, Version::NONE)]
    );
    assert_eq!(fetch.documents.len(), asked.len());
    Ok(fetch.documents)
}

async fn fetch_one(origin: &HttpOrigin, id: &str) -> Result<FetchedDocument, Error> {
    fetch(origin, &[id])
        .await
        .and_then(|mut documents| documents.remove(0))
}

fn document(version: u64, body: &str) -> FetchedDocument {
    FetchedDocument {
        version: Version(version),
        body: Some(body.to_owned().into()),
        valid_until: None,
    }
}

const ABSENT: FetchedDocument = FetchedDocument {
    version: Version::NONE,
    body: None,
    valid_until: None,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_origin_keeps_the_contract_of_every_origin() {
    let (shop, address) = service().await;
    for settings in [namespace(&address), batched(&address, "object")] {
        let origin = open(HttpNamespace {
            version_header: Some("x-version".into()),
            absent_pointer: Some("/deleted".into()),
            ..settings
        });
        let (namespace, variant) = (products(), Variant::default());
        conformance::origin(OriginSubject {
            origin: &origin,
            log: None,
            namespace: &namespace,
            variant: &variant,
            writer: &*shop,
        })
        .await;
    }
}

#[tokio::test]
async fn a_document_comes_with_its_bytes_and_its_version() {
    let (shop, address) = service().await;
    let body = "{ \"version\" : 7,\"price\":1.50, \"name\":\"\\u00e9\" }\n";
    shop.put("A-1", body);
    shop.put("digits", "{\"version\":\"18446744073709551615\"}");
    let origin = open(namespace(&address));
    assert_eq!(fetch_one(&origin, "A-1").await.unwrap(), document(7, body));
    let digits = fetch_one(&origin, "digits").await.unwrap();
    assert_eq!(digits.version, Version(u64::MAX));
}

#[tokio::test]
async fn what_is_not_found_is_absent_with_the_version_of_the_header_if_there_is_one() {
    let (_, address) = service().await;
    let origin = open(HttpNamespace {
        version_header: Some("X-Version".into()),
        ..namespace(&address)
    });
    assert_eq!(fetch_one(&origin, "nothing").await.unwrap(), ABSENT);
    let gone = FetchedDocument {
        version: Version(77),
        ..ABSENT
    };
    assert_eq!(fetch_one(&origin, "gone").await.unwrap(), gone);
}

#[tokio::test]
async fn headers_beat_the_document_and_the_document_serves_where_there_is_none() {
    let (shop, address) = service().await;
    shop.put("plain", "{\"version\":5,\"until\":1800000000000}");
    let origin = open(HttpNamespace {
        version_header: Some("x-version".into()),
        valid_until_header: Some("x-until".into()),
        valid_until_pointer: Some("/until".into()),
        ..namespace(&address)
    });
    let header = fetch_one(&origin, "header").await.unwrap();
    assert_eq!(
        (header.version, header.valid_until),
        (Version(41), Some(DbTime(1_700_000_000_000)))
    );
    let plain = fetch_one(&origin, "plain").await.unwrap();
    assert_eq!(
        (plain.version, plain.valid_until),
        (Version(5), Some(DbTime(1_800_000_000_000)))
    );
    let error = fetch_one(&origin, "bad-header").await.unwrap_err();
    assert!(error.to_string().contains("`x-version`"), "{error}");
}

#[tokio::test]
async fn a_malformed_document_fails_alone_and_says_why() {
    let (shop, address) = service().await;
    for (id, document) in [
        ("good", "{\"version\":1}"),
        ("zero", "{\"version\":0}"),
        ("minus", "{\"version\":-1}"),
        ("fraction", "{\"version\":1.5}"),
        ("word", "{\"version\":\"x\"}"),
        ("null", "{\"version\":null}"),
        ("list", "[]"),
        ("cut", "{\"version\":1"),
        ("two", "{\"version\":1}{}"),
        ("until", "{\"version\":1,\"until\":\"soon\"}"),
        ("forever", "{\"version\":1,\"until\":null}"),
    ] {
        shop.put(id, document);
    }
    let origin = open(HttpNamespace {
        valid_until_pointer: Some("/until".into()),
        ..namespace(&address)
    });
    let asked = [
        "good",
        "zero",
        "minus",
        "fraction",
        "word",
        "null",
        "list",
        "cut",
        "two",
        "until",
        "forever",
        "no-json",
        "no-version",
    ];
    let documents = fetch(&origin, &asked).await.unwrap();
    for (id, found) in asked.iter().zip(documents) {
        match (*id, found) {
            ("good" | "forever", found) => assert_eq!(found.unwrap().version, Version(1)),
            (id, Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::OriginFailed);
                let word = match id {
                    "cut" | "two" | "no-json" => "is not JSON",
                    "until" => "valid_until",
                    _ => "version",
                };
                let text = error.to_string();
                assert!(
                    text.contains(word) && text.contains(&format!("`{id}`")),
                    "{id}: {text}"
                );
            }
            (id, Ok(found)) => panic!("{id}: {found:?}"),
        }
    }
}

#[tokio::test]
async fn an_oversized_document_is_refused_without_reading_it_whole() {
    let (shop, address) = service().await;
    let limit = 4096;
    let fits = format!("{{\"version\":1,\"x\":\"{}\"}}", "y".repeat(limit - 20));
    assert_eq!(fits.len(), limit);
    shop.put("fits", &fits);
    shop.put("one-more", &format!("{fits} "));
    let origin = open(HttpNamespace {
        document_bytes_max: limit,
        ..namespace(&address)
    });
    let documents = fetch(&origin, &["fits", "one-more", "endless"])
        .await
        .unwrap();
    assert_eq!(*documents[0].as_ref().unwrap(), document(1, &fits));
    for refused in &documents[1..] {
        assert_eq!(refused.as_ref().unwrap_err().kind(), ErrorKind::TooLarge);
    }
}

#[tokio::test]
async fn a_slow_answer_is_a_timeout_whether_its_head_or_its_body_is_late() {
    let (shop, address) = service().await;
    shop.put("fast", "{\"version\":1}");
    let origin = open(HttpNamespace {
        timeout: Duration::from_millis(100),
        ..namespace(&address)
    });
    for id in ["slow", "slow-body"] {
        let error = fetch(&origin, &[id]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OriginTimeout, "{id}");
        assert!(error.to_string().contains(&format!("`{id}`")), "{error}");
    }
    let documents = fetch(&origin, &["slow", "fast"]).await.unwrap();
    assert_eq!(
        documents[0].as_ref().unwrap_err().kind(),
        ErrorKind::OriginTimeout
    );
    assert_eq!(documents[1].as_ref().unwrap().version, Version(1));
}

#[tokio::test]
async fn other_statuses_fail_with_the_status_and_without_secrets() {
    let (_, address) = service().await;
    let mut batch = HttpBatch::new(format!(
        "{address}/batch/broken?api_key=hunter1&ids={{ids}}"
    ));
    batch.ids_max = 2;
    let origin = open(HttpNamespace {
        url: format!("{address}/products/{{id}}?api_key=hunter2"),
        batch: Some(batch),
        headers: vec![("authorization".into(), "Bearer hunter3".into())],
        ..namespace(&address)
    });
    for (id, status) in [("broken", "500"), ("moved", "302")] {
        let error = fetch(&origin, &[id]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OriginFailed);
        let text = error.to_string();
        assert!(
            text.contains(status) && text.contains(id) && !text.contains(&address),
            "{text}"
        );
    }
    let token = fetch_one(&origin, "whoami").await.unwrap().body.unwrap();
    assert!(
        token.windows(7).any(|part| part == b"hunter3"),
        "the header is sent"
    );

    let unreachable = hotshelf_testkit::free_port();
    let nobody = open(HttpNamespace {
        url: format!("http://127.0.0.1:{unreachable}/{{id}}?api_key=hunter2"),
        headers: vec![("authorization".into(), "Bearer hunter3".into())],
        ..namespace(&address)
    });
    let error = fetch(&nobody, &["A-1"]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OriginFailed);
    let batch_error = fetch(&origin, &["A-1", "A-2"]).await.unwrap_err();
    let mut everything = format!("{error:?} {error} {batch_error} {nobody:?} {origin:?}");
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        everything.push_str(&cause.to_string());
        source = cause.source();
    }
    assert!(!everything.contains("hunter"), "{everything}");
}

#[tokio::test]
async fn odd_ids_reach_the_service_as_they_are() {
    let (shop, address) = service().await;
    let odd = [
        "a/b",
        "../x",
        "..%2F",
        "a b",
        "100%",
        "a?b=c",
        "a#b",
        "{id}",
        "a,b",
        "блок 7",
        "日本語",
        "a\\b",
        "+",
        "\"q\"",
    ];
    let document_of = |index: usize| format!("{{\"version\":{}}}", index + 1);
    for (index, id) in odd.iter().enumerate() {
        shop.put(id, &document_of(index));
    }
    for origin in [open(namespace(&address)), open(batched(&address, "object"))] {
        let documents = fetch(&origin, &odd).await.unwrap();
        for (index, found) in documents.into_iter().enumerate() {
            assert_eq!(
                found.unwrap(),
                document(index as u64 + 1, &document_of(index)),
                "{}",
                odd[index]
            );
        }
    }
}

#[tokio::test]
async fn variants_and_the_time_are_put_into_the_url() {
    let (shop, address) = service().await;
    shop.put("A-1", "{\"version\":1}");
    let origin = open(HttpNamespace {
        url: format!(
            "{address}/products/{{id}}?locale={{locale}}&currency={{currency}}&at={{as_of}}"
        ),
        dimensions: vec!["locale".into(), "currency".into()],
        ..namespace(&address)
    });
    let (namespace, ids) = (products(), ids(&["A-1"]));
    let variant = Variant::parse("locale=de-AT;currency=EUR").unwrap();
    for as_of in [None, Some(DbTime(1_700_000_000_000))] {
        let request = FetchRequest {
            namespace: &namespace,
            variant: &variant,
            ids: &ids,
            as_of,
        };
        origin.fetch_many(request).await.unwrap();
    }
    assert_eq!(
        shop.seen(),
        [
            "/products/A-1?locale=de-AT&currency=EUR&at=0",
            "/products/A-1?locale=de-AT&currency=EUR&at=1700000000000"
        ]
    );
    let variant = Variant::parse("locale=de-AT").unwrap();
    let request = FetchRequest {
        namespace: &namespace,
        variant: &variant,
        ids: &ids,
        as_of: None,
    };
    let error = origin.fetch_many(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_batch_is_one_request_and_keeps_bytes_and_order() {
    let (shop, address) = service().await;
    let body = |id: &str, version: u64| {
        format!("{{ \"id\":\"{id}\", \"version\":{version},\"price\": 1.50 }}")
    };
    shop.put("A-1", &body("A-1", 1));
    shop.put("A-2", "null");
    shop.put("A-3", &body("A-3", 3));
    let origin = open(batched(&address, "object"));
    let documents = fetch(&origin, &["A-3", "A-2", "nothing", "A-1"])
        .await
        .unwrap();
    let documents: Vec<FetchedDocument> = documents.into_iter().map(Result::unwrap).collect();
    assert_eq!(
        documents,
        [
            document(3, &body("A-3", 3)),
            ABSENT,
            ABSENT,
            document(1, &body("A-1", 1))
        ]
    );
    assert_eq!(shop.seen(), ["/batch/object?ids=A-3,A-2,nothing,A-1"]);
    // One id is asked for alone, so that its headers count.
    fetch_one(&origin, "A-1").await.unwrap();
    assert_eq!(shop.seen(), ["/products/A-1"]);
}

#[tokio::test]
async fn a_batch_may_answer_with_an_array_of_documents_that_know_their_id() {
    let (shop, address) = service().await;
    shop.put("A-1", "{\"meta\":{\"id\":\"A-1\"},\"version\":1}");
    shop.put("17", "{\"meta\":{\"id\":17},\"version\":2}");
    let mut namespace = batched(&address, "array");
    namespace.batch.as_mut().unwrap().id_pointer = Some("/meta/id".into());
    let origin = open(namespace);
    let documents = fetch(&origin, &["nothing", "A-1", "17"]).await.unwrap();
    let documents: Vec<FetchedDocument> = documents.into_iter().map(Result::unwrap).collect();
    let expected = [
        ABSENT,
        document(1, "{\"meta\":{\"id\":\"A-1\"},\"version\":1}"),
        document(2, "{\"meta\":{\"id\":17},\"version\":2}"),
    ];
    assert_eq!(documents, expected);
    shop.put("A-2", "{\"version\":3}");
    let error = fetch(&origin, &["A-1", "A-2"]).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("`/meta/id`"), "{source}");
}

#[tokio::test]
async fn in_a_batch_a_bad_document_fails_alone() {
    let (shop, address) = service().await;
    shop.put("good", "{\"version\":1}");
    shop.put(
        "large",
        &format!("{{\"version\":1,\"x\":\"{}\"}}", "y".repeat(200)),
    );
    shop.put("no-version", "{}");
    let origin = open(HttpNamespace {
        document_bytes_max: 100,
        ..batched(&address, "object")
    });
    let documents = fetch(&origin, &["good", "large", "no-version"])
        .await
        .unwrap();
    assert_eq!(
        *documents[0].as_ref().unwrap(),
        document(1, "{\"version\":1}")
    );
    assert_eq!(
        documents[1].as_ref().unwrap_err().kind(),
        ErrorKind::TooLarge
    );
    let error = documents[2].as_ref().unwrap_err();
    assert!(error.to_string().contains("`no-version`"), "{error}");

    let mut small = batched(&address, "object");
    small.batch.as_mut().unwrap().answer_bytes_max = 100;
    let documents = fetch(&open(small), &["good", "large"]).await.unwrap();
    let kinds: Vec<ErrorKind> = documents
        .into_iter()
        .map(|found| found.unwrap_err().kind())
        .collect();
    assert_eq!(kinds, [ErrorKind::TooLarge, ErrorKind::TooLarge]);
}

#[tokio::test]
async fn a_batch_that_fails_or_is_no_batch_fails_as_a_whole() {
    let (_, address) = service().await;
    for (form, word) in [("broken", "502"), ("nonsense", "no batch of documents")] {
        let error = fetch(&open(batched(&address, form)), &["A-1", "A-2"])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OriginFailed);
        let text = error.to_string();
        assert!(
            text.contains(word) && text.contains("fetching 2 products"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn large_fetches_are_shared_out_by_count_and_by_length() {
    let (shop, address) = service().await;
    let asked: Vec<String> = (0..50).map(|number| format!("ж-{number:02}")).collect();
    for (version, id) in (1..).zip(&asked) {
        shop.put(id, &format!("{{\"version\":{version}}}"));
    }
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let mut namespace = batched(&address, "object");
    let batch = namespace.batch.as_mut().unwrap();
    (batch.ids_max, batch.url_bytes_max) = (20, 256);
    let documents = fetch(&open(namespace.clone()), &asked).await.unwrap();
    for (version, found) in (1..).zip(documents) {
        assert_eq!(found.unwrap().version, Version(version));
    }
    let seen = shop.seen();
    // Nine bytes and a comma for each id.
    assert!(
        seen.len() >= 3 && seen.iter().all(|url| address.len() + url.len() <= 256),
        "{seen:?}"
    );

    namespace.batch.as_mut().unwrap().url_bytes_max = 8192;
    fetch(&open(namespace), &asked).await.unwrap();
    assert_eq!(shop.seen().len(), 3);
}

#[tokio::test]
async fn single_requests_run_at_once_up_to_the_limit() {
    let (shop, address) = service().await;
    let asked: Vec<String> = (0..40).map(|number| format!("A-{number}")).collect();
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let origin = open(HttpNamespace {
        requests_max: 3,
        ..namespace(&address)
    });
    let documents = fetch(&origin, &asked).await.unwrap();
    assert!(documents.into_iter().all(|found| found.unwrap() == ABSENT));
    assert!(
        (1..=3).contains(&shop.requests_at_once()),
        "{}",
        shop.requests_at_once()
    );
}

#[tokio::test]
async fn an_unknown_namespace_is_refused_and_versions_are_not_offered() {
    let (_, address) = service().await;
    let origin = open(namespace(&address));
    let (cards, variant) = (NamespaceName::new("cards").unwrap(), Variant::default());
    let request = FetchRequest {
        namespace: &cards,
        variant: &variant,
        ids: &[],
        as_of: None,
    };
    assert_eq!(
        origin.fetch_many(request).await.unwrap_err().kind(),
        ErrorKind::UnknownNamespace
    );
    assert_eq!(
        origin.versions(&cards, &[]).await.unwrap_err().kind(),
        ErrorKind::UnknownNamespace
    );
    assert!(
        origin
            .versions(&products(), &ids(&["A-1"]))
            .await
            .unwrap()
            .is_none()
    );
    assert!(fetch(&origin, &[]).await.unwrap().is_empty());
}

#[test]
fn a_wrong_setting_is_named() {
    type Change = fn(&mut HttpNamespace);
    let wrong: [(&str, Change); 12] = [
        ("url", |namespace| namespace.url = "products".into()),
        ("version_header", |namespace| {
            namespace.version_pointer = None
        }),
        ("version_header", |namespace| {
            namespace.version_header = Some("a b".into())
        }),
        ("version_pointer", |namespace| {
            namespace.version_pointer = Some("version".into())
        }),
        ("headers.a b", |namespace| {
            namespace.headers = vec![("a b".into(), "c".into())]
        }),
        ("headers.a", |namespace| {
            namespace.headers = vec![("a".into(), "b\nc".into())]
        }),
        ("timeout", |namespace| namespace.timeout = Duration::ZERO),
        ("requests_max", |namespace| namespace.requests_max = 0),
        ("document_bytes_max", |namespace| {
            namespace.document_bytes_max = 0
        }),
        ("batch.url", |namespace| {
            batch_of(namespace).url = "http://a/{id}".into()
        }),
        ("batch.ids_max", |namespace| batch_of(namespace).ids_max = 0),
        ("batch.id_pointer", |namespace| {
            batch_of(namespace).id_pointer = Some("id".into())
        }),
    ];
    for (field, change) in wrong {
        let mut namespace = batched("http://127.0.0.1:1", "object");
        assert!(try_open(namespace.clone()).is_ok());
        change(&mut namespace);
        check_problem(namespace, field);
    }
    check_problem(
        HttpNamespace {
            version_header: Some("x-version".into()),
            version_pointer: None,
            ..batched("http://127.0.0.1:1", "object")
        },
        "version_pointer",
    );
}

fn batch_of(namespace: &mut HttpNamespace) -> &mut HttpBatch {
    namespace.batch.as_mut().unwrap()
}

fn check_problem(namespace: HttpNamespace, field: &str) {
    let error = try_open(namespace).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        source.starts_with(&format!("{field}: ")),
        "{field}: {source}"
    );
}
