//! Bad UTF-8 is refused at its first bad byte (RFC 6455 §8.1; Autobahn 6.4 and 6.6 to 6.21).
//!
//! Each bad text is sent with very much more claimed behind it, so a decoder that waits for the
//! end of a frame or of a message would not notice.

use crate::common::{Heard, MASK, ROOMY, client_frame, hear_pieces, server_hears};
use draftwire_websocket::{Decoder, Opcode, ProtocolError, Role, encode};

/// Valid text and the bytes behind it of which the last is the first that no valid text has there.
const BAD_TEXTS: [(&str, &[u8]); 20] = [
    // The samples of Autobahn 6.4: a character above U+10FFFF behind Greek text.
    ("κόσμε", b"\xF4\x90"),
    ("κόσμε", b"\xF5"),
    ("κόσμε", b"\xED\xA0"),
    ("", b"\x80"),
    ("", b"\xBF"),
    ("a", b"\xC0"),
    ("a", b"\xC1"),
    ("a", b"\xC2\x20"),
    ("a", b"\xDF\xC0"),
    ("ß", b"\xE0\x80"),
    ("ß", b"\xE0\x9F"),
    ("ß", b"\xE2\x82\x28"),
    ("ß", b"\xED\xBF"),
    ("€", b"\xF0\x80"),
    ("€", b"\xF0\x8F"),
    ("€", b"\xF0\x9D\x84\x41"),
    ("€", b"\xF0\x9D\x84\xFF"),
    ("𝄞", b"\xF8"),
    ("𝄞", b"\xFE"),
    ("𝄞", b"\xFF"),
];

fn texts() -> impl Iterator<Item = Vec<u8>> {
    BAD_TEXTS.into_iter().map(|(good, bad)| [good.as_bytes(), bad].concat())
}

/// Feeds the bytes one by one and returns after how many the decoder refused them as bad text.
fn refused_after(decoder: &mut Decoder, bytes: &[u8]) -> Option<usize> {
    for (index, byte) in bytes.iter().enumerate() {
        match decoder.next(&mut [*byte]) {
            Ok((1, None)) => {}
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert_eq!(error, ProtocolError::InvalidUtf8);
                return Some(index + 1);
            }
        }
    }
    None
}

#[test]
fn within_one_frame_the_first_bad_byte_is_refused() {
    for text in texts() {
        let mut long = text.clone();
        long.resize(70_000, b'x');
        let frame = client_frame(true, Opcode::Text, &long);
        let header_bytes = frame.len() - long.len();
        let mut decoder = Decoder::new(Role::Server, ROOMY);
        let refused = refused_after(&mut decoder, &frame);
        assert_eq!(refused, Some(header_bytes + text.len()), "{text:02x?}");
        // It is found in larger pieces, too, and in the first of them.
        let pieces = [&frame[..header_bytes + text.len()]];
        let (heard, _) = hear_pieces(Role::Server, ROOMY, pieces);
        assert_eq!(heard, Heard::only_error(ProtocolError::InvalidUtf8));
    }
}

#[test]
fn across_fragments_of_one_byte_the_first_bad_byte_is_refused() {
    for text in texts() {
        let mut decoder = Decoder::new(Role::Server, ROOMY);
        let mut refused = None;
        for (index, byte) in text.iter().chain(b"more").enumerate() {
            let opcode = if index == 0 { Opcode::Text } else { Opcode::Continuation };
            let mut frame = client_frame(false, opcode, &[*byte]);
            if decoder.next(&mut frame).is_err() {
                refused = Some(index + 1);
                break;
            }
        }
        assert_eq!(refused, Some(text.len()), "{text:02x?}");
    }
}

#[test]
fn a_ping_between_the_bytes_of_a_character_changes_nothing() {
    for text in texts() {
        let stream: Vec<u8> = text
            .iter()
            .enumerate()
            .flat_map(|(index, byte)| {
                let opcode = if index == 0 { Opcode::Text } else { Opcode::Continuation };
                let fragment = client_frame(false, opcode, &[*byte]);
                [fragment, client_frame(true, Opcode::Ping, b"\xFF")].concat()
            })
            .collect();
        let heard = server_hears(&stream);
        assert_eq!(heard.items.len(), text.len() - 1);
        assert_eq!(heard.error, Some(ProtocolError::InvalidUtf8));
    }
}

#[test]
fn text_that_ends_within_a_character_is_refused_at_its_end() {
    for cut in [&b"\xC3"[..], b"\xE2\x82", b"\xE2", b"\xF0\x9D\x84", b"ab\xF0\x9D", b"ab\xF0"] {
        let whole = client_frame(true, Opcode::Text, cut);
        assert_eq!(server_hears(&whole), Heard::only_error(ProtocolError::InvalidUtf8));
        let mut decoder = Decoder::new(Role::Server, ROOMY);
        let refused = refused_after(&mut decoder, &whole);
        assert_eq!(refused, Some(whole.len()), "not before, for the character may go on");

        for last in [&b""[..], b"x"] {
            let stream = [
                client_frame(false, Opcode::Text, cut),
                client_frame(true, Opcode::Continuation, last),
            ];
            let heard = server_hears(&stream.concat());
            assert_eq!(heard, Heard::only_error(ProtocolError::InvalidUtf8));
        }
    }
}

#[test]
fn binary_messages_and_pings_may_be_anything() {
    for text in texts() {
        for opcode in [Opcode::Binary, Opcode::Ping, Opcode::Pong] {
            let heard = server_hears(&encode::masked_frame(true, opcode, &text, MASK));
            assert_eq!((heard.items.len(), heard.error), (1, None));
        }
    }
}
