//! The layout of written frames (RFC 6455 §5.2, §5.5 and §5.7).
//!
//! Checks the RFC's examples byte by byte, the three forms of a length at their borders, that a
//! frame is one allocation of exactly its size, and what is cut from control frames.

use crate::common::{MASK, sample_bytes};
use draftwire_websocket::{Opcode, encode};

#[test]
fn the_examples_of_the_rfc_come_out() {
    assert_eq!(encode::text("Hello"), b"\x81\x05Hello");
    assert_eq!(
        encode::masked_frame(true, Opcode::Text, b"Hello", MASK),
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
    );
    assert_eq!(encode::frame(false, Opcode::Text, b"Hel"), b"\x01\x03Hel");
    assert_eq!(encode::frame(true, Opcode::Continuation, b"lo"), b"\x80\x02lo");
    assert_eq!(encode::ping(b"Hello"), b"\x89\x05Hello");
    assert_eq!(encode::pong(b"Hello"), b"\x8a\x05Hello");
    assert_eq!(encode::close(Some(1000), "bye"), b"\x88\x05\x03\xe8bye");
    assert_eq!(encode::close(None, "is left out"), b"\x88\x00");
}

#[test]
fn each_length_is_written_in_its_shortest_form() {
    let headers: [(usize, &[u8]); 8] = [
        (0, b"\x82\x00"),
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (127, b"\x82\x7e\x00\x7f"),
        (256, b"\x82\x7e\x01\x00"),
        (65_535, b"\x82\x7e\xff\xff"),
        (65_536, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
        (70_000, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x11\x70"),
    ];
    for (payload_len, header) in headers {
        let payload = sample_bytes(payload_len);
        let frame = encode::binary(&payload);
        assert_eq!(encode::header_len(payload_len), header.len());
        assert_eq!(frame, [header, &payload].concat(), "{payload_len}");
        assert_eq!(frame.capacity(), frame.len(), "{payload_len}");

        let mut behind = b"before".to_vec();
        encode::put_header(&mut behind, true, Opcode::Binary, payload_len);
        assert_eq!(behind, [b"before", header].concat());
    }
}

#[test]
fn a_control_frame_is_cut_to_what_it_may_carry() {
    let long = sample_bytes(200);
    for (frame, first) in [(encode::ping(&long), 0x89), (encode::pong(&long), 0x8A)] {
        assert_eq!(frame, [&[first, 125], &long[..125]].concat());
    }
}

#[test]
fn a_close_reason_is_cut_between_characters() {
    let cases = [("a".repeat(123), 123), ("a".repeat(124), 123), ("€".repeat(42), 123)];
    let cases = cases.into_iter().chain([("ß".repeat(62), 122), ("𝄞".repeat(31), 120)]);
    for (reason, kept) in cases {
        let frame = encode::close(Some(4000), &reason);
        assert_eq!(frame[..4], [0x88, kept as u8 + 2, 0x0F, 0xA0]);
        assert_eq!(frame[4..], reason.as_bytes()[..kept]);
        assert_eq!(frame.capacity(), frame.len());
    }
}
