//! RFC 6455 (the WebSocket protocol) as a codec without input or output.
//!
//! This crate owns four things: the handshake keys ([`handshake`]), the writing of frames
//! ([`encode`]), the reading of frames into whole messages ([`decode`]), and the compression of
//! messages (RFC 7692: [`extension`] agrees on it, [`deflate`] does it). It never opens a
//! socket, reads a clock, spawns a task, parses JSON or knows who is connected.
//! The server calls it for every browser connection, the client and the tests call it for the
//! other end of one; all of them own the bytes and only lend them here.

pub mod close;
pub mod decode;
pub mod deflate;
pub mod encode;
pub mod error;
pub mod extension;
pub mod handshake;
pub mod opcode;
pub mod role;

mod control;
mod header;
mod inflate;
mod mask;
mod message;
mod text;

pub use close::{CloseFrame, is_valid_close_code};
pub use decode::{Decoder, Item};
pub use error::ProtocolError;
pub use extension::{Agreement, WindowBits};
pub use handshake::{accept_key, is_valid_key, new_key};
pub use opcode::Opcode;
pub use role::Role;

/// The example of the README is compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
