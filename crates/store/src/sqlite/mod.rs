//! The embedded store: SQLite in WAL mode with `synchronous=FULL`.
//!
//! Owns a folder: `draftwire.db` with its WAL, and `lock`, which keeps a second process out. One
//! connection writes, in batches; others read beside it. `synchronous=FULL` means that a commit
//! returns after the WAL was synced: it survives a crash of the process and a power cut. Every page
//! of the file carries a checksum (`draftwire_vfs::checksums`).
//!
//! | file | owns |
//! |---|---|
//! | `schema` | tables, format version |
//! | `batch` | applying a batch in one commit |
//! | `documents` | the documents of a user |
//! | `user` | the row of a user, read once and written once per batch |
//! | `answers` | `mutationId`s and `Idempotency-Key`s |
//! | `log` | appending events, trimming, ageing |
//! | `read` | everything that only reads |
//! | `wal` | moving the write-ahead log into the file |
//! | `error` | what SQLite's errors mean |

mod answers;
mod batch;
mod documents;
mod error;
mod log;
mod read;
mod schema;
mod user;
mod wal;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use draftwire_protocol::{Collection, Timestamp};
use draftwire_vfs::checksums;
use rusqlite::{Connection, OpenFlags, params};

use crate::contract::{
    Applied, Ask, Found, Listing, Page, Recovered, Revocation, Store, StoreError, Submission,
};
use crate::limits::StoreLimits;
use error::Failure;

/// Connections kept open for reading.
const READERS_KEPT: usize = 4;
const STATEMENTS_CACHED: usize = 64;

/// How to open a store.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The folder; made if it is not there.
    pub folder: PathBuf,
    /// Quotas and log.
    pub limits: StoreLimits,
    /// True to read the whole file and check it first: after a failure.
    pub check: bool,
    /// What an acknowledged command survives.
    pub durability: Durability,
    /// Pages of the write-ahead log (4 KiB each) from which on it is moved into the file.
    pub log_pages: u32,
    /// The name of another SQLite VFS than the system's, which the process has registered: for
    /// tests on disks that fail.
    pub vfs: Option<String>,
}

impl SqliteOptions {
    /// The defaults, in that folder.
    pub fn new(folder: impl Into<PathBuf>, limits: StoreLimits) -> Self {
        Self {
            folder: folder.into(),
            limits,
            check: false,
            durability: Durability::default(),
            log_pages: wal::MOVED_FROM_PAGES,
            vfs: None,
        }
    }

    fn open(&self, path: &Path, flags: OpenFlags) -> error::Result<Connection> {
        let vfs = checksums::over(self.vfs.as_deref()).map_err(Failure::Refused)?;
        Ok(Connection::open_with_flags_and_vfs(path, flags, vfs.as_str())?)
    }
}

/// What an acknowledged command survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// A power cut, as far as the disk keeps what it has confirmed: every commit waits until it is
    /// on the disk (`synchronous=FULL`).
    #[default]
    PowerCut,
    /// The end of the process, however it ends. A power cut, or a crash of the system, may take the
    /// latest acknowledged commands; devices that have seen them get a new epoch. The file stays
    /// sound (`synchronous=NORMAL`).
    ProcessCrash,
}

impl Durability {
    /// As SQLite names it (<https://sqlite.org/pragma.html#pragma_synchronous>).
    fn synchronous(self) -> &'static str {
        match self {
            Self::PowerCut => "full",
            Self::ProcessCrash => "normal",
        }
    }
}

/// The embedded store. See the module for what it keeps where.
pub struct SqliteStore {
    path: PathBuf,
    options: SqliteOptions,
    epoch: Arc<str>,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    wal: wal::Wal,
    poisoned: AtomicBool,
    /// Held as long as the store lives; the system releases it even if the process is killed.
    _lock: File,
}

impl SqliteStore {
    /// Opens the store.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] with a sentence that says why it can't be.
    pub fn open(options: &SqliteOptions) -> Result<Self, StoreError> {
        Self::open_files(options).map_err(|error| match error {
            // There is nothing yet that could be opened anew.
            StoreError::Poisoned(why) => StoreError::Unavailable(why),
            other => other,
        })
    }

    fn open_files(options: &SqliteOptions) -> Result<Self, StoreError> {
        let folder = &options.folder;
        let refuse = |why: String| StoreError::Unavailable(why);
        fs::create_dir_all(folder).map_err(|error| {
            refuse(format!("the data folder {} can't be made: {error}", folder.display()))
        })?;
        let lock = lock(folder).map_err(refuse)?;
        let path = folder.join("draftwire.db");
        let mut writer = open_writer(options, &path)?;
        let epoch = schema::prepare(&mut writer)?;
        if options.check {
            check(&writer)?;
        }
        Ok(Self {
            wal: wal::Wal::new(options, &path),
            path,
            options: options.clone(),
            epoch: epoch.into(),
            writer: Mutex::new(writer),
            readers: Mutex::new(Vec::new()),
            poisoned: AtomicBool::new(false),
            _lock: lock,
        })
    }

    fn refuse_if_poisoned(&self) -> Result<(), StoreError> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(StoreError::Poisoned("an earlier write failed".into()));
        }
        Ok(())
    }

    /// Runs `work` on the writing connection; after an I/O error nothing is run there again.
    fn write<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> error::Result<T>,
    ) -> Result<T, StoreError> {
        let mut writer = relock(&self.writer);
        self.refuse_if_poisoned()?;
        work(&mut writer).map_err(|failure| self.noted(failure))
    }

    /// Runs `work` on a reading connection, inside one read transaction.
    fn read<T>(
        &self,
        work: impl FnOnce(&read::Reader<'_>) -> error::Result<T>,
    ) -> Result<T, StoreError> {
        self.refuse_if_poisoned()?;
        let mut connection = match relock(&self.readers).pop() {
            Some(connection) => connection,
            None => open_reader(&self.options, &self.path).map_err(StoreError::from)?,
        };
        let result = read::Reader::run(&mut connection, &self.epoch, work);
        let result = result.map_err(|failure| self.noted(failure))?;
        let mut readers = relock(&self.readers);
        if readers.len() < READERS_KEPT {
            readers.push(connection);
        }
        Ok(result)
    }

    fn noted(&self, failure: Failure) -> StoreError {
        let error = StoreError::from(failure);
        if matches!(error, StoreError::Poisoned(_)) {
            self.poisoned.store(true, Ordering::Release);
        }
        error
    }
}

impl Store for SqliteStore {
    fn apply(&self, batch: &[Submission], now: Timestamp) -> Result<Vec<Applied>, StoreError> {
        self.write(|writer| {
            let applied = batch::apply(writer, &self.options.limits, &self.epoch, batch, now)?;
            if let Err(failure) = self.wal.move_rest(writer) {
                // What was committed is committed. If the disk is at fault, the next commit says so.
                tracing::warn!(?failure, "the write-ahead log could not be moved into the file");
            }
            Ok(applied)
        })
    }

    fn renew_epoch(&self, user: &str, lost: &str) -> Result<(), StoreError> {
        self.write(|writer| user::renew_epoch(writer, user, lost, &self.epoch))
    }

    fn recovery_bytes(&self, user: &str) -> Result<u64, StoreError> {
        self.read(|reader| reader.recovery_bytes(user))
    }

    fn recover(&self, ask: &Ask<'_>) -> Result<Recovered, StoreError> {
        self.read(|reader| reader.recover(ask))
    }

    fn recover_each(
        &self,
        asks: &[Ask<'_>],
        bytes_max: u64,
    ) -> Result<Vec<Option<Recovered>>, StoreError> {
        self.read(|reader| asks.iter().map(|ask| reader.recover_within(ask, bytes_max)).collect())
    }

    fn events_after(&self, user: &str, seq: u64, bytes_max: usize) -> Result<Page, StoreError> {
        self.read(|reader| reader.events_after(user, seq, bytes_max))
    }

    fn list(&self, user: &str, collection: Collection) -> Result<Listing, StoreError> {
        self.read(|reader| reader.list(user, collection))
    }

    fn get(
        &self,
        user: &str,
        collection: Collection,
        id: &str,
    ) -> Result<Option<Found>, StoreError> {
        self.read(|reader| reader.get(user, collection, id))
    }

    fn head(
        &self,
        user: &str,
        client_id: Option<&str>,
    ) -> Result<(draftwire_protocol::reply::Head, u64), StoreError> {
        self.read(|reader| reader.head_and_mutation(user, client_id))
    }

    fn revoke(&self, user: &str, revocation: &Revocation) -> Result<(), StoreError> {
        let full = self.write(|writer| {
            revoke(writer, user, revocation, self.options.limits.user_revoked_tokens_max)
        })?;
        if full {
            return Err(StoreError::Quota(format!(
                "{} tokens of this user are revoked one by one already; use issuedBefore",
                self.options.limits.user_revoked_tokens_max
            )));
        }
        Ok(())
    }

    fn revocations(&self) -> Result<Vec<(String, Revocation)>, StoreError> {
        self.read(|reader| reader.revocations())
    }

    fn checkpoint(&self) -> Result<(), StoreError> {
        self.refuse_if_poisoned()?;
        self.wal.move_most().map_err(StoreError::from)
    }

    fn maintain(&self, now: Timestamp) -> Result<bool, StoreError> {
        self.write(|writer| log::maintain(writer, &self.options.limits, now))
    }
}

/// An epoch that no store has had before.
fn new_epoch() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// A panic while a lock was held leaves SQLite's own state sound (an open transaction is rolled
/// back when it is dropped), so the lock's poison is not an error here.
fn relock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lock(folder: &Path) -> Result<File, String> {
    let path = folder.join("lock");
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(|error| {
            format!("the data folder {} can't be used: {error}", folder.display())
        })?;
    file.try_lock().map_err(|_| {
        format!("the data folder {} is in use by another process", folder.display())
    })?;
    Ok(file)
}

fn open_writer(options: &SqliteOptions, path: &Path) -> Result<Connection, Failure> {
    schema::refuse_others(path)?;
    let connection = options.open(path, OpenFlags::default())?;
    connection.busy_timeout(Duration::from_secs(2))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    checksums::reserve(&connection, checksums::RESERVED_BYTES)
        .map_err(|code| Failure::Refused(format!("no room for page checksums ({})", code.0)))?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", options.durability.synchronous())?;
    let moves_from = options.log_pages.saturating_mul(wal::COMMIT_MOVES_AFTER);
    connection.pragma_update(None, "wal_autocheckpoint", moves_from)?;
    connection.pragma_update(None, "cache_size", -16 * 1024)?;
    // Moves what an earlier process left in the WAL into the file, and syncs both: after a failed
    // sync the pages that the system still holds are thereby written again.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(connection)
}

/// A further connection to a database that is open.
fn open_beside(options: &SqliteOptions, path: &Path) -> Result<Connection, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = options.open(path, flags)?;
    connection.busy_timeout(Duration::from_secs(2))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    Ok(connection)
}

fn open_reader(options: &SqliteOptions, path: &Path) -> Result<Connection, Failure> {
    let connection = open_beside(options, path)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn check(connection: &Connection) -> Result<(), Failure> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(Failure::Refused(format!("the data file is damaged ({verdict}): restore a backup")))
}

/// True where the user has no room for one more single token.
fn revoke(
    connection: &mut Connection,
    user: &str,
    revocation: &Revocation,
    tokens_max: usize,
) -> error::Result<bool> {
    match revocation {
        Revocation::IssuedBefore(moment) => {
            connection.execute(
                "INSERT INTO revocations VALUES (?1, '', ?2) ON CONFLICT DO UPDATE
                 SET issued_before = max(issued_before, excluded.issued_before)",
                params![user, moment],
            )?;
        }
        Revocation::Token(jti) => {
            let known: usize = connection.query_row(
                "SELECT count(*) FROM revocations WHERE user = ? AND jti <> '' AND jti <> ?",
                params![user, jti],
                |row| row.get(0),
            )?;
            if known >= tokens_max {
                return Ok(true);
            }
            connection.execute(
                "INSERT INTO revocations VALUES (?, ?, NULL) ON CONFLICT DO NOTHING",
                params![user, jti],
            )?;
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_waits_until_the_log_was_synced() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new(folder.path(), StoreLimits::default());
        let store = SqliteStore::open(&options).unwrap();
        let asked = store.write(|writer| {
            let mode: String = writer.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
            Ok((mode, writer.query_row("PRAGMA synchronous", [], |row| row.get(0))?))
        });
        // 2 is FULL (https://sqlite.org/pragma.html#pragma_synchronous).
        assert_eq!(asked.unwrap(), ("wal".to_owned(), 2_i64));
    }
}
