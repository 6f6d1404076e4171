//! The contract of a store: what a caller may rely on.
//!
//! All calls block and are made from threads that may. [`Store::apply`] and [`Store::renew_epoch`]
//! are made by one thread at a time (the committer); the reads may run beside it.

use std::fmt;
use std::sync::Arc;

use draftwire_protocol::code::RejectionCode;
use draftwire_protocol::json::Digest;
use draftwire_protocol::reply::{Head, SnapshotReason};
use draftwire_protocol::{Collection, Command, Numbered, Position, Timestamp};

use crate::recovery::Plan;

/// Keeps documents, events and `mutationId`s.
pub trait Store: Send + Sync + 'static {
    /// Applies a batch in order, in one commit, and returns one [`Applied`] for each submission.
    ///
    /// When this returns `Ok`, every document, event and `mutationId` in it is on disk. Each
    /// command stands alone: one that is rejected leaves the others as they are. On `Err` nothing
    /// may be acknowledged: with [`StoreError::Unavailable`] nothing was written; with
    /// [`StoreError::Poisoned`] the batch may or may not be on disk, and the store must be opened
    /// anew, after which a retry with the same `mutationId` finds out.
    fn apply(&self, batch: &[Submission], now: Timestamp) -> Result<Vec<Applied>, StoreError>;

    /// Gives the user a new epoch, durably, if `lost` is still the current one. Documents, `seq`
    /// and `mutationId`s stay.
    fn renew_epoch(&self, user: &str, lost: &str) -> Result<(), StoreError>;

    /// About how many bytes [`Store::recover`] reads for this user at most: what a caller sets
    /// aside before it asks.
    fn recovery_bytes(&self, user: &str) -> Result<u64, StoreError>;

    /// What a device at a position has to be sent, read at one moment: head, the device's last
    /// `mutationId`, and the whole delta or the whole snapshot (or neither, with `live`).
    fn recover(&self, ask: &Ask<'_>) -> Result<Recovered, StoreError>;

    /// The same for several devices in one go, which a store may do for less than one by one.
    /// `None` for one that would take more than `bytes_max`: ask for it alone.
    fn recover_each(
        &self,
        asks: &[Ask<'_>],
        bytes_max: u64,
    ) -> Result<Vec<Option<Recovered>>, StoreError> {
        let mut recovered = Vec::with_capacity(asks.len());
        for ask in asks {
            let fits = ask.live || self.recovery_bytes(ask.user)? <= bytes_max;
            recovered.push(fits.then(|| self.recover(ask)).transpose()?);
        }
        Ok(recovered)
    }

    /// The events after `seq`, from one moment, up to about `bytes_max`.
    fn events_after(&self, user: &str, seq: u64, bytes_max: usize) -> Result<Page, StoreError>;

    /// All documents of a collection, oldest first.
    fn list(&self, user: &str, collection: Collection) -> Result<Listing, StoreError>;

    /// One document.
    fn get(
        &self,
        user: &str,
        collection: Collection,
        id: &str,
    ) -> Result<Option<Found>, StoreError>;

    /// The user's head and the last `mutationId` of a device (0 where there is none).
    fn head(&self, user: &str, client_id: Option<&str>) -> Result<(Head, u64), StoreError>;

    /// Remembers a revocation, durably.
    fn revoke(&self, user: &str, revocation: &Revocation) -> Result<(), StoreError>;

    /// Every revocation, to fill the verifier's table at start.
    fn revocations(&self) -> Result<Vec<(String, Revocation)>, StoreError>;

    /// Housekeeping on the disk that may run beside everything else, so that commits need not wait
    /// for it; called a few times a second by a thread of its own.
    fn checkpoint(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Forgets what is over age; called now and then when there is nothing else to do. Returns
    /// true where there was more than fitted into one short commit.
    fn maintain(&self, now: Timestamp) -> Result<bool, StoreError>;
}

/// One command on its way to the store.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Whose documents.
    pub user: Arc<str>,
    /// Who asks.
    pub author: Author,
    /// The device's number for it; needs an author with a `clientId`.
    pub number: Option<Numbered>,
    /// For plain HTTP.
    pub idempotency: Option<IdempotencyKey>,
    /// True where the answer must carry the document (HTTP).
    pub wants_document: bool,
    /// What to do.
    pub command: Command,
}

/// Who asks for a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Author {
    /// A device of the user, named or not.
    Device(Option<Arc<str>>),
    /// A backend on the user's behalf, by name.
    Service(Arc<str>),
}

/// An `Idempotency-Key` and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key.
    pub key: String,
    /// Of method, path, condition and body.
    pub digest: Digest,
}

/// What became of one submission.
#[derive(Debug, Clone)]
pub struct Applied {
    /// For its author.
    pub answer: Answer,
    /// For everybody; `None` where nothing has happened (rejected, skipped, a duplicate).
    pub event: Option<CommittedEvent>,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `ACK` or `REJECTED`.
    pub name: &'static str,
    /// The frame's payload as JSON text.
    pub payload: String,
    /// Why it was rejected; `None` with `ACK`.
    pub code: Option<RejectionCode>,
    /// The epoch in which `seq` and `version` count.
    pub epoch: Arc<str>,
    /// The document after the command as JSON text, where it was asked for.
    pub document: Option<String>,
}

/// An event that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedEvent {
    /// Its place in the user's history.
    pub seq: u64,
    /// The frame's text: the same bytes live and from the log.
    pub frame: String,
}

/// What [`Store::recover`] is asked.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// Whose.
    pub user: &'a str,
    /// Which device.
    pub client_id: Option<&'a str>,
    /// Where it stands.
    pub position: Option<&'a Position>,
    /// True where neither delta nor snapshot is wanted.
    pub live: bool,
    /// Set on the second question after [`Plan::Lost`]: the reason to tell.
    pub reason: Option<SnapshotReason>,
}

/// What a device has to be sent.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// The head at the moment of reading.
    pub head: Head,
    /// The device's last `mutationId` at that moment; 0 where it has none.
    pub last_mutation_id: u64,
    /// How.
    pub plan: Plan,
    /// With [`Plan::Delta`]: all events after the position.
    pub events: Vec<CommittedEvent>,
    /// With [`Plan::Snapshot`]: all drafts as JSON texts.
    pub drafts: Vec<String>,
    /// With [`Plan::Snapshot`]: all pending orders as JSON texts.
    pub pending: Vec<String>,
}

/// A piece of the log.
#[derive(Debug, Clone)]
pub enum Page {
    /// Events in order, without a gap after the `seq` that was asked for; empty at the head.
    Events(Vec<CommittedEvent>),
    /// The log no longer reaches back so far.
    Trimmed,
}

/// One document as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The epoch in which the version counts.
    pub epoch: String,
    /// Its version.
    pub version: u64,
    /// The document as JSON text.
    pub document: String,
}

/// A collection as it was read.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The head at the moment of reading.
    pub head: Head,
    /// Documents as JSON texts.
    pub items: Vec<String>,
}

/// Tokens that no longer work.
#[derive(Debug, Clone, PartialEq)]
pub enum Revocation {
    /// All issued before this moment, in seconds since 1970.
    IssuedBefore(f64),
    /// The one with this id (`jti`).
    Token(String),
}

/// Why a store could not do what it was asked.
#[derive(Debug)]
pub enum StoreError {
    /// A full disk, a busy database: nothing was written. Try again later; the store is sound.
    Unavailable(String),
    /// An I/O error, a failed sync, a damaged file: nothing it says can be trusted any more.
    /// Close it and open it anew.
    Poisoned(String),
    /// The request would exceed a quota. Do not retry.
    Quota(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(out, "store unavailable: {why}"),
            Self::Poisoned(why) => write!(out, "store failed and must be reopened: {why}"),
            Self::Quota(why) => write!(out, "quota exceeded: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}
