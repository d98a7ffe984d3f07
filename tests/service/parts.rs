//! Parts of configurations, and small checks that several tests make.

use std::time::Duration;

use hotshelf_testkit::{RedisServer, wait_until};
use hotshelf_tests::{Node, Reply};
use serde_json::Value;

/// Long enough for anything that a healthy node does on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// No tier on disk.
pub(crate) const NO_L3: &str = "[l3]\nenabled = false\n";

/// A tier on disk that takes everything, with a deadline that a busy machine keeps.
pub(crate) const L3: &str = "[l3]\nadmission = \"always\"\ndeadline_ms = 1500\nfree_bytes_min = 0\nput_deadline_ms = 10000\n";

/// A shared tier with a deadline that a busy machine keeps.
pub(crate) fn l2(redis: &RedisServer) -> String {
    l2_at(&redis.url())
}

/// The same by its URL.
pub(crate) fn l2_at(url: &str) -> String {
    format!(
        "[l2]\nurls = [\"{url}\"]\ndeadline_ms = 1500\nput_deadline_ms = 1500\nhedge_after_ms = 1500\n"
    )
}

/// A shared tier that is given up as fast as by default.
pub(crate) fn impatient_l2(redis: &RedisServer) -> String {
    format!("[l2]\nurls = [\"{}\"]\n", redis.url())
}

/// Entries that a tier has taken from this node.
#[track_caller]
pub(crate) fn stored(node: &Node, tier: &str) -> f64 {
    let labels = [("tier", tier), ("outcome", "stored")];
    node.metric("hotshelf_puts_total", &labels)
}

/// Waits until a tier has taken that many entries from this node.
#[track_caller]
pub(crate) fn wait_stored(node: &Node, tier: &str, entries: f64) {
    wait_until("the tier has taken the entries", SOON, || {
        stored(node, tier) >= entries
    });
}

/// Starts a node and waits until it uses its L2, all nodes of a cluster included: it calls itself ready without waiting for its
/// connections to Redis.
#[track_caller]
pub(crate) fn start_with_l2(toml: &str) -> Node {
    let node = Node::start(toml);
    let failed = || node.metric("hotshelf_unavailable_total", &[("tier", "l2")]);
    let mut number = 0_u32;
    wait_until("the node uses its L2", SOON, || {
        let before = failed();
        for _ in 0..24 {
            number += 1;
            let id = format!("no-{}-{number}", node.port());
            node.product(&id).expect(404);
        }
        failed() == before
    });
    let puts = || node.metric("hotshelf_puts_total", &[("tier", "l2")]);
    wait_until("all of that is put or given up", SOON, || {
        puts() >= f64::from(number)
    });
    node
}

/// What the document says in a field.
#[track_caller]
pub(crate) fn field(reply: &Reply, name: &str) -> Value {
    reply.json()[name].clone()
}

/// The title of a product's document.
#[track_caller]
pub(crate) fn title(reply: &Reply) -> String {
    field(reply, "title")
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// The token of a version as it stands in a database: the timeline above 40 bits of sequence.
pub(crate) fn token(version: &str) -> String {
    let version: u64 = version.trim().parse().unwrap();
    format!("{}-{}", version >> 40, version & ((1 << 40) - 1))
}
