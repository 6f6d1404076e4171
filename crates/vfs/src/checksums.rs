//! A checksum on every page of a database file: a layer that notices what a disk has changed.
//!
//! The last eight bytes of a page are the checksum of all before them, computed as SQLite's own
//! checksum extension does (<https://sqlite.org/cksumvfs.html>). It is written with the page, and
//! looked at whenever a page is read; where it is wrong the read fails with `SQLITE_IOERR_DATA`. Any
//! change within four bytes of a page is found for sure.
//!
//! SQLite itself only ever sees zeros there, and so does its write-ahead log. A backup that another
//! tool makes while the server runs holds pages of the log: eight zeros mean that a page has no
//! checksum yet, and gets one when it is next written.
//!
//! The write-ahead log is left to SQLite's own checksums, and so are rollback journals. The layer
//! works for databases whose pages have [`PAGE_BYTES`] and keep [`RESERVED_BYTES`] free, which
//! [`reserve`] asks for before anything is written; it never mends anything.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::layer::{Below, Code, FileKind, FileLayer, Layer};
pub use crate::shim::reserve;

/// Bytes of a page: SQLite's default, which is therefore never to be set otherwise.
pub const PAGE_BYTES: usize = 4096;
/// Of these, at the end, for the checksum.
pub const RESERVED_BYTES: u8 = 8;

/// Bytes before the checksum.
const CONTENT_BYTES: usize = PAGE_BYTES - RESERVED_BYTES as usize;
/// In the place of a checksum: there is none.
const NONE: [u8; RESERVED_BYTES as usize] = [0; RESERVED_BYTES as usize];
/// SQLite looks at this much of the first page before it knows what it opens
/// (<https://sqlite.org/fileformat2.html#the_database_header>). After a power cut the page may be
/// torn there, and whole in the log; it is read as a page, and verified, before it is believed.
const HEADER_BYTES: usize = 100;

/// The name of a VFS with checksums over that one, or over the system's own. It is made known to
/// SQLite when it is first asked for.
///
/// # Errors
///
/// A sentence where there is no such VFS, or SQLite does not take the layer.
pub fn over(base: Option<&str>) -> Result<String, String> {
    static KNOWN: Mutex<BTreeMap<Option<String>, String>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(name) = known.get(&base.map(str::to_owned)) {
        return Ok(name.clone());
    }
    let name =
        format!("draftwire-checksums{}", base.map_or_else(String::new, |on| format!("-{on}")));
    crate::shim::register_over(&name, base, Checksums)?;
    known.insert(base.map(str::to_owned), name.clone());
    Ok(name)
}

struct Checksums;

impl Layer for Checksums {
    fn open(&self, _path: Option<&Path>, kind: FileKind) -> Result<Box<dyn FileLayer>, Code> {
        Ok(match kind {
            FileKind::Database => Box::new(Pages { pages: Vec::new() }),
            FileKind::Other => Box::new(PassedOn),
        })
    }
}

/// A file without pages.
struct PassedOn;

impl FileLayer for PassedOn {}

/// A database file.
struct Pages {
    /// Room for a page that is about to be written, or of which a part is read.
    pages: Vec<u8>,
}

impl FileLayer for Pages {
    fn read(&mut self, below: &mut dyn Below, buffer: &mut [u8], at: u64) -> Result<(), Code> {
        let page_bytes = PAGE_BYTES as u64;
        let (begin, length) = (at % page_bytes, buffer.len());
        if begin == 0 && length.is_multiple_of(PAGE_BYTES) {
            below.read(buffer, at)?;
            return take_off(buffer);
        }
        if at + length as u64 <= HEADER_BYTES as u64 {
            return below.read(buffer, at);
        }
        let begin = begin as usize;
        self.pages.clear();
        self.pages.resize((begin + length).next_multiple_of(PAGE_BYTES), 0);
        below.read(&mut self.pages, at - begin as u64)?;
        take_off(&mut self.pages)?;
        buffer.copy_from_slice(&self.pages[begin..begin + length]);
        Ok(())
    }

    fn write(&mut self, below: &mut dyn Below, bytes: &[u8], at: u64) -> Result<(), Code> {
        let whole = at.is_multiple_of(PAGE_BYTES as u64) && bytes.len().is_multiple_of(PAGE_BYTES);
        if !whole {
            // Better no write than one that nobody vouches for.
            return Err(Code::WRITE);
        }
        self.pages.clear();
        self.pages.extend_from_slice(bytes);
        for page in self.pages.chunks_exact_mut(PAGE_BYTES) {
            let (content, sum) = page.split_at_mut(CONTENT_BYTES);
            sum.copy_from_slice(&checksum(content));
        }
        below.write(&self.pages, at)
    }
}

/// Verifies the checksum of each page, and leaves zeros in its place.
fn take_off(pages: &mut [u8]) -> Result<(), Code> {
    for page in pages.chunks_exact_mut(PAGE_BYTES) {
        let (content, sum) = page.split_at_mut(CONTENT_BYTES);
        if sum != NONE && checksum(content) != *sum {
            return Err(Code::DATA);
        }
        sum.fill(0);
    }
    Ok(())
}

/// Two sums over words of 32 bits, each carried into the other. That of a page of zeros, which may
/// lie where nothing was ever written, is zero.
fn checksum(content: &[u8]) -> [u8; RESERVED_BYTES as usize] {
    let (mut first, mut second) = (0_u32, 0_u32);
    for words in content.chunks_exact(8) {
        let [a, b, c, d, e, f, g, h] = words else { continue };
        first = first.wrapping_add(u32::from_le_bytes([*a, *b, *c, *d])).wrapping_add(second);
        second = second.wrapping_add(u32::from_le_bytes([*e, *f, *g, *h])).wrapping_add(first);
    }
    let [a, b, c, d] = first.to_le_bytes();
    let [e, f, g, h] = second.to_le_bytes();
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_single_bit_counts() {
        let content: Vec<u8> = (0..CONTENT_BYTES).map(|at| (at * 7 + at / 256) as u8).collect();
        let sum = checksum(&content);
        for bit in 0..CONTENT_BYTES * 8 {
            let mut changed = content.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(checksum(&changed), sum, "bit {bit}");
        }
        assert_eq!(checksum(&[0; CONTENT_BYTES]), NONE);
    }
}
