//! What a worker carries, and its turns: jobs and socket events in, one write per socket out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use draftwire_protocol::{CloseCode, reply};
use mio::Registry;
use mio::event::Event;

use super::connection::{Connection, Fate};
use super::fanout::Broadcasts;
use super::job::{Job, RecoveryAsk};
use super::pool::User;
use super::slots::Slots;
use crate::clock::{Now, Tick};
use crate::delivery::text_frame;
use crate::progress::ProgressJobs;
use crate::session::Desk;

/// Starts reading a recovery; its frames come back as a job.
pub type StartRecovery = Box<dyn Fn(RecoveryAsk) + Send + Sync>;

/// How finely time is told apart in sweeps.
const SWEEP_MILLIS: u64 = 50;
/// How often users are forgotten of whom nobody is left.
const TIDY_MILLIS: u64 = 10_000;
/// Bytes read from a socket at once; one buffer serves all connections of a worker.
const READ_BUFFER_BYTES: usize = 64 * 1024;

pub(super) struct State {
    pub(super) index: u16,
    pub(super) registry: Registry,
    pub(super) desk: Arc<Desk>,
    pub(super) progress: Arc<ProgressJobs>,
    pub(super) start_recovery: StartRecovery,
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
    pub(super) draining: bool,
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
            // Its thread begins by waiting without an end.
            asleep: true,
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
                    self.desk.stats.messages_out.add(frames.len() as u64);
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

    pub(super) fn touch(&mut self, index: u32) {
        if let Some(connection) = self.slots.get(index)
            && !connection.touched
        {
            connection.touched = true;
            self.touched.push(index);
        }
    }

    pub(super) fn close(&mut self, index: u32, code: CloseCode, now: Now) {
        if let Some(Connection { session, outbox, .. }) = self.slots.get(index) {
            session.close(code, outbox, &self.desk, now.steady);
            let due = session.due();
            self.slots.set_due(index, due);
            self.touch(index);
        }
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
        let Some(connection) = self.slots.by_token(event.token()) else { return };
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
            let gone = connection.flush(&mut self.scratch) == Fate::Gone
                || connection.await_writing(&self.registry) == Fate::Gone;
            if gone || connection.is_finished() {
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
                let compression = session.compression;
                let ask = RecoveryAsk { key: *key, user, joining: None, seq, compression };
                (self.start_recovery)(ask);
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
