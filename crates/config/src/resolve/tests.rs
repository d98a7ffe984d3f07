//! Whole configurations: what wins, what is refused and how it is said, and that nothing secret is said.

use std::path::{Path, PathBuf};

use hotshelf_model::Shape;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::raw::{RawConfig, RawNamespace};
use crate::{AccessLogFormat, AccessLogMode, NamespaceSource};

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    pairs.iter().map(owned).collect()
}

fn in_folder(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hotshelf.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn load(
    file: &str,
    env: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<(Config, Provenance), ConfigProblems> {
    let (_folder, path) = in_folder(file);
    Config::load(&Sources {
        file: Some(path),
        env: pairs(env),
        flags: pairs(flags),
    })
}

/// The problems as `path: reason`, the file's temporary name left out.
fn problems(file: &str) -> Vec<String> {
    let problems = load(file, &[], &[]).unwrap_err();
    let text = |problem: &Problem| format!("{}: {}", problem.path, problem.reason);
    problems.as_slice().iter().map(text).collect()
}

#[track_caller]
fn refused(file: &str, path: &str, reason: &str) {
    let problems = problems(file);
    let expected = problems
        .iter()
        .any(|problem| problem.starts_with(&format!("{path}: ")) && problem.contains(reason));
    assert!(expected && problems.len() == 1, "{problems:#?}");
}

const SQL: &str = "[[namespace]]\nname = 'cards'\nkind = 'sql'\nsql = 'SELECT 1 :ids'\n";
const HTTP: &str = "[[namespace]]\nname = 'cards'\nkind = 'http'\nurl = 'http://h/{id}'\nversion_header = 'X-Version'\n";

#[test]
fn nothing_at_all_is_a_working_configuration() {
    let (config, provenance) = Config::load(&Sources::default()).unwrap();
    assert_eq!(config.http().listen.to_string(), "127.0.0.1:7400");
    assert_eq!(config.http().idle_timeout, Duration::from_secs(75));
    assert_eq!(config.admin().listen.to_string(), "127.0.0.1:7401");
    assert_eq!(
        config.database().url.expose(),
        "sqlite:./data/hotshelf.sqlite"
    );
    assert!(config.database().is_sqlite());
    assert!(config.l2().is_none());
    assert_eq!(config.l3().unwrap().path, Path::new("./data/l3"));
    let [products] = config.namespaces() else {
        panic!("{:?}", config.namespaces())
    };
    assert_eq!(products.namespace.name.as_str(), "products");
    assert!(products.namespace.tracked);
    assert!(matches!(products.source, NamespaceSource::Catalogue));
    assert!(config.notes().is_empty());
    let all_default = |setting: &crate::Setting| setting.source == Source::Default;
    assert!(provenance.settings().iter().all(all_default));
    assert_eq!(
        provenance.get("database.url").unwrap().value,
        "\"sqlite:./data/hotshelf.sqlite\""
    );
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_and_each_value_says_where_it_is_from() {
    let file = "[l2]\nurls = ['redis://a']\ndeadline_ms = 1\nconnections = 1\nops_max = 1\n";
    let env = [
        ("HOTSHELF_L2__DEADLINE_MS", "2"),
        ("HOTSHELF_L2__CONNECTIONS", "2"),
        ("PATH", "/bin"),
    ];
    let (config, provenance) = load(file, &env, &[("l2.deadline_ms", "3")]).unwrap();
    let l2 = config.l2().unwrap();
    assert_eq!(
        (l2.deadline, l2.connections, l2.ops_max),
        (Duration::from_millis(3), 2, 1)
    );
    let source = |path: &str| provenance.get(path).unwrap().source.to_string();
    assert_eq!(source("l2.deadline_ms"), "flag l2.deadline_ms");
    assert_eq!(
        source("l2.connections"),
        "environment HOTSHELF_L2__CONNECTIONS"
    );
    assert!(
        source("l2.ops_max").ends_with("hotshelf.toml:5"),
        "{}",
        source("l2.ops_max")
    );
    assert_eq!(source("l2.ttl_s"), "default");
    assert!(provenance.to_string().contains("l2.deadline_ms = 3 "));
}

#[test]
fn the_environment_can_name_the_file_and_a_flag_beats_it() {
    let (_folder, path) = in_folder("[node]\nname = 'from-env'\n");
    let mut sources = Sources {
        env: vec![("HOTSHELF_CONFIG".to_owned(), path.display().to_string())],
        ..Sources::default()
    };
    let name = |sources: &Sources| Config::load(sources).unwrap().0.node().name.clone();
    assert_eq!(name(&sources).as_deref(), Some("from-env"));
    let (_folder, other) = in_folder("[node]\nname = 'from-flag'\n");
    sources.file = Some(other);
    assert_eq!(name(&sources).as_deref(), Some("from-flag"));
}

#[test]
fn all_problems_of_all_sources_come_at_once_with_place_and_way_out() {
    let file = "[htpp]\nlisten = 1\n[http]\nlisten = 'localhost:80'\nconnections_max = 0\n[l2]\ndeadline = 5\n";
    let env = [
        ("HOTSHELF_L3__DIRECT_IO", "maybe"),
        ("HOTSHELF_L2_URLS", "redis://a"),
        ("HOTSHELF_LOG__FORMT", "json"),
    ];
    let error = load(
        file,
        &env,
        &[("l2.nope", "1"), ("admin.listen", "0.0.0.0:7401")],
    )
    .unwrap_err();
    let text = error.to_string();
    for expected in [
        "has 9 problems",
        "`htpp`",
        "did you mean `http`?",
        ":4): must be an IP address and a port such as `127.0.0.1:7400` or `[::1]:7400`, not `localhost:80`",
        ":5): must be a whole number from 1 to 1000000, not 0",
        ":7): there is no such key; did you mean `deadline_ms`?",
        "(environment HOTSHELF_L3__DIRECT_IO): must be true or false, not `maybe`",
        "(environment HOTSHELF_L2_URLS): two underscores follow the section: HOTSHELF_L2__URLS",
        "did you mean `format`?",
        "`l2.nope` (flag l2.nope): there is no such key; [l2] has urls",
        "`admin.listen` (flag admin.listen): must be a loopback address",
    ] {
        assert!(text.contains(expected), "{expected}\n in \n{text}");
    }
}

#[test]
fn what_is_advertised_is_a_host_and_nothing_secret() {
    for url in [
        "http://me:secret@shelf-1:7401",
        "http://shelf-1/admin",
        "http://shelf-1:7401?a",
    ] {
        let file = format!("[admin]\nadvertise = '{url}'");
        refused(
            &file,
            "admin.advertise",
            "must be a scheme, a host and a port",
        );
    }
}

#[test]
fn a_relation_names_the_key_that_somebody_gave() {
    refused(
        "[http]\nrequest_timeout_ms = 1000",
        "http.request_timeout_ms",
        "`origin.fill_timeout_ms` is 2000 (default)",
    );
    refused(
        "[origin]\nfill_timeout_ms = 9000",
        "origin.fill_timeout_ms",
        "`http.request_timeout_ms` is 5000",
    );
    refused(
        "[l2]\nurls = ['redis://a']\ndeadline_ms = 2000",
        "l2.deadline_ms",
        "a tier must give up",
    );
    refused(
        "[coherence]\nstaleness_bound_ms = 499",
        "coherence.staleness_bound_ms",
        "at least twice",
    );
    refused(
        "[origin]\nconcurrency_min = 33",
        "origin.concurrency_min",
        "`origin.concurrency_max` is 16",
    );
    refused(
        "[http]\nlisten = '127.0.0.1:7401'",
        "http.listen",
        "two listeners",
    );
    refused(
        "[l3]\nttl_s = 3599",
        "l3.ttl_s",
        "`namespace.products.ttl_hard_s` is 3600",
    );
    refused(
        "[l2]\nurls = ['redis://a']\nttl_s = 60",
        "l2.ttl_s",
        "still fresh",
    );
    refused(
        "[l3]\nmemtable_bytes = 67108864\nbytes_max = 268435455",
        "l3.memtable_bytes",
        "four times",
    );
    refused(
        "[http]\nurl_bytes_max = 32768",
        "http.url_bytes_max",
        "raise `http.header_bytes_max`",
    );
    refused(
        "[l2]\nurls = ['redis://a', 'redis://b']",
        "l2.urls",
        "cluster = true",
    );
    refused(
        "[database]\nurl = 'sqlite::memory:'",
        "database.url",
        "name a file",
    );
    refused(
        &format!("{HTTP}timeout_ms = 2500"),
        "namespace.cards.timeout_ms",
        "before the fill",
    );
    refused(
        &format!("{SQL}ttl_soft_s = 4000"),
        "namespace.cards.ttl_soft_s",
        "a refresh must begin",
    );
}

#[test]
fn the_access_log_is_off_and_lies_in_the_data_folder_unless_something_else_is_said() {
    let (config, provenance) = load("[node]\ndata_dir = 'd'", &[], &[]).unwrap();
    assert_eq!(config.access_log().mode, AccessLogMode::Off);
    assert_eq!(config.access_log().folder, Path::new("d/access-log"));
    let shown = provenance.get("access_log.folder").unwrap();
    assert_eq!(shown.value, "\"d/access-log\"");
    let text = "[access_log]\nmode = 'sampled'\nsample_one_in = 10\nformat = 'json'\nfolder = 'f'";
    let (config, _) = load(text, &[], &[]).unwrap();
    let log = config.access_log();
    assert_eq!((log.mode, log.sample_one_in), (AccessLogMode::Sampled, 10));
    assert_eq!(
        (log.format, &*log.folder),
        (AccessLogFormat::Json, Path::new("f"))
    );
    let text = "[access_log]\nbytes_max = 1048576";
    refused(text, "access_log.bytes_max", "one file must fit");
    refused("[access_log]\nmode = 'some'", "access_log.mode", "full");
    refused(
        "[access_log]\nsample_one_in = 1",
        "access_log.sample_one_in",
        "2",
    );
}

#[test]
fn a_refused_value_causes_no_second_problem_through_its_default() {
    let problems =
        problems("[origin]\nfill_timeout_ms = 'soon'\n[http]\nrequest_timeout_ms = 500\n");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("not `soon`"), "{problems:?}");
}

#[test]
fn the_limits_of_a_tier_that_is_off_do_not_matter() {
    assert!(load("[l3]\nenabled = false\nttl_s = 1", &[], &[]).is_ok());
    assert!(load("[l2]\nttl_s = 1", &[], &[]).is_ok());
}

#[test]
fn a_kind_needs_its_keys_and_refuses_those_of_the_others() {
    let head = "[[namespace]]\nname = 'cards'\n";
    refused(
        head,
        "namespace.cards.kind",
        "say one of catalogue, sql, http",
    );
    refused(
        &format!("{head}kind = 'mysql'"),
        "namespace.cards.kind",
        "`catalogue` or `sql` or `http`",
    );
    refused(
        &format!("{head}kind = 'sql'"),
        "namespace.cards.sql",
        "needs `sql` or `sql_file`",
    );
    refused(
        &format!("{SQL}sql_file = 'a.sql'"),
        "namespace.cards.sql",
        "remove one",
    );
    refused(
        &format!("{SQL}version_pointer = '/v'"),
        "namespace.cards.version_pointer",
        "only kind `http`",
    );
    refused(
        &format!("{SQL}headers = {{ a = 'b' }}"),
        "namespace.cards.headers",
        "only kind `http`",
    );
    refused(
        "[[namespace]]\nname = 'products'\nkind = 'catalogue'\ntracked = true",
        "namespace.products.tracked",
        "only kind `sql`",
    );
    refused(
        &HTTP.replace("/{id}", "/x"),
        "namespace.cards.url",
        "must hold `{id}`",
    );
    refused(
        &HTTP.replace("/{id}", "/{id"),
        "namespace.cards.url",
        "other half",
    );
    refused(
        &HTTP.replace("/{id}", "/{id}/{locale}"),
        "namespace.cards.url",
        "`{locale}` is no dimension",
    );
    refused(
        &HTTP.replace("version_header = 'X-Version'", ""),
        "namespace.cards.version_header",
        "is missing",
    );
    refused(
        &format!("{HTTP}version_pointer = 'v'"),
        "namespace.cards.version_pointer",
        "begins with `/`",
    );
    refused(
        &format!("{HTTP}batch_url = 'http://h/?ids={{ids}}'"),
        "namespace.cards.version_pointer",
        "`batch_url` needs it",
    );
}

#[test]
fn a_query_and_a_url_must_say_what_they_are_asked_for() {
    refused(
        &SQL.replace(":ids", ""),
        "namespace.cards.sql",
        "WHERE id = ANY(:ids)",
    );
    let url = |url: &str| HTTP.replace("http://h/{id}", url);
    refused(
        &url("http://{id}.h/"),
        "namespace.cards.url",
        "placeholder in its host",
    );
    refused(
        &url("http://u:hunter2@h/{id}"),
        "namespace.cards.url",
        "a user or a password",
    );
    refused(&url("http://h/{id}#x"), "namespace.cards.url", "`#`");
    assert!(load(&url("http://h/{id}?at={as_of}"), &[], &[]).is_ok());
    let locale = "variants = [{ name = 'locale', values = ['en'] }]";
    refused(
        &format!("{HTTP}{locale}"),
        "namespace.cards.url",
        "must hold `{locale}`",
    );
    let both = format!("{}{locale}", url("http://h/{locale}/{id}"));
    assert!(load(&both, &[], &[]).is_ok());
}

#[test]
fn a_budget_above_the_pool_is_noted() {
    let (config, _) = load("[origin]\nconcurrency_max = 17", &[], &[]).unwrap();
    assert!(
        config.notes()[0].contains("will wait for a connection"),
        "{:?}",
        config.notes()
    );
    let (config, _) = load(&format!("[origin]\nconcurrency_max = 17\n{HTTP}"), &[], &[]).unwrap();
    assert!(config.notes().is_empty(), "{:?}", config.notes());
}

#[test]
fn names_are_distinct_and_not_reserved_and_the_catalogue_is_called_products() {
    refused(
        &SQL.replace("cards", "hot"),
        "namespace.hot.name",
        "reserved",
    );
    refused(
        &SQL.replace("cards", "Cards"),
        "namespace.Cards.name",
        "a-z, 0-9 and _",
    );
    refused(
        &format!("{SQL}{SQL}"),
        "namespace.cards.name",
        "declared twice",
    );
    refused(
        "[[namespace]]\nkind = 'catalogue'",
        "namespace.#1.name",
        "is missing",
    );
    refused(
        "[[namespace]]\nname = 'shop'\nkind = 'catalogue'",
        "namespace.shop.name",
        "must be `products`",
    );
    refused("[namespace]\nname = 'a'", "namespace", "[[namespace]]");
    refused(
        &format!("{SQL}variants = [{{ name = 'a/b', values = ['x'] }}]"),
        "namespace.cards.variants",
        "a/b",
    );
    refused(
        &format!("{SQL}variants = [{{ name = 'a', value = ['x'] }}]"),
        "namespace.cards.variants",
        "unknown field",
    );
}

#[test]
fn a_namespace_takes_single_keys_from_the_environment_and_flags() {
    let env = [
        ("HOTSHELF_NAMESPACE__CARDS__HEADERS__X_API_KEY", "hunter2"),
        ("HOTSHELF_NAMESPACE__CARDS__TTL_SOFT_S", "5"),
    ];
    let file = format!(
        "{HTTP}headers = {{ Accept = 'application/json' }}\n{}",
        SQL.replace("cards", "alpha")
    );
    let (config, provenance) = load(&file, &env, &[("namespace.alpha.ttl_hard_s", "900")]).unwrap();
    let [cards, alpha] = config.namespaces() else {
        panic!("the order of the file is kept")
    };
    assert_eq!(cards.namespace.policy.ttl_soft, Duration::from_secs(5));
    assert_eq!(alpha.namespace.policy.ttl_hard, Duration::from_secs(900));
    let NamespaceSource::Http(http) = &cards.source else {
        panic!("{:?}", cards.source)
    };
    let headers: Vec<_> = http
        .headers
        .iter()
        .map(|(name, value)| (&**name, value.expose()))
        .collect();
    assert_eq!(
        headers,
        [("accept", "application/json"), ("x-api-key", "hunter2")]
    );
    let setting = provenance.get("namespace.cards.headers.x-api-key").unwrap();
    assert_eq!(setting.value, "\"***\"");
    assert_eq!(
        setting.source,
        Source::Env("HOTSHELF_NAMESPACE__CARDS__HEADERS__X_API_KEY".to_owned())
    );
}

#[test]
fn the_default_namespace_can_be_adjusted_without_a_file() {
    let sources = Sources {
        env: pairs(&[("HOTSHELF_NAMESPACE__PRODUCTS__TTL_HARD_S", "400")]),
        ..Sources::default()
    };
    let (config, _) = Config::load(&sources).unwrap();
    assert_eq!(config.namespaces().len(), 1);
    assert_eq!(
        config.namespaces()[0].namespace.policy.ttl_hard,
        Duration::from_secs(400)
    );
}

#[test]
fn no_secret_is_shown_anywhere() {
    let env = [
        ("HOTSHELF_DATABASE__URL", "postgres://shop:hunter2@db/shop"),
        (
            "HOTSHELF_L2__URLS",
            "redis://:hunter2@a:1,redis://:hunter2@b:1",
        ),
        ("HOTSHELF_L2__CLUSTER", "true"),
    ];
    let file = format!("{HTTP}headers = {{ authorization = 'hunter2' }}");
    let (config, provenance) = load(&file, &env, &[]).unwrap();
    assert!(!format!("{config:?}{provenance}{provenance:?}").contains("hunter2"));
    assert!(
        provenance
            .to_string()
            .contains("postgres://shop:***@db/shop")
    );
    assert_eq!(
        config.database().url.expose(),
        "postgres://shop:hunter2@db/shop"
    );

    let broken = [
        ("HOTSHELF_DATABASE__URL", "postgres:shop:hunter2@db"),
        ("HOTSHELF_L2__URLS", "http://:hunter2@a"),
        (
            "HOTSHELF_NAMESPACE__CARDS__HEADERS__AUTHORIZATION",
            "hunter2\u{7}",
        ),
    ];
    let error = load(&format!("{HTTP}headers = 'hunter2'"), &broken, &[]).unwrap_err();
    assert_eq!(error.as_slice().len(), 4, "{error}");
    assert!(!format!("{error}{error:?}").contains("hunter2"), "{error}");
}

#[test]
fn a_line_that_is_not_toml_is_named_and_not_quoted() {
    let error = load(
        "[database]\nurl = postgres://shop:hunter2@db/shop\n",
        &[],
        &[],
    )
    .unwrap_err();
    assert!(
        error.to_string().contains("hotshelf.toml:2): is not TOML"),
        "{error}"
    );
    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_like_others() {
    let sources = Sources {
        file: Some("/nowhere/hotshelf.toml".into()),
        flags: pairs(&[("l2.nope", "1")]),
        ..Sources::default()
    };
    let error = Config::load(&sources).unwrap_err();
    assert_eq!(error.as_slice().len(), 2, "{error}");
    assert!(error.to_string().contains("cannot be opened"));
}

#[test]
fn an_attached_table_needs_its_keys_and_a_tracked_namespace() {
    let attach = "[[namespace.attach]]\ntable = 'items'\n";
    refused(
        &format!("{SQL}{attach}keys = 'item_no'"),
        "namespace.cards.attach",
        "needs `tracked = true`",
    );
    refused(
        &format!("{SQL}tracked = true\n{attach}"),
        "namespace.cards.attach",
        "missing field `keys`",
    );
    refused(
        &format!("{SQL}tracked = true\n{attach}keys = ' '"),
        "namespace.cards.attach",
        "`keys`",
    );
}

#[test]
fn an_sql_file_lies_beside_the_file_that_names_it() {
    let (folder, path) =
        in_folder("[[namespace]]\nname = 'cards'\nkind = 'sql'\nsql_file = 'cards.sql'\n");
    let sources = Sources {
        file: Some(path),
        ..Sources::default()
    };
    let error = Config::load(&sources).unwrap_err();
    assert!(
        error.to_string().contains("cards.sql cannot be opened"),
        "{error}"
    );
    std::fs::write(folder.path().join("cards.sql"), "SELECT 2 :ids\n").unwrap();
    let (config, _) = Config::load(&sources).unwrap();
    let NamespaceSource::Sql {
        sql,
        tracked: false,
        ..
    } = &config.namespaces()[0].source
    else {
        panic!("{config:?}")
    };
    assert_eq!(sql, "SELECT 2 :ids");
}

fn shape_of(file: &str) -> Shape {
    load(file, &[], &[]).unwrap().0.namespaces()[0]
        .namespace
        .shape
}

#[test]
fn the_shape_follows_what_makes_the_documents_and_nothing_else() {
    let with =
        |values: &str| format!("{SQL}variants = [{{ name = 'locale', values = [{values}] }}]");
    assert_ne!(
        shape_of(SQL),
        shape_of(&SQL.replace("SELECT 1", "SELECT 2"))
    );
    assert_ne!(shape_of(SQL), shape_of(&with("'en'")));
    assert_eq!(shape_of(&with("'en'")), shape_of(&with("'en', 'de'")));
    assert_eq!(shape_of(SQL), shape_of(&format!("{SQL}ttl_soft_s = 1")));
    assert_eq!(
        shape_of(HTTP),
        shape_of(&format!("{HTTP}headers = {{ a = 'b' }}"))
    );
    assert_ne!(shape_of(HTTP), shape_of(&HTTP.replace("X-Version", "X-V")));
    let read_from = [
        "absent_pointer = '/deleted'",
        "valid_until_header = 'X-Until'",
        "valid_until_pointer = '/until'",
    ];
    let mut shapes = read_from
        .map(|key| shape_of(&format!("{HTTP}{key}")))
        .to_vec();
    shapes.push(shape_of(HTTP));
    shapes.sort_by_key(|shape| shape.0);
    shapes.dedup();
    assert_eq!(shapes.len(), 4);
}

#[test]
fn a_tier_that_forgets_before_the_stale_cap_is_noted() {
    let (config, _) = load("[l3]\nttl_s = 3600", &[], &[]).unwrap();
    let [note] = config.notes() else {
        panic!("{:?}", config.notes())
    };
    assert!(
        note.contains("`l3.ttl_s`") && note.contains("7200 s"),
        "{note}"
    );
}

#[test]
fn an_embedding_program_writes_the_same_in_code() {
    let mut raw = RawConfig::default();
    raw.l1.bytes_max = Some(1 << 20);
    raw.namespace.push(RawNamespace {
        name: Some("cards".to_owned()),
        kind: Some("sql".to_owned()),
        sql: Some("SELECT 1 :ids".to_owned()),
        ..RawNamespace::default()
    });
    let (config, provenance) = Config::from_raw(&raw).unwrap();
    assert_eq!(config.l1().bytes_max, 1 << 20);
    assert_eq!(config.namespaces()[0].namespace.name.as_str(), "cards");
    assert_eq!(provenance.get("l1.bytes_max").unwrap().source, Source::Code);
    raw.l1.bytes_max = Some(1);
    assert!(
        Config::from_raw(&raw)
            .unwrap_err()
            .to_string()
            .contains("1048576")
    );
}

#[test]
fn the_committed_files_load() {
    for (name, sqlite) in [("embedded", true), ("production", false), ("example", true)] {
        let file =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../config/{name}.toml"));
        let (config, _) = Config::load(&Sources {
            file: Some(file),
            ..Sources::default()
        })
        .unwrap_or_else(|problems| panic!("{name}: {problems}"));
        assert_eq!(config.database().is_sqlite(), sqlite, "{name}");
        assert_eq!(config.notes(), [] as [String; 0], "{name}");
        assert_eq!(
            config.l2().is_some_and(|l2| l2.cluster),
            name == "production"
        );
    }
}

proptest! {
    #[test]
    fn arbitrary_text_is_refused_and_never_a_panic(
        file in "[\\[\\]a-z0-9_.={}'\" \n]{0,200}",
        key in "(http|l2|namespace|nope)(__[a-z_#]{0,12}){0,4}",
        value in "\\PC{0,40}",
    ) {
        let env = format!("HOTSHELF_{}", key.to_uppercase());
        let flag = key.replace("__", ".");
        drop(load(&file, &[(&env, &value)], &[(&flag, &value)]));
    }

    #[test]
    fn any_value_in_any_key_is_taken_or_refused_by_name(index in 0_usize..110, value in "(0|-?[1-9][0-9]{0,17}|true|'[a-z]{0,9}'|\\[1\\]|\\{a = 1\\})") {
        let keys: Vec<_> = crate::key::sections().iter().flat_map(|section| &section.keys).collect();
        let key = keys[index % keys.len()];
        let file = if key.section == "namespace" {
            let head = if key.name == "name" { "" } else { "name = 'cards'\n" };
            format!("[[namespace]]\n{head}{} = {value}\n", key.name)
        } else {
            format!("[{}]\n{} = {value}\n", key.section, key.name)
        };
        if let Err(problems) = load(&file, &[], &[]) {
            for problem in problems.as_slice() {
                prop_assert!(problem.path.starts_with(key.section) || problem.reason.contains(key.name), "{problem}");
                prop_assert!(!problem.reason.is_empty());
            }
        }
    }
}

/// Prints what a child process sees; by itself it asserts nothing that depends on the machine.
#[test]
fn environment_as_a_child_sees_it() {
    for (name, value) in crate::environment() {
        assert!(name.starts_with("HOTSHELF_"));
        println!("<{name}={value}>");
    }
}

#[test]
fn the_process_environment_is_read_as_it_is() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "resolve::tests::environment_as_a_child_sees_it",
            "--nocapture",
        ])
        .env("HOTSHELF_L2__URLS", "redis://a,redis://b")
        .env("HOTSHELF_Node__Name", "Shop 1.0")
        .env("OTHER_HOTSHELF_X", "no")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("<HOTSHELF_L2__URLS=redis://a,redis://b>"),
        "{text}"
    );
    assert!(text.contains("<HOTSHELF_Node__Name=Shop 1.0>"), "{text}");
    assert!(!text.contains("OTHER"), "{text}");
}

#[test]
fn the_bus_is_off_unless_its_kind_is_given() {
    let (config, _) = load("[bus]\nurls = ['nats://n']\n", &[], &[]).unwrap();
    assert!(config.bus().is_none());
    let file = "[bus]\nkind = 'nats'\nurls = ['nats://a', 'tls://b']\nstream_age_max_s = 60\n";
    let (config, _) = load(file, &[("HOTSHELF_BUS__PREFIX", "eu.shop-1")], &[]).unwrap();
    let bus = config.bus().unwrap();
    assert_eq!(bus.urls.len(), 2);
    assert_eq!((&*bus.prefix, &*bus.stream), ("eu.shop-1", "hotshelf"));
    assert_eq!(bus.stream_age_max, Duration::from_secs(60));
    assert!(bus.tls_client.is_none() && !bus.tls);
}

#[test]
fn a_bus_that_cannot_work_is_refused_with_the_way_out() {
    let nats = |more: &str| format!("[bus]\nkind = 'nats'\nurls = ['nats://n']\n{more}\n");
    let no_urls = "[bus]\nkind = 'nats'\n";
    refused(no_urls, "bus.urls", "say where NATS is");
    refused(&nats("prefix = 'shop.*'"), "bus.prefix", "letters");
    refused(&nats("prefix = 'shop.'"), "bus.prefix", "between them");
    refused(&nats("stream = 'a.b'"), "bus.stream", "letters");
    let rule = "the least must not exceed";
    refused(
        &nats("reconnect_min_ms = 3000"),
        "bus.reconnect_min_ms",
        rule,
    );
    let alone = "needs `bus.tls_key_file`";
    refused(
        &nats("tls_cert_file = 'node.pem'"),
        "bus.tls_cert_file",
        alone,
    );
    refused("[bus]\nkind = 'redis'\n", "bus.kind", "`none` or `nats`");
    refused("[bus]\nurls = ['redis://n']\n", "bus.urls", "nats://");
}
