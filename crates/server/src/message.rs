//! A message that the application publishes itself.

use std::fmt;

use bytes::Bytes;
use draftwire_protocol::json::Value;
use draftwire_protocol::kind::{DOCUMENT_EVENTS, PROGRESS_EVENTS, is_protocol_type};
use draftwire_protocol::limits::DATA_LEVELS_MAX;
use draftwire_protocol::names::{EVENT_TYPE_RULE, is_event_type};
use draftwire_protocol::reply::frame;

use crate::clock;
use crate::delivery::text_frame;

/// `{type, payload, timestamp}`: what a backend publishes to devices. It has no `seq`: it reaches
/// the devices that are connected, and is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketMessage {
    kind: String,
    payload: String,
}

/// Why a message can't be published; the text says what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageError(pub String);

impl fmt::Display for MessageError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for MessageError {}

impl WebSocketMessage {
    /// A message of the application's own type. `payload` is the text of a JSON object.
    pub fn new(kind: &str, payload: &str) -> Result<Self, MessageError> {
        Self::of(kind, parsed(payload)?, false)
    }

    /// The same, also for the seven events on documents: for a backend that keeps the documents
    /// itself.
    pub fn document_event(kind: &str, payload: &str) -> Result<Self, MessageError> {
        Self::of(kind, parsed(payload)?, true)
    }

    /// The same from a payload that has been read already.
    pub(crate) fn of(
        kind: &str,
        payload: Value<'_>,
        document_events: bool,
    ) -> Result<Self, MessageError> {
        if is_protocol_type(kind) && !(document_events && DOCUMENT_EVENTS.contains(&kind)) {
            return Err(MessageError(reserved(kind)));
        }
        if !is_event_type(kind) {
            return Err(MessageError(format!("type must be {EVENT_TYPE_RULE}")));
        }
        if !payload.is_object() {
            return Err(MessageError("payload must be a JSON object".into()));
        }
        Ok(Self { kind: kind.to_owned(), payload: payload.compact() })
    }

    /// The frame, with the present as its timestamp.
    pub(crate) fn to_frame(&self) -> Bytes {
        text_frame(&frame(&self.kind, clock::wall(), &self.payload))
    }
}

fn parsed(payload: &str) -> Result<Value<'_>, MessageError> {
    Value::parse(payload, DATA_LEVELS_MAX)
        .map_err(|error| MessageError(format!("payload: {error}")))
}

fn reserved(kind: &str) -> String {
    let instead = if PROGRESS_EVENTS.contains(&kind) {
        "use POST /api/sync/progress for the progress of jobs"
    } else if kind.starts_with("DRAFT_") || kind.starts_with("PENDING_") {
        "documents are changed by commands, not by publishing: where this server keeps them use \
         POST, PATCH, PUT or DELETE on /api/users/{userId}/drafts or \
         /api/users/{userId}/pending; one that was started with --relay takes the seven events \
         from its backend"
    } else {
        "the protocol uses this name itself: take another one"
    };
    format!("type {kind} can't be published: {instead}")
}
