//! What a layer is asked, in safe terms. It owns the words; the calls come from `shim`.

use std::path::Path;

use rusqlite::ffi;

/// Why a call did not do what was asked: one of SQLite's result codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub i32);

impl Code {
    /// There were fewer bytes in the file than asked for; the rest of the buffer is zeros.
    pub const SHORT_READ: Self = Self(ffi::SQLITE_IOERR_SHORT_READ);
    /// A read failed.
    pub const READ: Self = Self(ffi::SQLITE_IOERR_READ);
    /// A write failed.
    pub const WRITE: Self = Self(ffi::SQLITE_IOERR_WRITE);
    /// A truncation failed.
    pub const TRUNCATE: Self = Self(ffi::SQLITE_IOERR_TRUNCATE);
    /// A sync failed.
    pub const SYNC: Self = Self(ffi::SQLITE_IOERR_FSYNC);
    /// A deletion failed.
    pub const DELETE: Self = Self(ffi::SQLITE_IOERR_DELETE);
    /// There is no room.
    pub const FULL: Self = Self(ffi::SQLITE_FULL);
    /// What was read is not what was written.
    pub const DATA: Self = Self(ffi::SQLITE_IOERR_DATA);
    /// The file can't be opened.
    pub const CANNOT_OPEN: Self = Self(ffi::SQLITE_CANTOPEN);
}

/// The file below a layer, as the system has it.
pub trait Below {
    /// Fills the buffer from there.
    ///
    /// # Errors
    ///
    /// [`Code::SHORT_READ`] behind the file's end, or the system's.
    fn read(&mut self, buffer: &mut [u8], offset: u64) -> Result<(), Code>;

    /// Writes all of it there.
    ///
    /// # Errors
    ///
    /// The system's.
    fn write(&mut self, bytes: &[u8], offset: u64) -> Result<(), Code>;

    /// Cuts the file to that size, in bytes.
    ///
    /// # Errors
    ///
    /// The system's.
    fn truncate(&mut self, size: u64) -> Result<(), Code>;

    /// Makes what was written durable.
    ///
    /// # Errors
    ///
    /// The system's.
    fn sync(&mut self) -> Result<(), Code>;

    /// The file's size in bytes.
    ///
    /// # Errors
    ///
    /// The system's.
    fn size(&mut self) -> Result<u64, Code>;
}

/// One file that SQLite has opened through a layer. Each call is passed on where nothing else is
/// said.
pub trait FileLayer: Send {
    /// See [`Below::read`].
    ///
    /// # Errors
    ///
    /// What SQLite is told.
    fn read(&mut self, below: &mut dyn Below, buffer: &mut [u8], at: u64) -> Result<(), Code> {
        below.read(buffer, at)
    }

    /// See [`Below::write`].
    ///
    /// # Errors
    ///
    /// What SQLite is told.
    fn write(&mut self, below: &mut dyn Below, bytes: &[u8], at: u64) -> Result<(), Code> {
        below.write(bytes, at)
    }

    /// See [`Below::truncate`].
    ///
    /// # Errors
    ///
    /// What SQLite is told.
    fn truncate(&mut self, below: &mut dyn Below, size: u64) -> Result<(), Code> {
        below.truncate(size)
    }

    /// See [`Below::sync`].
    ///
    /// # Errors
    ///
    /// What SQLite is told.
    fn sync(&mut self, below: &mut dyn Below) -> Result<(), Code> {
        below.sync()
    }
}

/// What SQLite opens a file as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A database.
    Database,
    /// A write-ahead log, a journal, or a temporary file of any kind.
    Other,
}

/// A layer over the files of one VFS. Called from any thread.
pub trait Layer: Send + Sync + 'static {
    /// SQLite is about to open a file; `path` is `None` for a temporary one.
    ///
    /// # Errors
    ///
    /// Where it is not to be opened.
    fn open(&self, path: Option<&Path>, kind: FileKind) -> Result<Box<dyn FileLayer>, Code>;

    /// SQLite deletes a file; `delete` does it.
    ///
    /// # Errors
    ///
    /// What SQLite is told.
    fn delete(
        &self,
        path: &Path,
        delete: &mut dyn FnMut() -> Result<(), Code>,
    ) -> Result<(), Code> {
        let _ = path;
        delete()
    }
}
