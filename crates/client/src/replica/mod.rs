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
//! Nothing leaves while a command, its number or a refusal is not stored. So a number that was used
//! for one command is never used for another one, and a refusal is on disk before the server may
//! forget its answer, whatever crashes.
//!
//! | file | owns |
//! |---|---|
//! | `documents` | the server's documents, the layers over them |
//! | `queue` | unanswered commands, their numbers, what may be sent |
//! | `answers` | what follows from the server's answers |
//! | `recovery` | following the server's documents: welcome, snapshots, events |
//! | `outcome` | what a replica says |
//! | `outgoing` | checking commands, writing their frames |
//! | `incoming`, `fields` | reading the server's frames |
//! | `record` | what is stored, and its JSON |
//! | `restore` | what is written whole, and read back |
//!
//! [`Client`]: crate::Client

mod answers;
mod documents;
mod fields;
mod incoming;
mod outcome;
mod outgoing;
mod queue;
mod record;
mod recovery;
mod restore;

use std::time::Duration;

use draftwire_protocol::{Collection, Command, Document, Limits, Position};

pub use documents::LocalDocument;
pub use fields::Malformed;
pub use outcome::{Accepted, Batch, Change, News, Notice, RejectedChange, Settled, WriteError};
pub use queue::QueueLimits;

use documents::Documents;
use incoming::Incoming;
use queue::{Queue, Sendable};
use record::Record;

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
    /// Number of the last batch that must be stored before anything more is sent.
    urgent: u64,
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
        let limits = self.session.as_ref()?.limits;
        loop {
            if self.awaits_storage() {
                return None;
            }
            match self.queue.send(&limits, now)? {
                Sendable::Frame(frame) => return Some(frame),
                Sendable::TooBig(mutation_id) => {
                    self.give_up(mutation_id, "the change is larger than a frame may be");
                }
            }
        }
    }

    /// True while nothing is sent before something is stored.
    pub fn awaits_storage(&self) -> bool {
        self.journal.stored < self.journal.urgent
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
        if record.is_urgent() {
            self.journal.urgent = self.journal.number;
        }
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
                self.queue.push(key, mutation_id, command);
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
                if let Some(command) = self.queue.skip(mutation_id) {
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
                self.queue.renumber(first);
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
}
