//! The server's frames, decoded.
//!
//! Owns the table *Server → client* of the protocol from the client's side. It believes nothing:
//! what does not have the shape that the protocol promises is [`Malformed`].

use std::time::Duration;

use draftwire_protocol::json::Value;
use draftwire_protocol::kind::{DOCUMENT_EVENTS, names};
use draftwire_protocol::limits::FRAME_LEVELS_MAX;
use draftwire_protocol::reply::{Recovery, Rejection};
use draftwire_protocol::{
    Collection, Document, Event, Limits, Origin, Position, RejectionCode, Timestamp,
};

use super::fields::{Fields, Malformed, document};

/// In frames from the server data may lie so many levels deeper than in a client's frame.
const LEVELS_DEEPER: usize = 3;

/// What `WELCOME` says, as far as a client must know it.
#[derive(Debug)]
pub(super) struct Welcome {
    pub(super) user_id: String,
    /// Where recovery ends; `None` on a relay.
    pub(super) head: Option<Position>,
    pub(super) last_mutation_id: u64,
    pub(super) recovery: Recovery,
    pub(super) heartbeat: Duration,
    pub(super) limits: Limits,
}

/// A part of a snapshot.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) seq: u64,
    pub(super) at: Timestamp,
    pub(super) documents: Vec<(Collection, Document)>,
    pub(super) more: bool,
    /// Bytes of the frame.
    pub(super) bytes: usize,
}

/// What the server says.
#[derive(Debug)]
pub(super) enum Incoming {
    Welcome(Welcome),
    Snapshot(Part),
    Event {
        seq: u64,
        at: Timestamp,
        event: Event,
        origin: Origin,
    },
    Ack {
        mutation_id: u64,
        seq: Option<u64>,
        id: Option<String>,
        version: Option<u64>,
    },
    Unknown {
        mutation_id: u64,
    },
    Rejected {
        mutation_id: u64,
        rejection: Rejection,
    },
    Error {
        code: String,
    },
    TokenExpiring,
    Reconnect {
        after: Duration,
    },
    /// An application's own frame, or an event on a relay.
    Message {
        name: String,
        payload: String,
    },
    /// Nothing that a client has to do with.
    Ignored,
}

/// Reads a frame.
pub(super) fn decode(text: &str) -> Result<Incoming, Malformed> {
    let value = Value::parse(text, FRAME_LEVELS_MAX + LEVELS_DEEPER);
    let frame = Fields::of(value.map_err(|_| Malformed("frame"))?, "frame")?;
    let name = frame.string("type")?;
    let payload = frame.object("payload")?;
    match &*name {
        names::WELCOME => welcome(&payload).map(Incoming::Welcome),
        names::SNAPSHOT => part(&frame, &payload, text.len()).map(Incoming::Snapshot),
        names::ACK => ack(&payload),
        names::REJECTED => rejected(&payload),
        names::ERROR => Ok(Incoming::Error { code: payload.string("code")? }),
        names::TOKEN_EXPIRING => Ok(Incoming::TokenExpiring),
        names::RECONNECT => {
            Ok(Incoming::Reconnect { after: Duration::from_millis(payload.integer("afterMs")?) })
        }
        names::AUTHENTICATED | names::PONG => Ok(Incoming::Ignored),
        name if DOCUMENT_EVENTS.contains(&name) && frame.optional("seq").is_some() => {
            Ok(Incoming::Event {
                seq: frame.integer("seq")?,
                at: frame.time("timestamp")?,
                event: event(name, &payload)?,
                origin: origin(&payload.object("origin")?)?,
            })
        }
        _ => Ok(Incoming::Message { payload: frame.value("payload")?.compact(), name }),
    }
}

fn welcome(payload: &Fields<'_>) -> Result<Welcome, Malformed> {
    let limits = payload.object("limits")?;
    let limit = |name| limits.integer(name).and_then(|n| n.try_into().map_err(|_| Malformed(name)));
    let in_flight: usize = limit("inFlight")?;
    let head = match payload.optional_string("epoch")? {
        Some(epoch) => Some(Position {
            epoch: epoch.into(),
            seq: payload.integer("seq")?,
            at: Some(payload.time("at")?),
        }),
        None => None,
    };
    let recovery = payload.string("recovery")?;
    let known = [Recovery::Delta, Recovery::Snapshot, Recovery::Live];
    Ok(Welcome {
        user_id: payload.string("userId")?,
        head,
        last_mutation_id: payload.integer("lastMutationId")?,
        recovery: known
            .into_iter()
            .find(|known| known.name() == recovery)
            .ok_or(Malformed("recovery"))?,
        heartbeat: Duration::from_millis(payload.integer("heartbeatMs")?),
        limits: Limits {
            frame_bytes: limit("frameBytes")?,
            document_bytes: limit("documentBytes")?,
            in_flight: in_flight.max(1),
        },
    })
}

fn part(frame: &Fields<'_>, payload: &Fields<'_>, bytes: usize) -> Result<Part, Malformed> {
    let mut documents = Vec::new();
    for collection in Collection::ALL {
        for value in payload.elements(collection.name())? {
            documents.push((collection, document(value)?));
        }
    }
    Ok(Part {
        seq: frame.integer("seq")?,
        at: frame.time("timestamp")?,
        documents,
        more: payload.value("more")?.as_bool().ok_or(Malformed("more"))?,
        bytes,
    })
}

fn ack(payload: &Fields<'_>) -> Result<Incoming, Malformed> {
    // Commands without a number are not sent by this client.
    let Some(mutation_id) = payload.optional_integer("mutationId")? else {
        return Ok(Incoming::Ignored);
    };
    if payload.optional("outcome").is_some() {
        return Ok(Incoming::Unknown { mutation_id });
    }
    Ok(Incoming::Ack {
        mutation_id,
        seq: payload.optional_integer("seq")?,
        id: payload.optional_string("id")?,
        version: payload.optional_integer("version")?,
    })
}

fn rejected(payload: &Fields<'_>) -> Result<Incoming, Malformed> {
    let Some(mutation_id) = payload.optional_integer("mutationId")? else {
        return Ok(Incoming::Ignored);
    };
    Ok(Incoming::Rejected { mutation_id, rejection: rejection(payload)? })
}

/// Reads `{code, message, document?, expected?, retryAfterMs?}`.
pub(super) fn rejection(payload: &Fields<'_>) -> Result<Rejection, Malformed> {
    Ok(Rejection {
        code: RejectionCode::from_name(&payload.string("code")?).ok_or(Malformed("code"))?,
        message: payload.string("message")?,
        document: payload.optional("document").map(Value::compact),
        expected: payload.optional_integer("expected")?,
        retry_after_ms: payload.optional_integer("retryAfterMs")?,
    })
}

fn event(name: &str, payload: &Fields<'_>) -> Result<Event, Malformed> {
    use Collection::{Drafts, Pending};
    let document = || payload.document("document");
    Ok(match name {
        names::DRAFT_CREATED => Event::Created(Drafts, document()?),
        names::DRAFT_UPDATED => Event::Updated(Drafts, document()?),
        names::DRAFT_DELETED => Event::Deleted(Drafts, payload.string("id")?),
        names::PENDING_CREATED => Event::Created(Pending, document()?),
        names::PENDING_UPDATED => Event::Updated(Pending, document()?),
        names::PENDING_DELETED => Event::Deleted(Pending, payload.string("id")?),
        names::DRAFT_CONVERTED => {
            Event::Converted { draft_id: payload.string("draftId")?, document: document()? }
        }
        _ => return Err(Malformed("type")),
    })
}

fn origin(origin: &Fields<'_>) -> Result<Origin, Malformed> {
    if let Some(service) = origin.optional_string("service")? {
        return Ok(Origin::Service(service));
    }
    Ok(Origin::Device {
        client_id: origin.optional_string("clientId")?,
        mutation_id: origin.optional_integer("mutationId")?,
    })
}
