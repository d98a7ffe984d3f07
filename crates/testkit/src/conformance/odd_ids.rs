//! Ids that are hard to keep.

/// Ids that break what does not quote, escape, compare or measure them rightly; no two are the same id.
pub(super) fn odd_ids() -> Vec<String> {
    let odd = [
        "a/b",
        "a//b",
        "a/b/c",
        "{tag}",
        "{a}{b}",
        "a{",
        "}a",
        "a b",
        "a  b",
        "100%",
        "a%2Fb",
        "a_b",
        "it's",
        "\"quoted\"",
        "back\\slash",
        "a,b",
        "a;b",
        "a:b",
        "a?b=c&d",
        "a#b",
        "*",
        "[a-z]",
        "a\u{a0}b",
        "abc",
        "ABC",
        "e\u{301}",
        "\u{e9}",
        "блок 7",
        "日本語",
        "🛒",
        "$1",
        "--",
        "NULL",
        "0",
        "00",
    ];
    let long = [
        "x".repeat(128),
        "é".repeat(64),
        "日".repeat(42),
        "🛒".repeat(32),
    ];
    odd.iter().map(|&id| id.to_owned()).chain(long).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::id;

    #[test]
    fn odd_ids_are_ids_and_differ() {
        let mut ids = odd_ids();
        assert!(ids.iter().all(|text| id(text).as_str() == text));
        assert!(ids.iter().any(|id| id.len() == 128));
        let count = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }
}
