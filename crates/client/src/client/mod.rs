//! The client: a user's documents in step with the server, through lost networks and restarts.
//!
//! Owns the handle that applications hold. Decisions are made in `replica` and `link`, without
//! input or output; here they meet the network, the storage and the clock.
//!
//! | file | owns |
//! |---|---|
//! | `builder` | options, opening |
//! | `collection` | reading and writing documents |
//! | `ticket` | the server's answer to one write |
//! | `status` | the state of the connection |
//! | `subscription` | streams of changes and of the application's own frames |
//! | `shared` | what handles and driver share, behind one lock |
//! | `driver` | the task: storing, connecting, waiting |
//! | `conversation` | one open connection |

mod builder;
mod collection;
mod conversation;
mod driver;
mod shared;
mod status;
mod subscription;
mod ticket;

use std::sync::Arc;
use std::time::Duration;

use draftwire_protocol::Collection;
use tokio::sync::watch;

pub use builder::{ClientBuilder, OpenError};
pub use collection::{Documents, Drafts};
pub use status::{NotReady, Reason, Status};
pub use subscription::{Changes, Messages, Published};
pub use ticket::{NotApplied, Ticket};

use crate::replica::{RejectedChange, WriteError};
use crate::token::TokenSource;
use driver::Wish;
use shared::Shared;

/// A user's documents on this device. Cheap to clone; all clones are one client. When the last is
/// dropped the connection is cut; what was written is stored all the same.
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    wish: watch::Sender<Wish>,
}

impl Client {
    /// Begins with the server's address (`ws://host:port`, with the feature `tls` also `wss://`)
    /// and a source of tokens.
    pub fn builder(url: &str, tokens: impl TokenSource) -> ClientBuilder {
        ClientBuilder::new(url, tokens)
    }

    /// Connects, and stays connected; also after the client has stopped for good. Nothing happens
    /// where it is connected, or about to be.
    pub fn connect(&self) {
        let status = &self.handle.shared.status;
        let was_over = status.send_if_modified(|status| {
            let is_over = status.is_final();
            if is_over {
                *status = Status::Connecting;
            }
            is_over
        });
        let is_other = *self.handle.wish.borrow() == Wish::Disconnect;
        if was_over || is_other {
            self.wish(Wish::Connect);
        }
    }

    /// Disconnects. Changes go on being queued and stored.
    pub fn disconnect(&self) {
        self.wish(Wish::Disconnect);
    }

    /// Disconnects for good, and completes when everything is stored and the storage is free.
    /// Later writes are [`WriteError::Closed`].
    pub async fn close(&self) {
        self.wish(Wish::Close);
        self.handle.wish.closed().await;
    }

    fn wish(&self, wish: Wish) {
        self.handle.wish.send_if_modified(|present| {
            let is_closed = *present == Wish::Close;
            if !is_closed {
                *present = wish;
            }
            !is_closed
        });
    }

    /// The state of the connection, to look at and to wait for.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.handle.shared.status.subscribe()
    }

    /// Completes when the client is connected and has everything up to then.
    ///
    /// # Errors
    ///
    /// Where that takes too long, or the client has stopped.
    pub async fn ready(&self, patience: Duration) -> Result<(), NotReady> {
        let mut status = self.status();
        let waiting =
            status.wait_for(|status| *status == Status::Connected || self.is_over(status));
        let reached = tokio::time::timeout(patience, waiting).await.map(|status| {
            // The sender lives as long as this handle.
            status.map_or(Status::Connecting, |status| status.clone())
        });
        match reached {
            Ok(Status::Connected) => Ok(()),
            Ok(status) => Err(NotReady::Stopped(status)),
            Err(_) => Err(NotReady::TimedOut(status.borrow().clone())),
        }
    }

    /// True where the client has stopped. Right after `connect` the old state may still stand.
    fn is_over(&self, status: &Status) -> bool {
        let is_old = matches!(status, Status::Disconnected { reason: Reason::NotWanted, .. });
        status.is_final() && !(is_old && *self.handle.wish.borrow() == Wish::Connect)
    }

    /// The drafts.
    pub fn drafts(&self) -> Drafts<'_> {
        Drafts(self.documents(Collection::Drafts))
    }

    /// The pending orders.
    pub fn pending(&self) -> Documents<'_> {
        self.documents(Collection::Pending)
    }

    fn documents(&self, collection: Collection) -> Documents<'_> {
        Documents { shared: &self.handle.shared, collection, if_version: None }
    }

    /// What changes from now on in either collection, by whomever.
    pub fn changes(&self) -> Changes {
        Changes(self.handle.shared.changes.subscribe())
    }

    /// The frames that the application's backend publishes from now on.
    pub fn messages(&self) -> Messages {
        Messages(self.handle.shared.messages.subscribe())
    }

    /// Changes that the server has not answered, sent or not.
    pub fn unanswered(&self) -> usize {
        self.handle.shared.with(|replica| replica.unanswered())
    }

    /// The changes that the server has refused for good, oldest first, until they are retried or
    /// discarded. Of more than [`QueueLimits::rejected_max`] the oldest are dropped.
    ///
    /// [`QueueLimits::rejected_max`]: crate::QueueLimits::rejected_max
    pub fn rejected(&self) -> Vec<RejectedChange> {
        self.handle.shared.with(|replica| replica.rejected().to_vec())
    }

    /// Queues a refused change once more, as a new one.
    ///
    /// # Errors
    ///
    /// Where there is none with this key, too much is queued, or the client is closed.
    pub fn retry(&self, key: u64) -> Result<Ticket, WriteError> {
        let change = self.rejected().into_iter().find(|change| change.key == key);
        let id = change.map(|change| change.document_id().to_owned()).unwrap_or_default();
        self.handle.shared.write(&id, |replica| replica.retry(key))
    }

    /// Takes a refused change off the list.
    ///
    /// # Errors
    ///
    /// Where there is none with this key, or the client is closed.
    pub fn discard(&self, key: u64) -> Result<(), WriteError> {
        if self.handle.wish.is_closed() {
            return Err(WriteError::Closed);
        }
        let discarded = self.handle.shared.with(|replica| replica.discard(key));
        self.handle.shared.wake.notify_one();
        discarded
    }

    /// The device's name. It changes where the server has lost track of the device.
    pub fn client_id(&self) -> String {
        self.handle.shared.with(|replica| replica.client_id().to_owned())
    }
}
