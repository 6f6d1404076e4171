//! WebSocket close codes: the one table (RFC 6455 §7.4, and our own from 4000).
//!
//! 4000–4499 mean *reconnect* (4003 excepted); 4500–4999 mean *not before the user or the token
//! has changed*. `docs/protocol.md` is tested against this table.

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// The peer asked for it; nothing was wrong.
    Normal = 1000,
    /// The server or the page goes away.
    GoingAway = 1001,
    /// RFC 6455 was broken.
    ProtocolError = 1002,
    /// A binary frame where only text is spoken.
    Unsupported = 1003,
    /// A text that is not UTF-8.
    BadUtf8 = 1007,
    /// Not allowed here.
    Policy = 1008,
    /// A message over the frame limit.
    TooBig = 1009,
    /// The server failed.
    Internal = 1011,
    /// A planned restart.
    Restart = 1012,
    /// Overloaded.
    TryAgainLater = 1013,
    /// Nothing was heard for two heartbeats.
    HeartbeatTimeout = 4000,
    /// The outbox is full: the device takes its events too slowly.
    SlowConsumer = 4001,
    /// Too many commands.
    RateLimit = 4002,
    /// The same device has connected anew.
    Replaced = 4003,
    /// The token's time is over.
    TokenExpired = 4500,
    /// The token was revoked.
    TokenRevoked = 4501,
    /// An administrator has disconnected this device.
    Disconnected = 4502,
}

impl CloseCode {
    /// The whole table.
    pub const ALL: [Self; 17] = [
        Self::Normal,
        Self::GoingAway,
        Self::ProtocolError,
        Self::Unsupported,
        Self::BadUtf8,
        Self::Policy,
        Self::TooBig,
        Self::Internal,
        Self::Restart,
        Self::TryAgainLater,
        Self::HeartbeatTimeout,
        Self::SlowConsumer,
        Self::RateLimit,
        Self::Replaced,
        Self::TokenExpired,
        Self::TokenRevoked,
        Self::Disconnected,
    ];

    /// The number on the wire.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// The reason on the wire: a few words, never data.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Normal => "",
            Self::GoingAway => "going away",
            Self::ProtocolError => "protocol error",
            Self::Unsupported => "text frames only",
            Self::BadUtf8 => "not UTF-8",
            Self::Policy => "not allowed",
            Self::TooBig => "frame too big",
            Self::Internal => "internal error",
            Self::Restart => "restart",
            Self::TryAgainLater => "overloaded",
            Self::HeartbeatTimeout => "heartbeat timeout",
            Self::SlowConsumer => "slow consumer",
            Self::RateLimit => "rate limit",
            Self::Replaced => "replaced",
            Self::TokenExpired => "token expired",
            Self::TokenRevoked => "token revoked",
            Self::Disconnected => "disconnected",
        }
    }

    /// The table's entry for a number.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|entry| entry.code() == code)
    }
}
