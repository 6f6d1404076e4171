//! The one buffer of a data message that is incomplete (RFC 6455 §5.4).
//!
//! Owns the bytes of all fragments so far and the rule by which their memory grows. It never grows
//! by what a header claims, only by what has arrived, and never past what the message may become.
//! The decoder makes one for the first piece of a message and drops it once that was delivered.

use crate::error::ProtocolError;
use crate::text::TextBuffer;

/// The smallest allocation, in bytes; it spares a message that trickles in its first steps.
const CAPACITY_MIN: usize = 64;

/// What has arrived of one data message, unmasked; inflated where it was compressed and is whole.
#[derive(Debug)]
pub(crate) enum Message {
    Text(TextBuffer),
    Binary(Vec<u8>),
    /// Not inflated yet: that is done once, when the message is whole.
    Compressed(Vec<u8>, Inflated),
}

/// What a compressed message will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inflated {
    Text,
    Binary,
}

impl Inflated {
    /// A message of this kind before its first byte.
    pub(crate) fn empty(self) -> Message {
        match self {
            Self::Text => Message::Text(TextBuffer::default()),
            Self::Binary => Message::Binary(Vec::new()),
        }
    }
}

impl Message {
    /// Appends a piece. `bytes_max` is the most that the whole message can still become, never less
    /// than what it is with this piece; no more memory than that is taken.
    pub(crate) fn push(&mut self, piece: &[u8], bytes_max: usize) -> Result<(), ProtocolError> {
        match self {
            Self::Text(text) => text.push(piece, bytes_max),
            Self::Binary(bytes) | Self::Compressed(bytes, _) => {
                let needed = bytes.len() + piece.len();
                let wanted = grown_capacity(bytes.capacity(), needed, bytes_max);
                bytes.reserve_exact(wanted - bytes.len());
                bytes.extend_from_slice(piece);
                Ok(())
            }
        }
    }

    /// Bytes that have arrived, including those of a character that is cut at the end.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) | Self::Compressed(bytes, _) => bytes.len(),
        }
    }

    /// Heap bytes held.
    pub(crate) fn capacity(&self) -> usize {
        match self {
            Self::Text(text) => text.capacity(),
            Self::Binary(bytes) | Self::Compressed(bytes, _) => bytes.capacity(),
        }
    }
}

/// The capacity to have for `needed` bytes: twice the present one, so that the copying of all steps
/// together stays below twice the message, but never more than `bytes_max`.
pub(crate) fn grown_capacity(present: usize, needed: usize, bytes_max: usize) -> usize {
    if needed <= present {
        return present;
    }
    let doubled = present.saturating_mul(2).max(CAPACITY_MIN);
    doubled.min(bytes_max).max(needed)
}
