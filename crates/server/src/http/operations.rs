//! `GET /api/session`, `/healthz`, `/readyz`.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use draftwire_protocol::json::object;

use super::answer::{json, not_ready};
use super::caller::Caller;
use crate::Realtime;

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
