//! Catalogues: files of others imported into both databases and read back over HTTP, and the generated catalogue of `serve --embedded`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use hotshelf_testkit::{PostgresServer, free_port, wait_until};
use hotshelf_tests::client::{Address, request};
use hotshelf_tests::runtime::block_on;
use hotshelf_tests::{Node, Shop};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use tempfile::TempDir;

use crate::command_line::repository;
use crate::parts::{NO_L3, SOON};
use crate::program::{Background, Run, folder, hotshelf, hotshelf_in, shell};

/// Ids of one batch.
const BATCH: usize = 200;

/// A file of the real catalogues, or `None` and a line that says so.
fn data(file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("HOTSHELF_DATA")
        .map_or_else(|| repository().join("../shared/data"), PathBuf::from);
    let path = folder.join("catalogues").join(file);
    if path.try_exists().unwrap() {
        return Some(path);
    }
    eprintln!(
        "NOT TESTED: the catalogue {file}, because {} is missing; HOTSHELF_DATA names the folder",
        path.display()
    );
    None
}

/// A database that nobody has written to.
enum Empty {
    Sqlite(TempDir),
    Postgres(String),
}

impl Empty {
    fn url(&self) -> String {
        match self {
            Empty::Sqlite(folder) => {
                format!("sqlite:{}", folder.path().join("shop.sqlite").display())
            }
            Empty::Postgres(url) => url.clone(),
        }
    }

    fn postgres(name: &str) -> Self {
        Empty::Postgres(PostgresServer::shared().database(name).unwrap())
    }

    fn import(&self, file: &Path, rest: &[&str]) -> Run {
        let (folder, url) = (folder(), format!("database.url={}", self.url()));
        let args = [&["import", file.to_str().unwrap(), "--set", &url], rest].concat();
        hotshelf(folder.path(), &args)
    }

    fn node(&self) -> Node {
        Node::start(&format!("[database]\nurl = \"{}\"\n{NO_L3}", self.url()))
    }
}

fn documents(node: &Node, ids: &[&str]) -> HashMap<String, Value> {
    let mut documents = HashMap::new();
    for ids in ids.chunks(BATCH) {
        let answer = node.post("/v1/products:batchGet", &json!({ "ids": ids }).to_string());
        for result in answer.expect(200).json()["results"].as_array().unwrap() {
            let id = result["id"].as_str().unwrap().to_owned();
            documents.insert(id, result["document"].clone());
        }
    }
    documents
}

/// A decimal number of at most two digits after the point as cents.
fn cents(text: &str) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<2}").parse().unwrap()
}

fn wanted(id: &str, title: &str, price: &str) -> Value {
    json!({
        "id": id, "title": title, "brand": null, "category_path": [], "description": null, "attributes": [], "images": [],
        "price": {"currency": "USD", "list_minor": cents(price), "sale_minor": null}, "availability": "in_stock"
    })
}

/// What the electronics catalogue says, as documents. Its ids are the numbers in the names of its images.
fn electronics(file: &Path) -> Vec<Value> {
    let reader = BufReader::new(GzDecoder::new(File::open(file).unwrap()));
    let rows: Vec<Value> = serde_json::from_reader(reader).unwrap();
    let document = |row: Value| {
        let image = row["image"].as_str().unwrap();
        let name = image.rsplit('/').next().unwrap();
        let id: String = name.chars().take_while(char::is_ascii_digit).collect();
        let mut document = wanted(
            &id,
            row["name"].as_str().unwrap(),
            &row["price"].to_string(),
        );
        document["brand"] = row["brand"].clone();
        document["category_path"] = row["categories"].clone();
        document["description"] = row["description"].clone();
        document["images"] = json!([image]);
        document["attributes"] = json!([["popularity", row["popularity"].to_string()]]);
        document
    };
    rows.into_iter().map(document).collect()
}

/// What the fashion catalogue says, as documents.
fn fashion(file: &Path) -> Vec<Value> {
    let mut reader = csv::Reader::from_reader(GzDecoder::new(File::open(file).unwrap()));
    let header = reader.headers().unwrap().clone();
    let document = |row: csv::StringRecord| {
        let of =
            |name: &str| row[header.iter().position(|column| column == name).unwrap()].to_owned();
        let mut document = wanted(&of("id"), &of("title"), &of("price_min_usd"));
        let mut taken = vec![
            "id",
            "title",
            "price_min_usd",
            "description",
            "in_stock_any",
            "featured_image_url",
        ];
        // A product without a path has at least a type.
        let (column, category) = match of("category_full_path") {
            path if path.is_empty() => ("product_type", of("product_type")),
            path => ("category_full_path", path),
        };
        taken.push(column);
        document["category_path"] = category.split('>').map(str::trim).collect();
        document["description"] = json!(of("description"));
        document["images"] = [of("featured_image_url")]
            .into_iter()
            .filter(|image| !image.is_empty())
            .collect();
        document["availability"] = json!(if of("in_stock_any") == "True" {
            "in_stock"
        } else {
            "out_of_stock"
        });
        let others = header.iter().filter(|column| !taken.contains(column));
        let others = others.filter(|column| !of(column).is_empty());
        document["attributes"] = others.map(|column| json!([column, of(column)])).collect();
        document
    };
    reader
        .into_records()
        .map(|row| document(row.unwrap()))
        .collect()
}

fn ids(documents: &[Value]) -> Vec<&str> {
    documents
        .iter()
        .map(|document| document["id"].as_str().unwrap())
        .collect()
}

fn imported_whole(database: &Empty, file: &Path, wanted: &[Value]) {
    let count = wanted.len();
    let run = database.import(file, &[]).expect(0);
    assert_eq!(
        run.stdout,
        format!("{count} products read, 0 bad rows; {count} new, 0 changed, 0 unchanged\n")
    );
    assert_eq!(run.stderr, "");
    let node = database.node();
    let found = documents(&node, &ids(wanted));
    assert_eq!(found.len(), count);
    for document in wanted {
        let id = document["id"].as_str().unwrap();
        assert_eq!(found[id], *document, "{id}");
    }
    let first = ids(wanted)[0];
    let before = node.product(first).expect(200);
    let again = database.import(file, &[]).expect(0);
    assert_eq!(
        again.stdout,
        format!("{count} products read, 0 bad rows; 0 new, 0 changed, {count} unchanged\n")
    );
    let after = node.product(first).expect(200);
    assert_eq!(
        after.must("hotshelf-version"),
        before.must("hotshelf-version"),
        "nothing was recorded"
    );
}

#[test]
fn the_electronics_catalogue_is_imported_and_read_from_sqlite() {
    let Some(file) = data("bestbuy_typesense.json.gz") else {
        return;
    };
    let wanted = electronics(&file);
    assert_eq!(wanted.len(), 3291);
    imported_whole(&Empty::Sqlite(folder()), &file, &wanted);
}

#[test]
fn the_electronics_catalogue_is_imported_and_read_from_postgres() {
    let Some(file) = data("bestbuy_typesense.json.gz") else {
        return;
    };
    imported_whole(&Empty::postgres("electronics"), &file, &electronics(&file));
}

#[test]
fn the_fashion_catalogue_is_imported_and_read_from_sqlite() {
    let Some(file) = data("livostyle_products.csv.gz") else {
        return;
    };
    let wanted = fashion(&file);
    assert_eq!(wanted.len(), 2766);
    imported_whole(&Empty::Sqlite(folder()), &file, &wanted);
}

#[test]
fn the_fashion_catalogue_is_imported_and_read_from_postgres() {
    let Some(file) = data("livostyle_products.csv.gz") else {
        return;
    };
    imported_whole(&Empty::postgres("fashion"), &file, &fashion(&file));
}

fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    let bytes = if name.ends_with(".gz") {
        gzip(text)
    } else {
        text.as_bytes().to_vec()
    };
    std::fs::write(&path, bytes).unwrap();
    path
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

const CSV: &str = "id,title,price,colour\nA-1,Mug,12.50,green\nA-2,\"Cup, small\nand round\",3,\n";
const ARRAY: &str = r#"[
  {"id": "A-1", "title": "Mug", "price": 12.50, "colour": "green"},
  {"id": "A-2", "title": "Cup, small\nand round", "price": "3.00"}
]"#;
const LINES: &str = r#"{"id": "A-1", "title": "Mug", "price": "12.50 USD", "colour": "green"}

{"id": "A-2", "title": "Cup, small\nand round", "price": 3, "colour": null}
"#;

fn mug() -> Value {
    let mut mug = wanted("A-1", "Mug", "12.50");
    mug["attributes"] = json!([["colour", "green"]]);
    mug
}

#[test]
fn each_form_of_a_file_gives_the_same_products() {
    let (folder, database) = (folder(), Empty::Sqlite(folder()));
    let mut new = true;
    for (name, text) in [("a.csv", CSV), ("a.json", ARRAY), ("a.jsonl", LINES)] {
        // Neither a name nor its ending decides; the bytes do.
        for name in [name.to_owned(), format!("{name}.gz"), "data.gz".to_owned()] {
            let run = database.import(&write(&folder, &name, text), &[]).expect(0);
            let became = if new {
                "2 new, 0 changed, 0 unchanged"
            } else {
                "0 new, 0 changed, 2 unchanged"
            };
            assert_eq!(
                run.stdout,
                format!("2 products read, 0 bad rows; {became}\n"),
                "{name}: {}",
                run.stderr
            );
            new = false;
        }
    }
    let url = format!("database.url={}", database.url());
    let piped = hotshelf_in(
        folder.path(),
        &[],
        &["import", "-", "--set", &url],
        CSV.as_bytes(),
    )
    .expect(0);
    assert!(piped.stdout.ends_with("2 unchanged\n"), "{}", piped.stdout);
    let node = database.node();
    assert_eq!(node.product("A-1").expect(200).json(), mug());
    assert_eq!(
        node.product("A-2").expect(200).json(),
        wanted("A-2", "Cup, small\nand round", "3")
    );
}

#[test]
fn a_running_node_serves_what_an_import_changes() {
    let (folder, database) = (folder(), Empty::Sqlite(folder()));
    database
        .import(&write(&folder, "a.csv", CSV), &[])
        .expect(0);
    let node = database.node();
    let [mug, cup] = ["A-1", "A-2"].map(|id| node.product(id).expect(200));
    let dearer = CSV.replace("12.50", "14.00");
    let run = database
        .import(&write(&folder, "b.csv", &dearer), &[])
        .expect(0);
    assert_eq!(
        run.stdout,
        "2 products read, 0 bad rows; 0 new, 1 changed, 1 unchanged\n"
    );
    wait_until("the new price is served", SOON, || {
        node.product("A-1").expect(200).json()["price"]["list_minor"] == 1400
    });
    assert_ne!(
        node.product("A-1").must("hotshelf-version"),
        mug.must("hotshelf-version")
    );
    assert_eq!(node.product("A-2").must("etag"), cup.must("etag"));
}

/// Good on lines 2, 5 and 7; bad on the others.
const BAD: &str = "id,title,price\nA-1,Good,1.00\n,No id,2.00\nA-2,No price,much\nA-3,Good too,3.00\nA-1,Again,4.00\n\
                   A-4,\"Over two\nlines\",5.00\nA-5,too,many,columns\n  ..  ,No id either,6.00\n";

#[test]
fn bad_rows_are_told_with_line_and_reason_and_skipped() {
    let (folder, database) = (folder(), Empty::Sqlite(folder()));
    let file = write(&folder, "bad.csv", BAD);
    let run = database.import(&file, &[]).expect(0);
    assert_eq!(
        run.stdout,
        "3 products read, 5 bad rows; 3 new, 0 changed, 0 unchanged\n"
    );
    let lines: Vec<&str> = run.stderr.lines().collect();
    for (at, (place, reason)) in [
        ("line 3: id: ", "is missing"),
        ("line 4: price: ", "`much`"),
        ("line 6: id: ", "`A-1` was given before, on line 2"),
        ("line 9: row: ", "4 columns, the header has 3"),
        ("line 10: id: ", ".."),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(
            lines[at].starts_with(place) && lines[at].contains(reason),
            "{}",
            run.stderr
        );
    }
    assert_eq!(lines.len(), 5);
    let node = database.node();
    assert_eq!(node.product("A-1").expect(200).json()["title"], "Good");
    assert_eq!(
        node.product("A-4").expect(200).json()["title"],
        "Over two\nlines"
    );
    node.product("A-2").expect(404);
}

#[test]
fn more_bad_rows_than_allowed_end_an_import_that_keeps_what_was_good() {
    let (folder, database) = (folder(), Empty::Sqlite(folder()));
    let file = write(&folder, "bad.csv", BAD);
    let run = database.import(&file, &["--bad-rows-max", "2"]).expect(1);
    run.says(&[
        "line 3",
        "line 4",
        "line 6",
        "more than 2 bad rows",
        "--bad-rows-max",
    ]);
    let node = database.node();
    for (id, status) in [("A-1", 200), ("A-3", 200), ("A-4", 404)] {
        assert_eq!(node.product(id).status, status, "{id}");
    }
    drop(node);
    let run = database.import(&file, &["--bad-rows-max", "5"]).expect(0);
    assert!(
        run.stdout
            .ends_with("5 bad rows; 1 new, 0 changed, 2 unchanged\n"),
        "{}",
        run.stdout
    );
    database.import(&file, &["--bad-rows-max", "0"]).expect(1);
}

#[test]
fn a_file_that_ends_too_early_is_no_success() {
    let (folder, database) = (folder(), Empty::Sqlite(folder()));
    let mut rows = String::from("id,title,price\n");
    for number in 0..2000 {
        writeln!(
            rows,
            "B-{number},Product {number},{}.99",
            number * 7919 % 1000
        )
        .unwrap();
    }
    let whole = gzip(&rows);
    let cut = folder.path().join("cut.csv.gz");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let run = database.import(&cut, &[]);
    assert_ne!(
        run.code,
        Some(0),
        "half a file: {}{}",
        run.stdout,
        run.stderr
    );
    run.says(&["gzip"]);
    let open = write(
        &folder,
        "open.json",
        "[{\"id\": \"C-1\", \"title\": \"Mug\"},",
    );
    let run = database.import(&open, &[]);
    assert_ne!(
        run.code,
        Some(0),
        "an array without an end: {}{}",
        run.stdout,
        run.stderr
    );
    run.says(&["`]` is missing"]);
}

#[test]
fn a_file_that_cannot_be_imported_is_named() {
    let (folder, database) = (folder(), Empty::Sqlite(folder()));
    let run = database
        .import(&folder.path().join("absent.csv"), &[])
        .expect(1);
    run.says(&["hotshelf: ", "absent.csv", "No such file"]);
    let nobody = format!("127.0.0.1:{}", free_port());
    let nowhere = Empty::Postgres(format!("postgres://shop:hunter2@{nobody}/shop"));
    let run = nowhere.import(&write(&folder, "a.csv", CSV), &[]).expect(1);
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    run.says(&["hotshelf: ", &nobody]);
}

#[test]
fn columns_are_mapped_by_flags() {
    let (folder, database) = (folder(), Empty::Sqlite(folder()));
    let text = "nr,heading,cost,farbe,quantity\n17,Becher,12.50,grün,0\n";
    let file = write(&folder, "odd.csv", text);
    let flags = [
        "--map",
        "id=nr",
        "--map",
        "title=heading",
        "--map",
        "price=cost",
        "--map",
        "stock=",
        "--currency",
        "EUR",
    ];
    let run = database.import(&file, &flags).expect(0);
    assert_eq!(run.stderr, "");
    let mut wanted = wanted("17", "Becher", "12.50");
    wanted["price"]["currency"] = json!("EUR");
    wanted["attributes"] = json!([["farbe", "grün"], ["quantity", "0"]]);
    assert_eq!(database.node().product("17").expect(200).json(), wanted);
    for (flags, parts) in [
        (
            &["--map", "heading"][..],
            &["--map heading", "FIELD=COLUMN"][..],
        ),
        (
            &["--map", "nope=nr"],
            &["no field `nope`", "the fields are id, title"],
        ),
        (
            &["--map", "id=nr", "--map", "id=heading"],
            &["mapped twice"],
        ),
        (
            &["--map", "id=sku"],
            &["no column `sku`", "nr, heading, cost"],
        ),
    ] {
        let run = database.import(&file, flags);
        assert!(
            run.code.is_some_and(|code| code > 0),
            "{flags:?}: {}{}",
            run.stdout,
            run.stderr
        );
        run.says(parts);
    }
}

#[test]
fn a_dry_run_checks_everything_and_writes_nothing() {
    let (folder, database) = (folder(), Empty::Sqlite(folder()));
    let file = write(&folder, "bad.csv", BAD);
    let run = database.import(&file, &["--dry-run"]).expect(0);
    assert_eq!(
        run.stdout,
        "3 products read, 5 bad rows; nothing was written\n"
    );
    assert_eq!(run.stderr.lines().count(), 5);
    let Empty::Sqlite(place) = &database else {
        return;
    };
    assert_eq!(
        std::fs::read_dir(place.path()).unwrap().count(),
        0,
        "no file was made"
    );
    database
        .import(&file, &["--dry-run", "--bad-rows-max", "4"])
        .expect(1);
    // Nor does it touch a database that is there.
    let shop = Shop::sqlite();
    let before = shop.sql("SELECT count(*), max(id) FROM product; SELECT max(pos) FROM cache_log");
    let url = format!("database.url={}", shop.url());
    let args = ["import", file.to_str().unwrap(), "--set", &url, "--dry-run"];
    hotshelf(folder.path(), &args).expect(0);
    assert_eq!(
        shop.sql("SELECT count(*), max(id) FROM product; SELECT max(pos) FROM cache_log"),
        before
    );
}

/// `serve --embedded` on a folder, ready to be read.
struct Embedded {
    running: Background,
    lines: Vec<String>,
}

impl Embedded {
    fn start(data: &Path, rest: &[&str]) -> Self {
        let data = format!("node.data_dir={}", data.display());
        let args = [
            &["serve", "--embedded", "--set", &data],
            &[
                "--set",
                "http.listen=127.0.0.1:0",
                "--set",
                "admin.listen=127.0.0.1:0",
            ],
            rest,
        ];
        let mut running = Background::start(&args.concat());
        running.wait_for("/metrics |");
        let lines = running.stdout().lines().map(str::to_owned).collect();
        Embedded { running, lines }
    }

    fn address(&self) -> Address {
        let port = self.lines[0].rsplit(':').next().unwrap();
        Address::Tcp(port.parse().unwrap())
    }

    /// The lines that it invites to try.
    fn tries(&self) -> Vec<&str> {
        let lines = self
            .lines
            .iter()
            .filter_map(|line| line.find("curl ").map(|at| &line[at..]));
        lines.collect()
    }

    fn document(&self, id: &str) -> Vec<u8> {
        let path = format!("/v1/products/{id}");
        request(&self.address(), "GET", &path, &[], b"")
            .unwrap()
            .expect(200)
            .body
    }
}

/// The first column of each row.
fn sqlite(data: &Path, sql: &str) -> Vec<String> {
    let options = SqliteConnectOptions::new().filename(data.join("hotshelf.sqlite"));
    block_on(async {
        let mut connection = options.connect().await.unwrap();
        let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let rows = rows.fetch_all(&mut connection).await.unwrap();
        let first = rows.iter().map(|row| row.try_get_unchecked(0).unwrap());
        first.collect()
    })
}

#[test]
fn the_embedded_node_generates_the_same_catalogue_everywhere_and_its_lines_work() {
    let folders = [folder(), folder()];
    let nodes = [0, 1].map(|at| Embedded::start(folders[at].path(), &[]));
    for node in &nodes {
        assert!(
            node.lines[0].starts_with("reads   http://127.0.0.1:"),
            "{:?}",
            node.lines
        );
        assert!(
            node.lines[1].starts_with("admin   http://127.0.0.1:"),
            "{:?}",
            node.lines
        );
        assert!(
            node.running
                .stderr()
                .contains("generated a catalogue of 10000 products")
        );
    }
    let ids = sqlite(
        folders[0].path(),
        "SELECT id FROM product WHERE status = 'active' ORDER BY id",
    );
    assert_eq!(
        sqlite(folders[0].path(), "SELECT count(*) FROM product"),
        ["10000"]
    );
    assert_eq!(
        ids,
        sqlite(
            folders[1].path(),
            "SELECT id FROM product WHERE status = 'active' ORDER BY id"
        )
    );
    for id in ids.iter().step_by(97) {
        let [one, other] = [0, 1].map(|at| nodes[at].document(id));
        assert_eq!(one, other, "{id}");
    }
    the_printed_lines_work(&nodes[0], folders[0].path());
}

fn the_printed_lines_work(node: &Embedded, folder: &Path) {
    let tries = node.tries();
    assert_eq!(tries.len(), 3, "{:?}", node.lines);
    let runs: Vec<Run> = tries
        .iter()
        .map(|line| shell(folder, line).expect(0))
        .collect();
    assert!(
        runs[0].stdout.starts_with("HTTP/1.1 200 OK"),
        "{}",
        runs[0].stdout
    );
    let body = runs[0].stdout.split("\r\n\r\n").nth(1).unwrap();
    let document: Value = serde_json::from_str(body).unwrap();
    assert!(
        tries[0].ends_with(document["id"].as_str().unwrap()),
        "{tries:?}"
    );
    let batch: Value = serde_json::from_str(&runs[1].stdout).unwrap();
    assert_eq!(batch["results"][0]["document"], document);
    assert_eq!(batch["results"][1]["status"], "absent");
    assert!(
        runs[2].stdout.contains("hotshelf_reads_total{"),
        "{}",
        runs[2].stdout
    );
}

#[test]
fn an_embedded_node_keeps_the_catalogue_that_it_finds() {
    let folder = folder();
    let ids = "SELECT id FROM product ORDER BY id";
    let mut first = Embedded::start(folder.path(), &["--products", "30"]);
    let generated = sqlite(folder.path(), ids);
    assert_eq!(generated.len(), 30);
    first.running.signal(rustix::process::Signal::TERM);
    assert!(first.running.wait().success());
    let again = Embedded::start(folder.path(), &[]);
    assert_eq!(sqlite(folder.path(), ids), generated);
    assert!(
        !again.running.stderr().contains("generated"),
        "{}",
        again.running.stderr()
    );
}

#[test]
fn a_catalogue_is_read_once_and_not_into_memory() {
    let (folder, database) = (folder(), Empty::Sqlite(folder()));
    let endless = "{ echo id,title; yes 'A-1,Mug'; }";
    let line = format!(
        "{endless} | $PROGRAM import - --set database.url={} --bad-rows-max 5000 2>&1 | tail -n 1",
        database.url()
    );
    let run = shell(folder.path(), &line);
    assert!(
        run.stdout.contains("more than 5000 bad rows"),
        "{}",
        run.stdout
    );
}
