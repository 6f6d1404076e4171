//! Where a client keeps what must survive its process: a journal of texts.
//!
//! This file holds the contract; the implementations stand beside it. What the texts mean is the
//! replica's business: storage never reads them.

mod file;
mod memory;

use std::io;

pub use file::FileStorage;
pub use memory::MemoryStorage;

/// A journal: texts in order. One belongs to one user on one device, and to one client at a time.
///
/// **Order and atomicity.** After a crash of the process or the machine, [`Storage::load`] brings
/// the texts from the first to some later one, each whole and none left out between; that one is
/// at least the last which was stored with `durable`.
///
/// **Errors.** After an error the client trusts nothing: it stops, and is to be opened anew.
///
/// The methods may block; the client calls them where that harms nobody.
pub trait Storage: Send + 'static {
    /// All texts. Called once, before anything else.
    fn load(&mut self) -> io::Result<Vec<String>>;

    /// Stores one more text behind the others. With `durable` it survives a power cut when this
    /// returns; without, it survives the end of the process.
    fn append(&mut self, text: &str, durable: bool) -> io::Result<()>;

    /// Puts one text in the place of all others, at once (after a crash there are either they or
    /// it) and durably.
    fn replace(&mut self, text: &str) -> io::Result<()>;
}
