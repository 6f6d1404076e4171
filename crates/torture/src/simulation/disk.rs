//! The store's files in a folder of their own, in memory where the system has such a place, on a
//! disk that loses what was not synced.

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;

use draftwire_store::sqlite::SqliteOptions;
use draftwire_store::{SqliteStore, StoreError, StoreLimits};
use draftwire_vfs::PowerLoss;
use draftwire_vfs::power_loss::{End, Trouble};
use tempfile::TempDir;

thread_local! {
    /// SQLite never forgets a VFS, so each thread has one for all its runs.
    static DISK: OnceCell<PowerLoss> = const { OnceCell::new() };
}

/// A disk with one store on it.
pub struct Disk {
    disk: PowerLoss,
    folder: TempDir,
    options: SqliteOptions,
}

impl Disk {
    /// An empty one.
    ///
    /// # Panics
    ///
    /// Where there is no room, or SQLite does not take the layer.
    pub fn new(limits: StoreLimits, log_pages: u32) -> Self {
        let disk = DISK.with(|disk| {
            disk.get_or_init(|| PowerLoss::new().expect("SQLite takes the layer")).clone()
        });
        disk.forget();
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        let folder = folder.expect("room for a folder");
        let vfs = Some(disk.vfs().to_owned());
        let options = SqliteOptions { log_pages, vfs, ..SqliteOptions::new(folder.path(), limits) };
        Self { disk, folder, options }
    }

    /// Opens the store, as the server does at its start, or (with `check`) after a failure.
    ///
    /// # Errors
    ///
    /// The store's.
    pub fn open(&self, check: bool) -> Result<Arc<SqliteStore>, StoreError> {
        debug_assert!(self.folder.path().is_dir());
        let options = SqliteOptions { check, ..self.options.clone() };
        Ok(Arc::new(SqliteStore::open(&options)?))
    }

    /// From now on no file changes any more.
    pub fn stop(&self) {
        self.disk.stop();
    }

    /// True where the power has ended in the middle of something.
    pub fn has_stopped(&self) -> bool {
        self.disk.has_stopped()
    }

    /// The next beginning.
    pub fn start(&self, end: End) {
        self.disk.start(end);
    }

    /// After so many more changes this goes wrong.
    pub fn plan_trouble(&self, after: u64, trouble: Trouble) {
        self.disk.plan_trouble(after, trouble);
    }

    /// Nothing goes wrong any more.
    pub fn make_room(&self) {
        self.disk.make_room();
    }
}
