//! The committer: one thread that takes whatever commands have queued up and commits them at once.
//!
//! Owns the order of commands and of what comes out of them. Everything waits in one bounded
//! queue; while one commit is on its way to the disk the next batch gathers by itself, so there
//! is no timer and no added latency. Events and answers leave only after the commit. It never
//! touches a socket: deliveries go through the function it was given.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use draftwire_protocol::code::RejectionCode;
use draftwire_protocol::reply::{Outcome, Rejection, frame};
use draftwire_store::{Answer, Applied, Store, StoreError, Submission};
use tokio::sync::oneshot;

use crate::clock::{self, Tick};
use crate::delivery::{ConnectionKey, Delivery, text_frame};
use crate::settings::Settings;
use crate::stats::Stats;
use crate::storage::Storage;

/// Commands in one commit at most: bounds how long the first of them waits for the last.
const BATCH_COMMANDS_MAX: usize = 1_024;
/// Bytes of documents in one commit at most.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What `UNAVAILABLE` tells a device.
const RETRY_AFTER_MILLIS: u64 = 1_000;
/// How often the store is asked to forget what is over age.
const MAINTAIN_EVERY: Duration = Duration::from_secs(60);

/// A command on its way to the store.
pub struct Pending {
    /// The command.
    pub submission: Submission,
    /// Who gets the answer.
    pub reply: Reply,
    /// Set when the device has connected anew before the command reached the store.
    pub cancelled: Option<Arc<AtomicBool>>,
}

/// Who gets an answer.
pub enum Reply {
    /// A device.
    Connection(ConnectionKey),
    /// A caller over HTTP or of the library.
    Caller(oneshot::Sender<Answer>),
}

/// Takes deliveries in commit order.
pub type Deliver = Box<dyn Fn(Vec<Delivery>) + Send + Sync>;
/// Called when the store has failed and what was committed may not have been delivered.
pub type OnFailure = Box<dyn Fn() + Send + Sync>;

enum Item {
    Command(Box<Pending>),
    Fence(oneshot::Sender<()>),
    RenewEpoch { user: Arc<str>, lost: String, done: oneshot::Sender<bool> },
}

/// The queue in front of the store; a cheap handle to it is an `Arc`.
pub struct Committer {
    queue: Mutex<Queue>,
    filled: Condvar,
    stats: Arc<Stats>,
    commands_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    commands: usize,
    bytes: usize,
    /// A batch is being committed or delivered.
    busy: bool,
    stopped: bool,
}

impl Committer {
    /// An empty queue.
    pub fn new(settings: &Settings, stats: Arc<Stats>) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::default(),
            filled: Condvar::new(),
            stats,
            commands_max: settings.queue_commands_max,
            bytes_max: settings.queue_bytes_max,
        })
    }

    /// Queues commands, one behind the other; gives them back where there is no room for all.
    pub fn submit(&self, commands: Vec<Pending>) -> Result<(), Vec<Pending>> {
        let bytes: usize = commands.iter().map(|p| p.submission.command.weight_bytes()).sum();
        let mut queue = self.lock();
        let full = queue.commands + commands.len() > self.commands_max
            || queue.bytes + bytes > self.bytes_max;
        if full || queue.stopped {
            return Err(commands);
        }
        queue.commands += commands.len();
        queue.bytes += bytes;
        self.stats.queue_depth.add(commands.len() as u64);
        queue.items.extend(commands.into_iter().map(|pending| Item::Command(Box::new(pending))));
        self.filled.notify_one();
        Ok(())
    }

    /// Completes when everything queued before has been committed and handed to the deliveries.
    pub async fn fence(&self) {
        let (done, passed) = oneshot::channel();
        self.push(Item::Fence(done));
        // An error means that the committer has stopped: then there is nothing to wait for.
        let _ = passed.await;
    }

    /// The same for a caller that waits by himself, until what is returned has ended in either
    /// way; `None` where nothing is queued.
    pub fn ask_fence(&self) -> Option<oneshot::Receiver<()>> {
        let (done, passed) = oneshot::channel();
        let mut queue = self.lock();
        if queue.stopped || (queue.items.is_empty() && !queue.busy) {
            return None;
        }
        queue.items.push_back(Item::Fence(done));
        self.filled.notify_one();
        Some(passed)
    }

    /// Gives the user a new epoch, if `lost` is still the current one. False where that failed.
    pub async fn renew_epoch(&self, user: Arc<str>, lost: String) -> bool {
        let (done, renewed) = oneshot::channel();
        self.push(Item::RenewEpoch { user, lost, done });
        renewed.await.unwrap_or(false)
    }

    /// Lets the thread end when the queue is empty.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.filled.notify_one();
    }

    fn push(&self, item: Item) {
        let mut queue = self.lock();
        if !queue.stopped {
            queue.items.push_back(item);
            self.filled.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What commits the queue, before anything runs.
    pub fn work(
        self: &Arc<Self>,
        storage: Arc<Storage>,
        deliver: Deliver,
        on_failure: OnFailure,
    ) -> Work {
        let committer = Arc::clone(self);
        Work { committer, storage, deliver, on_failure, maintained: clock::steady() }
    }

    /// Waits for items and takes a batch of them; `None` when stopped and empty. An empty batch
    /// means that nothing came for so long.
    fn take(&self, patience: Duration) -> Option<Vec<Item>> {
        let mut queue = self.lock();
        queue.busy = false;
        let idle = |queue: &mut Queue| queue.items.is_empty() && !queue.stopped;
        let waited = self.filled.wait_timeout_while(queue, patience, idle);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if queue.items.is_empty() && queue.stopped {
            return None;
        }
        let (mut items, mut commands, mut bytes) = (Vec::new(), 0, 0);
        while commands < BATCH_COMMANDS_MAX && bytes < BATCH_BYTES_MAX {
            let Some(item) = queue.items.pop_front() else { break };
            if let Item::Command(pending) = &item {
                commands += 1;
                bytes += pending.submission.command.weight_bytes();
            }
            items.push(item);
        }
        queue.commands -= commands;
        queue.bytes -= bytes;
        queue.busy = !items.is_empty();
        for _ in 0..commands {
            self.stats.queue_depth.decrement();
        }
        Some(items)
    }
}

/// What commits the queue, and delivers what comes of it.
pub struct Work {
    committer: Arc<Committer>,
    storage: Arc<Storage>,
    deliver: Deliver,
    on_failure: OnFailure,
    maintained: Tick,
}

/// A batch that was committed, or refused, and not delivered yet.
pub struct Committed {
    deliveries: Vec<Delivery>,
    after: Vec<Item>,
}

/// Who waits for a command's answer.
struct Waiting {
    user: Arc<str>,
    number: Option<u64>,
    reply: Reply,
}

impl Work {
    /// Starts the thread.
    pub fn start(mut self) -> JoinHandle<()> {
        thread::Builder::new()
            .name("draftwire-committer".into())
            .spawn(move || {
                while self.turn(MAINTAIN_EVERY) {}
                // Nothing more will be committed: the store may go.
                self.storage.close();
            })
            .expect("the system has a thread for the committer")
    }

    /// Waits so long for something to do, commits one batch, and delivers what came of it. False
    /// where the queue was stopped and is empty.
    pub fn turn(&mut self, patience: Duration) -> bool {
        let Some(committed) = self.commit_next(patience) else { return false };
        self.deliver(committed);
        true
    }

    /// The first half of a turn: commits one batch. `None` where the queue was stopped and is empty.
    pub fn commit_next(&mut self, patience: Duration) -> Option<Committed> {
        let items = self.committer.take(patience)?;
        let (mut submissions, mut waiting, mut after) = (Vec::new(), Vec::new(), Vec::new());
        for item in items {
            match item {
                Item::Command(pending) => {
                    if is_cancelled(&pending) {
                        continue;
                    }
                    let Pending { submission, reply, .. } = *pending;
                    let number = submission.number.map(|number| number.mutation_id);
                    waiting.push(Waiting { user: Arc::clone(&submission.user), number, reply });
                    submissions.push(submission);
                }
                other => after.push(other),
            }
        }
        let deliveries = match submissions.is_empty() {
            true => Vec::new(),
            false => self.commit(&submissions, waiting),
        };
        Some(Committed { deliveries, after })
    }

    /// The second half: what was committed is delivered; then those have their turn who waited for
    /// that.
    pub fn deliver(&mut self, committed: Committed) {
        if !committed.deliveries.is_empty() {
            (self.deliver)(committed.deliveries);
        }
        for item in committed.after {
            self.finish(item);
        }
        self.maintain();
    }

    fn commit(&self, submissions: &[Submission], waiting: Vec<Waiting>) -> Vec<Delivery> {
        let stats = &self.committer.stats;
        stats.commands.add(submissions.len() as u64);
        stats.commits.increment();
        let applied = match self.storage.current() {
            Some(store) => guarded(|| store.apply(submissions, clock::wall())),
            None => Err(StoreError::Unavailable("the store is not ready".into())),
        };
        match applied {
            Ok(applied) => deliveries(waiting, applied),
            Err(error) => {
                self.note(&error);
                refusals(waiting)
            }
        }
    }

    /// Reports an error, and after an I/O error lets the store go.
    fn note(&self, error: &StoreError) {
        tracing::error!(%error, "a commit failed");
        if matches!(error, StoreError::Poisoned(_)) {
            self.storage.fail();
            (self.on_failure)();
        }
    }

    fn finish(&self, item: Item) {
        match item {
            Item::Fence(done) => {
                // The one who waited may have gone.
                let _ = done.send(());
            }
            Item::RenewEpoch { user, lost, done } => {
                let renewed = match self.storage.current() {
                    Some(store) => guarded(|| store.renew_epoch(&user, &lost)),
                    None => Err(StoreError::Unavailable("the store is not ready".into())),
                };
                if let Err(error) = &renewed {
                    self.note(error);
                }
                let _ = done.send(renewed.is_ok());
            }
            Item::Command(_) => {}
        }
    }

    fn maintain(&mut self) {
        let now = clock::steady();
        if u128::from(now.since(self.maintained)) < MAINTAIN_EVERY.as_millis() {
            return;
        }
        self.maintained = now;
        let Some(store) = self.storage.current() else { return };
        match guarded(|| store.maintain(clock::wall())) {
            // More is left: go on soon, but let commands pass first.
            Ok(true) => self.maintained = Tick(0),
            Ok(false) => {}
            Err(error) => self.note(&error),
        }
    }
}

fn is_cancelled(pending: &Pending) -> bool {
    pending.cancelled.as_ref().is_some_and(|cancelled| cancelled.load(Ordering::Acquire))
}

/// A panic in a store is a failure of the store, not the end of the committer.
fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(StoreError::Poisoned("the store panicked".into())))
}

fn deliveries(waiting: Vec<Waiting>, applied: Vec<Applied>) -> Vec<Delivery> {
    let mut deliveries = Vec::with_capacity(2 * waiting.len());
    for (waiting, applied) in waiting.into_iter().zip(applied) {
        if let Some(event) = applied.event {
            let frame = text_frame(&event.frame);
            deliveries.push(Delivery::Event { user: waiting.user, seq: event.seq, frame });
        }
        push_answer(&mut deliveries, waiting.reply, applied.answer);
    }
    deliveries
}

fn refusals(waiting: Vec<Waiting>) -> Vec<Delivery> {
    let mut deliveries = Vec::with_capacity(waiting.len());
    for waiting in waiting {
        push_answer(&mut deliveries, waiting.reply, unavailable(waiting.number));
    }
    deliveries
}

fn push_answer(deliveries: &mut Vec<Delivery>, reply: Reply, answer: Answer) {
    match reply {
        Reply::Connection(connection) => {
            let text = frame(answer.name, clock::wall(), &answer.payload);
            let rejected = answer.code.is_some();
            deliveries.push(Delivery::Answer { connection, frame: text_frame(&text), rejected });
        }
        Reply::Caller(caller) => {
            // The caller may have hung up.
            let _ = caller.send(answer);
        }
    }
}

/// The answer where the store can't take a command now.
pub fn unavailable(number: Option<u64>) -> Answer {
    let mut rejection = Rejection::new(
        RejectionCode::Unavailable,
        "the store can't take commands now; send it again, in order",
    );
    rejection.retry_after_ms = Some(RETRY_AFTER_MILLIS);
    Answer::of(&Outcome::Rejected(rejection), number, "".into(), None)
}

/// Asks a store with the same guard as the committer's own calls, for threads that read.
pub fn read<T>(
    storage: &Storage,
    work: impl FnOnce(&dyn Store) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let Some(store) = storage.current() else {
        return Err(StoreError::Unavailable("the store is not ready".into()));
    };
    guarded(|| work(&*store))
}
