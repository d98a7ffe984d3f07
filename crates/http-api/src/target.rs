//! What a request is about: from a URL's path and query to keys.

use std::borrow::Cow;
use std::sync::Arc;

use hotshelf_engine::Cache;
use hotshelf_model::{FieldProblem, Id, Key, KeyRef, Namespace, Variant};
use percent_encoding::percent_decode_str;

use crate::problem::Problem;

/// Parameters of a query that are looked at; a namespace has 8 dimensions, and a list its `ids`.
const PARAMETERS_MAX: usize = 16;

/// A URL's parameters, decoded.
pub(crate) type Parameters<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Splits `/v1/{namespace}/{id}` into the namespace and the id as it was sent; `None` for every other path.
pub(crate) fn document_path(path: &str) -> Option<(&str, &str)> {
    let (namespace, id) = path.strip_prefix("/v1/")?.split_once('/')?;
    (!namespace.is_empty() && !id.contains('/')).then_some((namespace, id))
}

/// Splits `/v1/{namespace}` off a path; `None` for every other path.
pub(crate) fn namespace_path(path: &str) -> Option<&str> {
    let namespace = path.strip_prefix("/v1/")?;
    (!namespace.is_empty() && !namespace.contains('/')).then_some(namespace)
}

/// The key that a path and a query name.
pub(crate) fn document_key(cache: &Cache, path: &str, query: Option<&str>) -> Result<Key, Problem> {
    let names = document_path(path).ok_or_else(Problem::unknown_route)?;
    key(cache, names, query)
}

/// The key of a namespace and an id as a path names them, and of the variant that a query does.
pub(crate) fn key(
    cache: &Cache,
    (name, id): (&str, &str),
    query: Option<&str>,
) -> Result<Key, Problem> {
    let namespace = namespace(cache, name)?;
    let id = document_id(id).map_err(|problem| Problem::invalid(vec![problem]))?;
    let variant = variant_of(namespace, query)?;
    Ok(namespace.key(&id, &variant))
}

/// The key that a good path and query name, to look for; its text is made in `text`.
pub(crate) fn sought_key<'a>(
    cache: &Cache,
    path: &str,
    query: Option<&str>,
    text: &'a mut String,
) -> Option<KeyRef<'a>> {
    let (name, id) = document_path(path)?;
    let namespace = cache.namespace(name)?;
    let id = decode(id).ok()?;
    let variant = variant_of(namespace, query).ok()?;
    KeyRef::new(&namespace.name, &id, &variant, text).ok()
}

/// The namespace of this name.
pub(crate) fn namespace<'a>(cache: &'a Cache, name: &str) -> Result<&'a Arc<Namespace>, Problem> {
    cache.namespace(name).ok_or_else(|| {
        let known: Vec<&str> = cache
            .namespaces()
            .take(8)
            .map(|namespace| namespace.name.as_str())
            .collect();
        Problem::unknown_namespace(&known)
    })
}

/// The id that one segment of a path, or one member of `ids`, names.
pub(crate) fn document_id(encoded: &str) -> Result<Id, FieldProblem> {
    let id = decode(encoded).map_err(|reason| FieldProblem::new("id", reason))?;
    Id::new(&id)
}

fn variant_of<'n>(
    namespace: &'n Namespace,
    query: Option<&str>,
) -> Result<Cow<'n, Variant>, Problem> {
    match query {
        None | Some("") => Ok(Cow::Borrowed(namespace.variants.default_variant())),
        Some(query) => resolve_variant(namespace, &parameters(query)?).map(Cow::Owned),
    }
}

/// The variant that the parameters name.
pub(crate) fn resolve_variant(
    namespace: &Namespace,
    parameters: &Parameters<'_>,
) -> Result<Variant, Problem> {
    let pairs = parameters.iter().map(|(name, value)| (&**name, &**value));
    namespace.variants.resolve(pairs).map_err(Problem::invalid)
}

/// A query's parameters in the order they were sent.
pub(crate) fn parameters(query: &str) -> Result<Parameters<'_>, Problem> {
    let mut parameters = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        if parameters.len() == PARAMETERS_MAX {
            let reason = format!("has more than {PARAMETERS_MAX} parameters");
            return Err(Problem::invalid(vec![FieldProblem::new("query", reason)]));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let bad = |reason| Problem::invalid(vec![FieldProblem::new("query", reason)]);
        parameters.push((decode(name).map_err(bad)?, decode(value).map_err(bad)?));
    }
    Ok(parameters)
}

/// Percent-decodes strictly: a `%` without two hexadecimal digits, or bytes that are not UTF-8, are refused.
pub(crate) fn decode(encoded: &str) -> Result<Cow<'_, str>, &'static str> {
    if !encoded.contains('%') {
        return Ok(Cow::Borrowed(encoded));
    }
    let digits = |rest: &str| {
        rest.as_bytes()
            .iter()
            .take(2)
            .filter(|byte| byte.is_ascii_hexdigit())
            .count()
            == 2
    };
    if !encoded.split('%').skip(1).all(digits) {
        return Err(
            "holds a `%` that is not followed by two hexadecimal digits; encode `%` as `%25`",
        );
    }
    percent_decode_str(encoded)
        .decode_utf8()
        .map_err(|_invalid| "is not UTF-8 after percent-decoding")
}

#[cfg(test)]
mod tests;
