//! What the tests of this crate share: an engine over a fake database, and requests without a socket.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use hotshelf_decisions::{CarryOut, Decisions, Effective, Watcher};
use hotshelf_engine::{Cache, EngineSettings};
use hotshelf_model::{
    Asker, BootClock, BoxFuture, Clock, Dimension, Error, FreshnessPolicy, Id, Namespace,
    NodeFacts, ProductFinder, Read, ReadObserver, Selection, Shape, VariantSchema,
};
use hotshelf_promotion::{HotKeys, LiveRules, Rules};
use hotshelf_telemetry::Recorder;
use hotshelf_testkit::{
    FakeNodes, FakeOrigin, FakeSettings, FakeWriter, ManualClock, names, wait_until_async,
};
use http::header::HeaderName;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;

use crate::body::AnswerBody;
use crate::{
    Access, ApiParts, ApiState, Decided, Front, Hot, HttpSettings, Membership, Writing,
    admin_router, public_router,
};

/// Longer than anything here takes, shorter than a hung test is worth.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// The recorder is global to the process, so all tests share it.
pub(crate) fn recorder() -> Recorder {
    static RECORDER: OnceLock<Recorder> = OnceLock::new();
    RECORDER
        .get_or_init(|| Recorder::install().unwrap())
        .clone()
}

/// A document that is worth compressing, with blanks that a parser would lose.
pub(crate) fn long_document() -> String {
    format!("{{ \"title\":  \"{}\" }}", "jacket ".repeat(300))
}

/// A shop with the namespace `products`, its documents in two locales.
pub(crate) struct Shop {
    pub(crate) origin: Arc<FakeOrigin>,
    pub(crate) writer: Arc<FakeWriter>,
    pub(crate) ears: Arc<Ears>,
    pub(crate) hot: HotKeys,
    pub(crate) settings: Arc<FakeSettings>,
    pub(crate) watcher: Watcher,
    pub(crate) state: Arc<ApiState>,
    pub(crate) nodes: Arc<FakeNodes>,
    pub(crate) public: Front,
    pub(crate) admin: Front,
}

/// What was told of each read: its id, who asked, and whether it counts.
#[derive(Debug, Default)]
pub(crate) struct Ears(Mutex<Vec<String>>);

impl ReadObserver for Ears {
    fn read(&self, read: &Read<'_>) {
        let Asker { request_id, caller } = read.asker;
        let counts = if read.is_interactive {
            ""
        } else {
            " uncounted"
        };
        let told = format!("{} {request_id}/{caller}{counts}", read.key.id());
        self.0.lock().push(told);
    }
}

impl Ears {
    /// What was told since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// Carries out nothing: what is the engine's is what these tests look at.
#[derive(Debug)]
struct Nothing;

impl CarryOut for Nothing {
    fn carry_out(&self, _effective: &Effective) {}
}

/// Finds the documents `a` and `long` in any category of one name, and nothing else.
#[derive(Debug)]
struct Category;

impl ProductFinder for Category {
    fn select<'a>(
        &'a self,
        selection: Selection<'a>,
        ids_max: usize,
    ) -> BoxFuture<'a, Result<Vec<Id>, Error>> {
        let found = match selection {
            Selection::Category([_]) => &["a", "long"][..],
            _ => &[],
        };
        let found = found.iter().take(ids_max).map(|id| Id::new(id).unwrap());
        let found = found.collect();
        Box::pin(async { Ok(found) })
    }

    fn exist<'a>(&'a self, ids: &'a [Id]) -> BoxFuture<'a, Result<Vec<bool>, Error>> {
        Box::pin(async { Ok(vec![true; ids.len()]) })
    }
}

/// What is decided on the node `here`.
fn decided(cache: &Cache, watcher: &Watcher) -> Decided {
    let others = Arc::new(Nothing);
    Decided {
        decisions: Decisions::new("here", cache.clone(), watcher.clone(), others),
        finder: Arc::new(Category),
    }
}

/// An answer that has come whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::with_settings(HttpSettings::default()).await
    }

    pub(crate) async fn with_settings(settings: HttpSettings) -> Self {
        Self::open_with(settings, Arc::new(BootClock), |writing| writing).await
    }

    /// A shop in which other things may be written, or by others.
    pub(crate) async fn with_writing(adjust: impl FnOnce(Writing) -> Writing) -> Self {
        Self::open_with(HttpSettings::default(), Arc::new(BootClock), adjust).await
    }

    pub(crate) async fn with_clock(clock: &Arc<ManualClock>) -> Self {
        Self::open_with(
            HttpSettings::default(),
            Arc::<ManualClock>::clone(clock) as Arc<dyn Clock>,
            |writing| writing,
        )
        .await
    }

    async fn open_with(
        settings: HttpSettings,
        clock: Arc<dyn Clock>,
        adjust: impl FnOnce(Writing) -> Writing,
    ) -> Self {
        let recorder = recorder();
        let origin = Arc::new(FakeOrigin::with_clock(Arc::clone(&clock)));
        origin.put("a", r#"{"id":"a"}"#);
        origin.put("a/b", r#"{"id":"a/b"}"#);
        origin.put("long", long_document());
        let log = Arc::<FakeOrigin>::clone(&origin);
        let engine = EngineSettings {
            poll_interval: Duration::from_millis(20),
            ..EngineSettings::default()
        };
        let ears = Arc::new(Ears::default());
        let cache = Cache::builder(log)
            .observer(Arc::clone(&ears) as _)
            .settings(engine)
            .clock(Arc::clone(&clock))
            .namespace(products(), Arc::<FakeOrigin>::clone(&origin))
            .start();
        wait_until_async("the node has caught up", LIMIT, async || cache.is_ready()).await;
        let writer = Arc::new(FakeWriter::new(Arc::clone(&origin)));
        let writing = Writing {
            products: [(names::products(), Arc::clone(&writer) as _)].into(),
            changes: Some(Arc::clone(&writer) as _),
            access: Access {
                writes_open: true,
                admin_open: true,
                metrics_open: true,
                ..Access::default()
            },
            ..Writing::default()
        };
        let hot = HotKeys::new(Arc::clone(&clock), Rules::default());
        hot.hold_in(cache.clone());
        let cluster = Arc::new(FakeSettings::default());
        let nodes = Arc::new(FakeNodes::new(Arc::clone(&clock)));
        let membership = Membership::new(
            node("shelf-1", 1),
            Arc::clone(&nodes) as _,
            Arc::clone(&clock),
        );
        let watcher = Watcher::new(Arc::clone(&cluster) as _);
        let state = ApiState::new(ApiParts {
            decided: decided(&cache, &watcher),
            cache,
            recorder,
            clock,
            settings,
            writing: adjust(writing),
            hot: Some(Hot {
                rules: LiveRules::new(hot.clone(), watcher.clone()),
                keys: hot.clone(),
            }),
            membership: Arc::clone(&membership),
            warmer: None,
        });
        let public = Front::public(Arc::clone(&state), public_router(Arc::clone(&state)));
        let admin = Front::admin(Arc::clone(&state), admin_router(Arc::clone(&state)));
        Shop {
            origin,
            writer,
            ears,
            hot,
            settings: cluster,
            watcher,
            state,
            nodes,
            public,
            admin,
        }
    }

    /// GET on the admin listener.
    pub(crate) async fn ask_admin(&self, path: &str) -> Reply {
        answer(&self.admin, Method::GET, path, &[], "").await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send(Method::GET, path, headers, "").await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        answer(&self.public, method, path, headers, body).await
    }

    pub(crate) async fn batch(&self, body: &str) -> Reply {
        self.send(Method::POST, "/v1/products:batchGet", &[], body)
            .await
    }
}

/// Sends one request to a front.
pub(crate) async fn answer(
    front: &Front,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let mut request = Request::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap();
    for (name, value) in headers {
        request
            .headers_mut()
            .append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    let (parts, body) = front.answer(request, true).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Reply {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

/// One event as a client sees it.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: String,
}

/// A client that reads events.
pub(crate) struct Events {
    body: AnswerBody,
    text: String,
}

impl Events {
    pub(crate) async fn open(shop: &Shop, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = Request::get(path);
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
    pub(crate) async fn next(&mut self) -> Option<Seen> {
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

    pub(crate) async fn next_named(&mut self, name: &str) -> Seen {
        loop {
            let seen = self.next().await.expect("the stream goes on");
            if seen.name == name {
                return seen;
            }
        }
    }
}

/// What a node says of itself.
pub(crate) fn node(name: &str, number: u32) -> NodeFacts {
    NodeFacts {
        name: name.to_owned(),
        number,
        admin: format!("http://{name}:7401"),
        version: "1.2.3".to_owned(),
    }
}

fn products() -> Namespace {
    let locales = Dimension::new("locale", &["en".to_owned(), "de".to_owned()]).unwrap();
    Namespace {
        name: names::products(),
        variants: VariantSchema::new(vec![locales]).unwrap(),
        shape: Shape(0x1a2b_3c4d),
        policy: FreshnessPolicy {
            jitter_percent: 0,
            ..FreshnessPolicy::default()
        },
        tracked: true,
        document_bytes_max: 8 << 20,
    }
}
