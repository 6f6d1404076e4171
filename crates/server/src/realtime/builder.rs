//! Putting a [`Realtime`] together: settings, verifier, store; then the threads.
//!
//! Owns the order in which the parts are started and what each is handed of the others. Workers
//! are handed down weakly, so that dropping the last handle ends everything.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread::JoinHandle;

use draftwire_protocol::CloseCode;
use draftwire_store::sqlite::SqliteOptions;
use draftwire_store::{SqliteStore, Store, StoreLimits};

use super::{Inner, Realtime, StoreSide, Workers, worker_of};
use crate::admission::Admission;
use crate::auth::{Gate, Verifier};
use crate::committer::Committer;
use crate::delivery::Delivery;
use crate::progress::ProgressJobs;
use crate::reads::{Memory, Reads};
use crate::recovery::Recoveries;
use crate::session::Desk;
use crate::settings::Settings;
use crate::stats::Stats;
use crate::storage::{OpenStore, Storage};
use crate::worker::{Job, Worker};

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
        let folder = folder.into();
        self.store(Box::new(move |check| {
            let options = SqliteOptions { folder: folder.clone(), limits: limits.clone(), check };
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
        let stats = Arc::new(Stats::default());
        let gate = Gate::new(verifier);
        let committer = open.as_ref().map(|_| Committer::new(&settings, Arc::clone(&stats)));
        let desk = Arc::new(Desk { settings, gate, committer: committer.clone(), stats });
        let known: Arc<OnceLock<Vec<Weak<Worker>>>> = Arc::default();
        let mut threads = Vec::new();
        let store = match (open, committer) {
            (Some(open), Some(committer)) => {
                Some(start_store(open, committer, &desk, &known, &mut threads))
            }
            _ => {
                tracing::info!(relay = true, "{INITIALIZED}");
                None
            }
        };
        let progress = Arc::new(ProgressJobs::new(&desk.settings));
        let recoveries =
            Recoveries::new(Arc::clone(&desk), store.as_ref().map(|side| Arc::clone(&side.reads)));
        let workers = start_workers(&desk, &progress, &recoveries, &mut threads)?;
        recoveries.set_workers(&workers);
        let reader = recoveries.run();
        threads.extend(reader.map_err(|error| format!("a thread can't be started: {error}"))?);
        let weak = workers.iter().map(Arc::downgrade).collect();
        if known.set(weak).is_err() {
            return Err("the workers were made known twice".into());
        }
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

fn start_workers(
    desk: &Arc<Desk>,
    progress: &Arc<ProgressJobs>,
    recoveries: &Arc<Recoveries>,
    threads: &mut Vec<JoinHandle<()>>,
) -> Result<Workers, String> {
    let mut workers = Workers::new();
    for index in 0..desk.settings.workers {
        let index = u16::try_from(index).map_err(|_| "at most 65,535 workers".to_owned())?;
        let recoveries = Arc::clone(recoveries);
        let start_recovery = Box::new(move |ask| recoveries.start(ask));
        let (worker, thread) =
            Worker::start(index, Arc::clone(desk), Arc::clone(progress), start_recovery)
                .map_err(|error| format!("a worker can't be started: {error}"))?;
        workers.push(worker);
        threads.push(thread);
    }
    Ok(workers)
}

fn start_store(
    open: OpenStore,
    committer: Arc<Committer>,
    desk: &Arc<Desk>,
    workers: &Arc<OnceLock<Vec<Weak<Worker>>>>,
    threads: &mut Vec<JoinHandle<()>>,
) -> StoreSide {
    let revocations = Arc::clone(&desk.gate.revocations);
    let load = Box::new(move |store: &dyn Store| {
        for (user, revocation) in store.revocations()? {
            revocations.add(&user, &revocation);
        }
        revocations.set_loaded();
        tracing::info!("{INITIALIZED}");
        Ok(())
    });
    let (storage, thread) = Storage::start(open, load);
    threads.push(thread);
    let to_workers = Arc::clone(workers);
    let deliver = Box::new(move |deliveries| spread(&to_workers, deliveries));
    let close_all = |workers: &Arc<OnceLock<Vec<Weak<Worker>>>>| {
        let workers = Arc::clone(workers);
        // What was committed at the moment of the failure may not have been delivered: every
        // device recovers from its position.
        Box::new(move || {
            for worker in workers.get().into_iter().flatten().filter_map(Weak::upgrade) {
                worker.push(Job::CloseAll(CloseCode::Internal));
            }
        })
    };
    threads.push(committer.start(Arc::clone(&storage), deliver, close_all(workers)));
    let reads =
        Reads::new(storage, Memory::new(desk.settings.recovery_bytes_max), close_all(workers));
    StoreSide { committer, reads }
}

/// Hands each worker its share of a commit's deliveries, in commit order.
fn spread(workers: &OnceLock<Vec<Weak<Worker>>>, deliveries: Vec<Delivery>) {
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
        if share.len() <= DELIVERED_AT_ONCE_MAX {
            worker.push(Job::Deliver(share));
        } else {
            worker.leave(Job::Deliver(share));
        }
    }
}
