//! The routers of the two listeners.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post, put};
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::state::ApiState;
use crate::{
    batch, changes, decided, explain, health, hot, membership, openapi, read, warm, write,
};

/// What the public listener routes. An L1 hit never gets here: see [`crate::Front`].
pub fn public_router(state: Arc<ApiState>) -> Router {
    let router = Router::new()
        .route("/v1/{namespace}/{id}", document())
        // An empty id is a bad id and no unknown route.
        .route("/v1/{namespace}/", document())
        .route("/v1/{target}", get(batch::list).post(batch::batch_get))
        .route("/v1/changes", get(changes::stream::get_changes))
        .route("/v1/hot", get(hot::stream::get_hot))
        .route("/openapi.json", get(openapi_json))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz));
    with_fallbacks(router).with_state(state)
}

/// What the admin listener routes.
pub fn admin_router(state: Arc<ApiState>) -> Router {
    let router = Router::new()
        .route("/metrics", get(health::metrics))
        .route("/admin/v1/changes", post(changes::post_changes))
        .route("/admin/v1/hot", get(hot::get_hot))
        .route("/admin/v1/hot/rules", rules())
        .route(
            "/admin/v1/explain/{namespace}/{id}",
            get(explain::get_explanation),
        )
        .route(
            "/admin/v1/explain/{namespace}/",
            get(explain::get_explanation),
        )
        .route("/admin/v1/nodes", get(membership::get_nodes))
        .route("/admin/v1/pins", pins())
        .route("/admin/v1/switches", get(decided::switches::get_switches))
        .route(
            "/admin/v1/switches/history",
            get(decided::switches::get_history),
        )
        .route("/admin/v1/switches/{switch}", switch())
        .route("/admin/v1/warm/plans", post(warm::post_plan))
        .route(
            "/admin/v1/warm/jobs",
            get(warm::get_jobs).post(warm::post_job),
        )
        .route("/admin/v1/warm/jobs/{job}", get(warm::get_job))
        .route(
            "/admin/v1/warm/jobs/{job}/coverage",
            get(warm::get_coverage),
        )
        .route("/admin/v1/warm/jobs/{job}/{wish}", post(warm::post_change))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz));
    with_fallbacks(router).with_state(state)
}

fn rules() -> MethodRouter<Arc<ApiState>> {
    get(hot::rules::get_rules)
        .put(hot::rules::put_rules)
        .delete(hot::rules::delete_rules)
}

fn pins() -> MethodRouter<Arc<ApiState>> {
    get(decided::pins::get_pins)
        .post(decided::pins::post_pins)
        .delete(decided::pins::delete_pins)
}

fn switch() -> MethodRouter<Arc<ApiState>> {
    put(decided::switches::put_switch).delete(decided::switches::delete_switch)
}

fn document() -> MethodRouter<Arc<ApiState>> {
    get(read::read)
        .put(write::put)
        .patch(write::patch)
        .delete(write::delete)
}

fn with_fallbacks(router: Router<Arc<ApiState>>) -> Router<Arc<ApiState>> {
    router
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
}

async fn unknown_route(request: Request) -> Response {
    Problem::unknown_route()
        .answer(&RequestId::of(request.headers()))
        .map(Into::into)
}

async fn method_not_allowed(request: Request) -> Response {
    Problem::method_not_allowed()
        .answer(&RequestId::of(request.headers()))
        .map(Into::into)
}

async fn openapi_json() -> Response {
    (
        [(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        openapi::openapi(),
    )
        .into_response()
}

#[cfg(test)]
mod tests;
