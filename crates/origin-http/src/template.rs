//! A URL with placeholders. What is put in is percent-encoded, so that no id leaves its path segment or its parameter.

use std::fmt;

use hotshelf_model::{DbTime, FieldProblem, Variant};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

/// Everything but what RFC 3986 calls unreserved.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Invariant: placeholders stand behind the host, every one can be filled in, and `{id}` or `{ids}` is among them.
#[derive(Clone)]
pub(crate) struct Template {
    parts: Vec<Part>,
    /// Scheme, host and path as they were written; the query may hold a secret.
    shown: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Ids,
    AsOf,
    Dimension(String),
}

impl Template {
    /// Reads a template. `ids` is the name of the placeholder that it must have, `id` or `ids`.
    pub(crate) fn parse(
        field: &str,
        text: &str,
        ids: &str,
        dimensions: &[String],
    ) -> Result<Self, FieldProblem> {
        let problem = |reason: String| FieldProblem::new(field, reason);
        let shown = checked_address(text).map_err(|reason| problem(reason.to_owned()))?;
        let parts = parts(text, ids, dimensions).map_err(problem)?;
        let named = |part: Part| {
            if parts.contains(&part) {
                Ok(())
            } else {
                Err(part)
            }
        };
        named(Part::Ids).map_err(|_| problem(format!("needs the placeholder `{{{ids}}}`")))?;
        for dimension in dimensions {
            named(Part::Dimension(dimension.clone())).map_err(|_| {
                problem(format!(
                    "needs the placeholder `{{{dimension}}}`, or all variants would be one"
                ))
            })?;
        }
        Ok(Template { parts, shown })
    }

    /// The URL for encoded ids.
    pub(crate) fn fill(&self, ids: &str, variant: &Variant, as_of: Option<DbTime>) -> Option<Url> {
        let mut url = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => url.push_str(text),
                Part::Ids => url.push_str(ids),
                Part::AsOf => url.push_str(&as_of.unwrap_or_default().0.to_string()),
                Part::Dimension(name) => {
                    let (_, value) = variant.pairs().find(|(other, _)| other == name)?;
                    url.extend(utf8_percent_encode(value, ENCODED));
                }
            }
        }
        Url::parse(&url).ok()
    }

    /// The bytes of a URL without its ids, at most.
    pub(crate) fn bytes_without_ids(&self, variant: &Variant) -> usize {
        let texts: usize = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.len(),
                Part::Ids | Part::Dimension(_) => 0,
                Part::AsOf => 20,
            })
            .sum();
        texts + 3 * variant.as_str().len()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({self})")
    }
}

/// An id as it stands in a URL.
pub(crate) fn encoded(id: &str) -> String {
    utf8_percent_encode(id, ENCODED).to_string()
}

/// Checks scheme and host; answers what may be shown of the URL.
fn checked_address(text: &str) -> Result<String, &'static str> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .ok_or("must begin with `http://` or `https://`")?;
    if text.contains('#') {
        return Err("must not hold a `#`: a fragment is not sent");
    }
    let host_len = rest.find(['/', '?', '\\']).unwrap_or(rest.len());
    let host = &rest[..host_len];
    if host.contains(['{', '}']) {
        return Err("must not have a placeholder in the host, because ids come from anybody");
    }
    if host.contains('@') {
        return Err("must not hold a user or a password; give an `authorization` header instead");
    }
    let plain: String = text.replace(['{', '}'], "");
    if Url::parse(&plain).is_err() {
        return Err("is not a URL");
    }
    let shown = text.split('?').next().unwrap_or_default();
    Ok(shown.to_owned())
}

fn parts(text: &str, ids: &str, dimensions: &[String]) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, behind) = behind.split_once('}').ok_or("has a `{` without a `}`")?;
        parts.push(Part::Text(before.to_owned()));
        parts.push(match name {
            _ if name == ids => Part::Ids,
            "as_of" => Part::AsOf,
            _ if dimensions.iter().any(|dimension| dimension == name) => {
                Part::Dimension(name.to_owned())
            }
            _ => {
                let known: Vec<String> = dimensions
                    .iter()
                    .map(|dimension| format!(", `{{{dimension}}}`"))
                    .collect();
                let known = known.concat();
                return Err(format!(
                    "has no placeholder `{{{name}}}`; there are `{{{ids}}}`, `{{as_of}}`{known}"
                ));
            }
        });
        rest = behind;
    }
    parts.push(Part::Text(rest.to_owned()));
    if parts
        .iter()
        .any(|part| matches!(part, Part::Text(text) if text.contains('}')))
    {
        return Err("has a `}` without a `{`".to_owned());
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locale() -> Vec<String> {
        vec!["locale".to_owned()]
    }

    fn template(text: &str) -> Result<Template, FieldProblem> {
        Template::parse("url", text, "id", &locale())
    }

    fn filled(text: &str, id: &str) -> String {
        let variant = Variant::parse("locale=de-AT").unwrap();
        let url = template(text)
            .unwrap()
            .fill(&encoded(id), &variant, Some(DbTime(17)));
        url.unwrap().to_string()
    }

    #[test]
    fn placeholders_are_filled_in() {
        assert_eq!(
            filled(
                "https://shop.example/{locale}/p/{id}?at={as_of}&l={locale}",
                "SKU-1"
            ),
            "https://shop.example/de-AT/p/SKU-1?at=17&l=de-AT"
        );
    }

    #[test]
    fn no_id_leaves_its_segment_or_its_parameter() {
        for id in [
            "../admin",
            "a/../../b",
            "..%2f",
            "a?x=1",
            "a#b",
            "a&b=c",
            "a\\..\\b",
            "//evil.example",
            "@evil",
            "a b",
            "é",
            "{as_of}",
            "%",
        ] {
            let url = Url::parse(&filled(
                "http://shop.example/v1/{id}/doc?id={id}&l={locale}",
                id,
            ))
            .unwrap();
            assert_eq!(url.host_str(), Some("shop.example"), "{id}");
            let segments: Vec<&str> = url.path_segments().unwrap().collect();
            assert_eq!(segments.len(), 3, "{id}: {url}");
            assert_eq!((segments[0], segments[2]), ("v1", "doc"), "{id}");
            let pairs: Vec<_> = url.query_pairs().collect();
            assert_eq!(pairs.len(), 2, "{id}");
            assert_eq!(pairs[0].1, id);
            assert_eq!(url.fragment(), None);
        }
    }

    #[test]
    fn a_bad_template_says_what_is_wrong() {
        for (text, word) in [
            ("ftp://a/{id}/{locale}", "`http://`"),
            ("/products/{id}", "`http://`"),
            ("http://{id}.example/{locale}", "host"),
            (
                "http://user:secret@a.example/{id}/{locale}",
                "authorization",
            ),
            ("http://a.example/{locale}", "`{id}`"),
            ("http://a.example/{id}", "`{locale}`"),
            ("http://a.example/{id}/{locale}/{color}", "`{color}`"),
            ("http://a.example/{id}/{locale}/{", "without a `}`"),
            ("http://a.example/{id}/{locale}/}", "without a `{`"),
            ("http://a.example/{id}/{locale}#{id}", "fragment"),
            ("http://a.example:port/{id}/{locale}", "not a URL"),
        ] {
            let problem = template(text).unwrap_err();
            assert_eq!(problem.field, "url");
            assert!(problem.reason.contains(word), "{text}: {}", problem.reason);
        }
    }

    #[test]
    fn what_is_shown_holds_no_parameter() {
        let template = template("http://a.example/{id}/{locale}?key=secret").unwrap();
        assert_eq!(template.to_string(), "http://a.example/{id}/{locale}");
    }
}
