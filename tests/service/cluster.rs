//! Looking into a cluster from the command line: who is there, what each holds of a document, what it answers.

use hotshelf_testkit::{RedisServer, wait_until};
use hotshelf_tests::{Address, Node, Shop};
use serde_json::{Value, json};

use crate::parts::{NO_L3, SOON, l2, start_with_l2, stored, wait_stored};
use crate::program::{Run, folder, hotshelf, hotshelf_in};

fn admin(node: &Node) -> String {
    match node.admin_address() {
        Address::Tcp(port) => format!("http://127.0.0.1:{port}"),
        Address::Unix(path) => path.display().to_string(),
    }
}

fn named(name: &str) -> String {
    format!("[node]\nname = \"{name}\"\n")
}

fn run(node: &Node, args: &[&str]) -> Run {
    let url = admin(node);
    let args = [args, &["--admin", &url, "--deadline", "1s"]].concat();
    hotshelf(folder().path(), &args)
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap()
}

/// Waits until the nodes have heard of each other.
#[track_caller]
fn wait_nodes(node: &Node, names: &[&str]) {
    wait_until("the nodes know each other", SOON, || {
        let told = json(&run(node, &["nodes", "--json"]));
        let nodes = told["nodes"].as_array().unwrap();
        let present = nodes.iter().filter(|node| node["present"] == true);
        present.map(|node| &node["name"]).eq(names)
    });
}

/// `TIER STANDING` of each tier of a node that answered.
fn tiers(told: &Value, node: &str) -> Vec<String> {
    let mut nodes = told["nodes"].as_array().unwrap().iter();
    let of = nodes.find(|told| told["node"]["name"] == node).unwrap();
    let tiers = of["explanation"]["tiers"].as_array().into_iter().flatten();
    let word = |tier: &Value| {
        let standing = tier["copy"]["standing"].as_str();
        let tier = tier["tier"].as_str().unwrap();
        format!("{tier} {}", standing.unwrap_or("-"))
    };
    tiers.map(word).collect()
}

#[test]
fn explain_shows_an_outdated_copy_in_l2_and_a_node_that_does_not_answer() {
    let shop = Shop::postgres();
    let redis = RedisServer::start().unwrap();
    let toml = |name| shop.toml() + NO_L3 + &l2(&redis) + &named(name);
    let one = start_with_l2(&toml("shelf-1"));
    let two = start_with_l2(&toml("shelf-2"));
    wait_nodes(&one, &["shelf-1", "shelf-2"]);
    let puts = stored(&one, "l2");
    one.product("sku-0001").expect(200);
    wait_stored(&one, "l2", puts + 1.0);

    let fetched = [one.origin_documents(), two.origin_documents()];
    let told = run(&one, &["explain", "sku-0001", "--json"]).expect(0);
    let told = json(&told);
    assert_eq!(
        tiers(&told, "shelf-1"),
        ["l1 current", "l2 current"],
        "{told}"
    );
    assert_eq!(tiers(&told, "shelf-2"), ["l1 -", "l2 current"], "{told}");
    assert_eq!(told["verdict"]["code"], "current");
    let version = told["database"]["version"].clone();
    let copy = &told["nodes"][0]["explanation"]["tiers"][0]["copy"];
    assert_eq!(
        (&copy["version"], &copy["unchanged"]),
        (&version, &json!(true))
    );

    two.pause();
    shop.rename("sku-0001", "Newer");
    let explain = || run(&one, &["explain", "sku-0001", "--json"]);
    wait_until("the node knows of the change", SOON, || {
        tiers(&json(&explain()), "shelf-1") == ["l1 -", "l2 refused"]
    });
    let told = explain().expect(6);
    assert_eq!(json(&told)["verdict"]["code"], "incomplete");
    assert_ne!(json(&told)["database"]["version"], version);
    let text = run(&one, &["explain", "sku-0001"]).expect(6).stdout;
    for part in [
        "shelf-1 l2: is outdated, and never served",
        "of shelf-2 nothing is known",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    two.resume();
    wait_until("the other node answers again", SOON, || {
        explain().code == Some(0)
    });
    assert_eq!(tiers(&json(&explain()), "shelf-2"), ["l1 -", "l2 refused"]);
    assert_eq!(
        [one.origin_documents(), two.origin_documents()],
        fetched,
        "nothing was fetched for it"
    );

    let invalidated = run(&one, &["invalidate", "sku-0001", "--wait"]).expect(0);
    assert!(
        invalidated
            .stdout
            .starts_with("applied: products/sku-0001, version "),
        "{invalidated:?}"
    );
    assert_eq!(one.product("sku-0001").expect(200).tier(), "origin");
    let stats = json(&run(&two, &["stats", "--json", "--over", "100ms"]).expect(0));
    assert_eq!(stats["nodes"].as_array().map(Vec::len), Some(2), "{stats}");
    drop(two);
    assert_eq!(run(&one, &["stats", "--over", "100ms"]).code, Some(6));
}

#[test]
fn a_node_alone_is_looked_into_with_a_token_that_is_shown_nowhere() {
    let shop = Shop::sqlite();
    let folder = folder();
    let (token, file) = ("b0a7-secret-of-the-shop", folder.path().join("token"));
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let toml = format!(
        "{}{NO_L3}{}[auth]\ntokens = [{{ name = \"watch\", role = \"viewer\", file = \"{}\" }}]\n",
        shop.toml(),
        named("shelf-1"),
        file.display()
    );
    let node = Node::start(&toml);
    let url = admin(&node);
    let with = |env: &[(&str, &str)], args: &[&str]| {
        hotshelf_in(
            folder.path(),
            env,
            &[args, &["--admin", &url]].concat(),
            b"",
        )
    };
    let environment = [("HOTSHELF_TOKEN", token)];
    let nodes = with(&environment, &["nodes"]).expect(0);
    assert!(
        nodes.stdout.contains("shelf-1  answers"),
        "{}",
        nodes.stdout
    );
    let from_file = [
        "explain",
        "sku-0001",
        "--json",
        "--token-file",
        file.to_str().unwrap(),
    ];
    let told = with(&[("HOTSHELF_TOKEN", "other")], &from_file).expect(0);
    assert_eq!(tiers(&json(&told), "shelf-1"), ["l1 -"]);
    with(&environment, &["stats", "--over", "100ms"]).expect(0);
    for command in [["hot", "tail", "--once"], ["hot", "rules", "show"]] {
        with(&environment, &command).expect(0);
        let no_token: [&[&str]; 2] = [&command, &["--token", "b0a7-wrong-of-the-shop"]];
        with(&[], &no_token.concat()).expect(1).says(&["401"]);
    }
    let refused = with(&environment, &["invalidate", "sku-0001"]).expect(1);
    refused.says(&["403", "a token with the role `writer`"]);
    let unknown = with(&[], &["nodes", "--token", "b0a7-wrong-of-the-shop"]).expect(1);
    unknown.says(&["401", "the token is not one of this node's"]);
    let broken = with(&[("HOTSHELF_TOKEN", "b0a7\nsecret")], &["nodes"]).expect(1);
    let help = with(&environment, &["nodes", "--help"]).expect(0);
    for run in [nodes, told, refused, unknown, broken, help] {
        assert!(!(run.stdout + &run.stderr).contains("b0a7"));
    }
    with(&[], &["nodes"]).expect(1).says(&["401"]);
}

#[test]
fn completions_name_every_command() {
    let folder = folder();
    for shell in ["bash", "zsh", "fish"] {
        let script = hotshelf(folder.path(), &["completions", shell])
            .expect(0)
            .stdout;
        for command in ["explain", "invalidate", "serve"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}
