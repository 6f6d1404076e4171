//! RFC 6455 (the WebSocket protocol) as a codec without input or output.
//!
//! This crate owns three things: the handshake keys ([`handshake`]), the writing of frames
//! ([`encode`]) and the reading of frames into whole messages ([`decode`]). It never opens a
//! socket, reads a clock, spawns a task, parses JSON or knows who is connected.
//! The server calls it for every browser connection, the client and the tests call it for the
//! other end of one; all of them own the bytes and only lend them here.

pub mod close;
pub mod decode;
pub mod encode;
pub mod error;
pub mod handshake;
pub mod opcode;
pub mod role;

mod control;
mod header;
mod mask;
mod message;
mod text;

pub use close::{CloseFrame, is_valid_close_code};
pub use decode::{Decoder, Item};
pub use error::ProtocolError;
pub use handshake::{accept_key, is_valid_key, new_key};
pub use opcode::Opcode;
pub use role::Role;

/// The example of the README is compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
