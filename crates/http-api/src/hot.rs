//! Hot keys: what the cluster holds (`GET /admin/v1/hot`), by which rules ([`rules`]), and each decision as it is made ([`stream`]).

pub(crate) mod rules;
pub(crate) mod stream;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use hotshelf_hotkeys::PromotionReason;
use hotshelf_model::{Key, Role, Version};
use hotshelf_promotion::{HotKeyView, HotKeys, HotView, LiveRules};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::json_body::{self, millis};
use crate::problem::{Problem, ProblemBody};
use crate::request_id::RequestId;
use crate::state::ApiState;

/// Hot keys, as the routes know them.
#[derive(Clone, Debug)]
pub struct Hot {
    /// What is hot.
    pub keys: HotKeys,
    /// By which rules.
    pub rules: LiveRules,
}

/// The key of a document.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyBody<'a> {
    namespace: &'a str,
    id: &'a str,
    /// The namespace's dimensions with their values, such as `locale=de;currency=EUR`; empty where it has none.
    variant: &'a str,
    /// All of it as one text.
    key: &'a str,
}

impl<'a> KeyBody<'a> {
    fn of(key: &'a Key) -> Self {
        KeyBody {
            namespace: key.namespace(),
            id: key.id(),
            variant: key.variant(),
            key: key.as_str(),
        }
    }
}

/// The hot keys, as one node knows them.
#[derive(Serialize, ToSchema)]
pub(crate) struct HotBody<'a> {
    /// The last decision that this node has carried out, the `id` of its event; none before it knows any.
    cursor: Option<String>,
    /// The number of the node that leads, if one was heard.
    leader: Option<u32>,
    /// Whether that is this node.
    leads: bool,
    /// What the leader's decisions are worth: `live`, `late`, `frozen` (what is hot stays as it is) or `blind` (no node is heard).
    health: &'a str,
    /// How far the leader lags behind the nodes.
    lag_ms: u64,
    /// How long ago the leader was heard; none if it never was.
    silence_ms: Option<u64>,
    /// Nodes that the leader hears.
    nodes: usize,
    /// Counts below it were sampled by this node, because there was no room for all; 1 when there was.
    sampled_tau: u32,
    /// The most read first.
    keys: Vec<HotKeyBody<'a>>,
}

/// A hot key.
#[derive(Serialize, ToSchema)]
pub(crate) struct HotKeyBody<'a> {
    #[serde(flatten)]
    key: KeyBody<'a>,
    /// Reads per second over all nodes, as of the last second.
    rate: f64,
    /// Its part of all reads when it was decided, 0 to 1.
    share: f64,
    /// How long ago it began to be read so much.
    onset_ms: u64,
    /// How long ago it was decided that it is hot.
    decided_ms: u64,
    /// Why the cluster holds it: `surge`, `rule` or `snapshot` (it was hot before a start); none if only this node does.
    why: Option<&'a str>,
    /// For `surge`: the window in which it was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<&'a str>,
    /// For `surge`: by how many standard deviations it was read more than the threshold allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    sigmas: Option<f64>,
    /// Why this node holds it: `detected`, `provisional` or `pinned`.
    reasons: Vec<&'a str>,
    /// Whether a copy is in this node's L1 and is not evicted.
    held_here: bool,
    /// The version of that copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// What its entry takes in memory.
    bytes: u64,
    /// Nodes that hold it.
    held_by: usize,
    /// Nodes that have said in the last seconds what they hold.
    nodes: usize,
}

impl<'a> HotBody<'a> {
    fn of(view: &'a HotView) -> Self {
        HotBody {
            cursor: view.cursor.map(|cursor| cursor.to_string()),
            leader: view.leader,
            leads: view.leads,
            health: view.health.as_str(),
            lag_ms: millis(view.lag),
            silence_ms: view.silence.map(millis),
            nodes: view.nodes,
            sampled_tau: view.sampled_tau,
            keys: view.keys.iter().map(HotKeyBody::of).collect(),
        }
    }
}

impl<'a> HotKeyBody<'a> {
    fn of(view: &'a HotKeyView) -> Self {
        let surge = match view.why {
            Some(PromotionReason::Surge { window, sigmas }) => Some((window.as_str(), sigmas)),
            Some(PromotionReason::Rule | PromotionReason::Snapshot) | None => None,
        };
        let version = |version: Version| version.token().to_string();
        HotKeyBody {
            key: KeyBody::of(&view.key),
            rate: view.rate,
            share: view.share,
            onset_ms: millis(view.onset),
            decided_ms: millis(view.decided),
            why: view.why.map(PromotionReason::as_str),
            window: surge.map(|(window, _)| window),
            sigmas: surge.map(|(_, sigmas)| sigmas),
            reasons: view.reasons.iter().map(|reason| reason.as_str()).collect(),
            held_here: view.held_here,
            version: view.version.map(version),
            bytes: view.bytes,
            held_by: view.held_by,
            nodes: view.nodes,
        }
    }
}

/// What is hot, as this node knows it.
#[utoipa::path(
    get,
    path = "/admin/v1/hot",
    operation_id = "getHotKeys",
    tag = "admin",
    security(("token" = [])),
    responses(
        (status = 200, description = "The hot keys", body = HotBody<'_>),
        (status = 401, description = "`unauthorized`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: this needs the role `viewer`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 404, description = "`hot_off`: `hot.enabled` is false on this node", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_hot(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    answer(&request, |request| {
        let access = &state.writing.access;
        access.to_administer(request.headers(), Role::Viewer)?;
        Ok(json(&HotBody::of(&hot(&state)?.keys.view())))
    })
}

/// The hot keys, unless this node knows of none.
fn hot(state: &ApiState) -> Result<&Hot, Problem> {
    state.hot.as_ref().ok_or_else(|| {
        let detail =
            "this node does not look for hot keys: `hot.enabled` is false in its configuration";
        Problem::new(StatusCode::NOT_FOUND, "hot_off", detail)
    })
}

fn answer(
    request: &Request,
    answer: impl FnOnce(&Request) -> Result<http::Response<Bytes>, Problem>,
) -> Response {
    let answer =
        answer(request).unwrap_or_else(|problem| problem.answer(&RequestId::of(request.headers())));
    answer.map(Into::into)
}

pub(crate) fn json(body: &impl Serialize) -> http::Response<Bytes> {
    json_body::answer(StatusCode::OK, body)
}

#[cfg(test)]
mod tests;
