//! Pins and switches on two real nodes: decided on one by the command line, in force on both, gone by themselves.

use std::path::Path;
use std::time::Duration;

use hotshelf_testkit::{RedisServer, wait_until};
use hotshelf_tests::{Address, Node, Shop, stopwatch};

use crate::parts::{NO_L3, l2};
use crate::program::{Run, folder, hotshelf};

const STAR: &str = "sku-0007";
/// What is promised is one second; a busy machine that builds for tests takes longer to say it.
const WITHIN: Duration = Duration::from_secs(5);
/// How long the pin of the test lasts.
const LASTS: Duration = Duration::from_secs(8);
const LIMIT: Duration = Duration::from_secs(60);

struct Pair {
    nodes: [Node; 2],
    _shop: Shop,
    _redis: RedisServer,
}

impl Pair {
    fn start() -> Self {
        let shop = Shop::own_postgres();
        let redis = RedisServer::start().unwrap();
        let toml = |name: &str| {
            format!(
                "{}{NO_L3}{}[node]\nname = \"{name}\"\n",
                shop.toml(),
                l2(&redis)
            )
        };
        let launched = ["one", "two"].map(|name| Node::launch(&toml(name)));
        for node in &launched {
            node.wait_ready();
        }
        Pair {
            nodes: launched,
            _shop: shop,
            _redis: redis,
        }
    }

    fn held(&self) -> [f64; 2] {
        let held = |node: &Node| node.metric("hotshelf_hot_keys", &[("state", "held")]);
        [held(&self.nodes[0]), held(&self.nodes[1])]
    }

    fn switched(&self) -> [f64; 2] {
        let set = |node: &Node| node.metric("hotshelf_switches_set", &[]);
        [set(&self.nodes[0]), set(&self.nodes[1])]
    }

    /// Runs a command against the first node.
    fn run(&self, folder: &Path, args: &[&str]) -> Run {
        let admin = match self.nodes[0].admin_address() {
            Address::Tcp(port) => format!("http://127.0.0.1:{port}"),
            Address::Unix(path) => path.display().to_string(),
        };
        let args = [args, &["--admin", &admin]].concat();
        hotshelf(folder, &args)
    }
}

#[test]
fn what_is_pinned_and_switched_on_one_node_holds_on_both_and_ends() {
    let pair = Pair::start();
    let folder = folder();
    let run = |args: &[&str]| pair.run(folder.path(), args);

    let lasts = format!("{}s", LASTS.as_secs());
    let why = ["--reason", "the sale begins"];
    let pin = ["pin", "add", STAR, "--for", &lasts];
    run(&[&pin[..], &why].concat()).expect(0);
    let watch = stopwatch();
    wait_until("both nodes hold the star", WITHIN, || {
        pair.held() == [1.0; 2]
    });
    let hot = pair.nodes[1].admin("/admin/v1/hot").expect(200).json();
    assert_eq!(hot["keys"][0]["reasons"][0], "pinned", "{hot}");
    let nobody = ["pin", "add", "nobody-sells-this", "--for", "1m"];
    run(&[&nobody[..], &why].concat())
        .expect(1)
        .says(&["not there", "nothing is pinned"]);
    let listed = run(&["pin", "list"]).expect(0);
    assert!(
        listed.stdout.contains("the sale begins"),
        "{}",
        listed.stdout
    );
    wait_until("the pin ends by itself", LIMIT, || pair.held() == [0.0; 2]);
    assert!(watch.elapsed() > LASTS / 2, "not long before its end");

    let set = ["switch", "set", "origin", "off", "--for", "10m"];
    run(&[&set[..], &why].concat()).expect(0);
    wait_until("the switch is set on both", WITHIN, || {
        pair.switched() == [1.0; 2]
    });
    let documents = pair.nodes[1].origin_documents();
    pair.nodes[1].product(STAR).expect(200);
    let missing = pair.nodes[1].product("sku-0008").expect(503);
    assert_eq!(missing.code(), "origin_off");
    assert_eq!(pair.nodes[1].origin_documents(), documents);
    let l2 = ["switch", "set", "l2", "off", "--node", "two"];
    run(&[&l2[..], &why].concat()).expect(0);
    wait_until("the second node is without L2", WITHIN, || {
        pair.switched() == [1.0, 2.0]
    });
    pair.nodes[1].restart();
    wait_until("a restart forgets nothing", LIMIT, || {
        pair.switched() == [1.0, 2.0]
    });
    pair.nodes[1].product(STAR).expect(503);
    let clear = ["switch", "clear", "origin"];
    run(&[&clear[..], &why].concat()).expect(0);
    wait_until("the origin is on again", WITHIN, || {
        pair.switched() == [0.0, 1.0]
    });
    assert_eq!(pair.nodes[1].product(STAR).expect(200).tier(), "origin");
    let history = run(&["switch", "history"]).expect(0);
    for what in ["set origin off", "set l2 off on two", "cleared origin off"] {
        assert!(history.stdout.contains(what), "{}", history.stdout);
    }
}
