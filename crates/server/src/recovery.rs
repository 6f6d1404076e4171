//! Bringing connections up to the head: asks the store, hands the frames to the worker.
//!
//! A thread of its own takes whatever devices have come meanwhile and reads what they missed in one
//! transaction, so that a crowd costs little more than one. What is large, waits for memory, finds
//! a lost history, or has fallen behind while it caught up, gets a short task instead. What is read
//! is bounded in bytes over all connections, and the transaction is over before a socket is waited
//! for.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use draftwire_protocol::CloseCode;
use draftwire_protocol::reply::{Recovery, SnapshotReason};
use draftwire_store::contract::Ask;
use draftwire_store::{Page, Plan, Recovered, StoreError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::clock;
use crate::committer::Committer;
use crate::delivery::ConnectionKey;
use crate::reads::{Memory, Reads};
use crate::session::{Desk, Hello, recovery};
use crate::worker::{Job, RecoveryAsk, Worker};

/// Devices whose recoveries are read in one transaction at most.
const CROWD_MAX: usize = 64;
/// Longest pause between two full crowds.
const PAUSE_MAX: Duration = Duration::from_millis(20);
/// A recovery that may take more than this is read by a task of its own.
const SMALL_BYTES_MAX: u64 = 64 * 1024;

/// Devices that join at one moment.
pub(crate) type Crowd = Vec<(ConnectionKey, Box<Hello>)>;

/// What was read for each of a crowd; `None` for one that is to be read for alone.
pub(crate) struct ReadCrowd {
    crowd: Crowd,
    answers: Result<Vec<Option<Recovered>>, CloseCode>,
}

/// Devices that have come and wait for what they missed; at most one entry a connection.
#[derive(Default)]
struct Queue {
    joining: VecDeque<(ConnectionKey, Box<Hello>)>,
    stopped: bool,
}

/// Reads recoveries for all workers.
pub struct Recoveries {
    desk: Arc<Desk>,
    /// Absent in relay mode.
    reads: Option<Arc<Reads>>,
    memory: Memory,
    queue: Mutex<Queue>,
    filled: Condvar,
    /// Weak, since the workers hold this.
    workers: OnceLock<Vec<Weak<Worker>>>,
    runtime: Handle,
}

impl Recoveries {
    /// Runs its tasks on the current runtime.
    pub fn new(desk: Arc<Desk>, reads: Option<Arc<Reads>>) -> Arc<Self> {
        Arc::new(Self {
            memory: Memory::new(desk.settings.recovery_bytes_max),
            desk,
            reads,
            queue: Mutex::default(),
            filled: Condvar::new(),
            workers: OnceLock::new(),
            runtime: Handle::current(),
        })
    }

    /// Makes the workers known to which frames are handed.
    pub fn set_workers(&self, workers: Vec<Weak<Worker>>) {
        if self.workers.set(workers).is_err() {
            tracing::error!("the workers were made known twice");
        }
    }

    /// Starts reading.
    pub fn start(self: &Arc<Self>, ask: RecoveryAsk) {
        let key = ask.key;
        match ask.joining {
            Some(hello) if self.reads.is_none() => {
                let job = self.relay_welcome(key, &hello);
                self.hand_over(job, key);
            }
            Some(hello) => {
                self.lock().joining.push_back((key, hello));
                self.filled.notify_one();
            }
            None => {
                let recoveries = Arc::clone(self);
                self.runtime.spawn(async move {
                    let job = recoveries.read_on(&ask).await;
                    recoveries.finish(job, key);
                });
            }
        }
    }

    /// Starts the thread that reads for those who join; `None` in relay mode.
    pub fn run(self: &Arc<Self>) -> std::io::Result<Option<JoinHandle<()>>> {
        let Some(reads) = self.reads.clone() else { return Ok(None) };
        let recoveries = Arc::clone(self);
        let thread = thread::Builder::new().name("draftwire-recovery".into()).spawn(move || {
            while let Some(crowd) = recoveries.take() {
                let (more_wait, begun) = (crowd.len() == CROWD_MAX, Instant::now());
                if let Some(fence) = recoveries.fence() {
                    // An error means that the committer has stopped: nothing is to be waited for.
                    let _ = fence.blocking_recv();
                }
                let read = recoveries.read(crowd, &reads);
                recoveries.hand_over_crowd(read);
                if more_wait {
                    // When everybody comes back at once, those who are there go on working: for
                    // half of the time the processor is theirs.
                    thread::sleep(begun.elapsed().min(PAUSE_MAX));
                }
            }
        })?;
        Ok(Some(thread))
    }

    /// Lets the thread end.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.filled.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for devices that join, and takes them; `None` when stopped.
    fn take(&self) -> Option<Crowd> {
        let idle = |queue: &mut Queue| queue.joining.is_empty() && !queue.stopped;
        drop(self.filled.wait_while(self.lock(), idle));
        // Whoever lets devices in on this core does so with all that stand at the door before
        // they are read for together. With nobody at the door this costs nothing.
        thread::yield_now();
        let queue = self.lock();
        (!queue.stopped).then(|| Self::crowd(queue))
    }

    fn crowd(mut queue: MutexGuard<'_, Queue>) -> Crowd {
        let count = queue.joining.len().min(CROWD_MAX);
        queue.joining.drain(..count).collect()
    }

    /// Whoever has come, without waiting.
    #[cfg(feature = "simulation")]
    pub(crate) fn take_now(&self) -> Crowd {
        Self::crowd(self.lock())
    }

    /// What is to be waited for before a crowd is read for: what a device sent on an older
    /// connection is dealt with before its state is told.
    pub(crate) fn fence(&self) -> Option<oneshot::Receiver<()>> {
        self.desk.committer.as_ref().and_then(|committer| committer.ask_fence())
    }

    /// Reads for all of them at one moment.
    pub(crate) fn read(&self, crowd: Crowd, reads: &Reads) -> ReadCrowd {
        let asks: Vec<Ask<'_>> = crowd.iter().map(|(_, hello)| ask(hello, None)).collect();
        let answers = reads.ask_here(|store| store.recover_each(&asks, SMALL_BYTES_MAX));
        ReadCrowd { answers: answers.map_err(lost), crowd }
    }

    /// Gives each of them what was read for it, or lets it be read for alone.
    pub(crate) fn hand_over_crowd(self: &Arc<Self>, read: ReadCrowd) {
        let ReadCrowd { crowd, answers } = read;
        match answers {
            Ok(answers) => {
                for ((key, hello), recovered) in crowd.into_iter().zip(answers) {
                    match recovered.and_then(|recovered| self.small(key, &hello, &recovered)) {
                        Some(job) => self.hand_over(job, key),
                        None => self.join_alone(key, hello),
                    }
                }
            }
            Err(code) => {
                for (key, _) in crowd {
                    self.hand_over(Job::Close { key, code }, key);
                }
            }
        }
    }

    /// The recovery's frames, where they can be told and there is memory for them.
    fn small(&self, key: ConnectionKey, hello: &Hello, recovered: &Recovered) -> Option<Job> {
        if matches!(recovered.plan, Plan::Lost(_)) {
            return None;
        }
        let frames = recovery::frames(hello, recovered, &self.desk.settings, clock::wall());
        let bytes: usize = frames.iter().map(Bytes::len).sum();
        let reserved = self.memory.try_reserve(bytes as u64).ok()?;
        self.count(recovered.plan);
        Some(Job::Recovered { key, frames, seq: recovered.head.seq, reserved })
    }

    fn join_alone(self: &Arc<Self>, key: ConnectionKey, hello: Box<Hello>) {
        let recoveries = Arc::clone(self);
        self.runtime.spawn(async move {
            let job = recoveries.join(key, &hello).await;
            recoveries.finish(job, key);
        });
    }

    fn finish(&self, job: Result<Job, CloseCode>, key: ConnectionKey) {
        self.hand_over(job.unwrap_or_else(|code| Job::Close { key, code }), key);
    }

    fn hand_over(&self, job: Job, key: ConnectionKey) {
        let workers = self.workers.get();
        let worker = workers.and_then(|workers| workers.get(usize::from(key.worker)));
        // A worker that is gone has closed the connection.
        if let Some(worker) = worker.and_then(Weak::upgrade) {
            worker.push(job);
        }
    }

    async fn join(&self, key: ConnectionKey, hello: &Hello) -> Result<Job, CloseCode> {
        let (Some(reads), Some(committer)) = (&self.reads, &self.desk.committer) else {
            return Ok(self.relay_welcome(key, hello));
        };
        // What the device sent on an older connection is dealt with before its state is told.
        committer.fence().await;
        let user: Arc<str> = user_of(hello).into();
        let weighed = Arc::clone(&user);
        let bytes = reads.ask(move |store| store.recovery_bytes(&weighed)).await.map_err(lost)?;
        let reserved = self.memory.reserve(bytes).await;
        let recovered = self.recover(key, hello, &user, reads, committer).await?;
        self.count(recovered.plan);
        let settings = &self.desk.settings;
        let frames = recovery::frames(hello, &recovered, settings, clock::wall());
        Ok(Job::Recovered { key, frames, seq: recovered.head.seq, reserved })
    }

    /// Asks until the answer can be told: a position that proves a loss gets a new epoch first.
    async fn recover(
        &self,
        key: ConnectionKey,
        hello: &Hello,
        user: &Arc<str>,
        reads: &Reads,
        committer: &Committer,
    ) -> Result<Recovered, CloseCode> {
        let mut reason: Option<SnapshotReason> = None;
        loop {
            let asked = hello.clone();
            let recovered = reads.ask(move |store| store.recover(&ask(&asked, reason))).await;
            let recovered = recovered.map_err(lost)?;
            let Plan::Lost(why) = recovered.plan else { return Ok(recovered) };
            tracing::warn!(
                reason = why.name(),
                "a device's position proves that history was lost; its user gets a new epoch"
            );
            if !committer.renew_epoch(Arc::clone(user), recovered.head.epoch).await {
                return Err(CloseCode::TryAgainLater);
            }
            self.hand_over(Job::EpochRenewed { user: Arc::clone(user), except: Some(key) }, key);
            reason = Some(why);
        }
    }

    async fn read_on(&self, ask: &RecoveryAsk) -> Result<Job, CloseCode> {
        let (key, seq) = (ask.key, ask.seq);
        let Some(reads) = &self.reads else { return Err(CloseCode::Internal) };
        let bytes_max = self.desk.settings.catch_up_page_bytes;
        let reserved = self.memory.reserve(bytes_max as u64).await;
        let asked = Arc::clone(&ask.user);
        let page = reads.ask(move |store| store.events_after(&asked, seq, bytes_max)).await;
        match page.map_err(lost)? {
            Page::Trimmed => Err(CloseCode::SlowConsumer),
            Page::Events(events) => {
                // The worker has seen a later event pass, so the log must hold it.
                let last = events.last().ok_or(CloseCode::Internal)?.seq;
                let frames = recovery::events(&events, ask.compression).collect();
                Ok(Job::Recovered { key, frames, seq: last, reserved })
            }
        }
    }

    fn relay_welcome(&self, key: ConnectionKey, hello: &Hello) -> Job {
        self.desk.stats.joined_live.increment();
        let settings = &self.desk.settings;
        let now = clock::wall();
        let welcome: Bytes = recovery::welcome(hello, None, 0, Recovery::Live, settings, now);
        Job::Recovered { key, frames: vec![welcome], seq: 0, reserved: None }
    }

    fn count(&self, plan: Plan) {
        let stats = &self.desk.stats;
        match plan {
            Plan::Delta => stats.resumed_by_delta.increment(),
            Plan::Snapshot(_) | Plan::Lost(_) => stats.resumed_by_snapshot.increment(),
            Plan::Live => stats.joined_live.increment(),
        }
    }
}

/// What the store is asked for a device that says hello.
fn ask(hello: &Hello, reason: Option<SnapshotReason>) -> Ask<'_> {
    Ask {
        user: user_of(hello),
        client_id: Some(&*hello.client_id).filter(|_| hello.named),
        position: hello.position.as_ref(),
        live: hello.live,
        reason,
    }
}

fn user_of(hello: &Hello) -> &str {
    hello.identity.as_ref().map_or("", |who| &*who.user)
}

/// The store could not be read: the device tries again.
#[expect(clippy::needless_pass_by_value, reason = "it is the function that map_err wants")]
fn lost(error: StoreError) -> CloseCode {
    tracing::error!(%error, "a connection could not be recovered");
    match error {
        StoreError::Unavailable(_) | StoreError::Quota(_) => CloseCode::TryAgainLater,
        StoreError::Poisoned(_) => CloseCode::Internal,
    }
}
