//! Compressed messages: any payload inflated, and any message compressed and inflated again.
//!
//! The first byte says which of the two, whether the message is text, and how large it may be; the
//! second how it is cut into frames, or which window it is compressed for. What the decoder makes of
//! it is compared with `inflate`, which reads RFC 1951 bit by bit.

use draftwire_websocket::{Decoder, Opcode, Role, WindowBits, deflate, encode};

use crate::frames::{Heard, hear, is_hopeless};
use crate::inflate::{End, inflate};

/// Bytes beyond the bound that the decoder may have inflated before it counts them.
const PIECE_BYTES: usize = 32 * 1024;
const COMPRESSED_BIT: u8 = 0x40;
const NOT_UTF8_OR_DAMAGED: u16 = 1007;
const TOO_BIG: u16 = 1009;

/// The body. See the module.
pub fn body(data: &[u8]) {
    let [how, cuts, payload @ ..] = data else { return };
    let is_text = how & 1 == 1;
    if how & 128 == 0 {
        let message_bytes_max =
            [100_000, 1000, 100, 7, 1, 0, 300, 20_000][usize::from(how >> 1 & 7)];
        inflated(payload, is_text, message_bytes_max, *cuts);
    } else {
        // Repeated, so that there is something to refer to, near and beyond the window.
        let times = 1 + usize::from(how >> 1 & 7);
        there_and_back(&payload.repeat(times), is_text, *cuts);
    }
}

fn inflated(payload: &[u8], is_text: bool, message_bytes_max: usize, cuts: u8) {
    let mut stream = frames(payload, is_text, cuts);
    // An honest sender makes a message larger by an eighth, never by more.
    let arrives_max = message_bytes_max + message_bytes_max / 8 + 64;
    let decoder = || Decoder::new(Role::Server, message_bytes_max).with_compression();
    let (mut whole, mut pieces) = (decoder(), decoder());
    let (mut heard, mut heard_in_pieces) = (Vec::new(), Vec::new());
    hear(&mut whole, &mut stream.clone(), arrives_max, &mut heard);
    for piece in stream.chunks_mut(1 + usize::from(cuts) % 61) {
        hear(&mut pieces, piece, arrives_max, &mut heard_in_pieces);
    }
    assert_eq!(heard, heard_in_pieces, "how a stream is cut changes nothing");
    assert!(!whole.is_mid_message(), "a whole message, or none");
    let [heard] = &heard[..] else { panic!("one message, or a refusal: {heard:?}") };
    if payload.len() > arrives_max {
        assert_eq!(heard, &Heard::Refused(TOO_BIG));
        return;
    }
    let expected = inflate(payload, message_bytes_max + PIECE_BYTES);
    let fits = expected.bytes.len() <= message_bytes_max;
    let is_bad_text = is_text && is_hopeless(&expected.bytes, expected.end == End::Whole);
    let refusals: &[u16] = match (expected.end, fits) {
        (End::Whole, true) if is_bad_text => &[NOT_UTF8_OR_DAMAGED],
        (End::Whole, true) => &[],
        (End::Damaged, true) => &[NOT_UTF8_OR_DAMAGED],
        // Both are true, and either may be found first.
        (End::Damaged, false) => &[NOT_UTF8_OR_DAMAGED, TOO_BIG],
        _ if is_bad_text => &[NOT_UTF8_OR_DAMAGED, TOO_BIG],
        _ => &[TOO_BIG],
    };
    match heard {
        Heard::Refused(code) => assert!(refusals.contains(code), "{code}, not {refusals:?}"),
        Heard::Text(text) => {
            assert!(is_text && refusals.is_empty(), "taken, not {refusals:?}");
            assert_eq!(text.as_bytes(), expected.bytes);
        }
        Heard::Binary(bytes) => {
            assert!(!is_text && refusals.is_empty(), "taken, not {refusals:?}");
            assert_eq!(*bytes, expected.bytes);
        }
        other => panic!("{other:?} was not sent"),
    }
}

/// One to four masked frames.
fn frames(payload: &[u8], is_text: bool, cuts: u8) -> Vec<u8> {
    let count = 1 + usize::from(cuts & 3);
    let mut opcode = if is_text { Opcode::Text } else { Opcode::Binary };
    let (mut stream, mut rest) = (Vec::new(), payload);
    for left in (0..count).rev() {
        let at = if left == 0 { rest.len() } else { rest.len() * usize::from(cuts >> 2) / 64 };
        let (part, behind) = rest.split_at(at);
        let frame = encode::masked_frame(left == 0, opcode, part, [cuts, 0x55, 0, 0xFF]);
        let begin = stream.len();
        stream.extend(frame);
        if opcode != Opcode::Continuation {
            stream[begin] |= COMPRESSED_BIT;
        }
        (opcode, rest) = (Opcode::Continuation, behind);
    }
    stream
}

fn there_and_back(message: &[u8], is_text: bool, window: u8) {
    let window = 9 + window % 7;
    let window_bits = WindowBits::new(window).unwrap_or(WindowBits::MAX);
    let text = if is_text { str::from_utf8(message).ok() } else { None };
    let frame = text.map_or_else(|| encode::binary(message), encode::text);
    let Some(mut compressed) = deflate::compressed_frame(&frame, window_bits) else { return };
    assert!(compressed.len() < frame.len(), "compressed is smaller, or not sent");
    assert_eq!(compressed[0], frame[0] | COMPRESSED_BIT);
    let mut decoder = Decoder::new(Role::Client, message.len()).with_compression();
    let mut heard = Vec::new();
    hear(&mut decoder, &mut compressed, 2 * message.len() + 64, &mut heard);
    let sent = text.map_or_else(|| Heard::Binary(message.into()), |text| Heard::Text(text.into()));
    assert_eq!(heard, [sent]);
    let payload = match compressed[1] {
        126 => &compressed[4..],
        127 => &compressed[10..],
        _ => &compressed[2..],
    };
    let inflated = inflate(payload, message.len());
    assert_eq!((inflated.end, inflated.bytes == message), (End::Whole, true));
    assert!(inflated.farthest <= 1 << window, "the window of the client is kept to");
}
