//! Asking the store from async code: on threads that may block, so many at a time.

use std::sync::Arc;
use std::time::Duration;

use draftwire_store::{Store, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::committer;
use crate::storage::Storage;

/// Reads at a time: enough to keep a disk busy, few enough to leave it to the commits.
const READS_MAX: usize = 4;

/// How long a caller waits for memory before he is told to come back.
const MEMORY_WAIT: Duration = Duration::from_secs(10);

/// Bytes that may be in memory at a time; waiting for them blocks nobody else.
#[derive(Clone)]
pub struct Memory {
    units: Arc<Semaphore>,
    units_max: usize,
}

/// There is not so much memory to be had just now.
pub struct Busy;

/// Memory is set aside in units of this.
const MEMORY_UNIT_BYTES: usize = 1024;

impl Memory {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        let units_max = (bytes / MEMORY_UNIT_BYTES).max(1);
        Self { units: Arc::new(Semaphore::new(units_max)), units_max }
    }

    /// Sets bytes aside (at most all there are) until the permit is dropped.
    pub async fn reserve(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let units = usize::try_from(bytes).unwrap_or(usize::MAX).div_ceil(MEMORY_UNIT_BYTES);
        let units = u32::try_from(units.min(self.units_max)).unwrap_or(u32::MAX);
        if units == 0 {
            return None;
        }
        Arc::clone(&self.units).acquire_many_owned(units).await.ok()
    }

    /// Sets bytes aside if they are to be had at once.
    pub fn try_reserve(&self, bytes: u64) -> Result<Option<OwnedSemaphorePermit>, Busy> {
        let units = usize::try_from(bytes).unwrap_or(usize::MAX).div_ceil(MEMORY_UNIT_BYTES);
        let units = u32::try_from(units).map_err(|_| Busy)?;
        Arc::clone(&self.units).try_acquire_many_owned(units).map(Some).map_err(|_| Busy)
    }
}

/// The reading side of the store.
pub struct Reads {
    /// For answers over plain HTTP; connections' recoveries have their own.
    memory: Memory,
    storage: Arc<Storage>,
    permits: Arc<Semaphore>,
    on_failure: Box<dyn Fn() + Send + Sync>,
}

impl Reads {
    /// `on_failure` is called when a read has met an I/O error.
    pub fn new(
        storage: Arc<Storage>,
        memory: Memory,
        on_failure: Box<dyn Fn() + Send + Sync>,
    ) -> Arc<Self> {
        Arc::new(Self { memory, storage, permits: Arc::new(Semaphore::new(READS_MAX)), on_failure })
    }

    /// Sets memory aside for an answer that holds all documents of a user.
    pub async fn reserve(
        &self,
        user: &Arc<str>,
    ) -> Result<Option<OwnedSemaphorePermit>, StoreError> {
        let user = Arc::clone(user);
        let bytes = self.ask(move |store| store.recovery_bytes(&user)).await?;
        tokio::time::timeout(MEMORY_WAIT, self.memory.reserve(bytes))
            .await
            .map_err(|_| StoreError::Unavailable("too many large answers are on their way".into()))
    }

    /// True where the store can be asked.
    pub fn is_ready(&self) -> bool {
        self.storage.current().is_some()
    }

    /// Runs `work` with the store.
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        #[cfg(feature = "simulation")]
        if crate::clock::simulated::is_set() {
            // One thread is all there is: others have a turn before the read, and behind it.
            tokio::task::yield_now().await;
            let result = self.ask_here(work);
            tokio::task::yield_now().await;
            return result;
        }
        // The semaphore is never closed.
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let storage = Arc::clone(&self.storage);
        let task = tokio::task::spawn_blocking(move || {
            let result = committer::read(&storage, work);
            drop(permit);
            result
        });
        let result = task
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("the server is stopping".into())));
        self.noted(result)
    }

    /// Runs `work` with the store on the calling thread, which may block.
    pub fn ask_here<T>(
        &self,
        work: impl FnOnce(&dyn Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.noted(committer::read(&self.storage, work))
    }

    fn noted<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result
            && matches!(error, StoreError::Poisoned(_))
        {
            tracing::error!(%error, "a read failed");
            self.storage.fail();
            (self.on_failure)();
        }
        result
    }
}
