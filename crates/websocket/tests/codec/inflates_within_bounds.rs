//! Compressed messages (RFC 7692), held against another implementation of DEFLATE.
//!
//! The streams are made with miniz (through flate2) or by hand, so that what the codec's own
//! library takes for granted is not taken for granted here.

use crate::common::{
    Heard, MASK, Owned, ROOMY, client_frame, feed, hear_pieces, raw_client_frame, sample_bytes,
    sample_text,
};
use draftwire_websocket::deflate::compressed_frame;
use draftwire_websocket::{Decoder, Opcode, ProtocolError, Role, WindowBits, encode};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use proptest::prelude::*;

/// What stands for `message` in a compressed frame: flushed, and without the flush's tail.
fn deflated(message: &[u8], level: u32) -> Vec<u8> {
    let mut stream = Compress::new(Compression::new(level), false);
    let mut out = Vec::with_capacity(message.len() + message.len() / 8 + 64);
    stream.compress_vec(message, &mut out, FlushCompress::Sync).unwrap();
    assert_eq!(stream.total_in(), message.len() as u64);
    out.strip_suffix(&[0x00, 0x00, 0xFF, 0xFF]).unwrap().to_vec()
}

/// A stream with BFINAL in its last block.
fn finished(message: &[u8]) -> Vec<u8> {
    let mut stream = Compress::new(Compression::new(6), false);
    let mut out = Vec::with_capacity(message.len() + message.len() / 8 + 64);
    stream.compress_vec(message, &mut out, FlushCompress::Finish).unwrap();
    out
}

/// A stored block (RFC 1951 §3.2.4) that begins at a byte.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap();
    [&[0x00][..], &len.to_le_bytes(), &(!len).to_le_bytes(), bytes].concat()
}

/// A masked frame with RSV1.
fn compressed(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = encode::masked_frame(fin, opcode, payload, MASK);
    frame[0] |= 0x40;
    frame
}

fn decoder(message_bytes_max: usize) -> Decoder {
    Decoder::new(Role::Server, message_bytes_max).with_compression()
}

/// What is heard whole and in pieces, which must be the same.
fn hears(message_bytes_max: usize, stream: &[u8]) -> Heard {
    let mut heard_first = None;
    for piece_bytes in [usize::MAX, 1, 7, 1000] {
        let mut decoder = decoder(message_bytes_max);
        let mut heard = Heard { items: Vec::new(), error: None };
        // Byte by byte only what is short.
        for piece in stream.chunks(piece_bytes.max(stream.len() / 5000)) {
            feed(&mut decoder, piece, &mut heard);
        }
        assert_eq!(decoder.buffered_bytes(), 0, "nothing is kept between messages");
        assert_eq!(*heard_first.get_or_insert_with(|| heard.clone()), heard);
    }
    heard_first.unwrap()
}

fn text(text: &str) -> Heard {
    Heard::all(&[Owned::Text(text.into())])
}

#[test]
fn messages_of_another_implementation_are_inflated() {
    for len in [0, 1, 5, 125, 126, 1000, 65_535, 65_536, 300_000] {
        let (words, bytes) = (sample_text(len), sample_bytes(len));
        for level in [0, 1, 6, 9] {
            let frame = compressed(true, Opcode::Text, &deflated(words.as_bytes(), level));
            assert_eq!(hears(ROOMY, &frame), text(&words), "{len} bytes, level {level}");
            let frame = compressed(true, Opcode::Binary, &deflated(&bytes, level));
            assert_eq!(hears(ROOMY, &frame), Heard::all(&[Owned::Binary(bytes.clone())]));
        }
    }
}

/// The payloads of RFC 7692 §7.2.3, byte for byte.
#[test]
fn the_examples_of_the_rfc_are_read() {
    let hello: [&[u8]; 5] = [
        &[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00],
        // Without compression (a stored block).
        &[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00],
        // A block with BFINAL set.
        &[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00],
        // Two blocks.
        &[0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00],
        // A final block with nothing behind it.
        &[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00],
    ];
    for payload in hello {
        assert_eq!(hears(ROOMY, &compressed(true, Opcode::Text, payload)), text("Hello"));
        // In fragments, cut anywhere; RSV1 stands on the first only, which may be empty.
        for at in 0..=payload.len() {
            let stream = [
                compressed(false, Opcode::Text, &payload[..at]),
                client_frame(true, Opcode::Ping, b"between"),
                client_frame(false, Opcode::Continuation, b""),
                client_frame(true, Opcode::Continuation, &payload[at..]),
            ];
            let expected = [Owned::Ping(b"between".to_vec()), Owned::Text("Hello".into())];
            assert_eq!(hears(ROOMY, &stream.concat()), Heard::all(&expected), "cut at {at}");
        }
    }
    // §7.2.3.2: the second message refers to the first, which was not agreed on.
    let shared = [0xF2, 0x00, 0x11, 0x00, 0x00];
    let heard = hears(ROOMY, &compressed(true, Opcode::Text, &shared));
    assert_eq!(heard, Heard::only_error(ProtocolError::InvalidDeflate));
}

#[test]
fn an_empty_message_has_many_spellings() {
    for payload in [&[][..], &[0x00], &[0x02, 0x00], &[0x03, 0x00], &[0x03, 0x00, 0x00]] {
        let frame = compressed(true, Opcode::Text, payload);
        assert_eq!(hears(0, &frame), text(""), "{payload:?}");
    }
}

#[test]
fn blocks_of_every_kind_follow_each_other() {
    let payload = [stored(b"a"), stored(b""), stored(b"bc"), vec![0x00]].concat();
    assert_eq!(hears(3, &compressed(true, Opcode::Text, &payload)), text("abc"));
    let finals = [finished(b"one "), finished(b"two "), deflated(b"three", 9)].concat();
    assert_eq!(hears(ROOMY, &compressed(true, Opcode::Text, &finals)), text("one two three"));
}

#[test]
fn compressed_and_plain_messages_alternate() {
    let packed = compressed(true, Opcode::Text, &deflated(b"packed", 6));
    let stream = [&packed[..], &client_frame(true, Opcode::Text, b"plain"), &packed].concat();
    let expected = ["packed", "plain", "packed"].map(|text| Owned::Text(text.into()));
    assert_eq!(hears(ROOMY, &stream), Heard::all(&expected));
}

#[test]
fn text_is_examined_after_it_was_inflated() {
    for bad in [&b"\xC3"[..], b"a\xFFb", b"\xED\xA0\x80"] {
        let heard = hears(ROOMY, &compressed(true, Opcode::Text, &deflated(bad, 6)));
        assert_eq!(heard, Heard::only_error(ProtocolError::InvalidUtf8));
        let heard = hears(ROOMY, &compressed(true, Opcode::Binary, &deflated(bad, 6)));
        assert_eq!(heard, Heard::all(&[Owned::Binary(bad.to_vec())]));
    }
}

#[test]
fn what_is_cut_off_or_no_stream_at_all_is_refused() {
    assert_eq!(ProtocolError::InvalidDeflate.close_code(), 1007);
    let whole = deflated(sample_text(2000).as_bytes(), 6);
    let raw = [stored(&sample_bytes(300)), vec![0x00]].concat();
    for payload in [&whole, &raw] {
        for end in 1..payload.len() {
            let heard = hears(ROOMY, &compressed(true, Opcode::Binary, &payload[..end]));
            let refused = heard == Heard::only_error(ProtocolError::InvalidDeflate);
            // The first byte alone of a stored block is how an empty message ends.
            assert!(refused || (end == 1 && payload[0] == 0), "{end} of {}", payload.len());
        }
    }
    for payload in [
        // A block of the kind that does not exist.
        &[0x07][..],
        &[0x06, 0x00],
        // A length and its complement that do not match.
        &[0x00, 0x05, 0x00, 0xFA, 0xFE, 1, 2, 3, 4, 5, 0x00],
        // A reference to before the beginning.
        &[0x4B, 0x04, 0x12, 0x00],
        // The sender has left its tail on.
        &[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00],
        // Bytes behind a last block that are no stream.
        &[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0xFF],
        b"{\"type\":\"PING\"}",
    ] {
        let heard = hears(ROOMY, &compressed(true, Opcode::Binary, payload));
        assert_eq!(heard, Heard::only_error(ProtocolError::InvalidDeflate), "{payload:?}");
    }
}

/// A message that swells (1:1000) is refused at the bound, without memory beyond it. So is one
/// behind many fragments, and one behind another stream's end.
#[test]
fn a_bomb_is_refused_at_the_bound() {
    assert_eq!(ProtocolError::TooBig.close_code(), 1009);
    let bomb = deflated(&vec![b' '; 1 << 30 >> 4], 9);
    assert!(bomb.len() < 1 << 17);
    let refused = Heard::only_error(ProtocolError::TooBig);
    assert_eq!(hears(ROOMY, &compressed(true, Opcode::Text, &bomb)), refused);
    let mut stream = compressed(false, Opcode::Text, b"");
    for piece in bomb.chunks(100) {
        stream.extend(client_frame(false, Opcode::Continuation, piece));
    }
    stream.extend(client_frame(true, Opcode::Continuation, b""));
    assert_eq!(hears(ROOMY, &stream), refused);
    let behind = [finished(b"innocent"), bomb].concat();
    assert_eq!(hears(ROOMY, &compressed(true, Opcode::Text, &behind)), refused);
    // Exactly at the bound, and one above.
    for (len, is_taken) in [(ROOMY, true), (ROOMY + 1, false)] {
        let heard = hears(ROOMY, &compressed(true, Opcode::Binary, &deflated(&vec![7; len], 9)));
        assert_eq!((heard.items.len(), heard.error.is_none()), (usize::from(is_taken), is_taken));
    }
}

/// Decoders of one thread borrow the same inflater: nobody can refer to what another has sent.
#[test]
fn a_reference_into_the_message_of_another_is_refused() {
    let mut next = noise();
    let message: String = (0..2_000).map(|_| char::from(b' ' + next() % 90)).collect();
    let mut stream = Compress::new(Compression::new(9), false);
    let mut flushed = || {
        let mut out = Vec::with_capacity(8_000);
        stream.compress_vec(message.as_bytes(), &mut out, FlushCompress::Sync).unwrap();
        compressed(true, Opcode::Text, out.strip_suffix(&[0x00, 0x00, 0xFF, 0xFF]).unwrap())
    };
    let (first, again) = (flushed(), flushed());
    assert!(again.len() < first.len() / 10, "the second refers to the first");
    assert_eq!(take(&first).0, text(&message));
    assert_eq!(take(&again).0, Heard::only_error(ProtocolError::InvalidDeflate));
    // Nor to what the same connection has sent: each message stands for itself.
    let (heard, _) = take(&[first, again].concat());
    assert_eq!(heard.items, text(&message).items);
    assert_eq!(heard.error, Some(ProtocolError::InvalidDeflate));
}

/// Neither blocks nor streams without content can be sent for ever.
#[test]
fn a_message_of_nothing_at_all_ends_somewhere() {
    let empty_blocks = stored(b"").repeat(1_000_000);
    let frame = compressed(true, Opcode::Text, &empty_blocks);
    let (heard, _) = take(&frame);
    assert_eq!(heard, Heard::only_error(ProtocolError::TooBig));
    let empty_streams = [0x03, 0x00].repeat(ROOMY / 2);
    let (heard, _) = take(&compressed(true, Opcode::Text, &empty_streams));
    assert_eq!(heard, Heard::only_error(ProtocolError::InvalidDeflate));
}

fn take(stream: &[u8]) -> (Heard, Decoder) {
    let mut decoder = decoder(ROOMY);
    let mut heard = Heard { items: Vec::new(), error: None };
    feed(&mut decoder, stream, &mut heard);
    (heard, decoder)
}

/// While a compressed message is incomplete only its compressed bytes are kept, and no inflater.
#[test]
fn an_incomplete_message_keeps_what_has_arrived() {
    let payload = deflated(&vec![b' '; ROOMY], 9);
    let (_, decoder) = take(&compressed(false, Opcode::Text, &payload));
    assert!(decoder.is_mid_message());
    assert!(decoder.buffered_bytes() <= 2 * payload.len(), "{}", decoder.buffered_bytes());
}

#[test]
fn rsv1_has_one_place_only() {
    let refused = Heard::only_error(ProtocolError::ReservedBits);
    for opcode in [Opcode::Ping, Opcode::Pong, Opcode::Close] {
        assert_eq!(hears(ROOMY, &compressed(true, opcode, b"")), refused, "{opcode:?}");
    }
    for begin in [compressed(false, Opcode::Text, b""), client_frame(false, Opcode::Text, b"")] {
        let stream = [begin, compressed(true, Opcode::Continuation, &[0x00])].concat();
        assert_eq!(hears(ROOMY, &stream), refused);
    }
    for first in [0x80 | 0x40 | 0x20 | 1, 0x80 | 0x20 | 1, 0x80 | 0x10 | 1, 0x80 | 0x40 | 0x10 | 2]
    {
        assert_eq!(hears(ROOMY, &raw_client_frame(&[first, 0x81], &[0x00])), refused);
    }
    // Reserved opcodes are no messages.
    assert_eq!(hears(ROOMY, &raw_client_frame(&[0xC3, 0x80], b"")), refused);
    // Without an agreement there is no place at all.
    let frame = compressed(true, Opcode::Text, &deflated(b"Hello", 6));
    let (heard, _) = hear_pieces(Role::Server, ROOMY, [frame.as_slice()]);
    assert_eq!(heard, refused);
}

/// What `compressed_frame` makes, inflated by miniz with a window of 2^15 bytes.
fn inflated_by_another(frame: &[u8]) -> Vec<u8> {
    let header_bytes = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    let payload = [&frame[header_bytes..], &[0x00, 0x00, 0xFF, 0xFF]].concat();
    let mut out = Vec::with_capacity(ROOMY);
    let mut stream = Decompress::new(false);
    stream.decompress_vec(&payload, &mut out, FlushDecompress::Sync).unwrap();
    assert_eq!(stream.total_in(), payload.len() as u64);
    out
}

#[test]
fn compressed_frames_are_read_by_another_implementation() {
    for len in [60, 125, 126, 5000, 65_535, 65_536, 300_000] {
        let words = "a draft order with many equal lines; ".repeat(len / 37 + 1);
        let plain = encode::text(&words[..len]);
        for bits in 9..=15 {
            let bits = WindowBits::new(bits).unwrap();
            let frame = compressed_frame(&plain, bits).unwrap();
            assert!(frame.len() < plain.len());
            assert_eq!(frame[0], 0xC1);
            assert_eq!(inflated_by_another(&frame), words.as_bytes()[..len]);
            let mut heard = Heard { items: Vec::new(), error: None };
            let mut decoder = Decoder::new(Role::Client, ROOMY).with_compression();
            feed(&mut decoder, &frame, &mut heard);
            assert_eq!(heard, text(&words[..len]));
        }
    }
}

/// Bytes without any order, the same ones each time (xorshift).
fn noise() -> impl FnMut() -> u8 {
    let mut state = 1_u32;
    move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    }
}

/// The only repetition is further back than the window: a deflater that kept to a larger one than
/// was agreed on would find it.
#[test]
fn a_window_is_kept_to() {
    let mut noise = noise();
    for bits in 9..15_u8 {
        let far: Vec<u8> = (0..1_usize << bits).map(|_| noise()).collect();
        // Zeros, so that it is smaller at all and a frame is made.
        let message = [&far[..], &far, &vec![0; 2 << bits]].concat();
        let frame = |bits| compressed_frame(&encode::binary(&message), WindowBits::new(bits)?);
        let (narrow, wide) = (frame(bits).unwrap(), frame(15).unwrap());
        assert!(narrow.len() > 2 * far.len(), "{bits}: {} bytes", narrow.len());
        assert!(wide.len() < narrow.len());
        assert_eq!(inflated_by_another(&narrow), message);
    }
}

/// A deflater is used again; what it could not make smaller must not show in what comes after.
#[test]
fn a_message_that_does_not_shrink_leaves_nothing_behind() {
    let mut noise = noise();
    for round in 0..200 {
        let len = 100 + 7 * round;
        let part: Vec<u8> = (0..len).map(|_| noise()).collect();
        for message in [part.clone(), part.repeat(20)] {
            for bits in [9, 12, 15] {
                let bits = WindowBits::new(bits).unwrap();
                if let Some(frame) = compressed_frame(&encode::binary(&message), bits) {
                    assert!(frame.len() < encode::binary(&message).len());
                    assert_eq!(inflated_by_another(&frame), message);
                }
            }
        }
    }
}

#[test]
fn frames_that_would_not_shrink_or_are_no_messages_are_left_alone() {
    for frame in [
        encode::text(""),
        encode::text("short"),
        encode::ping(&[0; 100]),
        encode::close(Some(1000), &"a".repeat(100)),
        encode::frame(false, Opcode::Text, &[0; 100]),
        encode::frame(true, Opcode::Continuation, &[0; 100]),
        client_frame(true, Opcode::Text, &[0; 100]),
        compressed(true, Opcode::Text, &[0; 100]),
        Vec::new(),
        vec![0x81],
        vec![0x81, 126, 0],
    ] {
        assert_eq!(compressed_frame(&frame, WindowBits::MAX), None, "{frame:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_bytes_are_inflated_without_a_panic_and_within_the_bound(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        // A beginning that is valid, so that what follows is reached.
        valid in 0..2000_usize,
        kept in 0.0..=1.0_f64,
        flip in any::<Option<(prop::sample::Index, u8)>>(),
        max in 0..3000_usize,
        cut in any::<prop::sample::Index>(),
    ) {
        let begin = deflated(sample_text(valid).as_bytes(), 6);
        let mut payload = begin[..(begin.len() as f64 * kept) as usize].to_vec();
        payload.extend(noise);
        if let Some((at, bits)) = flip && !payload.is_empty() {
            let at = at.index(payload.len());
            payload[at] ^= bits;
        }
        let at = cut.index(payload.len() + 1);
        let pieces = [
            compressed(false, Opcode::Binary, &payload[..at]),
            client_frame(true, Opcode::Continuation, &payload[at..]),
        ].concat();
        for stream in [compressed(true, Opcode::Binary, &payload), pieces] {
            let mut decoder = decoder(max);
            let mut heard = Heard { items: Vec::new(), error: None };
            feed(&mut decoder, &stream, &mut heard);
            for item in &heard.items {
                prop_assert!(matches!(item, Owned::Binary(bytes) if bytes.len() <= max));
            }
            prop_assert_eq!(heard.items.len() + usize::from(heard.error.is_some()), 1);
            prop_assert_eq!(decoder.buffered_bytes(), 0);
        }
    }

    #[test]
    fn what_is_compressed_is_inflated(words in "\\PC{0,400}", times in 1..20_usize, bits in 9..=15_u8) {
        let words = words.repeat(times);
        if let Some(frame) = compressed_frame(&encode::text(&words), WindowBits::new(bits).unwrap()) {
            let mut heard = Heard { items: Vec::new(), error: None };
            let mut decoder = Decoder::new(Role::Client, ROOMY).with_compression();
            feed(&mut decoder, &frame, &mut heard);
            prop_assert_eq!(heard, text(&words));
            prop_assert_eq!(inflated_by_another(&frame), words.as_bytes());
        }
    }
}
