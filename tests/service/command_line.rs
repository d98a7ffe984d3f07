//! The command line: what each command prints, where, and with which exit code.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use hotshelf_testkit::free_port;
use hotshelf_tests::{Node, Shop};
use rustix::process::Signal;

use crate::program::{Background, folder, hotshelf, hotshelf_in, shell};

/// The folder of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn node(shop: &Shop) -> Node {
    let variants = "variants = [{ name = \"currency\", values = [\"EUR\", \"USD\"] }]";
    Node::start(&format!(
        "{}[l3]\nenabled = false\n[[namespace]]\nname = \"products\"\nkind = \"catalogue\"\n{variants}\n",
        shop.toml()
    ))
}

#[test]
fn get_prints_the_document_and_nothing_else() {
    let (shop, folder) = (Shop::sqlite(), folder());
    let node = node(&shop);
    let url = node.url("");
    let run = hotshelf(folder.path(), &["get", "sku-0007", "--node", &url]).expect(0);
    assert_eq!(run.stdout, format!("{}\n", node.product("sku-0007").text()));
    assert_eq!(run.stderr, "");
    // A trailing slash is no other node.
    let slash = format!("{url}/");
    hotshelf(folder.path(), &["get", "sku-0007", "--node", &slash]).expect(0);
    let with_headers = hotshelf(
        folder.path(),
        &["get", "sku-0007", "--headers", "--node", &url],
    )
    .expect(0);
    assert_eq!(with_headers.stdout, run.stdout);
    with_headers.says(&[
        "200 OK",
        "etag: \"",
        "cache-status: hotshelf; hit",
        "hotshelf-version: ",
    ]);
}

#[test]
fn get_takes_variants_and_odd_ids() {
    let (mut shop, folder) = (Shop::sqlite(), folder());
    let odd = "Möbel/Stuhl 100%";
    shop.put(&[hotshelf_model::Product {
        id: odd.to_owned(),
        ..hotshelf_tests::product(1)
    }]);
    let node = node(&shop);
    let url = node.url("");
    let get = |args: &[&str]| {
        let args = [&["get", "--node", &url], args].concat();
        hotshelf(folder.path(), &args)
    };
    assert!(get(&[odd]).expect(0).stdout.contains(odd));
    let price = |args: &[&str]| {
        let document: serde_json::Value =
            serde_json::from_str(&get(args).expect(0).stdout).unwrap();
        document["price"]["currency"].clone()
    };
    assert_eq!(price(&["sku-0001"]), "EUR");
    assert_eq!(price(&["sku-0001", "--variant", "currency=EUR"]), "EUR");
    assert!(price(&["sku-0001", "--variant", "currency=USD"]).is_null());
    let undeclared = get(&["sku-0001", "--variant", "locale=de"]).expect(1);
    undeclared.says(&["400", "locale", "not a declared dimension", "currency"]);
    let forbidden = get(&["sku-0001", "--variant", "currency=GBP"]).expect(1);
    forbidden.says(&["`GBP` is not allowed", "EUR, USD"]);
    get(&["sku-0001", "--variant", "currency"])
        .expect(2)
        .says(&["KEY=VALUE"]);
}

#[test]
fn get_of_what_is_not_there_exits_with_4() {
    let (shop, folder) = (Shop::sqlite(), folder());
    let node = node(&shop);
    let url = node.url("");
    let run = hotshelf(folder.path(), &["get", "no-such-id", "--node", &url]).expect(4);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("no product"), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1);
    let run = hotshelf(
        folder.path(),
        &["get", "x", "--namespace", "nope", "--node", &url],
    );
    assert_ne!(run.code, Some(0));
    run.says(&["no such namespace", "products"]);
}

#[test]
fn get_without_a_node_says_so() {
    let folder = folder();
    let url = format!("http://127.0.0.1:{}", free_port());
    let run = hotshelf(folder.path(), &["get", "x", "--node", &url]).expect(1);
    assert_eq!(run.stdout, "");
    run.says(&["hotshelf: ", &url, "is it running?", "hotshelf serve"]);
    let run = hotshelf(folder.path(), &["get", "x", "--node", "nonsense"]).expect(1);
    run.says(&["nonsense"]);
}

/// A configuration of which every kind of secret is `hunter2`.
const WITH_SECRETS: &str = r#"
[database]
url = "postgres://shop:hunter2@db.internal/shop?sslpassword=hunter2"
[l2]
urls = ["rediss://:hunter2@cache-1.internal:6379"]
deadline_ms = 30
[l1]
bytes_max = 2_000_000
[[namespace]]
name = "products"
kind = "catalogue"
[[namespace]]
name = "articles"
kind = "http"
url = "http://shop.internal/{id}?api_key=hunter2"
version_header = "X-Version"
headers = { authorization = "Bearer hunter2" }
"#;

#[test]
fn config_show_says_where_each_value_comes_from_and_masks_secrets() {
    let folder = folder();
    std::fs::write(folder.path().join("shop.toml"), WITH_SECRETS).unwrap();
    let env = [
        ("HOTSHELF_CONFIG", "shop.toml"),
        ("HOTSHELF_L1__BYTES_MAX", "3000000"),
        ("HOTSHELF_HTTP__LISTEN", "127.0.0.1:7500"),
        (
            "HOTSHELF_NAMESPACE__ARTICLES__HEADERS__X_API_KEY",
            "hunter2",
        ),
    ];
    let args = [
        "config",
        "show",
        "--set",
        "http.listen=127.0.0.1:7600",
        "--set",
        "namespace.products.ttl_soft_s=7",
    ];
    let run = hotshelf_in(folder.path(), &env, &args, b"").expect(0);
    let lines: Vec<String> = run.stdout.lines().map(squeezed).collect();
    for wanted in [
        "l2.deadline_ms = 30 # shop.toml:6",
        "l1.bytes_max = 3000000 # environment HOTSHELF_L1__BYTES_MAX",
        "http.listen = \"127.0.0.1:7600\" # flag http.listen",
        "l1.absent_bytes_max = 16777216 # default",
        "namespace.products.ttl_soft_s = 7 # flag namespace.products.ttl_soft_s",
        "namespace.articles.version_header = \"X-Version\" # shop.toml:16",
        "namespace.articles.headers.authorization = \"***\" # shop.toml:17",
        "namespace.articles.headers.x-api-key = \"***\" # environment HOTSHELF_NAMESPACE__ARTICLES__HEADERS__X_API_KEY",
        "namespace.articles.url = \"http://shop.internal/{id}?api_key=***\" # shop.toml:15",
        "database.url = \"postgres://shop:***@db.internal/shop?sslpassword=***\" # shop.toml:3",
        "l2.urls = [\"rediss://:***@cache-1.internal:6379\"] # shop.toml:5",
        "l3.path = \"./data/l3\" # default",
    ] {
        assert!(
            lines.iter().any(|line| line == wanted),
            "no `{wanted}` in\n{}",
            run.stdout
        );
    }
    assert!(
        !format!("{}{}", run.stdout, run.stderr).contains("hunter2"),
        "{}",
        run.stdout
    );
    let keys: Vec<&str> = lines
        .iter()
        .map(|line| line.split(" = ").next().unwrap())
        .collect();
    assert!(
        keys.iter()
            .all(|key| keys.iter().filter(|other| other == &key).count() == 1)
    );
}

/// With single blanks, because columns may be lined up.
fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

const WITH_PROBLEMS: &str = r#"
[htpp]
listen = "127.0.0.1:7400"
[l2]
dead_line_ms = 30
connections = 0
[l1]
bytes_max = "2 GB"
[origin]
concurrency_min = 20
[[namespace]]
name = "Cards"
kind = "sql"
[[namespace]]
name = "articles"
kind = "html"
"#;

#[test]
fn config_check_reports_every_problem_at_once_with_the_way_out() {
    let folder = folder();
    std::fs::write(folder.path().join("shop.toml"), WITH_PROBLEMS).unwrap();
    let env = [
        ("HOTSHELF_L3__BYTES_MX", "1"),
        ("HOTSHELF_L3_ENABLED", "false"),
    ];
    let args = [
        "config",
        "check",
        "--config",
        "shop.toml",
        "--set",
        "l3.admission=sometimes",
    ];
    let run = hotshelf_in(folder.path(), &env, &args, b"").expect(1);
    assert_eq!(run.stdout, "");
    run.says(&[
        "problems:",
        "`htpp` (shop.toml:2): there is no such section; did you mean `http`?",
        "`l2.dead_line_ms` (shop.toml:5): there is no such key; did you mean `deadline_ms`?",
        "`l2.connections` (shop.toml:6): must be a whole number from 1 to 64, not 0",
        "`l1.bytes_max` (shop.toml:8): must be a whole number from 1048576",
        "`origin.concurrency_min` (shop.toml:10): is 20, but `origin.concurrency_max` is 16 (default)",
        "`namespace.Cards.name` (shop.toml:12)",
        "kind `sql` needs `sql` or `sql_file`",
        "`namespace.articles.kind` (shop.toml:16): must be `catalogue` or `sql` or `http`, not `html`",
        "`l3.bytes_mx` (environment HOTSHELF_L3__BYTES_MX): there is no such key; did you mean `bytes_max`?",
        "two underscores follow the section: HOTSHELF_L3__ENABLED",
        "`l3.admission` (flag l3.admission): must be `second_hit` or `always`, not `sometimes`",
    ]);
    // Every other command refuses the same configuration with the same words.
    for command in [
        &["serve"][..],
        &["config", "show"],
        &["import", "shop.toml"],
    ] {
        let args = [command, &["--config", "shop.toml"]].concat();
        hotshelf(folder.path(), &args)
            .expect(1)
            .says(&["did you mean `http`?"]);
    }
    assert!(
        !folder.path().join("data").try_exists().unwrap(),
        "nothing was made"
    );
}

#[test]
fn config_check_of_a_file_that_cannot_be_read_says_why() {
    let folder = folder();
    let check =
        |file: &str| hotshelf(folder.path(), &["config", "check", "--config", file]).expect(1);
    check("absent.toml").says(&["absent.toml", "cannot be opened"]);
    std::fs::write(
        folder.path().join("broken.toml"),
        "[l2]\nurls = [\"redis://:hunter2@h\"\n",
    )
    .unwrap();
    let broken = check("broken.toml");
    assert!(!broken.stderr.contains("hunter2"), "{}", broken.stderr);
    broken.says(&["broken.toml:", "is not TOML"]);
    std::fs::write(folder.path().join("large.toml"), "#".repeat(300 * 1024)).unwrap();
    check("large.toml").says(&["larger than"]);
}

#[test]
fn the_files_in_the_repository_are_good() {
    let folder = folder();
    for file in ["embedded.toml", "production.toml", "example.toml"] {
        let path = repository().join("config").join(file);
        let args = ["config", "check", "--config", path.to_str().unwrap()];
        let run = hotshelf(folder.path(), &args).expect(0);
        assert!(
            run.stdout.ends_with("the configuration is good\n"),
            "{}",
            run.stdout
        );
    }
    let written = std::fs::read_to_string(repository().join("config/example.toml")).unwrap();
    assert_eq!(
        hotshelf(folder.path(), &["config", "example"])
            .expect(0)
            .stdout,
        written
    );
    let written = std::fs::read_to_string(repository().join("docs/config.md")).unwrap();
    assert_eq!(
        hotshelf(folder.path(), &["config", "reference"])
            .expect(0)
            .stdout,
        written
    );
}

#[test]
fn each_command_explains_itself() {
    let folder = folder();
    for command in [
        "",
        "serve",
        "get",
        "nodes",
        "explain",
        "stats",
        "invalidate",
        "completions",
        "import",
        "hot report",
        "log cat",
        "config",
        "config show",
        "config check",
        "config reference",
        "config example",
    ] {
        let mut args: Vec<&str> = command.split_whitespace().collect();
        args.push("--help");
        let run = hotshelf(folder.path(), &args).expect(0);
        assert_eq!(run.stderr, "");
        let name = command.replace(' ', "-");
        snapshot(
            &format!("help{}{name}", if name.is_empty() { "" } else { "-" }),
            &run.stdout,
        );
    }
    let version = hotshelf(folder.path(), &["--version"]).expect(0).stdout;
    assert_eq!(
        version,
        concat!("hotshelf ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

/// Compares a text with the one that is kept; `HOTSHELF_BLESS=1` keeps this one.
#[track_caller]
fn snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("service/snapshots/{name}.txt"));
    if std::env::var_os("HOTSHELF_BLESS").is_some_and(|bless| bless == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let way_out = "if this is what it should say, run the test again with HOTSHELF_BLESS=1";
    assert_eq!(
        text,
        kept,
        "{} is no longer what is printed; {way_out}",
        path.display()
    );
}

#[test]
fn a_line_that_cannot_be_read_exits_with_2() {
    let folder = folder();
    for (args, part) in [
        (&["serve", "--embeded"][..], "--embedded"),
        (&["--nope"], "--nope"),
        (&["surve"], "serve"),
        (&[], "Usage"),
        (&["serve", "--products", "5"], "--embedded"),
        (&["serve", "--embedded", "--products", "0"], "1..="),
        (&["get"], "ID"),
        (&["import"], "FILE"),
        (&["serve", "--set", "l1.bytes_max"], "KEY=VALUE"),
        (&["get", "a", "b"], "'b'"),
    ] {
        hotshelf(folder.path(), args).expect(2).says(&[part]);
    }
}

#[test]
fn output_that_nobody_reads_to_its_end_is_no_failure_of_ours() {
    let folder = folder();
    // More than a pipe holds, so that the program is still writing when its reader has gone.
    for command in ["config show", "config example", "config reference"] {
        let line =
            format!("{{ for i in 1 2 3 4 5 6 7 8; do $PROGRAM {command}; done; }} | head -n 1");
        let run = shell(folder.path(), &line);
        assert!(
            !run.stderr.contains("panicked"),
            "{command}: {}",
            run.stderr
        );
        assert_eq!(run.stdout.lines().count(), 1);
    }
}

fn serve(rest: &[&str]) -> Background {
    let own = [
        "serve",
        "--set",
        "http.listen=127.0.0.1:0",
        "--set",
        "admin.listen=127.0.0.1:0",
    ];
    Background::start(&[&own, rest].concat())
}

#[test]
fn a_node_ends_well_on_sigterm_and_on_ctrl_c() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut node = serve(&[]);
        node.wait_for("admin   http://127.0.0.1:");
        node.signal(signal);
        let status = node.wait();
        assert_eq!(
            status.code(),
            Some(0),
            "{signal:?}: {status}\n{}",
            node.stderr()
        );
        assert!(node.stderr().contains("stopped"), "{}", node.stderr());
        assert!(!node.stderr().contains("ERROR"), "{}", node.stderr());
    }
}

/// An origin that takes connections and says nothing keeps a request under way.
#[test]
fn a_second_signal_ends_a_node_that_is_still_draining() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = silent.local_addr().unwrap();
    let file = folder();
    let toml = format!(
        "[node]\ndrain_timeout_s = 600\n[l3]\nenabled = false\n[http]\nrequest_timeout_ms = 600000\n[origin]\nfill_timeout_ms = 590000\n\
         [[namespace]]\nname = \"articles\"\nkind = \"http\"\nurl = \"http://{origin}/{{id}}\"\nversion_header = \"v\"\ntimeout_ms = 580000\n"
    );
    let path = file.path().join("node.toml");
    std::fs::write(&path, toml).unwrap();
    let mut node = serve(&["--config", path.to_str().unwrap()]);
    node.wait_for("admin   http://127.0.0.1:");
    let url = node
        .stdout()
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .last()
        .unwrap()
        .to_owned();
    let waiting = Background::start(&["get", "7", "--namespace", "articles", "--node", &url]);
    let asked = silent.accept().unwrap();
    node.signal(Signal::INT);
    node.wait_for_stderr("once more to stop at once");
    node.signal(Signal::INT);
    assert_eq!(node.wait().code(), Some(130), "{}", node.stderr());
    drop((asked, waiting));
}

#[test]
fn two_nodes_on_one_port_are_refused_with_the_port() {
    let first = Node::start("[l3]\nenabled = false\n");
    let folder = folder();
    let taken = format!("127.0.0.1:{}", first.port());
    for key in ["http.listen", "admin.listen"] {
        let free = if key == "http.listen" {
            "admin.listen"
        } else {
            "http.listen"
        };
        let (taken_setting, free_setting) =
            (format!("{key}={taken}"), format!("{free}=127.0.0.1:0"));
        let args = ["serve", "--set", &taken_setting, "--set", &free_setting];
        let run = hotshelf(folder.path(), &args).expect(1);
        assert_eq!(run.stdout, "");
        run.says(&["hotshelf: ", &taken, "in use"]);
    }
}

#[test]
fn two_nodes_on_one_l3_folder_are_refused_with_the_folder() {
    let first = Node::start("");
    let folder = folder();
    let l3 = first.data_dir().join("l3");
    let setting = format!("l3.path={}", l3.display());
    let args = [
        "serve",
        "--set",
        "http.listen=127.0.0.1:0",
        "--set",
        "admin.listen=127.0.0.1:0",
        "--set",
        &setting,
    ];
    let run = hotshelf(folder.path(), &args).expect(1);
    assert_eq!(run.stdout, "");
    run.says(&[
        "hotshelf: ",
        l3.to_str().unwrap(),
        "in use by another process",
        "its own folder",
    ]);
    assert_eq!(first.get("/readyz").status, 200, "the first one goes on");
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_with_its_name() {
    let folder = folder();
    std::fs::write(folder.path().join("data"), "a file, not a folder").unwrap();
    let args = [
        "serve",
        "--set",
        "http.listen=127.0.0.1:0",
        "--set",
        "admin.listen=127.0.0.1:0",
    ];
    let run = hotshelf(folder.path(), &args).expect(1);
    run.says(&["hotshelf: ", "data"]);
}
