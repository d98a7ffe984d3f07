//! Hot keys on four real nodes: a crowd on one product is found and held everywhere, sees no old price, and is let go when it leaves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hotshelf_testkit::{NatsServer, RedisServer, wait_until};
use hotshelf_tests::time::Stopwatch;
use hotshelf_tests::{Connection, Load, Node, Shop, stopwatch};
use parking_lot::Mutex;

use crate::parts::{NO_L3, l2};

const NODES: usize = 4;
const STAR: &str = "sku-0007";
/// The least that may be configured, because a build for tests on a busy machine answers few reads.
const THRESHOLD: u32 = 100;
/// The default of a node.
const STALENESS: Duration = Duration::from_secs(2);
/// Between the moment at which a node judges a copy and the one at which the reader's clock is read, on a machine that is busy.
const TOLERANCE: Duration = Duration::from_millis(20);
/// Beyond what a key stays hot for after its crowd has left, several times.
const LIMIT: Duration = Duration::from_secs(120);

/// Nodes with everything that they share.
struct Cluster {
    nodes: Vec<Arc<Node>>,
    shop: Shop,
    _servers: (RedisServer, NatsServer),
}

impl Cluster {
    fn start() -> Self {
        let shop = Shop::own_postgres();
        let (redis, nats) = (RedisServer::start().unwrap(), NatsServer::start().unwrap());
        let bus = format!(
            "[bus]\nkind = \"nats\"\nurls = [\"nats://127.0.0.1:{}\"]\n",
            nats.port()
        );
        let hot = format!("[hot]\nthreshold = {THRESHOLD}\n");
        let toml = shop.toml() + NO_L3 + &l2(&redis) + &bus + &hot;
        let launched: Vec<Node> = (0..NODES).map(|_| Node::launch(&toml)).collect();
        let cluster = Cluster {
            nodes: launched.into_iter().map(Arc::new).collect(),
            shop,
            _servers: (redis, nats),
        };
        for node in &cluster.nodes {
            node.wait_ready();
        }
        wait_until("one node leads, and two stand by", LIMIT, || {
            cluster.sum("hotshelf_hot_leads", &[]) == 1.0
                && cluster.sum("hotshelf_hot_stands_by", &[]) == 2.0
        });
        cluster
    }

    fn living(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.iter().filter(|node| node.is_running())
    }

    /// A metric over all nodes that run.
    fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        self.living().map(|node| node.metric(metric, labels)).sum()
    }

    /// The node that leads, if it is one.
    fn leader(&self) -> Option<&Arc<Node>> {
        let mut leads = self
            .living()
            .filter(|node| node.metric("hotshelf_hot_leads", &[]) == 1.0);
        let leader = leads.next()?;
        leads.next().is_none().then_some(leader)
    }

    /// Whether every node knows of so many hot keys.
    fn all_know(&self, keys: f64) -> bool {
        let known = |node: &Arc<Node>| node.metric("hotshelf_hot_cluster_keys", &[]);
        self.living().all(|node| known(node) == keys)
    }

    /// Waits until every node knows of so many hot keys, and holds a copy of each.
    fn wait_held(&self, keys: f64) {
        let held = |node: &Arc<Node>| node.metric("hotshelf_hot_keys", &[("state", "held")]);
        wait_until("every node holds what is hot", LIMIT, || {
            self.all_know(keys) && self.living().all(|node| held(node) == keys)
        });
    }

    fn demotions(&self) -> f64 {
        self.sum("hotshelf_hot_decisions_total", &[("decision", "demoted")])
    }
}

/// What the crowd saw: for each node and title, when the last read that showed it began.
type Sights = Arc<Mutex<BTreeMap<(usize, String), Duration>>>;

/// Everybody wants the same product, from every node; whoever finds a node dead stays away from it.
struct Crowd {
    watch: Stopwatch,
    stop: Arc<AtomicBool>,
    sights: Sights,
    readers: Vec<JoinHandle<()>>,
}

impl Crowd {
    fn gather(cluster: &Cluster, id: &str) -> Self {
        let (watch, sights) = (stopwatch(), Sights::default());
        let stop = Arc::new(AtomicBool::new(false));
        let path = format!("/v1/products/{id}");
        let reader = |(index, node): (usize, &Arc<Node>)| {
            let (address, path) = (node.address(), path.clone());
            let (stop, sights) = (Arc::clone(&stop), Arc::clone(&sights));
            std::thread::spawn(move || {
                let Ok(mut connection) = Connection::open(&address) else {
                    return;
                };
                while !stop.load(Ordering::Relaxed) {
                    let begun = watch.elapsed();
                    let sent = connection.send("GET", &path, &[], b"");
                    let Ok(reply) = sent.and_then(|()| connection.read_reply("GET")) else {
                        return;
                    };
                    let title = reply.expect(200).json()["title"].to_string();
                    sights.lock().insert((index, title), begun);
                }
            })
        };
        Crowd {
            readers: cluster.nodes.iter().enumerate().map(reader).collect(),
            watch,
            stop,
            sights,
        }
    }

    /// Waits until each of so many nodes has answered a read that began after `moment`.
    fn wait_past(&self, moment: Duration, nodes: usize) {
        wait_until("the crowd reads on", LIMIT, || {
            let sights = self.sights.lock();
            let later = sights.iter().filter(|&(_, &begun)| begun > moment);
            let mut later: Vec<usize> = later.map(|((node, _), _)| *node).collect();
            later.dedup();
            later.len() == nodes
        });
    }

    /// When the last read began, on any node, that showed this title.
    fn last_shown(&self, title: &str) -> Option<Duration> {
        let sights = self.sights.lock();
        let shown = sights
            .iter()
            .filter(|((_, shown), _)| shown.contains(title));
        shown.map(|(_, &begun)| begun).max()
    }

    fn leave(self) {
        self.stop.store(true, Ordering::Relaxed);
        for reader in self.readers {
            reader.join().unwrap();
        }
    }
}

#[test]
fn a_crowd_on_one_product_is_held_everywhere_and_let_go() {
    let cluster = Cluster::start();
    let nodes: Vec<&Node> = cluster.nodes.iter().map(|node| &**node).collect();
    let others: Vec<String> = cluster.shop.ids()[20..].to_vec();
    // Too few reads for any of the others to be hot.
    let background = Load::start(&nodes, &others, 1);
    let crowd = Crowd::gather(&cluster, STAR);
    cluster.wait_held(1.0);

    let old = format!("Product {STAR}");
    for change in 0..5 {
        let new = format!("Price {change}");
        cluster.shop.rename(STAR, &new);
        let due = crowd.watch.elapsed() + STALENESS + TOLERANCE;
        crowd.wait_past(due, NODES);
        let before = if change == 0 {
            old.clone()
        } else {
            format!("Price {}", change - 1)
        };
        let shown = crowd.last_shown(&before).unwrap();
        assert!(
            shown < due,
            "{before} was shown {shown:?}, not after {due:?}"
        );
        cluster.wait_held(1.0);
    }
    assert_eq!(cluster.demotions(), 0.0);

    crowd.leave();
    cluster.wait_held(0.0);
    let counts = background.stop();
    assert_eq!(counts.failed(), 0, "{counts:?}");
}

#[test]
fn nothing_is_let_go_when_the_node_that_leads_is_killed() {
    let cluster = Cluster::start();
    let crowd = Crowd::gather(&cluster, STAR);
    cluster.wait_held(1.0);
    let leader = Arc::clone(cluster.leader().unwrap());
    leader.kill();
    wait_until("a standby leads", LIMIT, || {
        assert!(cluster.all_know(1.0), "it stays hot meanwhile");
        cluster.leader().is_some()
    });
    let now = crowd.watch.elapsed();
    crowd.wait_past(now, NODES - 1);
    cluster.wait_held(1.0);
    assert_eq!(cluster.demotions(), 0.0);

    // It goes on finding: another product becomes hot under the new leader.
    let next = Crowd::gather(&cluster, "sku-0011");
    cluster.wait_held(2.0);
    next.leave();
    crowd.leave();
}
