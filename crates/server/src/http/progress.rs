//! `POST /api/sync/progress`: a backend reports on its jobs, `/ws/sync` shows it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use draftwire_protocol::json::{Kind, Value, object};
use draftwire_protocol::kind::{PROGRESS_EVENTS, names};
use draftwire_protocol::names::{USER_ID_RULE, is_user_id};
use draftwire_protocol::reply::frame;

use super::admin::{count, overloaded};
use super::caller::Admin;
use super::{Problem, body};
use crate::Realtime;
use crate::clock;
use crate::delivery::text_frame;
use crate::session::Endpoint;
use crate::worker::Audience;

/// Bytes of a report.
const REPORT_BYTES_MAX: usize = 16 * 1024;
/// Nested arrays and objects in a report.
const REPORT_LEVELS_MAX: usize = 4;
/// Characters of a job's id.
const JOB_ID_CHARS_MAX: usize = 128;

pub(super) fn router(realtime: Realtime) -> Router {
    Router::new().route("/api/sync/progress", post(report)).with_state(realtime)
}

async fn report(
    State(realtime): State<Realtime>,
    Admin(_): Admin,
    raw: Body,
) -> Result<Response, Problem> {
    let text = body::read(raw, REPORT_BYTES_MAX, realtime.settings()).await?;
    let request = body::object(&text, REPORT_LEVELS_MAX)?;
    let user: Option<Arc<str>> = user(request)?.map(Into::into);
    let (kind, job, payload) = (kind(request)?, job_id(request)?, payload(request)?);
    let text = text_frame(&frame(kind, clock::wall(), &payload));
    let jobs = realtime.progress();
    if kind == names::SYNC_PROGRESS {
        jobs.running(user.clone(), &job, text.clone(), clock::steady());
    } else {
        jobs.ended(user.clone(), &job);
    }
    let audience = user.map_or(Audience::Everybody, Audience::User);
    let reached = realtime
        .publish_counted(Endpoint::Progress, &audience, &text)
        .await
        .map_err(|error| overloaded(&realtime, error))?;
    Ok(count(reached))
}

fn user(request: Value<'_>) -> Result<Option<String>, Problem> {
    let user = body::string(request, "userId")?;
    if user.as_deref().is_some_and(|user| !is_user_id(user)) {
        return Err(Problem::invalid(format!("userId must be {USER_ID_RULE}")));
    }
    Ok(user)
}

fn kind(request: Value<'_>) -> Result<&'static str, Problem> {
    let Some(kind) = body::string(request, "type")? else { return Ok(names::SYNC_PROGRESS) };
    let known = PROGRESS_EVENTS.into_iter().find(|known| *known == kind);
    known.ok_or_else(|| {
        Problem::invalid("type must be SYNC_PROGRESS, SYNC_COMPLETED or SYNC_FAILED")
    })
}

fn job_id(request: Value<'_>) -> Result<String, Problem> {
    let job =
        body::string(request, "jobId")?.ok_or_else(|| Problem::invalid("jobId is missing"))?;
    if (1..=JOB_ID_CHARS_MAX).contains(&job.chars().count()) {
        return Ok(job);
    }
    Err(Problem::invalid(format!("jobId must be 1 to {JOB_ID_CHARS_MAX} characters")))
}

fn payload(request: Value<'_>) -> Result<String, Problem> {
    let (job, kind) = (job_id(request)?, kind(request)?);
    let (phase, message) = (body::string(request, "phase")?, body::string(request, "message")?);
    let percent = percent(request)?;
    Ok(object(|payload| {
        payload.string("jobId", &job);
        if kind == names::SYNC_PROGRESS {
            payload.optional_string("phase", phase.as_deref());
            if let Some(percent) = percent {
                payload.raw("percent", percent);
            }
        }
        payload.optional_string("message", message.as_deref());
    }))
}

fn percent(request: Value<'_>) -> Result<Option<&str>, Problem> {
    let Some(value) = request.get("percent").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let number = value.text().parse::<f64>().ok().filter(|_| value.kind() == Kind::Number);
    if number.is_some_and(|number| (0.0..=100.0).contains(&number)) {
        return Ok(Some(value.text()));
    }
    Err(Problem::invalid("percent must be a number from 0 to 100"))
}
