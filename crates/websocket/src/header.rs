//! Reading the header of one frame from bytes that arrive in any pieces (RFC 6455 §5.2).
//!
//! Owns every rule that a header can break by itself: reserved bits (RSV1 too, RFC 7692 §6) and opcodes, the mask bit of
//! the role, the shape of control frames and of lengths. It never knows what came before, so the
//! rules about the order of frames and the size of messages are the decoder's, its only caller.

use crate::encode::{
    FINAL_BIT, LENGTH_IS_16_BITS, LENGTH_IS_64_BITS, MASK_BIT, MEDIUM_LENGTH_MAX, SHORT_LENGTH_MAX,
};
use crate::error::ProtocolError;
use crate::opcode::Opcode;
use crate::role::Role;

/// Two bytes, eight of a long length and four of a mask.
const HEADER_BYTES_MAX: usize = 14;

const RESERVED_BITS: u8 = 0x70;
/// RSV1: the message is compressed (RFC 7692 §6).
pub(crate) const COMPRESSED_BIT: u8 = 0x40;
const OPCODE_BITS: u8 = 0x0F;

/// A header that is valid by itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub fin: bool,
    pub opcode: Opcode,
    /// The message that this frame begins is compressed.
    pub compressed: bool,
    /// What the peer claims to send; nothing of it need have arrived.
    pub payload_len: u64,
    /// All zeros if the frame is not masked, which leaves the payload as it is.
    pub mask: [u8; 4],
}

/// The bytes of a header that have arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeaderReader {
    bytes: [u8; HEADER_BYTES_MAX],
    len: u8,
}

impl HeaderReader {
    /// Before the first byte.
    pub(crate) const START: Self = Self { bytes: [0; HEADER_BYTES_MAX], len: 0 };

    pub(crate) const fn is_at_start(&self) -> bool {
        self.len == 0
    }

    /// Takes header bytes from the front of `input` and says how many; without a header all of
    /// `input` was taken. With one the reader has done its work and is thrown away.
    pub(crate) fn take(
        &mut self,
        input: &[u8],
        role: Role,
        compression: bool,
    ) -> Result<(usize, Option<Header>), ProtocolError> {
        let before = usize::from(self.len);
        let copied = input.len().min(HEADER_BYTES_MAX - before);
        let after = before + copied;
        self.bytes[before..after].copy_from_slice(&input[..copied]);
        match parse(&self.bytes[..after], role, compression)? {
            // An incomplete header kept less than the longest one, so nothing taken was too much.
            Some((header, size)) => Ok((size - before, Some(header))),
            None => {
                self.len = after as u8;
                Ok((copied, None))
            }
        }
    }
}

/// The header at the front of `bytes` and its size, or `None` while it is incomplete.
///
/// The rules are checked in the order of the bytes they are about, so that a bad header is refused
/// at its first bad byte and with the same error however the bytes were cut.
fn parse(
    bytes: &[u8],
    role: Role,
    compression: bool,
) -> Result<Option<(Header, usize)>, ProtocolError> {
    let Some((&first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let (fin, opcode, compressed) = parse_first(first, compression)?;
    let Some((&second, rest)) = rest.split_first() else {
        return Ok(None);
    };
    let is_masked = parse_mask_bit(second, role)?;
    let short_length = second & !MASK_BIT;
    if opcode.is_control() && usize::from(short_length) > SHORT_LENGTH_MAX {
        return Err(ProtocolError::LongControl);
    }
    let Some((payload_len, rest)) = parse_length(short_length, rest)? else {
        return Ok(None);
    };
    let (mask, rest) = match rest.split_first_chunk() {
        _ if !is_masked => ([0; 4], rest),
        Some((mask, rest)) => (*mask, rest),
        None => return Ok(None),
    };
    let header = Header { fin, opcode, compressed, payload_len, mask };
    Ok(Some((header, bytes.len() - rest.len())))
}

fn parse_first(first: u8, compression: bool) -> Result<(bool, Opcode, bool), ProtocolError> {
    let bits = first & OPCODE_BITS;
    let opcode = Opcode::from_bits(bits);
    let compressed = match first & RESERVED_BITS {
        0 => false,
        // Only the first frame of a data message may say so (RFC 7692 §6.1).
        COMPRESSED_BIT if compression && matches!(opcode, Some(Opcode::Text | Opcode::Binary)) => {
            true
        }
        _ => return Err(ProtocolError::ReservedBits),
    };
    let opcode = opcode.ok_or(ProtocolError::ReservedOpcode(bits))?;
    let fin = first & FINAL_BIT != 0;
    if opcode.is_control() && !fin {
        return Err(ProtocolError::FragmentedControl);
    }
    Ok((fin, opcode, compressed))
}

fn parse_mask_bit(second: u8, role: Role) -> Result<bool, ProtocolError> {
    let is_masked = second & MASK_BIT != 0;
    match role {
        Role::Server if !is_masked => Err(ProtocolError::Unmasked),
        Role::Client if is_masked => Err(ProtocolError::Masked),
        _ => Ok(is_masked),
    }
}

/// The payload length and the bytes behind it, or `None` while its bytes are incomplete.
fn parse_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, ProtocolError> {
    let (length, minimum, rest) = match short {
        LENGTH_IS_16_BITS => match rest.split_first_chunk() {
            Some((bytes, rest)) => {
                (u64::from(u16::from_be_bytes(*bytes)), SHORT_LENGTH_MAX + 1, rest)
            }
            None => return Ok(None),
        },
        LENGTH_IS_64_BITS => match rest.split_first_chunk() {
            Some((bytes, rest)) => (u64::from_be_bytes(*bytes), MEDIUM_LENGTH_MAX + 1, rest),
            None => return Ok(None),
        },
        _ => (u64::from(short), 0, rest),
    };
    if length > i64::MAX as u64 {
        return Err(ProtocolError::LengthOutOfRange);
    }
    if length < minimum as u64 {
        return Err(ProtocolError::NonMinimalLength);
    }
    Ok(Some((length, rest)))
}
