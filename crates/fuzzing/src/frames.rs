//! The frame parser: any bytes, cut anywhere, as server and as client.
//!
//! The first byte says whose side it is and how large a message may be, the second how the rest is
//! cut. Heard whole and heard in pieces must be the same, and the same as what `plain` hears, which
//! reads RFC 6455 §5 line by line and keeps everything.

use draftwire_websocket::{Decoder, Item, Opcode, Role, is_valid_close_code};

/// An item that outlives the call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    /// The stream was refused with this close code.
    Refused(u16),
}

impl From<Item<'_>> for Heard {
    fn from(item: Item<'_>) -> Self {
        match item {
            Item::Text(text) => Self::Text(text.into()),
            Item::Binary(bytes) => Self::Binary(bytes.into()),
            Item::Ping(bytes) => Self::Ping(bytes.into()),
            Item::Pong(bytes) => Self::Pong(bytes.into()),
            Item::Close(frame) => Self::Close(frame.map(|frame| (frame.code, frame.reason.into()))),
        }
    }
}

/// The body. See the module.
pub fn body(data: &[u8]) {
    let [how, cuts, stream @ ..] = data else { return };
    let role = if how & 1 == 0 { Role::Server } else { Role::Client };
    let message_bytes_max =
        [usize::MAX, 1 << 16, 100, 7, 1, 0, 300, 1000][usize::from(how >> 1 & 7)];
    let mut whole = Decoder::new(role, message_bytes_max);
    let mut pieces = Decoder::new(role, message_bytes_max);
    let (mut heard, mut heard_in_pieces) = (Vec::new(), Vec::new());
    // The decoder unmasks in place.
    let (mut once, mut again) = (stream.to_vec(), stream.to_vec());
    hear(&mut whole, &mut once, message_bytes_max, &mut heard);
    let mut rest = &mut again[..];
    let mut turn = u32::from(*cuts);
    while !rest.is_empty() {
        // A handful of short pieces, or about as many long ones: whatever the second byte says.
        turn = turn.wrapping_mul(0x9e37).wrapping_add(0x79b9);
        let bytes_max = if cuts & 1 == 0 { 4 } else { 64 };
        let piece_bytes = rest.len().min(1 + (turn >> 7) as usize % bytes_max);
        let (piece, behind) = rest.split_at_mut(piece_bytes);
        hear(&mut pieces, piece, message_bytes_max, &mut heard_in_pieces);
        rest = behind;
    }
    assert_eq!(heard, heard_in_pieces, "how a stream is cut changes nothing");
    assert_eq!(whole.is_mid_message(), pieces.is_mid_message());
    assert_eq!(heard, plain(role, message_bytes_max, stream), "another reader hears the same");
}

/// Feeds a decoder that keeps at most `kept_bytes_max` bytes, and a control frame.
pub(crate) fn hear(
    decoder: &mut Decoder,
    piece: &mut [u8],
    kept_bytes_max: usize,
    heard: &mut Vec<Heard>,
) {
    let mut rest = piece;
    loop {
        match decoder.next(rest) {
            Ok((consumed, Some(item))) => {
                heard.push(item.into());
                rest = &mut rest[consumed..];
            }
            Ok((consumed, None)) => {
                assert_eq!(consumed, rest.len(), "without an item everything is consumed");
                break;
            }
            Err(error) => {
                let again = matches!(heard.last(), Some(Heard::Refused(_)));
                assert!(!again, "a decoder that has ended reports nothing");
                heard.push(Heard::Refused(error.close_code()));
            }
        }
    }
    assert!(decoder.buffered_bytes() <= kept_bytes_max.saturating_add(125), "nothing beyond");
}

/// The stream after RFC 6455 §5, the slow way. Stops at a close, a refusal or the end.
fn plain(role: Role, message_bytes_max: usize, stream: &[u8]) -> Vec<Heard> {
    let mut heard = Vec::new();
    if let Err(code) = frames(role, message_bytes_max, stream, &mut heard) {
        heard.push(Heard::Refused(code));
    }
    heard
}

const PROTOCOL_ERROR: u16 = 1002;
const NOT_UTF8: u16 = 1007;
const TOO_BIG: u16 = 1009;

fn frames(
    role: Role,
    message_bytes_max: usize,
    mut rest: &[u8],
    heard: &mut Vec<Heard>,
) -> Result<(), u16> {
    let mut message: Option<(Opcode, Vec<u8>)> = None;
    loop {
        let Some(&first) = rest.first() else { return Ok(()) };
        let opcode = Opcode::from_bits(first & 15).ok_or(PROTOCOL_ERROR)?;
        let (fin, is_control) = (first & 128 != 0, first & 8 != 0);
        check(first & 0x70 == 0 && (fin || !is_control))?;
        let Some(&second) = rest.get(1) else { return Ok(()) };
        let is_masked = second & 128 != 0;
        check(is_masked == (role == Role::Server))?;
        let short = second & 127;
        check(!is_control || short < 126)?;
        let (length_bytes, least) = match short {
            126 => (2, 126),
            127 => (8, 65_536),
            _ => (0, 0),
        };
        let Some(long) = rest.get(2..2 + length_bytes) else { return Ok(()) };
        let long = long.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let length = if length_bytes == 0 { u64::from(short) } else { long };
        check(length >> 63 == 0 && length >= least)?;
        let head = 2 + length_bytes + if is_masked { 4 } else { 0 };
        let Some(mask) = rest.get(2 + length_bytes..head) else { return Ok(()) };
        match (opcode, &message) {
            (Opcode::Continuation, None) | (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(PROTOCOL_ERROR);
            }
            _ => {}
        }
        let before = message.as_ref().map_or(0, |(_, bytes)| bytes.len());
        let room = if is_control { 125 } else { (message_bytes_max - before) as u64 };
        if length > room {
            return Err(TOO_BIG);
        }
        let arrived = (rest.len() - head).min(usize::try_from(length).unwrap_or(usize::MAX));
        let payload = rest[head..head + arrived].iter().enumerate();
        let payload = payload.map(|(at, byte)| byte ^ mask.get(at % 4).unwrap_or(&0));
        let payload: Vec<u8> = payload.collect();
        let is_whole = arrived as u64 == length;
        rest = &rest[head + arrived..];
        if is_control {
            if !is_whole {
                return Ok(());
            }
            match opcode {
                Opcode::Ping => heard.push(Heard::Ping(payload)),
                Opcode::Pong => heard.push(Heard::Pong(payload)),
                _ => return close(&payload).map(|close| heard.push(Heard::Close(close))),
            }
            continue;
        }
        let (kind, mut bytes) = message.take().unwrap_or((opcode, Vec::new()));
        bytes.extend(payload);
        if kind == Opcode::Text && is_hopeless(&bytes, fin && is_whole) {
            return Err(NOT_UTF8);
        }
        if !(fin && is_whole) {
            message = Some((kind, bytes));
            if !is_whole {
                return Ok(());
            }
        } else if kind == Opcode::Text {
            heard.push(Heard::Text(String::from_utf8(bytes).map_err(|_| NOT_UTF8)?));
        } else {
            heard.push(Heard::Binary(bytes));
        }
    }
}

fn check(holds: bool) -> Result<(), u16> {
    if holds { Ok(()) } else { Err(PROTOCOL_ERROR) }
}

/// True where no further byte can make this UTF-8.
pub(crate) fn is_hopeless(bytes: &[u8], is_all: bool) -> bool {
    let error = str::from_utf8(bytes).err();
    error.is_some_and(|error| is_all || error.error_len().is_some())
}

fn close(payload: &[u8]) -> Result<Option<(u16, String)>, u16> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(PROTOCOL_ERROR) };
    };
    let code = u16::from_be_bytes(*code);
    check(is_valid_close_code(code))?;
    let reason = str::from_utf8(reason).map_err(|_| NOT_UTF8)?;
    Ok(Some((code, reason.into())))
}
