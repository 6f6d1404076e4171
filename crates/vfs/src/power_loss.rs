//! A disk on which the power can be cut, and that can fail: a layer over real files.
//!
//! SQLite reads and writes as always; beside that, everything that was written and not synced is
//! remembered. [`PowerLoss::stop`] is the moment at which the process or the machine ends: whatever
//! old connections still do, no file changes any more. [`PowerLoss::start`] is the next beginning:
//! after a power cut the files are what a disk may hold then, after a mere crash what was written,
//! of which the rest is still not synced. A sync makes durable what was written to that one file
//! before; what was deleted may come back, until SQLite has synced the folder.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;

use crate::layer::{Below, Code, FileKind, FileLayer, Layer};
use crate::record::{self, Note, Record};
use crate::undo::{Luck, Unsynced};

/// A disk for tests; a clone is the same disk.
#[derive(Clone)]
pub struct PowerLoss {
    name: Arc<str>,
    disk: Arc<Mutex<Disk>>,
}

/// How things end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The process ends: what it has written is still in the system's memory.
    Crash,
    /// The power ends: of what was not synced some is gone, as the seed decides.
    PowerCut(u64),
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The power ends in the middle of it: nothing changes any more.
    Stop,
    /// It fails, once.
    Error,
    /// There is no room for it or any later one, until [`PowerLoss::make_room`].
    Full,
}

#[derive(Default)]
struct Disk {
    /// Grows with each beginning; files of an earlier one are dead.
    generation: u64,
    stopped: bool,
    full: bool,
    unsynced: HashMap<PathBuf, Unsynced>,
    /// Files that were deleted, and may come back.
    deleted: HashMap<PathBuf, Vec<u8>>,
    /// So many changes and syncs from now on this goes wrong.
    trouble: Option<(u64, Trouble)>,
    /// Changes and syncs so far.
    calls: u64,
    /// Where everything is written down, for another process.
    record: Option<Record>,
}

impl PowerLoss {
    /// A disk under a VFS of its own; there is no way to take it away again.
    ///
    /// # Errors
    ///
    /// Where SQLite does not take it.
    pub fn new() -> Result<Self, String> {
        Self::with(Disk::default())
    }

    /// The same, and everything is written down in that file, for [`cut_power`].
    ///
    /// # Errors
    ///
    /// As [`PowerLoss::new`], and where the file can't be made.
    pub fn recorded(file: &Path) -> Result<Self, String> {
        let record =
            Record::create(file).map_err(|error| format!("{}: {error}", file.display()))?;
        Self::with(Disk { record: Some(record), ..Disk::default() })
    }

    fn with(disk: Disk) -> Result<Self, String> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("draftwire-power-loss-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let disk = Arc::new(Mutex::new(disk));
        crate::register(&name, Files(Arc::clone(&disk)))?;
        Ok(Self { name: name.into(), disk })
    }

    /// The VFS's name.
    pub fn vfs(&self) -> &str {
        &self.name
    }

    /// From now on no file changes any more.
    pub fn stop(&self) {
        self.lock().stopped = true;
    }

    /// True after [`PowerLoss::stop`], or where [`Trouble::Stop`] has struck.
    pub fn has_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// The next beginning: files are what they are after that end.
    ///
    /// # Panics
    ///
    /// Where the files can't be written.
    pub fn start(&self, end: End) {
        let mut disk = self.lock();
        disk.stopped = false;
        disk.full = false;
        disk.trouble = None;
        disk.generation += 1;
        if let End::PowerCut(seed) = end {
            disk.cut(&mut Rng::with_seed(seed));
        }
    }

    /// Forgets everything, for the next use with other files.
    pub fn forget(&self) {
        let mut disk = self.lock();
        *disk = Disk { generation: disk.generation + 1, ..Disk::default() };
    }

    /// After so many more changes and syncs this goes wrong.
    pub fn plan_trouble(&self, after: u64, trouble: Trouble) {
        self.lock().trouble = Some((after, trouble));
    }

    /// Ends [`Trouble::Full`], and takes back trouble that has not struck.
    pub fn make_room(&self) {
        let mut disk = self.lock();
        disk.full = false;
        disk.trouble = None;
    }

    /// Changes and syncs so far.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Files of which something is not synced.
    pub fn unsynced_files(&self) -> usize {
        self.lock().unsynced.values().filter(|unsynced| !unsynced.is_empty()).count()
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts the power of a process that has ended, by the record that it has left: its files are then
/// what a disk may hold, as the seed decides. Returns how many of its changes were not synced.
///
/// # Errors
///
/// Where the record can't be read, or taken away.
pub fn cut_power(record: &Path, seed: u64) -> std::io::Result<usize> {
    let mut disk = Disk::default();
    for (path, note) in record::read(&fs::read(record)?) {
        disk.apply(&path, note);
    }
    let unsynced = disk.unsynced.values().map(Unsynced::changes).sum();
    disk.cut(&mut Rng::with_seed(seed));
    fs::remove_file(record)?;
    Ok(unsynced)
}

impl Disk {
    /// Something is about to happen to a file.
    fn note(&mut self, path: &Path, note: Note) {
        if let Some(record) = &mut self.record {
            record.write(path, &note).expect("the record of a test can be written");
        }
        self.apply(path, note);
    }

    fn apply(&mut self, path: &Path, note: Note) {
        match note {
            Note::New => drop(self.unsynced.insert(path.to_owned(), Unsynced::of_new_file())),
            Note::Write { at, old, new } => {
                self.unsynced.entry(path.to_owned()).or_default().write(at, old, new);
            }
            Note::Truncate { size, rest } => {
                self.unsynced.entry(path.to_owned()).or_default().truncate(size, rest);
            }
            Note::Synced => {
                let was_new = self.unsynced.remove(path).is_some_and(|unsynced| unsynced.is_new);
                if was_new && is_journal(path) {
                    // SQLite syncs the folder as well after it has made a journal
                    // (os_unix.c, UNIXFILE_DIRSYNC): so what was deleted there stays deleted.
                    self.deleted.retain(|deleted, _| deleted.parent() != path.parent());
                }
            }
            Note::Deleted { bytes } => {
                let was_new = self.unsynced.remove(path).is_some_and(|unsynced| unsynced.is_new);
                if !was_new {
                    self.deleted.insert(path.to_owned(), bytes);
                }
            }
        }
    }

    fn cut(&mut self, rng: &mut Rng) {
        let luck = Luck::draw(rng);
        let mut files: Vec<_> = std::mem::take(&mut self.unsynced).into_iter().collect();
        // The order of a map must not decide what is lost.
        files.sort_by(|one, other| one.0.cmp(&other.0));
        for (path, unsynced) in files {
            let Ok(bytes) = fs::read(&path) else { continue };
            let written = match unsynced.cut(bytes, luck, rng) {
                Some(bytes) => fs::write(&path, bytes),
                None => fs::remove_file(&path),
            };
            written.expect("a file of a test can be written");
        }
        let mut deleted: Vec<_> = std::mem::take(&mut self.deleted).into_iter().collect();
        deleted.sort();
        for (path, bytes) in deleted {
            if !path.exists() && rng.bool() {
                fs::write(&path, bytes).expect("a file of a test can be written");
            }
        }
    }

    /// What becomes of a call that changes or syncs; `Ok(false)` where it is to do nothing.
    fn call(&mut self, generation: u64, error: Code) -> Result<bool, Code> {
        if self.stopped || generation != self.generation {
            return Ok(false);
        }
        self.calls += 1;
        match &mut self.trouble {
            Some((0, trouble)) => {
                let trouble = *trouble;
                self.trouble = None;
                match trouble {
                    Trouble::Stop => {
                        self.stopped = true;
                        return Ok(false);
                    }
                    Trouble::Error => return Err(error),
                    Trouble::Full => self.full = true,
                }
            }
            Some((left, _)) => *left -= 1,
            None => {}
        }
        Ok(true)
    }

    fn is_dead(&self, generation: u64) -> bool {
        self.stopped || generation != self.generation
    }
}

struct Files(Arc<Mutex<Disk>>);

impl Layer for Files {
    fn open(&self, path: Option<&Path>, _kind: FileKind) -> Result<Box<dyn FileLayer>, Code> {
        let mut disk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if disk.stopped {
            return Err(Code::CANNOT_OPEN);
        }
        if let Some(path) = path.filter(|path| !path.exists()) {
            disk.note(path, Note::New);
        }
        let file = File {
            disk: Arc::clone(&self.0),
            path: path.map(Path::to_owned),
            generation: disk.generation,
        };
        Ok(Box::new(file))
    }

    fn delete(
        &self,
        path: &Path,
        delete: &mut dyn FnMut() -> Result<(), Code>,
    ) -> Result<(), Code> {
        let mut disk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = disk.generation;
        if !disk.call(generation, Code::DELETE)? {
            return Ok(());
        }
        if let Ok(bytes) = fs::read(path) {
            disk.note(path, Note::Deleted { bytes });
        }
        delete()
    }
}

/// True for a rollback journal or a write-ahead log.
fn is_journal(path: &Path) -> bool {
    let name = path.as_os_str().as_encoded_bytes();
    name.ends_with(b"-wal") || name.ends_with(b"-journal")
}

struct File {
    disk: Arc<Mutex<Disk>>,
    path: Option<PathBuf>,
    generation: u64,
}

impl File {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands in a file at a place, as far as it reaches.
fn bytes_at(below: &mut dyn Below, at: u64, size: u64) -> Result<Vec<u8>, Code> {
    let there = below.size()?.saturating_sub(at).min(size);
    let mut bytes = vec![0; usize::try_from(there).unwrap_or(0)];
    below.read(&mut bytes, at)?;
    Ok(bytes)
}

impl FileLayer for File {
    fn read(&mut self, below: &mut dyn Below, buffer: &mut [u8], at: u64) -> Result<(), Code> {
        if self.disk().is_dead(self.generation) {
            return Err(Code::READ);
        }
        below.read(buffer, at)
    }

    fn write(&mut self, below: &mut dyn Below, bytes: &[u8], at: u64) -> Result<(), Code> {
        let mut disk = self.disk();
        if !disk.call(self.generation, Code::WRITE)? {
            return Ok(());
        }
        if disk.full {
            return Err(Code::FULL);
        }
        if let Some(path) = &self.path {
            let old = bytes_at(below, at, bytes.len() as u64)?;
            disk.note(path, Note::Write { at, old, new: bytes.to_owned() });
        }
        below.write(bytes, at)
    }

    fn truncate(&mut self, below: &mut dyn Below, size: u64) -> Result<(), Code> {
        let mut disk = self.disk();
        if !disk.call(self.generation, Code::TRUNCATE)? {
            return Ok(());
        }
        if let Some(path) = &self.path {
            let rest = bytes_at(below, size, u64::MAX)?;
            disk.note(path, Note::Truncate { size, rest });
        }
        below.truncate(size)
    }

    fn sync(&mut self, _below: &mut dyn Below) -> Result<(), Code> {
        let mut disk = self.disk();
        if disk.call(self.generation, Code::SYNC)?
            && let Some(path) = &self.path
        {
            disk.note(path, Note::Synced);
        }
        // The real file need not be synced: what a cut leaves of it is decided here.
        Ok(())
    }
}
