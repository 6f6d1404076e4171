//! What an application is told about the connection.

use std::fmt;
use std::time::Duration;

/// The state of a client's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// There is none.
    Disconnected {
        /// Why.
        reason: Reason,
        /// When the client tries again by itself; `None` where only `connect` makes it try.
        retry: Option<Duration>,
    },
    /// A connection is being made, or has not yet brought everything that was missed.
    Connecting,
    /// Everything up to now is there, and what happens comes at once.
    Connected,
    /// The server does not accept this user's tokens: he has to sign in again. Only `connect`
    /// makes the client try again.
    Unauthorized(Reason),
}

impl Status {
    /// True where the client does not try again by itself.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Disconnected { retry: None, .. } | Self::Unauthorized(_))
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The application has not asked for one, or wants none any more.
    NotWanted,
    /// The token source failed, or took too long.
    NoToken(String),
    /// The network failed, or the server was silent for too long.
    Lost(String),
    /// The handshake was refused.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The server's explanation (problem+json).
        body: String,
    },
    /// The server closed the connection.
    Closed {
        /// The close code.
        code: u16,
        /// The server's words.
        reason: String,
    },
    /// The client could not go on with this connection and makes another.
    Restart(&'static str),
    /// The token is another user's than the one whose documents are in the storage. Nothing was
    /// sent and nothing was shown: use another storage for another user.
    OtherUser,
    /// The storage failed: nothing is trusted any more. Open a new client.
    Storage(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWanted => out.write_str("no connection was asked for"),
            Self::NoToken(why) => write!(out, "there is no token: {why}"),
            Self::Lost(why) => write!(out, "the connection was lost: {why}"),
            Self::Refused { status, body } => write!(out, "refused with {status}: {body}"),
            Self::Closed { code, reason } => write!(out, "closed with {code} {reason}"),
            Self::Restart(why) => write!(out, "a new connection is needed: {why}"),
            Self::OtherUser => out.write_str("the token is another user's than the storage"),
            Self::Storage(why) => write!(out, "the storage failed: {why}"),
        }
    }
}

/// Why a client is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotReady {
    /// Not yet: it goes on trying.
    TimedOut(Status),
    /// It has stopped.
    Stopped(Status),
}

impl fmt::Display for NotReady {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match self {
            Self::TimedOut(status) => {
                out.write_str("not connected in time")?;
                status
            }
            Self::Stopped(status) => {
                out.write_str("the client has stopped")?;
                status
            }
        };
        match status {
            Status::Disconnected { reason, .. } | Status::Unauthorized(reason) => {
                write!(out, ": {reason}")
            }
            Status::Connecting | Status::Connected => Ok(()),
        }
    }
}

impl std::error::Error for NotReady {}
