//! A journal in one file.
//!
//! A first line that names the format, then a record for each text: its length and its checksum
//! (CRC-32), 4 bytes each, little-endian, and the text. A record that was torn by a crash is cut
//! off when the file is opened. A replacement is written beside the file and renamed over it.
//! A lock file keeps a second client out: two would use the same numbers for different commands.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::Storage;

const FORMAT: &[u8] = b"draftwire-client journal 1\n";
const HEAD_BYTES: usize = 8;

/// Keeps everything in one file, with its lock and its replacement beside it.
///
/// What was stored durably survives a power cut, as far as the disk keeps what it has confirmed.
#[derive(Debug)]
pub struct FileStorage {
    path: PathBuf,
    file: File,
    /// Held as long as this lives.
    _lock: File,
}

impl FileStorage {
    /// Opens the journal, or makes it; its folder must be there.
    ///
    /// # Errors
    ///
    /// Where the file can't be opened or is something else, and with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) where another client has it open.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(beside(&path, ".lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::WouldBlock, "another client has this journal open")
            }
            TryLockError::Error(error) => error,
        })?;
        if !path.exists() {
            install(&path, &[])?;
        }
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        Ok(Self { path, file, _lock: lock })
    }
}

impl Storage for FileStorage {
    fn load(&mut self) -> io::Result<Vec<String>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_end(&mut bytes)?;
        let records = bytes.strip_prefix(FORMAT).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "this file is no journal of this version")
        })?;
        let (texts, whole) = read_records(records);
        self.file.set_len((FORMAT.len() + whole) as u64)?;
        self.file.seek(SeekFrom::End(0))?;
        self.file.sync_all()?;
        Ok(texts)
    }

    fn append(&mut self, text: &str, durable: bool) -> io::Result<()> {
        self.file.write_all(&record(text)?)?;
        if durable { self.file.sync_data() } else { Ok(()) }
    }

    fn replace(&mut self, text: &str) -> io::Result<()> {
        self.file = install(&self.path, &record(text)?)?;
        Ok(())
    }
}

/// Writes a journal with these records and puts it in its place, durably; it is open at its end.
fn install(path: &Path, records: &[u8]) -> io::Result<File> {
    let new = beside(path, ".new");
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&new)?;
    file.write_all(FORMAT)?;
    file.write_all(records)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    // The rename itself is durable when the folder is; on Windows folders can't be synced.
    #[cfg(unix)]
    File::open(
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")),
    )?
    .sync_all()?;
    Ok(file)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn record(text: &str) -> io::Result<Vec<u8>> {
    let length = u32::try_from(text.len())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "more than 4 GiB in one text"))?;
    let mut bytes = Vec::with_capacity(HEAD_BYTES + text.len());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(text.as_bytes()).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    Ok(bytes)
}

/// The texts up to the first record that is not whole, and the bytes they take.
fn read_records(bytes: &[u8]) -> (Vec<String>, usize) {
    let mut texts = Vec::new();
    let mut at = 0;
    while let Some(text) = read_record(&bytes[at..]) {
        at += HEAD_BYTES + text.len();
        texts.push(text.to_owned());
    }
    (texts, at)
}

fn read_record(bytes: &[u8]) -> Option<&str> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let text = rest.get(..u32::from_le_bytes(*length) as usize)?;
    // A run of zeros, as a crash may leave, is an empty record with the right checksum.
    let whole = !text.is_empty() && crc32fast::hash(text) == u32::from_le_bytes(*checksum);
    std::str::from_utf8(text).ok().filter(|_| whole)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::{FORMAT, FileStorage, beside};
    use crate::storage::Storage;

    fn load(path: &std::path::Path) -> Vec<String> {
        FileStorage::open(path).unwrap().load().unwrap()
    }

    #[test]
    fn what_was_appended_or_replaced_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut storage = FileStorage::open(&path).unwrap();
        assert!(storage.load().unwrap().is_empty());
        storage.append("one", false).unwrap();
        storage.append("two\nlines", true).unwrap();
        drop(storage);
        assert_eq!(load(&path), ["one", "two\nlines"]);
        let mut storage = FileStorage::open(&path).unwrap();
        storage.load().unwrap();
        storage.replace("all").unwrap();
        storage.append("more", true).unwrap();
        drop(storage);
        assert_eq!(load(&path), ["all", "more"]);
    }

    #[test]
    fn wherever_it_is_torn_the_texts_before_are_whole_and_it_goes_on_from_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut storage = FileStorage::open(&path).unwrap();
        storage.load().unwrap();
        storage.append("first", true).unwrap();
        let first = std::fs::metadata(&path).unwrap().len() as usize;
        storage.append("second", true).unwrap();
        drop(storage);
        let bytes = std::fs::read(&path).unwrap();
        for end in FORMAT.len()..bytes.len() {
            let torn: [&[u8]; 3] = [b"", &[0; 32], b"garbage that was never written here"];
            for tail in torn {
                std::fs::write(&path, [&bytes[..end], tail].concat()).unwrap();
                let mut storage = FileStorage::open(&path).unwrap();
                let kept = storage.load().unwrap();
                assert_eq!(kept, if end < first { vec![] } else { vec!["first"] }, "{end}");
                storage.append("third", true).unwrap();
                drop(storage);
                assert_eq!(load(&path).last().unwrap(), "third", "{end}");
            }
        }
    }

    #[test]
    fn a_replacement_that_was_not_finished_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut storage = FileStorage::open(&path).unwrap();
        storage.load().unwrap();
        storage.append("kept", true).unwrap();
        drop(storage);
        std::fs::write(beside(&path, ".new"), b"draftwire-cl").unwrap();
        assert_eq!(load(&path), ["kept"]);
    }

    #[test]
    fn a_second_client_is_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let first = FileStorage::open(&path).unwrap();
        assert_eq!(FileStorage::open(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(first);
        FileStorage::open(&path).unwrap();
    }

    #[test]
    fn another_file_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("letter");
        std::fs::write(&path, "Dear Ann").unwrap();
        let error = FileStorage::open(&path).unwrap().load().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "Dear Ann");
    }
}
