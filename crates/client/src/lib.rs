//! A draftwire connection for Rust programs: the handshake, text frames both ways, ping answered.
//!
//! Owns the socket of one connection to `/ws/realtime` or `/ws/sync`. It never reconnects, keeps
//! no documents and reads no JSON: `draftwire replay` and `draftwire watch` are built on it.
//!
//! # Layout
//!
//! | module | owns |
//! |---|---|
//! | [`address`] | `ws://host:port/path` |
//! | [`connection`] | handshake and frames |

pub mod address;
pub mod connection;

pub use address::Address;
pub use connection::{ConnectError, Connection, Message};
