//! Answers that several routes give: JSON, large JSON, and "not now".

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Full};
use tokio::sync::OwnedSemaphorePermit;

use super::Problem;
use crate::Realtime;

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A JSON answer whose memory was set aside: the permit goes when the last byte has gone.
pub(super) fn large_json(body: String, memory: Option<OwnedSemaphorePermit>) -> Response {
    let body = Full::new(bytes::Bytes::from(body)).map_frame(move |frame| {
        let _held = &memory;
        frame
    });
    ([(header::CONTENT_TYPE, "application/json")], Body::new(body)).into_response()
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
