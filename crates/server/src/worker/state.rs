//! What a worker carries, and its turns: jobs and socket events in, one write per socket out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use draftwire_protocol::{CloseCode, reply};
use mio::Registry;
use mio::event::Event;
use tokio::sync::oneshot;

use super::connection::{Connection, Fate};
use super::fanout::Broadcasts;
use super::job::{ConnectionInfo, Job, Newcomer, RecoveryAsk, Which};
use super::slots::Slots;
use crate::clock::{Now, Tick};
use crate::delivery::{ConnectionKey, text_frame};
use crate::progress::ProgressJobs;
use crate::session::{Desk, Endpoint};

/// Starts reading a recovery; its frames come back as a job.
pub type StartRecovery = Box<dyn Fn(RecoveryAsk) + Send + Sync>;

/// How finely time is told apart in sweeps.
const SWEEP_MILLIS: u64 = 50;
/// How often users are forgotten of whom nobody is left.
const TIDY_MILLIS: u64 = 10_000;
/// Bytes read from a socket at once; one buffer serves all connections of a worker.
const READ_BUFFER_BYTES: usize = 64 * 1024;

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
    fn is_forgotten(&self) -> bool {
        self.connections.is_empty() && self.waiting.iter().all(oneshot::Sender::is_closed)
    }
}

pub(super) struct State {
    index: u16,
    registry: Registry,
    pub(super) desk: Arc<Desk>,
    progress: Arc<ProgressJobs>,
    start_recovery: StartRecovery,
    pub(super) slots: Slots,
    pub(super) users: HashMap<Arc<str>, User>,
    /// Connections to settle in this turn.
    pub(super) touched: Vec<u32>,
    /// Connections that have more to read.
    ready: Vec<u32>,
    pub(super) broadcasts: Broadcasts,
    read_buffer: Box<[u8]>,
    scratch: Vec<u8>,
    swept: Tick,
    tidied: Tick,
    draining: bool,
    asleep: bool,
    stopped: bool,
}

impl State {
    pub(super) fn new(
        index: u16,
        registry: Registry,
        desk: Arc<Desk>,
        progress: Arc<ProgressJobs>,
        start_recovery: StartRecovery,
    ) -> Self {
        Self {
            index,
            registry,
            desk,
            progress,
            start_recovery,
            slots: Slots::default(),
            users: HashMap::new(),
            touched: Vec::new(),
            ready: Vec::new(),
            broadcasts: Broadcasts::default(),
            read_buffer: vec![0; READ_BUFFER_BYTES].into(),
            scratch: Vec::new(),
            swept: Tick(0),
            tidied: Tick(0),
            draining: false,
            asleep: false,
            stopped: false,
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// True where a further turn should follow at once.
    pub(super) fn has_left_over(&self) -> bool {
        !self.ready.is_empty() || !self.broadcasts.is_empty()
    }

    /// The worker's thread waits for sockets only, without an end.
    pub(super) fn set_asleep(&mut self, asleep: bool) {
        self.asleep = asleep;
    }

    /// True where it does, although there is something to sweep by now.
    pub(super) fn has_overslept(&self) -> bool {
        self.asleep && !self.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.slots.count() == 0 && self.users.is_empty()
    }

    /// When the worker's thread must look again even if nothing comes.
    pub(super) fn sweep_in(&self, now: Now) -> Option<Duration> {
        let next = self.swept.after(SWEEP_MILLIS);
        (!self.is_empty()).then(|| Duration::from_millis(next.since(now.steady)))
    }

    pub(super) fn handle(&mut self, job: Job, now: Now) {
        match job {
            Job::Register(newcomer) => self.register(*newcomer, now),
            Job::Recovered { key, frames, seq, reserved } => {
                if let Some(connection) = self.slots.find(key) {
                    let Connection { session, outbox, .. } = connection;
                    session.recovered(frames, seq, reserved, outbox, now);
                    self.touch(key.index);
                }
            }
            Job::Close { key, code } => {
                if self.slots.find(key).is_some() {
                    self.close(key.index, code, now);
                }
            }
            Job::Deliver(deliveries) => self.deliver(deliveries),
            Job::Publish { endpoint, audience, frame, count } => {
                self.publish(endpoint, audience, frame, count);
            }
            Job::EpochRenewed { user, except } => self.epoch_renewed(&user, except, now),
            Job::List { user, connections } => {
                // The one who asked may have gone.
                let _ = connections.send(self.list(&user));
            }
            Job::Disconnect { user, which, code, count } => {
                let _ = count.send(self.disconnect(&user, &which, code, now));
            }
            Job::AwaitEvent { user, passed } => {
                if !self.draining {
                    let user = self.users.entry(user).or_default();
                    user.waiting.retain(|waiting| !waiting.is_closed());
                    user.waiting.push(passed);
                }
            }
            Job::CloseAll(code) => {
                for index in 0..self.slots.len() {
                    self.close(index, code, now);
                }
            }
            Job::Drain { after_ms } => self.drain(after_ms, now),
            Job::Stop => self.stop(),
        }
    }

    fn register(&mut self, newcomer: Newcomer, now: Now) {
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
                let joining = Some(Box::new(hello));
                (self.start_recovery)(RecoveryAsk { key, user, joining, seq: 0 });
            }
            Endpoint::Progress => {
                let frames = self.progress.current(&user, now.steady);
                let Some(connection) = self.slots.get(index) else { return };
                for frame in frames {
                    connection.session.publish(&frame, &mut connection.outbox);
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

    fn remove(&mut self, index: u32) {
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

    pub(super) fn touch(&mut self, index: u32) {
        if let Some(connection) = self.slots.get(index)
            && !connection.touched
        {
            connection.touched = true;
            self.touched.push(index);
        }
    }

    fn close(&mut self, index: u32, code: CloseCode, now: Now) {
        if let Some(Connection { session, outbox, .. }) = self.slots.get(index) {
            session.close(code, outbox, &self.desk, now.steady);
            let due = session.due();
            self.slots.set_due(index, due);
            self.touch(index);
        }
    }

    fn epoch_renewed(&mut self, user: &str, except: Option<ConnectionKey>, now: Now) {
        for index in self.places_of(user) {
            let realtime = self.slots.get(index).is_some_and(|connection| {
                Some(connection.key) != except && connection.session.endpoint == Endpoint::Realtime
            });
            if realtime {
                self.close(index, CloseCode::Restart, now);
            }
        }
    }

    fn list(&mut self, user: &str) -> Vec<ConnectionInfo> {
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

    fn disconnect(&mut self, user: &str, which: &Which, code: CloseCode, now: Now) -> usize {
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

    fn drain(&mut self, after_ms: u64, now: Now) {
        self.draining = true;
        for user in self.users.values_mut() {
            // Dropping the senders tells the waiting callers.
            user.waiting.clear();
        }
        for index in 0..self.slots.len() {
            let Some(Connection { session, outbox, .. }) = self.slots.get(index) else { continue };
            // Spread evenly over the second half, so that the clients do not return as one.
            let after_ms = after_ms + u64::from(index % 64) * after_ms / 64;
            let text = reply::reconnect(after_ms, "restart", now.wall);
            session.drain(text_frame(&text), outbox);
            self.touch(index);
        }
    }

    fn stop(&mut self) {
        for index in 0..self.slots.len() {
            self.remove(index);
        }
        self.stopped = true;
    }

    /// The system tells of a socket.
    pub(super) fn socket_event(&mut self, event: &Event, now: Now) {
        let Some(connection) = self.slots.by_token(event.token().0) else { return };
        let readable = event.is_readable() || event.is_read_closed() || event.is_error();
        connection.notice(readable, event.is_writable(), now);
        let index = connection.key.index;
        if readable {
            self.read(index, now);
        }
        self.touch(index);
    }

    fn read(&mut self, index: u32, now: Now) {
        let Some(connection) = self.slots.get(index) else { return };
        match connection.read(&mut self.read_buffer, &self.desk, now) {
            Fate::Open => {}
            Fate::Ready => self.ready.push(index),
            Fate::Gone => self.remove(index),
        }
    }

    /// What the worker's own thread does besides jobs and sockets: left-over reads, a slice of
    /// each broadcast, the sweep.
    pub(super) fn go_on(&mut self, now: Now) {
        for index in std::mem::take(&mut self.ready) {
            self.read(index, now);
            self.touch(index);
        }
        self.broadcast_slice();
        if now.steady.since(self.swept) >= SWEEP_MILLIS {
            self.swept = now.steady;
            self.sweep(now);
        }
        if now.steady.since(self.tidied) >= TIDY_MILLIS {
            self.tidied = now.steady;
            self.users.retain(|_, user| !user.is_forgotten());
        }
    }

    fn sweep(&mut self, now: Now) {
        for index in self.slots.due(now.steady) {
            let Some(Connection { session, outbox, .. }) = self.slots.get(index) else { continue };
            if session.tick(outbox, &self.desk, now) {
                let due = session.due();
                self.slots.set_due(index, due);
                self.touch(index);
            } else {
                self.remove(index);
            }
        }
    }

    /// Writes to every touched connection, and goes on with what that makes possible.
    pub(super) fn settle(&mut self, now: Now) {
        while let Some(index) = self.touched.pop() {
            let Some(connection) = self.slots.get(index) else { continue };
            connection.touched = false;
            if connection.flush(&mut self.scratch) == Fate::Gone || connection.is_finished() {
                self.remove(index);
                continue;
            }
            if connection.is_over_bound() {
                connection.close_slow(&self.desk, now);
                self.touch(index);
                continue;
            }
            self.advance(index, now);
        }
    }

    /// After a write: recovery goes on or ends, a pause in reading ends, a drained connection is
    /// closed.
    fn advance(&mut self, index: u32, now: Now) {
        let Some(connection) = self.slots.get(index) else { return };
        if connection.session.is_catching_up() && connection.outbox.is_empty() {
            let user = connection.session.user();
            let fanned = self.users.get(&user).map_or(0, |user| user.fanned);
            let Connection { session, outbox, key, .. } = connection;
            let read_on = session.recovery_taken(fanned, outbox);
            if let Some(seq) = read_on {
                (self.start_recovery)(RecoveryAsk { key: *key, user, joining: None, seq });
            } else if !outbox.is_empty() {
                self.touch(index);
            }
        }
        let Some(connection) = self.slots.get(index) else { return };
        if connection.session.is_drained() {
            return self.close(index, CloseCode::Restart, now);
        }
        if connection.wants_reading(&self.desk) {
            self.read(index, now);
        }
        let Some(connection) = self.slots.get(index) else { return };
        let (due, waits) = (connection.session.due(), !connection.outbox.is_empty());
        let finished = connection.is_finished();
        self.slots.set_due(index, due);
        if finished || (waits && self.slots.get(index).is_some_and(|c| !c.is_blocked())) {
            self.touch(index);
        }
    }
}
