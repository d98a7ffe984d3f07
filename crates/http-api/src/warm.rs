//! Warm-ups on the admin listener: plans, jobs, and how far this node's tiers are covered.

mod answers;
mod wish;

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use bytes::Bytes;
use hotshelf_model::{Error, FieldProblem, Role, WarmChange, WarmJob, WarmJobId, WarmState};
use hotshelf_warm::{CoverageAsked, WarmWish, Warmer};
use http::{HeaderMap, StatusCode, Uri};

use crate::json_body::answer;
use crate::problem::{Problem, ProblemBody, log_failure};
use crate::request_body;
use crate::request_id::RequestId;
use crate::state::ApiState;
use crate::target;
use answers::{CoverageBody, JobBody, JobsBody, PlanBody, StartedBody};
pub(crate) use wish::{SourceBody, WishBody};

/// A million ids of usual length, with some room.
const BODY_BYTES_MAX: usize = 64 << 20;

type Answer = Result<http::Response<Bytes>, Problem>;

/// Says what a warm-up would take and whether it fits.
#[utoipa::path(
    post,
    path = "/admin/v1/warm/plans",
    operation_id = "planWarmUp",
    tag = "admin",
    request_body(content = WishBody, content_type = "application/json"),
    security(("token" = [])),
    responses(
        (status = 200, description = "What it would take; `fits` says whether every tier has the room", body = PlanBody),
        (status = 400, description = "`invalid`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 401, description = "`unauthorized`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: this needs the role `operator`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "`origin_failed`", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post_plan(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    let request_id = RequestId::of(request.headers());
    let answer = async {
        let (warmer, wish, _) = asked(&state, request).await?;
        let plan = warmer.plan(&wish).await;
        let plan = plan.map_err(|error| failed(&error, &request_id))?;
        Ok(answer(StatusCode::OK, &PlanBody::of(&plan)))
    };
    respond(answer.await, &request_id)
}

/// Starts a warm-up: a job of the cluster, which goes on whatever becomes of this node and of who asked for it.
#[utoipa::path(
    post,
    path = "/admin/v1/warm/jobs",
    operation_id = "startWarmUp",
    tag = "admin",
    request_body(content = WishBody, content_type = "application/json"),
    security(("token" = [])),
    responses(
        (status = 201, description = "Kept durably; it begins within a second", body = StartedBody),
        (status = 400, description = "`invalid`; nothing is kept", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 401, description = "`unauthorized`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: this needs the role `operator`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "`origin_failed`", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post_job(State(state): State<Arc<ApiState>>, request: Request) -> Response {
    let request_id = RequestId::of(request.headers());
    let answer = async {
        let (warmer, wish, who) = asked(&state, request).await?;
        let started = warmer.start(&wish, &who).await;
        let job = started.map_err(|error| failed(&error, &request_id))?;
        Ok(answer(StatusCode::CREATED, &StartedBody { job }))
    };
    respond(answer.await, &request_id)
}

/// Tells of every warm-up that is remembered, the newest first.
#[utoipa::path(
    get,
    path = "/admin/v1/warm/jobs",
    operation_id = "listWarmUps",
    tag = "admin",
    security(("token" = [])),
    responses(
        (status = 200, description = "The jobs", body = JobsBody),
        (status = 401, description = "`unauthorized`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "`origin_failed`", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_jobs(State(state): State<Arc<ApiState>>, headers: HeaderMap) -> Response {
    let request_id = RequestId::of(&headers);
    let answer = async {
        let warmer = warmer(&state, &headers, Role::Viewer)?;
        let jobs = warmer.jobs().await;
        let jobs = jobs.map_err(|error| failed(&error, &request_id))?;
        let jobs = jobs.iter().map(JobBody::of).collect();
        Ok(answer(StatusCode::OK, &JobsBody { jobs }))
    };
    respond(answer.await, &request_id)
}

/// Tells how far a warm-up is.
#[utoipa::path(
    get,
    path = "/admin/v1/warm/jobs/{job}",
    operation_id = "getWarmUp",
    tag = "admin",
    params(("job" = u64, Path, description = "The job's number")),
    security(("token" = [])),
    responses(
        (status = 200, description = "The job with its parts", body = JobBody),
        (status = 401, description = "`unauthorized`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 404, description = "`unknown_job`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "`origin_failed`", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_job(
    State(state): State<Arc<ApiState>>,
    Path(job): Path<String>,
    headers: HeaderMap,
) -> Response {
    let request_id = RequestId::of(&headers);
    let answer = async {
        let warmer = warmer(&state, &headers, Role::Viewer)?;
        let job = find(warmer, number(&job)?, &request_id).await?;
        Ok(answer(StatusCode::OK, &JobBody::of(&job)))
    };
    respond(answer.await, &request_id)
}

/// Pauses, resumes or cancels a warm-up, whichever node runs it.
#[utoipa::path(
    post,
    path = "/admin/v1/warm/jobs/{job}/{wish}",
    operation_id = "changeWarmUp",
    tag = "admin",
    params(
        ("job" = u64, Path, description = "The job's number"),
        ("wish" = String, Path, description = "`pause`, `resume` or `cancel`"),
        ("who" = Option<String>, Query, description = "Who wishes it; kept with the job"),
    ),
    security(("token" = [])),
    responses(
        (status = 200, description = "It is so, and whoever runs the job hears of it with its next step", body = JobBody),
        (status = 401, description = "`unauthorized`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`: this needs the role `operator`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 404, description = "`unknown_job`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 409, description = "`job_is_over`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "`origin_failed`", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn post_change(
    State(state): State<Arc<ApiState>>,
    Path((job, wish)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let request_id = RequestId::of(&headers);
    let answer = async {
        let warmer = warmer(&state, &headers, Role::Operator)?;
        let wanted = match &*wish {
            "pause" => WarmState::Paused,
            "resume" => WarmState::Running,
            "cancel" => WarmState::Cancelled,
            _ => return Err(Problem::unknown_route()),
        };
        let job = number(&job)?;
        let parameters = target::parameters(uri.query().unwrap_or_default())?;
        let named = parameters.iter().find(|(name, _)| name == "who");
        let who =
            wish::who(named.map(|(_, who)| &**who)).map_err(|one| Problem::invalid(vec![one]))?;
        let changed = warmer.change(job, wanted, &who).await;
        match changed.map_err(|error| failed(&error, &request_id))? {
            WarmChange::Changed => {}
            WarmChange::NotFound => return Err(unknown_job(job)),
            WarmChange::Over(state) => {
                let detail = format!("job {job} is over: it is {}", state.as_str());
                return Err(Problem::new(StatusCode::CONFLICT, "job_is_over", detail));
            }
        }
        let job = find(warmer, job, &request_id).await?;
        Ok(answer(StatusCode::OK, &JobBody::of(&job)))
    };
    respond(answer.await, &request_id)
}

/// Says what the tiers of this node hold of a stretch of a warm-up's ids, with the versions compared with the database's. It is no read and
/// changes nothing.
#[utoipa::path(
    get,
    path = "/admin/v1/warm/jobs/{job}/coverage",
    operation_id = "getWarmUpCoverage",
    tag = "admin",
    params(
        ("job" = u64, Path, description = "The job's number"),
        ("from" = Option<u64>, Query, description = "The place of the first id; 0 by default"),
        ("step" = Option<u64>, Query, description = "Look at each so-manieth id; 1 by default"),
    ),
    security(("token" = [])),
    responses(
        (status = 200, description = "What the tiers hold, and where the next stretch begins", body = CoverageBody),
        (status = 400, description = "`invalid`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 401, description = "`unauthorized`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 404, description = "`unknown_job`", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "`origin_failed`", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_coverage(
    State(state): State<Arc<ApiState>>,
    Path(job): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let request_id = RequestId::of(&headers);
    let answer = async {
        let warmer = warmer(&state, &headers, Role::Viewer)?;
        let asked = stretch(uri.query().unwrap_or_default())?;
        let job = find(warmer, number(&job)?, &request_id).await?;
        let coverage = warmer.coverage(&job, asked).await;
        let coverage = coverage.map_err(|error| failed(&error, &request_id))?;
        Ok(answer(
            StatusCode::OK,
            &CoverageBody::of(&coverage, warmer.node()),
        ))
    };
    respond(answer.await, &request_id)
}

/// What a wish asks of whom.
async fn asked(
    state: &Arc<ApiState>,
    request: Request,
) -> Result<(&Warmer, WarmWish, String), Problem> {
    let warmer = warmer(state, request.headers(), Role::Operator)?;
    request_body::check_type(request.headers(), &["application/json"])?;
    let body = request_body::whole(state, request, BODY_BYTES_MAX).await?;
    let (wish, who) = wish::read(&body, state).map_err(Problem::invalid)?;
    Ok((warmer, wish, who))
}

fn warmer<'a>(state: &'a ApiState, headers: &HeaderMap, role: Role) -> Result<&'a Warmer, Problem> {
    state.writing.access.to_administer(headers, role)?;
    state.warmer.as_ref().ok_or_else(Problem::unknown_route)
}

fn number(text: &str) -> Result<WarmJobId, Problem> {
    let reason = "is the number of a job; `hotshelf warm list` tells them";
    text.parse()
        .map_err(|_| Problem::invalid(vec![FieldProblem::new("job", reason)]))
}

async fn find(warmer: &Warmer, id: WarmJobId, request_id: &RequestId) -> Result<WarmJob, Problem> {
    let job = warmer.job(id).await;
    let job = job.map_err(|error| failed(&error, request_id))?;
    job.ok_or_else(|| unknown_job(id))
}

fn unknown_job(id: WarmJobId) -> Problem {
    let detail = format!("there is no warm-up {id}, or no longer");
    Problem::new(StatusCode::NOT_FOUND, "unknown_job", detail)
}

fn stretch(query: &str) -> Result<CoverageAsked, Problem> {
    let mut asked = CoverageAsked { from: 0, step: 1 };
    for (name, value) in target::parameters(query)? {
        let refused =
            |reason: &str| Problem::invalid(vec![FieldProblem::new(&*name, reason.to_owned())]);
        let number = value.parse::<u64>();
        let number = number.map_err(|_| refused("is not a whole number"));
        match &*name {
            "from" => asked.from = number?,
            "step" => asked.step = number?.max(1),
            _ => return Err(refused("is not known here; there are `from` and `step`")),
        }
    }
    Ok(asked)
}

fn failed(error: &Error, request_id: &RequestId) -> Problem {
    log_failure("warm-up", error, request_id);
    Problem::of_write(error)
}

fn respond(answer: Answer, request_id: &RequestId) -> Response {
    let answer = answer.unwrap_or_else(|problem| problem.answer(request_id));
    answer.map(Into::into)
}

#[cfg(test)]
mod tests;
