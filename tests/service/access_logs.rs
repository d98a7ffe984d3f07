//! Access logs: what a node writes, and on the command line `hotshelf log cat` and `hotshelf hot report`.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use hotshelf_access_log::{AccessRecord, BlockBuilder, block};
use hotshelf_model::{Key, KeyRef, ReadOutcome, TierName, Version};
use hotshelf_tests::{Node, Shop};
use serde_json::Value;

use crate::parts::NO_L3;
use crate::program::{folder, hotshelf, shell};

/// A block of reads of products of these names, one a second.
pub(crate) fn blocks(ids: &[&str]) -> Vec<u8> {
    let mut builder = BlockBuilder::new();
    for (second, id) in (0..).zip(ids) {
        let key = Key::parse(&format!("products//{id}")).unwrap();
        builder.push(&AccessRecord {
            at_ms: 1_700_000_000_000 + 1000 * second,
            reads: 1,
            key: KeyRef::from(&key),
            tier: TierName::L1,
            outcome: ReadOutcome::Hit,
            version: Version(1 << 40 | 7),
            latency_ns: None,
            bytes: 100,
            request_id: "",
            caller: "",
        });
    }
    block::frame(&builder.take_content()).unwrap()
}

fn nginx(second: u32, path: &str) -> String {
    format!(
        "::1 - - [21/Nov/2026:15:39:{second:02} +0000] \"GET {path} HTTP/1.1\" 200 1 \"-\" \"-\"\n"
    )
}

fn ids(stdout: &str) -> Vec<String> {
    let id = |line: &str| -> String {
        let line: Value = serde_json::from_str(line).unwrap();
        line["id"].as_str().unwrap().to_owned()
    };
    stdout.lines().map(id).collect()
}

/// The files that a node has written, in their order, as `log cat` prints them.
fn logged(node: &Node) -> Vec<Value> {
    let folder = node.data_dir().join("access-log");
    let paths = fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut paths: Vec<String> = paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "hslog")
        })
        .map(|path| path.to_str().unwrap().to_owned())
        .collect();
    paths.sort();
    let mut args = vec!["log", "cat"];
    args.extend(paths.iter().map(String::as_str));
    let run = hotshelf(&folder, &args).expect(0);
    assert_eq!(run.stderr, "");
    let lines = run.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn what_a_node_has_answered_is_in_its_log_when_it_has_stopped() {
    let shop = Shop::sqlite();
    let node = Node::start(&(shop.toml() + NO_L3 + "[access_log]\nmode = 'full'\n"));
    let asker = [("X-Request-Id", "r-7"), ("Hotshelf-Caller", "pages")];
    let version = node
        .get_with("/v1/products/sku-0001", &asker)
        .expect(200)
        .must("hotshelf-version")
        .to_owned();
    let bytes = node.product("sku-0001").expect(200).body.len();
    node.product("none").expect(404);
    node.get("/v1/products?ids=sku-0001,sku-0002").expect(200);
    node.stop();
    let records = logged(&node);
    let told = |record: &Value| {
        let text = |name: &str| record[name].as_str().unwrap_or("-").to_owned();
        [text("id"), text("tier"), text("outcome"), text("caller")].join(" ")
    };
    let mut told: Vec<String> = records.iter().map(told).collect();
    // Each connection has a thread, and each thread a ring.
    told.sort();
    let expected = [
        "none origin absent -",
        "sku-0001 l1 hit -",
        "sku-0001 l1 hit -",
        "sku-0001 origin hit pages",
        "sku-0002 origin hit -",
    ];
    assert_eq!(told, expected);
    let fetched = records.iter().find(|record| record["caller"] == "pages");
    let fetched = fetched.unwrap();
    assert_eq!(fetched["request_id"], "r-7");
    assert_eq!(fetched["version"], *version);
    assert_eq!(fetched["bytes"], bytes);
    assert!(fetched["latency_ns"].as_u64().unwrap() > 0);
    node.restart();
    node.product("sku-0003").expect(200);
    node.stop();
    let ids: Vec<Value> = logged(&node)
        .iter()
        .map(|read| read["id"].clone())
        .collect();
    assert_eq!((ids.len(), &ids[5]), (6, &Value::from("sku-0003")));
}

#[test]
fn log_cat_prints_every_record_and_tells_what_is_damaged() {
    let folder = folder();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("1.hslog", &blocks(&["A", "B"]));
    let torn = blocks(&["lost"]);
    write(
        "2.hslog",
        &[&torn[..torn.len() - 1], &blocks(&["C"])].concat(),
    );
    write("empty.hslog", b"");
    let run = hotshelf(folder.path(), &["log", "cat", "1.hslog", "empty.hslog"]).expect(0);
    assert_eq!(run.stderr, "");
    assert_eq!(
        run.stdout.lines().next().unwrap(),
        r#"{"at_ms":1700000000000,"namespace":"products","id":"A","tier":"l1","outcome":"hit","version":"1-7","bytes":100}"#
    );
    let files = ["log", "cat", "2.hslog", "missing.hslog", "1.hslog"];
    let run = hotshelf(folder.path(), &files).expect(0);
    assert_eq!(ids(&run.stdout), ["C", "A", "B"]);
    run.says(&[
        "2.hslog: skipped 1 damaged",
        "missing.hslog",
        "No such file",
    ]);
    for nothing in ["missing.hslog", "text"] {
        write("text", b"no block");
        let run = hotshelf(folder.path(), &["log", "cat", nothing]).expect(1);
        assert_eq!(run.stdout, "");
        run.says(&[nothing]);
    }
}

#[test]
fn log_cat_into_a_closed_pipe_is_no_failure() {
    let folder = folder();
    let many = blocks(&["A"; 5000]);
    fs::write(folder.path().join("1.hslog"), many.repeat(20)).unwrap();
    let run = shell(
        folder.path(),
        "{ $PROGRAM log cat 1.hslog; echo $? >&2; } | head -n 1",
    );
    assert_eq!((run.stdout.lines().count(), &*run.stderr), (1, "0\n"));
}

#[test]
fn hot_report_tells_the_hot_keys_of_several_logs_and_what_it_skipped() {
    let folder = folder();
    let mut text: String = (0..10).map(|_| nginx(23, "/v1/products/STAR")).collect();
    text += "nonsense\n";
    text += &nginx(24, "/v1/products/A%20B?locale=de");
    text += &nginx(24, "/healthz");
    text += &nginx(59, "/v1/products/STAR");
    fs::write(folder.path().join("a.log"), &text).unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    fs::write(folder.path().join("b.log.gz"), gzip.finish().unwrap()).unwrap();
    let files = ["hot", "report", "a.log", "b.log.gz"];
    let run = hotshelf(folder.path(), &files).expect(0);
    assert_eq!(run.stderr, "");
    for part in [
        "24 reads of 2 keys, 2026-11-21T15:39:23Z to 2026-11-21T15:39:59Z; 2 lines of other requests, 2 skipped",
        "skipped a.log:11: has no time in brackets",
        "products/STAR          22  91.67 %        20.0  2026-11-21T15:39:23Z",
        "products/A B            2   8.33 %         2.0  2026-11-21T15:39:24Z",
    ] {
        assert!(run.stdout.contains(part), "no `{part}` in\n{}", run.stdout);
    }
    let options = ["--json", "--top", "1", "--window", "100ms"];
    let run = hotshelf(folder.path(), &[&files[..], &options].concat()).expect(0);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["top"].as_array().unwrap().len(), 1);
    assert_eq!(report["top"][0]["id"], "STAR");
    assert_eq!(report["top"][0]["peak"]["reads_per_s"], 200.0);
    assert_eq!(
        (&report["reads"], &report["skipped"]),
        (&24.into(), &2.into())
    );
    assert_eq!(report["problems"][1]["file"], "b.log.gz");
}

#[test]
fn hot_report_tells_what_would_have_been_hot_and_when() {
    let folder = folder();
    // Two machines, half a crowd each, and the one's log after the other's.
    for (file, odd) in [("a.log", false), ("b.log", true)] {
        let mut text = String::new();
        for second in 0..50 {
            let crowd = if (20..30).contains(&second) { 300 } else { 5 };
            text += &nginx(second, "/v1/products/STAR").repeat(crowd);
            text += &nginx(
                second,
                if odd {
                    "/v1/products/B"
                } else {
                    "/v1/products/A"
                },
            )
            .repeat(40);
        }
        fs::write(folder.path().join(file), text).unwrap();
    }
    let files = ["hot", "report", "a.log", "b.log", "--threshold", "200"];
    let run = hotshelf(folder.path(), &files).expect(0);
    for part in [
        "would have been hot at 200 reads/s:",
        "products/STAR  from 2026-11-21T15:39:20",
        "ms after its onset",
    ] {
        assert!(run.stdout.contains(part), "no `{part}` in\n{}", run.stdout);
    }
    let run = hotshelf(folder.path(), &[&files[..], &["--json"]].concat()).expect(0);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let hot = &report["hot"][0];
    let (from, until) = (hot["from_ms"].as_u64(), hot["until_ms"].as_u64());
    let onset = hot["onset_ms"].as_u64().unwrap();
    assert!((1..=1000).contains(&(from.unwrap() - onset)), "{hot}");
    assert!(until.unwrap() - from.unwrap() >= 10_000, "{hot}");
    assert_eq!((&hot["id"], &report["late"]), (&"STAR".into(), &0.into()));
    let quiet = hotshelf(folder.path(), &files[..4]).expect(0);
    assert!(
        quiet.stdout.contains("would have been hot at 500 reads/s:"),
        "{}",
        quiet.stdout
    );
    let args = [&files[..4], &["--threshold", "1000"]].concat();
    let none = hotshelf(folder.path(), &args).expect(0);
    assert!(
        none.stdout
            .ends_with("no key would have been hot at 1000 reads/s\n")
    );
}

#[test]
fn hot_report_takes_any_format_and_any_path() {
    let folder = folder();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("own.hslog", &blocks(&["A", "A", "B"]));
    write("shop.log", nginx(1, "/item/1000.html").as_bytes());
    write(
        "envoy.log",
        br#"{"start_time":"2026-11-21T15:39:23Z","method":"GET","path":"/v1/products/A"}"#,
    );
    let report = |args: &[&str]| hotshelf(folder.path(), &[&["hot", "report"], args].concat());
    let first = |run: &str| {
        let mut rows = run.lines().skip_while(|line| !line.starts_with("key "));
        rows.nth(1)
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .to_owned()
    };
    let own = report(&["own.hslog", "--top", "1"]).expect(0);
    assert_eq!(first(&own.stdout), "products/A");
    let shop = report(&[
        "shop.log",
        "--key",
        r"^/item/(?<id>\d+)\.html$",
        "--namespace",
        "items",
    ])
    .expect(0);
    assert_eq!(first(&shop.stdout), "items/1000");
    let envoy = report(&["envoy.log", "--format", "envoy-json"]).expect(0);
    assert_eq!(first(&envoy.stdout), "products/A");
    let none = report(&["shop.log"]).expect(0);
    assert!(
        none.stdout
            .contains("0 reads of 0 keys; 1 lines of other requests"),
        "{}",
        none.stdout
    );
}

#[test]
fn hot_report_refuses_what_it_cannot_work_with() {
    let folder = folder();
    fs::write(folder.path().join("table.csv"), "a,b\n1,2\n").unwrap();
    for (args, code, parts) in [
        (&["table.csv"][..], 1, &["table.csv", "no known format"][..]),
        (&["missing.log"], 1, &["missing.log", "No such file"]),
        (
            &["table.csv", "--key", "("],
            1,
            &["--key", "unclosed group"],
        ),
        (
            &["table.csv", "--key", "^/item/(.+)$"],
            1,
            &["--key", "group `id`"],
        ),
        (
            &["table.csv", "--format", "apache"],
            2,
            &["apache", "nginx-json"],
        ),
        (&["table.csv", "--window", "0s"], 2, &["above zero"]),
        (
            &["table.csv", "--threshold", "1"],
            1,
            &["--threshold", "100"],
        ),
        (&[], 2, &["FILE"]),
    ] {
        let run = hotshelf(folder.path(), &[&["hot", "report"], args].concat());
        run.expect(code).says(parts);
    }
}
