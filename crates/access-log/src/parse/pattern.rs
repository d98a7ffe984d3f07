//! How a key is found in the path of a request.

use std::borrow::Cow;

use hotshelf_model::{FieldProblem, Key, NamespaceName};
use memchr::{memchr, memmem};
use percent_encoding::percent_decode;
use regex::{CaptureLocations, Regex};
use xxhash_rust::xxh3::xxh3_64;

/// Finds the key in hotshelf's own paths: `/v1/NAMESPACE/ID`.
pub const OWN_PATHS: &str = "^/v1/(?<namespace>[a-z][a-z0-9_]*)/(?<id>.+)$";

/// Paths are remembered in so many places: a shop's usual products, in a few megabytes.
const PLACES: usize = 32 * 1024;
/// Longer paths are not remembered, so that a place needs no memory elsewhere: looking there would take as long as the rest.
const REMEMBERED_BYTES_MAX: usize = 79;

/// A regular expression over the path of a request, without its query and percent-decoded. The group `id` is a key's id, and the
/// group `namespace`, if there is one, its namespace.
#[derive(Clone, Debug)]
pub struct KeyPattern {
    regex: Regex,
    locations: CaptureLocations,
    id: usize,
    namespace: Option<usize>,
    default: NamespaceName,
    /// A buffer for the text of a key.
    text: String,
}

impl KeyPattern {
    /// Compiles a pattern; `default` is the namespace where it has no group for one.
    ///
    /// # Errors
    /// When it is no regular expression, or has no group `id`, or groups of other names.
    pub fn new(pattern: &str, default: &NamespaceName) -> Result<Self, FieldProblem> {
        let problem = |reason: String| FieldProblem::new("key", reason);
        let regex = Regex::new(pattern).map_err(|error| problem(error.to_string()))?;
        let (mut id, mut namespace) = (None, None);
        for (at, name) in regex.capture_names().enumerate() {
            match name {
                None => {}
                Some("id") => id = Some(at),
                Some("namespace") => namespace = Some(at),
                Some(other) => {
                    let reason = format!(
                        "the group `{other}` means nothing; there are `namespace` and `id`"
                    );
                    return Err(problem(reason));
                }
            }
        }
        let id = id.ok_or_else(|| {
            problem("needs a group `id`, as in `^/item/(?<id>[^/]+)$`".to_owned())
        })?;
        Ok(KeyPattern {
            locations: regex.capture_locations(),
            regex,
            id,
            namespace,
            default: default.clone(),
            text: String::new(),
        })
    }

    fn key(&mut self, path: &[u8]) -> Option<Key> {
        let path = percent_decode(path).decode_utf8().ok()?;
        self.regex.captures_read(&mut self.locations, &path)?;
        let group = |at| self.locations.get(at).map(|(start, end)| &path[start..end]);
        let id = group(self.id)?;
        let namespace = match self.namespace {
            Some(at) => group(at)?,
            None => self.default.as_str(),
        };
        if namespace.contains('/') {
            // It would be taken for the end of the namespace.
            return None;
        }
        self.text.clear();
        for part in [namespace, "//", id] {
            self.text.push_str(part);
        }
        Key::parse(&self.text)
    }
}

/// Finds keys, and remembers for the paths that come again what was found: they are most of a log.
#[derive(Debug)]
pub(super) struct Keys {
    pattern: KeyPattern,
    places: Vec<Place>,
}

/// A path, and the key in it.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Place {
    path_bytes: u8,
    path: [u8; REMEMBERED_BYTES_MAX],
    key: Option<Key>,
}

impl Place {
    const EMPTY: Place = Place {
        path_bytes: 0,
        path: [0; REMEMBERED_BYTES_MAX],
        key: None,
    };

    #[inline]
    fn path(&self) -> &[u8] {
        &self.path[..usize::from(self.path_bytes)]
    }

    /// Puts a path in the place of another, if it is short enough.
    fn remember(&mut self, path: &[u8], key: Option<&Key>) {
        let Some(place) = self.path.get_mut(..path.len()) else {
            return;
        };
        place.copy_from_slice(path);
        self.path_bytes = u8::try_from(path.len()).unwrap_or_default();
        self.key = key.cloned();
    }
}

impl Keys {
    pub(super) fn new(pattern: KeyPattern) -> Self {
        Keys {
            pattern,
            places: vec![Place::EMPTY; PLACES],
        }
    }

    /// The key that the target of a request names. nginx's escapes (`\x22`) are undone.
    #[inline]
    pub(super) fn find(&mut self, target: &[u8]) -> Option<Key> {
        let path = &target[..memchr(b'?', target).unwrap_or(target.len())];
        let hash = usize::try_from(xxh3_64(path) % PLACES as u64).unwrap_or_default();
        let place = &mut self.places[hash];
        if place.path() == path {
            return place.key.clone();
        }
        let key = self.pattern.key(without_authority(&unescaped(path)));
        place.remember(path, key.as_ref());
        key
    }
}

/// A target in absolute form (`http://host/path`) is cut to its path.
fn without_authority(target: &[u8]) -> &[u8] {
    if target.starts_with(b"/") {
        return target;
    }
    let path = memmem::find(target, b"://").and_then(|scheme| {
        let authority = scheme + 3;
        Some(authority + memchr(b'/', &target[authority..])?)
    });
    path.map_or(target, |path| &target[path..])
}

/// nginx writes `"`, `\` and bytes that are not printable as `\xHH`.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = after.strip_prefix(b"x").and_then(|after| {
            let hex = str::from_utf8(after.get(..2)?).ok()?;
            u8::from_str_radix(hex, 16).ok()
        });
        match escaped.filter(|_| byte == b'\\') {
            Some(escaped) => {
                plain.push(escaped);
                rest = &rest[4..];
            }
            None => {
                plain.push(byte);
                rest = after;
            }
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(pattern: &str) -> Result<KeyPattern, FieldProblem> {
        KeyPattern::new(pattern, &NamespaceName::new("products").unwrap())
    }

    fn find(text: &str, target: &str) -> Option<String> {
        let mut keys = Keys::new(pattern(text).unwrap());
        let first = keys.find(target.as_bytes());
        assert_eq!(
            keys.find(target.as_bytes()),
            first,
            "what is remembered is the same"
        );
        first.map(|key| key.to_string())
    }

    #[test]
    fn a_key_is_found_in_the_decoded_path() {
        for (text, target, key) in [
            (OWN_PATHS, "/v1/products/LAMP-1", "products//LAMP-1"),
            (
                OWN_PATHS,
                "/v1/articles/A%2FB%20%C3%A9?locale=de",
                "articles//A/B é",
            ),
            (
                OWN_PATHS,
                "http://shop.example/v1/products/A",
                "products//A",
            ),
            (OWN_PATHS, "/v1/products/a\\x22b", "products//a\"b"),
            (
                "^/item/(?<id>[0-9]+)\\.html$",
                "/item/1000.html?x=1",
                "products//1000",
            ),
            (
                "/(?<id>\\d+)-[a-z-]+$",
                "/shop/lamps/17-desk-lamp",
                "products//17",
            ),
        ] {
            assert_eq!(find(text, target).as_deref(), Some(key), "{target}");
        }
    }

    #[test]
    fn other_paths_have_no_key() {
        let long = format!("/v1/products/{}", "x".repeat(129));
        for target in [
            "",
            "/",
            "/healthz",
            "/v1/products",
            "/v1/products/",
            "/v1/changes/a",
            "/v1/products/%20a",
            "/v1/products/%ff",
            "/v1/products/a\\x00",
            &long,
        ] {
            assert_eq!(find(OWN_PATHS, target), None, "{target}");
        }
        assert_eq!(find("^/(?<namespace>.+)/(?<id>.)$", "/a/b/c"), None);
    }

    #[test]
    fn paths_that_share_a_place_do_not_share_a_key() {
        let mut keys = Keys::new(pattern(OWN_PATHS).unwrap());
        for round in 0..2 {
            for number in 0..3 * PLACES {
                let target = format!("/v1/products/{number}");
                let key = keys.find(target.as_bytes()).unwrap();
                assert_eq!(key.id(), number.to_string(), "{round}");
            }
        }
    }

    #[test]
    fn a_bad_pattern_says_why() {
        for (text, word) in [
            ("(", "unclosed group"),
            ("^/item/(.*)$", "group `id`"),
            ("(?<id>.)(?<variant>.)", "`variant`"),
        ] {
            let problem = pattern(text).unwrap_err();
            assert!(problem.reason.contains(word), "{}", problem.reason);
        }
    }
}
