//! What names a document: (namespace, id, variant).

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::FieldProblem;
use crate::variant::Variant;
use crate::version::{Hist, Shape};

/// Names that are routes of the API and therefore no namespace.
pub const RESERVED_NAMESPACES: [&str; 2] = ["changes", "hot"];

/// The name of a namespace: 1 to 32 bytes of `a-z`, `0-9`, `_`, starting with a letter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespaceName(Arc<str>);

impl NamespaceName {
    /// The longest name, in bytes.
    pub const BYTES_MAX: usize = 32;

    /// Checks and takes a name.
    ///
    /// # Errors
    /// When the name is empty, too long, holds other characters, or is reserved.
    pub fn new(name: &str) -> Result<Self, FieldProblem> {
        Self::check(name)
            .map(|()| NamespaceName(name.into()))
            .map_err(|reason| FieldProblem::new("namespace", reason))
    }

    fn check(name: &str) -> Result<(), Cow<'static, str>> {
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let good = name.len() <= Self::BYTES_MAX
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(word);
        if !good {
            return Err(
                "a namespace is 1 to 32 characters of a-z, 0-9 and _, starting with a letter"
                    .into(),
            );
        }
        if RESERVED_NAMESPACES.contains(&name) {
            return Err(format!("`{name}` is reserved; choose another name").into());
        }
        Ok(())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a product (a SKU): 1 to 128 bytes of UTF-8, no control characters, no outer blanks, neither `.` nor `..`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(Arc<str>);

impl Id {
    /// The longest id, in bytes.
    pub const BYTES_MAX: usize = 128;

    /// Checks and takes an id.
    ///
    /// # Errors
    /// Says which rule the id breaks.
    pub fn new(id: &str) -> Result<Self, FieldProblem> {
        Self::check(id)
            .map(|()| Id(id.into()))
            .map_err(|reason| FieldProblem::new("id", reason))
    }

    fn check(id: &str) -> Result<(), &'static str> {
        // Nearly all ids are such words, and for them the rules below say nothing.
        let is_word = id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if is_word && (1..=Self::BYTES_MAX).contains(&id.len()) {
            return Ok(());
        }
        if id.is_empty() {
            return Err("is empty; an id has 1 to 128 bytes");
        }
        if id.len() > Self::BYTES_MAX {
            return Err("is too long; an id has 1 to 128 bytes");
        }
        if id == "." || id == ".." {
            return Err("`.` and `..` are not ids, because paths normalise them away");
        }
        if id.chars().any(char::is_control) {
            return Err("holds a control character");
        }
        if id.trim() != id {
            return Err("begins or ends with a blank");
        }
        Ok(())
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of a cached document. Cheap to clone, compared by its text, hashed once when it is made.
///
/// The text is `namespace/variant/id`; neither a namespace nor a variant holds a `/`, so it splits one way only.
#[derive(Clone)]
pub struct Key {
    hash: u64,
    text: Arc<str>,
    namespace_len: u8,
    variant_len: u16,
}

/// Seeded per process, so that nobody outside can aim many keys at one shard.
static HASH_SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0_u64));

impl Key {
    /// Joins the parts of a key.
    pub fn new(namespace: &NamespaceName, id: &Id, variant: &Variant) -> Self {
        let mut text = String::new();
        KeyRef::join(namespace, id.as_str(), variant, &mut text).to_key()
    }

    /// Reads a key back from its text, as stored in an entry.
    pub fn parse(text: &str) -> Option<Self> {
        KeyRef::parse(text).map(KeyRef::to_key)
    }

    /// The whole key as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name of its namespace.
    pub fn namespace(&self) -> &str {
        &self.text[..usize::from(self.namespace_len)]
    }

    /// Its variant in canonical form.
    pub fn variant(&self) -> &str {
        let start = usize::from(self.namespace_len) + 1;
        &self.text[start..start + usize::from(self.variant_len)]
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.text[usize::from(self.namespace_len) + usize::from(self.variant_len) + 2..]
    }

    /// A hash of the whole key, different in each process.
    pub fn hash_u64(&self) -> u64 {
        self.hash
    }

    /// Bytes that the key holds on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.text.len() + 2 * size_of::<usize>()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.text == other.text
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.text)
    }
}

/// A [`Key`] whose text is borrowed: to look for a copy without an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRef<'a> {
    hash: u64,
    text: &'a str,
    namespace_len: u8,
    variant_len: u16,
}

impl<'a> KeyRef<'a> {
    /// Joins the parts of a key in `text`, whatever that held before.
    ///
    /// # Errors
    /// When `id` is none: see [`Id::new`].
    pub fn new(
        namespace: &NamespaceName,
        id: &str,
        variant: &Variant,
        text: &'a mut String,
    ) -> Result<Self, FieldProblem> {
        Id::check(id).map_err(|reason| FieldProblem::new("id", reason))?;
        Ok(Self::join(namespace, id, variant, text))
    }

    /// As [`Key::parse`], without an allocation.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (namespace, rest) = text.split_once('/')?;
        let (variant, id) = rest.split_once('/')?;
        NamespaceName::check(namespace).ok()?;
        Id::check(id).ok()?;
        Variant::is_canonical(variant)
            .then(|| Self::from_parts(text, namespace.len(), variant.len()))
    }

    fn join(namespace: &NamespaceName, id: &str, variant: &Variant, text: &'a mut String) -> Self {
        let (namespace, variant) = (namespace.as_str(), variant.as_str());
        text.clear();
        text.reserve(namespace.len() + variant.len() + id.len() + 2);
        for part in [namespace, "/", variant, "/", id] {
            text.push_str(part);
        }
        Self::from_parts(text, namespace.len(), variant.len())
    }

    fn from_parts(text: &'a str, namespace_len: usize, variant_len: usize) -> Self {
        KeyRef {
            hash: xxh3_64_with_seed(text.as_bytes(), *HASH_SEED),
            text,
            namespace_len: u8::try_from(namespace_len).unwrap_or(u8::MAX),
            variant_len: u16::try_from(variant_len).unwrap_or(u16::MAX),
        }
    }

    /// The key of a text that is known to be a key's: as [`KeyRef::parse`], but nothing is checked. Of another text it is a key that has
    /// no parts to ask for.
    pub fn known(text: &'a str) -> Self {
        let namespace = text.find('/').unwrap_or(text.len());
        let rest = text.get(namespace + 1..).unwrap_or_default();
        Self::from_parts(text, namespace, rest.find('/').unwrap_or(rest.len()))
    }

    /// The whole key as text.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// The name of its namespace.
    pub fn namespace(&self) -> &'a str {
        &self.text[..usize::from(self.namespace_len)]
    }

    /// Its variant in canonical form.
    pub fn variant(&self) -> &'a str {
        let start = usize::from(self.namespace_len) + 1;
        &self.text[start..start + usize::from(self.variant_len)]
    }

    /// Its id.
    pub fn id(&self) -> &'a str {
        &self.text[usize::from(self.namespace_len) + usize::from(self.variant_len) + 2..]
    }

    /// As [`Key::hash_u64`].
    pub fn hash_u64(&self) -> u64 {
        self.hash
    }

    /// The same key with a text of its own.
    pub fn to_key(self) -> Key {
        Key {
            hash: self.hash,
            text: self.text.into(),
            namespace_len: self.namespace_len,
            variant_len: self.variant_len,
        }
    }
}

impl<'a> From<&'a Key> for KeyRef<'a> {
    fn from(key: &'a Key) -> Self {
        KeyRef {
            hash: key.hash,
            text: &key.text,
            namespace_len: key.namespace_len,
            variant_len: key.variant_len,
        }
    }
}

impl PartialEq<Key> for KeyRef<'_> {
    fn eq(&self, key: &Key) -> bool {
        self.hash == key.hash && *self.text == *key.text
    }
}

/// A key as the tiers outside the process store it: within one history and one shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TierKey {
    /// The history of the database that the entry came from.
    pub hist: Hist,
    /// The shape of the namespace's documents.
    pub shape: Shape,
    /// The key.
    pub key: Key,
}

impl fmt::Display for TierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.hist, self.shape, self.key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn products() -> NamespaceName {
        NamespaceName::new("products").unwrap()
    }

    #[test]
    fn a_bad_id_says_which_rule_it_breaks() {
        let long = "x".repeat(129);
        for (id, word) in [
            ("", "empty"),
            (long.as_str(), "too long"),
            ("..", "`..`"),
            ("a\nb", "control"),
            (" a", "blank"),
        ] {
            let problem = Id::new(id).unwrap_err();
            assert_eq!(problem.field, "id");
            assert!(problem.reason.contains(word), "{id:?}: {}", problem.reason);
        }
    }

    #[test]
    fn an_id_may_hold_slashes_spaces_and_any_script() {
        for id in ["a/b", "блок 7", "日本語", "100%", "a{b}c", &"x".repeat(128)] {
            let key = Key::new(&products(), &Id::new(id).unwrap(), &Variant::default());
            assert_eq!(key.id(), id);
            assert_eq!(Key::parse(key.as_str()), Some(key));
        }
    }

    #[test]
    fn reserved_and_malformed_namespaces_are_refused() {
        for name in [
            "",
            "Hot",
            "hot",
            "changes",
            "1a",
            "a-b",
            "a/b",
            &"a".repeat(33),
        ] {
            assert!(NamespaceName::new(name).is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_key_gives_its_parts_back(id in "\\PC{1,20}", value in "[a-zA-Z0-9._-]{1,8}") {
            let Ok(id) = Id::new(&id) else { return Ok(()) };
            let variant = Variant::parse(&format!("locale={value}")).unwrap();
            let key = Key::new(&products(), &id, &variant);
            prop_assert_eq!(key.namespace(), "products");
            prop_assert_eq!(key.variant(), variant.as_str());
            prop_assert_eq!(key.id(), id.as_str());
            let mut text = "from before".to_owned();
            let sought = KeyRef::new(&products(), id.as_str(), &variant, &mut text).unwrap();
            prop_assert!(sought == key && sought.hash_u64() == key.hash_u64());
            prop_assert_eq!(sought.namespace(), key.namespace());
            prop_assert_eq!(sought.variant(), key.variant());
            prop_assert_eq!(sought.id(), key.id());
            let copy = sought.as_str().to_owned();
            prop_assert_eq!(KeyRef::known(&copy), sought);
            prop_assert_eq!(sought.to_key(), key);
        }

        #[test]
        fn no_text_makes_parsing_panic(text in "\\PC{0,60}") {
            if let Some(key) = Key::parse(&text) {
                prop_assert_eq!(key.as_str(), text);
            }
        }
    }
}
