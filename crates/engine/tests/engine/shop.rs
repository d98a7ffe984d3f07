//! A shop with one or more nodes over fakes, on a clock that the test moves.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_engine::{Answer, Builder, Cache, EngineSettings, Freshness, ReadOptions};
use hotshelf_model::{
    Clock, Error, FreshnessPolicy, Id, Key, Namespace, NamespaceName, ReadObserver, Shape, Tier,
    TierKey, TierName, Variant, VariantSchema,
};
use hotshelf_testkit::{FakeBus, FakeHub, FakeLeases, FakeOrigin, FakeTier, ManualClock};

/// Everything that the nodes of a shop share.
pub(crate) struct Shop {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) origin: Arc<FakeOrigin>,
    pub(crate) l2: Arc<FakeTier>,
    pub(crate) leases: Arc<FakeLeases>,
    pub(crate) settings: EngineSettings,
    pub(crate) namespace: Namespace,
    /// Where nodes remember what they know across a restart.
    pub(crate) checkpoint: Option<PathBuf>,
}

/// One node with a disk of its own.
pub(crate) struct Node {
    pub(crate) cache: Cache,
    pub(crate) l3: Arc<FakeTier>,
    clock: Arc<ManualClock>,
}

pub(crate) fn products() -> NamespaceName {
    NamespaceName::new("products").unwrap()
}

pub(crate) fn key(id: &str) -> Key {
    Key::new(&products(), &Id::new(id).unwrap(), &Variant::default())
}

impl Shop {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        let origin = Arc::new(FakeOrigin::with_clock(Arc::clone(&clock) as Arc<dyn Clock>));
        let leases = FakeLeases::new(Arc::clone(&clock) as Arc<dyn Clock>, Duration::from_secs(1));
        let namespace = Namespace {
            name: products(),
            variants: VariantSchema::default(),
            shape: Shape(7),
            policy: FreshnessPolicy {
                jitter_percent: 0,
                ..FreshnessPolicy::default()
            },
            tracked: true,
            document_bytes_max: 1 << 20,
        };
        Shop {
            clock,
            origin,
            l2: Arc::new(FakeTier::new(TierName::L2)),
            leases: Arc::new(leases),
            settings: EngineSettings::default(),
            namespace,
            checkpoint: None,
        }
    }

    /// A shop with one product `lamp`.
    pub(crate) fn with_lamp() -> Self {
        let shop = Shop::new();
        shop.origin.put("lamp", r#"{"id":"lamp","price":10}"#);
        shop
    }

    /// Starts a node and waits until it has caught up.
    pub(crate) async fn node(&self) -> Node {
        caught_up(self.node_without_waiting()).await
    }

    /// The same with a bus.
    pub(crate) async fn node_on(&self, hub: &Arc<FakeHub>) -> Node {
        self.node_over(hub.join()).await
    }

    /// The same with a bus of its own, which can be cut.
    pub(crate) async fn node_over(&self, bus: Arc<FakeBus>) -> Node {
        let disk = Arc::new(FakeTier::new(TierName::L3));
        let builder = self
            .builder(&disk)
            .bus(bus)
            .cluster_leases(Arc::clone(&self.origin) as _);
        caught_up(self.start(builder, disk)).await
    }

    /// The same with an observer of its reads.
    pub(crate) async fn node_observed(&self, observer: Arc<dyn ReadObserver>) -> Node {
        let disk = Arc::new(FakeTier::new(TierName::L3));
        let builder = self.builder(&disk).observer(observer);
        caught_up(self.start(builder, disk)).await
    }

    /// The same with the disk of an earlier node.
    pub(crate) async fn node_with_disk(&self, disk: Arc<FakeTier>) -> Node {
        caught_up(self.start(self.builder(&disk), disk)).await
    }

    /// Starts a node.
    pub(crate) fn node_without_waiting(&self) -> Node {
        let disk = Arc::new(FakeTier::new(TierName::L3));
        self.start(self.builder(&disk), disk)
    }

    fn builder(&self, disk: &Arc<FakeTier>) -> Builder {
        let builder = Cache::builder(Arc::clone(&self.origin) as _)
            .settings(self.settings)
            .clock(Arc::clone(&self.clock) as _)
            .l2(Arc::clone(&self.l2) as _)
            .l3(Arc::clone(disk) as Arc<dyn Tier>)
            .leases(Arc::clone(&self.leases) as _)
            .namespace(self.namespace.clone(), Arc::clone(&self.origin) as _);
        match &self.checkpoint {
            Some(path) => builder.checkpoint(path),
            None => builder,
        }
    }

    fn start(&self, builder: Builder, disk: Arc<FakeTier>) -> Node {
        Node {
            l3: disk,
            ..self.over(builder.start())
        }
    }

    /// A node over a cache that the test has built itself, without a disk.
    pub(crate) fn over(&self, cache: Cache) -> Node {
        Node {
            cache,
            l3: Arc::new(FakeTier::new(TierName::L3)),
            clock: Arc::clone(&self.clock),
        }
    }

    /// Changes something and prunes it from the log before any node has read it, so that they all resync.
    pub(crate) fn lose_rows(&self) {
        let position = self.origin.head().position.0;
        self.origin.put("something else", format!("{position}"));
        self.origin
            .put("something else", format!("{position} again"));
        self.origin.prune(self.origin.head().position);
    }

    pub(crate) fn tier_key(&self, id: &str) -> TierKey {
        self.namespace.tier_key(self.origin.head().hist, &key(id))
    }
}

async fn caught_up(node: Node) -> Node {
    node.until("the node has caught up", |node| node.cache.is_ready())
        .await;
    node
}

/// Lets everything happen that can within this time of the runtime's clock. That clock is paused: it moves only while no task can go on, so
/// this waits until all have come to rest, and takes no time.
pub(crate) async fn settled(time: Duration) {
    tokio::time::sleep(time).await;
}

impl Node {
    pub(crate) async fn get(&self, id: &str) -> Result<Answer, Error> {
        self.cache.get(&key(id), ReadOptions::default()).await
    }

    /// The document as text, the tier that gave it, and whether it was fresh.
    pub(crate) async fn read(&self, id: &str) -> (String, TierName, bool) {
        let answer = self.get(id).await.unwrap();
        let fresh = matches!(answer.freshness(), Freshness::Fresh { .. });
        (text(&answer), answer.tier(), fresh)
    }

    pub(crate) async fn until(&self, what: &str, mut probe: impl FnMut(&Node) -> bool) {
        let mut left = 100_000;
        while !probe(self) {
            assert!(left > 0, "{what}: did not come to pass");
            left -= 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits until the node has polled at the clock's present time.
    pub(crate) async fn catch_up(&self) {
        self.clock.advance(Duration::from_millis(10));
        self.until("the node has proved itself", |node| {
            node.cache
                .status()
                .proof_age
                .is_some_and(|age| age < Duration::from_millis(10))
        })
        .await;
    }

    /// Lets time pass, with polls on the way.
    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.catch_up().await;
    }
}

pub(crate) fn text(answer: &Answer) -> String {
    String::from_utf8(answer.document().to_vec()).unwrap()
}

pub(crate) fn stale_by(answer: &Answer) -> Option<Duration> {
    match answer.freshness() {
        Freshness::Fresh { .. } => None,
        Freshness::Stale { by } => Some(by),
    }
}
