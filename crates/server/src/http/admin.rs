//! What only administrators may: publish, list and close connections, revoke tokens, statistics.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use draftwire_protocol::code::RejectionCode;
use draftwire_protocol::json::{Kind, Value, object};
use draftwire_protocol::limits::{DATA_LEVELS_MAX, ENVELOPE_LEVELS};
use draftwire_protocol::names::{USER_ID_RULE, is_user_id};
use draftwire_protocol::{CloseCode, Timestamp};
use draftwire_store::Revocation;

use super::answer::json;
use super::caller::{Admin, Operator};
use super::{PROGRESS_PATH, Problem, REALTIME_PATH, body};
use crate::clock;
use crate::realtime::Overloaded;
use crate::session::Endpoint;
use crate::worker::{Audience, ConnectionInfo, Which};
use crate::{Realtime, WebSocketMessage};

/// Characters of a `jti`.
const TOKEN_ID_CHARS_MAX: usize = 256;

pub(super) fn router(realtime: Realtime) -> Router {
    Router::new()
        .route("/api/users/{userId}/events", post(publish))
        .route("/api/broadcast", post(broadcast))
        .route("/api/users/{userId}/connections", get(list).delete(disconnect_all))
        .route("/api/users/{userId}/connections/{connectionId}", get(show).delete(disconnect))
        .route("/api/users/{userId}/revoke", post(revoke))
        .route("/api/websocket/stats", get(stats))
        .with_state(realtime)
}

async fn stats(State(realtime): State<Realtime>, _: Operator) -> Response {
    json(StatusCode::OK, realtime.counters().to_json())
}

async fn publish(
    State(realtime): State<Realtime>,
    Admin(_): Admin,
    Path(user): Path<String>,
    raw: Body,
) -> Result<Response, Problem> {
    let audience = Audience::User(checked_user(&user)?.into());
    publish_to(&realtime, &audience, raw).await
}

async fn broadcast(
    State(realtime): State<Realtime>,
    Admin(_): Admin,
    raw: Body,
) -> Result<Response, Problem> {
    publish_to(&realtime, &Audience::Everybody, raw).await
}

async fn publish_to(
    realtime: &Realtime,
    audience: &Audience,
    raw: Body,
) -> Result<Response, Problem> {
    let message = read_message(realtime, raw).await?;
    let reached = realtime
        .broadcast_counted(Endpoint::Realtime, audience, &message)
        .await
        .map_err(|error| overloaded(realtime, error))?;
    Ok(count(reached))
}

async fn read_message(realtime: &Realtime, raw: Body) -> Result<WebSocketMessage, Problem> {
    let settings = realtime.settings();
    let text = body::read(raw, settings.limits.frame_bytes, settings).await?;
    let request = body::object(&text, DATA_LEVELS_MAX + ENVELOPE_LEVELS)?;
    let kind = body::string(request, "type")?;
    let kind = kind.ok_or_else(|| Problem::invalid("type is missing"))?;
    let message = match request.get("payload") {
        Some(payload) => WebSocketMessage::of(&kind, payload, realtime.is_relay()),
        None if realtime.is_relay() => WebSocketMessage::document_event(&kind, "{}"),
        None => WebSocketMessage::new(&kind, "{}"),
    };
    message.map_err(|error| Problem::invalid(error.0))
}

pub(super) fn overloaded(realtime: &Realtime, error: Overloaded) -> Problem {
    Problem::unavailable(error.to_string(), realtime.settings().retry_after)
}

pub(super) fn count(connections: usize) -> Response {
    let body = object(|body| {
        body.integer("connections", connections as u64);
    });
    json(StatusCode::OK, body)
}

fn checked_user(user: &str) -> Result<&str, Problem> {
    if is_user_id(user) {
        return Ok(user);
    }
    Err(Problem::invalid(format!("a user's id is {USER_ID_RULE}")))
}

async fn list(
    State(realtime): State<Realtime>,
    Admin(_): Admin,
    Path(user): Path<String>,
) -> Result<Response, Problem> {
    let connections = realtime.connections(checked_user(&user)?).await;
    let items: Vec<String> = connections.iter().map(connection_json).collect();
    let body = object(|body| {
        body.array("items", items.iter().map(String::as_str));
    });
    Ok(json(StatusCode::OK, body))
}

async fn show(
    State(realtime): State<Realtime>,
    Admin(_): Admin,
    Path((user, connection_id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let connections = realtime.connections(checked_user(&user)?).await;
    let found = connections.iter().find(|one| *one.connection_id == *connection_id);
    let found = found.ok_or_else(no_connection)?;
    Ok(json(StatusCode::OK, connection_json(found)))
}

fn no_connection() -> Problem {
    let detail = "this user has no connection with this id";
    Problem::rejection(RejectionCode::NotFound, detail)
}

fn connection_json(connection: &ConnectionInfo) -> String {
    let path = match connection.endpoint {
        Endpoint::Realtime => REALTIME_PATH,
        Endpoint::Progress => PROGRESS_PATH,
        Endpoint::Echo => "/",
    };
    object(|body| {
        body.string("connectionId", &connection.connection_id)
            .string("clientId", &connection.client_id)
            .string("path", path)
            .display("connectedAt", connection.connected_at);
        if let Some(expires_at) = connection.expires_at {
            body.display("expiresAt", expires_at);
        }
    })
}

async fn disconnect_all(
    State(realtime): State<Realtime>,
    Admin(_): Admin,
    Path(user): Path<String>,
) -> Result<Response, Problem> {
    let user = checked_user(&user)?;
    Ok(count(realtime.disconnect(user, Which::All, CloseCode::Disconnected).await))
}

async fn disconnect(
    State(realtime): State<Realtime>,
    Admin(_): Admin,
    Path((user, connection_id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    if realtime.unregister_connection(checked_user(&user)?, &connection_id).await {
        return Ok(count(1));
    }
    Err(no_connection())
}

async fn revoke(
    State(realtime): State<Realtime>,
    Admin(_): Admin,
    Path(user): Path<String>,
    raw: Body,
) -> Result<Response, Problem> {
    let user = checked_user(&user)?;
    let text = body::read(raw, realtime.settings().limits.frame_bytes, realtime.settings()).await?;
    let request = body::object(if text.is_empty() { "{}" } else { &text }, DATA_LEVELS_MAX)?;
    let mut closed = 0;
    for revocation in revocations(request)? {
        closed += realtime.revoke(user, revocation).await?;
    }
    Ok(count(closed))
}

fn revocations(request: Value<'_>) -> Result<Vec<Revocation>, Problem> {
    let mut revocations = Vec::new();
    if let Some(value) = request.get("issuedBefore").filter(|value| !value.is_null()) {
        revocations.push(Revocation::IssuedBefore(moment(value)?));
    }
    if let Some(jti) = body::string(request, "jti")? {
        if jti.is_empty() || jti.chars().count() > TOKEN_ID_CHARS_MAX {
            return Err(Problem::invalid(format!(
                "jti must be 1 to {TOKEN_ID_CHARS_MAX} characters"
            )));
        }
        revocations.push(Revocation::Token(jti));
    }
    if revocations.is_empty() {
        // Up to and including this second: `iat` has whole seconds in most tokens.
        let seconds = clock::wall().as_millis().div_euclid(1000) + 1;
        revocations.push(Revocation::IssuedBefore(seconds as f64));
    }
    Ok(revocations)
}

/// RFC 3339, or seconds since 1970 like `iat` itself.
fn moment(value: Value<'_>) -> Result<f64, Problem> {
    let wrong =
        || Problem::invalid("issuedBefore must be a timestamp (RFC 3339) or seconds since 1970");
    if value.kind() == Kind::Number {
        let seconds = value.text().parse::<f64>().ok();
        return seconds.filter(|s| s.is_finite() && *s > 0.0).ok_or_else(wrong);
    }
    let timestamp = value.as_str().and_then(|text| Timestamp::parse(&text)).ok_or_else(wrong)?;
    Ok(timestamp.as_millis() as f64 / 1000.0)
}
