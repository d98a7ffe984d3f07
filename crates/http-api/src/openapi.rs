//! The API's description (OpenAPI 3.1), generated from the routes.

use std::sync::LazyLock;

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::{batch, changes, decided, explain, health, hot, membership, read, warm, write};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "hotshelf",
        description = "Product details from the nearest tier that can prove its copy current.\n\nErrors are problems (RFC 9457); programs decide by `code`. A request whose head is longer than the limit is answered 431 without a body, before it is read as a whole.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        read::read, batch::batch_get, batch::list, write::put, write::patch, write::delete, health::livez, health::readyz,
        health::metrics, changes::post_changes, changes::stream::get_changes, hot::get_hot, hot::stream::get_hot,
        hot::rules::get_rules, hot::rules::put_rules, hot::rules::delete_rules,
        explain::get_explanation, membership::get_nodes,
        warm::post_plan, warm::post_job, warm::get_jobs, warm::get_job, warm::post_change, warm::get_coverage,
        decided::pins::get_pins, decided::pins::post_pins, decided::pins::delete_pins, decided::switches::get_switches,
        decided::switches::get_history, decided::switches::put_switch, decided::switches::delete_switch
    ),
    components(schemas(write::ProductBody, write::PriceBody, write::StockBody, changes::stream::ProofBody, hot::stream::PromoteBody<'_>, hot::stream::DemoteBody<'_>, warm::SourceBody)),
    modifiers(&Token),
    tags(
        (name = "documents", description = "Product details"),
        (name = "writes", description = "Products of hotshelf's own tables. An answer comes when the write is durable. Without tokens in the configuration only an embedded node on a loopback address may be written to; else a token with the role `writer` is needed"),
        (name = "changes", description = "What is no longer true, for those who keep copies of answers: drop every copy on `reset`, and when no `proof` has come for the staleness bound. And what is hot, for those who keep few"),
        (name = "health", description = "On both listeners"),
        (name = "admin", description = "On the admin listener only"),
    ),
)]
struct Api;

/// The bearer token of writes and of the admin listener.
struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", scheme);
    }
}

/// The description as JSON, as it is served at `/openapi.json` and kept in `docs/`.
pub fn openapi() -> String {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        // The description is built of strings, which always serialise.
        Api::openapi().to_pretty_json().unwrap_or_default() + "\n"
    });
    TEXT.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_description_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        if std::env::var_os("HOTSHELF_BLESS").is_some() {
            std::fs::write(path, openapi()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == openapi(),
            "docs/openapi.json is out of date: run this test with HOTSHELF_BLESS=1"
        );
    }

    #[test]
    fn every_route_is_described() {
        let description: serde_json::Value = serde_json::from_str(&openapi()).unwrap();
        assert_eq!(description["openapi"], "3.1.0");
        let paths: Vec<_> = description["paths"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        for path in [
            "/v1/{namespace}/{id}",
            "/v1/{namespace}:batchGet",
            "/v1/{namespace}",
            "/livez",
            "/readyz",
            "/metrics",
            "/admin/v1/changes",
            "/admin/v1/explain/{namespace}/{id}",
            "/admin/v1/nodes",
            "/v1/changes",
            "/v1/hot",
            "/admin/v1/hot",
            "/admin/v1/hot/rules",
            "/admin/v1/pins",
            "/admin/v1/switches",
            "/admin/v1/switches/{switch}",
            "/admin/v1/switches/history",
        ] {
            assert!(paths.contains(&path), "{path} is not in {paths:?}");
        }
    }
}
