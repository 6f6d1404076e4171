//! What stands between SQLite and its files.
//!
//! SQLite asks the system for everything through a table of functions, its VFS
//! (<https://sqlite.org/vfs.html>). [`register`] puts a [`Layer`] of ours over the system's own: it
//! sees every read, write, truncation, sync and deletion, and decides what becomes of it. All that is
//! unsafe about that is in `shim`. [`checksums`] is such a layer, which the embedded store uses; another
//! is `power_loss`, a disk for tests that loses what was not synced (with the feature `power-loss`).
//!
//! # Layout
//!
//! | module | owns |
//! |---|---|
//! | [`layer`] | what a layer is asked, in safe terms |
//! | [`checksums`] | a checksum on every page |
//! | `power_loss` | a disk on which the power can be cut, and that can fail |
//! | `record` | what a process did to its files, for another that cuts its power |
//! | `undo` | what was written and not synced, and what a cut leaves of it |
//! | `shim` | the functions that SQLite calls |

pub mod checksums;
pub mod layer;
#[cfg(feature = "power-loss")]
pub mod power_loss;
#[cfg(feature = "power-loss")]
mod record;
mod shim;
#[cfg(feature = "power-loss")]
mod undo;

pub use layer::{Below, Code, FileKind, FileLayer, Layer};
#[cfg(feature = "power-loss")]
pub use power_loss::PowerLoss;
pub use shim::register;
