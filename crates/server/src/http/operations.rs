//! `GET /api/session`, `/healthz`, `/readyz`.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use draftwire_protocol::json::object;

use super::Problem;
use super::caller::Caller;
use crate::Realtime;

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

pub(super) fn session(realtime: Realtime) -> Router {
    Router::new().route("/api/session", get(verdict)).with_state(realtime)
}

pub(super) fn health(realtime: Realtime) -> Router {
    Router::new()
        .route("/healthz", get(|| async { json(StatusCode::OK, r#"{"status":"ok"}"#.into()) }))
        .route("/readyz", get(readiness))
        .with_state(realtime)
}

/// The verdict that the same token would get at a handshake.
async fn verdict(State(realtime): State<Realtime>, Caller(who): Caller) -> Response {
    if !realtime.is_ready() {
        return not_ready(&realtime).into_response();
    }
    let body = object(|session| {
        session
            .string("userId", &who.user)
            .display("expiresAt", who.expires_at)
            .boolean("admin", who.admin);
    });
    json(StatusCode::OK, body)
}

async fn readiness(State(realtime): State<Realtime>) -> Response {
    if realtime.is_ready() {
        return json(StatusCode::OK, r#"{"status":"ready"}"#.into());
    }
    not_ready(&realtime).into_response()
}

/// Nothing can be served just now.
pub(super) fn not_ready(realtime: &Realtime) -> Problem {
    let detail = if realtime.is_draining() {
        "the server is about to restart"
    } else {
        "the store is not ready; the log says why"
    };
    Problem::unavailable(detail, realtime.settings().retry_after)
}
