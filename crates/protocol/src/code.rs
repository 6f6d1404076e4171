//! Rejection and error codes, with what they do to a `mutationId` and their HTTP status.

/// Why a command was not applied (`REJECTED.code`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectionCode {
    /// There is no such document.
    NotFound,
    /// There is already such a document.
    AlreadyExists,
    /// The document is not at the version that was asked for.
    VersionConflict,
    /// The command's payload is malformed.
    Invalid,
    /// The document would be larger than `limits.documentBytes`.
    TooLarge,
    /// The user would have too many documents, devices or bytes.
    Quota,
    /// Not allowed here.
    Forbidden,
    /// A `mutationId` was left out.
    OutOfOrder,
    /// The `mutationId` stood on another command.
    MutationReused,
    /// Too many commands.
    RateLimited,
    /// The store can't take it now.
    Unavailable,
}

impl RejectionCode {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::NotFound,
        Self::AlreadyExists,
        Self::VersionConflict,
        Self::Invalid,
        Self::TooLarge,
        Self::Quota,
        Self::Forbidden,
        Self::OutOfOrder,
        Self::MutationReused,
        Self::RateLimited,
        Self::Unavailable,
    ];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::VersionConflict => "VERSION_CONFLICT",
            Self::Invalid => "INVALID",
            Self::TooLarge => "TOO_LARGE",
            Self::Quota => "QUOTA",
            Self::Forbidden => "FORBIDDEN",
            Self::OutOfOrder => "OUT_OF_ORDER",
            Self::MutationReused => "MUTATION_REUSED",
            Self::RateLimited => "RATE_LIMITED",
            Self::Unavailable => "UNAVAILABLE",
        }
    }

    /// The code of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }

    /// True where the refusal is final: the `mutationId` is used up and the answer is kept.
    pub fn is_final(self) -> bool {
        !matches!(
            self,
            Self::OutOfOrder | Self::MutationReused | Self::RateLimited | Self::Unavailable
        )
    }

    /// The status that carries this code over HTTP.
    pub fn http_status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::Quota | Self::OutOfOrder => 409,
            Self::VersionConflict => 412,
            Self::TooLarge => 413,
            Self::MutationReused => 422,
            Self::RateLimited => 429,
            Self::Unavailable => 503,
        }
    }
}

/// Why a frame was not taken for a command (`ERROR.code`). The connection stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The frame breaks the JSON rules, or is no command at all.
    BadFrame,
    /// A `mutationId` on a connection that gave no `clientId`.
    NoClientId,
    /// `AUTH` brought a token that is not accepted.
    BadToken,
    /// `AUTH` brought somebody else's token.
    WrongUser,
}

impl ErrorCode {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadFrame => "BAD_FRAME",
            Self::NoClientId => "NO_CLIENT_ID",
            Self::BadToken => "BAD_TOKEN",
            Self::WrongUser => "WRONG_USER",
        }
    }
}
