//! `hotshelf load`: its report of a real node, its exit codes, signals, and what it says of bad input.

use std::net::TcpListener;
use std::path::Path;

use hotshelf_testkit::wait_until;
use hotshelf_tests::{Node, Shop};
use rustix::process::Signal;
use serde_json::Value;

use crate::access_logs::blocks;
use crate::parts::NO_L3;
use crate::program::{Background, Run, folder, hotshelf};

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:1";

fn node(shop: &Shop) -> Node {
    Node::start(&format!("{}{NO_L3}", shop.toml()))
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn a_report_tells_what_a_node_answered() {
    let (shop, folder) = (Shop::sqlite(), folder());
    let node = node(&shop);
    std::fs::write(folder.path().join("ids"), "sku-0001\nsku-0002\nno-such\n").unwrap();
    let words = "--rate 500 --connections 3 --ids ids --in-order --count 90 --hdr out.hgrm --json --max-error-rate 0% --max-p99 1h";
    let url = node.url("");
    let args: Vec<_> = ["load", &url].into_iter().chain(words.split(' ')).collect();
    let run = hotshelf(folder.path(), &args).expect(0);
    assert_eq!(run.stderr, "");
    let report = json(&run);
    for field in ["due", "sent", "answered"] {
        assert_eq!(report[field], 90, "{report}");
    }
    assert_eq!(
        report["statuses"],
        serde_json::json!({"200": 60, "404": 30})
    );
    assert_eq!(report["errors"]["all"], 0);
    let tiers = report["tiers"].as_object().unwrap();
    assert!(
        tiers.contains_key("l1") && tiers.contains_key("origin"),
        "{report}"
    );
    let length = |id| node.product(id).body.len() as u64;
    let documents = 30 * (length("sku-0001") + length("sku-0002"));
    assert!(report["bytes"].as_u64().unwrap() > documents, "{report}");
    let latency = &report["latency_ms"]["from_due"];
    let [p50, max] = ["p50", "max"].map(|name| latency[name].as_f64().unwrap());
    assert!(0.0 < p50 && p50 <= max, "{report}");
    let distribution = std::fs::read_to_string(folder.path().join("out.hgrm")).unwrap();
    assert!(distribution.contains("Total count    =           90]"));
}

#[test]
fn a_report_is_also_for_people() {
    let (shop, folder) = (Shop::sqlite(), folder());
    let node = node(&shop);
    let words = "--rate 500 --id no-such --count 50 --flash-crowd sku-0003 --share 100% --after 0s";
    let url = node.url("");
    let args: Vec<_> = ["load", &url].into_iter().chain(words.split(' ')).collect();
    let run = hotshelf(folder.path(), &args).expect(0);
    for part in [
        "50 requests were due in",
        "500.0/s asked",
        "status    200: 50",
        "0 (0.000 %)",
        "from due",
    ] {
        assert!(run.stdout.contains(part), "no `{part}`\n{}", run.stdout);
    }
}

#[test]
fn a_log_is_replayed_in_its_order() {
    let (shop, folder) = (Shop::sqlite(), folder());
    let node = node(&shop);
    std::fs::write(
        folder.path().join("a.hslog"),
        blocks(&["sku-0001", "sku-0003", "no-such"]),
    )
    .unwrap();
    let line = "::1 - - [14/Nov/2023:22:13:21 +0000] \"GET /v1/products/sku-0002 HTTP/1.1\" 200 1 \"-\" \"-\"\n";
    std::fs::write(folder.path().join("b.log"), line.to_owned() + "rubbish\n").unwrap();
    let url = node.url("");
    let args = [
        "load", &url, "--replay", "a.hslog", "b.log", "--speed", "20", "--json",
    ];
    let report = json(&hotshelf(folder.path(), &args).expect(0));
    assert_eq!(report["statuses"], serde_json::json!({"200": 3, "404": 1}));
    assert_eq!(
        (&report["logs"]["reads"], &report["logs"]["skipped"]),
        (&4.into(), &1.into())
    );
    // Two seconds of the log, and no less than a twentieth of them.
    assert!(report["elapsed_s"].as_f64().unwrap() >= 0.1, "{report}");
}

#[test]
fn limits_that_are_not_kept_are_told_by_the_exit_code() {
    let (shop, folder) = (Shop::sqlite(), folder());
    let node = node(&shop);
    let load = |url: &str, more: &[&str]| {
        let base = [
            "load", url, "--id", "sku-0001", "--rate", "500", "--count", "20",
        ];
        hotshelf(folder.path(), &[&base[..], more].concat())
    };
    let undeclared = ["--path", "/v1/{namespace}/{id}?locale=xx"];
    load(&node.url(""), &undeclared).expect(0);
    let run = load(
        &node.url(""),
        &[&undeclared[..], &["--max-error-rate", "50%"]].concat(),
    )
    .expect(5);
    run.says(&["100.000 % of the requests failed", "--max-error-rate"]);
    assert!(
        run.stdout.contains("sku-0001: answered 400"),
        "{}",
        run.stdout
    );
    // It takes connections and answers nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let patience = [
        "--connections",
        "1",
        "--timeout",
        "300ms",
        "--max-p99",
        "100ms",
    ];
    let run = load(&url, &patience).expect(5);
    run.says(&["the 99th percentile was 3", "--max-p99"]);
    assert!(run.stdout.contains("timed out: "), "{}", run.stdout);
}

#[test]
fn ctrl_c_ends_a_run_with_its_report() {
    let shop = Shop::sqlite();
    let node = node(&shop);
    let url = node.url("");
    let endless = [
        "load",
        &url,
        "--id",
        "sku-0001",
        "--rate",
        "200",
        "--duration",
        "24h",
        "--json",
    ];
    let mut load = Background::start(&endless);
    wait_until("it sends", std::time::Duration::from_secs(60), || {
        node.metric("hotshelf_reads_total", &[]) >= 20.0
    });
    load.signal(Signal::INT);
    assert!(load.wait().success(), "{}", load.stderr());
    let report: Value = serde_json::from_str(&load.stdout()).unwrap();
    assert_eq!(report["ended_early"], true);
    assert!(report["answered"].as_u64().unwrap() >= 20, "{report}");
    assert_eq!(report["errors"]["all"], 0);
}

/// Runs it with these words, and is certain of its exit code and of what it says.
fn fails(folder: &Path, words: &str, code: i32, why: &str) {
    let args: Vec<&str> = ["load"].into_iter().chain(words.split(' ')).collect();
    let run = hotshelf(folder, &args).expect(code);
    assert!(
        run.stderr.contains(why),
        "{words}: no `{why}` in {}",
        run.stderr
    );
    assert_eq!(run.stdout, "");
}

#[test]
fn a_command_line_that_means_nothing_is_told() {
    let folder = folder();
    for (words, why) in [
        ("URL --rate 9", "--replay"),
        ("URL --id A", "--rate"),
        ("--rate 9 --id A", "URL"),
        ("URL --rate 0 --id A", "expected a number from 0.001"),
        ("URL --rate 9 --replay a.log", "cannot be used with"),
        ("URL --rate 9 --id A --speed 2", "cannot be used with"),
        ("URL --rate 9 --id A --zipf x", "from 0 to 10"),
        ("URL --rate 9 --id A --share 20%", "--flash-crowd"),
        (
            "URL --rate 9 --id A --flash-crowd B --share 120%",
            "from 0% to",
        ),
        ("URL --rate 9 --id A --path /v1/x", "has no {id}"),
        ("URL --rate 9 --id A --header x", "`Name: value`"),
        ("URL --rate 9 --id A --duration 9", "such as 100ms"),
        ("URL --rate 9 --id A --connections 0", "1..=10000"),
        ("ftp://h --rate 9 --id A", "http:// or https://"),
    ] {
        let words = words.replace("URL", NOBODY);
        fails(folder.path(), &words, 2, why);
    }
}

#[test]
fn input_that_cannot_be_used_is_told_and_nothing_is_sent() {
    let folder = folder();
    let line = "::1 - - [14/Nov/2023:22:13:21 +0000] \"GET /healthz HTTP/1.1\" 200 1 \"-\" \"-\"\n";
    for (name, text) in [("ids", "good\n\tbad\n"), ("empty", ""), ("other.log", line)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let no_reads = "1 lines of other requests, 0 that cannot be read";
    for (words, why) in [
        ("--rate 9 --id \t", "--id: holds a control"),
        ("--rate 9 --ids none", "--ids: reading none: No such file"),
        (
            "--rate 9 --ids ids",
            "1 of its lines are not ids: line 2 holds",
        ),
        ("--rate 9 --ids empty", "--ids: empty holds no ids"),
        ("--replay none.log", "reading none.log"),
        ("--replay ids", "no known format"),
        ("--replay other.log", no_reads),
        ("--replay other.log --key (", "--key"),
        ("--rate 9 --id A --hdr none/x", "--hdr: writing none/x"),
        ("--rate 9 --id A --flash-crowd .", "--flash-crowd: `.`"),
        ("--rate 9 --id A", "connecting to http://127.0.0.1:1"),
    ] {
        fails(folder.path(), &format!("{NOBODY} {words}"), 1, why);
    }
}
