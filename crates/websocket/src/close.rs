//! The payload of a close frame: a status code and a reason (RFC 6455 §5.5.1 and §7.4).
//!
//! Owns the table of the codes that may stand on the wire and the reading of the payload. It never
//! decides which code to answer with (see [`ProtocolError::close_code`]) and never closes anything.
//! The decoder calls it for every close frame; callers use the table to judge a code of their own.

use crate::error::ProtocolError;

/// Why the peer closes, borrowed from the bytes of its close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseFrame<'a> {
    /// A code for which [`is_valid_close_code`] is true.
    pub code: u16,
    /// At most 123 bytes of text, often empty; written by the peer, so not fit to be trusted.
    pub reason: &'a str,
}

/// True for the codes that may be received on the wire: 1000–1003, 1007–1014 and 3000–4999.
///
/// RFC 6455 §7.4 keeps 1005, 1006 and 1015 for use inside a program, 1004 for later, and gives
/// 3000–3999 to registered libraries and 4000–4999 to private use; 1012–1014 were registered with
/// IANA after the RFC.
pub const fn is_valid_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Reads the unmasked payload of a close frame; an empty one names neither code nor reason.
pub(crate) fn parse(payload: &[u8]) -> Result<Option<CloseFrame<'_>>, ProtocolError> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [_] => return Err(ProtocolError::ShortClosePayload),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if !is_valid_close_code(code) {
        return Err(ProtocolError::InvalidCloseCode(code));
    }
    let reason = str::from_utf8(reason).map_err(|_| ProtocolError::InvalidUtf8)?;
    Ok(Some(CloseFrame { code, reason }))
}
