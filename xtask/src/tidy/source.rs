//! Rust files: how they open, how long they are, what they may not say.

use super::Finding;

/// Lines of a file without its tests (house rule: a file holds one idea).
const LINES_MAX: usize = 500;

/// Words that name one of our ideas by another word; see the list of words in ARCHITECTURE.md.
const BANNED: [(&str, &str); 7] = [
    ("upstream", "origin"),
    ("inflight", "flight"),
    ("singleflight", "flight"),
    ("tombstone", "absent"),
    ("watermark", "floor"),
    ("backfill", "fill"),
    ("populate", "fill"),
];

const ITEMS: [&str; 8] = [
    "fn", "struct", "enum", "mod", "trait", "type", "const", "static",
];

pub(super) fn check(file: &str, held: &str) -> Vec<Finding> {
    let mut findings = opening(file, held);
    findings.extend(length(file, held));
    for (index, line) in held.lines().enumerate() {
        let messages = attribute(line).into_iter().chain(vocabulary(line));
        findings.extend(messages.map(|message| Finding::new(file, index + 1, message)));
    }
    findings
}

/// The first line is a `//!` sentence.
fn opening(file: &str, held: &str) -> Vec<Finding> {
    let first = held.lines().next().unwrap_or_default();
    if first
        .strip_prefix("//! ")
        .is_some_and(|text| !text.trim().is_empty())
    {
        return Vec::new();
    }
    let message = "opens with `//!` and one sentence that says what the file is";
    vec![Finding::new(file, 1, message)]
}

fn length(file: &str, held: &str) -> Vec<Finding> {
    let is_tests = file
        .split('/')
        .any(|part| part == "tests" || part == "tests.rs");
    let lines = lines_without_tests(held);
    if is_tests || lines <= LINES_MAX {
        return Vec::new();
    }
    let message = format!("has {lines} lines without tests, {LINES_MAX} at most: split it");
    vec![Finding::new(file, LINES_MAX + 1, message)]
}

/// Lines before the module of tests that ends a file.
fn lines_without_tests(held: &str) -> usize {
    let lines: Vec<&str> = held.lines().collect();
    lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests {"))
        .unwrap_or(lines.len())
}

/// Attributes that switch a lint or a test off without saying when they have become needless.
fn attribute(line: &str) -> Option<String> {
    let line = line.trim_start();
    let inside = line
        .strip_prefix("#![")
        .or_else(|| line.strip_prefix("#["))?;
    if inside.starts_with("allow(") {
        return Some("use `expect` with a reason instead of `allow`".to_owned());
    }
    if inside.starts_with("ignore") {
        return Some("an ignored test tests nothing: run it or remove it".to_owned());
    }
    None
}

/// A public name says one of our ideas in our word for it.
fn vocabulary(line: &str) -> Option<String> {
    let name = public_name(line)?;
    let flat = name.replace('_', "").to_ascii_lowercase();
    let (word, ours) = BANNED.iter().find(|(word, _)| flat.contains(word))?;
    Some(format!("`{name}`: we say {ours}, not {word}"))
}

/// The name that a line makes public, if it does.
fn public_name(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub")?;
    let rest = match rest.strip_prefix('(') {
        Some(scope) => scope.split_once(')')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace();
    words.find(|word| ITEMS.contains(word))?;
    // `const fn`, `const unsafe fn`: the name comes after the last of these words.
    let name = words.find(|word| !ITEMS.contains(word) && !matches!(*word, "unsafe" | "mut"))?;
    let end = name.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    Some(&name[..end.unwrap_or(name.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(file: &str, held: &str) -> Vec<String> {
        check(file, held)
            .into_iter()
            .map(|finding| finding.message)
            .collect()
    }

    #[test]
    fn a_file_without_a_sentence_is_found() {
        for held in [
            "",
            "use std::fmt;\n",
            "//!\n",
            "// Not it.\n",
            "\n//! Late.\n",
        ] {
            assert_eq!(messages("a.rs", held).len(), 1, "{held:?}");
        }
        assert_eq!(messages("a.rs", "//! One.\n"), [""; 0]);
    }

    #[test]
    fn a_long_file_is_found_and_tests_do_not_count() {
        let code = format!("//! One.\n{}", "fn a() {}\n".repeat(LINES_MAX));
        assert_eq!(messages("src/a.rs", &code).len(), 1);
        assert_eq!(messages("src/tests.rs", &code), [""; 0]);
        assert_eq!(messages("tests/src/read.rs", &code), [""; 0]);
        let short = "//! One.\n#[cfg(test)]\nmod tests {\n";
        let tail = format!("{short}{}}}\n", "fn a() {}\n".repeat(LINES_MAX));
        assert_eq!(messages("src/a.rs", &tail), [""; 0]);
    }

    #[test]
    fn lints_and_tests_switched_off_are_found() {
        for word in ["allow(dead_code)", "ignore", "ignore = \"slow\""] {
            for line in [format!("#[{word}]"), format!("    #![{word}]")] {
                let found = messages("a.rs", &format!("//! One.\n{line}\n"));
                assert_eq!(found.len(), 1, "{line}");
            }
        }
        assert_eq!(attribute("#[expect(dead_code, reason = \"x\")]"), None);
    }

    #[test]
    fn foreign_words_in_public_names_are_found() {
        for line in [
            "pub fn upstream_timeout() {}",
            "pub(crate) struct InFlight;",
            "    pub const fn low_watermark(&self) {}",
            "pub async fn populate<T>(t: T) {}",
            "pub enum Tombstone {",
            "pub mod single_flight;",
        ] {
            let found = messages("a.rs", &format!("//! One.\n{line}\n"));
            assert_eq!(found.len(), 1, "{line}: {found:?}");
        }
        for line in [
            "fn upstream() {}",
            "pub fn flight() {}",
            "pub use a::Upstream;",
        ] {
            assert_eq!(vocabulary(line), None, "{line}");
        }
    }
}
