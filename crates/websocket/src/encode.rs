//! Writing frames (RFC 6455 §5.2).
//!
//! Owns the layout of a header and the whole frames a server sends, which are unmasked and can
//! therefore be made once and shared by every connection that receives them. It never splits a
//! message into fragments, never picks a mask and keeps no state. The server calls the plain
//! functions, the client and the tests call [`masked_frame`].

use crate::mask;
use crate::opcode::Opcode;

/// The most bytes a control frame may carry (RFC 6455 §5.5).
pub(crate) const CONTROL_BYTES_MAX: usize = 125;

/// The largest length that the second byte of a frame holds itself.
pub(crate) const SHORT_LENGTH_MAX: usize = 125;
/// The second byte (without its mask bit) that announces a length of 16 bits.
pub(crate) const LENGTH_IS_16_BITS: u8 = 126;
/// The second byte (without its mask bit) that announces a length of 64 bits.
pub(crate) const LENGTH_IS_64_BITS: u8 = 127;
/// The largest length that is written in 16 bits.
pub(crate) const MEDIUM_LENGTH_MAX: usize = 0xFFFF;

pub(crate) const FINAL_BIT: u8 = 0x80;
pub(crate) const MASK_BIT: u8 = 0x80;

/// The bytes of a close code in front of its reason.
const CLOSE_CODE_BYTES: usize = 2;

/// A whole text message in one unmasked frame (RFC 6455 §5.6).
pub fn text(payload: &str) -> Vec<u8> {
    frame(true, Opcode::Text, payload.as_bytes())
}

/// A whole binary message in one unmasked frame (RFC 6455 §5.6).
pub fn binary(payload: &[u8]) -> Vec<u8> {
    frame(true, Opcode::Binary, payload)
}

/// An unmasked ping (RFC 6455 §5.5.2); the payload is cut to the 125 bytes that it may have.
pub fn ping(payload: &[u8]) -> Vec<u8> {
    frame(true, Opcode::Ping, cut_to_control(payload))
}

/// An unmasked pong (RFC 6455 §5.5.3); the payload, that of the ping answered, is cut to 125 bytes.
pub fn pong(payload: &[u8]) -> Vec<u8> {
    frame(true, Opcode::Pong, cut_to_control(payload))
}

/// An unmasked close (RFC 6455 §5.5.1).
///
/// The reason is cut at a character boundary to the 123 bytes that it may have. Without a code
/// there is no place for a reason, so it is left out. The code is written as given; it should be
/// one for which [`is_valid_close_code`](crate::is_valid_close_code) is true.
pub fn close(code: Option<u16>, reason: &str) -> Vec<u8> {
    let Some(code) = code else {
        return frame(true, Opcode::Close, &[]);
    };
    let reason = cut_to_reason(reason).as_bytes();
    let payload_len = CLOSE_CODE_BYTES + reason.len();
    let mut out = Vec::with_capacity(header_len(payload_len) + payload_len);
    put_header(&mut out, true, Opcode::Close, payload_len);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason);
    out
}

/// One unmasked frame, as a server sends it, in one allocation of exactly its size.
///
/// Nothing is checked: with a fragmented or long control frame, or text cut within a character,
/// the caller makes a stream that the peer refuses (which tests want).
pub fn frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(header_len(payload.len()) + payload.len());
    put_header(&mut out, fin, opcode, payload.len());
    out.extend_from_slice(payload);
    out
}

/// One masked frame, as a client sends it (RFC 6455 §5.3); as unchecked as [`frame`].
///
/// The mask is to be random and new for every frame.
pub fn masked_frame(fin: bool, opcode: Opcode, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let header_bytes = header_len(payload.len()) + mask.len();
    let mut out = Vec::with_capacity(header_bytes + payload.len());
    put_header(&mut out, fin, opcode, payload.len());
    out[1] |= MASK_BIT;
    out.extend_from_slice(&mask);
    out.extend_from_slice(payload);
    mask::apply(&mut out[header_bytes..], mask);
    out
}

/// Bytes of an unmasked header in front of a payload of that many bytes: 2, 4 or 10.
pub fn header_len(payload_len: usize) -> usize {
    if payload_len <= SHORT_LENGTH_MAX {
        2
    } else if payload_len <= MEDIUM_LENGTH_MAX {
        4
    } else {
        10
    }
}

/// Appends an unmasked header, behind which the caller writes exactly `payload_len` bytes itself.
///
/// The length is written in its shortest form, as RFC 6455 §5.2 demands.
pub fn put_header(out: &mut Vec<u8>, fin: bool, opcode: Opcode, payload_len: usize) {
    out.push(opcode.bits() | if fin { FINAL_BIT } else { 0 });
    if payload_len <= SHORT_LENGTH_MAX {
        out.push(payload_len as u8);
    } else if payload_len <= MEDIUM_LENGTH_MAX {
        out.push(LENGTH_IS_16_BITS);
        out.extend_from_slice(&(payload_len as u16).to_be_bytes());
    } else {
        out.push(LENGTH_IS_64_BITS);
        out.extend_from_slice(&(payload_len as u64).to_be_bytes());
    }
}

fn cut_to_control(payload: &[u8]) -> &[u8] {
    &payload[..payload.len().min(CONTROL_BYTES_MAX)]
}

fn cut_to_reason(reason: &str) -> &str {
    let mut end = reason.len().min(CONTROL_BYTES_MAX - CLOSE_CODE_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}
