//! Everything a peer can do wrong in its frames, as one enum.
//!
//! Owns the names of the offences, their text for a log and the close code each is answered with
//! (RFC 6455 §7.4.1). It never sends that answer. The decoder makes these values; the connection
//! loops of the server and of the client read them.

use std::fmt;

/// Why the decoder refused the stream.
///
/// For every variant the caller does the same next: it sends
/// [`close`](crate::encode::close)`(Some(error.close_code()), "")`, stops reading and drops the
/// connection (RFC 6455 §7.1.7). The decoder that returned it ignores all later bytes. What differs
/// is the code and whom to suspect, which is said at each variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolError {
    /// A reserved bit is set where no extension that was agreed on has a meaning for it (§5.2, and
    /// RFC 7692 §6); close with 1002 and check what the handshake agreed on.
    ReservedBits,
    /// The four bits given are no known opcode (§5.2); close with 1002.
    ReservedOpcode(u8),
    /// A close, ping or pong without the final bit (§5.5); close with 1002.
    FragmentedControl,
    /// A close, ping or pong which claims more than 125 bytes (§5.5); close with 1002.
    LongControl,
    /// A frame from a client that is not masked (§5.1); close with 1002, for the peer is not a
    /// browser.
    Unmasked,
    /// A frame from a server that is masked (§5.1); close with 1002.
    Masked,
    /// The length is written in more bytes than it needs (§5.2); close with 1002.
    NonMinimalLength,
    /// The topmost bit of a 64-bit length is set (§5.2); close with 1002.
    LengthOutOfRange,
    /// A continuation frame while no message is incomplete (§5.4); close with 1002.
    UnexpectedContinuation,
    /// A new text or binary frame while the fragments of another message are incomplete (§5.4);
    /// close with 1002.
    InterleavedMessage,
    /// A close frame with a payload of a single byte (§5.5.1); close with 1002.
    ShortClosePayload,
    /// A close frame with a code that must not stand on the wire (§7.4); close with 1002 and do
    /// not echo the code given.
    InvalidCloseCode(u16),
    /// A text message or a close reason that is not UTF-8 (§8.1); close with 1007.
    InvalidUtf8,
    /// A compressed message that is no DEFLATE stream, or not a whole one (RFC 7692 §7.2.2); close
    /// with 1007.
    InvalidDeflate,
    /// The message would be larger than the decoder was allowed to take (§7.4.1), compressed or
    /// inflated; close with 1009, so that an honest peer learns that sending it again is useless.
    TooBig,
}

impl ProtocolError {
    /// The status code to close with: 1007 for bad UTF-8 and for compressed data that can't be
    /// inflated, 1009 for a message too big, 1002 for all else (RFC 6455 §7.4.1).
    pub const fn close_code(&self) -> u16 {
        match self {
            Self::InvalidUtf8 | Self::InvalidDeflate => 1007,
            Self::TooBig => 1009,
            _ => 1002,
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::ReservedOpcode(bits) => {
                return write!(formatter, "opcode {bits:#x} is reserved");
            }
            Self::InvalidCloseCode(code) => {
                return write!(formatter, "close code {code} must not be sent");
            }
            Self::ReservedBits => "a reserved bit is set without an extension for it",
            Self::FragmentedControl => "a control frame is fragmented",
            Self::LongControl => "a control frame is longer than 125 bytes",
            Self::Unmasked => "a client frame is not masked",
            Self::Masked => "a server frame is masked",
            Self::NonMinimalLength => "a length is written in more bytes than it needs",
            Self::LengthOutOfRange => "a length has its topmost bit set",
            Self::UnexpectedContinuation => "a continuation frame continues nothing",
            Self::InterleavedMessage => "a new message starts within a fragmented one",
            Self::ShortClosePayload => "a close payload is one byte long",
            Self::InvalidUtf8 => "text is not valid utf-8",
            Self::InvalidDeflate => "a compressed message can't be inflated",
            Self::TooBig => "a message is larger than allowed",
        };
        formatter.write_str(text)
    }
}

impl std::error::Error for ProtocolError {}
