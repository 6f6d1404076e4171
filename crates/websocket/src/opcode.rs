//! The four-bit opcode of a frame (RFC 6455 §5.2 and §11.8).
//!
//! Owns the mapping between the numbers on the wire and their names. It never judges whether an
//! opcode may stand at this place of a stream; that is the decoder's work. The header reader and
//! the encoder call it.

/// What a frame carries (RFC 6455 §5.2); the reserved opcodes have no name and are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// `0x0`: the next fragment of the data message that was begun before.
    Continuation,
    /// `0x1`: a UTF-8 text message, or its first fragment.
    Text,
    /// `0x2`: a binary message, or its first fragment.
    Binary,
    /// `0x8`: the end of the connection, with an optional code and reason.
    Close,
    /// `0x9`: asks the peer for a pong with the same payload.
    Ping,
    /// `0xA`: the answer to a ping, or an unasked-for sign of life.
    Pong,
}

impl Opcode {
    /// The opcode with these four bits, or `None` for a reserved one (`0x3`–`0x7`, `0xB`–`0xF`)
    /// and for anything above four bits.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    /// The low four bits of the first byte of a frame, `0x0`–`0xA`.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    /// True for close, ping and pong, which are never fragmented, carry at most 125 bytes and may
    /// stand between the fragments of a data message (RFC 6455 §5.5).
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}
