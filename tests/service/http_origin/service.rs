//! A shop's own service: documents in a SQLite file, answered over HTTP, with faults on demand.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hotshelf_tests::runtime::block_on;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use tempfile::TempDir;
use tokio::sync::watch;

/// What the service does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It answers.
    Good,
    /// It takes them and answers none until the mode changes.
    Silent,
    /// It answers with this status.
    Failing(u16),
    /// It answers without saying how long the answer is.
    Chunked,
    /// It answers with something that is no JSON.
    Garbled,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Path and query, as they were sent.
    pub(crate) target: String,
    /// The ids that were asked for, decoded.
    pub(crate) ids: Vec<String>,
    pub(crate) authorization: Option<String>,
}

#[derive(Debug)]
struct Shared {
    database: SqlitePool,
    mode: watch::Sender<Mode>,
    seen: Mutex<Vec<Seen>>,
}

/// A running service, which ends with the test process.
#[derive(Debug)]
pub(crate) struct Service {
    port: u16,
    shared: Arc<Shared>,
    _folder: TempDir,
}

impl Service {
    pub(crate) fn start() -> Self {
        let folder = crate::program::folder();
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("service.sqlite"))
            .create_if_missing(true);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = block_on(async {
            let pool = SqlitePoolOptions::new().max_connections(1);
            let database = pool.connect_with(options).await.unwrap();
            let schema = "CREATE TABLE article (
                id TEXT, locale TEXT, version INTEGER, document TEXT, valid_until INTEGER, PRIMARY KEY (id, locale)
            )";
            sqlx::raw_sql(schema).execute(&database).await.unwrap();
            Arc::new(Shared {
                database,
                mode: watch::Sender::new(Mode::Good),
                seen: Mutex::default(),
            })
        });
        let router = router(Arc::clone(&shared));
        let serve = async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        };
        block_on(async {
            tokio::spawn(serve);
        });
        Service {
            port,
            shared,
            _folder: folder,
        }
    }

    /// A URL of it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Writes a document in English and German: its id, its version and this name stand in it.
    pub(crate) fn put(&self, id: &str, version: u64, name: &str) {
        for locale in ["en", "de"] {
            let document = json!({"sku": id, "name": format!("{name} ({locale})"), "meta": {"version": version}});
            self.write(id, locale, version, &document.to_string(), None);
        }
    }

    /// Writes a text as it is, in English.
    pub(crate) fn write(
        &self,
        id: &str,
        locale: &str,
        version: u64,
        document: &str,
        until: Option<u64>,
    ) {
        let number = |number: u64| i64::try_from(number).unwrap();
        let statement = sqlx::query("INSERT OR REPLACE INTO article VALUES (?, ?, ?, ?, ?)")
            .bind(id)
            .bind(locale)
            .bind(number(version))
            .bind(document)
            .bind(until.map(number));
        block_on(statement.execute(&self.shared.database)).unwrap();
    }

    pub(crate) fn remove(&self, id: &str) {
        let statement = sqlx::query("DELETE FROM article WHERE id = ?").bind(id);
        block_on(statement.execute(&self.shared.database)).unwrap();
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// The requests since the last call.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.shared.seen.lock())
    }

    /// How many requests there were since they were last taken.
    pub(crate) fn count_seen(&self) -> usize {
        self.shared.seen.lock().len()
    }
}

impl Drop for Service {
    /// Lets requests that were kept waiting go.
    fn drop(&mut self) {
        self.set(Mode::Failing(503));
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/{locale}/articles/{id}", get(one))
        .route("/{locale}/articles", get(many_by_id))
        .route("/{locale}/listed", get(many_in_a_list))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&shared),
            misbehave,
        ))
        .with_state(shared)
}

async fn misbehave(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut modes = shared.mode.subscribe();
    let mode = *modes.wait_for(|mode| *mode != Mode::Silent).await.unwrap();
    // Also a request that will be refused has been seen, and one that is kept waiting is seen when it is let go.
    let response = next.run(request).await;
    match mode {
        Mode::Failing(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Mode::Garbled => ([("x-article-version", "9")], "<html>it works</html>").into_response(),
        Mode::Chunked => {
            let (mut head, body) = response.into_parts();
            head.headers.remove("content-length");
            Response::from_parts(head, Body::from_stream(body.into_data_stream()))
        }
        Mode::Good | Mode::Silent => response,
    }
}

type Row = (String, i64, String, Option<i64>);

impl Shared {
    async fn find(&self, locale: &str, ids: &[String]) -> Vec<Row> {
        let statement = "SELECT id, version, document, valid_until FROM article
            WHERE locale = ? AND id IN (SELECT value FROM json_each(?))";
        let query = sqlx::query_as(statement)
            .bind(locale)
            .bind(json!(ids).to_string());
        query.fetch_all(&self.database).await.unwrap()
    }

    fn note(&self, target: String, ids: &[String], headers: &HeaderMap) {
        let authorization = headers.get("authorization");
        self.seen.lock().push(Seen {
            target,
            ids: ids.to_vec(),
            authorization: authorization.map(|value| value.to_str().unwrap().to_owned()),
        });
    }

    async fn many(
        &self,
        locale: &str,
        query: Option<&str>,
        target: String,
        headers: &HeaderMap,
    ) -> Vec<Row> {
        // The ids are joined with commas, and one with a comma in it is asked for alone.
        let url = format!("http://service/?{}", query.unwrap_or_default());
        let url = reqwest::Url::parse(&url).unwrap();
        let ids = url.query_pairs().find(|(name, _)| name == "ids").unwrap().1;
        let ids: Vec<String> = ids.split(',').map(str::to_owned).collect();
        self.note(target, &ids, headers);
        self.find(locale, &ids).await
    }
}

async fn one(
    State(shared): State<Arc<Shared>>,
    Path((locale, id)): Path<(String, String)>,
    request: Request,
) -> Response {
    let ids = [id];
    shared.note(request.uri().to_string(), &ids, request.headers());
    let Some((_, version, document, until)) = shared.find(&locale, &ids).await.pop() else {
        return (StatusCode::NOT_FOUND, "no such article").into_response();
    };
    let mut headers = vec![
        ("x-article-version", version.to_string()),
        ("content-type", "application/json".to_owned()),
    ];
    headers.extend(until.map(|until| ("x-valid-until", until.to_string())));
    let mut response = document.into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

/// One object from id to document.
async fn many_by_id(
    State(shared): State<Arc<Shared>>,
    Path(locale): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let target = request.uri().to_string();
    let rows = shared
        .many(&locale, query.as_deref(), target, request.headers())
        .await;
    let documents: Map<String, Value> = rows
        .into_iter()
        .map(|(id, _, document, _)| (id, serde_json::from_str(&document).unwrap()))
        .collect();
    axum::Json(documents).into_response()
}

/// A list of documents that name themselves, in an order of its own.
async fn many_in_a_list(
    State(shared): State<Arc<Shared>>,
    Path(locale): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let target = request.uri().to_string();
    let mut rows = shared
        .many(&locale, query.as_deref(), target, request.headers())
        .await;
    rows.reverse();
    let documents: Vec<Value> = rows
        .into_iter()
        .map(|(_, _, document, _)| serde_json::from_str(&document).unwrap())
        .collect();
    axum::Json(documents).into_response()
}
