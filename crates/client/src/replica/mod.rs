//! One user's documents on one device, without input or output: what a [`Client`] decides.
//!
//! It is fed the user's commands, the server's frames and the time, and says what to send, what to
//! store and what has changed; so it can be tested, and simulated, without a socket or a disk. It
//! never waits, never reads a clock and never touches a file.
//!
//! ```text
//!                write                      take_batch → storage → stored
//!   application ───────▶ queue of commands ───────────────────────────────▶ next_frame → socket
//!        ▲               │ layers over
//!        └── get, list ◀─┴ the server's documents ◀── frame ◀── socket
//! ```
//!
//! A command may leave only after the batch that holds it (and its number) was stored: a number
//! that was once used for one command is never used for another one, whatever crashes.
//!
//! | file | owns |
//! |---|---|
//! | `documents` | the server's documents, the layers over them |
//! | `queue` | unanswered commands, their numbers, what may be sent |
//! | `outgoing` | checking commands, writing their frames |
//! | `incoming`, `fields` | reading the server's frames |
//! | `record` | what is stored, and its JSON |
//! | `restore` | what is written whole, and read back |
//!
//! [`Client`]: crate::Client

mod documents;
mod fields;
mod incoming;
mod outgoing;
mod queue;
mod record;
mod restore;

use std::fmt;
use std::time::Duration;

use draftwire_protocol::reply::{Recovery, Rejection};
use draftwire_protocol::{
    Collection, Command, Document, Event, Limits, Origin, Position, RejectionCode, Timestamp,
};

pub use documents::LocalDocument;
pub use fields::Malformed;
pub use queue::QueueLimits;

use documents::Documents;
use incoming::{Incoming, Part, Welcome};
use queue::{Next, Queue, Sendable};
use record::Record;

/// Bytes of a snapshot that are taken from a server.
const SNAPSHOT_BYTES_MAX: usize = 256 * 1024 * 1024;

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
    /// Names it for [`Replica::retry`] and [`Replica::discard`].
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
    /// To be given back to [`Replica::stored`].
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

/// Makes texts that never come twice: ids of devices.
pub type FreshId = Box<dyn FnMut() -> String + Send>;

/// One user's documents on one device.
pub struct Replica {
    client_id: String,
    user_id: Option<String>,
    queue: Queue,
    queue_limits: QueueLimits,
    next_key: u64,
    documents: Documents,
    rejected: Vec<RejectedChange>,
    /// The last event that `documents` hold; `None` before the first snapshot.
    position: Option<Position>,
    fresh_id: FreshId,
    session: Option<Session>,
    journal: Journal,
    news: News,
}

/// What is known of the present connection.
struct Session {
    limits: Limits,
    head: Option<Position>,
    /// Numbers up to this are dealt with in the state at `head`.
    dealt_with: u64,
    /// The parts of a snapshot that have come; `None` where none is awaited.
    snapshot: Option<(Vec<(Collection, Document)>, usize)>,
}

/// What has to be stored and was not asked for yet.
#[derive(Default)]
struct Journal {
    records: Vec<String>,
    urgent: bool,
    /// The whole state has to be written.
    whole: bool,
    /// Number of the batch that is being filled.
    number: u64,
    /// Number of the last batch that was stored.
    stored: u64,
    appended_bytes: usize,
    whole_bytes: usize,
}

impl Replica {
    /// The device; another one after the server has lost track of it.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The user, once a server has named him.
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.as_deref()
    }

    /// How far the documents have come; `None` before the first snapshot.
    pub fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// Commands without an answer.
    pub fn unanswered(&self) -> usize {
        self.queue.len()
    }

    /// A document with the user's own changes.
    pub fn get(&mut self, collection: Collection, id: &str) -> Option<LocalDocument> {
        self.documents.refresh(self.queue.layers());
        self.documents.get(collection, id)
    }

    /// A collection with the user's own changes, by id.
    pub fn list(&mut self, collection: Collection) -> Vec<LocalDocument> {
        self.documents.refresh(self.queue.layers());
        self.documents.list(collection)
    }

    /// The changes that the server has refused for good, oldest first.
    pub fn rejected(&self) -> &[RejectedChange] {
        &self.rejected
    }

    /// Queues a command and shows its effect; returns its key. A create needs an id, a conversion
    /// a pending id.
    ///
    /// # Errors
    ///
    /// Where the command is malformed or too much is queued: then nothing has changed.
    pub fn write(&mut self, command: Command) -> Result<u64, WriteError> {
        let command = outgoing::checked(command)?;
        self.queue.admit(&command, &self.queue_limits)?;
        let (key, mutation_id) = (self.next_key, self.queue.next);
        self.commit(Record::Queued { key, mutation_id, command });
        Ok(key)
    }

    /// Queues a refused change once more, as a new command; returns its new key.
    ///
    /// # Errors
    ///
    /// Where there is none with this key, or too much is queued.
    pub fn retry(&mut self, key: u64) -> Result<u64, WriteError> {
        let change = self.rejected.iter().find(|change| change.key == key);
        let command = change.ok_or(WriteError::NoSuchChange)?.command.clone();
        let new = self.write(command)?;
        self.commit(Record::Forgotten(key));
        Ok(new)
    }

    /// Takes a refused change off the list.
    ///
    /// # Errors
    ///
    /// Where there is none with this key.
    pub fn discard(&mut self, key: u64) -> Result<(), WriteError> {
        if !self.rejected.iter().any(|change| change.key == key) {
            return Err(WriteError::NoSuchChange);
        }
        self.commit(Record::Forgotten(key));
        Ok(())
    }

    /// What has happened since this was last asked.
    pub fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// True when everything up to the head that `WELCOME` named is there.
    pub fn is_recovered(&self) -> bool {
        self.session.as_ref().is_some_and(|session| match (&session.head, &self.position) {
            _ if session.snapshot.is_some() => false,
            (Some(head), Some(position)) => position.seq >= head.seq,
            (Some(_), None) => false,
            (None, _) => true,
        })
    }

    /// Takes a frame of the server's. `now` is the time since any fixed moment.
    ///
    /// # Errors
    ///
    /// Where it is no frame of the protocol: make a new connection. What was known stays.
    pub fn frame(&mut self, text: &str, now: Duration) -> Result<Notice, Malformed> {
        let incoming = incoming::decode(text)?;
        if self.session.is_none() && !matches!(incoming, Incoming::Welcome(_)) {
            return Ok(Notice::Restart("the first frame was no WELCOME"));
        }
        Ok(match incoming {
            Incoming::Welcome(welcome) => self.welcome(welcome),
            Incoming::Snapshot(part) => self.part(part),
            Incoming::Event { seq, at, event, origin } => self.event(seq, at, event, &origin),
            Incoming::Ack { mutation_id, seq, id, version } => {
                self.settle(mutation_id, Settled::Accepted(Accepted { seq, id, version }))
            }
            Incoming::Unknown { mutation_id } => self.settle(mutation_id, Settled::Unknown),
            Incoming::Rejected { mutation_id, rejection } => {
                self.refused(mutation_id, rejection, now)
            }
            Incoming::Error { code } => self.error(&code),
            Incoming::TokenExpiring => Notice::TokenExpiring,
            Incoming::Reconnect { after } => Notice::Reconnect { after },
            Incoming::Message { name, payload } => Notice::Message(name, payload),
            Incoming::Ignored => Notice::Nothing,
        })
    }

    /// The next frame, if one may leave now.
    pub fn next_frame(&mut self, now: Duration) -> Option<String> {
        loop {
            let limits = self.session.as_ref()?.limits;
            match self.queue.send(&limits, self.journal.stored, now)? {
                Sendable::Frame(frame) => return Some(frame),
                Sendable::TooBig(mutation_id) => {
                    self.give_up(mutation_id, "the change is larger than a frame may be");
                }
            }
        }
    }

    /// When [`Replica::next_frame`] is worth asking again though nothing has happened.
    pub fn wake_at(&self) -> Option<Duration> {
        self.session.as_ref().and_then(|_| self.queue.wake_at())
    }

    /// The connection has ended; `too_big` where it was closed with 1009.
    pub fn disconnected(&mut self, too_big: bool) {
        if too_big {
            self.suspect("the server takes no frame of this size");
        }
        self.session = None;
        self.queue.disconnected();
    }

    /// Changes the state by a record that will be stored.
    fn commit(&mut self, record: Record) {
        self.journal.urgent |= record.is_urgent();
        self.journal.records.push(record.to_json());
        self.apply(record);
    }

    fn apply(&mut self, record: Record) {
        match record {
            Record::Device { client_id, user_id, answered, next, key } => {
                self.client_id = client_id;
                self.user_id = user_id;
                self.queue.answered = answered;
                self.queue.next = next;
                self.next_key = key;
            }
            Record::Head(position) => self.position = Some(position),
            Record::Put(collection, document) => {
                self.tell(collection, &document.id);
                self.documents.put(collection, document);
            }
            Record::Gone(collection, id) => {
                self.tell(collection, &id);
                self.documents.remove(collection, &id);
            }
            Record::Queued { key, mutation_id, command } => {
                self.next_key = self.next_key.max(key + 1);
                self.documents.add(&command);
                self.tell_of(&command);
                self.queue.push(key, mutation_id, command, self.journal.number);
            }
            // The event that confirmed it has brought the news.
            Record::Confirmed(mutation_id) => {
                if let Some(command) = self.queue.confirm(mutation_id) {
                    self.documents.outdate(command);
                }
            }
            Record::Settled(mutation_id) => {
                let removed = self.queue.remove(mutation_id);
                if let Some(entry) = removed.filter(|entry| !entry.confirmed) {
                    self.documents.outdate(&entry.command);
                    self.tell_of(&entry.command);
                }
            }
            Record::Skipped(mutation_id) => {
                if let Some(command) = self.queue.skip(mutation_id, self.journal.number) {
                    self.documents.outdate(&command);
                    self.tell_of(&command);
                }
            }
            Record::Rejected { key, command, rejection } => {
                self.next_key = self.next_key.max(key + 1);
                self.rejected.push(RejectedChange { key, command, rejection });
                let surplus = self.rejected.len().saturating_sub(self.queue_limits.rejected_max);
                self.rejected.drain(..surplus);
            }
            Record::Forgotten(key) => self.rejected.retain(|change| change.key != key),
            Record::Renumbered { client_id, first } => {
                self.client_id = client_id;
                self.queue.renumber(first, self.journal.number);
            }
        }
    }

    fn tell(&mut self, collection: Collection, id: &str) {
        self.news.changes.push(Change::Document(collection, id.to_owned()));
    }

    fn tell_of(&mut self, command: &Command) {
        outgoing::names_in(command).for_each(|(collection, id)| self.tell(collection, id));
    }

    fn commit_device(&mut self, user_id: String) {
        self.commit(Record::Device {
            client_id: self.client_id.clone(),
            user_id: Some(user_id),
            answered: self.queue.answered,
            next: self.queue.next,
            key: self.next_key,
        });
    }

    fn welcome(&mut self, welcome: Welcome) -> Notice {
        match &self.user_id {
            Some(user_id) if *user_id != welcome.user_id => return Notice::OtherUser,
            Some(_) => {}
            None => self.commit_device(welcome.user_id),
        }
        let last = welcome.last_mutation_id;
        if last >= self.queue.next {
            self.renew();
            return Notice::Restart("another program has used this clientId");
        }
        if last < self.queue.answered {
            // The server's history was rolled back.
            let client_id = self.client_id.clone();
            self.commit(Record::Renumbered { client_id, first: last + 1 });
        }
        let same_epoch = match (&welcome.head, &self.position) {
            (Some(head), Some(position)) => head.epoch == position.epoch,
            _ => false,
        };
        if welcome.recovery == Recovery::Delta && !same_epoch {
            return Notice::Restart("the server sent a delta to another history");
        }
        let awaited = welcome.recovery == Recovery::Snapshot && welcome.head.is_some();
        self.session = Some(Session {
            limits: welcome.limits,
            head: welcome.head,
            dealt_with: last,
            snapshot: awaited.then(Default::default),
        });
        self.confirm_dealt_with();
        Notice::Welcome { heartbeat: welcome.heartbeat }
    }

    /// At the head of `WELCOME` the documents hold whatever was dealt with until then.
    fn confirm_dealt_with(&mut self) {
        let Some(session) = &self.session else { return };
        let (Some(head), Some(position)) = (&session.head, &self.position) else { return };
        if position.seq < head.seq || session.snapshot.is_some() {
            return;
        }
        let dealt_with = session.dealt_with;
        let waiting = self.queue.entries().take_while(|entry| entry.mutation_id <= dealt_with);
        let numbers = waiting.filter(|entry| !entry.confirmed).map(|entry| entry.mutation_id);
        for number in numbers.collect::<Vec<_>>() {
            self.commit(Record::Confirmed(number));
            // One that was refused shows nothing any more, and no event says so.
            self.news.changes.push(Change::Everything);
        }
    }

    fn part(&mut self, part: Part) -> Notice {
        let session = self.session.as_mut();
        let Some((session, head)) =
            session.and_then(|session| session.head.clone().map(|head| (session, head)))
        else {
            return Notice::Restart("a snapshot came on a relay");
        };
        let Some((documents, bytes)) = &mut session.snapshot else {
            return Notice::Restart("a snapshot came that was not announced");
        };
        *bytes += part.bytes;
        documents.extend(part.documents);
        if *bytes > SNAPSHOT_BYTES_MAX || part.seq != head.seq {
            return Notice::Restart("the snapshot is too large, or of another moment");
        }
        if part.more {
            return Notice::Nothing;
        }
        let (documents, _) = session.snapshot.take().unwrap_or_default();
        self.position = Some(Position { at: Some(part.at), ..head });
        self.documents.replace(documents, self.queue.layers());
        self.journal.whole = true;
        self.news.changes.push(Change::Everything);
        self.confirm_dealt_with();
        Notice::Nothing
    }

    fn event(&mut self, seq: u64, at: Timestamp, event: Event, origin: &Origin) -> Notice {
        let awaits_snapshot =
            self.session.as_ref().is_none_or(|session| session.snapshot.is_some());
        let Some(position) = self.position.clone().filter(|_| !awaits_snapshot) else {
            return Notice::Restart("an event came before the snapshot");
        };
        if seq <= position.seq {
            return Notice::Nothing;
        }
        if seq > position.seq + 1 {
            return Notice::Restart("an event was left out");
        }
        match event {
            Event::Created(collection, document) | Event::Updated(collection, document) => {
                self.commit(Record::Put(collection, document));
            }
            Event::Deleted(collection, id) => self.commit(Record::Gone(collection, id)),
            Event::Converted { draft_id, document } => {
                self.commit(Record::Gone(Collection::Drafts, draft_id));
                self.commit(Record::Put(Collection::Pending, document));
            }
        }
        self.commit(Record::Head(Position { epoch: position.epoch, seq, at: Some(at) }));
        if let Some(number) = self.own(origin) {
            self.commit(Record::Confirmed(number));
        }
        self.confirm_dealt_with();
        Notice::Nothing
    }

    /// The number of the queued command that an event comes from.
    fn own(&self, origin: &Origin) -> Option<u64> {
        let Origin::Device { client_id: Some(client_id), mutation_id: Some(number) } = origin
        else {
            return None;
        };
        let entry = self.queue.get(*number).filter(|_| *client_id == self.client_id)?;
        (!entry.confirmed).then_some(*number)
    }

    /// A command in flight was answered for good. Answers to anything else are ignored.
    fn settle(&mut self, mutation_id: u64, settled: Settled) -> Notice {
        let Some(entry) = self.queue.in_flight(mutation_id) else { return Notice::Nothing };
        // A command that was given up was settled then.
        let is_skip = entry.command == Command::Skip;
        let (key, command) = (entry.key, entry.command.clone());
        self.commit(Record::Settled(mutation_id));
        if !is_skip {
            if let Settled::Rejected(rejection) = &settled {
                self.commit(Record::Rejected { key, command, rejection: rejection.clone() });
            }
            self.news.settled.push((key, settled));
        }
        self.renew_if_due()
    }

    fn refused(&mut self, mutation_id: u64, rejection: Rejection, now: Duration) -> Notice {
        let Some(entry) = self.queue.in_flight(mutation_id) else { return Notice::Nothing };
        if !rejection.code.is_final() {
            return match self.queue.postponed(mutation_id, &rejection, now) {
                Next::Reconnect => Notice::Restart("the server expects another command"),
                Next::Go => self.renew_if_due(),
            };
        }
        let is_gone = rejection.code == RejectionCode::NotFound;
        match &entry.command {
            Command::Delete { id, .. } if is_gone => {
                let id = Some(id.clone());
                self.settle(mutation_id, Settled::Accepted(Accepted { id, ..Accepted::default() }))
            }
            _ => self.settle(mutation_id, Settled::Rejected(rejection)),
        }
    }

    fn error(&mut self, code: &str) -> Notice {
        if code != draftwire_protocol::ErrorCode::BadFrame.name() {
            // A fresh token was refused: the old one stays in force until it ends.
            return Notice::Nothing;
        }
        self.suspect("the server can't read this change");
        Notice::Restart("the server could not read a frame")
    }

    fn suspect(&mut self, why: &str) {
        if let Some(mutation_id) = self.queue.suspect() {
            self.give_up(mutation_id, why);
        }
    }

    /// Moves a command to the rejected ones; a `SKIP` uses up its number.
    fn give_up(&mut self, mutation_id: u64, why: &str) {
        let Some(entry) = self.queue.get(mutation_id) else { return };
        let (key, command) = (entry.key, entry.command.clone());
        let rejection = Rejection::new(RejectionCode::TooLarge, why);
        self.commit(Record::Skipped(mutation_id));
        self.commit(Record::Rejected { key, command, rejection: rejection.clone() });
        self.news.settled.push((key, Settled::Rejected(rejection)));
    }

    fn renew_if_due(&mut self) -> Notice {
        if !self.queue.must_renew() {
            return Notice::Nothing;
        }
        self.renew();
        Notice::Restart("a number was used for another command")
    }

    /// Becomes another device: all unanswered commands are its first ones.
    fn renew(&mut self) {
        let client_id = (self.fresh_id)();
        self.commit(Record::Renumbered { client_id, first: 1 });
    }
}
