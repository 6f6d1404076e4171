//! The memory of an incomplete message, counted and not timed.
//!
//! A claim allocates nothing, many fragments cost their bytes, the buffer grows in few steps and
//! never past the maximum, and an idle decoder owns no heap and is small.

use crate::common::{Heard, Owned, client_frame, feed, sample_bytes};
use draftwire_websocket::{Decoder, Opcode, Role, encode};

/// The most that a buffer holds beyond its content while it doubles, and the smallest one.
fn doubled(bytes: usize) -> usize {
    (2 * bytes).max(64)
}

#[test]
fn an_idle_decoder_is_small_and_owns_no_heap() {
    assert!(size_of::<Decoder>() <= 96, "{}", size_of::<Decoder>());
    let decoder = Decoder::new(Role::Server, 1 << 30);
    assert_eq!(decoder.buffered_bytes(), 0);
    assert!(!decoder.is_mid_message());
}

#[test]
fn a_claimed_length_allocates_nothing() {
    let claimed = 512 << 10;
    for opcode in [Opcode::Text, Opcode::Binary] {
        for fin in [true, false] {
            let mut frame = client_frame(fin, opcode, &vec![b'x'; claimed]);
            let (header, payload) = frame.split_at_mut(14);
            let mut decoder = Decoder::new(Role::Server, claimed);
            assert_eq!(decoder.next(header), Ok((14, None)));
            assert_eq!(decoder.buffered_bytes(), 0);
            assert!(decoder.is_mid_message());
            assert_eq!(decoder.next(&mut payload[..100]), Ok((100, None)));
            assert!(decoder.buffered_bytes() <= doubled(100), "{}", decoder.buffered_bytes());
        }
    }
}

#[test]
fn a_small_message_in_two_pieces_takes_its_own_size() {
    let mut frame = client_frame(true, Opcode::Binary, &sample_bytes(10));
    let mut decoder = Decoder::new(Role::Server, 1 << 20);
    assert_eq!(decoder.next(&mut frame[..12]), Ok((12, None)));
    assert_eq!(decoder.buffered_bytes(), 10);
}

/// Sends 4 MiB in 65,536 fragments and checks the buffer at each; returns its number of sizes.
fn send_many_fragments(opcode: Opcode, fragment: impl Fn(usize) -> [u8; 64]) -> (usize, Vec<u8>) {
    const COUNT: usize = 65_536;
    let max = COUNT * 64;
    let mut decoder = Decoder::new(Role::Server, max);
    let (mut sizes, mut copied, mut size) = (0, 0, 0);
    for index in 0..COUNT {
        let opcode = if index == 0 { opcode } else { Opcode::Continuation };
        let mut frame = client_frame(index + 1 == COUNT, opcode, &fragment(index));
        let arrived_before = index * 64;
        let (consumed, item) = decoder.next(&mut frame).expect("every fragment is valid");
        assert_eq!(consumed, frame_bytes());
        let item = item.map(Owned::from);
        assert_eq!(item.is_some(), index + 1 == COUNT);
        let buffered = decoder.buffered_bytes();
        assert!(buffered <= doubled(arrived_before + 64).min(max), "{buffered} at {index}");
        if buffered != size {
            (sizes, copied, size) = (sizes + 1, copied + arrived_before, buffered);
        }
        if let Some(item) = item {
            assert!(copied <= 2 * max, "growing has copied {copied} bytes");
            assert!(!decoder.is_mid_message());
            assert_eq!(decoder.next(&mut []), Ok((0, None)));
            assert_eq!(decoder.buffered_bytes(), 0);
            return match item {
                Owned::Text(text) => (sizes, text.into_bytes()),
                Owned::Binary(bytes) => (sizes, bytes),
                other => panic!("{other:?}"),
            };
        }
    }
    unreachable!("the last fragment completes the message");
}

/// Two bytes of header, four of mask and the fragment.
fn frame_bytes() -> usize {
    2 + 4 + 64
}

#[test]
fn very_many_fragments_cost_their_bytes_and_few_allocations() {
    let (sizes, bytes) = send_many_fragments(Opcode::Binary, |index| [index as u8; 64]);
    assert!(sizes <= 17, "{sizes} sizes of the buffer");
    assert!(bytes.chunks(64).enumerate().all(|(index, chunk)| chunk == [index as u8; 64]));

    // The three bytes of each character never fit the 64 of a fragment, so most are cut.
    let euro = "€".as_bytes();
    let fragment = |index| std::array::from_fn(|byte| euro[(index * 64 + byte) % 3]);
    let last_two: &dyn Fn(usize) -> [u8; 64] = &|index| {
        let mut bytes: [u8; 64] = fragment(index);
        if index == 65_535 {
            // 4 MiB is one more than a multiple of three.
            bytes[63] = b'.';
        }
        bytes
    };
    let (sizes, text) = send_many_fragments(Opcode::Text, last_two);
    assert!(sizes <= 17, "{sizes} sizes of the buffer");
    assert_eq!(text.len(), 4 << 20);
    assert!(text[..(4 << 20) - 1].chunks(3).all(|character| character == euro));
}

#[test]
fn a_ping_in_pieces_adds_its_own_size_at_most() {
    let mut decoder = Decoder::new(Role::Server, 1000);
    let mut heard = Heard { items: Vec::new(), error: None };
    feed(&mut decoder, &client_frame(false, Opcode::Binary, &[1; 1000]), &mut heard);
    assert_eq!(decoder.buffered_bytes(), 1000);
    let ping = client_frame(true, Opcode::Ping, &[2; 125]);
    for piece in ping.chunks(10) {
        feed(&mut decoder, piece, &mut heard);
        assert!(decoder.buffered_bytes() <= 1125);
    }
    assert_eq!(heard.items, [Owned::Ping(vec![2; 125])]);
    assert_eq!(decoder.buffered_bytes(), 1000, "the ping is not kept");
    assert!(decoder.is_mid_message());
}

#[test]
fn being_in_the_middle_is_known_at_every_byte() {
    let stream = [
        client_frame(false, Opcode::Text, b"ab"),
        client_frame(true, Opcode::Ping, b"p"),
        client_frame(true, Opcode::Continuation, b"cd"),
    ];
    let stream = stream.concat();
    let mut decoder = Decoder::new(Role::Server, 1000);
    for (index, byte) in stream.iter().enumerate() {
        let _ = decoder.next(&mut [*byte]).expect("the stream is valid");
        assert_eq!(decoder.is_mid_message(), index + 1 < stream.len(), "after {index}");
    }
}

#[test]
fn a_close_frees_the_message_that_it_interrupts() {
    for close_piece_bytes in [1, 100] {
        let mut decoder = Decoder::new(Role::Server, 1000);
        let mut heard = Heard { items: Vec::new(), error: None };
        feed(&mut decoder, &client_frame(false, Opcode::Text, &[b'x'; 1000]), &mut heard);
        let mut close = client_frame(true, Opcode::Close, &1000_u16.to_be_bytes());
        for piece in close.chunks_mut(close_piece_bytes) {
            assert_eq!(decoder.buffered_bytes() / 1000, 1);
            let _ = decoder.next(piece).expect("the close is valid");
        }
        assert!(decoder.buffered_bytes() <= 125, "only the close itself may still be lent");
        assert!(!decoder.is_mid_message());
        assert_eq!(decoder.next(&mut []), Ok((0, None)));
        assert_eq!(decoder.buffered_bytes(), 0);
    }
}

#[test]
fn a_stream_of_whole_frames_never_takes_memory() {
    let mut decoder = Decoder::new(Role::Client, 1 << 20);
    let mut stream = encode::text("one").repeat(1000);
    let mut rest = stream.as_mut_slice();
    while !rest.is_empty() {
        let (consumed, item) = decoder.next(rest).expect("the stream is valid");
        assert!(item.is_some());
        rest = &mut rest[consumed..];
        assert_eq!(decoder.buffered_bytes(), 0);
    }
}
