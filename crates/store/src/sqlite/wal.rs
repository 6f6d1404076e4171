//! Moving the write-ahead log into the file, off the commits' thread.
//!
//! A thread of its own moves most of the log while commits go on; the next commit moves what came
//! meanwhile, after which SQLite writes the log from its beginning again. So no commit waits for
//! more than that rest. Without that thread a commit moves all of it, later.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

use super::error::Result;
use super::{SqliteOptions, open_beside, relock};

/// Pages of the log (4 KiB each) from which on it is moved: the more, the more often a page has
/// changed meanwhile and is moved only once.
pub(super) const MOVED_FROM_PAGES: u32 = 8_000;
/// With so many times those pages a commit moves all of them, if nobody else has.
pub(super) const COMMIT_MOVES_AFTER: u32 = 8;
/// Where the log's index keeps its number of pages (<https://sqlite.org/walformat.html>, WAL-index
/// header, `mxFrame`).
const PAGES_OFFSET: u64 = 16;

/// The log of one database.
pub(super) struct Wal {
    options: SqliteOptions,
    database: PathBuf,
    index: PathBuf,
    /// Opened when there is something to move.
    connection: Mutex<Option<Connection>>,
    /// Most of the log has been moved: the next commit moves the rest.
    rest: AtomicBool,
}

impl Wal {
    pub(super) fn new(options: &SqliteOptions, database: &Path) -> Self {
        let mut index = database.as_os_str().to_owned();
        index.push("-shm");
        Self {
            options: options.clone(),
            database: database.to_owned(),
            index: index.into(),
            connection: Mutex::new(None),
            rest: AtomicBool::new(false),
        }
    }

    /// Moves what is there, if it is much.
    pub(super) fn move_most(&self) -> Result<()> {
        if self.rest.load(Ordering::Acquire) || self.pages() < self.options.log_pages {
            return Ok(());
        }
        let mut connection = relock(&self.connection);
        let connection = match &mut *connection {
            Some(connection) => connection,
            none => none.insert(open_beside(&self.options, &self.database)?),
        };
        checkpoint(connection)?;
        self.rest.store(true, Ordering::Release);
        Ok(())
    }

    /// Moves the rest, if the most has been moved; called by the one who commits.
    pub(super) fn move_rest(&self, writer: &Connection) -> Result<()> {
        if self.rest.load(Ordering::Acquire) {
            checkpoint(writer)?;
            self.rest.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Pages in the log; 0 where that can't be read, and a commit then moves them.
    fn pages(&self) -> u32 {
        let mut bytes = [0; 4];
        let read =
            File::open(&self.index).and_then(|file| file.read_exact_at(&mut bytes, PAGES_OFFSET));
        read.map_or(0, |()| u32::from_ne_bytes(bytes))
    }
}

/// Moves as much as can be without waiting for anybody.
fn checkpoint(connection: &Connection) -> Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(())
}
