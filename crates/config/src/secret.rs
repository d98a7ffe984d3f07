//! Values that must not reach a log: they show themselves masked, and only `expose` gives them away.

use std::fmt;

use serde::{Deserialize, Serialize};

const MASK: &str = "***";

/// A value that is secret as a whole, such as a header's.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a value.
    pub fn new(value: impl Into<String>) -> Self {
        Secret(value.into())
    }

    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// A URL whose password and secret-looking parameters are masked wherever it is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// Takes a URL.
    pub fn new(url: impl Into<String>) -> Self {
        SecretUrl(url.into())
    }

    /// The URL itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked_url(&self.0))
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", masked_url(&self.0))
    }
}

/// Schemes in whose URLs a user without a password is a name. Elsewhere it may be a token, as NATS has them.
const NAMED_USERS: [&str; 4] = ["postgres://", "postgresql://", "redis://", "rediss://"];

/// A URL without what could let anybody in. Where it is not clear what a part is, that part is masked too.
pub(crate) fn masked_url(url: &str) -> String {
    let rest = url.find("://").map_or(0, |scheme| scheme + "://".len());
    let (scheme, rest) = url.split_at(rest);
    let (before, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let colon = before.find(':');
    // A password may hold a `?` and a parameter an `@`, so that nobody can tell where the one ends and the other begins.
    if query.contains('@') && (colon.is_some() || !before.contains('/')) {
        let name = colon.map_or("", |colon| &before[..=colon]);
        return format!("{scheme}{name}{MASK}");
    }
    let before = masked_user(scheme, before);
    format!("{scheme}{before}{}", masked_parameters(query))
}

/// Masks the password in front of a host, or the token.
fn masked_user(scheme: &str, text: &str) -> String {
    // The last `@` and not the first: a password that was not percent-encoded may hold one, or a `/`.
    let Some((user, host)) = text.rsplit_once('@') else {
        return text.to_owned();
    };
    match user.split_once(':') {
        Some((name, _)) => format!("{name}:{MASK}@{host}"),
        None if NAMED_USERS.contains(&scheme) => text.to_owned(),
        None => format!("{MASK}@{host}"),
    }
}

/// Masks the values of parameters whose names sound like a secret, unless a value is a placeholder.
fn masked_parameters(query: &str) -> String {
    let masked = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) if sounds_secret(name) && !is_placeholder(value) => {
            format!("{name}={MASK}")
        }
        _ => pair.to_owned(),
    });
    masked.collect::<Vec<_>>().join("&")
}

fn is_placeholder(value: &str) -> bool {
    let name = value
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| !name.contains(['{', '}']))
}

fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "pwd", "secret", "token", "key", "auth", "sig"]
        .iter()
        .any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_tokens_are_masked_and_the_rest_stays_readable() {
        for (url, shown) in [
            (
                "postgres://shop:hunter2@db:5432/shop",
                "postgres://shop:***@db:5432/shop",
            ),
            (
                "postgres://shop:hun/t@er2@db/shop",
                "postgres://shop:***@db/shop",
            ),
            (
                "postgres://shop@db/shop?password=hunter2&sslmode=require",
                "postgres://shop@db/shop?password=***&sslmode=require",
            ),
            ("redis://:hunter2@cache:6379/", "redis://:***@cache:6379/"),
            ("redis://cache:6379/", "redis://cache:6379/"),
            (
                "https://api/{id}?API_Key=hunter2&lang=de",
                "https://api/{id}?API_Key=***&lang=de",
            ),
            ("https://api/?key={id}", "https://api/?key={id}"),
            ("https://api/?key={id}hunter2", "https://api/?key=***"),
            (
                "postgres://shop@db/shop?password=hunter2@ss",
                "postgres://shop@db/shop?password=***",
            ),
            (
                "http://api/{id}?mail=ops@shop.de&api_key=hunter2",
                "http://api/{id}?mail=ops@shop.de&api_key=***",
            ),
            (
                "http://api:80/{id}?mail=ops@shop.de&api_key=hunter2",
                "http://api:***",
            ),
            (
                "postgres://shop:hun?t&er@hunter2@db/shop",
                "postgres://shop:***",
            ),
            (
                "postgres://shop:p@ss?hunter2@db/shop",
                "postgres://shop:***",
            ),
            ("nats://hunter2@bus:4222", "nats://***@bus:4222"),
            ("nats://hunter2?x@bus", "nats://***"),
            ("tls://shop:hunter2@bus", "tls://shop:***@bus"),
            ("https://hunter2@api/{id}", "https://***@api/{id}"),
            ("shop:hunter2@db/shop", "shop:***@db/shop"),
            (
                "sqlite:./data/hotshelf.sqlite",
                "sqlite:./data/hotshelf.sqlite",
            ),
        ] {
            let secret = SecretUrl::new(url);
            assert_eq!(secret.to_string(), shown);
            assert!(!format!("{secret:?}").contains("hunter2"));
            assert_eq!(secret.expose(), url);
        }
        assert_eq!(format!("{:?}", Secret::new("Bearer hunter2")), "***");
    }
}
