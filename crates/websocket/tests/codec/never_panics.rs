//! Arbitrary bytes, in arbitrary pieces, with arbitrary maxima.
//!
//! Checks that nothing panics, that no more is kept than allowed and has arrived, and that how a
//! stream is cut changes neither its items nor its error.

use crate::common::{Heard, feed, hear_pieces};
use crate::frames::{any_pieces, any_stream, cut};
use draftwire_websocket::{Decoder, Role, encode};
use proptest::prelude::*;

fn any_role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Server), Just(Role::Client)]
}

/// Noise, and noise that looks so much like frames that the decoder gets past their headers.
fn any_noise() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![Just(0x00), Just(0x01), Just(0x02), Just(0x80), Just(0x81), Just(0x89)];
    let length = prop_oneof![0x80..=0x8F_u8, 0xFC..=0xFF_u8, 0x00..=0x10_u8];
    let likely = (first, length, prop::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(first, length, rest)| [&[first, length], &rest[..]].concat());
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(likely, 0..10).prop_map(|parts| parts.concat()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_are_taken_without_a_panic_and_within_the_maximum(
        noise in any_noise(),
        role in any_role(),
        max in prop_oneof![Just(0_usize), 1..100_usize, Just(usize::MAX)],
        pieces in any_pieces(),
    ) {
        let mut decoder = Decoder::new(role, max);
        let mut heard = Heard { items: Vec::new(), error: None };
        for piece in cut(&noise, &pieces) {
            feed(&mut decoder, piece, &mut heard);
            let bound = max.min(2 * noise.len().max(32)).saturating_add(125);
            prop_assert!(decoder.buffered_bytes() <= bound);
        }
        let (whole, _) = hear_pieces(role, max, [noise.as_slice()]);
        prop_assert_eq!(heard, whole);
    }

    #[test]
    fn how_a_stream_is_cut_changes_nothing(stream in any_stream(), pieces in any_pieces()) {
        let (whole, decoder) = hear_pieces(Role::Server, 1000, [stream.as_slice()]);
        let (heard, other) = hear_pieces(Role::Server, 1000, cut(&stream, &pieces));
        prop_assert_eq!(heard, whole);
        prop_assert_eq!(decoder.is_mid_message(), other.is_mid_message());
    }

    #[test]
    fn a_close_reason_is_always_valid_and_short(code in 3000..5000_u16, reason in ".{0,200}") {
        let frame = encode::close(Some(code), &reason);
        prop_assert!(frame.len() <= 2 + 125);
        let (heard, _) = hear_pieces(Role::Client, 0, [frame.as_slice()]);
        prop_assert_eq!((heard.items.len(), heard.error), (1, None));
    }
}
