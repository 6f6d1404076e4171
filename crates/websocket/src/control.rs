//! The payload of a control frame that did not arrive in one piece (RFC 6455 §5.5).
//!
//! Owns at most 125 bytes, on the heap so that a decoder is small while it waits for nothing. It
//! never holds a frame that arrived whole, for that is lent out of the input. The decoder makes
//! it, fills it and throws it away after the frame was delivered.

use crate::encode::CONTROL_BYTES_MAX;

/// What has arrived of one control payload, unmasked.
#[derive(Debug)]
pub(crate) struct ControlBuffer {
    bytes: [u8; CONTROL_BYTES_MAX],
    len: usize,
}

impl ControlBuffer {
    pub(crate) const EMPTY: Self = Self { bytes: [0; CONTROL_BYTES_MAX], len: 0 };

    /// Appends a piece. The header was refused if it claimed more than fits, and the decoder passes
    /// no more than the header claimed; should that ever break, the surplus is dropped.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        let free = &mut self.bytes[self.len..];
        let taken = piece.len().min(free.len());
        free[..taken].copy_from_slice(&piece[..taken]);
        self.len += taken;
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
