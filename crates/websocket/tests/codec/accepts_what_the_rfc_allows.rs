//! The streams that a peer may send, as a table after the groups 1, 2, 5, 6 and 7 of Autobahn.
//!
//! Every stream is heard whole, byte by byte and in pieces of several sizes. That whole frames are
//! lent from the input without a copy is checked here too.

use crate::common::{
    Heard, Owned, ROOMY, client_frame, hear, hear_pieces, sample_bytes, sample_text, server_hears,
};
use draftwire_websocket::{Decoder, Item, Opcode, Role, encode, is_valid_close_code};

#[test]
fn a_message_of_every_form_of_length_is_heard() {
    for len in [0, 1, 124, 125, 126, 127, 128, 255, 256, 65_535, 65_536, 65_537] {
        let bytes = sample_bytes(len);
        let text = sample_text(len);
        let items = Heard::all(&[Owned::Binary(bytes.clone()), Owned::Text(text.clone())]);
        let from_client = [
            client_frame(true, Opcode::Binary, &bytes),
            client_frame(true, Opcode::Text, text.as_bytes()),
        ];
        assert!(server_hears(&from_client.concat()) == items, "{len} bytes from a client");
        let from_server = [encode::binary(&bytes), encode::text(&text)].concat();
        assert!(hear(Role::Client, ROOMY, &from_server) == items, "{len} bytes from a server");
    }
}

#[test]
fn a_message_of_exactly_the_maximum_is_heard() {
    for (max, pieces) in [(0, 1), (1, 1), (126, 2), (65_536, 3), (70_001, 7)] {
        let bytes = sample_bytes(max);
        let mut stream = client_frame(true, Opcode::Binary, &bytes);
        let items = Heard::all(&[Owned::Binary(bytes.clone())]);
        assert!(hear(Role::Server, max, &stream) == items, "whole, {max}");
        stream = fragments(Opcode::Binary, &bytes, max.div_ceil(pieces).max(1)).concat();
        assert!(hear(Role::Server, max, &stream) == items, "in fragments, {max}");
    }
}

/// The payload in fragments of that size, the last of them final.
fn fragments(opcode: Opcode, payload: &[u8], fragment_bytes: usize) -> Vec<Vec<u8>> {
    let count = payload.len().div_ceil(fragment_bytes).max(1);
    (0..count)
        .map(|index| {
            let opcode = if index == 0 { opcode } else { Opcode::Continuation };
            let start = index * fragment_bytes;
            let end = (start + fragment_bytes).min(payload.len());
            client_frame(index + 1 == count, opcode, &payload[start..end])
        })
        .collect()
}

#[test]
fn pings_and_pongs_of_every_length_are_heard() {
    for len in [0, 1, 5, 124, 125] {
        let bytes = sample_bytes(len);
        let stream =
            [client_frame(true, Opcode::Ping, &bytes), client_frame(true, Opcode::Pong, &bytes)];
        let items = Heard::all(&[Owned::Ping(bytes.clone()), Owned::Pong(bytes)]);
        assert_eq!(server_hears(&stream.concat()), items);
    }
}

#[test]
fn a_ping_within_a_fragmented_message_is_heard_before_it() {
    let text = sample_text(50);
    let (start, end) = text.as_bytes().split_at(3);
    assert!(!text.is_char_boundary(4) || !text.is_char_boundary(3), "the cut is in a character");
    let stream = [
        client_frame(false, Opcode::Text, start),
        client_frame(true, Opcode::Ping, b"one"),
        client_frame(false, Opcode::Continuation, b""),
        client_frame(true, Opcode::Pong, &sample_bytes(125)),
        client_frame(true, Opcode::Ping, b""),
        client_frame(true, Opcode::Continuation, end),
        client_frame(true, Opcode::Binary, b"next"),
    ];
    let items = [
        Owned::Ping(b"one".into()),
        Owned::Pong(sample_bytes(125)),
        Owned::Ping(Vec::new()),
        Owned::Text(text),
        Owned::Binary(b"next".into()),
    ];
    assert_eq!(server_hears(&stream.concat()), Heard::all(&items));
}

#[test]
fn text_cut_into_fragments_at_every_byte_is_heard() {
    let text = sample_text(300);
    for fragment_bytes in 1..9 {
        let stream = fragments(Opcode::Text, text.as_bytes(), fragment_bytes).concat();
        assert_eq!(server_hears(&stream), Heard::all(&[Owned::Text(text.clone())]));
    }
}

#[test]
fn empty_fragments_make_an_empty_message() {
    let stream = [
        client_frame(false, Opcode::Text, b""),
        client_frame(false, Opcode::Continuation, b""),
        client_frame(true, Opcode::Continuation, b""),
    ];
    assert_eq!(server_hears(&stream.concat()), Heard::all(&[Owned::Text(String::new())]));
}

#[test]
fn the_edges_of_utf8_are_heard() {
    // The first and last characters of each length, and the non-characters, which are allowed
    // (Autobahn 6.5 to 6.22).
    let edges = "\0 \u{7F} \u{80} \u{7FF} \u{800} \u{D7FF} \u{E000} \u{FFFD} \u{FFFE} \u{FFFF} \
                 \u{10000} \u{1FFFE} \u{10FFFF}";
    let stream = client_frame(true, Opcode::Text, edges.as_bytes());
    assert_eq!(server_hears(&stream), Heard::all(&[Owned::Text(edges.into())]));
}

#[test]
fn every_close_code_is_judged_as_the_table_says() {
    for code in 0..=u16::MAX {
        let is_allowed = (1000..1004).contains(&code)
            || (1007..1015).contains(&code)
            || (3000..5000).contains(&code);
        assert_eq!(is_valid_close_code(code), is_allowed, "{code}");
        let stream = client_frame(true, Opcode::Close, &code.to_be_bytes());
        let (heard, _) = hear_pieces(Role::Server, ROOMY, [stream.as_slice()]);
        assert_eq!(heard.error.is_none(), is_allowed, "{code}");
        assert_eq!(heard.items.len(), usize::from(is_allowed), "{code}");
    }
}

#[test]
fn a_close_is_heard_with_its_reason_and_ends_the_stream() {
    let longest = sample_text(123);
    let reasons = [("", None), ("\x03\u{7f}", None), ("bye", Some(1000)), (&longest, Some(4999))];
    for (reason, code) in reasons {
        let close = match code {
            None => client_frame(true, Opcode::Close, &[]),
            Some(code) => {
                let code: u16 = code;
                let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
                client_frame(true, Opcode::Close, &payload)
            }
        };
        let stream = [
            client_frame(false, Opcode::Text, b"never ended"),
            close,
            client_frame(true, Opcode::Ping, b"ignored"),
            vec![0xFF; 50],
        ];
        let item = Owned::Close(code.map(|code| (code, reason.to_owned())));
        assert_eq!(server_hears(&stream.concat()), Heard::all(&[item]));
    }
}

#[test]
fn a_mask_of_zeros_is_a_mask() {
    let stream = encode::masked_frame(true, Opcode::Text, b"plain", [0; 4]);
    assert_eq!(server_hears(&stream), Heard::all(&[Owned::Text("plain".into())]));
}

#[test]
fn a_whole_frame_is_lent_from_the_input_and_leaves_no_heap() {
    let mut stream = client_frame(true, Opcode::Text, sample_text(5000).as_bytes());
    let addresses = stream.as_ptr_range();
    let mut decoder = Decoder::new(Role::Server, 5000);
    let (consumed, item) = decoder.next(&mut stream).expect("the frame is valid");
    assert_eq!(consumed, 4 + 4 + 5000);
    let Some(Item::Text(text)) = item else { panic!("{item:?}") };
    assert!(addresses.contains(&text.as_ptr()));
    assert_eq!(decoder.buffered_bytes(), 0);
    assert!(!decoder.is_mid_message());
}

#[test]
fn a_payload_that_arrives_whole_after_its_header_is_lent_from_the_input() {
    let frame = client_frame(true, Opcode::Binary, &sample_bytes(300));
    for header_bytes in 1..=8 {
        let (mut header, mut rest) = (frame.clone(), frame[header_bytes..].to_vec());
        let addresses = rest.as_ptr_range();
        let mut decoder = Decoder::new(Role::Server, 300);
        assert_eq!(decoder.next(&mut header[..header_bytes]), Ok((header_bytes, None)));
        assert_eq!(decoder.buffered_bytes(), 0);
        let (_, item) = decoder.next(&mut rest).expect("the frame is valid");
        let Some(Item::Binary(bytes)) = item else { panic!("{item:?}") };
        assert_eq!(bytes, sample_bytes(300));
        assert!(addresses.contains(&bytes.as_ptr()));
    }
}
