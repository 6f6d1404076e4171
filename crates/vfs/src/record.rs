//! What a process has done to its files, written down so that another one can cut its power.
//!
//! A process that is killed leaves everything it wrote, for the system writes it later; what a power
//! cut would have taken can only be told from what was synced when. Each note is written before what
//! it tells of is done, with one call: one that is torn at the end tells of nothing.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// One thing that happens to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// It is made.
    New,
    /// Bytes are written; `old` stood there, and is shorter where the file ended.
    Write {
        /// Where.
        at: u64,
        old: Vec<u8>,
        new: Vec<u8>,
    },
    /// It is cut to that size; `rest` was behind.
    Truncate { size: u64, rest: Vec<u8> },
    /// What was written is durable.
    Synced,
    /// It is deleted; it held these bytes.
    Deleted { bytes: Vec<u8> },
}

/// Where notes are written.
#[derive(Debug)]
pub(crate) struct Record(File);

impl Record {
    /// An empty one in the place of whatever is there.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        File::create(path).map(Self)
    }

    pub(crate) fn write(&mut self, path: &Path, note: &Note) -> io::Result<()> {
        let (kind, number, first, second): (u8, u64, &[u8], &[u8]) = match note {
            Note::New => (0, 0, &[], &[]),
            Note::Write { at, old, new } => (1, *at, old, new),
            Note::Truncate { size, rest } => (2, *size, rest, &[]),
            Note::Synced => (3, 0, &[], &[]),
            Note::Deleted { bytes } => (4, 0, bytes, &[]),
        };
        let mut text = vec![kind];
        text.extend(number.to_le_bytes());
        for part in [path.as_os_str().as_bytes(), first, second] {
            text.extend((part.len() as u64).to_le_bytes());
            text.extend(part);
        }
        self.0.write_all(&text)
    }
}

/// All notes that were written whole, in their order.
pub(crate) fn read(bytes: &[u8]) -> Vec<(PathBuf, Note)> {
    let mut rest = bytes;
    std::iter::from_fn(|| next(&mut rest)).collect()
}

fn next(rest: &mut &[u8]) -> Option<(PathBuf, Note)> {
    let kind = *take(rest, 1)?.first()?;
    let number = take_number(rest)?;
    let mut part = || {
        let length = take_number(rest)?;
        take(rest, usize::try_from(length).ok()?).map(<[u8]>::to_vec)
    };
    let (path, first, second) = (part()?, part()?, part()?);
    let note = match kind {
        0 => Note::New,
        1 => Note::Write { at: number, old: first, new: second },
        2 => Note::Truncate { size: number, rest: first },
        3 => Note::Synced,
        4 => Note::Deleted { bytes: first },
        _ => return None,
    };
    Some((PathBuf::from(std::ffi::OsStr::from_bytes(&path)), note))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(count)?;
    *rest = behind;
    Some(taken)
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    take(rest, 8)?.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_they_were_written_and_a_torn_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("record");
        let notes = [
            Note::New,
            Note::Write { at: 7, old: vec![1], new: vec![2, 3] },
            Note::Truncate { size: 1 << 40, rest: vec![] },
            Note::Synced,
            Note::Deleted { bytes: vec![0; 5_000] },
        ];
        let mut record = Record::create(&file).unwrap();
        for note in &notes {
            record.write(Path::new("/a/b"), note).unwrap();
        }
        let written = std::fs::read(&file).unwrap();
        let told: Vec<Note> = read(&written).into_iter().map(|(_, note)| note).collect();
        assert_eq!(told, notes);
        assert_eq!(read(&written)[0].0, Path::new("/a/b"));
        for end in written.len() - 5_000..written.len() {
            assert_eq!(read(&written[..end]).len(), 4, "{end}");
        }
    }
}
