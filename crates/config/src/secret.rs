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

/// A URL without what could let anybody in. Where it is not clear what a part is, that part is masked too.
pub(crate) fn masked_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return masked_parameters(url);
    };
    // The last `@` and not the first: a password that was not percent-encoded may hold one, or a `/`.
    let rest = match rest.rsplit_once('@') {
        None => masked_parameters(rest),
        Some((user, host)) => {
            let mask = if user.contains(':') { ":***" } else { "" };
            let user = user.split(':').next().unwrap_or_default();
            format!("{user}{mask}@{}", masked_parameters(host))
        }
    };
    format!("{scheme}://{rest}")
}

/// Masks the values of parameters whose names sound like a secret.
fn masked_parameters(text: &str) -> String {
    let Some((before, parameters)) = text.split_once('?') else {
        return text.to_owned();
    };
    let masked = parameters
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) if sounds_secret(name) && !value.starts_with('{') => {
                format!("{name}={MASK}")
            }
            _ => pair.to_owned(),
        });
    format!("{before}?{}", masked.collect::<Vec<_>>().join("&"))
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
