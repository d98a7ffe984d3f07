//! What is known of each key: its section, kind of value, range, default and doc; the reference, the checks and `config show` read it here.

use std::sync::LazyLock;

use serde::Serialize;

use crate::raw;

/// A table of the file, such as `[http]`.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// Its keys, in the order in which people read them.
    pub keys: Vec<Key>,
}

/// One key.
#[derive(Clone, Debug)]
pub struct Key {
    /// The section it stands in.
    pub section: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// What may stand there.
    pub kind: ValueKind,
    /// The default as TOML, if it has a fixed one.
    pub default: Option<String>,
    /// What its absence means, for a key without a fixed default.
    pub unset: Option<&'static str>,
    /// A value as TOML, for a key whose default does not show one.
    pub example: Option<&'static str>,
    /// What it does.
    pub doc: &'static str,
}

/// What may stand in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// `true` or `false`.
    Bool,
    /// A whole number in a range.
    Count {
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// Text that is not empty.
    Text,
    /// A path of a file or a folder.
    Path,
    /// An IP address and a port.
    Address,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// A URL of one of some schemes; may hold a password.
    Url(&'static [&'static str]),
    /// A list of such URLs.
    Urls(&'static [&'static str]),
    /// HTTP header names with their values, which are secret.
    Headers,
    /// Dimensions with their allowed values.
    Variants,
    /// Tokens with their roles.
    Tokens,
    /// Tables with the ids that their rows make.
    Attachments,
    /// Rules for hot keys.
    HotRules,
}

impl Key {
    /// `section.name`; for a namespace's key, `namespace.name`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// The variable that gives this key in the environment.
    pub fn variable(&self) -> String {
        let middle = if self.section == NAMESPACE {
            "NAMESPACE__<NAME>".to_owned()
        } else {
            self.section.to_uppercase()
        };
        format!("{ENV_PREFIX}{middle}__{}", self.name.to_uppercase())
    }

    /// Whether its default follows from other keys.
    pub fn is_derived(&self) -> bool {
        matches!(
            (self.section, self.name),
            ("database", "url") | ("l3", "path") | ("access_log", "folder")
        )
    }

    /// Whether a value could hold a password or a token.
    pub fn is_secret(&self) -> bool {
        matches!(
            self.kind,
            ValueKind::Url(_) | ValueKind::Urls(_) | ValueKind::Headers
        )
    }
}

/// The section that is repeated, once for each namespace.
pub(crate) const NAMESPACE: &str = "namespace";
/// What every variable of ours begins with.
pub(crate) const ENV_PREFIX: &str = "HOTSHELF_";

/// Every section with its keys.
pub fn sections() -> &'static [Section] {
    static SECTIONS: LazyLock<Vec<Section>> = LazyLock::new(raw::sections);
    &SECTIONS
}

/// The section of that name.
pub fn section(name: &str) -> Option<&'static Section> {
    sections().iter().find(|section| section.name == name)
}

/// The key of that name in that section.
pub fn key(section_name: &str, name: &str) -> Option<&'static Key> {
    section(section_name)?
        .keys
        .iter()
        .find(|key| key.name == name)
}

/// A value as it stands in a TOML file; empty when TOML cannot say it.
pub(crate) fn toml_text(value: &impl Serialize) -> String {
    toml::Value::try_from(value)
        .map(|value| value.to_string())
        .unwrap_or_default()
}

/// The way out for a key nobody knows: the nearest one, else where all of them are listed.
pub(crate) fn suggestion(section_name: &str, name: &str) -> String {
    let elsewhere = sections()
        .iter()
        .flat_map(|section| &section.keys)
        .find(|key| key.name == name);
    let in_section = section(section_name).map(|section| section.keys.as_slice());
    let nearest = nearest(
        name,
        in_section.unwrap_or_default().iter().map(|key| key.name),
    );
    match (nearest, elsewhere) {
        (Some(nearest), _) => format!("there is no such key; did you mean `{nearest}`?"),
        (None, Some(key)) => format!("there is no such key here; did you mean `{}`?", key.path()),
        (None, None) => match in_section {
            Some(keys) => {
                let names: Vec<_> = keys.iter().map(|key| key.name).collect();
                format!(
                    "there is no such key; [{section_name}] has {}",
                    names.join(", ")
                )
            }
            None => section_suggestion(section_name),
        },
    }
}

/// The same for a section.
pub(crate) fn section_suggestion(name: &str) -> String {
    let names = || sections().iter().map(|section| section.name);
    match nearest(name, names()) {
        Some(nearest) => format!("there is no such section; did you mean `{nearest}`?"),
        None => format!(
            "there is no such section; the sections are {}",
            names().collect::<Vec<_>>().join(", ")
        ),
    }
}

/// The candidate that needs the fewest edits, when a slip of the finger explains them: a third of the letters, two at least.
fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let shared = |candidate: &str| {
        // A forgotten unit or qualifier (`deadline` for `deadline_ms`) is many edits but one slip.
        candidate.starts_with(name) && name.len() >= 3
    };
    candidates
        .map(|candidate| {
            (
                if shared(candidate) {
                    1
                } else {
                    edits(name, candidate)
                },
                candidate,
            )
        })
        .filter(|&(edits, candidate)| edits <= (candidate.len() / 3).max(2))
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance. What people send is clipped first, so that its cost is bounded.
fn edits(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (line, &letter) in from.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in to.chars().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_explained_and_a_stranger_is_not() {
        assert!(suggestion("l2", "deadline").contains("`deadline_ms`"));
        assert!(suggestion("l2", "conections").contains("`connections`"));
        assert!(suggestion("l2", "block_cache_bytes").contains("`l3.block_cache_bytes`"));
        assert!(suggestion("l2", "zzz").contains("[l2] has urls, cluster"));
        assert!(suggestion("htpp", "zzz").contains("`http`"));
        assert!(section_suggestion("zzzzzz").contains("the sections are node, log"));
    }

    #[test]
    fn edits_are_counted_as_everybody_counts_them() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("same", "same"), 0);
    }

    #[test]
    fn every_path_is_declared_once_and_every_key_is_documented() {
        let keys: Vec<_> = sections()
            .iter()
            .flat_map(|section| &section.keys)
            .collect();
        let mut paths: Vec<_> = keys.iter().map(|key| key.path()).collect();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), keys.len());
        for key in keys {
            let doc = key.doc.trim();
            assert!(doc.ends_with('.') && doc.len() > 10, "{}", key.path());
            assert!(
                key.default.is_some() != key.unset.is_some(),
                "{}",
                key.path()
            );
            assert!(
                key.unset.is_some() == key.example.is_some(),
                "{}",
                key.path()
            );
            assert!(key.default.as_deref() != Some(""), "{}", key.path());
        }
    }
}
