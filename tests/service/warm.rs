//! Warm-ups of a cluster: plans, a runner that dies, readers meanwhile, and coverage, on real PostgreSQL and Redis.

use std::time::Duration;

use hotshelf_testkit::{PostgresServer, RedisServer, wait_until};
use hotshelf_tests::node::Node;
use serde_json::{Value, json};

use crate::parts::{l2, start_with_l2};
use crate::program::{Run, folder, hotshelf};

const PRODUCTS: u64 = 12_000;

fn toml(database: &str, redis: &RedisServer, name: &str) -> String {
    // Slow enough that a job can be met in the middle.
    format!(
        "[node]\nname = \"{name}\"\n[database]\nurl = \"{database}\"\n[warm]\nkeys_per_second_max = 1500\n{}",
        l2(redis)
    )
}

fn warm(node: &Node, args: &[&str]) -> Run {
    let folder = folder();
    let url = node.admin_url();
    let mut all = vec!["warm"];
    all.extend(args);
    all.extend(["--admin", &url]);
    hotshelf(folder.path(), &all)
}

fn job(node: &Node, job: u64) -> Value {
    node.admin(&format!("/admin/v1/warm/jobs/{job}"))
        .expect(200)
        .json()
}

fn shared(job: &Value) -> &Value {
    job["parts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|part| part["node"].is_null())
        .unwrap_or(&Value::Null)
}

#[track_caller]
fn until(what: &str, probe: impl FnMut() -> bool) {
    wait_until(what, Duration::from_secs(60), probe);
}

/// Starts to warm every product, and gives the job's number.
fn begin(node: &Node) -> u64 {
    let args = "run --everything --tiers l1,l2 --detach --json --who ops";
    let run = warm(node, &args.split(' ').collect::<Vec<_>>()).expect(0);
    let started: Value = serde_json::from_str(&run.stdout).unwrap();
    started["job"].as_u64().unwrap()
}

/// Waits until a job is in the middle, and gives what works on it.
fn met_in_the_middle(node: &Node, number: u64) -> String {
    let mut runner = String::new();
    until("the job is in the middle", || {
        let job = job(node, number);
        assert_ne!(job["state"], "done", "too fast to be met: {job}");
        let shared = shared(&job);
        runner = shared["runner"].as_str().unwrap_or_default().to_owned();
        shared["done"].as_u64().is_some_and(|done| done > 0)
    });
    runner
}

/// Readers do not wait behind the warm-up: none is turned away, and each costs one document at most.
fn check_readers(node: &Node) {
    let read = || {
        let class = [("class", "interactive")];
        node.metric("hotshelf_origin_documents_total", &class)
    };
    let before = read();
    for n in 0..20 {
        node.product(&format!("p{}", PRODUCTS - n)).expect(200);
    }
    assert!(read() <= before + 20.0);
}

#[test]
fn a_job_outlives_its_runner_and_readers_read_meanwhile() {
    let postgres = PostgresServer::shared();
    let database = postgres.database("warm_cluster").unwrap();
    let redis = RedisServer::start().unwrap();
    let nodes = ["shelf-1", "shelf-2"].map(|name| start_with_l2(&toml(&database, &redis, name)));
    let fill = format!(
        "INSERT INTO hotshelf.product (id, title, category_path) \
         SELECT 'p' || n, 'Product ' || n, CASE WHEN n % 2 = 0 THEN '{{Home,Even}}'::text[] ELSE '{{Home}}' END \
         FROM generate_series(1, {PRODUCTS}) AS n"
    );
    postgres.sql("warm_cluster", &fill).unwrap();
    let plan = warm(&nodes[0], &["plan", "--category", "Home/Even", "--json"]).expect(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let found = (&plan["found"], &plan["fits"]);
    assert_eq!(found, (&json!(PRODUCTS / 2), &json!(true)));

    let number = begin(&nodes[0]);
    let runner = met_in_the_middle(&nodes[0], number);
    let dead = usize::from(runner.starts_with("shelf-2"));
    nodes[dead].kill();
    let left = &nodes[1 - dead];
    check_readers(left);
    until("the other node runs it", || {
        shared(&job(left, number))["runner"] != json!(runner)
    });
    nodes[dead].restart();
    until("the job is done, also on the node that was away", || {
        job(left, number)["state"] == "done"
    });
    let now = job(left, number);
    assert_eq!(shared(&now)["failed"], 0, "{now}");
    // What the dead runner had put was not read again, but for the step that it was in.
    let fetched = shared(&now)["fetched"].as_u64().unwrap();
    assert!(fetched <= PRODUCTS + 4_000, "{now}");

    let number = number.to_string();
    let required = ["verify", &number, "--require", "99.9", "--json"];
    for node in &nodes {
        let verified = warm(node, &required).expect(0);
        let verified: Value = serde_json::from_str(&verified.stdout).unwrap();
        assert_eq!(verified["least_percent"], 100.0, "{verified}");
    }
    let over = warm(&nodes[0], &["cancel", &number]).expect(1);
    over.says(&["is over", "done"]);
    let change = "UPDATE hotshelf.product SET title = title || '!'";
    postgres.sql("warm_cluster", change).unwrap();
    let sampled = ["verify", &number, "--sample", "50", "--require", "99.9"];
    until("the copies are outdated", || {
        warm(&nodes[0], &sampled).code == Some(5)
    });
}

#[test]
fn what_cannot_be_warmed_is_said_and_nothing_is_started() {
    let postgres = PostgresServer::shared();
    let database = postgres.database("warm_refused").unwrap();
    let redis = RedisServer::start().unwrap();
    let node = start_with_l2(&toml(&database, &redis, "shelf-1"));
    let folder = folder();
    let file = folder.path().join("ids");
    let file = file.to_str().unwrap();
    std::fs::write(file, "a\nb\n\u{1}\n").unwrap();
    for (args, said) in [
        (&["plan"][..], "say what is to be warm"),
        (&["run", "--file", file], "line 3 holds no id"),
        (&["run", "--where", "nonsense > 1"], "nonsense"),
        (
            &["run", "--where", "true); DROP TABLE product; --"],
            "semicolon",
        ),
        (&["run", "--everything"], "no id"),
        (&["run", "--category", "Home", "--tiers", "l4"], "`l4`"),
        (&["pause", "17"], "there is no warm-up 17"),
    ] {
        let run = warm(&node, args).expect(1);
        run.says(&[said]);
    }
    assert_eq!(warm(&node, &["list"]).expect(0).stdout, "");
}
