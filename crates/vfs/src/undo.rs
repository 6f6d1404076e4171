//! What was written to one file and not synced, and what a power cut leaves of it.
//!
//! Every change is kept with what it replaced. A cut takes all of them back, and then does those
//! again that happen to have reached the disk: whole, torn at sectors, in any order. Owns no file.

use fastrand::Rng;

/// A disk writes so many bytes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// One change that was not synced.
#[derive(Debug)]
enum Change {
    Write {
        at: usize,
        /// What stood there; shorter than `new` where the file ended.
        old: Vec<u8>,
        new: Vec<u8>,
    },
    Truncate {
        size: usize,
        /// What was cut off.
        rest: Vec<u8>,
    },
}

/// The changes of one file since its last sync, in order.
#[derive(Debug, Default)]
pub(crate) struct Unsynced {
    changes: Vec<Change>,
    /// The file itself was made since then.
    pub(crate) is_new: bool,
}

/// How much of what was not synced has reached the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Luck {
    /// Nothing.
    None,
    /// The first of the changes, and a part of the next.
    Begun,
    /// Any of them, torn at sectors.
    Any,
}

impl Luck {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        [Self::None, Self::Begun, Self::Any][rng.usize(..3)]
    }
}

impl Unsynced {
    /// A file that has just been made.
    pub(crate) fn of_new_file() -> Self {
        Self { changes: Vec::new(), is_new: true }
    }

    /// How many changes a cut may take back.
    pub(crate) fn changes(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn write(&mut self, at: u64, old: Vec<u8>, new: Vec<u8>) {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        self.changes.push(Change::Write { at, old, new });
    }

    pub(crate) fn truncate(&mut self, size: u64, rest: Vec<u8>) {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        self.changes.push(Change::Truncate { size, rest });
    }

    /// True where a cut would change nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty() && !self.is_new
    }

    /// What is on the disk after the power was cut, of a file that holds `bytes`. `None` where the
    /// file itself is gone.
    pub(crate) fn cut(self, mut bytes: Vec<u8>, luck: Luck, rng: &mut Rng) -> Option<Vec<u8>> {
        for change in self.changes.iter().rev() {
            change.take_back(&mut bytes);
        }
        let count = self.changes.len();
        let whole = if luck == Luck::Begun { rng.usize(..=count) } else { 0 };
        for (index, change) in self.changes.iter().enumerate() {
            match luck {
                Luck::None => break,
                Luck::Begun if index < whole => change.make(&mut bytes),
                Luck::Begun if index == whole => change.make_torn(&mut bytes, rng),
                Luck::Begun => break,
                Luck::Any => match rng.u8(..3) {
                    0 => {}
                    1 => change.make(&mut bytes),
                    _ => change.make_torn(&mut bytes, rng),
                },
            }
        }
        let gone = self.is_new && (luck == Luck::None || rng.bool());
        (!gone).then_some(bytes)
    }
}

impl Change {
    fn take_back(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write { at, old, new } => {
                if old.len() < new.len() {
                    // It made the file longer.
                    bytes.truncate(at + old.len());
                }
                put(bytes, *at, old);
            }
            Self::Truncate { size, rest } => {
                bytes.resize(*size, 0);
                bytes.extend_from_slice(rest);
            }
        }
    }

    fn make(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write { at, new, .. } => put(bytes, *at, new),
            Self::Truncate { size, .. } => bytes.truncate(*size),
        }
    }

    /// Some of its sectors reach the disk.
    fn make_torn(&self, bytes: &mut Vec<u8>, rng: &mut Rng) {
        let Self::Write { at, new, .. } = self else {
            if rng.bool() {
                self.make(bytes);
            }
            return;
        };
        let mut from = 0;
        while from < new.len() {
            let to = (from + SECTOR_BYTES - (at + from) % SECTOR_BYTES).min(new.len());
            if rng.bool() {
                put(bytes, at + from, &new[from..to]);
            }
            from = to;
        }
    }
}

/// Overwrites, behind zeros where the file was shorter.
fn put(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    if new.is_empty() {
        return;
    }
    if bytes.len() < at + new.len() {
        bytes.resize(at + new.len(), 0);
    }
    bytes[at..at + new.len()].copy_from_slice(new);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_what_was_not_synced_is_left_without_luck() {
        let mut file = b"0123456789".to_vec();
        let mut unsynced = Unsynced::default();
        unsynced.write(8, b"89".to_vec(), b"abcd".to_vec());
        put(&mut file, 8, b"abcd");
        unsynced.truncate(5, file[5..].to_vec());
        file.truncate(5);
        unsynced.write(2, b"2".to_vec(), b"X".to_vec());
        put(&mut file, 2, b"X");
        assert_eq!(file, b"01X34");
        let left = unsynced.cut(file, Luck::None, &mut Rng::with_seed(1));
        assert_eq!(left.unwrap(), b"0123456789");
    }

    #[test]
    fn a_sector_is_whole_or_not_there() {
        let (mut some, mut all) = (0, 0);
        for seed in 0..200 {
            let mut unsynced = Unsynced::default();
            unsynced.write(0, vec![0; 2_048], vec![1; 2_048]);
            let left = unsynced.cut(vec![1; 2_048], Luck::Any, &mut Rng::with_seed(seed)).unwrap();
            let sectors: Vec<u8> = left.chunks(SECTOR_BYTES).map(|sector| sector[0]).collect();
            assert!(left.chunks(SECTOR_BYTES).all(|sector| sector.iter().all(|b| *b == sector[0])));
            some += u32::from(sectors.contains(&0) && sectors.contains(&1));
            all += u32::from(!sectors.contains(&0));
        }
        assert!(some > 20 && all > 20, "{some} torn, {all} whole");
    }

    #[test]
    fn a_file_that_was_made_and_not_synced_may_be_gone() {
        let gone = (0..100).filter(|seed| {
            Unsynced::of_new_file().cut(Vec::new(), Luck::Any, &mut Rng::with_seed(*seed)).is_none()
        });
        assert!((20..80).contains(&gone.count()));
    }
}
