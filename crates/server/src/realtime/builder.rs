//! Putting a [`Realtime`] together: settings, verifier, store; then the threads.
//!
//! Owns the order in which the parts are started and what each is handed of the others. Workers
//! are handed down weakly, so that dropping the last handle ends everything.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread::JoinHandle;

use draftwire_protocol::CloseCode;
use draftwire_store::sqlite::{Durability, SqliteOptions};
use draftwire_store::{SqliteStore, Store, StoreLimits};

use super::{Inner, Realtime, StoreSide, Workers, worker_of};
use crate::admission::Admission;
use crate::auth::{Gate, Verifier};
use crate::committer::{Committer, OnFailure, Work};
use crate::delivery::Delivery;
use crate::progress::ProgressJobs;
use crate::rate::Buckets;
use crate::reads::{Memory, Reads};
use crate::recovery::Recoveries;
use crate::session::Desk;
use crate::settings::Settings;
use crate::stats::Stats;
use crate::storage::{OpenStore, Storage};
use crate::worker::{Ears, Job, Worker};

/// What the log says when connections can be taken.
const INITIALIZED: &str = "WebSocket server initialized on /ws/realtime";

/// Deliveries that the committer's thread works off itself, without a task switch. With more it goes
/// on to the next commit, and the worker's thread delivers meanwhile.
const DELIVERED_AT_ONCE_MAX: usize = 32;

/// Puts a [`Realtime`] together.
pub struct Builder {
    pub(super) settings: Settings,
    pub(super) verifier: Arc<dyn Verifier>,
    pub(super) open: Option<OpenStore>,
}

impl Builder {
    /// Keeps documents in a folder, with the embedded store.
    pub fn sqlite(self, folder: impl Into<std::path::PathBuf>) -> Self {
        let limits = StoreLimits {
            document_bytes_max: self.settings.limits.document_bytes,
            device_answers_kept: self.settings.limits.in_flight,
            ..StoreLimits::default()
        };
        self.sqlite_with(folder, limits)
    }

    /// The same, with other quotas.
    pub fn sqlite_with(self, folder: impl Into<std::path::PathBuf>, limits: StoreLimits) -> Self {
        self.sqlite_from(SqliteOptions::new(folder, limits))
    }

    /// The same, with all there is to choose.
    pub fn sqlite_from(self, options: SqliteOptions) -> Self {
        if options.durability == Durability::ProcessCrash {
            tracing::warn!(
                "acknowledged commands survive the end of the process, but not every power cut"
            );
        }
        self.store(Box::new(move |check| {
            let options = SqliteOptions { check, ..options.clone() };
            Ok(Arc::new(SqliteStore::open(&options)?) as Arc<dyn Store>)
        }))
    }

    /// Keeps documents in any store. Without one the server is a relay.
    pub fn store(mut self, open: OpenStore) -> Self {
        self.open = Some(open);
        self
    }

    /// Starts the threads. Must be called inside a tokio runtime, which then also reads what
    /// connections have missed.
    pub fn start(self) -> Result<Realtime, String> {
        self.settings.check()?;
        let Self { settings, verifier, open } = self;
        let gate = Gate::new(verifier);
        let mut threads = Vec::new();
        let storage = open.map(|open| {
            let (storage, thread) = start_storage(open, &gate);
            threads.push(thread);
            storage
        });
        if storage.is_none() {
            tracing::info!(relay = true, "{INITIALIZED}");
        }
        let Parts { desk, progress, store, recoveries, workers: listening } =
            Parts::new(settings, gate, storage, DELIVERED_AT_ONCE_MAX)?;
        let mut workers = Workers::new();
        for (index, (worker, ears)) in listening.into_iter().enumerate() {
            threads.push(worker.start(index, ears).map_err(|error| no_thread(&error))?);
            workers.push(worker);
        }
        threads.extend(recoveries.run().map_err(|error| no_thread(&error))?);
        let store = store.map(|(side, commits)| {
            threads.push(commits.start());
            side
        });
        let inner = Inner {
            admission: Admission::new(&desk.settings),
            desk,
            workers,
            store,
            recoveries,
            progress,
            draining: AtomicBool::new(false),
            threads: Mutex::new(threads),
        };
        Ok(Realtime { inner: Arc::new(inner) })
    }
}

fn no_thread(error: &std::io::Error) -> String {
    format!("a thread can't be started: {error}")
}

/// What a server is made of, tied together, before anything runs.
pub(crate) struct Parts {
    pub(crate) desk: Arc<Desk>,
    pub(crate) progress: Arc<ProgressJobs>,
    pub(crate) store: Option<(StoreSide, Work)>,
    pub(crate) recoveries: Arc<Recoveries>,
    pub(crate) workers: Vec<(Arc<Worker>, Ears)>,
}

impl Parts {
    /// Must be called inside a tokio runtime. With more deliveries than `at_once_max` for a worker
    /// the committer leaves them to the worker's own thread.
    pub(crate) fn new(
        settings: Settings,
        gate: Gate,
        storage: Option<Arc<Storage>>,
        at_once_max: usize,
    ) -> Result<Self, String> {
        let stats = Arc::new(Stats::default());
        let committer = storage.as_ref().map(|_| Committer::new(&settings, Arc::clone(&stats)));
        let user_commands = Buckets::new(settings.user_commands);
        let desk =
            Arc::new(Desk { settings, gate, committer: committer.clone(), user_commands, stats });
        // Filled at the end: nothing runs before.
        let known: Arc<OnceLock<Vec<Weak<Worker>>>> = Arc::default();
        let store = storage.zip(committer).map(|(storage, committer)| {
            let to_workers = Arc::clone(&known);
            let deliver = Box::new(move |deliveries| spread(&to_workers, deliveries, at_once_max));
            let commits = committer.work(Arc::clone(&storage), deliver, close_all(&known));
            let memory = Memory::new(desk.settings.recovery_bytes_max);
            let reads = Reads::new(storage, memory, close_all(&known));
            (StoreSide { committer, reads }, commits)
        });
        let progress = Arc::new(ProgressJobs::new(&desk.settings));
        let reads = store.as_ref().map(|(side, _)| Arc::clone(&side.reads));
        let recoveries = Recoveries::new(Arc::clone(&desk), reads);
        let workers = workers(&desk, &progress, &recoveries)?;
        recoveries.set_workers(workers.iter().map(|(worker, _)| Arc::downgrade(worker)).collect());
        let weak = workers.iter().map(|(worker, _)| Arc::downgrade(worker)).collect();
        known.set(weak).map_err(|_| "the workers were made known twice")?;
        Ok(Self { desk, progress, store, recoveries, workers })
    }
}

fn workers(
    desk: &Arc<Desk>,
    progress: &Arc<ProgressJobs>,
    recoveries: &Arc<Recoveries>,
) -> Result<Vec<(Arc<Worker>, Ears)>, String> {
    let mut workers = Vec::new();
    for index in 0..desk.settings.workers {
        let index = u16::try_from(index).map_err(|_| "at most 65,535 workers".to_owned())?;
        let recoveries = Arc::clone(recoveries);
        let start_recovery = Box::new(move |ask| recoveries.start(ask));
        let worker = Worker::new(index, Arc::clone(desk), Arc::clone(progress), start_recovery);
        workers.push(worker.map_err(|error| format!("a worker can't be started: {error}"))?);
    }
    Ok(workers)
}

fn start_storage(open: OpenStore, gate: &Gate) -> (Arc<Storage>, JoinHandle<()>) {
    let revocations = Arc::clone(&gate.revocations);
    let load = Box::new(move |store: &dyn Store| {
        for (user, revocation) in store.revocations()? {
            revocations.add(&user, &revocation);
        }
        revocations.set_loaded();
        tracing::info!("{INITIALIZED}");
        Ok(())
    });
    Storage::start(open, load)
}

/// After a failure of the store: what was committed at that moment may not have been delivered, so
/// every device recovers from its position.
fn close_all(workers: &Arc<OnceLock<Vec<Weak<Worker>>>>) -> OnFailure {
    let workers = Arc::clone(workers);
    Box::new(move || {
        for worker in workers.get().into_iter().flatten().filter_map(Weak::upgrade) {
            worker.push(Job::CloseAll(CloseCode::Internal));
        }
    })
}

/// Hands each worker its share of a commit's deliveries, in commit order.
fn spread(workers: &OnceLock<Vec<Weak<Worker>>>, deliveries: Vec<Delivery>, at_once_max: usize) {
    let Some(workers) = workers.get() else { return };
    let mut shares: Vec<Vec<Delivery>> = workers.iter().map(|_| Vec::new()).collect();
    for delivery in deliveries {
        let worker = match &delivery {
            Delivery::Event { user, .. } => worker_of(user, workers.len()),
            Delivery::Answer { connection, .. } => usize::from(connection.worker),
        };
        shares[worker].push(delivery);
    }
    for (worker, share) in workers.iter().zip(shares) {
        let Some(worker) = worker.upgrade().filter(|_| !share.is_empty()) else { continue };
        if share.len() <= at_once_max {
            worker.push(Job::Deliver(share));
        } else {
            worker.leave(Job::Deliver(share));
        }
    }
}
