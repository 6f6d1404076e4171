//! `POST /api/commands`: the same commands, numbers and answers as over WebSocket.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use draftwire_protocol::code::{ErrorCode, RejectionCode};
use draftwire_protocol::json::{Value, object};
use draftwire_protocol::limits::{BATCH_LEVELS, FRAME_LEVELS_MAX};
use draftwire_protocol::names::{CLIENT_ID_RULE, is_client_id};
use draftwire_protocol::reply::{self, frame};
use draftwire_protocol::{ClientFrame, Command, FrameError};
use draftwire_store::{Author, Submission};

use super::answer::json;
use super::caller::Caller;
use super::{Problem, body};
use crate::Realtime;
use crate::clock;

pub(super) fn router(realtime: Realtime) -> Router {
    Router::new().route("/api/commands", post(commands)).with_state(realtime)
}

/// One element of the request: answered at once, or by the store.
enum Asked {
    Answered(String),
    Submitted,
}

async fn commands(
    State(realtime): State<Realtime>,
    Caller(who): Caller,
    raw: Body,
) -> Result<Response, Problem> {
    let Some(reads) = realtime.reads() else {
        let detail = "this server relays events and keeps no documents: ask the backend";
        return Err(Problem::rejection(RejectionCode::Forbidden, detail));
    };
    let settings = realtime.settings();
    let text = body::read(raw, settings.batch_bytes_max, settings).await?;
    let request = body::object(&text, FRAME_LEVELS_MAX + BATCH_LEVELS)?;
    let client_id = client_id(request)?;
    let elements = request.get("commands").and_then(Value::elements);
    let elements =
        elements.ok_or_else(|| Problem::invalid("commands must be an array of frames"))?;
    if elements.len() > settings.limits.in_flight {
        return Err(Problem::invalid(format!(
            "at most {} commands at once; send the others in a further request",
            settings.limits.in_flight
        )));
    }
    let mut submissions = Vec::new();
    let mut asked = Vec::with_capacity(elements.len());
    for element in elements {
        asked.push(match submission(element, &who.user, client_id.as_ref()) {
            Ok(submission) => {
                submissions.push(submission);
                Asked::Submitted
            }
            Err(error) => Asked::Answered(reply::error(error.code, &error.message, clock::wall())),
        });
    }
    realtime.count_commands(&who.user, submissions.len()).map_err(Problem::rate_limited)?;
    let mut answers = realtime.submit(submissions).await.into_iter();
    let frames: Vec<String> = asked
        .into_iter()
        .filter_map(|asked| match asked {
            Asked::Answered(text) => Some(text),
            Asked::Submitted => {
                let answer = answers.next()?;
                if answer.code.is_some() {
                    realtime.counters().rejected_commands.increment();
                }
                Some(frame(answer.name, clock::wall(), &answer.payload))
            }
        })
        .collect();
    let user = Arc::clone(&who.user);
    let (_, last) = reads.ask(move |store| store.head(&user, client_id.as_deref())).await?;
    let body = object(|body| {
        body.array("answers", frames.iter().map(String::as_str)).integer("lastMutationId", last);
    });
    Ok(json(StatusCode::OK, body))
}

fn client_id(request: Value<'_>) -> Result<Option<Arc<str>>, Problem> {
    match body::string(request, "clientId")? {
        None => Ok(None),
        Some(id) if is_client_id(&id) => Ok(Some(id.into())),
        Some(_) => Err(Problem::invalid(format!("clientId must be {CLIENT_ID_RULE}"))),
    }
}

fn submission(
    element: Value<'_>,
    user: &Arc<str>,
    client_id: Option<&Arc<str>>,
) -> Result<Submission, FrameError> {
    let no_command = || FrameError {
        code: ErrorCode::BadFrame,
        message: "AUTH and PING are for WebSocket connections".into(),
    };
    let (number, command) = match ClientFrame::from_value(element)? {
        ClientFrame::Command { number, command } => (number, command),
        // Its number is used up, so that the device's count stays without gaps.
        ClientFrame::Auth { number, .. } | ClientFrame::Ping { number } => {
            (Some(number.ok_or_else(no_command)?), Command::Skip)
        }
    };
    if number.is_some() && client_id.is_none() {
        let message = "commands with a mutationId need a clientId in the request".into();
        return Err(FrameError { code: ErrorCode::NoClientId, message });
    }
    Ok(Submission {
        user: Arc::clone(user),
        author: Author::Device(client_id.map(Arc::clone)),
        number,
        idempotency: None,
        wants_document: false,
        command,
    })
}
