//! What is decided on one node is in force on every node, ends by itself, and is never half applied.

use std::convert::Infallible;

use hotshelf_engine::{EngineSettings, Part};
use hotshelf_model::{FreshnessPolicy, Namespace, Shape, VariantSchema};
use hotshelf_testkit::{FakeOrigin, FakeSettings, ManualClock, names, wait_until_async};

use super::*;
use crate::document::Act;
use crate::switches::{Switch, SwitchEntry, SwitchValue};

const LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Others(Mutex<Option<Effective>>);

impl CarryOut for Others {
    fn carry_out(&self, effective: &Effective) {
        *self.0.lock() = Some(effective.clone());
    }
}

struct Cluster {
    clock: Arc<ManualClock>,
    origin: Arc<FakeOrigin>,
    settings: Arc<FakeSettings>,
}

struct Node {
    cache: Cache,
    decisions: Decisions,
    others: Arc<Others>,
}

impl Cluster {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        let origin = Arc::new(FakeOrigin::with_clock(Arc::clone(&clock) as _));
        origin.put("a", "{}");
        origin.put("b", "{}");
        Cluster {
            clock,
            origin,
            settings: Arc::default(),
        }
    }

    async fn node(&self, name: &str) -> Node {
        let namespace = Namespace {
            name: names::products(),
            variants: VariantSchema::default(),
            shape: Shape(1),
            policy: FreshnessPolicy::default(),
            tracked: true,
            document_bytes_max: 1 << 20,
        };
        let settings = EngineSettings {
            poll_interval: Duration::from_millis(10),
            ..EngineSettings::default()
        };
        let cache = Cache::builder(Arc::clone(&self.origin) as _)
            .settings(settings)
            .clock(Arc::clone(&self.clock) as _)
            .namespace(namespace, Arc::clone(&self.origin) as _)
            .start();
        wait_until_async("the node has caught up", LIMIT, async || cache.is_ready()).await;
        let others = Arc::new(Others::default());
        let watcher = Watcher::new(Arc::clone(&self.settings) as _);
        let decisions = Decisions::new(name, cache.clone(), watcher, Arc::clone(&others) as _);
        Node {
            cache,
            decisions,
            others,
        }
    }
}

impl Node {
    fn is_off(&self, part: Part) -> bool {
        self.cache.switches().is_off(part)
    }

    async fn hears(&self) {
        self.decisions.watcher.look().await.unwrap();
    }

    fn pinned(&self) -> usize {
        let hot = self.cache.hot_keys();
        let pinned = hot
            .iter()
            .filter(|hot| hot.reasons.contains(HotReason::Pinned));
        pinned.count()
    }

    async fn pin(&self, ids: &[&str], lasts: Duration) -> Changed<crate::NoRoom> {
        let keys: Vec<Key> = ids.iter().map(|id| key(id)).collect();
        let weighed = self.decisions.weigh(&keys).await.unwrap();
        assert_eq!(weighed.keys.len(), ids.len());
        let room = self.decisions.room();
        let edit = |pins: Pins, now: DbTime| {
            let act = act(now.plus(lasts));
            pins.with(weighed.keys.clone(), &act, room)
        };
        self.decisions.change(&decider(None), edit).await.unwrap()
    }

    async fn switch_off(
        &self,
        switch: Switch,
        lasts: Duration,
        if_version: Option<u64>,
    ) -> Changed<Infallible> {
        let edit = |switches: SwitchEntries, now: DbTime| {
            Ok(switches.with(SwitchEntry {
                switch,
                text: "off".to_owned(),
                value: SwitchValue::Off,
                node: None,
                act: act(now.plus(lasts)),
            }))
        };
        let decider = decider(if_version);
        self.decisions.change(&decider, edit).await.unwrap()
    }
}

fn key(id: &str) -> Key {
    Key::parse(&format!("products//{id}")).unwrap()
}

fn act(until: DbTime) -> Act {
    Act {
        until_ms: Some(until.0),
        at_ms: 0,
        who: "ops".to_owned(),
        why: "the sale".to_owned(),
    }
}

fn decider(if_version: Option<u64>) -> Decider {
    Decider {
        who: "ops".to_owned(),
        why: "the sale".to_owned(),
        if_version,
    }
}

#[tokio::test]
async fn what_is_pinned_on_one_node_every_node_holds_until_it_ends() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node("one").await, cluster.node("two").await);
    let minute = Duration::from_secs(60);
    let outcome = one.pin(&["a", "b"], minute).await;
    assert_eq!(outcome, Changed::Written { version: 1 });
    assert_eq!(one.pinned(), 2, "at once");
    two.hears().await;
    assert_eq!(two.pinned(), 2);
    wait_until_async("the other node has fetched them", LIMIT, async || {
        two.cache.hot_keys().iter().all(|hot| hot.held)
    })
    .await;
    let keeping = tokio::spawn(two.decisions.clone().keep_time());
    cluster.settings.fail(ErrorKind::OriginFailed);
    cluster.clock.advance(minute);
    wait_until_async("the pins end, database or not", LIMIT, async || {
        two.pinned() == 0
    })
    .await;
    keeping.abort();
}

#[tokio::test]
async fn a_switch_is_in_force_everywhere_and_ends_by_itself() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node("one").await, cluster.node("two").await);
    let minute = Duration::from_secs(60);
    one.switch_off(Switch::Origin, minute, None).await;
    assert!(one.is_off(Part::Origin));
    assert!(!two.is_off(Part::Origin));
    two.hears().await;
    assert!(two.is_off(Part::Origin));
    let restarted = cluster.node("two").await;
    restarted.hears().await;
    assert!(restarted.is_off(Part::Origin), "a restart forgets nothing");
    cluster.clock.advance(minute);
    for node in [&one, &two] {
        node.decisions.shared.put_in_force();
        assert!(!node.is_off(Part::Origin));
        assert_eq!(node.decisions.in_force(), Effective::default());
        assert_eq!(*node.others.0.lock(), Some(Effective::default()));
    }
}

#[tokio::test]
async fn of_two_operators_at_once_none_undoes_what_the_other_decides() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.node("one").await, cluster.node("two").await);
    let minute = Duration::from_secs(60);
    let (first, second) = tokio::join!(
        one.switch_off(Switch::L2, minute, None),
        two.switch_off(Switch::L3, minute, None),
    );
    assert!(matches!(first, Changed::Written { .. }), "{first:?}");
    assert!(matches!(second, Changed::Written { .. }), "{second:?}");
    one.hears().await;
    assert!(one.is_off(Part::L2) && one.is_off(Part::L3));
    let refused = one.switch_off(Switch::Refresh, minute, Some(1)).await;
    assert_eq!(refused, Changed::VersionMismatch { current: 2 });
    assert!(!one.is_off(Part::Refresh));
    let history = one.decisions.history::<SwitchEntries>(9).await.unwrap();
    let versions: Vec<u64> = history.iter().map(|change| change.version).collect();
    assert_eq!(versions, [2, 1]);
}

#[tokio::test]
async fn a_document_that_cannot_be_read_changes_nothing_and_is_not_replaced() {
    let cluster = Cluster::new();
    let node = cluster.node("one").await;
    let minute = Duration::from_secs(60);
    node.switch_off(Switch::L2, minute, None).await;
    cluster.settings.put("switches", Some(r#"{"format":2}"#));
    node.hears().await;
    assert!(node.is_off(Part::L2));
    let known = node.decisions.switches();
    assert_eq!(known.version, 2);
    assert!(known.unreadable.unwrap().contains("format 2"));
    let outcome = node.switch_off(Switch::L3, minute, None).await;
    assert!(matches!(outcome, Changed::Unreadable(_)), "{outcome:?}");
    cluster.settings.put("switches", None);
    node.hears().await;
    assert!(!node.is_off(Part::L2));
}

#[tokio::test]
async fn a_pin_that_is_banned_is_held_once_it_no_longer_is() {
    let cluster = Cluster::new();
    let node = cluster.node("one").await;
    node.cache.ban([key("a")]);
    node.pin(&["a", "b"], Duration::from_secs(60)).await;
    assert_eq!(
        (node.pinned(), node.decisions.refused()),
        (1, vec![key("a")])
    );
    node.cache.ban([]);
    node.decisions.shared.put_in_force();
    assert_eq!((node.pinned(), node.decisions.refused()), (2, vec![]));
}
