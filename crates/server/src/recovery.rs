//! Bringing connections up to the head: asks the store, hands the frames to the worker.
//!
//! One short task for each connection that joins or has fallen behind while it caught up; an idle
//! connection has none. What is read is bounded in bytes over all connections, and the store's
//! transaction is over before a socket is waited for.

use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use draftwire_protocol::CloseCode;
use draftwire_protocol::reply::{Recovery, SnapshotReason};
use draftwire_store::contract::Ask;
use draftwire_store::{Page, Plan, Recovered, StoreError};
use tokio::runtime::Handle;

use crate::clock;
use crate::committer::Committer;
use crate::delivery::ConnectionKey;
use crate::reads::{Memory, Reads};
use crate::session::{Desk, Hello, recovery};
use crate::worker::{Job, RecoveryAsk, Worker};

/// Reads recoveries for all workers.
pub struct Recoveries {
    desk: Arc<Desk>,
    /// Absent in relay mode.
    reads: Option<Arc<Reads>>,
    memory: Memory,
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
            workers: OnceLock::new(),
            runtime: Handle::current(),
        })
    }

    /// Makes the workers known to which frames are handed.
    pub fn set_workers(&self, workers: &[Arc<Worker>]) {
        let workers = workers.iter().map(Arc::downgrade).collect();
        if self.workers.set(workers).is_err() {
            tracing::error!("the workers were made known twice");
        }
    }

    /// Starts reading.
    pub fn start(self: &Arc<Self>, ask: RecoveryAsk) {
        let recoveries = Arc::clone(self);
        self.runtime.spawn(async move { recoveries.run(ask).await });
    }

    async fn run(&self, ask: RecoveryAsk) {
        let key = ask.key;
        let job = match ask.joining {
            Some(hello) => self.join(key, &hello).await,
            None => self.read_on(key, &ask.user, ask.seq).await,
        };
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
        let user = hello.identity.as_ref().map_or_else(|| "".into(), |who| Arc::clone(&who.user));
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
            let (asked, asking) = (hello.clone(), Arc::clone(user));
            let recovered = reads
                .ask(move |store| {
                    store.recover(&Ask {
                        user: &asking,
                        client_id: Some(&*asked.client_id).filter(|_| asked.named),
                        position: asked.position.as_ref(),
                        live: asked.live,
                        reason,
                    })
                })
                .await
                .map_err(lost)?;
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

    async fn read_on(
        &self,
        key: ConnectionKey,
        user: &Arc<str>,
        seq: u64,
    ) -> Result<Job, CloseCode> {
        let Some(reads) = &self.reads else { return Err(CloseCode::Internal) };
        let bytes_max = self.desk.settings.catch_up_page_bytes;
        let reserved = self.memory.reserve(bytes_max as u64).await;
        let asked = Arc::clone(user);
        let page = reads.ask(move |store| store.events_after(&asked, seq, bytes_max)).await;
        match page.map_err(lost)? {
            Page::Trimmed => Err(CloseCode::SlowConsumer),
            Page::Events(events) => {
                // The worker has seen a later event pass, so the log must hold it.
                let last = events.last().ok_or(CloseCode::Internal)?.seq;
                let frames = recovery::events(&events).collect();
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

/// The store could not be read: the device tries again.
#[expect(clippy::needless_pass_by_value, reason = "it is the function that map_err wants")]
fn lost(error: StoreError) -> CloseCode {
    tracing::error!(%error, "a connection could not be recovered");
    match error {
        StoreError::Unavailable(_) | StoreError::Quota(_) => CloseCode::TryAgainLater,
        StoreError::Poisoned(_) => CloseCode::Internal,
    }
}
