//! What is done with arbitrary bytes: one function for each place where a stranger's bytes are read.
//!
//! Owns the bodies of the fuzz targets and the small, slow, obvious readers that they are compared
//! with. A body panics where the code under test is wrong, and for no other reason. The fuzzer calls
//! it (`make fuzz`, the workspace in `fuzz/`), and so does `cargo test`, with the same seeds and a few
//! hundred changed ones. Nothing here opens a socket but [`handshake`], on loopback.
//!
//! # Layout
//!
//! | module | bytes |
//! |---|---|
//! | [`frames`] | what a peer sends on an open WebSocket |
//! | [`handshake`] | the first bytes of a TCP connection |
//! | [`deflate`] | the payload of a compressed message, and messages to compress |
//! | [`commands`] | the text of a message: JSON, commands, merge patches |
//! | [`tokens`] | a token |
//! | [`stored`] | rows of the data file |
//! | `admission` | who is let in by a handshake, read line by line |
//! | `inflate` | DEFLATE read bit by bit |
//! | `reference` | JSON read by somebody else's library |

mod admission;
pub mod commands;
pub mod deflate;
pub mod frames;
pub mod handshake;
mod inflate;
mod reference;
pub mod stored;
pub mod tokens;

/// A body: takes any bytes.
pub type Body = fn(&[u8]);

/// Every target by name, with its body. `fuzz/targets` and the folder `seeds` use the same names.
pub const TARGETS: [(&str, Body); 6] = [
    ("frames", frames::body),
    ("handshake", handshake::body),
    ("deflate", deflate::body),
    ("commands", commands::body),
    ("tokens", tokens::body),
    ("stored", stored::body),
];
