//! The functions that SQLite calls, over those of the system's own VFS.
//!
//! Owns all that is unsafe in this crate: a file of ours is a header with the layer's file, and
//! behind it, in the same memory that SQLite has set aside, the system's own file, to which every
//! call is passed on. Locks and shared memory pass through; memory-mapped reads are switched off
//! (version 2 of the methods has none), or they would not be seen.

#![expect(unsafe_code, reason = "SQLite's VFS is an interface of C; nothing else here is unsafe")]

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;

use rusqlite::Connection;
use rusqlite::ffi::{self, sqlite3_file, sqlite3_io_methods, sqlite3_vfs};

use crate::layer::{Below, Code, FileKind, FileLayer, Layer};

/// What the VFS's `pAppData` points to.
struct Shim {
    layer: Box<dyn Layer>,
    system: *mut sqlite3_vfs,
}

/// The head of a file of ours.
#[repr(C)]
struct Head {
    base: sqlite3_file,
    /// Null while nothing is open.
    layer: *mut Box<dyn FileLayer>,
}

/// Where the system's file lies behind the head; a multiple of what anything must be aligned to.
const SYSTEM_FILE_OFFSET: usize = size_of::<Head>().next_multiple_of(16);

/// Makes a layer known to SQLite under a name, for the rest of the process's life.
///
/// # Errors
///
/// A sentence where SQLite does not take it, or has no VFS of the system's.
pub fn register(name: &str, layer: impl Layer) -> Result<(), String> {
    register_over(name, None, layer)
}

/// The same over another VFS that was registered, instead of the system's.
///
/// # Errors
///
/// As [`register`], and where there is no such VFS.
pub fn register_over(name: &str, base: Option<&str>, layer: impl Layer) -> Result<(), String> {
    let text = |name: &str| CString::new(name).map_err(|_| "a name holds no NUL".to_owned());
    let (name, base) = (text(name)?.into_raw(), base.map(text).transpose()?);
    let base = base.as_ref().map_or(ptr::null(), |base| base.as_ptr());
    // SAFETY: initializes the library if that was not done, and finds a VFS by a name that ends
    // with NUL, or the default one. What is registered is never taken away by us.
    let system = unsafe { ffi::sqlite3_vfs_find(base) };
    if system.is_null() {
        return Err("there is no such VFS below".into());
    }
    // SAFETY: it was found, and is never changed.
    let below = unsafe { &*system };
    let offset = c_int::try_from(SYSTEM_FILE_OFFSET).unwrap_or(c_int::MAX);
    let shim = Box::new(Shim { layer: Box::new(layer), system });
    let vfs = Box::new(sqlite3_vfs {
        iVersion: 2,
        szOsFile: below.szOsFile + offset,
        mxPathname: below.mxPathname,
        pNext: ptr::null_mut(),
        zName: name,
        pAppData: Box::into_raw(shim).cast(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: Some(last_error),
        xCurrentTimeInt64: Some(current_time_int64),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    });
    // SAFETY: the table and all it points to live from here on as long as the process.
    match unsafe { ffi::sqlite3_vfs_register(Box::into_raw(vfs), 0) } {
        ffi::SQLITE_OK => Ok(()),
        code => Err(format!("SQLite does not take the layer (code {code})")),
    }
}

/// Asks SQLite to leave so many bytes free at the end of every page. It has no effect once the
/// database has pages.
///
/// # Errors
///
/// SQLite's code.
pub fn reserve(connection: &Connection, bytes: u8) -> Result<(), Code> {
    let mut bytes = c_int::from(bytes);
    // SAFETY: the connection is open while it is borrowed; this operation reads and writes one int.
    outcome(unsafe {
        ffi::sqlite3_file_control(
            connection.handle(),
            c"main".as_ptr(),
            ffi::SQLITE_FCNTL_RESERVE_BYTES,
            (&raw mut bytes).cast(),
        )
    })
}

/// # Safety
///
/// `vfs` is one that [`register_over`] has made.
unsafe fn shim<'a>(vfs: *mut sqlite3_vfs) -> &'a Shim {
    // SAFETY: its `pAppData` is a `Shim` that is never freed.
    unsafe { &*(*vfs).pAppData.cast::<Shim>() }
}

/// # Safety
///
/// `text` is null or ends with NUL, and lives while the path is used.
unsafe fn path<'a>(text: *const c_char) -> Option<&'a Path> {
    // SAFETY: as the caller promises.
    (!text.is_null())
        .then(|| Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(text) }.to_bytes())))
}

/// The system's file behind a file of ours.
fn system_file(file: *mut sqlite3_file) -> *mut sqlite3_file {
    file.wrapping_byte_add(SYSTEM_FILE_OFFSET)
}

/// The system's file, for layers.
struct SystemFile(*mut sqlite3_file);

impl SystemFile {
    fn methods(&self) -> &sqlite3_io_methods {
        // SAFETY: a file that is open has methods, which live as long as the process.
        unsafe { &*(*self.0).pMethods }
    }
}

fn outcome(code: c_int) -> Result<(), Code> {
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(Code(code)) }
}

fn code(outcome: Result<(), Code>) -> c_int {
    outcome.map_or_else(|code| code.0, |()| ffi::SQLITE_OK)
}

/// A size or place as SQLite passes it; it passes none below zero.
fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn length(bytes: usize) -> c_int {
    // SQLite passes no more than a page or a WAL frame at once.
    c_int::try_from(bytes).unwrap_or(c_int::MAX)
}

impl Below for SystemFile {
    fn read(&mut self, buffer: &mut [u8], offset: u64) -> Result<(), Code> {
        let read = self.methods().xRead.ok_or(Code::READ)?;
        // SAFETY: the file is open, the buffer as long as is said.
        outcome(unsafe {
            read(self.0, buffer.as_mut_ptr().cast(), length(buffer.len()), signed(offset))
        })
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> Result<(), Code> {
        let write = self.methods().xWrite.ok_or(Code::WRITE)?;
        // SAFETY: the file is open, the bytes as many as is said.
        outcome(unsafe {
            write(self.0, bytes.as_ptr().cast(), length(bytes.len()), signed(offset))
        })
    }

    fn truncate(&mut self, size: u64) -> Result<(), Code> {
        let truncate = self.methods().xTruncate.ok_or(Code::TRUNCATE)?;
        // SAFETY: the file is open.
        outcome(unsafe { truncate(self.0, signed(size)) })
    }

    fn sync(&mut self) -> Result<(), Code> {
        let sync = self.methods().xSync.ok_or(Code::SYNC)?;
        // SAFETY: the file is open.
        outcome(unsafe { sync(self.0, ffi::SQLITE_SYNC_NORMAL) })
    }

    fn size(&mut self) -> Result<u64, Code> {
        let size_of = self.methods().xFileSize.ok_or(Code::READ)?;
        let mut size = 0;
        // SAFETY: the file is open, and the size is written where it is said.
        outcome(unsafe { size_of(self.0, &raw mut size) })?;
        Ok(unsigned(size))
    }
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let head = file.cast::<Head>();
    // SAFETY: SQLite passes the VFS it was given, and memory of the size that it was told; a file
    // without methods is one that was not opened and is not closed.
    let shim = unsafe {
        (*head).base.pMethods = ptr::null();
        (*head).layer = ptr::null_mut();
        shim(vfs)
    };
    let kind =
        if flags & ffi::SQLITE_OPEN_MAIN_DB == 0 { FileKind::Other } else { FileKind::Database };
    // SAFETY: SQLite passes null or a name that ends with NUL.
    let layer = match shim.layer.open(unsafe { path(name) }, kind) {
        Ok(layer) => layer,
        Err(code) => return code.0,
    };
    // SAFETY: the system's VFS is asked what it is always asked, for memory of its size.
    let opened = unsafe {
        match (*shim.system).xOpen {
            Some(open) => open(shim.system, name, system_file(file), flags, out_flags),
            None => ffi::SQLITE_CANTOPEN,
        }
    };
    if opened == ffi::SQLITE_OK {
        // SAFETY: the head is ours; what is put there is taken back in `close`.
        unsafe {
            (*head).layer = Box::into_raw(Box::new(layer));
            (*head).base.pMethods = methods();
        }
    }
    opened
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: as in `open`.
    let (shim, target) = unsafe { (shim(vfs), path(name)) };
    let mut delete = || {
        // SAFETY: the system's VFS is asked what it is always asked.
        unsafe {
            let delete = (*shim.system).xDelete.ok_or(Code::DELETE)?;
            outcome(delete(shim.system, name, sync))
        }
    };
    code(match target {
        Some(target) => shim.layer.delete(target, &mut delete),
        None => delete(),
    })
}

/// Passes a call on to the system's VFS.
macro_rules! passed_on {
    ($name:ident, $method:ident, $missing:expr, $($argument:ident: $kind:ty),*) => {
        unsafe extern "C" fn $name(vfs: *mut sqlite3_vfs, $($argument: $kind),*) -> c_int {
            // SAFETY: the system's VFS gets what SQLite has passed.
            unsafe {
                let system = shim(vfs).system;
                (*system).$method.map_or($missing, |method| method(system, $($argument),*))
            }
        }
    };
}

passed_on!(access, xAccess, ffi::SQLITE_IOERR, name: *const c_char, flags: c_int, result: *mut c_int);
passed_on!(full_pathname, xFullPathname, ffi::SQLITE_CANTOPEN, name: *const c_char, size: c_int, out: *mut c_char);
passed_on!(randomness, xRandomness, 0, size: c_int, out: *mut c_char);
passed_on!(sleep, xSleep, 0, microseconds: c_int);
passed_on!(current_time, xCurrentTime, ffi::SQLITE_ERROR, now: *mut f64);
passed_on!(last_error, xGetLastError, 0, size: c_int, out: *mut c_char);
passed_on!(current_time_int64, xCurrentTimeInt64, ffi::SQLITE_ERROR, now: *mut ffi::sqlite3_int64);

/// Runs `work` with the layer's file and the system's.
///
/// # Safety
///
/// `file` was opened by [`open`] and is not closed.
unsafe fn with(
    file: *mut sqlite3_file,
    work: impl FnOnce(&mut dyn FileLayer, &mut dyn Below) -> Result<(), Code>,
) -> c_int {
    // SAFETY: such a file's layer is set, and SQLite calls for one file at a time.
    let layer = unsafe { &mut **(*file.cast::<Head>()).layer };
    code(work(layer, &mut SystemFile(system_file(file))))
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let system = SystemFile(system_file(file));
    let head = file.cast::<Head>();
    // SAFETY: the file is open until here; the layer's file was put there by `open`.
    unsafe {
        let closed = system.methods().xClose.map_or(ffi::SQLITE_OK, |close| close(system.0));
        drop(Box::from_raw((*head).layer));
        (*head).layer = ptr::null_mut();
        (*head).base.pMethods = ptr::null();
        closed
    }
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    buffer: *mut c_void,
    size: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite passes an open file and a buffer of that size.
    unsafe {
        let buffer =
            std::slice::from_raw_parts_mut(buffer.cast(), usize::try_from(size).unwrap_or(0));
        with(file, |layer, below| layer.read(below, buffer, unsigned(offset)))
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    bytes: *const c_void,
    size: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite passes an open file and so many bytes.
    unsafe {
        let bytes = std::slice::from_raw_parts(bytes.cast(), usize::try_from(size).unwrap_or(0));
        with(file, |layer, below| layer.write(below, bytes, unsigned(offset)))
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite passes an open file.
    unsafe { with(file, |layer, below| layer.truncate(below, unsigned(size))) }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: SQLite passes an open file.
    unsafe { with(file, |layer, below| layer.sync(below)) }
}

/// Passes a call on to the system's file.
macro_rules! file_passed_on {
    ($name:ident, $method:ident, $missing:expr $(, $argument:ident: $kind:ty)*) => {
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $argument: $kind)*) -> c_int {
            let system = SystemFile(system_file(file));
            // SAFETY: the system's file gets what SQLite has passed.
            system.methods().$method.map_or($missing, |method| unsafe { method(system.0 $(, $argument)*) })
        }
    };
}

file_passed_on!(file_size, xFileSize, ffi::SQLITE_IOERR, size: *mut ffi::sqlite3_int64);
file_passed_on!(lock, xLock, ffi::SQLITE_IOERR, level: c_int);
file_passed_on!(unlock, xUnlock, ffi::SQLITE_IOERR, level: c_int);
file_passed_on!(check_reserved_lock, xCheckReservedLock, ffi::SQLITE_IOERR, result: *mut c_int);
file_passed_on!(file_control, xFileControl, ffi::SQLITE_NOTFOUND, operation: c_int, argument: *mut c_void);
file_passed_on!(sector_size, xSectorSize, 4096);
file_passed_on!(characteristics_below, xDeviceCharacteristics, 0);
file_passed_on!(shm_map, xShmMap, ffi::SQLITE_IOERR, page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void);
file_passed_on!(shm_lock, xShmLock, ffi::SQLITE_IOERR, offset: c_int, count: c_int, flags: c_int);
file_passed_on!(shm_unmap, xShmUnmap, ffi::SQLITE_OK, delete: c_int);

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    let system = SystemFile(system_file(file));
    if let Some(barrier) = system.methods().xShmBarrier {
        // SAFETY: the system's file gets what SQLite has passed.
        unsafe { barrier(system.0) };
    }
}

/// What the system says, but that parts of pages may be read: layers see whole pages.
unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    // SAFETY: as SQLite has passed it.
    unsafe { characteristics_below(file) & !ffi::SQLITE_IOCAP_SUBPAGE_READ }
}

fn methods() -> *const sqlite3_io_methods {
    static METHODS: OnceLock<sqlite3_io_methods> = OnceLock::new();
    METHODS.get_or_init(|| sqlite3_io_methods {
        iVersion: 2,
        xClose: Some(close),
        xRead: Some(read),
        xWrite: Some(write),
        xTruncate: Some(truncate),
        xSync: Some(sync),
        xFileSize: Some(file_size),
        xLock: Some(lock),
        xUnlock: Some(unlock),
        xCheckReservedLock: Some(check_reserved_lock),
        xFileControl: Some(file_control),
        xSectorSize: Some(sector_size),
        xDeviceCharacteristics: Some(device_characteristics),
        xShmMap: Some(shm_map),
        xShmLock: Some(shm_lock),
        xShmBarrier: Some(shm_barrier),
        xShmUnmap: Some(shm_unmap),
        xFetch: None,
        xUnfetch: None,
    })
}
