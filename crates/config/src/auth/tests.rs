//! Tokens: by hash, by file, and what is refused.

use super::*;
use crate::{Config, Sources};

fn load(tokens: &str) -> Result<Config, String> {
    let sources = Sources {
        flags: vec![("auth.tokens".to_owned(), tokens.to_owned())],
        ..Sources::default()
    };
    let loaded = Config::load(&sources).map_err(|problems| problems.to_string());
    loaded.map(|(config, _)| config)
}

#[test]
fn a_token_is_its_hash_however_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "0123456789abcdef-token\n").unwrap();
    let hash: [u8; 32] = Sha256::digest("0123456789abcdef-token").into();
    let text: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let config = load(&format!(
        r#"[{{ name = "a", role = "writer", sha256 = "{text}" }}, {{ name = "b", role = "operator", file = "{}" }}]"#,
        file.display()
    ))
    .unwrap();
    let tokens: Vec<_> = config
        .auth()
        .tokens
        .iter()
        .map(|token| (token.name.as_str(), token.role, token.sha256))
        .collect();
    assert_eq!(
        tokens,
        [("a", Role::Writer, hash), ("b", Role::Operator, hash)]
    );
}

#[test]
fn a_bad_token_is_refused_by_name() {
    let hash = "0".repeat(64);
    for (tokens, reason) in [
        (
            r#"[{ name = "a", role = "boss", sha256 = "HASH" }]"#,
            "`viewer`, `writer` and `operator`",
        ),
        (
            r#"[{ name = "a", role = "writer" }]"#,
            "either `sha256` or `file`",
        ),
        (
            r#"[{ name = "a", role = "writer", sha256 = "HASH", file = "x" }]"#,
            "either",
        ),
        (
            r#"[{ name = "a", role = "writer", sha256 = "12" }]"#,
            "64 hexadecimal digits",
        ),
        (
            r#"[{ name = "a", role = "writer", file = "/no/such/file" }]"#,
            "cannot be opened",
        ),
        (
            r#"[{ name = "", role = "writer", sha256 = "HASH" }]"#,
            "the name",
        ),
        (
            r#"[{ name = "a", role = "writer", sha256 = "HASH" }, { name = "a", role = "viewer", sha256 = "HASH" }]"#,
            "twice",
        ),
        (r#"[{ name = "a", rule = "writer" }]"#, "unknown field"),
        ("7", "must be a list"),
    ] {
        let problem = load(&tokens.replace("HASH", &hash)).unwrap_err();
        assert!(problem.contains(reason), "{tokens}: {problem}");
        assert!(problem.contains("auth.tokens"), "{problem}");
    }
}

#[test]
fn the_admin_listener_leaves_loopback_only_with_tokens() {
    let load = |tokens: &str| {
        let flags = [("admin.listen", "0.0.0.0:7401"), ("auth.tokens", tokens)];
        let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let sources = Sources {
            flags: flags.into(),
            ..Sources::default()
        };
        Config::load(&sources).map_err(|problems| problems.to_string())
    };
    let problem = load("[]").unwrap_err();
    assert!(problem.contains("admin.listen"), "{problem}");
    let token = format!(
        r#"[{{ name = "a", role = "operator", sha256 = "{}" }}]"#,
        "0".repeat(64)
    );
    assert!(load(&token).is_ok());
}
