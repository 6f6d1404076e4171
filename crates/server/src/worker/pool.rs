//! The pool: user → connections. Who comes, who goes, who is there.
//!
//! Owns the list of each user and the counting of connections; what is sent to them is the
//! fan-out's business.

use std::sync::Arc;

use draftwire_protocol::CloseCode;
use tokio::sync::oneshot;

use super::connection::Connection;
use super::job::{ConnectionInfo, Newcomer, RecoveryAsk, Which};
use super::state::State;
use crate::clock::Now;
use crate::compression::SharedFrame;
use crate::delivery::ConnectionKey;
use crate::session::Endpoint;

/// A user with at least one connection here.
#[derive(Default)]
pub(super) struct User {
    /// Places of his connections, of all endpoints.
    pub(super) connections: Vec<u32>,
    /// The last event that passed since the first of them came.
    pub(super) fanned: u64,
    /// Callers of `GET /api/sync` who wait for the next event.
    pub(super) waiting: Vec<oneshot::Sender<()>>,
}

impl User {
    /// True where nobody is connected and nobody waits.
    pub(super) fn is_forgotten(&self) -> bool {
        self.connections.is_empty() && self.waiting.iter().all(oneshot::Sender::is_closed)
    }
}

impl State {
    pub(super) fn register(&mut self, newcomer: Newcomer, now: Now) {
        let hello = newcomer.hello.clone();
        let (worker, desk) = (self.index, Arc::clone(&self.desk));
        let index = self.slots.insert(|index, generation| {
            let key = ConnectionKey { worker, index, generation };
            Box::new(Connection::new(newcomer, key, &desk, now))
        });
        let Some(connection) = self.slots.get(index) else { return };
        let (key, user) = (connection.key, connection.session.user());
        if let Err(error) = connection.register(&self.registry) {
            tracing::error!(%error, "a connection can't be waited for and is dropped");
            self.slots.remove(index);
            return;
        }
        let due = connection.session.due();
        self.slots.set_due(index, due);
        if self.draining {
            self.join(index, &user, hello.endpoint);
            return self.close(index, CloseCode::Restart, now);
        }
        if hello.endpoint == Endpoint::Realtime && hello.named {
            self.replace(&user, &hello.client_id, now);
        }
        self.join(index, &user, hello.endpoint);
        match hello.endpoint {
            Endpoint::Realtime => {
                // What answers the handshake waits for the recovery: both leave in one write.
                let compression = hello.compression;
                let joining = Some(Box::new(hello));
                let ask = RecoveryAsk { key, user, joining, seq: 0, compression };
                return (self.start_recovery)(ask);
            }
            Endpoint::Progress => {
                let frames = self.progress.current(&user, now.steady);
                let Some(connection) = self.slots.get(index) else { return };
                for frame in frames {
                    let mut frame = SharedFrame::new(frame);
                    connection.session.publish(&mut frame, &mut connection.outbox);
                }
            }
            Endpoint::Echo => {}
        }
        self.touch(index);
    }

    /// A device that connects anew takes the place of its older connection.
    fn replace(&mut self, user: &str, client_id: &str, now: Now) {
        for index in self.places_of(user) {
            let Some(connection) = self.slots.get(index) else { continue };
            let session = &connection.session;
            if session.endpoint == Endpoint::Realtime
                && session.named
                && *session.client_id == *client_id
            {
                session.cancel_commands();
                self.close(index, CloseCode::Replaced, now);
            }
        }
    }

    fn join(&mut self, index: u32, name: &Arc<str>, endpoint: Endpoint) {
        if !name.is_empty() {
            // Nothing is ever addressed to clients without a user, so they need no list.
            self.users.entry(Arc::clone(name)).or_default().connections.push(index);
        }
        let stats = &self.desk.stats;
        match endpoint {
            Endpoint::Realtime => {
                stats.connections.increment();
                if self.realtime_connections_of(name) == 1 {
                    self.desk.stats.users.increment();
                }
            }
            Endpoint::Progress => stats.progress_connections.increment(),
            Endpoint::Echo => {}
        }
    }

    fn realtime_connections_of(&mut self, name: &str) -> usize {
        let Some(user) = self.users.get(name) else { return 0 };
        let Self { slots, .. } = self;
        let realtime = |index: &&u32| {
            slots.get(**index).is_some_and(|c| c.session.endpoint == Endpoint::Realtime)
        };
        user.connections.iter().filter(realtime).count()
    }

    pub(super) fn remove(&mut self, index: u32) {
        let Some(connection) = self.slots.get(index) else { return };
        connection.socket().deregister(&self.registry);
        let (endpoint, name) = (connection.session.endpoint, connection.session.user());
        if let Some(user) = self.users.get_mut(&name) {
            user.connections.retain(|place| *place != index);
        }
        self.slots.remove(index);
        let stats = Arc::clone(&self.desk.stats);
        match endpoint {
            Endpoint::Realtime => {
                stats.connections.decrement();
                if self.realtime_connections_of(&name) == 0 {
                    stats.users.decrement();
                }
            }
            Endpoint::Progress => stats.progress_connections.decrement(),
            Endpoint::Echo => {}
        }
        if self.users.get(&name).is_some_and(User::is_forgotten) {
            self.users.remove(&name);
        }
    }

    pub(super) fn places_of(&self, user: &str) -> Vec<u32> {
        self.users.get(user).map(|user| user.connections.clone()).unwrap_or_default()
    }

    pub(super) fn epoch_renewed(&mut self, user: &str, except: Option<ConnectionKey>, now: Now) {
        for index in self.places_of(user) {
            let realtime = self.slots.get(index).is_some_and(|connection| {
                Some(connection.key) != except && connection.session.endpoint == Endpoint::Realtime
            });
            if realtime {
                self.close(index, CloseCode::Restart, now);
            }
        }
    }

    pub(super) fn list(&mut self, user: &str) -> Vec<ConnectionInfo> {
        let mut connections = Vec::new();
        for index in self.places_of(user) {
            let Some(connection) = self.slots.get(index) else { continue };
            let session = &connection.session;
            if !session.is_closing() {
                connections.push(ConnectionInfo {
                    connection_id: Arc::clone(&session.connection_id),
                    client_id: Arc::clone(&session.client_id),
                    endpoint: session.endpoint,
                    expires_at: session.identity.as_ref().map(|identity| identity.expires_at),
                    connected_at: connection.connected_at,
                });
            }
        }
        connections
    }

    pub(super) fn disconnect(
        &mut self,
        user: &str,
        which: &Which,
        code: CloseCode,
        now: Now,
    ) -> usize {
        if let Some(user) = self.users.get_mut(user) {
            // Dropping the senders lets waiting callers look at their tokens again.
            user.waiting.clear();
        }
        let mut count = 0;
        for index in self.places_of(user) {
            let Some(connection) = self.slots.get(index) else { continue };
            let session = &connection.session;
            let meant = match which {
                Which::All => true,
                Which::Connection(id) => *session.connection_id == **id,
                Which::Tokens(covers) => session.identity.as_ref().is_some_and(covers),
            };
            if meant && !session.is_closing() {
                self.close(index, code, now);
                count += 1;
            }
        }
        count
    }
}
