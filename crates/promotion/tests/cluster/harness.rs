//! A cluster over fakes. Its clock and the runtime's move together, in steps of ten milliseconds, and each node counts its reads in each.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_engine::{Cache, EngineSettings, HotReason};
use hotshelf_hotkeys::Rules;
use hotshelf_model::{
    Bus, Clock, ClusterLeases, FreshnessPolicy, Id, Key, Namespace, NamespaceName, Shape, Variant,
    VariantSchema,
};
use hotshelf_promotion::{Cluster, Counter, HotKeys, Promoter, PromoterSettings};
use hotshelf_testkit::{FakeBus, FakeHub, FakeOrigin, ManualClock};

const STEP: Duration = Duration::from_millis(10);

pub(crate) struct Nodes {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) origin: Arc<FakeOrigin>,
    /// Where nodes that start from now on ask for a seat.
    pub(crate) leases: Arc<dyn ClusterLeases>,
    pub(crate) hub: Arc<FakeHub>,
    pub(crate) all: Vec<Node>,
    pub(crate) rules: Rules,
    started: u32,
}

pub(crate) struct Node {
    pub(crate) number: u32,
    pub(crate) cache: Cache,
    pub(crate) bus: Option<Arc<FakeBus>>,
    pub(crate) promoter: Promoter,
    counter: Counter,
    /// Reads in each step, by key.
    pub(crate) reads: Vec<(Key, u32)>,
    counts: bool,
}

pub(crate) fn key(id: &str) -> Key {
    let products = NamespaceName::new("products").unwrap();
    Key::new(&products, &Id::new(id).unwrap(), &Variant::default())
}

impl Nodes {
    pub(crate) fn none() -> Self {
        let clock = Arc::new(ManualClock::new());
        let origin = Arc::new(FakeOrigin::with_clock(Arc::clone(&clock) as Arc<dyn Clock>));
        for id in ["lamp", "chair", "table"] {
            origin.put(id, format!(r#"{{"id":"{id}"}}"#));
        }
        Nodes {
            clock,
            leases: Arc::clone(&origin) as _,
            origin,
            hub: FakeHub::new(1),
            all: Vec::new(),
            rules: Rules::default(),
            started: 0,
        }
    }

    /// So many nodes, of which one leads and the others that may stand by do.
    pub(crate) async fn settled(count: usize) -> Self {
        let mut nodes = Nodes::none();
        for _ in 0..count {
            nodes.join(None);
        }
        nodes
            .until("one leads", |nodes| nodes.leaders().len() == 1)
            .await;
        nodes.pass(Duration::from_secs(6)).await;
        nodes
    }

    /// Starts one more node on the bus.
    pub(crate) fn join(&mut self, snapshot: Option<PathBuf>) {
        let bus = self.hub.join();
        self.start(Some(bus), snapshot);
    }

    /// Starts a node that has no cluster.
    pub(crate) fn start_alone(&mut self) {
        self.start(None, None);
    }

    fn start(&mut self, bus: Option<Arc<FakeBus>>, snapshot: Option<PathBuf>) {
        self.started += 1;
        let number = self.started;
        let settings = PromoterSettings {
            node: number,
            rules: self.rules.clone(),
            snapshot,
            ..PromoterSettings::default()
        };
        let cluster = bus.clone().map(|bus| Cluster {
            bus: bus as Arc<dyn Bus>,
            leases: Arc::clone(&self.leases),
        });
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let (prepared, counter) = Promoter::prepare(settings, Arc::clone(&clock), cluster);
        let namespace = Namespace {
            name: NamespaceName::new("products").unwrap(),
            variants: VariantSchema::default(),
            shape: Shape(7),
            policy: FreshnessPolicy::default(),
            tracked: true,
            document_bytes_max: 1 << 20,
        };
        let builder = Cache::builder(Arc::clone(&self.origin) as _)
            .settings(EngineSettings::default())
            .clock(clock)
            .namespace(namespace, Arc::clone(&self.origin) as _);
        let builder = match &bus {
            Some(bus) => builder.bus(Arc::clone(bus) as _),
            None => builder,
        };
        let cache = builder.start();
        self.all.push(Node {
            number,
            promoter: prepared.start(cache.clone()),
            cache,
            bus,
            counter,
            reads: Vec::new(),
            counts: true,
        });
    }

    /// Ends a node as a crash does.
    pub(crate) fn kill(&mut self, number: u32) {
        self.all.retain(|node| node.number != number);
    }

    pub(crate) async fn pass(&mut self, time: Duration) {
        for _ in 0..time.as_millis() / STEP.as_millis() {
            self.step().await;
        }
    }

    async fn step(&mut self) {
        self.clock.advance(STEP);
        let now = self.clock.now();
        for node in self.all.iter_mut().filter(|node| node.counts) {
            for (key, reads) in &node.reads {
                for _ in 0..*reads {
                    node.counter.read(key.as_str(), now, || (key.clone(), 2000));
                }
            }
            node.counter.pass(now, 0);
        }
        tokio::time::sleep(STEP).await;
    }

    /// Lets time pass until something is so; says how much.
    pub(crate) async fn until(&mut self, what: &str, is_so: impl Fn(&Nodes) -> bool) -> Duration {
        let begun = self.clock.now();
        while !is_so(self) {
            let waited = self.clock.now().since(begun);
            assert!(
                waited < Duration::from_secs(120),
                "{what}: did not come to pass"
            );
            self.step().await;
        }
        self.clock.now().since(begun)
    }

    /// The numbers of the nodes that lead.
    pub(crate) fn leaders(&self) -> Vec<u32> {
        let leading = self.all.iter().filter(|node| node.hot_keys().view().leads);
        leading.map(|node| node.number).collect()
    }

    /// Every node reads a key so many times a second.
    pub(crate) fn read_everywhere(&mut self, id: &str, per_second: u32) {
        for node in &mut self.all {
            node.reads = vec![(key(id), per_second / 100)];
        }
    }

    pub(crate) fn is_hot_everywhere(&self, id: &str) -> bool {
        self.all
            .iter()
            .all(|node| node.holds(id, HotReason::Detected))
    }

    pub(crate) fn is_hot_anywhere(&self, id: &str) -> bool {
        self.all
            .iter()
            .any(|node| node.holds(id, HotReason::Detected))
    }

    pub(crate) fn node(&mut self, number: u32) -> &mut Node {
        let mut all = self.all.iter_mut();
        all.find(|node| node.number == number).unwrap()
    }
}

impl Node {
    pub(crate) fn hot_keys(&self) -> &HotKeys {
        self.promoter.hot_keys()
    }

    /// Whether a key is hot here for this reason.
    pub(crate) fn holds(&self, id: &str, reason: HotReason) -> bool {
        let hot = self.cache.hot_keys();
        let mut hot = hot.iter().filter(|hot| hot.key == key(id));
        hot.any(|hot| hot.reasons.contains(reason))
    }

    /// It counts no more, as when its drainer hangs.
    pub(crate) fn stop_counting(&mut self) {
        self.counts = false;
    }
}
