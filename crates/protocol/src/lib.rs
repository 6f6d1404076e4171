//! The draftwire wire protocol as values: what a frame may say, and its JSON.
//!
//! This crate owns the words of `docs/protocol.md`: it turns the text of a client's frame into a
//! [`ClientFrame`] and writes the text of every frame the server sends. It never knows a clock, a
//! socket, a thread or where documents are kept, so that the server, the clients and the tests
//! can all share it.
//!
//! # Layout
//!
//! | module | owns |
//! |---|---|
//! | [`json`] | the scanner at the door, members, merge patch, the digest by value |
//! | [`names`] | the alphabets of ids, users, clients and event types |
//! | [`kind`] | the names of all frames, collections |
//! | [`command`] | a client's frame, decoded |
//! | [`document`] | a document and its JSON |
//! | [`event`] | what has happened, and its frame |
//! | [`reply`] | every other frame the server sends: `WELCOME`, `ACK`, `REJECTED`, … |
//! | [`code`] | rejection and error codes, with their HTTP status |
//! | [`close`] | WebSocket close codes |
//! | [`limits`] | every limit of the protocol, with unit and default |
//! | [`position`] | epoch and seq |
//! | [`time`] | timestamps |

pub mod close;
pub mod code;
pub mod command;
pub mod document;
pub mod event;
pub mod json;
pub mod kind;
pub mod limits;
pub mod names;
pub mod position;
pub mod reply;
pub mod time;

pub use close::CloseCode;
pub use code::{ErrorCode, RejectionCode};
pub use command::{ClientFrame, Command, FrameError, Numbered};
pub use document::Document;
pub use event::{Event, Origin};
pub use kind::Collection;
pub use limits::Limits;
pub use position::Position;
pub use time::Timestamp;
