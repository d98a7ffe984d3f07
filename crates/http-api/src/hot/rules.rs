//! `GET|PUT|DELETE /admin/v1/hot/rules`: by which rules keys become hot, changed while the cluster runs.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use hotshelf_hotkeys::Rules;
use hotshelf_hotkeys::rules::RULES_MAX;
use hotshelf_model::{Error, Role, SettingOutcome};
use hotshelf_promotion::{Decider, LiveRules, RulesKnown};
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{hot, json};
use crate::decided::deciding::{if_version, reason};
use crate::problem::{Problem, ProblemBody, log_failure, log_panic};
use crate::request_body;
use crate::request_id::RequestId;
use crate::state::ApiState;

/// Room for one rule in a body: names, punctuation and the longest pattern, escaped.
const RULE_BYTES_MAX: usize = 2048;

/// Rules for hot keys.
#[derive(ToSchema)]
#[schema(as = HotRules)]
#[expect(
    dead_code,
    reason = "describes the body, which is read from JSON field by field"
)]
pub(crate) struct RulesBody {
    /// From how many reads per second over all nodes on a key is hot of which no rule speaks; 500 if it is left out.
    threshold: Option<u32>,
    /// The first that matches a key speaks of it.
    #[schema(example = json!([{"name": "stars", "namespace": "products", "id": "TV-.*", "action": "threshold", "threshold": 200}]))]
    rules: Option<Vec<RuleBody>>,
}

/// A rule.
#[derive(ToSchema)]
#[schema(as = HotRule)]
#[expect(
    dead_code,
    reason = "describes the body, which is read from JSON field by field"
)]
pub(crate) struct RuleBody {
    /// What messages call it.
    name: String,
    /// The namespace whose keys it is about; all if it is left out.
    namespace: Option<String>,
    /// A regular expression that the whole id matches; all do if it is left out.
    id: Option<String>,
    /// `threshold`, `never`, or `always`: hot as long as it is read at all.
    action: String,
    /// For `threshold`: reads per second over all nodes.
    threshold: Option<u32>,
}

/// The rules in force on this node.
#[derive(Serialize, ToSchema)]
pub(crate) struct RulesAnswer {
    /// The version of what was set in the database, or removed; 0 when nothing ever was. For `Hotshelf-If-Version`.
    version: u64,
    /// Who set these rules; left out while those of the configuration hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<RulesSetBody>,
    /// What is wrong with newer rules in the database, which this node cannot read.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
    #[serde(flatten)]
    #[schema(inline, value_type = RulesBody)]
    rules: Value,
}

/// Who set rules.
#[derive(Serialize, ToSchema)]
pub(crate) struct RulesSetBody {
    /// Their version.
    version: u64,
    /// When: milliseconds since 1970 on the database's clock.
    at_ms: u64,
    /// Who: the name of a token.
    who: String,
    /// Why.
    why: String,
}

impl RulesAnswer {
    fn of(known: RulesKnown) -> Self {
        RulesAnswer {
            version: known.version,
            set: known.set.map(|set| RulesSetBody {
                version: set.version,
                at_ms: set.at.0,
                who: set.who,
                why: set.why,
            }),
            unreadable: known.unreadable,
            rules: known.rules.to_json(),
        }
    }
}

/// Says by which rules keys become hot.
#[utoipa::path(
    get,
    path = "/admin/v1/hot/rules",
    operation_id = "getHotRules",
    tag = "admin",
    security(("token" = [])),
    responses(
        (status = 200, description = "The rules in force on this node", body = RulesAnswer),
        (status = 401, description = "`unauthorized`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: this needs the role `viewer`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 404, description = "`hot_off`: `hot.enabled` is false on this node", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_rules(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    super::answer(&request, |request| {
        let access = &state.writing.access;
        access.to_administer(request.headers(), Role::Viewer)?;
        Ok(json(&RulesAnswer::of(hot(&state)?.rules.known())))
    })
}

/// Sets the rules of the whole cluster, all of them, durably: on this node at once, on the others within a second.
#[utoipa::path(
    put,
    path = "/admin/v1/hot/rules",
    operation_id = "putHotRules",
    tag = "admin",
    params(
        ("Hotshelf-Reason" = String, Header, description = "Why: kept with who did it and when"),
        ("Hotshelf-If-Version" = Option<u64>, Header, description = "Only while this is the rules' version"),
    ),
    request_body(content = RulesBody, content_type = "application/json"),
    security(("token" = [])),
    responses(
        (status = 200, description = "Set; durable", body = RulesAnswer),
        (status = 400, description = "`invalid`: all that is wrong is in `errors`; the rules stay as they are", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 401, description = "`unauthorized`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: this needs the role `operator`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 404, description = "`hot_off`: `hot.enabled` is false on this node", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 412, description = "`version_mismatch`: somebody else has set rules; the rules stay as they are", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported_media_type`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "`origin_failed`: the rules stay as they are", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 504, description = "`origin_timeout`: the rules stay as they are; `write_unknown`: they may have been set", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn put_rules(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    change(&state, request, true).await
}

/// Removes the rules that were set: each node goes back to those of its configuration.
#[utoipa::path(
    delete,
    path = "/admin/v1/hot/rules",
    operation_id = "deleteHotRules",
    tag = "admin",
    params(
        ("Hotshelf-Reason" = String, Header, description = "Why: kept with who did it and when"),
        ("Hotshelf-If-Version" = Option<u64>, Header, description = "Only while this is the rules' version"),
    ),
    security(("token" = [])),
    responses(
        (status = 200, description = "Removed; durable. The answer has the rules that hold now", body = RulesAnswer),
        (status = "default", description = "As PUT", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_rules(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    change(&state, request, false).await
}

async fn change(state: &Arc<ApiState>, request: Request, has_body: bool) -> Response {
    let request_id = RequestId::of(request.headers());
    let answer = match decide(state, request, has_body, &request_id).await {
        Ok(answer) => answer,
        Err(problem) => problem.answer(&request_id),
    };
    answer.map(Into::into)
}

async fn decide(
    state: &Arc<ApiState>,
    request: Request,
    has_body: bool,
    request_id: &RequestId,
) -> Result<http::Response<Bytes>, Problem> {
    let access = &state.writing.access;
    let who = access
        .to_administer(request.headers(), Role::Operator)?
        .to_owned();
    let live = hot(state)?.rules.clone();
    let decision = Decision {
        who,
        why: reason(request.headers())?,
        if_version: if_version(request.headers())?,
        rules: if has_body {
            Some(read(state, request).await?)
        } else {
            None
        },
    };
    // A task of its own, so that a client that goes away leaves no node that does not know what it wrote.
    let deciding = tokio::spawn({
        let live = live.clone();
        async move { decision.carry_out(&live).await }
    });
    let outcome = deciding.await.map_err(|_panicked| {
        log_panic("change of rules", request_id);
        Problem::internal()
    })?;
    let outcome = outcome.map_err(|error| {
        log_failure("change of rules", &error, request_id);
        Problem::of_write(&error)
    })?;
    match outcome {
        SettingOutcome::Written { .. } => Ok(json(&RulesAnswer::of(live.known()))),
        SettingOutcome::VersionMismatch { current } => {
            let detail = format!(
                "the rules have the version {current}, not the one that `Hotshelf-If-Version` names; look at what somebody else has set"
            );
            Err(Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "version_mismatch",
                detail,
            ))
        }
    }
}

/// What somebody decides about the rules.
struct Decision {
    who: String,
    why: String,
    if_version: Option<u64>,
    /// `None` removes them.
    rules: Option<Rules>,
}

impl Decision {
    async fn carry_out(&self, live: &LiveRules) -> Result<SettingOutcome, Error> {
        let decider = Decider {
            who: &self.who,
            why: &self.why,
            if_version: self.if_version,
        };
        let outcome = match &self.rules {
            Some(rules) => live.set(rules, decider).await?,
            None => live.clear(decider).await?,
        };
        if let SettingOutcome::Written { version } = outcome {
            let (who, why, is_set) = (&self.who, &self.why, self.rules.is_some());
            tracing::info!(
                version,
                who,
                why,
                is_set,
                "the rules for hot keys were changed"
            );
        }
        Ok(outcome)
    }
}

async fn read(state: &ApiState, request: Request) -> Result<Rules, Problem> {
    request_body::check_type(request.headers(), &["application/json"])?;
    let bytes_max = (RULES_MAX * RULE_BYTES_MAX).max(state.settings.body_bytes_max);
    let body = request_body::whole(state, request, bytes_max).await?;
    Rules::from_json(&body).map_err(Problem::invalid)
}
