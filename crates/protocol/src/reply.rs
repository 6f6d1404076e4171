//! Every frame the server sends besides events: written here, member by member.
//!
//! The table *Server → client* of the protocol. Nothing here decides anything.

use crate::code::{ErrorCode, RejectionCode};
use crate::json::{ObjectWriter, object};
use crate::kind::names;
use crate::limits::Limits;
use crate::time::Timestamp;

/// The text of a frame without `seq`.
pub fn frame(name: &str, now: Timestamp, payload: &str) -> String {
    let mut out = String::with_capacity(payload.len() + name.len() + 72);
    let mut frame = ObjectWriter::new(&mut out);
    frame.string("type", name).display("timestamp", now).raw("payload", payload);
    frame.end();
    out
}

/// How a connection gets what it has missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Recovery {
    /// The events since its position.
    Delta,
    /// The whole state.
    Snapshot,
    /// Nothing: only what happens from now on.
    Live,
}

impl Recovery {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delta => "delta",
            Self::Snapshot => "snapshot",
            Self::Live => "live",
        }
    }
}

/// Why a device is sent the whole state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SnapshotReason {
    /// It gave no position.
    Initial,
    /// The log no longer reaches back, or the snapshot is smaller than the delta.
    Behind,
    /// Its position belongs to another history.
    Epoch,
    /// It has seen events that the server does not have: history was lost.
    Ahead,
    /// The event at its position is another one: history was lost.
    Forked,
}

impl SnapshotReason {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Behind => "behind",
            Self::Epoch => "epoch",
            Self::Ahead => "ahead",
            Self::Forked => "forked",
        }
    }

    /// True where it proves that the server has lost history.
    pub fn proves_loss(self) -> bool {
        matches!(self, Self::Ahead | Self::Forked)
    }
}

/// The head of a user's history as `WELCOME` tells it. Absent in relay mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The history.
    pub epoch: String,
    /// The last event; 0 where there is none yet.
    pub seq: u64,
    /// The timestamp on that event; `None` with `seq` 0, where the frame tells the present.
    pub at: Option<Timestamp>,
}

/// What `WELCOME` says.
pub struct Welcome<'a> {
    /// Made by the server for this connection.
    pub connection_id: &'a str,
    /// Whose documents these are.
    pub user_id: &'a str,
    /// The device.
    pub client_id: &'a str,
    /// Where recovery ends and live begins.
    pub head: Option<&'a Head>,
    /// The device's last number that was dealt with, true at `head`.
    pub last_mutation_id: u64,
    /// What follows.
    pub recovery: Recovery,
    /// The server's ping interval.
    pub heartbeat_ms: u64,
    /// When the token ends.
    pub expires_at: Timestamp,
    /// What a client must know.
    pub limits: Limits,
}

impl Welcome<'_> {
    /// The frame's text.
    pub fn to_frame(&self, now: Timestamp) -> String {
        let payload = object(|payload| {
            payload
                .string("connectionId", self.connection_id)
                .string("userId", self.user_id)
                .string("clientId", self.client_id);
            if let Some(head) = self.head {
                payload
                    .string("epoch", &head.epoch)
                    .integer("seq", head.seq)
                    .display("at", head.at.unwrap_or(now));
            }
            payload
                .integer("lastMutationId", self.last_mutation_id)
                .string("recovery", self.recovery.name())
                .integer("heartbeatMs", self.heartbeat_ms);
            write_expiry(payload, self.expires_at, now);
            payload.object("limits", |limits| {
                limits
                    .integer("frameBytes", self.limits.frame_bytes as u64)
                    .integer("documentBytes", self.limits.document_bytes as u64)
                    .integer("inFlight", self.limits.in_flight as u64);
            });
        });
        frame(names::WELCOME, now, &payload)
    }
}

fn write_expiry(payload: &mut ObjectWriter<'_>, expires_at: Timestamp, now: Timestamp) {
    let left = expires_at.as_millis().saturating_sub(now.as_millis()).max(0);
    payload.display("expiresAt", expires_at).integer("expiresInMs", left.unsigned_abs());
}

/// `AUTHENTICATED` or `TOKEN_EXPIRING`.
pub fn token_notice(name: &str, expires_at: Timestamp, now: Timestamp) -> String {
    frame(name, now, &object(|payload| write_expiry(payload, expires_at, now)))
}

/// `ERROR`.
pub fn error(code: ErrorCode, message: &str, now: Timestamp) -> String {
    let payload = object(|payload| {
        payload.string("code", code.name()).string("message", message);
    });
    frame(names::ERROR, now, &payload)
}

/// `RECONNECT`.
pub fn reconnect(after_ms: u64, reason: &str, now: Timestamp) -> String {
    let payload = object(|payload| {
        payload.integer("afterMs", after_ms).string("reason", reason);
    });
    frame(names::RECONNECT, now, &payload)
}

/// `PONG`.
pub fn pong(now: Timestamp) -> String {
    frame(names::PONG, now, "{}")
}

/// One part of a `SNAPSHOT`: documents as JSON texts.
pub struct SnapshotPart<'a> {
    /// Why.
    pub reason: SnapshotReason,
    /// Drafts in this part.
    pub drafts: Vec<&'a str>,
    /// Pending orders in this part.
    pub pending: Vec<&'a str>,
    /// True where further parts follow.
    pub more: bool,
}

impl SnapshotPart<'_> {
    /// The frame's text.
    pub fn to_frame(&self, head: &Head, now: Timestamp) -> String {
        let payload = object(|payload| {
            payload
                .string("reason", self.reason.name())
                .array("drafts", self.drafts.iter().copied())
                .array("pending", self.pending.iter().copied())
                .boolean("more", self.more);
        });
        object(|frame| {
            frame
                .string("type", names::SNAPSHOT)
                .integer("seq", head.seq)
                .display("timestamp", head.at.unwrap_or(now))
                .raw("payload", &payload);
        })
    }
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Applied.
    Applied {
        /// Its event's `seq`; the head's for a command without an event.
        seq: u64,
        /// The document; for a conversion the pending order.
        id: Option<String>,
        /// Its new version; absent on deletes.
        version: Option<u64>,
    },
    /// Dealt with so long ago that the answer is no longer kept.
    Unknown,
    /// Not applied.
    Rejected(Rejection),
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub code: RejectionCode,
    /// What is wrong and what to do; never data.
    pub message: String,
    /// The server's current document, as JSON text.
    pub document: Option<String>,
    /// With `OUT_OF_ORDER`: the number that is due.
    pub expected: Option<u64>,
    /// With `RATE_LIMITED` and `UNAVAILABLE`: when to try again.
    pub retry_after_ms: Option<u64>,
}

impl Rejection {
    /// A refusal without further members.
    pub fn new(code: RejectionCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), document: None, expected: None, retry_after_ms: None }
    }

    /// With the server's document.
    pub fn with_document(mut self, document: String) -> Self {
        self.document = Some(document);
        self
    }
}

impl Outcome {
    /// The type of the frame that answers so.
    pub fn frame_name(&self) -> &'static str {
        match self {
            Self::Applied { .. } | Self::Unknown => names::ACK,
            Self::Rejected(_) => names::REJECTED,
        }
    }

    /// The payload of the answer to the command with that number.
    pub fn payload(&self, mutation_id: Option<u64>) -> String {
        object(|payload| {
            match mutation_id {
                Some(number) => payload.integer("mutationId", number),
                None => payload.raw("mutationId", "null"),
            };
            match self {
                Self::Applied { seq, id, version } => {
                    payload
                        .integer("seq", *seq)
                        .optional_string("id", id.as_deref())
                        .optional_integer("version", *version);
                }
                Self::Unknown => {
                    payload.boolean("duplicate", true).string("outcome", "unknown");
                }
                Self::Rejected(rejection) => rejection.write(payload),
            }
        })
    }
}

impl Rejection {
    fn write(&self, payload: &mut ObjectWriter<'_>) {
        payload.string("code", self.code.name()).string("message", &self.message);
        if let Some(document) = &self.document {
            payload.raw("document", document);
        }
        payload
            .optional_integer("expected", self.expected)
            .optional_integer("retryAfterMs", self.retry_after_ms);
    }
}

/// A kept answer's payload as it is sent again: the same, and `duplicate: true`.
pub fn mark_duplicate(payload: &str) -> String {
    let open = payload.strip_suffix('}').unwrap_or(payload);
    format!("{open},\"duplicate\":true}}")
}
