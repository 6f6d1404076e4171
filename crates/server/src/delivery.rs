//! What comes out of a commit for connected devices, and the key by which a connection is named.
//!
//! Frames here are ready-made bytes: encoded once, shared by every connection that gets them.
//! For whom they are compressed is decided where they are given to connections.

use std::sync::Arc;

use bytes::Bytes;

/// Names a connection for as long as it lives; never reused within a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionKey {
    /// The worker that carries it.
    pub worker: u16,
    /// Its place there.
    pub index: u32,
    /// How often that place was used before.
    pub generation: u32,
}

/// One frame on its way from a commit to connections of one worker, in commit order.
#[derive(Debug)]
pub enum Delivery {
    /// To every device of a user.
    Event {
        /// The user.
        user: Arc<str>,
        /// Its place in the user's history.
        seq: u64,
        /// The frame.
        frame: Bytes,
    },
    /// To the device that asked.
    Answer {
        /// Its connection.
        connection: ConnectionKey,
        /// The frame.
        frame: Bytes,
        /// True for `REJECTED`.
        rejected: bool,
    },
}

/// A text message as the frame every connection gets (unmasked: RFC 6455 §5.1).
pub fn text_frame(text: &str) -> Bytes {
    draftwire_websocket::encode::text(text).into()
}
