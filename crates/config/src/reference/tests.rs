//! The generated texts against the table, against `RawConfig`, and against what is committed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;
use crate::raw::RawConfig;

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

/// The example with every key taken out of its comment.
fn uncommented() -> String {
    let text = example_toml();
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if !key.starts_with(' ') => key,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_table_and_the_raw_type_have_the_same_keys() {
    let raw: RawConfig = toml::from_str(&uncommented()).unwrap();
    let table = toml::Table::try_from(&raw).unwrap();
    let mut written = BTreeSet::new();
    for (section, keys) in table {
        let keys = match keys {
            toml::Value::Array(mut items) => items.remove(0),
            keys => keys,
        };
        written.extend(
            keys.as_table()
                .unwrap()
                .keys()
                .map(|key| format!("{section}.{key}")),
        );
    }
    let declared: BTreeSet<_> = sections()
        .iter()
        .flat_map(|section| section.keys.iter().map(Key::path))
        .collect();
    assert_eq!(written, declared);
}

#[test]
fn the_example_as_it_stands_changes_nothing() {
    let raw: RawConfig = toml::from_str(&example_toml()).unwrap();
    assert_eq!(raw, RawConfig::default());
}

#[test]
fn every_default_and_every_example_is_a_value_that_its_key_takes() {
    for key in sections().iter().flat_map(|section| &section.keys) {
        for text in [key.default.as_deref(), key.example].into_iter().flatten() {
            let mut table: toml::Table = toml::from_str(&format!("value = {text}")).unwrap();
            let value = crate::check::value(key.kind, table.remove("value").unwrap());
            assert!(value.is_ok(), "{}: {value:?}", key.path());
        }
    }
}

#[test]
fn the_committed_files_are_what_the_table_says() {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test is told by its caller to rewrite the files"
    )]
    let bless = std::env::var("HOTSHELF_BLESS").is_ok_and(|value| value == "1");
    for (path, text) in [
        ("docs/config.md", reference_markdown()),
        ("config/example.toml", example_toml()),
    ] {
        let file = repository(path);
        if bless {
            std::fs::write(&file, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            committed == text,
            "{path} is out of date: run the tests of hotshelf-config with HOTSHELF_BLESS=1"
        );
    }
}
