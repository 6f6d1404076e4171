//! What stands between SQLite and its files.
//!
//! SQLite asks the system for everything through a table of functions, its VFS
//! (<https://sqlite.org/vfs.html>). [`register`] puts a [`Layer`] of ours over the system's own: it
//! sees every read, write, truncation, sync and deletion, and decides what becomes of it. All that is
//! unsafe about that is in `shim`. [`power_loss`] is such a layer: a disk that loses what was not
//! synced. Tests use this crate; the server does not.
//!
//! # Layout
//!
//! | module | owns |
//! |---|---|
//! | [`layer`] | what a layer is asked, in safe terms |
//! | [`power_loss`] | a disk on which the power can be cut, and that can fail |
//! | `undo` | what was written and not synced, and what a cut leaves of it |
//! | `shim` | the functions that SQLite calls |

pub mod layer;
pub mod power_loss;
mod shim;
mod undo;

pub use layer::{Below, Code, FileLayer, Layer};
pub use power_loss::PowerLoss;
pub use shim::register;
