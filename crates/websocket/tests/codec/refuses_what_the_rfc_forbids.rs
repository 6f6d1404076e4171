//! The streams that a peer must not send, as a table after the groups 3, 4, 5 and 7 of Autobahn.
//!
//! Every stream is fed whole, byte by byte and in pieces of several sizes, and must be refused with
//! the same error each time; the close code of each error is checked as well.

use crate::common::{
    Heard, Owned, ROOMY, client_frame, hear, hear_pieces, raw_client_frame, server_hears,
};
use draftwire_websocket::{Decoder, Opcode, ProtocolError, Role, encode};

fn assert_refused(stream: &[u8], error: ProtocolError) {
    let text = client_frame(true, Opcode::Text, b"before");
    let heard = server_hears(&[&text, stream].concat());
    let expected = Heard { items: vec![Owned::Text("before".into())], error: Some(error) };
    assert_eq!(heard, expected, "for {stream:02x?}");
}

#[test]
fn reserved_bits_are_refused() {
    for first in (0..=u8::MAX).filter(|first| first & 0x70 != 0) {
        assert_refused(&raw_client_frame(&[first, 0x80], b""), ProtocolError::ReservedBits);
    }
}

#[test]
fn reserved_opcodes_are_refused() {
    for bits in (0x3..=0x7).chain(0xB..=0xF) {
        for first in [bits, 0x80 | bits] {
            let stream = raw_client_frame(&[first, 0x80], b"");
            assert_refused(&stream, ProtocolError::ReservedOpcode(bits));
        }
    }
}

#[test]
fn fragmented_and_long_control_frames_are_refused() {
    for opcode in [Opcode::Close, Opcode::Ping, Opcode::Pong] {
        assert_refused(&client_frame(false, opcode, b""), ProtocolError::FragmentedControl);
        assert_refused(&client_frame(true, opcode, &[b'x'; 126]), ProtocolError::LongControl);
        let long = client_frame(true, opcode, &vec![b'x'; 65_536]);
        assert_refused(&long, ProtocolError::LongControl);
    }
}

#[test]
fn frames_masked_for_the_other_role_are_refused() {
    for opcode in [Opcode::Text, Opcode::Binary, Opcode::Ping, Opcode::Pong, Opcode::Close] {
        let unmasked = encode::frame(true, opcode, b"");
        assert_eq!(server_hears(&unmasked), Heard::only_error(ProtocolError::Unmasked));
        let masked = client_frame(true, opcode, b"");
        let heard = hear(Role::Client, ROOMY, &masked);
        assert_eq!(heard, Heard::only_error(ProtocolError::Masked));
    }
}

#[test]
fn lengths_in_more_bytes_than_they_need_are_refused() {
    for length in [0_u16, 1, 124, 125] {
        let [high, low] = length.to_be_bytes();
        let header = [0x82, 0xFE, high, low];
        let stream = raw_client_frame(&header, &vec![0; length.into()]);
        assert_refused(&stream, ProtocolError::NonMinimalLength);
    }
    for length in [0_u64, 125, 126, 65_534, 65_535] {
        let header = [&[0x82, 0xFF], &length.to_be_bytes()[..]].concat();
        let stream = raw_client_frame(&header, &vec![0; length as usize]);
        assert_refused(&stream, ProtocolError::NonMinimalLength);
    }
}

#[test]
fn a_length_with_its_top_bit_set_is_refused() {
    for length in [1_u64 << 63, u64::MAX, (1 << 63) | 65_536] {
        let header = [&[0x82, 0xFF], &length.to_be_bytes()[..]].concat();
        assert_refused(&raw_client_frame(&header, b""), ProtocolError::LengthOutOfRange);
    }
}

#[test]
fn a_continuation_of_nothing_is_refused() {
    for fin in [false, true] {
        let alone = client_frame(fin, Opcode::Continuation, b"x");
        assert_refused(&alone, ProtocolError::UnexpectedContinuation);
        let finished = [
            client_frame(false, Opcode::Text, b"a"),
            client_frame(true, Opcode::Continuation, b"b"),
            alone,
        ];
        let heard = server_hears(&finished.concat());
        assert_eq!(heard.items, [Owned::Text("ab".into())]);
        assert_eq!(heard.error, Some(ProtocolError::UnexpectedContinuation));
    }
}

#[test]
fn a_new_message_within_a_fragmented_one_is_refused() {
    for (first, second) in [(Opcode::Text, Opcode::Text), (Opcode::Binary, Opcode::Text)] {
        for fin in [false, true] {
            for beginning in [&b"part"[..], b""] {
                let stream =
                    [client_frame(false, first, beginning), client_frame(fin, second, b"x")];
                assert_refused(&stream.concat(), ProtocolError::InterleavedMessage);
            }
        }
    }
}

#[test]
fn bad_close_payloads_are_refused() {
    let one_byte = client_frame(true, Opcode::Close, &[3]);
    assert_refused(&one_byte, ProtocolError::ShortClosePayload);
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535_u16] {
        let payload = [&code.to_be_bytes(), &b"reason"[..]].concat();
        let stream = client_frame(true, Opcode::Close, &payload);
        assert_refused(&stream, ProtocolError::InvalidCloseCode(code));
    }
    for reason in [&b"\xFF"[..], b"\xCE\xBA\xE1\xBD", b"\xED\xA0\x80", b"ok \xC0\x80"] {
        let payload = [&1000_u16.to_be_bytes(), reason].concat();
        let stream = client_frame(true, Opcode::Close, &payload);
        assert_refused(&stream, ProtocolError::InvalidUtf8);
    }
}

#[test]
fn a_message_too_big_is_refused_at_its_header() {
    for (max, length) in [(0, 1), (99, 100), (125, 126), (70_000, 70_001)] {
        let frame = client_frame(true, Opcode::Text, &vec![b'x'; length]);
        let header = &frame[..frame.len() - length];
        let (heard, decoder) = hear_pieces(Role::Server, max, [header]);
        assert_eq!(heard, Heard::only_error(ProtocolError::TooBig));
        assert_eq!(decoder.buffered_bytes(), 0);
        assert_eq!(hear(Role::Server, max, &frame), Heard::only_error(ProtocolError::TooBig));
    }
    let huge = [&[0x82, 0xFF], &(i64::MAX as u64).to_be_bytes()[..]].concat();
    assert_refused(&raw_client_frame(&huge, b""), ProtocolError::TooBig);
}

#[test]
fn fragments_that_become_too_big_are_refused_at_the_header_of_the_last() {
    let stream = [
        client_frame(false, Opcode::Text, &[b'x'; 60]),
        client_frame(true, Opcode::Ping, &[b'p'; 125]),
        client_frame(false, Opcode::Continuation, &[b'x'; 40]),
        client_frame(false, Opcode::Continuation, b""),
        client_frame(true, Opcode::Continuation, b"x")[..6].to_vec(),
    ];
    let heard = hear(Role::Server, 100, &stream.concat());
    assert_eq!(heard.items, [Owned::Ping(vec![b'p'; 125])]);
    assert_eq!(heard.error, Some(ProtocolError::TooBig));
}

#[test]
fn the_first_bad_byte_of_a_header_is_enough() {
    for bad in [&b"\xC1"[..], b"\x83", b"\x09", b"\x81\x05", b"\x89\xFE", b"\x82\xFE\x00\x7D"] {
        let (heard, _) = hear_pieces(Role::Server, ROOMY, [bad]);
        assert!(heard.error.is_some(), "{bad:02x?}");
        let (heard, _) = hear_pieces(Role::Server, ROOMY, [&bad[..bad.len() - 1]]);
        assert!(heard.error.is_none(), "{bad:02x?} without its last byte");
    }
}

#[test]
fn after_an_error_everything_is_ignored() {
    let mut decoder = Decoder::new(Role::Server, ROOMY);
    let mut started = client_frame(false, Opcode::Text, &[b'x'; 1000]);
    let started_bytes = started.len();
    assert_eq!(decoder.next(&mut started), Ok((started_bytes, None)));
    assert!(decoder.is_mid_message());
    assert!(decoder.next(&mut [0xFF]).is_err());
    assert!(!decoder.is_mid_message());
    assert_eq!(decoder.buffered_bytes(), 0);
    let mut later = client_frame(true, Opcode::Text, b"later");
    let later_bytes = later.len();
    assert_eq!(decoder.next(&mut later), Ok((later_bytes, None)));
    assert_eq!(decoder.next(&mut []), Ok((0, None)));
}

#[test]
fn each_error_has_the_close_code_of_the_rfc() {
    assert_eq!(ProtocolError::InvalidUtf8.close_code(), 1007);
    assert_eq!(ProtocolError::TooBig.close_code(), 1009);
    let violations = [
        ProtocolError::ReservedBits,
        ProtocolError::ReservedOpcode(3),
        ProtocolError::FragmentedControl,
        ProtocolError::LongControl,
        ProtocolError::Unmasked,
        ProtocolError::Masked,
        ProtocolError::NonMinimalLength,
        ProtocolError::LengthOutOfRange,
        ProtocolError::UnexpectedContinuation,
        ProtocolError::InterleavedMessage,
        ProtocolError::ShortClosePayload,
        ProtocolError::InvalidCloseCode(999),
    ];
    for error in violations {
        assert_eq!(error.close_code(), 1002, "{error}");
        let text = error.to_string();
        assert!(text.starts_with(char::is_lowercase) && !text.ends_with('.'), "{text}");
    }
}
