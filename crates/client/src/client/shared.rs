//! What the handles and the driver of one client share.
//!
//! Owns the one lock around the replica. It is held for the time of a call and never across an
//! await; news is published under it, so that readers get it in the order in which it happened.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Notify, broadcast, oneshot, watch};

use super::status::{Reason, Status};
use super::subscription::Published;
use super::ticket::Ticket;
use crate::replica::{Change, Replica, Settled, WriteError};

/// News that a slow reader may leave unread.
const NEWS_MAX: usize = 1024;

pub(super) struct Shared {
    state: Mutex<State>,
    /// Something was written.
    pub(super) wake: Notify,
    pub(super) status: watch::Sender<Status>,
    pub(super) changes: broadcast::Sender<Change>,
    pub(super) messages: broadcast::Sender<Published>,
}

struct State {
    replica: Replica,
    tickets: HashMap<u64, oneshot::Sender<Settled>>,
    /// `None` when the client is closed.
    saved: Option<watch::Sender<u64>>,
}

impl Shared {
    pub(super) fn new(replica: Replica) -> Self {
        let reason = Reason::NotWanted;
        let saved = Some(watch::channel(0).0);
        Self {
            state: Mutex::new(State { replica, tickets: HashMap::new(), saved }),
            wake: Notify::new(),
            status: watch::channel(Status::Disconnected { reason, retry: None }).0,
            changes: broadcast::channel(NEWS_MAX).0,
            messages: broadcast::channel(NEWS_MAX).0,
        }
    }

    /// Works with the replica and publishes what has changed.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut Replica) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut state.replica);
        self.publish(&mut state);
        result
    }

    /// Queues a command and hands out its ticket.
    pub(super) fn write(
        &self,
        id: &str,
        work: impl FnOnce(&mut Replica) -> Result<u64, WriteError>,
    ) -> Result<Ticket, WriteError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let saved = state.saved.as_ref().ok_or(WriteError::Closed)?.subscribe();
        let key = work(&mut state.replica)?;
        let (settled, answer) = oneshot::channel();
        state.tickets.insert(key, settled);
        self.publish(&mut state);
        drop(state);
        self.wake.notify_one();
        Ok(Ticket { id: id.to_owned(), key, answer, saved })
    }

    fn publish(&self, state: &mut State) {
        let news = state.replica.take_news();
        for change in news.changes {
            // Nobody may be listening.
            let _ = self.changes.send(change);
        }
        for (key, settled) in news.settled {
            if let Some(ticket) = state.tickets.remove(&key) {
                // The one who asked may have dropped the ticket.
                let _ = ticket.send(settled);
            }
        }
    }

    /// A batch is stored, and with it all commands with a lower key.
    pub(super) fn stored(&self, number: u64, keys_below: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.replica.stored(number);
        if let Some(saved) = &state.saved {
            saved.send_replace(keys_below);
        }
    }

    /// Nothing is written any more; open tickets are interrupted.
    pub(super) fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.saved = None;
        state.tickets.clear();
    }
}
