//! `/admin/v1/switches`: what is switched off or otherwise than configured, in the cluster or on one node, and who decided it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::response::Response;
use bytes::Bytes;
use hotshelf_decisions::{
    Changed, Decider, Document, Switch, SwitchEntries, SwitchEntry, SwitchValue,
};
use hotshelf_model::{ClusterSetting, DbTime, Error, Role};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::deciding::{self, Expiry, act, invalid};
use crate::hot::json;
use crate::problem::{Problem, ProblemBody, log_panic};
use crate::request_id::RequestId;
use crate::state::ApiState;

/// A switch ends by itself after so long, if nothing else is said: who was called at night forgets it.
const LASTS: Duration = Duration::from_secs(3600);
/// Changes that the history tells at most.
const HISTORY_MAX: usize = 100;
/// The longest name of a node, in bytes.
const NODE_BYTES_MAX: usize = 255;

/// How a switch is to stand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SwitchBody {
    /// `off` or `on`; for `promotion` `frozen` or `on`, for `stale-cap` a time such as `10m`, for `log` a filter.
    value: String,
    /// The name of the one node that it is for; the whole cluster if it is left out.
    node: Option<String>,
    /// For so many milliseconds from now on; an hour if nothing is said.
    for_ms: Option<u64>,
    /// Until this moment: milliseconds since 1970 on the database's clock.
    until_ms: Option<u64>,
    /// Until somebody ends it.
    no_expiry: Option<bool>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfNode {
    /// The name of the one node whose decision is meant; that of the whole cluster if it is left out.
    node: Option<String>,
}

/// A decision about a switch.
#[derive(Serialize, ToSchema)]
pub(crate) struct SwitchSet<'a> {
    switch: &'a str,
    value: &'a str,
    /// The one node that it is for; left out for the whole cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    /// When it ends: milliseconds since 1970 on the database's clock; left out when somebody has to end it.
    #[serde(skip_serializing_if = "Option::is_none")]
    until_ms: Option<u64>,
    /// When it was decided, on the same clock.
    at_ms: u64,
    /// Who: the name of a token.
    who: &'a str,
    /// Why.
    why: &'a str,
    /// Whether it is in force on the node that answers.
    here: bool,
}

/// The switches that are set.
#[derive(Serialize, ToSchema)]
pub(crate) struct SwitchesBody<'a> {
    /// The version of what was decided; 0 when nothing ever was. For `Hotshelf-If-Version`.
    version: u64,
    /// The node that answers.
    node: &'a str,
    /// What the database's clock shows, in milliseconds since 1970.
    now_ms: u64,
    /// What is wrong with a newer version in the database, which this node cannot read.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
    switches: Vec<SwitchSet<'a>>,
}

/// A change, as it was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct SwitchChange {
    version: u64,
    /// When: milliseconds since 1970 on the database's clock.
    at_ms: u64,
    /// Who: the name of a token.
    who: String,
    /// Why.
    why: String,
    /// What was set by it.
    set: Vec<String>,
    /// What was ended by it.
    ended: Vec<String>,
}

/// Who changed which switch when and why, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct HistoryBody {
    changes: Vec<SwitchChange>,
}

/// Says which switches are set.
#[utoipa::path(
    get,
    path = "/admin/v1/switches",
    operation_id = "getSwitches",
    tag = "admin",
    security(("token" = [])),
    responses(
        (status = 200, description = "What is set, as this node knows it", body = SwitchesBody<'_>),
        (status = 401, description = "`unauthorized`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: this needs the role `viewer`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`: this node does not know the database's time yet", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_switches(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    let answer = || {
        let access = &state.writing.access;
        access.to_administer(request.headers(), Role::Viewer)?;
        listed(&state)
    };
    answered(answer(), &RequestId::of(request.headers()))
}

/// Says who changed which switch, when and why.
#[utoipa::path(
    get,
    path = "/admin/v1/switches/history",
    operation_id = "getSwitchHistory",
    tag = "admin",
    security(("token" = [])),
    responses(
        (status = 200, description = "The last hundred changes, the newest first", body = HistoryBody),
        (status = 401, description = "`unauthorized`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: this needs the role `viewer`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "`origin_failed`", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_history(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    let (request, _body) = request.into_parts();
    let request_id = RequestId::of(&request.headers);
    let answer = async {
        let access = &state.writing.access;
        access.to_administer(&request.headers, Role::Viewer)?;
        let decisions = &state.decided.decisions;
        let history = decisions.history::<SwitchEntries>(HISTORY_MAX + 1).await;
        let history = history.map_err(|error| Problem::of_write(&error))?;
        Ok(json(&HistoryBody {
            changes: changes(&history),
        }))
    };
    answered(answer.await, &request_id)
}

/// Sets a switch, durably: on this node at once, on the others within a second.
#[utoipa::path(
    put,
    path = "/admin/v1/switches/{switch}",
    operation_id = "putSwitch",
    tag = "admin",
    params(
        ("switch" = String, Path, description = "`l2`, `l3`, `origin`, `refresh`, `promotion`, `stale-cap` or `log`"),
        ("Hotshelf-Reason" = String, Header, description = "Why: kept with who did it and when"),
        ("Hotshelf-If-Version" = Option<u64>, Header, description = "Only while this is the version"),
    ),
    request_body(content = SwitchBody, content_type = "application/json"),
    security(("token" = [])),
    responses(
        (status = 200, description = "Set; durable. The answer has all that is set", body = SwitchesBody<'_>),
        (status = 400, description = "`invalid`: nothing is changed", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 401, description = "`unauthorized`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: this needs the role `operator`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 404, description = "`unknown_switch`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 409, description = "`contended`: others decide at the same time; `unreadable`: this node cannot read what the database has. Nothing is changed", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 412, description = "`version_mismatch`: somebody else has decided; nothing is changed", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "`origin_failed` or `unavailable`: nothing is changed", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 504, description = "`origin_timeout`: nothing is changed; `write_unknown`: it may be set", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn put_switch(
    State(state): State<Arc<ApiState>>,
    Path(switch): Path<String>,
    request: Request,
) -> Response {
    let request_id = RequestId::of(request.headers());
    let answer = async {
        let decider = deciding::decider(&state, request.headers())?;
        let switch = named(&switch)?;
        let body: SwitchBody = deciding::read(&state, request).await?;
        let set = Set::of(&state, switch, body, &decider)?;
        change(&state, decider, Edit::Set(set.0), &request_id).await
    };
    answered(answer.await, &request_id)
}

/// Ends what was decided about a switch: it stands as configured again, or on one node as in the cluster.
#[utoipa::path(
    delete,
    path = "/admin/v1/switches/{switch}",
    operation_id = "deleteSwitch",
    tag = "admin",
    params(
        ("switch" = String, Path, description = "As for PUT"),
        OfNode,
        ("Hotshelf-Reason" = String, Header, description = "Why: kept with who did it and when"),
        ("Hotshelf-If-Version" = Option<u64>, Header, description = "Only while this is the version"),
    ),
    security(("token" = [])),
    responses(
        (status = 200, description = "Ended, or not set; durable. The answer has all that is set", body = SwitchesBody<'_>),
        (status = "default", description = "As PUT", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_switch(
    State(state): State<Arc<ApiState>>,
    Path(switch): Path<String>,
    Query(of): Query<OfNode>,
    request: Request,
) -> Response {
    let (request, _body) = request.into_parts();
    let request_id = RequestId::of(&request.headers);
    let answer = async {
        let decider = deciding::decider(&state, &request.headers)?;
        let edit = Edit::Clear(named(&switch)?, of.node);
        change(&state, decider, edit, &request_id).await
    };
    answered(answer.await, &request_id)
}

fn named(name: &str) -> Result<Switch, Problem> {
    Switch::parse(name).ok_or_else(|| {
        let known: Vec<&str> = Switch::ALL.into_iter().map(Switch::as_str).collect();
        let detail = format!(
            "there is no switch `{name}`; there are {}",
            known.join(", ")
        );
        Problem::new(StatusCode::NOT_FOUND, "unknown_switch", detail)
    })
}

/// What a request sets, checked.
struct Set(SwitchEntry);

impl Set {
    fn of(
        state: &ApiState,
        switch: Switch,
        body: SwitchBody,
        decider: &Decider,
    ) -> Result<Self, Problem> {
        let now = now(state)?;
        let value = SwitchValue::parse(switch, &body.value)
            .ok_or_else(|| invalid("value", format!("is, for `{switch}`, {}", switch.takes())))?;
        if body.node.is_some() && !switch.is_for_nodes() {
            return Err(invalid(
                "node",
                format!("`{switch}` is of the whole cluster"),
            ));
        }
        if body
            .node
            .as_ref()
            .is_some_and(|node| !(1..=NODE_BYTES_MAX).contains(&node.len()))
        {
            return Err(invalid("node", "is the name of a node"));
        }
        let expiry = Expiry {
            for_ms: body.for_ms,
            until_ms: body.until_ms,
            no_expiry: body.no_expiry,
        };
        let until = expiry.until(now, Some(LASTS));
        let until = until.map_err(|problem| Problem::invalid(vec![problem]))?;
        Ok(Set(SwitchEntry {
            switch,
            text: body.value,
            value,
            node: body.node,
            act: act(decider, until, now),
        }))
    }
}

enum Edit {
    Set(SwitchEntry),
    Clear(Switch, Option<String>),
}

async fn change(
    state: &Arc<ApiState>,
    decider: Decider,
    edit: Edit,
    request_id: &RequestId,
) -> Result<http::Response<Bytes>, Problem> {
    let decisions = state.decided.decisions.clone();
    // A task of its own, so that a client that goes away leaves no node that does not know what it wrote.
    let deciding = tokio::spawn(async move {
        let edit = |entries: SwitchEntries, now: DbTime| {
            let entries = entries.current(now);
            Ok(match &edit {
                Edit::Set(entry) => entries.with(entry.clone()),
                Edit::Clear(switch, node) => entries.without(*switch, node.as_deref()),
            })
        };
        decisions.change(&decider, edit).await
    });
    let changed: Result<Changed<Infallible>, Error> = deciding.await.map_err(|_panicked| {
        log_panic("change of a switch", request_id);
        Problem::internal()
    })?;
    deciding::written(changed, request_id, |never| match never {})?;
    listed(state)
}

fn now(state: &ApiState) -> Result<DbTime, Problem> {
    let now = state.decided.decisions.now();
    now.map_err(|error| Problem::of_write(&error))
}

fn listed(state: &ApiState) -> Result<http::Response<Bytes>, Problem> {
    let decisions = &state.decided.decisions;
    let (now, known, node) = (now(state)?, decisions.switches(), decisions.node());
    let current = known.document.clone().current(now);
    let set = |entry| told(entry, current.on(entry.switch, node, now) == Some(entry));
    Ok(json(&SwitchesBody {
        version: known.version,
        node,
        now_ms: now.0,
        unreadable: known.unreadable,
        switches: current.iter().map(set).collect(),
    }))
}

fn told(entry: &SwitchEntry, here: bool) -> SwitchSet<'_> {
    SwitchSet {
        switch: entry.switch.as_str(),
        value: &entry.text,
        node: entry.node.as_deref(),
        until_ms: entry.act.until_ms,
        at_ms: entry.act.at_ms,
        who: &entry.act.who,
        why: &entry.act.why,
        here,
    }
}

/// What each change set and ended: it differs in that from the one before, which comes behind it.
fn changes(history: &[ClusterSetting]) -> Vec<SwitchChange> {
    let read = |setting: &ClusterSetting| {
        let text = setting.text.as_deref();
        text.and_then(|text| SwitchEntries::from_json(text).ok())
            .unwrap_or_default()
    };
    let before = history.iter().skip(1).map(read);
    let before = before.chain([SwitchEntries::default()]);
    let change = |(setting, before): (&ClusterSetting, SwitchEntries)| {
        let after = read(setting);
        // What had ended by itself was ended by nobody.
        let before = before.current(setting.at);
        let of = |these: &SwitchEntries,
                  others: &SwitchEntries,
                  is_same: fn(&SwitchEntry, &SwitchEntry) -> bool| {
            let is_new = |entry: &&SwitchEntry| !others.iter().any(|other| is_same(entry, other));
            these.iter().filter(is_new).map(words).collect()
        };
        SwitchChange {
            version: setting.version,
            at_ms: setting.at.0,
            who: setting.who.clone(),
            why: setting.why.clone(),
            set: of(&after, &before, |entry, other| entry == other),
            ended: of(&before, &after, |entry, other| {
                (entry.switch, &entry.node) == (other.switch, &other.node)
            }),
        }
    };
    history
        .iter()
        .zip(before)
        .take(HISTORY_MAX)
        .map(change)
        .collect()
}

fn words(entry: &SwitchEntry) -> String {
    match &entry.node {
        Some(node) => format!("{} {} on {node}", entry.switch, entry.text),
        None => format!("{} {}", entry.switch, entry.text),
    }
}

pub(super) fn answered(
    answer: Result<http::Response<Bytes>, Problem>,
    request_id: &RequestId,
) -> Response {
    let answer = answer.unwrap_or_else(|problem| problem.answer(request_id));
    answer.map(Into::into)
}
