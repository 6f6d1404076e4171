//! What a replica says: values only, which nothing here decides.

use std::fmt;
use std::time::Duration;

use draftwire_protocol::reply::Rejection;
use draftwire_protocol::{Collection, Command};

use super::outgoing;

/// Why a change was not taken: nothing was queued, nothing is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteError {
    /// The id or the JSON is not what the protocol allows: mend the caller.
    Invalid(String),
    /// Too much waits for the server already: try again when some of it was answered.
    QueueFull,
    /// There is no refused change with this key.
    NoSuchChange,
    /// The client was closed, or its storage has failed: open a new one.
    Closed,
}

impl fmt::Display for WriteError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => out.write_str(why),
            Self::QueueFull => out.write_str("too many changes wait for the server"),
            Self::NoSuchChange => out.write_str("there is no refused change with this key"),
            Self::Closed => out.write_str("the client is closed"),
        }
    }
}

impl std::error::Error for WriteError {}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It is applied, and durable.
    Accepted(Accepted),
    /// It was refused for good; it stands on the list of rejected changes.
    Rejected(Rejection),
    /// It was dealt with, applied or refused, so long ago that the server no longer knows which.
    Unknown,
}

/// A command that was applied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accepted {
    /// Its event. `None` where there was nothing left to do: the document was gone already.
    pub seq: Option<u64>,
    /// The document's id; for a conversion the pending order's.
    pub id: Option<String>,
    /// The document's new version; `None` for a delete.
    pub version: Option<u64>,
}

/// A change that the server has refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedChange {
    /// Names it for [`Replica::retry`](super::Replica::retry) and
    /// [`Replica::discard`](super::Replica::discard).
    pub key: u64,
    /// What was asked.
    pub command: Command,
    /// Why it was refused, with the server's document where it sent one.
    pub rejection: Rejection,
}

impl RejectedChange {
    /// The document it was about; for a conversion the pending order.
    pub fn document_id(&self) -> &str {
        outgoing::names_in(&self.command).last().map_or("", |(_, id)| id)
    }
}

/// What a reader may have to look at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// This document was created, changed or removed.
    Document(Collection, String),
    /// Anything may have changed.
    Everything,
}

/// What a frame asks the connection to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Nothing.
    Nothing,
    /// The server pings so often.
    Welcome {
        /// Silence of more than two of these means that the connection is dead.
        heartbeat: Duration,
    },
    /// A fresh token is due.
    TokenExpiring,
    /// The server will close; come back after this time.
    Reconnect {
        /// From now.
        after: Duration,
    },
    /// An application's own frame: its type and the JSON text of its payload.
    Message(String, String),
    /// Make a new connection: this one can't go on.
    Restart(&'static str),
    /// Stop: the token is another user's than the one whose changes are stored here.
    OtherUser,
}

/// What has to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// To be given back to [`Replica::stored`](super::Replica::stored).
    pub number: u64,
    /// One line of JSON.
    pub text: String,
    /// True where it must survive a power cut before anything more is sent.
    pub urgent: bool,
    /// True where it takes the place of all that was stored before.
    pub whole: bool,
    /// All commands with a lower key are stored with it.
    pub keys_below: u64,
}

/// What has happened since it was last asked for.
#[derive(Debug, Default)]
pub struct News {
    /// What readers may want to look at.
    pub changes: Vec<Change>,
    /// Commands (by key) that were settled.
    pub settled: Vec<(u64, Settled)>,
}
