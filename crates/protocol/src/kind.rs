//! The names of frames, and the two collections.
//!
//! Each name of the protocol stands here once. [`names::ALL`](names) lists them, so that an
//! application's own events can't take one of them.

/// One of a user's two name spaces of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Collection {
    /// Orders being written.
    Drafts,
    /// Orders that were placed and wait to be worked on.
    Pending,
}

impl Collection {
    /// Both, in the order a snapshot lists them.
    pub const ALL: [Self; 2] = [Self::Drafts, Self::Pending];

    /// Its name in URLs and snapshots.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drafts => "drafts",
            Self::Pending => "pending",
        }
    }

    /// The collection of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|collection| collection.name() == name)
    }
}

macro_rules! frame_types {
    ($($(#[doc = $doc:literal])? $name:ident)*) => {
        /// Every frame type of the protocol, both ways.
        pub mod names {
            $($(#[doc = $doc])? pub const $name: &str = stringify!($name);)*

            /// All of the above.
            pub const ALL: &[&str] = &[$($name),*];
        }
    };
}

frame_types! {
    /// First frame of a connection.
    WELCOME
    /// Whole state, in parts.
    SNAPSHOT
    /// A command was applied.
    ACK
    /// A command was not applied.
    REJECTED
    /// A frame was not a command.
    ERROR
    /// A fresh token was accepted.
    AUTHENTICATED
    /// The token ends soon.
    TOKEN_EXPIRING
    /// A planned close follows.
    RECONNECT
    /// Answer to `PING`.
    PONG
    /// Event.
    DRAFT_CREATED
    /// Event.
    DRAFT_UPDATED
    /// Event.
    DRAFT_DELETED
    /// Event: a draft became a pending order.
    DRAFT_CONVERTED
    /// Event.
    PENDING_CREATED
    /// Event.
    PENDING_UPDATED
    /// Event.
    PENDING_DELETED
    /// Command.
    DRAFT_CREATE
    /// Command.
    DRAFT_UPDATE
    /// Command.
    DRAFT_DELETE
    /// Command.
    DRAFT_CONVERT
    /// Command.
    PENDING_CREATE
    /// Command.
    PENDING_UPDATE
    /// Command.
    PENDING_DELETE
    /// Brings a fresh token.
    AUTH
    /// Asks for `PONG`.
    PING
    /// Uses up a `mutationId`.
    SKIP
    /// Progress of a job.
    SYNC_PROGRESS
    /// End of a job.
    SYNC_COMPLETED
    /// End of a job.
    SYNC_FAILED
}

/// The seven events on documents.
pub const DOCUMENT_EVENTS: [&str; 7] = [
    names::DRAFT_CREATED,
    names::DRAFT_UPDATED,
    names::DRAFT_DELETED,
    names::DRAFT_CONVERTED,
    names::PENDING_CREATED,
    names::PENDING_UPDATED,
    names::PENDING_DELETED,
];

/// The three frames of one-way progress.
pub const PROGRESS_EVENTS: [&str; 3] =
    [names::SYNC_PROGRESS, names::SYNC_COMPLETED, names::SYNC_FAILED];

/// True for a name that the protocol uses itself.
pub fn is_protocol_type(name: &str) -> bool {
    names::ALL.contains(&name)
}
