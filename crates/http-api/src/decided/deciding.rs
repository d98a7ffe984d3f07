//! A decision as a request brings it: who decides, why, until when, and what is answered when it was not to be.

use std::time::Duration;

use axum::extract::Request;
use hotshelf_decisions::{Act, Changed, Decider};
use hotshelf_model::{DbTime, Error, FieldProblem, Role};
use http::{HeaderMap, HeaderName, StatusCode};
use serde::de::DeserializeOwned;

use crate::headers::{HOTSHELF_IF_VERSION, HOTSHELF_REASON};
use crate::problem::{Problem, log_failure};
use crate::request_body;
use crate::request_id::RequestId;
use crate::state::ApiState;

/// The longest reason, in bytes.
const REASON_BYTES_MAX: usize = 500;
/// The largest body: every key that a hot set could hold.
const BODY_BYTES_MAX: usize = 4 << 20;

/// Until when a decision holds: one of the three.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expiry {
    /// For so many milliseconds from now on.
    pub(crate) for_ms: Option<u64>,
    /// Until this moment: milliseconds since 1970 on the database's clock.
    pub(crate) until_ms: Option<u64>,
    /// Until somebody ends it.
    pub(crate) no_expiry: Option<bool>,
}

impl Expiry {
    /// When it ends; `default` when nothing is said.
    pub(crate) fn until(
        self,
        now: DbTime,
        default: Option<Duration>,
    ) -> Result<Option<DbTime>, FieldProblem> {
        let until = match (self.for_ms, self.until_ms, self.no_expiry.unwrap_or(false)) {
            (None, None, true) => return Ok(None),
            (Some(ms), None, false) => now.plus(Duration::from_millis(ms)),
            (None, Some(until), false) => DbTime(until),
            (None, None, false) => match default {
                Some(default) => now.plus(default),
                None => {
                    let reason = "says until when: `for_ms`, `until_ms` or `no_expiry`";
                    return Err(FieldProblem::new("until_ms", reason));
                }
            },
            _ => {
                let reason = "is one of three: `for_ms`, `until_ms` or `no_expiry`";
                return Err(FieldProblem::new("until_ms", reason));
            }
        };
        if until <= now {
            let reason = format!("is over: the database's clock shows {}", now.0);
            return Err(FieldProblem::new("until_ms", reason));
        }
        Ok(Some(until))
    }
}

/// Who decides and why, if they may.
pub(crate) fn decider(state: &ApiState, headers: &HeaderMap) -> Result<Decider, Problem> {
    let who = state
        .writing
        .access
        .to_administer(headers, Role::Operator)?;
    Ok(Decider {
        who: who.to_owned(),
        why: reason(headers)?,
        if_version: if_version(headers)?,
    })
}

/// What is kept of a decision.
pub(crate) fn act(decider: &Decider, until: Option<DbTime>, now: DbTime) -> Act {
    Act {
        until_ms: until.map(|until| until.0),
        at_ms: now.0,
        who: decider.who.clone(),
        why: decider.why.clone(),
    }
}

/// Reads a body of JSON.
pub(crate) async fn read<T: DeserializeOwned>(
    state: &ApiState,
    request: Request,
) -> Result<T, Problem> {
    request_body::check_type(request.headers(), &["application/json"])?;
    let body = request_body::whole(state, request, BODY_BYTES_MAX).await?;
    serde_json::from_slice(&body).map_err(|error| invalid("body", error.to_string()))
}

/// What is answered when a change was not made.
pub(crate) fn written<R>(
    changed: Result<Changed<R>, Error>,
    request_id: &RequestId,
    refused: impl FnOnce(R) -> Problem,
) -> Result<(), Problem> {
    let changed = changed.map_err(|error| {
        log_failure("change of a decision", &error, request_id);
        Problem::of_write(&error)
    })?;
    match changed {
        Changed::Written { .. } => Ok(()),
        Changed::Refused(reason) => Err(refused(reason)),
        Changed::VersionMismatch { current } => Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "version_mismatch",
            format!(
                "the version is {current}, not the one that `Hotshelf-If-Version` names; look at what somebody else has decided"
            ),
        )),
        Changed::Contended => Err(Problem::new(
            StatusCode::CONFLICT,
            "contended",
            "others decide at the same time; nothing was changed, ask again",
        )),
        Changed::Unreadable(reason) => Err(Problem::new(
            StatusCode::CONFLICT,
            "unreadable",
            format!(
                "what the database has cannot be read by this node, so it is not replaced: {reason}"
            ),
        )),
    }
}

/// Why, in the words of who decides.
pub(crate) fn reason(headers: &HeaderMap) -> Result<String, Problem> {
    let given = headers
        .get(&HOTSHELF_REASON)
        .map(|value| value.as_bytes().trim_ascii());
    let reason = given.and_then(|bytes| std::str::from_utf8(bytes).ok());
    match reason.filter(|reason| (1..=REASON_BYTES_MAX).contains(&reason.len())) {
        Some(reason) => Ok(reason.to_owned()),
        None => Err(of_header(
            &HOTSHELF_REASON,
            format!("says why, in 1 to {REASON_BYTES_MAX} bytes; it is kept with who did it"),
        )),
    }
}

/// The version that a decision depends on.
pub(crate) fn if_version(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(given) = headers.get(&HOTSHELF_IF_VERSION) else {
        return Ok(None);
    };
    let version = given.to_str().ok().and_then(|text| text.parse().ok());
    let reason = "is the `version` as it was read, a whole number";
    version
        .map(Some)
        .ok_or_else(|| of_header(&HOTSHELF_IF_VERSION, reason))
}

fn of_header(header: &HeaderName, reason: impl Into<String>) -> Problem {
    invalid(header.as_str(), reason)
}

pub(crate) fn invalid(field: &str, reason: impl Into<String>) -> Problem {
    Problem::invalid(vec![FieldProblem::new(field, reason)])
}
