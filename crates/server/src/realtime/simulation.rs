//! The server step by step in one thread, for a simulation that decides what happens next.
//!
//! The parts are those of every server, tied together as always; only who calls them, and when, is
//! left to the caller instead of to threads. Time is what [`crate::clock::simulated`] was set to.
//! Owns nothing that decides anything.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use draftwire_store::{Answer, Store, Submission};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::builder::Parts;
use super::worker_of;
use crate::auth::{Gate, Verifier};
use crate::committer::{Committed, Pending, Reply};
use crate::recovery::ReadCrowd;
use crate::session::Hello;
use crate::settings::Settings;
use crate::storage::Storage;
use crate::worker::{Job, Newcomer, Socket};

/// A server whose every step is asked for.
pub struct Simulation {
    parts: Parts,
    storage: Arc<Storage>,
    /// What was committed and not delivered.
    committed: Option<Committed>,
    /// Runs what is asynchronous; entered whenever a part may start a task.
    runtime: Runtime,
}

/// What was read for devices that join, and was not handed over yet.
pub struct ReadJoining(ReadCrowd);

impl Simulation {
    /// A server on a store that is open. A commit's deliveries are worked off at once where there
    /// are at most `at_once_max` for a worker, otherwise they wait for its next turn.
    ///
    /// # Errors
    ///
    /// Settings that contradict each other, or no more descriptors.
    pub fn start(
        settings: Settings,
        verifier: Arc<dyn Verifier>,
        store: Arc<dyn Store>,
        at_once_max: usize,
    ) -> Result<Self, String> {
        settings.check()?;
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
        let entered = runtime.enter();
        let storage = Storage::holding(store);
        let held = Some(Arc::clone(&storage));
        let parts = Parts::new(settings, Gate::new(verifier), held, at_once_max)?;
        drop(entered);
        Ok(Self { parts, storage, committed: None, runtime })
    }

    /// A device has passed the handshake.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub fn connect(&mut self, hello: Hello, stream: UnixStream) -> std::io::Result<()> {
        let _entered = self.runtime.enter();
        stream.set_nonblocking(true)?;
        let settings = &self.parts.desk.settings;
        let (message_bytes_max, outbox_bytes_max) =
            (settings.limits.frame_bytes, settings.outbox_bytes_max);
        let user = hello.identity.as_ref().map_or("", |identity| &*identity.user);
        let (worker, _) = &self.parts.workers[worker_of(user, self.parts.workers.len())];
        worker.push(Job::Register(Box::new(Newcomer {
            socket: Socket::Pair(mio::net::UnixStream::from_std(stream)),
            leftover: Vec::new(),
            greeting: bytes::Bytes::new(),
            hello,
            seat: None,
            message_bytes_max,
            outbox_bytes_max,
        })));
        Ok(())
    }

    /// Queues commands of somebody who calls over HTTP; the answers come when they are committed.
    pub fn submit(&mut self, submissions: Vec<Submission>) -> Vec<oneshot::Receiver<Answer>> {
        let (mut answers, mut pending) = (Vec::new(), Vec::new());
        for submission in submissions {
            let (reply, answer) = oneshot::channel();
            answers.push(answer);
            pending.push(Pending { submission, reply: Reply::Caller(reply), cancelled: None });
        }
        if let Some((side, _)) = &self.parts.store {
            drop(side.committer.submit(pending));
        }
        answers
    }

    /// The committer's turn: one batch is committed, or else the last one is delivered.
    pub fn commit(&mut self) {
        let _entered = self.runtime.enter();
        let Some((_, commits)) = &mut self.parts.store else { return };
        match self.committed.take() {
            Some(committed) => commits.deliver(committed),
            None => self.committed = commits.commit_next(Duration::ZERO),
        }
    }

    /// The worker's own thread has a turn: it looks for bytes and jobs and deals with them.
    pub fn work(&mut self, index: usize) {
        let _entered = self.runtime.enter();
        let (worker, ears) = &mut self.parts.workers[index];
        ears.only_look();
        worker.listen(ears);
    }

    /// Number of workers.
    pub fn workers(&self) -> usize {
        self.parts.workers.len()
    }

    /// The reading thread's turn, first half: takes those who join, waits for what they have sent
    /// before (`wait` is called until it is committed, and has to let the committer have turns, or
    /// say false where that will never be), and reads. `None` where nobody joins.
    pub fn read_joining(&mut self, mut wait: impl FnMut(&mut Self) -> bool) -> Option<ReadJoining> {
        let crowd = self.parts.recoveries.take_now();
        if crowd.is_empty() {
            return None;
        }
        if let Some(mut fence) = self.parts.recoveries.fence() {
            while fence.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
                if !wait(self) {
                    return None;
                }
            }
        }
        let _entered = self.runtime.enter();
        let (side, _) = self.parts.store.as_ref()?;
        Some(ReadJoining(self.parts.recoveries.read(crowd, &side.reads)))
    }

    /// Its second half: what was read is handed to the workers.
    pub fn hand_over(&mut self, read: ReadJoining) {
        let _entered = self.runtime.enter();
        self.parts.recoveries.hand_over_crowd(read.0);
    }

    /// Tasks have a turn each.
    pub fn run_tasks(&mut self) {
        self.runtime.block_on(tokio::task::yield_now());
    }

    /// True where the store has failed and nobody is served.
    pub fn has_failed(&self) -> bool {
        self.parts.store.as_ref().is_some_and(|(side, _)| !side.reads.is_ready())
    }

    /// The store was opened anew after a failure.
    pub fn reopened(&mut self, store: Arc<dyn Store>) {
        self.storage.hold(store);
    }

    /// A shutdown begins: devices are told, and closed when they have been answered.
    pub fn drain(&mut self) {
        let _entered = self.runtime.enter();
        for (worker, _) in &self.parts.workers {
            worker.push(Job::Drain { after_ms: 1_000 });
        }
    }
}
