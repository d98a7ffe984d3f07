//! What a request says: where it goes, its path for a key, its headers.

use std::fmt;
use std::str::FromStr;

use hotshelf_model::{FieldProblem, Key};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but what never needs an escape in a path (RFC 3986, section 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A server: `http` or `https`, host, port, and what every path begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Whether TLS is spoken.
    pub(crate) is_https: bool,
    /// A name or an address, without the brackets of IPv6.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of `Host`.
    pub(crate) authority: HeaderValue,
    prefix: String,
}

impl FromStr for Base {
    type Err = FieldProblem;

    /// Reads a URL such as `http://127.0.0.1:7400` or `https://shop.example/cache`.
    fn from_str(text: &str) -> Result<Self, FieldProblem> {
        let problem = |reason: &str| FieldProblem::new("url", format!("`{text}` {reason}"));
        let uri: Uri = text
            .parse()
            .map_err(|error| problem(&format!("is no URL: {error}")))?;
        let is_https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(problem("does not begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| problem("names no host"))?;
        if authority.as_str().contains('@') {
            return Err(problem("holds a user; send a header instead"));
        }
        if uri.query().is_some() || text.contains('#') {
            return Err(problem(
                "has a query or a fragment; a query belongs to the path",
            ));
        }
        let host = authority.host();
        let value = HeaderValue::from_str(authority.as_str());
        Ok(Base {
            is_https,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: authority
                .port_u16()
                .unwrap_or(if is_https { 443 } else { 80 }),
            authority: value.map_err(|_| problem("names no host"))?,
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https { "https" } else { "http" };
        let authority = String::from_utf8_lossy(self.authority.as_bytes());
        write!(f, "{scheme}://{authority}{}", self.prefix)
    }
}

/// A path with places for a key: `/v1/{namespace}/{id}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    has_query: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Namespace,
    Id,
}

impl FromStr for Template {
    type Err = FieldProblem;

    fn from_str(text: &str) -> Result<Self, FieldProblem> {
        let problem = |reason: &str| FieldProblem::new("path", format!("`{text}` {reason}"));
        if !text.starts_with('/') {
            return Err(problem("does not begin with `/`"));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, from)) = rest.split_once('{') {
            let (name, after) = from
                .split_once('}')
                .ok_or_else(|| problem("has a `{` without its `}`"))?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(match name {
                "id" => Part::Id,
                "namespace" => Part::Namespace,
                _ => return Err(problem("has places other than {id} and {namespace}")),
            });
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        if !parts.contains(&Part::Id) {
            return Err(problem("has no {id}"));
        }
        let template = Template {
            parts,
            has_query: text.contains('?'),
        };
        let sample = template.text("", "a", "b", "");
        match PathAndQuery::from_str(&sample) {
            Ok(parsed) if parsed.as_str() == sample => Ok(template),
            _ => Err(problem("holds what a path cannot hold")),
        }
    }
}

impl Template {
    /// What the request line asks for; a key's variant is added as a query.
    pub(crate) fn path(&self, base: &Base, key: &Key) -> Uri {
        let text = self.text(&base.prefix, key.namespace(), key.id(), key.variant());
        // Escaped, so that nothing can be wrong with it.
        Uri::try_from(text).unwrap_or_default()
    }

    fn text(&self, prefix: &str, namespace: &str, id: &str, variant: &str) -> String {
        let mut text = prefix.to_owned();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Namespace => text.extend(utf8_percent_encode(namespace, ESCAPED)),
                Part::Id => text.extend(utf8_percent_encode(id, ESCAPED)),
            }
        }
        let pairs = variant.split(';').filter_map(|pair| pair.split_once('='));
        for (at, (name, value)) in pairs.enumerate() {
            text.push(if at == 0 && !self.has_query { '?' } else { '&' });
            text.push_str(name);
            text.push('=');
            text.extend(utf8_percent_encode(value, ESCAPED));
        }
        text
    }
}

/// Reads a header such as `Authorization: Bearer abc`.
///
/// # Errors
/// When there is no colon, or the name or the value is none, or the header is one that the generator writes itself.
pub fn header(text: &str) -> Result<(HeaderName, HeaderValue), FieldProblem> {
    let problem = |reason: &str| FieldProblem::new("header", reason.to_owned());
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| problem("expected `Name: value`"))?;
    let name = HeaderName::from_str(name.trim()).map_err(|_| problem("its name is not one"))?;
    if [
        "connection",
        "content-length",
        "transfer-encoding",
        "te",
        "upgrade",
    ]
    .contains(&name.as_str())
    {
        return Err(problem("would change how the connection is used"));
    }
    let value = HeaderValue::from_str(value.trim()).map_err(|_| problem("its value is not one"))?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(template: &str, base: &str, key: &str) -> String {
        let base: Base = base.parse().unwrap();
        let template: Template = template.parse().unwrap();
        template.path(&base, &Key::parse(key).unwrap()).to_string()
    }

    #[test]
    fn a_key_is_put_into_its_places_and_escaped() {
        let own = "/v1/{namespace}/{id}";
        for (template, base, key, expected) in [
            (own, "http://h", "products//LAMP-1", "/v1/products/LAMP-1"),
            (
                own,
                "http://h/cache/",
                "cards//a_b.c~d",
                "/cache/v1/cards/a_b.c~d",
            ),
            (
                own,
                "http://h",
                "products//Möbel/1 %?#",
                "/v1/products/M%C3%B6bel%2F1%20%25%3F%23",
            ),
            (
                own,
                "http://h",
                "products/currency=EUR;locale=de/A",
                "/v1/products/A?currency=EUR&locale=de",
            ),
            (
                "/item?no={id}&x=1",
                "http://h",
                "products/locale=de/A",
                "/item?no=A&x=1&locale=de",
            ),
        ] {
            assert_eq!(path(template, base, key), expected);
        }
    }

    #[test]
    fn templates_that_mean_nothing_say_why() {
        for (text, why) in [
            ("v1/{id}", "begin with `/`"),
            ("/v1/products", "has no {id}"),
            ("/v1/{sku}", "other than {id}"),
            ("/v1/{id", "without its `}`"),
            ("/v1/ /{id}", "cannot hold"),
            ("/v1/{id}#top", "cannot hold"),
        ] {
            let problem = text.parse::<Template>().unwrap_err();
            assert!(problem.reason.contains(why), "{text}: {}", problem.reason);
        }
    }

    #[test]
    fn bases_are_read_and_bad_ones_say_why() {
        let base: Base = "https://shop.example/a/".parse().unwrap();
        assert_eq!(
            (base.is_https, base.port, base.host.as_str()),
            (true, 443, "shop.example")
        );
        assert_eq!(base.to_string(), "https://shop.example/a");
        let base: Base = "http://[::1]:7400".parse().unwrap();
        assert_eq!((base.port, base.host.as_str()), (7400, "::1"));
        for (text, why) in [
            ("127.0.0.1:7400", "begin with http://"),
            ("ftp://h/", "begin with http://"),
            ("http://", "is no URL"),
            ("http://me:secret@h/", "holds a user"),
            ("http://h/?a=b", "has a query"),
        ] {
            let problem = text.parse::<Base>().unwrap_err();
            assert!(problem.reason.contains(why), "{text}: {}", problem.reason);
        }
    }

    #[test]
    fn headers_are_read_and_bad_ones_say_why() {
        let (name, value) = header("Authorization: Bearer a:b").unwrap();
        assert_eq!(
            (name.as_str(), value.as_bytes()),
            ("authorization", &b"Bearer a:b"[..])
        );
        for text in ["Authorization", "a b: c", "a: b\nc", "Connection: close"] {
            assert!(header(text).is_err(), "{text}");
        }
    }
}
